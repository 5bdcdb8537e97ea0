"""The images of a data set beside what a model remembers of those it has learned from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..images.preprocess import Preprocessing
from .dataset import Dataset
from .decode import decode
from .groups import group_keys, match_groups
from .index import Index, read_index
from .layouts import list_path
from .listing import Listing
from .perimage import Fitting
from .splits import Hashes, Split, recorded_split
from .survey import unreadable_note
from .workers import Workers


@dataclass(frozen=True, eq=False)
class Remembered:
    """Listed images, looked at and held against a model's record of its split.

    Arguments:
        listing: the images, with the groups that the record knows of.
        index: what is known of each before it is decoded.
        keys: uint64 (N,); what has one key is of one group.
        split: the record; None where the model has none.
    """

    listing: Listing
    index: Index
    keys: Hashes
    split: Split | None

    @classmethod
    def read(
        cls,
        data: str | os.PathLike[str],
        training: Mapping[str, Any],
        workers: Workers,
        *,
        keep: bool,
    ) -> Self:
        """List and look at all images; `training` is the model's training record.

        Raises DataError for data that cannot be listed, ModelFileError where the record
        is damaged.
        """
        split = recorded_split(training)
        listing = list_path(Path(data))
        if split and split.group is not None and not listing.groups:
            # New photographs may have names of another kind: those are of no known group.
            listing = replace(listing, groups=match_groups(listing.names, split.group))
        index = read_index(listing, workers, keep=keep)
        hashes = index.hashes
        keys = group_keys(listing.groups, hashes) if listing.groups else hashes
        return cls(listing, index, keys, split)

    @property
    def readable(self) -> NDArray[np.bool_]:
        """Which images have a header that can be read."""
        return self.index.sizes[:, 0] > 0

    @property
    def learned(self) -> NDArray[np.bool_]:
        """Which images were themselves trained or validated on."""
        if self.split is None:
            return np.zeros(len(self.listing), bool)
        return self.split.learned(self.index.hashes)

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Which images were learned, or are of a group of which others were."""
        if self.split is None:
            return self.learned
        return self.split.seen(self.index.hashes, self.keys)

    def decoded(
        self,
        places: NDArray[np.int64],
        known: Preprocessing,
        workers: Workers,
        *,
        keep: bool,
    ) -> tuple[Dataset, NDArray[np.int64], list[str]]:
        """The images at these places, fitted as those that the model was trained on.

        Returns them, the places of those that can be read, and a note on the others.
        Raises DataError where none can.
        """
        fitting = Fitting(
            size=known.image_size,
            channels=known.channels,
            fit=known.fit,
            ground=known.background if known.ground is None else known.ground,
        )
        chosen, hashes = self.listing.take(places), self.index.hashes[places]
        found = decode(chosen.sources, hashes, fitting, workers, keep=keep)
        unreadable = [*self.index.faults.values(), *found.faults.values()]
        kept = np.delete(places, list(found.faults))
        labels = self.listing.labels[kept]
        dataset = Dataset(found.pixels, labels, self.listing.classes, self.listing.name)
        return dataset, kept, unreadable_note(unreadable, len(self.listing))
