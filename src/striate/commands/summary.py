"""`striate summary`: the layers of a model or of a network not yet trained."""

from __future__ import annotations

import os
from typing import Any

import click

from ..data import Reading, read_data
from ..errors import ModelFileError, UsageError
from ..network import Network, load
from ..zoo import NETWORKS, input_shape_for
from ..zoo.auto import choose
from .choice import AUTO, named_network, width_option
from .console import Console, common_options
from .data_options import data_options
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

    MODEL is a model file, NETWORK one of auto, lenet5, lenet5-1998, vgg, mobilenet and
    resnet. With DATA, and the options that say how its images are read, a network is
    shown as `striate train` would make it for these; else for its usual images and 10
    classes.

    \b
    Examples:
      striate summary lenet5
      striate summary vgg --width 32
      striate summary auto photos/
      striate summary mnist-lenet5.safetensors --json
      striate summary mnist-lenet5.safetensors --unit conv2:4,4 --image photo.png
    """
    if image is not None and unit is None:
        raise UsageError(
            "--image shows where in a file a unit looks; say which: --unit conv2:4,4"
        )
    if model == AUTO and data is None:
        raise UsageError(
            "auto chooses by the images, so it needs DATA: striate summary auto photos/"
        )
    if model in (AUTO, *NETWORKS):
        network = _untrained(console, model, data, width, reading)
    elif not os.path.exists(model):
        raise ModelFileError(
            f"There is no model file {model}, and no network of that name; give the path "
            f"of a model, or one of {', '.join((AUTO, *NETWORKS))}."
        )
    elif data is not None or width is not None:
        raise UsageError(
            f"{model} is a model, whose size is settled; leave out DATA and --width."
        )
    else:
        network = load(model)
    if unit is not None:
        seen = UnitField.of(network, unit, image)
        console.result(str(seen), seen.to_dict())
        return 0
    table = network.summary()
    console.result(str(table), table.to_dict())
    return 0


def _untrained(
    console: Console, name: str, data: str | None, width: int | None, reading: Reading
) -> Network:
    """A network of the zoo as it would be trained: for data, or for its usual images."""
    made_for: dict[str, Any] = {}
    if data is not None:
        loaded = read_data(data, reading=reading, quiet=console.quiet)
        shape, classes = (*loaded.size, loaded.channels), loaded.training.classes
        if name == AUTO:
            choice = choose(shape, len(classes), len(loaded.training), width=width)
            console.note(choice.why)
            return choice.network
        made_for = {"input_shape": input_shape_for(shape), "classes": len(classes)}
    return named_network(name, width, **made_for)
