"""What the verbs that show a network take: a model file, or a network by name."""

from __future__ import annotations

import os
from typing import Any

import click

from ..data import Reading, read_data
from ..errors import ModelFileError, UsageError
from ..network import Network, load
from ..zoo import NETWORKS, input_shape_for
from ..zoo.auto import choose
from .choice import AUTO, named_network
from .console import Console


def model_or_network(
    console: Console, model: str, data: str | None, width: int | None, reading: Reading
) -> Network:
    """Return a model, or an untrained network as `striate train` would make it.

    Raises UsageError for what does not go together, ModelFileError where there is
    neither a file nor a network of that name.
    """
    verb = click.get_current_context().info_name
    if model == AUTO and data is None:
        raise UsageError(
            f"auto chooses by the images, so it needs DATA: striate {verb} auto photos/"
        )
    if model in (AUTO, *NETWORKS):
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
