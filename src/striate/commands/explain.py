"""`striate explain`: a page for people about what a model has learned."""

from __future__ import annotations

from pathlib import Path

import click

from ..accuracy import Report
from .console import Console, common_options
from .model_and_data import OneModel, read_model_and_data
from .options import WholeNumber
from .output import check_output, write_output

MOST_IMAGES = 1000
"""Single images at most; of some hundred already a page has no room for all."""


@click.command(cls=OneModel)
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
@click.option(
    "--layers",
    metavar="NAMES",
    help="Layers to show map by map, such as conv2,conv5; `striate summary MODEL` names "
    "them.  [default: those that learn, ten at most]",
)
@common_options
def explain(
    console: Console,
    /,
    model: str,
    data: str,
    output: str | None,
    images: int,
    layers: str | None,
) -> int:
    """Write a page that shows people what a model has learned.

    One file, to be opened in any browser or sent by mail: the network as a drawing;
    layer by layer what a unit sees, and which patches of which images make every map
    fire; what is wrong inside; the mistakes; and for single images what each layer fires
    on and which pixels decided. The images are those that `striate test` takes. The page
    stays below 10 MB; what there is no room for is left out, and said to be.

    \b
    Examples:
      striate explain digits-lenet5.safetensors digits -o report.html
      striate explain runs/first/images-auto.safetensors images/ --images 24
      striate explain runs/first/images-auto.safetensors images/ --layers conv1,conv6
    """
    path = output or f"{Path(model).name.removesuffix('.safetensors')}.html"
    check_output("page", path, model, data)
    network, dataset = read_model_and_data(console, model, data)
    report = Report.of(network, dataset)
    from ..report import explain_page, look_inside

    names = None if layers is None else [one.strip() for one in layers.split(",")]
    findings = look_inside(
        network, dataset, report, images=images, layers=names, say=console.note
    )
    console.note("drawing the page")
    page = explain_page(findings)
    for sentence in page.left_out:
        console.note(sentence)
    size = write_output("page", path, page.html)
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
            "left_out": list(page.left_out),
        },
    )
    return 0
