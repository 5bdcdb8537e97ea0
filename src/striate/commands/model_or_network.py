"""What the verbs that show a network take: a model file, or a network by name."""

from __future__ import annotations

import os

import click

from ..data import Reading, read_data
from ..errors import ModelFileError, UsageError
from ..network import Network, load
from ..zoo import NETWORKS
from ..zoo.auto import choose
from .choice import AUTO, is_known, network_for, read_for
from .console import Console


def model_or_network(
    console: Console, model: str, data: str | None, width: int | None, reading: Reading
) -> Network:
    """Return a model, or an untrained network as `striate train` would make it.

    A network is named, or a JSON file of `striate design`. Raises UsageError for what
    does not go together, ModelFileError where there is neither a file nor a network of
    that name.
    """
    verb = click.get_current_context().info_name
    if model == AUTO and data is None:
        raise UsageError(
            f"auto chooses by the images, so it needs DATA: striate {verb} auto photos/"
        )
    if is_known(model) or model.lower().endswith(".json"):
        return _untrained(console, model, data, width, reading)
    if not os.path.exists(model):
        raise ModelFileError(
            f"There is no model file {model}, and no network of that name; give the path "
            f"of a model, or one of {', '.join((AUTO, *NETWORKS))}."
        )
    if data is not None or width is not None:
        raise UsageError(
            f"{model} is a model, whose size is settled; leave out DATA and --width."
        )
    return load(model)


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
