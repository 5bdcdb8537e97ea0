"""Options of a verb written to a file, and read back from it by --config."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import click

from ..errors import UsageError

Verb = TypeVar("Verb", bound=Callable[..., Any])

# Where results go and how they are said belongs to the moment, not to the run.
_OF_THE_MOMENT = {"config", "help", "json", "quiet", "verbose", "output", "run"}

_RECORD = "striate.record"  # the key under which the record of the file is kept
_FIXED = (
    ("the images differ", "data", "sha256"),
    ("the instruction set differs", "isa"),
    ("STRIATE_CONVOLUTION differs", "convolution"),
    ("the version of Striate differs", "versions", "striate"),
)


def config_option(verb: Verb) -> Verb:
    """Give a verb --config: a file whose options count where none is given."""
    return click.option(
        "--config",
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        callback=_take,
        help="Take DATA and options from the settings.json of a run; those given here "
        "count more.",
    )(verb)


def recorded_options(context: click.Context, **settled: object) -> dict[str, Any]:
    """Return the options a verb runs with, by name, in what JSON knows.

    ``settled`` are those whose value was chosen by now. A type of option must accept
    what it returned before, tuples as tuples and any other object as its text.
    """
    values = {**context.params, **settled}
    return {
        key: _plain(values[name])
        for key, name in _names(context.command).items()
        if name in values
    }


def is_repeated(context: click.Context) -> bool:
    """Return whether the options come from the file of an earlier run."""
    return _RECORD in context.meta


def differences(context: click.Context, record: Mapping[str, Any]) -> Iterator[str]:
    """Yield in words what the options do not fix and is not as in the run repeated.

    ``record`` is what `RunFolder.write_settings` takes.
    """
    before = context.meta.get(_RECORD)
    for words, *path in _FIXED:
        then, now = _at(before, path), _at(record, path)
        if then is not None and then != now:
            yield f"{words} from the run in --config, so the result may differ too"


def _at(values: Any, path: Sequence[str]) -> Any:
    for name in path:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def _take(
    context: click.Context, _: click.Parameter, path: str | None
) -> dict[str, Any] | None:
    """Let the options in a file stand where the command line says nothing."""
    if path is None:
        return None
    names = _names(context.command)
    options, record = _read(path)
    unknown = [key for key in options if key not in names]
    if unknown:
        raise UsageError(
            f"{path}: {unknown[0]!r} is no option that {context.command.name} takes from "
            f"a file; these are {', '.join(names)}."
        )
    context.default_map = {
        names[key]: _given(f"{path}: {key}", value)
        for key, value in options.items()
        if value is not None
    }
    context.meta[_RECORD] = record
    return options


def _read(path: str) -> tuple[dict[str, Any], Any]:
    """Return the options in a file, and the record of its run if it has one."""
    try:
        with open(path, encoding="utf-8") as file:
            values = json.load(file)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror or error}; give the settings.json "
            f"of a run folder."
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is not JSON: {error}; give the settings.json of a run folder."
        ) from error
    options = values.get("options") if isinstance(values, dict) else None
    if not isinstance(options, dict):
        raise UsageError(
            f'{path} has no "options"; give the settings.json of a run folder, or '
            f'a file such as {{"options": {{"data": "digits", "epochs": 5}}}}.'
        )
    return options, values.get("record")


def _names(command: click.Command) -> Mapping[str, str]:
    """Return the names of parameters by what users call them: "batch_size"."""
    names = {}
    for parameter in command.params:
        longest = max(parameter.opts, key=len)
        key = longest.lstrip("-").replace("-", "_")
        if parameter.name and key not in _OF_THE_MOMENT:
            names[key] = parameter.name
    return names


def _plain(value: object) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return str(value)


def _given(place: str, value: Any) -> Any:
    """Return a value from the file as the command line would have given it."""
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, dict):
        raise UsageError(f"{place} must be one value or a list, not an object.")
    return str(value)  # so that 1.5 epochs are refused as on the command line
