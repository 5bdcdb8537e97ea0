"""`striate summary`: the layers of a model or of a network not yet trained."""

from __future__ import annotations

import click

from ..data import Reading
from ..errors import UsageError
from .choice import width_option
from .console import Console, common_options
from .data_options import data_options
from .model_or_network import model_or_network
from .unit import UnitField


@click.command()
@click.argument("model", metavar="MODEL|NETWORK")
@click.argument("data", required=False)
@width_option
@click.option(
    "--unit",
    metavar="LAYER[:ROW,COLUMN]",
    help="Tell which pixels a unit sees, such as conv2:4,4, and show no table; without "
    "a place the unit in the middle of the layer's map.",
)
@click.option(
    "--image", metavar="FILE", help="Tell with --unit which pixels of an image file."
)
@common_options
@data_options
def summary(
    console: Console,
    /,
    model: str,
    data: str | None,
    width: int | None,
    unit: str | None,
    image: str | None,
    reading: Reading,
) -> int:
    """Show layers, shapes, parameters and receptive fields.

    MODEL is a model file, NETWORK one of auto, lenet5, lenet5-1998, lenet5-strided, vgg,
    mobilenet and resnet, or a JSON file of `striate design`. With DATA, and the options
    that say how its images are read, a network is shown as `striate train` would make it
    for these; else for its usual images and 10 classes.

    \b
    Examples:
      striate summary lenet5
      striate summary vgg --width 32
      striate summary auto photos/
      striate summary net.json photos/
      striate summary mnist-lenet5.safetensors --json
      striate summary mnist-lenet5.safetensors --unit conv2:4,4 --image photo.png
    """
    if image is not None and unit is None:
        raise UsageError(
            "--image shows where in a file a unit looks; say which: --unit conv2:4,4"
        )
    network = model_or_network(console, model, data, width, reading)
    if unit is not None:
        seen = UnitField.of(network, unit, image)
        console.result(str(seen), seen.to_dict())
        return 0
    table = network.summary()
    console.result(str(table), table.to_dict())
    return 0
