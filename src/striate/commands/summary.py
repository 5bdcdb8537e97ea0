"""`striate summary`: the layers of a model or of a network not yet trained."""

from __future__ import annotations

import os

import click

from ..data import Reading, read_data
from ..errors import ModelFileError, UsageError
from ..network import Network, load
from ..zoo import NETWORKS
from ..zoo.auto import choose
from .choice import AUTO, is_known, network_for, read_for, width_option
from .console import Console, common_options
from .data_options import data_options


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
    """
    if model == AUTO and data is None:
        raise UsageError(
            "auto chooses by the images, so it needs DATA: striate summary auto photos/"
        )
    if is_known(model) or model.lower().endswith(".json"):
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
    table = network.summary()
    console.result(str(table), table.to_dict())
    return 0


def _untrained(
    console: Console, name: str, data: str | None, width: int | None, reading: Reading
) -> Network:
    """A network as it would be trained: for data, or for its usual images."""
    if data is None:
        return network_for(name, width)
    reading = read_for(name, data, reading)
    loaded = read_data(data, reading=reading, quiet=console.quiet)
    shape, classes = (*loaded.size, loaded.channels), len(loaded.training.classes)
    if name == AUTO:
        choice = choose(shape, classes, len(loaded.training), width=width)
        console.note(choice.why)
        return choice.network
    return network_for(name, width, shape, classes)
