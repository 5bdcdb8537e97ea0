"""Images to test a model on: those that it was not trained on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import DataError
from ..images.preprocess import Preprocessing
from .dataset import Dataset
from .listing import counted
from .remembered import Remembered
from .workers import Workers


def read_unseen(
    data: str | os.PathLike[str],
    known: Preprocessing,
    training: Mapping[str, Any],
    *,
    keep: bool = True,
    quiet: bool = False,
) -> tuple[Dataset, list[str]]:
    """The images of a folder, table or archive that a model has not learned from.

    They are fitted as the model's training images were. Of data with a test part only
    this part counts.

    Arguments:
        data: the path of what `read_data` reads.
        known: the model's preprocessing.
        training: the model's training record; "split" in it tells what it has seen.
        keep: leave the decoded images in the cache.
        quiet: show no progress.

    Returns the images, and what was left out and why, a sentence each. Raises DataError
    where nothing is left, ModelFileError where the record is damaged.
    """
    with Workers(quiet=quiet) as workers:
        images = Remembered.read(data, training, workers, keep=keep)
        listing, split = images.listing, images.split
        wanted = images.readable
        given = "test" in listing.parts
        if given:
            wanted &= np.array(listing.parts) == "test"
        places = np.flatnonzero(wanted & ~images.seen)
        learned = int((wanted & images.learned).sum())
        grouped = int((wanted & images.seen).sum()) - learned
        if not len(places):
            either = ", or others of their groups did" if grouped else ""
            raise DataError(
                f"{listing.name} has no image that the model has not learned from: all "
                f"{counted(int(wanted.sum()), 'image')} took part in its training{either}"
            )
        notes = []
        whole = "images of the test part" if given else "images"
        if split:
            said = [f"{len(places):,} of {int(wanted.sum()):,} {whole} measured"]
            if grouped:
                said.append(f"{grouped:,} left out: their group was trained on")
            if learned:
                said.append(f"the model has learned from the other {learned:,}")
            notes.append("; ".join(said))
        elif not given:
            notes.append(
                f"all {len(places):,} images measured: the model does not say what it "
                "was trained on, nor the data what is for testing"
            )
        dataset, _, unreadable = images.decoded(places, known, workers, keep=keep)
    return dataset, [*notes, *unreadable]
