"""Filters and feature maps as pictures: uint8 pixels, enlarged by whole factors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arguments import spell, whole_number
from ..engine.weights import Floats
from ..errors import ShapeError, UsageError
from ..features import read_by
from ..images.arrays import as_array
from ..layers import Conv2D, Dense, Flatten
from ..network import Network
from ..resolve import ResolvedLayer, find_layer
from .pixels import Pixels

MIDDLE, REACH = 128, 127
"""The grey of 0 among numbers of both signs, and how far from it the largest lie."""

PAPER = 255
"""The grey between the channels of a filter."""


def filter_pictures(
    network: Network, layer: str | int | None = None, *, enlarge: int = 1
) -> Pixels:
    """Return a layer's filters as pictures: uint8 (filters, height, width, 1 or 3).

    Mid-grey, 128, is a weight of 0, and every filter's largest is 1 or 255. Filters of
    RGB images are in colour, as they act on pixels (divided by the standard deviation
    that preprocessing divides these by): bright where more of a colour fires them. All
    others are grey, with their channels in a grid, row by row, one white pixel apart.
    A Dense layer behind Flatten has its weights where its input lies.

    Arguments:
        layer: a name or an index; by default the first that has filters.
        enlarge: so many pixels a side for each of these.

    Raises UsageError for layers that have none.

    >>> import striate as st
    >>> network = st.lenet5()
    >>> filter_pictures(network).shape, filter_pictures(network, "conv2").shape
    ((6, 5, 5, 1), (16, 11, 17, 1))
    >>> filter_pictures(network, "dense1", enlarge=2).shape
    (120, 46, 46, 1)
    """
    factor = whole_number("filter_pictures", "enlarge", enlarge)
    one = filtering_layer(network, layer)
    weights = network.weights[f"{one.name}.weight"]
    if isinstance(one.layer, Dense):
        # Flatten, which knows where things lay
        one = network.resolved[read_by(network.resolved, one)]
        height, width, channels = one.input_shape
        weights = weights.reshape(-1, channels, height, width)
    filters: Floats = weights.transpose(0, 2, 3, 1)
    known = network.preprocessing
    if one.inputs[0] < 0 and known and filters.shape[3] == known.channels:
        filters = np.divide(filters, known.std, dtype=np.float32)
    peaks = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    pictures = _grey(filters, peaks)
    coloured = one.inputs[0] < 0 and filters.shape[3] == 3
    return enlarged(pictures if coloured else _side_by_side(pictures), factor)


def filtering_layer(network: Network, layer: str | int | None) -> ResolvedLayer:
    """Return a layer whose weights have places in an image; UsageError if it has none."""
    resolved = network.resolved
    known = [one for one in resolved if _filters(resolved, one)]
    if layer is None and known:
        return known[0]
    one = None if layer is None else find_layer(resolved, layer)
    if one in known:
        return one
    names = ", ".join(other.name for other in known)
    raise UsageError(
        f"{one.name if one else 'This network'} has no filters: those of convolutions, "
        "and of Dense layers behind Flatten, have a place in the image; "
        + (f"here {names} have." if names else "it has none of these.")
    )


def _filters(resolved: Sequence[ResolvedLayer], one: ResolvedLayer) -> bool:
    if isinstance(one.layer, Dense):
        read = resolved[read_by(resolved, one)]
        return isinstance(read.layer, Flatten) and len(read.input_shape) == 3
    return isinstance(one.layer, Conv2D)


def map_pictures(
    activations: ArrayLike, *, one_scale: bool = True, enlarge: int = 1
) -> Pixels:
    """Return feature maps of one image, H,W,C, as pictures: uint8 (C, height, width, 1).

    0 is black and the largest number white, or, where some are negative, 0 is mid-grey
    and the largest magnitude 1 or 255. What is no finite number is drawn as 0. Flat
    activations, D, are maps of one pixel.

    Arguments:
        activations: such as `network.activations(images, "relu1")[0]`.
        one_scale: for all maps, so that they compare; else each has its own, so that
            weak ones show as well.
        enlarge: so many pixels a side for each number.

    Raises ShapeError for another shape.

    >>> map_pictures([[[0.0, 2.0], [1.0, 0.5]]])[:, 0, :, 0]
    array([[  0, 128],
           [255,  64]], dtype=uint8)
    """
    factor = whole_number("map_pictures", "enlarge", enlarge)
    maps: Floats = as_array(activations, "activations").astype(np.float32, copy=False)
    if maps.ndim == 1:
        maps = maps[None, None]
    if maps.ndim != 3 or not maps.size:
        raise ShapeError(
            "map_pictures draws the maps of one image, H,W,C, or D units, but gets "
            f"{spell(maps.shape) or 'one number'}; give one image's activations."
        )
    maps = np.nan_to_num(maps.transpose(2, 0, 1)[..., None], posinf=0, neginf=0)
    peaks = np.abs(maps).max(axis=None if one_scale else (1, 2, 3), keepdims=True)
    return enlarged(_grey(maps, peaks, signed=bool(maps.min() < 0)), factor)


def enlarged(pictures: NDArray[Any], factor: int) -> Pixels:
    """Pictures (N, H, W, C), every pixel of which becomes a square of so many a side."""
    larger: Pixels = pictures.repeat(factor, axis=1).repeat(factor, axis=2)
    return larger


def _grey(values: Floats, peak: Any, signed: bool = True) -> Pixels:
    shares = values / np.where(peak > 0, peak, 1)
    greys = MIDDLE + REACH * shares if signed else 255 * shares
    pixels: Pixels = np.rint(greys).astype(np.uint8)
    return pixels


def _side_by_side(pictures: Pixels) -> Pixels:
    """The channels of pictures (N, H, W, C) in a grid as square as can be."""
    count, height, width, channels = pictures.shape
    columns = math.ceil(math.sqrt(channels))
    rows = math.ceil(channels / columns)
    room = np.full((count, rows, height + 1, columns, width + 1), PAPER, np.uint8)
    for channel in range(channels):
        row, column = divmod(channel, columns)
        room[:, row, :height, column, :width] = pictures[..., channel]
    page = room.reshape(count, rows * (height + 1), columns * (width + 1), 1)
    return page[:, :-1, :-1].copy()
