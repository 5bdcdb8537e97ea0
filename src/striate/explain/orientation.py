"""Edges at different angles: how much of a filter is one, and which way they lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arguments import spell, whole_number
from ..engine.weights import Doubles
from ..errors import ShapeError
from .statistics import of_unit_size


@dataclass(frozen=True, eq=False)
class EdgeFits:
    """The plane nearest to each of C filters: the simplest edge there is."""

    explained: Doubles
    """(C,) share of a filter's variance, 0 to 1; NaN for a constant filter."""
    orientation: Doubles
    """(C,) of the edge: degrees from 0 to below 180, counter-clockwise from a
    horizontal one at 0; 90 is upright."""
    chance: float
    """What is explained of random filters of that size, in the mean: 2 / (H W - 1)."""


def edge_fits(filters: ArrayLike) -> EdgeFits:
    """Fit a plane, which grows from one side to the other, to each filter (C, H, W).

    The plane's two numbers are 2 of the H W - 1 directions in which a filter can vary,
    so of filters without any order 2 / (H W - 1) is explained: a quarter for 3 x 3.
    Raises ShapeError for what is not C filters of at least 2 x 2, ValueError where they
    are not finite.

    >>> sobel = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    >>> fits = edge_fits([sobel])
    >>> fits.explained.round(2), fits.orientation, fits.chance
    (array([0.89]), array([90.]), 0.25)
    """
    given, _ = of_unit_size(as_filters("edge_fits", filters, 2), axis=(1, 2))
    centred = given - given.mean(axis=(1, 2), keepdims=True)
    height, width = given.shape[1:]
    down, right = (np.arange(side) - (side - 1) / 2 for side in (height, width))
    slopes = np.stack(
        [
            np.einsum("chw,h->c", centred, down) / (width * (down @ down)),
            np.einsum("chw,w->c", centred, right) / (height * (right @ right)),
        ]
    )
    sizes = np.array([[width * (down @ down)], [height * (right @ right)]])
    variance = np.square(centred).sum(axis=(1, 2))
    # Rounding leaves a constant filter a little, which is nothing to explain.
    least = 1e-20 * np.square(given).sum(axis=(1, 2))
    explained = (np.square(slopes) * sizes).sum(axis=0)
    explained /= np.where(variance > least, variance, np.nan)
    return EdgeFits(explained, orientation_of(*slopes), 2 / (height * width - 1))


@dataclass(frozen=True, eq=False)
class OrientationSpread:
    """How orientations lie over the 180 degrees there are."""

    counts: NDArray[np.int64]
    """In equal parts of 180 degrees, the first of them around 0."""
    resultant: float
    """0 where they balance, 1 where all are the same: the length of the mean of unit
    vectors at twice each angle, since 0 and 180 degrees are one orientation."""
    p_value: float
    """Of Rayleigh's test: how often orientations that favour none are as one-sided."""


def orientation_spread(orientations: ArrayLike, parts: int = 6) -> OrientationSpread:
    """Sum up orientations, (C,) in degrees, in a histogram and by Rayleigh's test.

    Raises ShapeError where there are none, ValueError where they are not finite.
    Source: J. Zar, "Biostatistical Analysis", 1999, for the test's p value.

    >>> orientation_spread([0, 45, 90, 135]).resultant < 1e-12
    True
    >>> spread = orientation_spread([178, 1, 2, 179, 3])
    >>> spread.counts, round(spread.resultant, 2), round(spread.p_value, 3)
    (array([5, 0, 0, 0, 0, 0]), 1.0, 0.002)
    """
    parts = whole_number("orientation_spread", "parts", parts, minimum=1)
    degrees = np.asarray(orientations, np.float64)
    if degrees.ndim != 1 or not len(degrees):
        raise ShapeError(
            "orientation_spread needs a list of angles in degrees, at least one, not "
            f"an array of shape {degrees.shape}."
        )
    if not np.isfinite(degrees).all():
        raise ValueError(
            "orientation_spread: orientations must be finite; leave those out that are "
            "not, such as those of constant filters."
        )
    step = 180 / parts
    places = (np.floor((degrees + step / 2) / step) % parts).astype(np.int64)
    count = len(degrees)
    total = float(np.abs(np.exp(2j * np.radians(degrees)).sum()))
    inside = 1 + 4 * count + 4 * (count**2 - min(total, count) ** 2)
    return OrientationSpread(
        counts=np.bincount(places, minlength=parts),
        resultant=total / count,
        p_value=float(np.exp(np.sqrt(inside) - (1 + 2 * count))),
    )


def orientation_of(down: Doubles, right: Doubles) -> Doubles:
    """Return the angles of edges across which values grow in these directions, (C,).

    Degrees from 0 to below 180, counter-clockwise from a horizontal edge.
    """
    # Rows grow downwards, so the edge's own direction is (right, down) turned and
    # mirrored at once: (down, right).
    angle: Doubles = np.degrees(np.arctan2(right, down)) % 180
    return np.where(angle > 180 - 1e-9, 0.0, angle)


def as_filters(subject: str, filters: ArrayLike, smallest: int) -> Doubles:
    """Return filters as float64 (C, H, W), or say what is wrong with them."""
    given = np.array(filters, np.float64)
    if given.ndim != 3 or not len(given):
        raise ShapeError(
            f"{subject} needs filters of shape (C, H, W), one map of weights each, but "
            f"gets {given.shape}; of a convolution take one channel, as in "
            'network.weights["conv1.weight"][:, 0], or the mean of them.'
        )
    if min(given.shape[1:]) < smallest:
        raise ShapeError(
            f"{subject} needs filters of at least {smallest}x{smallest} but gets "
            f"{spell(given.shape[1:])}"
            + (
                "; edge_fits serves smaller ones."
                if smallest > 2
                else ", which have no room for an edge."
            )
        )
    if not np.isfinite(given).all():
        raise ValueError(f"{subject}: the filters must be finite numbers.")
    return given
