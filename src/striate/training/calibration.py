"""Calibration: probabilities that are right as often as they say."""

from __future__ import annotations

import math
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError, ShapeError

COLDEST, HOTTEST = 0.05, 20.0
"""The bounds of a temperature: beyond them answers are certain or mere guesses."""

_MOST_STEPS = 60  # Newton's method needs about eight, halving the bounds alone 40


def temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """Return by what to divide logits so that softmax gives calibrated probabilities.

    It minimises the mean cross-entropy of images the network was not trained on, within
    0.05 to 20, and changes no answer. Where few images show few errors, or none, the
    best fit would be certainty. So the strongest wrong class of every image counts as
    right with a share of 1 / (N + 2), the chance of a first error after N right answers
    (Laplace's rule of succession): five faultless images give probabilities of about
    6 / 7, and thousands of images leave the fit as it is. Logits that are the same for
    all classes keep 1.0.

    Arguments:
        logits: finite numbers, N,K.
        labels: N class indices from 0 to K - 1.

    Raises ShapeError where shapes do not fit, DataError for other values.
    Source: Guo, Pleiss, Sun and Weinberger, 2017; the share as in Platt, 1999.

    >>> logits = np.log([[0.9, 0.1]] * 10)  # says 90 %, is right 7 times in 10
    >>> found = temperature(logits, [0] * 7 + [1] * 3)
    >>> odds = np.exp(logits[0] / found)
    >>> (odds / odds.sum()).round(3)  # (7 + 1) / (10 + 2)
    array([0.667, 0.333])
    """
    shifted, indices = _checked(logits, labels, "logits")
    count = len(shifted)
    rows = np.arange(count)
    shifted = shifted - shifted.max(axis=1, keepdims=True)  # so that exp stays finite
    own = shifted[rows, indices]
    others = shifted.copy()
    others[rows, indices] = -np.inf
    share = 1 / (count + 2)
    wanted = own if others.shape[1] == 1 else own + share * (others.max(axis=1) - own)

    def slope(inverse: float) -> tuple[float, float]:
        """The slope of the cross-entropy in the inverse temperature, and its own."""
        powers = np.exp(inverse * shifted)
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        means = (probabilities * shifted).sum(axis=1)
        squares = (probabilities * shifted**2).sum(axis=1)
        return float((means - wanted).mean()), float((squares - means**2).mean())

    # The cross-entropy is convex in the inverse temperature: its slope rises and has
    # one zero, kept between two bounds while Newton's method approaches it.
    low, high = 1 / HOTTEST, 1 / COLDEST
    at_low, at_high = slope(low)[0], slope(high)[0]
    if at_low == at_high == 0:
        return 1.0
    if at_low >= 0 or at_high <= 0:
        return HOTTEST if at_low >= 0 else COLDEST
    inverse = 1.0
    for _ in range(_MOST_STEPS):
        height, rise = slope(inverse)
        low, high = (inverse, high) if height < 0 else (low, inverse)
        before = inverse
        inverse = before - height / rise if rise > 0 else low
        if not low < inverse < high:
            inverse = math.sqrt(low * high)
        if abs(inverse - before) <= 1e-9 * before:
            break
    return 1 / inverse


def checked_temperature(value: float) -> float:
    """Return a temperature as a float; TypeError or ValueError where it is none."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"temperature must be a number but is {value!r:.200}.")
    if not COLDEST <= value <= HOTTEST:
        raise ValueError(
            f"temperature must be from {COLDEST:g} to {HOTTEST:g} but is {value!r:.200}; "
            "calibrate finds the one that fits."
        )
    return float(value)


def expected_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = 15
) -> float:
    """Return how far the probability of the answer is from its accuracy, 0 to 1.

    Answers are put into `bins` equal ranges of their probability; the error is the mean
    distance between probability and accuracy of a range, weighted by its answers.

    Arguments:
        probabilities: N,K; labels: N class indices.
        bins: at least 1.

    Raises ShapeError or DataError as `temperature` does, ValueError for `bins`.
    Source: Naeini, Cooper and Hauskrecht, 2015; 15 bins as Guo et al., 2017.

    >>> rows = [[0.9, 0.1]] * 10
    >>> round(expected_calibration_error(rows, [0] * 7 + [1] * 3), 3)
    0.2
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1 but is {bins}")
    rows, indices = _checked(probabilities, labels, "probabilities")
    confidence = rows.max(axis=1)
    hits = rows.argmax(axis=1) == indices
    places = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    distances = np.bincount(places, weights=confidence - hits, minlength=bins)
    return float(np.abs(distances).sum() / len(rows))


def _checked(
    values: ArrayLike, labels: ArrayLike, what: str
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rows, indices = np.asarray(values, dtype=np.float64), np.asarray(labels)
    if rows.ndim != 2 or not rows.size or indices.shape != rows.shape[:1]:
        raise ShapeError(
            f"{what} must be N,K and labels N, N and K at least 1, but they have the "
            f"shapes {rows.shape} and {indices.shape}"
        )
    if indices.dtype.kind not in "iu" or not np.isfinite(rows).all():
        raise DataError(f"{what} must be finite numbers and labels class indices")
    if indices.min() < 0 or indices.max() >= rows.shape[1]:
        raise DataError(
            f"labels must be from 0 to {rows.shape[1] - 1} but go from "
            f"{indices.min()} to {indices.max()}"
        )
    return rows, indices.astype(np.int64)
