"""`striate test`: how well a model does on the test images of a data set."""

from __future__ import annotations

import click

from ..accuracy import Report
from .console import Console, common_options, target
from .model_and_data import OneModel, read_model_and_data
from .options import TARGET


@click.command(cls=OneModel)
@click.argument("model")
@click.argument("data")
@click.option(
    "--fail-under",
    type=TARGET,
    metavar="SHARE",
    help="Exit with 4 when the accuracy is below this, such as 0.98.",
)
@common_options
def test(console: Console, /, model: str, data: str, fail_under: float | None) -> int:
    """Measure a model on the test images of DATA.

    Of a folder, table or archive of images without a test part all those are taken that
    the model was not trained on.

    Gives the accuracy with its 95 % interval, the worst classes, and the accuracy where
    the least confident answers are rejected; --json adds every class and the confusion
    matrix (rows: true class, columns: answer).

    \b
    Examples:
      striate test mnist-lenet5.safetensors mnist
      striate test mnist-lenet5.safetensors mnist --fail-under 0.99
    """
    network, images = read_model_and_data(console, model, data)
    report = Report.of(network, images)
    values = {"model": model, "data": images.name, **report.to_dict()}
    console.result(f"test accuracy {report}", values)
    return target(console, report, fail_under)
