"""Checks of the arguments users give to layers, in the users' words."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Iterable

LARGEST = 2**28
"""The largest whole number any layer takes: sums of a few still fit 32 bits."""

Pair = int | tuple[int, int]
"""One number for both axes, or one each for (height, width)."""


def whole_number(owner: str, name: str, value: object, minimum: int = 1) -> int:
    """Return `value` as an int of at least `minimum`, or say what is wrong with it."""
    number = _as_int(value)
    rule = f"{owner}: {name} must be a whole number of at least {minimum}"
    if number is None:
        raise TypeError(f"{rule}, not {shown(value)}.")
    if number < minimum:
        raise ValueError(f"{rule}, not {shown(number)}.")
    if number > LARGEST:
        raise ValueError(
            f"{owner}: {name} can be at most {LARGEST}, not {shown(number)}."
        )
    return number


def number_or_pair(owner: str, name: str, value: object, minimum: int = 1) -> Pair:
    """Return a whole number or a (height, width) pair of them, as it was given."""
    if isinstance(value, list | tuple):
        if len(value) != 2:
            raise ValueError(
                f"{owner}: {name} must be one number or a (height, width) pair, "
                f"not {len(value)} values {shown(value)}."
            )
        height, width = (whole_number(owner, name, part, minimum) for part in value)
        return height, width
    if _as_int(value) is None:
        raise TypeError(
            f"{owner}: {name} must be a whole number of at least {minimum} or a "
            f"(height, width) pair of them, not {shown(value)}."
        )
    return whole_number(owner, name, value, minimum)


def real_number(owner: str, name: str, value: object) -> float:
    """Return `value` as a finite float, or say what is wrong with it."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{owner}: {name} must be a number, not {shown(value)}.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{owner}: {name} must be finite, not {shown(value)}.")
    return number


def truth(owner: str, name: str, value: object) -> bool:
    """Return `value` if it is True or False, or say that it must be."""
    if not isinstance(value, bool):
        raise TypeError(f"{owner}: {name} must be True or False, not {shown(value)}.")
    return value


def both(value: Pair) -> tuple[int, int]:
    """Spread one number over (height, width); pairs stay as they are."""
    return (value, value) if isinstance(value, int) else value


def spell(shape: Iterable[int]) -> str:
    """Write a shape as people say it: `5x5x16`."""
    return "x".join(map(str, shape))


def shown(value: object) -> str:
    """Return what was received as a message can quote it: never more than a line."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no integers of more than 4300 digits
        return f"a {type(value).__name__} of enormous size"
    return text if len(text) <= 80 else f"{text[:76]} ..."


def _as_int(value: object) -> int | None:
    """Return the int behind Python's and NumPy's integers; None for all else."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def store(record: object, name: str, value: object) -> None:
    """Keep a checked value: plain ints and tuples, whatever kind the user gave."""
    object.__setattr__(record, name, value)
