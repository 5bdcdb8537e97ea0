"""What is kept of activations while they go by: ranges, likeness, means by class."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..engine.weights import Doubles, Floats


class MapStatistics:
    """Of every map of one layer: its range, how much lies far out, what it is like.

    Correlations are taken of `sample` values of each map at most, spread evenly over
    images and places, and of finite ones alone; all else is of all values.
    """

    def __init__(self, shape: tuple[int, ...], images: int, sample: int) -> None:
        maps, self.places = shape[-1], math.prod(shape[:-1])
        self.lowest = np.full(maps, np.inf, np.float32)
        self.highest = np.full(maps, -np.inf, np.float32)
        self.beyond = np.zeros(maps, np.int64)
        self.count = 0
        self.step = max(1, math.ceil(images * self.places / sample))
        while math.gcd(self.step, self.places) > 1:  # else some places would never come
            self.step += 1
        self.sampled = 0
        self.shift: Doubles = np.zeros(maps)
        self.sums: Doubles = np.zeros(maps)
        self.products: Doubles = np.zeros((maps, maps))

    def add(self, activations: Floats, low: float, high: float, far: float) -> None:
        """Take in those of some more images, which can be from `low` to `high`.

        `far` is the share of the way from the middle to these ends that counts as out
        there; nothing does where the ends are infinite.
        """
        values = activations.reshape(-1, activations.shape[-1])
        self.lowest = np.minimum(self.lowest, folded(values[None], np.minimum)[0])
        self.highest = np.maximum(self.highest, folded(values[None], np.maximum)[0])
        if high < math.inf:
            middle, reach = np.float32((low + high) / 2), far * (high - low) / 2
            self.beyond += (np.abs(values - middle) > reach).sum(axis=0)
        chosen = values[-self.count % self.step :: self.step].astype(np.float64)
        chosen[~np.isfinite(chosen)] = 0
        if len(chosen):
            if not self.sampled:
                self.shift = chosen.mean(axis=0)  # keeps the differences below exact
            chosen -= self.shift
            self.sampled += len(chosen)
            self.sums += chosen.sum(axis=0)
            self.products += chosen.T @ chosen
        self.count += len(values)

    @property
    def correlation(self) -> Doubles:
        """(C, C) of the maps' values; 0 where one is constant."""
        means = self.sums / self.sampled
        covariance = self.products / self.sampled - np.outer(means, means)
        deviation = np.sqrt(np.diagonal(covariance).clip(0))
        scale = np.outer(deviation, deviation)
        return np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)


class ClassStatistics:
    """Mean features by class, and which classes were taken for which."""

    def __init__(self, classes: int, features: int) -> None:
        self.images = np.zeros(classes, np.int64)
        self.sums: Doubles = np.zeros((classes, features))
        self.confusion = np.zeros((classes, classes), np.int64)

    def add(
        self, features: Floats, labels: NDArray[np.int32], answers: NDArray[np.intp]
    ) -> None:
        """Take in features N,D, labels N and answers N of some more images."""
        members = np.eye(len(self.images))[labels]
        self.images += members.sum(axis=0).astype(np.int64)
        with np.errstate(invalid="ignore"):  # infinite features times 0
            self.sums += members.T @ features
        np.add.at(self.confusion, (labels, answers), 1)

    @property
    def cosines(self) -> Doubles:
        """(K, K) of the angles between the classes' mean features."""
        return cosines(self.sums)


def cosines(vectors: Floats | Doubles) -> Doubles:
    """(C, C) of the angles between C vectors, in double; 0 for one of length 0."""
    rows = vectors.reshape(len(vectors), -1).astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # of what is infinite they are NaN
        units: Doubles = rows / np.where(lengths > 0, lengths, 1)
        return units @ units.T


def folded(values: Floats, choose: np.ufunc) -> Floats:
    """Reduce the middle axis of N,P,C by np.minimum, np.maximum, np.fmin or np.fmax.

    Halves are laid on one another until one is left. With few maps NumPy's own
    reduction takes 5 to 40 times as long, since it goes over their C numbers alone.
    """
    while values.shape[1] > 1:
        half = values.shape[1] // 2
        nearer = choose(values[:, :half], values[:, half : 2 * half])
        if values.shape[1] % 2:
            choose(nearer[:, :1], values[:, -1:], out=nearer[:, :1])
        values = nearer
    return values[:, 0]


def of_unit_size(
    values: Doubles, axis: int | tuple[int, ...]
) -> tuple[Doubles, Doubles]:
    """Divide values so that along some axes the largest magnitude is from 1 to 2.

    Squares of them are then neither too large nor too small. Also returns the divisors,
    powers of two, by which nothing is rounded.

    >>> of_unit_size(np.array([[3e200, -1e200]]), axis=1)[0].round(2)
    array([[ 1.96, -0.65]])
    """
    peaks = np.abs(values).max(axis=axis, keepdims=True)
    divisors: Doubles = np.ldexp(1.0, np.frexp(np.where(peaks > 0, peaks, 1))[1] - 1)
    return values / divisors, divisors
