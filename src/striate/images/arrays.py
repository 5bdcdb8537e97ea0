"""Images as users give them become the arrays that the core takes, or an error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import spell
from ..engine.machine import check_memory
from ..errors import DataError, ShapeError

Expected = tuple[int | None, int | None, int | None]
"""(height, width, channels) that images must have; None where any will do."""

Pixels = NDArray[np.uint8] | NDArray[np.float32] | NDArray[np.float64]

PIXEL = np.dtype(np.uint8)
IMAGE_CHANNELS = (1, 3, 4)  # a last axis as short as this is read as channels


def as_images(
    x: object,
    expected: Expected = (None, None, None),
    *,
    what: str = "images",
    double: bool = False,
    within: tuple[int, int] | None = None,
) -> Pixels:
    """Images as one C-contiguous array N,H,W,C of uint8 or float32 in native order.

    Nothing is copied where nothing has to change.

    Arguments:
        x: pixels (uint8) or prepared values (floats), shape (N, H, W, C) or, for one
            channel, (N, H, W): an array, nested lists, or anything that has
            `__array__` or DLPack's `__dlpack__`.
        expected: (height, width, channels); None where any will do.
        what: what messages call them.
        double: give floats as float64 instead of float32.
        within: (height, width) that images may have at most, where any may do: it tells
            N,H,W from one image H,W,C when their last axis is short.

    Raises ShapeError for another shape, naming the change that mends it, and
    DataError for another type, for no images at all and for NaN or infinity.

    >>> as_images(np.zeros((5, 28, 28), np.uint8)).shape
    (5, 28, 28, 1)
    >>> as_images(np.zeros((5, 3, 28, 28), np.uint8), (28, 28, 3))
    Traceback (most recent call last):
    striate.errors.ShapeError: images must be N,H,W,C = Nx28x28x3 but are N,C,H,W =
    5x3x28x28; give images.transpose(0, 2, 3, 1)
    """
    array = shaped_images(x, expected, what=what, within=within)
    return image_values(array, what=what, double=double)


def shaped_images(
    x: object,
    expected: Expected = (None, None, None),
    *,
    what: str = "images",
    within: tuple[int, int] | None = None,
) -> NDArray[Any]:
    """Images as one array N,H,W,C of uint8 or floats; no value is read or copied.

    Arguments and errors are those of `as_images`, but for NaN and infinity.
    """
    array = as_array(x, what)
    if array.size == 0:
        raise DataError(f"{what} hold nothing: their shape is {array.shape}")
    _check_type(array, x, what)
    array = _with_channels(array, expected, within, what)
    if within is not None and not _inside(array.shape[1:3], within):
        raise ShapeError(
            f"{what} of {spell(array.shape[1:3])} pixels do not fit into the network's "
            f"input of {spell(within)}; make them smaller or the input larger."
        )
    return array


def image_values(
    array: NDArray[Any], *, what: str = "images", double: bool = False, first: int = 0
) -> Pixels:
    """What `shaped_images` gave, or some of it, as the core takes it.

    `first` is the place of the first image in what messages call `what`.
    """
    dtype: np.dtype[Any] = PIXEL
    if array.dtype != PIXEL:
        dtype = np.dtype(np.float64 if double else np.float32)
    if array.dtype != dtype or not array.flags.c_contiguous:
        amount = array.size * dtype.itemsize
        remedy = "give fewer images at once"
        check_memory(amount, f"a copy of {what}, in one piece of memory,", remedy)
        if dtype == PIXEL:
            return np.ascontiguousarray(array)
    return array if dtype == PIXEL else _finite(array, dtype, what, first)


def as_array(x: object, what: str) -> NDArray[Any]:
    """What the user gave as a NumPy array, without a copy where there is a way."""
    if isinstance(x, np.ndarray):
        return np.asarray(x)
    if x is None or isinstance(x, str | bytes | dict | set):
        raise DataError(f"{what} must be an array, not {type(x).__name__}")
    try:
        if hasattr(x, "__dlpack__") and not hasattr(x, "__array__"):
            array = np.from_dlpack(x)
        else:
            array = np.asarray(x)
    except Exception as error:  # every library refuses in its own way
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{what} cannot be read as one array: {reason}") from error
    if array.ndim == 0 and array.dtype == object:
        raise DataError(f"{what} must be an array, not {type(x).__name__}")
    return array


def _check_type(array: NDArray[Any], x: object, what: str) -> None:
    """Let uint8 and floats pass; say for all else how to get there."""
    kind = array.dtype.kind
    if array.dtype == PIXEL or kind == "f":
        return

    def converted(suffix: str = "") -> str:
        if hasattr(x, "astype"):
            return f'{what}.astype("uint8"){suffix}'
        return f'np.asarray({what}, dtype="uint8"){suffix}'

    if kind == "b":
        remedy = f"give {converted(' * 255')}"
    elif kind in "iu":
        low, high = array.min(), array.max()
        if low >= 0 and high <= 255:
            remedy = f"their values are pixels from {low} to {high}: give {converted()}"
        elif low >= 0 and high <= 65535:
            remedy = (
                f"their values run from {low} to {high}: if they are of 16 bits, give "
                f'({what} // 257).astype("uint8")'
            )
        else:
            remedy = f"their values run from {low} to {high}: scale them to 0 ... 255"
    elif kind == "c":
        remedy = f"give their real part or magnitude, np.abs({what})"
    elif kind == "O":
        remedy = "they must be numbers, and all images of one size"
    else:
        remedy = "they must be numbers"
    raise DataError(f"{what} must be uint8 or floats but are {array.dtype}; {remedy}")


def _with_channels(
    array: NDArray[Any], expected: Expected, within: tuple[int, int] | None, what: str
) -> NDArray[Any]:
    """The array as N,H,W,C; the axis of the only channel may be missing."""
    shape = array.shape
    _, width, channels = expected
    if (
        len(shape) == 4
        and _fits(shape[1:], expected)
        and (channels is not None or not _channels_first(shape))
    ):
        return array
    if (
        len(shape) == 3
        and _fits((*shape[1:], 1), expected)
        and (
            width is not None
            or shape[2] not in IMAGE_CHANNELS
            or _many_images(shape, within)
        )
    ):
        return array[..., np.newaxis]
    raise ShapeError(_shape_fault(shape, expected, within, what))


def _many_images(shape: tuple[int, ...], within: tuple[int, int] | None) -> bool:
    """Whether three sizes, which may be one image H,W,C, are N,H,W all the same.

    They are where each image fills the input, or where one image would not go into it.
    """
    if within is None:
        return False
    return shape[1:] == within or (
        _inside(shape[1:], within) and not _inside(shape[:2], within)
    )


def _shape_fault(
    shape: tuple[int, ...],
    expected: Expected,
    within: tuple[int, int] | None,
    what: str,
) -> str:
    """What is wrong with a shape: the name of its order, and the change that mends it.

    `expected` may leave axes open; the first reading that fits is taken.
    """
    height, width, channels = expected
    rows, columns = (height, width) if height and width else within or (None, None)
    wanted = "x".join("?" if size is None else str(size) for size in expected)
    text = f"{what} must be N,H,W,C = Nx{wanted} but are "
    got = "x".join(map(str, shape)) or "a single number"
    first = (channels, height, width)
    if len(shape) == 4:
        if _fits(shape[1:], first) or _channels_first(shape):
            return f"{text}N,C,H,W = {got}; give {what}.transpose(0, 2, 3, 1)"
        if channels == 1 and shape[3] == 3:
            grey = f'{what}.mean(axis=3).astype("uint8")'
            return f"{text}in colour, {got}; turn them grey, as by {grey}"
    if len(shape) == 3:
        many = ""
        if channels == 1 and _fits((*shape[1:], 1), expected):
            many = f" (or {what}[..., None] if they are N,H,W)"
        if _fits(shape, expected) and shape[2] in (*IMAGE_CHANNELS, channels):
            return f"{text}one image H,W,C = {got}; give {what}[None]{many}"
        if channels == 1 and shape[2] in (3, 4) and _fits((*shape[:2], 1), expected):
            grey = f'{what}[..., :3].mean(axis=2).astype("uint8")[None]'
            text += f"one image in colour, H,W,C = {got}; turn it grey, as by {grey}"
            return text + many
        if channels is not None and _fits(shape, first):
            mended = f"{what}.transpose(1, 2, 0)[None]"
            return f"{text}one image C,H,W = {got}; give {mended}"
        if channels == 3 and _fits((*shape[1:], 3), expected):
            coloured = f"np.repeat({what}[..., None], 3, axis=3)"
            return f"{text}grey, N,H,W = {got}; give {coloured}"
    if len(shape) == 2:
        one = channels == 1 and _fits((*shape, 1), expected)
        if one and rows and columns and _inside(shape, (rows, columns)):
            return f"{text}one image H,W = {got}; give {what}[None]"
        if rows and columns and channels and shape[1] == rows * columns * channels:
            mended = f"{what}.reshape(-1, {rows}, {columns}, {channels})"
            return f"{text}flat rows, {got}; give {mended}"
    return f"{text}{got}; bring them to that size and order"


def _fits(shape: tuple[int, ...], expected: Expected) -> bool:
    """Whether three sizes are those expected, where any are."""
    return shape == expected or all(
        rule is None or size == rule for size, rule in zip(shape, expected, strict=True)
    )


def _inside(shape: tuple[int, ...], within: tuple[int, int]) -> bool:
    """Whether a height and a width go into those of an input."""
    return shape[0] <= within[0] and shape[1] <= within[1]


def _channels_first(shape: tuple[int, ...]) -> bool:
    """Whether four sizes read as N,C,H,W: one or three channels, then many columns."""
    return shape[1] in (1, 3) and shape[3] not in IMAGE_CHANNELS


def _finite(array: NDArray[Any], dtype: np.dtype[Any], what: str, first: int) -> Pixels:
    """Floats in native order and of one size, none of them NaN or infinite."""
    with np.errstate(over="ignore"):
        values: Pixels = np.ascontiguousarray(array, dtype)
    finite = np.isfinite(values)
    if finite.all():
        return values
    place = np.unravel_index(int(np.argmin(finite)), finite.shape)
    index = ", ".join(str(int(at)) for at in (first + place[0], *place[1:]))
    raise DataError(
        f"{what}[{index}] is {array[place]!s} but all values must be finite as "
        f"{dtype.name}; {int((~finite).sum())} of {finite.size} are not"
    )
