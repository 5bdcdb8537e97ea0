"""`striate summary`: the layers of a model or of a network not yet trained."""

from __future__ import annotations

import os

import click

from ..errors import ModelFileError
from ..network import load
from ..zoo import NETWORKS
from .console import Console, common_options


@click.command()
@click.argument("model", metavar="MODEL|NETWORK")
@common_options
def summary(console: Console, /, model: str) -> int:
    """Show layers, shapes, parameters and receptive fields.

    MODEL is a model file, NETWORK one of lenet5, lenet5-1998, vgg, mobilenet and resnet.
    These are shown for their usual images and 10 classes.

    \b
    Examples:
      striate summary lenet5
      striate summary mnist-lenet5.safetensors --json
    """
    if model not in NETWORKS and not os.path.exists(model):
        raise ModelFileError(
            f"There is no model file {model}, and no network of that name; give the path "
            f"of a model, or one of {', '.join(NETWORKS)}."
        )
    network = NETWORKS[model]() if model in NETWORKS else load(model)
    table = network.summary()
    console.result(str(table), table.to_dict())
    return 0
