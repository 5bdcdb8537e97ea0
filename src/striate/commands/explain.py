"""`striate explain`: a page for people about what a model has learned."""

from __future__ import annotations

from pathlib import Path

import click

from .console import Console, common_options
from .model_and_data import read_model_and_data
from .options import WholeNumber
from .output import check_output, write_output
from .report import Report

LARGE = 10_000_000
"""Bytes of a page from which on mail servers begin to refuse it."""

MOST_IMAGES = 1000
"""Single images at most: what every layer makes of all of them is in memory at once."""


@click.command()
@click.argument("model")
@click.argument("data")
@click.option(
    "-o", "--output", metavar="FILE", help="Page to write.  [default: MODEL.html]"
)
@click.option(
    "--images",
    type=WholeNumber(1, MOST_IMAGES),
    default=12,
    show_default=True,
    metavar="N",
    help="Single images to look at, at most: a right answer of each class, and "
    "mistakes.",
)
@common_options
def explain(
    console: Console, /, model: str, data: str, output: str | None, images: int
) -> int:
    """Write a page that shows people what a model has learned.

    One file, to be opened in any browser or sent by mail: the network as a drawing;
    layer by layer what a unit sees, and which patches of which images make every map
    fire; what is wrong inside; the mistakes; and for single images what each layer fires
    on and which pixels decided. The images are those that `striate test` takes.

    \b
    Examples:
      striate explain digits-lenet5.safetensors digits -o report.html
      striate explain runs/first/images-auto.safetensors images/ --images 24
    """
    path = output or f"{Path(model).name.removesuffix('.safetensors')}.html"
    check_output("page", path, model, data)
    network, dataset = read_model_and_data(console, model, data)
    report = Report.of(network, dataset)
    from ..report import explain_page, look_inside

    findings = look_inside(network, dataset, report, images=images, say=console.note)
    console.note("drawing the page")
    size = write_output("page", path, explain_page(findings))
    if size > LARGE:
        console.note("the page is too large for many mailboxes; give fewer --images")
    console.result(
        f"page {path}, {size:,} bytes: {report.images:,} images, accuracy "
        f"{100 * report.accuracy:.2f} %",
        {
            "model": model,
            "data": dataset.name,
            "file": path,
            "bytes": size,
            "images": report.images,
            "accuracy": report.accuracy,
            "shown": [example.place for example in findings.examples],
            "findings": findings.sentences,
        },
    )
    return 0
