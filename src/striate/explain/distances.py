"""How far a layer's features go when the image moves: distances, summed in batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..engine.weights import Doubles, Floats
from .finite import check_finite

DIRECTIONS = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""Up, down, left, right: what every figure of a shift is the mean over."""


@dataclass(frozen=True, eq=False)
class LayerShift:
    """How far a layer's features go when the image moves; arrays have one number a shift.

    Distances are root mean squares over images and directions, divided by that between
    two different images: 0 is no change, 1 as much as another image would be. NaN stands
    where images do not differ, or nothing is left to compare.
    """

    name: str
    jump: tuple[int, int]
    change: Doubles
    """Of all features, unit by unit; small where the layer is invariant."""
    moved_along: Doubles
    """The same after the unmoved image's map has been moved along by shift / jump, to the
    nearest unit; 0 where the layer is equivariant. NaN for flat layers."""
    maximum: Doubles
    """Of each map's maximum; 0 where that is invariant. NaN for flat layers."""


class LayerTally:
    """Sums over the images of one layer, a batch after the other."""

    def __init__(
        self, name: str, jump: tuple[int, int], shape: tuple[int, ...], steps: int
    ) -> None:
        self.name, self.jump, self.shape = name, jump, shape
        self.whole = _Spread()
        self.maxima = _Spread()
        self.sums = np.zeros((3, steps))
        """Of squared distances: of features, of features moved along, of maxima."""

    @property
    def mapped(self) -> bool:
        """Whether there are maps, of which a maximum can be taken."""
        return len(self.shape) == 3

    def see(self, features: Floats) -> None:
        """Take in the features of unmoved images, with which `compare` compares."""
        check_finite(features, f"what leaves {self.name}")
        self.whole.add(features)
        self.unmoved = features
        if self.mapped:
            self.highest = _highest(features)
            self.maxima.add(self.highest)

    def compare(self, now: Floats, place: int, shift: tuple[int, int]) -> None:
        """Take in what a shift, the one at `place` of all, has made of them."""
        self.sums[0, place] += _squares(now, self.unmoved)
        if not self.mapped:
            return
        to, since = self.along(shift)
        self.sums[1, place] += _squares(now[:, *to], self.unmoved[:, *since])
        self.sums[2, place] += _squares(_highest(now), self.highest)

    def along(self, shift: tuple[int, int]) -> tuple[tuple[slice, slice], ...]:
        """Where units of the map are after a shift, and where they were."""
        units = (
            _nearest(step, jump) for step, jump in zip(shift, self.jump, strict=True)
        )
        rows, columns = map(overlap, units)
        return (rows[0], columns[0]), (rows[1], columns[1])

    def result(self, steps: Sequence[int]) -> LayerShift:
        """Divide by how much images differ."""
        images, spread = self.whole.count, self.whole.squares()
        moves = images * len(DIRECTIONS)
        change = _ratio(self.sums[0], moves * spread.sum())
        moved_along = maximum = np.full(len(steps), np.nan)
        if self.mapped:
            maximum = _ratio(self.sums[2], moves * self.maxima.squares().sum())
            compared = np.zeros(len(steps))  # what is left of the map
            for place, step in enumerate(steps):
                for down, right in DIRECTIONS:
                    _, since = self.along((step * down, step * right))
                    compared[place] += spread[since].sum()
            moved_along = _ratio(self.sums[1], images * compared)
        return LayerShift(self.name, self.jump, change, moved_along, maximum)


class _Spread:
    """The mean squared distance between two different images, unit by unit."""

    def __init__(self) -> None:
        self.count = 0
        self._first: Doubles
        self._sum: Doubles
        self._square: Doubles

    def add(self, features: Floats) -> None:
        if not self.count:  # distances from one of them, so that nothing cancels
            self._first = features[0].astype(np.float64)
            self._sum, self._square = np.zeros((2, *self._first.shape))
        self.count += len(features)
        distance = features - self._first
        self._sum += distance.sum(axis=0)
        self._square += np.square(distance).sum(axis=0)

    def squares(self) -> Doubles:
        """Twice the variance."""
        spread: Doubles = self._square - self._sum**2 / self.count
        return np.maximum(spread, 0) * 2 / (self.count - 1)


def _highest(maps: Floats) -> Floats:
    """The maximum of each map, N,C."""
    highest: Floats = maps.reshape(len(maps), -1, maps.shape[3]).max(axis=1)
    return highest


def _squares(one: Floats, other: Floats) -> float:
    # No dot product: NumPy's would take threads of its own, one a processor. In double,
    # where squares of neither large nor small numbers are lost.
    distance = np.subtract(one, other, dtype=np.float64)
    np.square(distance, out=distance)
    return float(distance.sum())


def _ratio(sums: Doubles, scale: Doubles | float) -> Doubles:
    """The root of a quotient; NaN where there is nothing to divide by."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Doubles = np.where(np.asarray(scale) > 0, sums / scale, np.nan)
    return np.sqrt(ratio)


def _nearest(step: int, jump: int) -> int:
    """The units that a step in pixels is; of two that are as near the smaller number.

    >>> _nearest(3, 2), _nearest(-3, 2), _nearest(4, 2)
    (1, -1, 2)
    """
    units = math.ceil(abs(step) / jump - 0.5)
    return units if step > 0 else -units


def overlap(step: int) -> tuple[slice, slice]:
    """Where places lie after a move, and where they were."""
    if step > 0:
        return slice(step, None), slice(-step)
    return slice(step or None), slice(-step, None)
