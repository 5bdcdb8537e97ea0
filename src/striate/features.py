"""Features: what a layer makes of images, flat, for any other classifier."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .arguments import shown, spell
from .engine.machine import check_memory
from .engine.weights import Floats
from .errors import ShapeError, UsageError
from .images.arrays import as_array
from .layers import Conv2D, Dense, Dropout
from .resolve import ResolvedLayer, find_layer
from .saving.featurefile import check_file, write_npy

if TYPE_CHECKING:
    from .inspection import Inspection

Output = str | os.PathLike[str] | Floats


def before_classifier(resolved: Sequence[ResolvedLayer]) -> ResolvedLayer:
    """The layer whose output is classified: see `Network.feature_layer`."""
    decides = next((one for one in resolved if isinstance(one.layer, Dense)), None)
    decides = decides or _deciding_convolution(resolved)
    if decides is None:
        return resolved[-1]
    place = read_by(resolved, decides)
    if place < 0:
        names = ", ".join(one.name for one in resolved)
        raise UsageError(
            f"features are by default what enters the classifier, but {decides.name} "
            f"reads the images themselves; give layer=..., one of {names}."
        )
    return resolved[place]


def read_by(resolved: Sequence[ResolvedLayer], one: ResolvedLayer) -> int:
    """The index of the layer that one reads, Dropout passed over; -1 is the image.

    In use Dropout hands on what it gets.
    """
    place = one.inputs[0]
    while place >= 0 and isinstance(resolved[place].layer, Dropout):
        place = resolved[place].inputs[0]
    return place


def _deciding_convolution(
    resolved: Sequence[ResolvedLayer],
) -> ResolvedLayer | None:
    """The convolution that gives each class a map, in a network without Dense layers.

    Only layers without weights stand between it and the flat end of the network.
    """
    one = resolved[-1]
    if len(one.output_shape) != 1:
        return None
    while len(one.inputs) == 1 and one.inputs[0] >= 0 and not one.weights:
        one = resolved[one.inputs[0]]
    return one if isinstance(one.layer, Conv2D) else None


def feature_pieces(
    network: Inspection,
    images: object,
    one: ResolvedLayer,
    *,
    batch_size: int | None = None,
    preprocessed: bool = False,
    invert: bool = False,
    threads: int | None = None,
) -> Iterator[Floats]:
    """The features (n, D) of some images at a time, in their order.

    Arguments are checked here, before the first are asked for.
    """
    batches = network.activation_batches(
        images,
        one.name,
        batch_size=batch_size,
        preprocessed=preprocessed,
        invert=invert,
        threads=threads,
    )
    return (flattened(outputs[one.name]) for _, outputs in batches)


def flattened(values: Floats) -> Floats:
    """Volumes N,H,W,C as rows N,D in the order channel, row, column, as Flatten does.

    >>> flattened(np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2))
    array([[0., 2., 1., 3.]], dtype=float32)
    """
    if values.ndim == 4:
        values = values.transpose(0, 3, 1, 2)
    return values.reshape(len(values), -1)


def features(
    network: Inspection,
    images: object,
    layer: str | int | None,
    out: Output | None,
    *,
    batch_size: int | None,
    preprocessed: bool,
    invert: bool,
    threads: int | None,
) -> Floats:
    """The features of all images, N,D: see `Network.features`."""
    resolved = network.resolved
    one = before_classifier(resolved) if layer is None else find_layer(resolved, layer)
    array = as_array(images, "images")
    pieces = feature_pieces(
        network,
        array,
        one,
        batch_size=batch_size,
        preprocessed=preprocessed,
        invert=invert,
        threads=threads,
    )
    shape = len(array), math.prod(one.output_shape)
    if isinstance(out, str | os.PathLike):
        check_file(out, ".npy")
        return write_npy(out, shape, pieces)
    if out is None:
        check_memory(
            4 * math.prod(shape),
            f"{shape[1]:,} features of {one.name} for {shape[0]:,} images",
            'give out="features.npy" to have them in a file, or name a later layer',
        )
        out = np.empty(shape, np.float32)
    else:
        _check_array(out, shape, one)
    first = 0
    for rows in pieces:
        out[first : first + len(rows)] = rows
        first += len(rows)
    return out


def _check_array(out: object, shape: tuple[int, int], one: ResolvedLayer) -> None:
    """Refuse what features cannot be put into."""
    if not isinstance(out, np.ndarray):
        raise TypeError(
            "out must be the path of a file that ends in .npy, or an array, not "
            f"{shown(out)}."
        )
    if out.shape != shape:
        raise ShapeError(
            f"out must be of shape {spell(shape)}, for {shape[0]:,} images with "
            f"{shape[1]:,} features of {one.name}, but is {spell(out.shape) or '()'}; "
            f"make it by np.empty({shape}, np.float32)."
        )
    if out.dtype not in (np.float32, np.float64) or not out.flags.writeable:
        raise UsageError(
            "out must be an array of float32 or float64 that can be written, but is "
            f"{out.dtype}{'' if out.flags.writeable else ' and read-only'}; make it by "
            f"np.empty({shape}, np.float32)."
        )
