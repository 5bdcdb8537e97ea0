"""How like Gabor functions the filters of a first layer are.

J. Daugman, "Uncertainty relation for resolution in space, spatial frequency, and
orientation optimized by two-dimensional visual cortical filters", 1985; J. Jones and
L. Palmer, "An evaluation of the two-dimensional Gabor filter model of simple receptive
fields in cat striate cortex", 1987. The lecture's M9: edges at different angles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..engine.weights import Doubles
from .orientation import as_filters, orientation_of
from .statistics import of_unit_size

_SMALLEST = 5  # pixels a side: eight numbers are fitted, and 3 x 3 filters have nine
_FINEST = 0.5  # cycles a pixel, the most that pixels can show
_NARROWEST = 0.5  # pixels, of an envelope that is more than one pixel
_ANGLES, _FREQUENCIES, _SPREADS, _CENTERS = 12, 4, 3, 3  # of the grid of starts
_STEPS = 60  # of Levenberg and Marquardt; the error then changes by less than 1e-6


@dataclass(frozen=True, eq=False)
class GaborFits:
    """The Gabor function nearest to each of C filters, by least squares.

    A Gabor function is a wave under a Gaussian. Arrays are float64; their first axis is
    the filters.
    """

    explained: Doubles
    """(C,) share of a filter's variance, at most 1; NaN for a constant filter."""
    orientation: Doubles
    """(C,) of the wave's crests: degrees from 0 to below 180, counter-clockwise from a
    horizontal edge at 0; 90 is upright."""
    frequency: Doubles
    """(C,) of the wave, cycles a pixel, from half a cycle a filter to 0.5."""
    phase: Doubles
    """(C,) of the wave at the centre, degrees from 0 to 90: 0 is a bar, 90 an edge."""
    center: Doubles
    """(C, 2) of the Gaussian: row and column in the filter."""
    spread: Doubles
    """(C, 2) its standard deviations across and along the crests, pixels."""
    fitted: Doubles
    """(C, H, W) the functions."""


def fit_gabors(filters: ArrayLike) -> GaborFits:
    """Fit a Gabor function to each filter, (C, H, W).

    For each of 12 orientations the best of a grid of waves and Gaussians is improved by
    Levenberg and Marquardt's method; the best result is kept. What it explains means
    something only beside what the same fit explains of random filters of that size: of
    noise of 5 x 5 that is about a half, of 7 x 7 a third. Raises ShapeError for filters
    below 5 x 5, which have hardly more numbers than the function, ValueError where they
    are not finite.

    >>> rows, columns = np.mgrid[-3:4, -3:4]
    >>> wave = np.exp(-(rows**2 + columns**2) / 6) * np.sin(columns)
    >>> fits = fit_gabors(wave[None])
    >>> fits.explained.round(3), fits.orientation.round(), fits.frequency.round(2)
    (array([1.]), array([90.]), array([0.16]))
    """
    given = as_filters("fit_gabors", filters, _SMALLEST)
    count, height, width = given.shape
    flat, unit = of_unit_size(given.reshape(count, -1), axis=1)
    size = np.sqrt(np.square(flat).sum(axis=1, keepdims=True))
    targets = flat / np.where(size > 0, size, 1)  # so that no scale needs care
    starts = _starts(targets, height, width)
    repeated = np.repeat(targets, _ANGLES, axis=0)
    found, errors = _improve(starts.reshape(-1, 8), repeated, height, width)
    best = errors.reshape(count, _ANGLES).argmin(axis=1)
    found = found.reshape(count, _ANGLES, 8)[np.arange(count), best]
    error = errors.reshape(count, _ANGLES)[np.arange(count), best]
    centred = targets - targets.mean(axis=1, keepdims=True)
    variance = np.square(centred).sum(axis=1)
    # Rounding leaves a constant filter some 1e-33, which is nothing to explain.
    explained = 1 - error / np.where(variance > 1e-20, variance, np.nan)
    even, odd = found[:, 6], found[:, 7]
    return GaborFits(
        explained=explained,
        orientation=orientation_of(np.sin(found[:, 4]), np.cos(found[:, 4])),
        frequency=found[:, 5],
        phase=np.degrees(np.arctan2(np.abs(odd), np.abs(even))),
        center=found[:, :2],
        spread=np.exp(found[:, 2:4]),
        fitted=(_gabors(found, height, width)[0] * size * unit).reshape(given.shape),
    )


def _bounds(height: int, width: int) -> tuple[Doubles, Doubles]:
    """Least and most of the eight numbers of a Gabor function.

    They are: row and column of the centre; logarithms of the spread across and along
    the crests; the angle at which the wave travels; its frequency; and the amplitudes
    of its even and its odd part.
    """
    far, longest = np.inf, np.log(max(height, width))
    slowest = 1 / (2 * max(height, width))
    narrowest = np.log(_NARROWEST)
    low = [-0.5, -0.5, narrowest, narrowest, -far, slowest, -far, -far]
    high = [height - 0.5, width - 0.5, longest, longest, far, _FINEST, far, far]
    return np.array(low), np.array(high)


