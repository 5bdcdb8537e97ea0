"""All images of a data set, in parts by what a model has learned from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..images.preprocess import Preprocessing
from .dataset import Dataset
from .listing import PARTS
from .remembered import Remembered
from .splits import TEST, TRAINING, VALIDATION
from .workers import Workers


@dataclass(frozen=True, eq=False)
class NamedPart:
    """The images of a part, and what each is called: its path below the folder."""

    images: Dataset
    names: tuple[str, ...]


def read_learned(
    data: str | os.PathLike[str],
    known: Preprocessing,
    training: Mapping[str, Any],
    *,
    keep: bool = True,
    quiet: bool = False,
) -> tuple[dict[str, NamedPart], list[str]]:
    """The images of a folder, table or archive, by what they were to a model.

    The part "training" is what it was trained on, "validation" what was kept apart
    meanwhile, and "test" what it has not learned from: `read_unseen` gives that alone.
    Images it does not remember are in the part that the data give them to, if any do;
    those of a group it has learned from are in "training". All are fitted as the model's
    training images were.

    Arguments:
        data: the path of what `read_data` reads.
        known: the model's preprocessing.
        training: the model's training record; "split" in it tells what it has seen.
        keep: leave the decoded images in the cache.
        quiet: show no progress.

    Returns the parts that have images, by name, and notes, a sentence each. Raises
    DataError for data that cannot be read, ModelFileError where the record is damaged.
    """
    with Workers(quiet=quiet) as workers:
        images = Remembered.read(data, training, workers, keep=keep)
        codes = _codes(images)
        # One part behind the other: then each is a slice of the pixels, never a copy.
        places = np.argsort(codes, kind="stable")
        places = places[images.readable[places]]
        if not len(places):
            raise DataError(
                f"{images.listing.name} has no image that can be read: "
                f"{next(iter(images.index.faults.values()))}"
            )
        dataset, places, notes = images.decoded(places, known, workers, keep=keep)
    if images.split is None and not images.listing.parts:
        notes.append(
            f"all {len(dataset):,} images are in the part test: the model has not "
            "recorded what it was trained on, nor do the data have parts"
        )
    names = [images.listing.names[place] for place in places.tolist()]
    bounds = np.searchsorted(codes[places], range(len(PARTS) + 1)).tolist()
    return {
        part: NamedPart(
            replace(
                dataset,
                images=dataset.images[first:end],
                labels=dataset.labels[first:end],
            ),
            tuple(names[first:end]),
        )
        for part, (first, end) in zip(PARTS, pairwise(bounds), strict=True)
        if end > first
    }, notes


def _codes(images: Remembered) -> NDArray[np.int64]:
    """The part of each image, a place in PARTS."""
    given = [PARTS.index(part) for part in images.listing.parts]
    codes = np.array(given or [TEST] * len(images.listing), np.int64)
    if images.split is not None:
        hashes = images.index.hashes
        codes[images.seen & (codes == TEST)] = TRAINING
        codes[np.isin(hashes, images.split.validation)] = VALIDATION
        codes[np.isin(hashes, images.split.training)] = TRAINING
    return codes
