"""`striate summary`: the layers of a model or of a network not yet trained."""

from __future__ import annotations

import click

from ..data import Reading
from .choice import width_option
from .console import Console, common_options
from .data_options import data_options
from .model_or_network import model_or_network


@click.command()
@click.argument("model", metavar="MODEL|NETWORK")
@click.argument("data", required=False)
@width_option
@common_options
@data_options
def summary(
    console: Console,
    /,
    model: str,
    data: str | None,
    width: int | None,
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
    """
    table = model_or_network(console, model, data, width, reading).summary()
    console.result(str(table), table.to_dict())
    return 0