def _starts(targets: Doubles, height: int, width: int) -> Doubles:
    """Return (C, angles, 8): of every angle the function of a grid that fits best."""
    side = max(height, width)
    places = (np.arange(_CENTERS) + 0.5) / _CENTERS
    axes = np.meshgrid(
        np.pi / _ANGLES * np.arange(_ANGLES),
        places * height - 0.5,
        places * width - 0.5,
        np.log(side / 2.0 ** np.arange(1, _SPREADS + 1)),
        np.geomspace(1 / (1.5 * side), 0.8 * _FINEST, _FREQUENCIES),
        indexing="ij",
    )
    angle, row, column, spread, frequency = (axis.ravel() for axis in axes)
    nothing = np.zeros_like(angle)
    grid = np.stack(
        [row, column, spread, spread, angle, frequency, nothing, nothing], axis=1
    )
    waves = _gabors(grid, height, width)[1][:, 6:]  # the even and the odd part
    # With all else given the amplitudes are a linear problem of two unknowns.
    gram = waves @ waves.transpose(0, 2, 1) + 1e-9 * np.eye(2)
    products = waves @ targets.T
    amplitudes = np.linalg.solve(gram, products)
    gain = (amplitudes * products).sum(axis=1).reshape(_ANGLES, -1, len(targets))
    chosen = gain.argmax(axis=1).T + np.arange(_ANGLES) * gain.shape[1]
    starts: Doubles = grid[chosen]
    filters = np.arange(len(targets))[:, None]
    starts[:, :, 6:] = amplitudes.transpose(2, 0, 1)[filters, chosen]
    return starts


def _improve(
    start: Doubles, targets: Doubles, height: int, width: int
) -> tuple[Doubles, Doubles]:
    """Return better parameters (B, 8) for targets (B, P), and the squared errors (B,).

    Levenberg and Marquardt's method on all problems at once. A number at its bound that
    would be better beyond it is held there.
    """
    low, high = _bounds(height, width)
    now = np.clip(start, low, high)
    values, slopes = _gabors(now, height, width)
    error = np.square(targets - values).sum(axis=1)
    damping = np.full((len(now), 1), 1e-2)
    for _ in range(_STEPS):
        downhill = np.einsum("bip,bp->bi", slopes, targets - values)
        held = ((now <= low) & (downhill < 0)) | ((now >= high) & (downhill > 0))
        free = np.where(held[:, :, None], 0.0, slopes)
        normal = free @ free.transpose(0, 2, 1)
        diagonal = np.einsum("bii->bi", normal)
        diagonal += damping * diagonal + 1e-12  # a view: this changes the matrices
        step = np.linalg.solve(normal, np.where(held, 0.0, downhill)[:, :, None])
        then = np.clip(now + step[:, :, 0], low, high)
        values_then, slopes_then = _gabors(then, height, width)
        error_then = np.square(targets - values_then).sum(axis=1)
        better = error_then < error
        now[better], values[better] = then[better], values_then[better]
        slopes[better], error[better] = slopes_then[better], error_then[better]
        damping = np.clip(damping * np.where(better, 0.3, 4)[:, None], 1e-9, 1e9)
    return now, error


def _gabors(parameters: Doubles, height: int, width: int) -> tuple[Doubles, Doubles]:
    """Return B functions at P = H W places (B, P), and their slopes (B, 8, P)."""
    rows, columns = np.mgrid[:height, :width].reshape(2, 1, -1)
    row, column, across, along, angle, frequency, even, odd = parameters.T[:, :, None]
    cosine, sine = np.cos(angle), np.sin(angle)
    right, down = columns - column, rows - row
    u = right * cosine + down * sine  # along the wave's way
    v = down * cosine - right * sine  # along its crests
    narrow, wide = u * np.exp(-2 * across), v * np.exp(-2 * along)
    envelope = np.exp(-0.5 * (u * narrow + v * wide))
    turn = 2 * np.pi * frequency
    up, side = envelope * np.cos(turn * u), envelope * np.sin(turn * u)
    value = even * up + odd * side
    swing = odd * up - even * side  # the wave's slope by its phase
    by_u, by_v = turn * swing - value * narrow, -value * wide
    slopes = np.stack(
        [
            -sine * by_u - cosine * by_v,
            -cosine * by_u + sine * by_v,
            value * u * narrow,
            value * v * wide,
            v * by_u - u * by_v,
            2 * np.pi * u * swing,
            up,
            side,
        ],
        axis=1,
    )
    return value, slopes
