"""Labels in the user's own words become the class indices that the core takes."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, ShapeError
from .arrays import as_array

Classes = tuple[str, ...] | tuple[int, ...]
"""The user's name of every class, at the place of its index."""

ClassNames = Sequence[str] | Sequence[int] | NDArray[np.str_] | NDArray[np.integer[Any]]
"""What a user may give for them."""


def as_labels(
    labels: object,
    count: int,
    classes: Classes | None = None,
    *,
    outputs: int | None = None,
    what: str = "labels",
) -> tuple[NDArray[np.int32], Classes]:
    """Class indices for labels that are integers or strings, and what they stand for.

    `np.asarray(classes)[indices]` gives the labels back.

    Arguments:
        labels: one integer or string for every image, shape (N,).
        count: the number of images, N.
        classes: the classes that are known; without them they are learned: integers
            from 0 to `outputs` - 1 stand for themselves, other integers and strings
            for their place in rising order.
        outputs: how many classes the network tells apart; any number if None.
        what: what messages call them.

    Returns int32 indices of shape (N,), and the classes.
    Raises ShapeError for a wrong number or shape of labels, and DataError for labels
    that are no integers or strings, unknown, negative, or of too many classes.

    >>> indices, classes = as_labels(["cat", "dog", "cat"], 3)
    >>> indices, classes
    (array([0, 1, 0], dtype=int32), ('cat', 'dog'))
    >>> as_labels(["cow"], 1, classes)
    Traceback (most recent call last):
    striate.errors.DataError: labels[0] is 'cow' but the classes are 'cat', 'dog'
    """
    array = as_array(labels, what)
    _check_shape(array, count, what)
    if array.dtype.kind == "U" and isinstance(labels, list | tuple):
        array = np.array(labels, object)  # as strings, 1 beside "a" would go unnoticed
    array = _integers_or_strings(array, what)
    values, indices = np.unique(array, return_inverse=True)
    if array.dtype.kind == "i" and values[0] < 0:
        raise DataError(
            f"{what}[{int(np.argmin(array))}] is {values[0]} but labels start at 0; "
            "leave out images without a label"
        )
    found: Classes = tuple(values.tolist())
    if classes is None:
        classes = _learned(found, outputs, what)
    places = {name: place for place, name in enumerate(classes)}
    for position, name in enumerate(found):
        if name not in places:
            index = int(np.argmax(indices == position))
            raise DataError(_unknown(f"{what}[{index}]", name, classes))
    mapped = np.array([places[name] for name in found], np.int32)
    return mapped[indices], classes


def as_targets(
    target: object, count: int, classes: Classes | None, outputs: int
) -> NDArray[np.intp]:
    """The indices of one class, or of one class for each of `count` images.

    Unlike labels, targets are nothing to learn classes from: where none are known they
    are numbers from 0 to `outputs` - 1. Raises what `as_labels` does.

    >>> as_targets("dog", 2, ("cat", "dog"), 2), as_targets([0, 2], 2, None, 3)
    (array([1, 1]), array([0, 2]))
    """
    several = hasattr(target, "__len__") and not isinstance(target, str)
    if not several or getattr(target, "ndim", 1) == 0:
        target = np.repeat(np.asarray(target), count)
    names = classes or tuple(range(outputs))
    indices, _ = as_labels(target, count, names, what="target")
    return indices.astype(np.intp)


def _check_shape(array: NDArray[Any], count: int, what: str) -> None:
    shape = "x".join(map(str, array.shape))
    rule = f"{what} must be one integer or string an image, shape ({count},)"
    if array.ndim == 2 and array.shape[1] == 1:
        raise ShapeError(f"{rule}, but have shape {shape}; give {what}.ravel()")
    if array.ndim == 2 and array.dtype.kind in "biuf":
        one_hot = np.isin(array, (0, 1)).all() and (array.sum(axis=1) == 1).all()
        kind = "one-hot rows" if one_hot else "rows of numbers"
        remedy = f"{what}.argmax(1)"
        raise ShapeError(f"{rule}, but are {kind}, {shape}; give {remedy}")
    if array.ndim != 1:
        raise ShapeError(f"{rule}, but have shape {shape or '()'}")
    if len(array) != count:
        raise ShapeError(f"{rule}, but there are {len(array)} for {count} images")
    if count == 0:
        raise DataError(f"{what} are empty; there must be at least one image")


def _integers_or_strings(array: NDArray[Any], what: str) -> NDArray[Any]:
    """The labels as int64 or as Python's strings in one array."""
    if array.dtype.kind in "OT":
        array = _unwrapped(array, what)
    kind = array.dtype.kind
    if kind == "U":
        return array
    if kind in "iu":
        if array.max() > np.iinfo(np.int64).max:
            raise DataError(f"{what} go up to {array.max()}, more than 64 bits hold")
        return array.astype(np.int64)
    remedy = "give class numbers or class names"
    if kind == "f":
        whole = np.isfinite(array).all() and (array == np.rint(array)).all()
        remedy = f"give {what}.astype(int)" if whole else remedy
    elif kind == "b":
        remedy = f"give {what}.astype(int)"
    elif kind == "S":
        remedy = f"give {what}.astype(str)"
    raise DataError(
        f"{what} must be integers or strings but are {array.dtype}; {remedy}"
    )


def _unwrapped(array: NDArray[Any], what: str) -> NDArray[Any]:
    """Python's own strings or integers, as pandas holds them, in an array of NumPy's."""
    values = array.tolist()
    for allowed in (str, Integral):
        strange = [not isinstance(v, allowed) or isinstance(v, bool) for v in values]
        if not any(strange):
            return np.array(values)
        if not strange[0]:
            index = strange.index(True)
            raise DataError(
                f"{what}[0] is {values[0]!r} but {what}[{index}] is {values[index]!r}; "
                f"{what} must be all integers or all strings"
            )
    raise DataError(
        f"{what} must be integers or strings but {what}[0] is {values[0]!r}; "
        "give class numbers or class names"
    )


def _learned(found: Classes, outputs: int | None, what: str) -> Classes:
    """The classes of a network that learns from labels with these values."""
    if outputs is None:
        return found
    if isinstance(found[-1], int) and found[-1] < outputs:
        return tuple(range(outputs))
    if len(found) != outputs:
        raise DataError(
            f"{what} name {len(found)} classes ({_list(found)}) but the network's "
            f"last layer tells {outputs} apart; end it with Dense({len(found)})"
        )
    return found


def _unknown(place: str, name: object, classes: Classes) -> str:
    text = f"{place} is {name!r} but the classes are {_list(classes)}"
    if isinstance(name, int) and isinstance(classes[0], str):
        return f"{text}; give names, as by np.asarray(net.classes)[labels]"
    return text


def _list(classes: Classes) -> str:
    shown = [repr(name) for name in classes[:12]]
    return ", ".join(shown) + (" ..." if len(classes) > len(shown) else "")
