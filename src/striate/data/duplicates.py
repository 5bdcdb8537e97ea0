"""Images that occur twice: the same content, or nearly the same pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..images.fitting import TOGETHER, pieces

Pair = tuple[str, str]

ROWS, COLUMNS = 8, 9  # of the small grey image whose differences are the fingerprint
BITS_APART = 6  # of 64, in which nearly equal images may differ
NEIGHBORS = 6  # with which each fingerprint is compared, in each of four orders
LEVELS_APART, SHARE_APART = 16.0, 0.15  # root mean square, absolute and of the contrast


def near_pairs(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pairs of rows, int64 (P, 2), that nearly show the same, the lower row first.

    Candidates have 64-bit fingerprints that differ in at most six bits (the difference
    hash: is a pixel of the image made 9 x 8 brighter than its left neighbour?). They are
    found by sorting the fingerprints four times, each time from another quarter on, and
    comparing neighbours, so that time grows as N log N; where many images have like
    fingerprints some pairs are missed. A pair counts when its pixels differ by at most 16
    levels and 15 % of the contrast (root mean squares).

    Source: N. Krawetz 2013, "Kind of like that" (the difference hash).

    >>> noise = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 1), np.uint8)
    >>> near_pairs(np.concatenate([noise, noise[:1] // 2 * 2])).tolist()
    [[0, 3]]
    """
    prints = fingerprints(pixels)
    found = [_candidates(prints, quarter) for quarter in range(4)]
    pairs = np.unique(np.concatenate(found), axis=0)
    step = max(1, TOGETHER // pixels[0].size)
    chunks = (pairs[start : start + step] for start in range(0, len(pairs), step))
    kept = [chunk[_alike(pixels, chunk)] for chunk in chunks]
    return np.concatenate([*kept, pairs[:0]])


def fingerprints(pixels: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The 64-bit difference hash of every image, uint64 (N,)."""
    rows = _averaging(pixels.shape[1], ROWS)
    columns = _averaging(pixels.shape[2], COLUMNS)
    prints = [
        np.packbits(np.diff(rows @ _grey(piece) @ columns.T, axis=2) > 0.5)
        for piece in pieces(pixels)
    ]
    return np.concatenate([*prints, np.empty(0, np.uint8)]).view(np.uint64)


def _grey(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The mean of the channels; NumPy's own takes eight times as long for so few."""
    grey = images[..., 0].astype(np.float32)
    for channel in range(1, images.shape[3]):
        grey += images[..., channel]
    grey /= images.shape[3]
    return grey


def _averaging(length: int, parts: int) -> NDArray[np.float32]:
    """Weights (parts, length) that average a line over equal parts of it."""
    edges = np.linspace(0, length, parts + 1)
    starts = np.arange(length)
    upper = np.minimum(edges[1:, None], starts + 1)
    covered = np.clip(upper - np.maximum(edges[:-1, None], starts), 0, 1)
    weights: NDArray[np.float64] = covered / covered.sum(axis=1, keepdims=True)
    return weights.astype(np.float32)


def _candidates(prints: NDArray[np.uint64], quarter: int) -> NDArray[np.int64]:
    """Pairs with like fingerprints that lie side by side in one order."""
    shift = np.uint64(16 * quarter)
    turned = prints << shift | prints >> (np.uint64(64) - shift) if quarter else prints
    order = np.argsort(turned, kind="stable")
    found = [np.empty((0, 2), np.int64)]
    for step in range(1, min(NEIGHBORS, len(order) - 1) + 1):
        first, second = order[:-step], order[step:]
        close = _bits(prints[first] ^ prints[second]) <= BITS_APART
        found.append(np.sort(np.stack([first[close], second[close]], axis=1), axis=1))
    return np.concatenate(found)


def _bits(numbers: NDArray[np.uint64]) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = np.unpackbits(
        np.ascontiguousarray(numbers).view(np.uint8).reshape(-1, 8), axis=1
    ).sum(axis=1, dtype=np.int64)
    return counts


def _alike(pixels: NDArray[np.uint8], pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pairs differ little, both in levels and against their own contrast."""
    first, second = (
        pixels[pairs[:, side]].reshape(len(pairs), -1).astype(np.float32)
        for side in (0, 1)
    )
    apart = np.sqrt(np.square(first - second).mean(axis=1))
    limit = np.minimum(LEVELS_APART, SHARE_APART * first.std(axis=1))
    alike: NDArray[np.bool_] = apart <= limit
    return alike


@dataclass(frozen=True)
class Duplicates:
    """Images that occur more than once.

    Arguments:
        copies: how many images are copies of others, byte for byte.
        across, labels: pairs of names of such copies that lie in two parts, or have two
            labels; one pair for each content.
        near_across, near_labels: pairs of nearly the same pixels, likewise.
    """

    copies: int = 0
    across: tuple[Pair, ...] = ()
    labels: tuple[Pair, ...] = ()
    near_across: tuple[Pair, ...] = ()
    near_labels: tuple[Pair, ...] = ()


def find_duplicates(
    names: Sequence[str],
    hashes: NDArray[np.uint64],
    labels: NDArray[np.int64],
    codes: NDArray[np.int64],
    near: NDArray[np.int64],
) -> Duplicates:
    """What occurs twice among N images with content hashes, labels and parts.

    `near` are pairs of nearly equal rows, as `near_pairs` finds them.
    """
    order = np.argsort(hashes, kind="stable")
    same = hashes[order[1:]] == hashes[order[:-1]]
    pairs = np.stack([order[:-1], order[1:]], axis=1)[same]
    near = near[hashes[near[:, 0]] != hashes[near[:, 1]]]

    def named(pairs: NDArray[np.int64], facts: NDArray[np.int64]) -> tuple[Pair, ...]:
        apart = facts[pairs[:, 0]] != facts[pairs[:, 1]]
        return tuple((names[a], names[b]) for a, b in pairs[apart].tolist())

    return Duplicates(
        copies=len(pairs),
        across=named(pairs, codes),
        labels=named(pairs, labels),
        near_across=named(near, codes),
        near_labels=named(near, labels),
    )
