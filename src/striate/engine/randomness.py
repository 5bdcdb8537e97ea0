"""Every random choice made in Python: keyed by seed and purpose, never by a clock.

The generator is the core's and counter-based, so a choice depends on its key alone: it
is the same on every machine, for any number of threads and any version of NumPy.
"""

from __future__ import annotations

import operator
from typing import SupportsIndex

import numpy as np
from numpy.typing import NDArray

from .. import _core

_MOST = 2**63 - 1
_ORDER = 2**32  # weights draw from streams below, epochs from here on
_BLOCK = 2**20  # numbers drawn at once, so that drawing takes no memory to speak of


def check_seed(seed: SupportsIndex) -> int:
    """Return the seed as an int; ValueError unless it is from 0 to 2**63 - 1.

    >>> check_seed(7)
    7
    """
    try:
        number = operator.index(seed)
    except TypeError:
        raise TypeError(f"seed must be a whole number but is {seed!r}") from None
    if isinstance(seed, bool):
        raise TypeError(f"seed must be a whole number but is {seed!r}")
    if not 0 <= number <= _MOST:
        raise ValueError(f"seed must be from 0 to 2**63 - 1 but is {number}")
    return number


def fill_uniform(
    values: NDArray[np.float32], bound: float, key: tuple[int, int]
) -> None:
    """Fill a flat array from the uniform distribution over -bound ... bound.

    `key` is the seed and the number of the array among those drawn with it.
    """
    seed, stream = key
    for start in range(0, values.size, _BLOCK):
        part = values[start : start + _BLOCK]
        uniform = _core.random_uniform(seed, stream, start, part.size)
        part[:] = (2 * uniform - 1) * bound


def normal(count: int, key: tuple[int, int]) -> NDArray[np.float32]:
    """Return random numbers of mean 0 and variance 1, nearly normally distributed.

    Each is the sum of twelve uniform words of 16 bits, which is exact and so the same on
    every machine; logarithms are not. `key` is as `fill_uniform` takes it.

    >>> normal(3, (0, 0)).shape
    (3,)
    """
    seed, stream = key
    values = np.empty(count, np.float32)
    for start in range(0, count, _BLOCK):
        part = values[start : start + _BLOCK]
        words = _core.random_bits(seed, stream, 3 * start, 3 * part.size)
        sums = words.view(np.uint16).reshape(-1, 12).sum(axis=1, dtype=np.int64)
        part[:] = (sums - 6 * 0xFFFF) / 2**16
    return values


def epoch_order(images: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order, int64 (images,), in which an epoch visits the images.

    >>> sorted(epoch_order(4, seed=0, epoch=1).tolist())
    [0, 1, 2, 3]
    """
    bits = _core.random_bits(seed, _ORDER + epoch, 0, images)
    return np.argsort(bits, kind="stable").astype(np.int64, copy=False)
