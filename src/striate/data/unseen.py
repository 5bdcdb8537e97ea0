"""Images to test a model on: those that it was not trained on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..images.preprocess import Preprocessing
from .dataset import Dataset
from .decode import decode
from .groups import group_keys, match_groups
from .index import read_index
from .layouts import list_path
from .listing import counted
from .perimage import Fitting
from .splits import Split, recorded_split
from .survey import unreadable_note
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
        return _read(data, known, recorded_split(training), workers, keep)


def _read(
    data: str | os.PathLike[str],
    known: Preprocessing,
    split: Split | None,
    workers: Workers,
    keep: bool,
) -> tuple[Dataset, list[str]]:
    listing = list_path(Path(data))
    if split and split.group is not None and not listing.groups:
        # New photographs may have names of another kind: those are of no known group.
        listing = replace(listing, groups=match_groups(listing.names, split.group))
    index = read_index(listing, workers, keep=keep)
    hashes = index.hashes
    keys = group_keys(listing.groups, hashes) if listing.groups else hashes
    wanted = index.sizes[:, 0] > 0
    given = "test" in listing.parts
    if given:
        wanted &= np.array(listing.parts) == "test"
    seen = split.seen(hashes, keys) if split else np.zeros(len(listing), bool)
    places = np.flatnonzero(wanted & ~seen)
    learned = int((wanted & split.learned(hashes)).sum()) if split else 0
    grouped = int((wanted & seen).sum()) - learned
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
            f"all {len(places):,} images measured: the model does not say what it was "
            "trained on, nor the data what is for testing"
        )
    fitting = Fitting(
        size=known.image_size,
        channels=known.channels,
        fit=known.fit,
        ground=known.background if known.ground is None else known.ground,
    )
    chosen = listing.take(places)
    decoded = decode(chosen.sources, hashes[places], fitting, workers, keep=keep)
    unreadable = [*index.faults.values(), *decoded.faults.values()]
    notes += unreadable_note(unreadable, len(listing))
    labels = np.delete(chosen.labels, list(decoded.faults))
    return Dataset(decoded.pixels, labels, listing.classes, listing.name), notes
