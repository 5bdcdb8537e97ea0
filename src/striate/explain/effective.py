"""The effective receptive field: how much each pixel of a field changes its unit.

Luo, Li, Urtasun and Zemel, "Understanding the effective receptive field in deep
convolutional neural networks", 2016.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arguments import real_number, spell, whole_number
from ..errors import UsageError
from ..gradients import Unit, unit_indices
from ..images.inputs import checked, ready
from ..network import Network
from ..receptive import receptive_field
from ..resolve import ResolvedLayer, find_layer
from .fields import Box
from .finite import check_finite
from .question import parts

TOGETHER = 2**26
"""Bytes of the images and gradients that are in memory at once."""

_FEW = 64  # images

LEAST = 1 - 0.9545
"""Of the largest gradient, what a pixel has to exceed to be part of the field (Luo).

0.9545 is how much of a normal distribution lies within two standard deviations.
"""


@dataclass(frozen=True, eq=False)
class EffectiveField:
    """How strongly the pixels of the input change one unit, beside what it can see.

    `gradient` is the mean absolute gradient, float64 (rows, columns) of the input, over
    so many `images`, the layer's maps and the input's channels. `box` bounds the pixels
    that can reach the unit, `whole` is its field with padding, both half-open (top,
    left, bottom, right). `unit` is (row, column) for all maps of a layer, (row, column,
    channel) for one, and the unit's number, or () for all units, in a flat layer.
    """

    layer: str
    unit: tuple[int, ...]
    images: int
    gradient: NDArray[np.float64]
    box: Box
    whole: Box

    @property
    def size(self) -> float:
        """The effective size in pixels, as Luo and others measure it.

        The side of a square of as many pixels as have more than 4.55 % of the largest
        gradient; where all are alike that is the size of the box.
        """
        above = self.gradient > LEAST * self.gradient.max()
        return math.sqrt(np.count_nonzero(above))

    @property
    def center(self) -> tuple[float, float]:
        """The mean place (row, column) of the gradient, in pixels."""
        return self._moments[0]

    @property
    def deviation(self) -> tuple[float, float]:
        """The standard deviation of that place along both axes, in pixels.

        A field of n pixels that all count alike has sqrt((n**2 - 1) / 12).
        """
        return self._moments[1]

    def share(self, mass: float = 0.95) -> float:
        """Return the smallest share of the box that holds so much of the gradient.

        Raises ValueError for a `mass` that is not from 0 to 1.
        """
        mass = real_number("EffectiveField.share", "mass", mass)
        if not 0 <= mass <= 1:
            raise ValueError(
                f"mass must be a share of the gradient, 0 to 1, but is {mass!r}."
            )
        top, left, bottom, right = self.box
        ordered = np.sort(self.gradient[top:bottom, left:right], axis=None)[::-1]
        held = np.cumsum(ordered)
        return int(np.count_nonzero(held < mass * held[-1]) + 1) / held.size

    @property
    def _moments(self) -> tuple[tuple[float, float], tuple[float, float]]:
        total = self.gradient.sum()
        means, deviations = [], []
        for axis in (0, 1):
            weights = self.gradient.sum(axis=1 - axis) / total
            places = np.arange(len(weights))
            mean = float(weights @ places)
            means.append(mean)
            deviations.append(math.sqrt(float(weights @ (places - mean) ** 2)))
        return (means[0], means[1]), (deviations[0], deviations[1])

    def __str__(self) -> str:
        """Say in words how much of what a unit sees counts."""
        whole, box = (
            spell((bottom - top, right - left))
            for top, left, bottom, right in (self.whole, self.box)
        )
        inside = "" if whole == box else f", {box} of them in the image"
        down, across = self.deviation
        return (
            f"{self.layer}{_place(self.unit)} sees {whole} pixels{inside}. "
            f"95 % of its gradient is in {100 * self.share(0.95):.0f} % of these; its "
            f"effective size is {self.size:.1f} pixels, the standard deviation "
            f"{down:.1f} down and {across:.1f} across ({self.images:,} "
            f"image{'s' if self.images > 1 else ''})."
        )


def effective_field(
    network: Network,
    images: object,
    layer: str | int,
    unit: Unit | None = None,
    *,
    batch_size: int | None = None,
    preprocessed: bool = False,
    invert: bool = False,
    threads: int | None = None,
) -> EffectiveField:
    """Return how strongly the pixels of the input change a unit, on the average.

    The mean absolute gradient of the unit over images: the receptive field says which
    pixels can change it, this how much each does. Costs one pass forward and back for
    every image and map; a few hundred images are enough.

    Arguments:
        images: as `Network.input_gradient` takes them; may be mapped from a file larger
            than memory.
        layer: a name or an index.
        unit: (row, column) for the mean over all maps of the layer, (row, column,
            channel) for one of them; in a flat layer a unit's number. By default the
            unit in the middle of the map, or the mean over all units of a flat layer.
        batch_size: images at a time; by default so many that they take some 64 MB.

    Raises UsageError for unknown layers and where no image has any gradient, ShapeError
    for units there are not, DataError for images that do not fit and for gradients that
    are not finite.
    Source: Luo, Li, Urtasun and Zemel, 2016; the lecture's M2.

    >>> from striate import Conv2D
    >>> network = Network([Conv2D(1, 3)] * 3, (9, 9, 1))
    >>> network.set_weights({name: np.ones_like(array) if array.ndim == 4 else array
    ...                      for name, array in network.weights.items()})
    >>> field = effective_field(network, np.zeros((1, 9, 9), np.uint8), "conv3")
    >>> field.gradient[4, 1:8]  # three blurs by ones: nearly a Gaussian already
    array([ 7., 21., 42., 49., 42., 21.,  7.])
    """
    one = find_layer(network.resolved, layer)
    place, units = _units(one, unit)
    seen = receptive_field(network, one.index)
    row, column = place[:2] if len(one.output_shape) == 3 else (0, 0)
    rule = network.input_rule
    array = checked(images, rule, preprocessed=preprocessed, invert=invert)
    if batch_size is None:
        each = 3 * math.prod(network.input_shape) + math.prod(one.output_shape)
        batch_size = max(1, TOGETHER // (4 * each))
    step = whole_number("effective_field", "batch_size", batch_size)
    height, width, channels = network.input_shape
    total = np.zeros((height, width))
    for start in range(0, len(array), step):
        some = array[start : start + step]
        # Of few images several units are asked at once, since the core is at its best
        # with dozens of images.
        for asked in parts(len(units), min(step, _FEW) // len(some)):
            count = len(units[asked])
            copies = np.concatenate([some] * count) if count > 1 else some
            batch = ready(copies, rule, invert=invert, first=start)
            seeds = np.zeros(
                (count, len(some), math.prod(one.output_shape)), np.float32
            )
            seeds[np.arange(count), :, units[asked]] = 1
            gradient = network.engine.input_gradient(
                batch,
                one.index,
                seeds=seeds.reshape(batch.count, *one.output_shape),
                threads=threads,
            )
            total += np.abs(gradient, out=gradient).sum(axis=(0, 3), dtype=np.float64)
    what = f"{one.name}{_place(place)}"
    check_finite(total, f"the gradient of {what}")
    if not total.any():
        raise UsageError(
            f"no pixel of any of these images changes {what}: it is dead, or sees nothing "
            "but padding; choose another unit, or give more images."
        )
    return EffectiveField(
        layer=one.name,
        unit=place,
        images=len(array),
        gradient=total / (len(array) * len(units) * channels),
        box=seen.box(row, column),
        whole=seen.box(row, column, clip=False),
    )


def _units(one: ResolvedLayer, unit: Unit | None) -> tuple[tuple[int, ...], range]:
    """The place that is looked at, and the units that it stands for."""
    shape = one.output_shape
    if unit is None:
        unit = (shape[0] // 2, shape[1] // 2) if len(shape) == 3 else ()
    place = np.atleast_1d(np.asarray(unit))
    if len(shape) == 3 and place.shape == (2,):
        first = int(unit_indices(one, (*place.tolist(), 0), 1)[0])
        return tuple(place.tolist()), range(first, first + shape[2])
    if len(shape) == 1 and not place.size:
        return (), range(shape[0])
    index = int(unit_indices(one, unit, 1)[0])
    return tuple(place.tolist()), range(index, index + 1)


def _place(unit: tuple[int, ...]) -> str:
    return f" ({', '.join(map(str, unit))})" if unit else ""
