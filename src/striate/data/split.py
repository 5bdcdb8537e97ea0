"""Splitting validation images off the training images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import DataError
from .dataset import Dataset


def split_off(dataset: Dataset, share: float, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Split a data set in two: the rest, and a `share` of every class.

    Which images go is decided by hashes of the seed and their pixels: not by their
    order, and nearly the same ones again when images are added. Each class gives
    `share` of its images, rounded, but at least one and not its last. Raises
    ValueError unless 0 < share < 1, DataError where no class can spare an image.

    >>> from striate.data import load_data
    >>> training, validation = split_off(load_data("digits")[0], 0.1)
    >>> len(training), len(validation)
    (1294, 144)
    """
    if not 0 < share < 1:
        raise ValueError(f"share must be above 0 and below 1 but is {share!r}")
    from hashlib import blake2b

    key = seed.to_bytes(8, "little")
    hashes = np.array(
        [
            int.from_bytes(blake2b(image.tobytes(), digest_size=8, key=key).digest())
            for image in dataset.images
        ],
        dtype=np.uint64,
    )
    order = np.argsort(hashes, kind="stable")
    chosen = np.zeros(len(dataset), dtype=bool)
    for label in range(len(dataset.classes)):
        members = order[dataset.labels[order] == label]
        wanted = max(1, int(share * len(members) + 0.5))
        chosen[members[: min(wanted, len(members) - 1)] if len(members) else []] = True
    if not chosen.any():
        raise DataError(
            f"{dataset.name} has at most one image of every class, none to split off; "
            f"leave the validation share out"
        )
    return (
        replace(
            dataset, images=dataset.images[~chosen], labels=dataset.labels[~chosen]
        ),
        replace(dataset, images=dataset.images[chosen], labels=dataset.labels[chosen]),
    )
