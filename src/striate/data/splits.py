"""Which image trains, which validates and which tests.

Every image, or group of images, has a number of 64 bits: the hash of its content, or of
the group's name. Seed, purpose and that number give a place between 0 and 1, and the
place decides. So files added later move no file that was there, copies of an image
stay together, and shares are exact on average only.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..engine.randomness import check_seed
from ..errors import DataError, ModelFileError
from .dataset import Dataset
from .listing import PARTS, Listing, counted

TRAINING, VALIDATION, TEST = range(3)  # places in PARTS
Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class SplitRule:
    """How parts that the data do not have are split off.

    Arguments:
        validation: share of the training images, 0 for none.
        test: share of all images, 0 for none.
        train_per_class: so many images of every class train, drawn at random, and all
            others test; `test` then says nothing.
        seed: chooses which, 0 to 2**63 - 1.
    """

    validation: float = 0.1
    test: float = 0.1
    train_per_class: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)
        for name in ("validation", "test"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must be a share from 0 up to, not including, 1 but is "
                    f"{getattr(self, name)!r}"
                )
        if self.train_per_class is not None and self.train_per_class < 1:
            raise ValueError(
                f"train_per_class must be at least 1 but is {self.train_per_class}"
            )


def assign(listing: Listing, keys: Hashes, rule: SplitRule) -> NDArray[np.int64]:
    """The part, a place in PARTS, of every image: as given, the others split off.

    Of each class the image with the highest place always trains, so that no class is
    left without. Where shares are so small that nothing would be split off, the lowest
    place is.

    Arguments:
        listing: the images with their labels and the parts they were given to.
        keys: uint64 (N,); what has one key stays in one part.
        rule: the shares and the seed.

    Raises DataError where a class has too few images for `train_per_class`.
    """
    names = np.array(listing.parts or ["training"] * len(listing))
    codes = np.select([names == part for part in PARTS], range(3))
    if rule.train_per_class is not None:
        codes[~_drawn(listing, keys, rule.train_per_class, rule.seed)] = TEST
    for share, code in ((rule.test, TEST), (rule.validation, VALIDATION)):
        if share and not (codes == code).any():
            pool = np.flatnonzero(codes == TRAINING)
            chosen = _taken(
                listing.labels[pool], keys[pool], share, (rule.seed, PARTS[code])
            )
            codes[pool[chosen]] = code
    return codes


def places(keys: Hashes, seed: int, purpose: str) -> NDArray[np.float64]:
    """A place from 0 to below 1 for every key, as good as random, float64 (N,)."""
    mixed = keys ^ text_hash(f"{seed} {purpose}")
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)  # the finalizer of SplitMix64, Steele et al. 2014
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def text_hash(text: str) -> np.uint64:
    """64 bits that stand for a text."""
    content = text.encode("utf-8", "surrogateescape")
    digest = hashlib.blake2b(content, digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def _taken(
    labels: NDArray[np.int64], keys: Hashes, share: float, draw: tuple[int, str]
) -> NDArray[np.bool_]:
    """Which images give the share of a part."""
    place = places(keys, *draw)
    highest = np.full(labels.max(initial=0) + 1, -1.0)
    np.maximum.at(highest, labels, place)
    kept = np.isin(keys, keys[place == highest[labels]])  # in all classes they are in
    chosen = (place < share) & ~kept
    if not chosen.any() and not kept.all():
        chosen = place == place[~kept].min()
    return chosen


def _drawn(listing: Listing, keys: Hashes, count: int, seed: int) -> NDArray[np.bool_]:
    """Which images train when each class gives so many."""
    sizes = np.bincount(listing.labels, minlength=len(listing.classes))
    if sizes.min() < count:
        scarce = int(sizes.argmin())
        raise DataError(
            f"the class {listing.classes[scarce]!r} has {counted(sizes[scarce], 'image')} "
            f"but {count} of every class shall train; add images or train with fewer"
        )
    if sizes.max() == count:
        raise DataError(
            f"every class has {counted(count, 'image')} and all of them would train, "
            "none would test; train with fewer of every class"
        )
    order = np.lexsort((places(keys, seed, "draw"), listing.labels))
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    rank = np.arange(len(order)) - first[listing.labels[order]]
    drawn = np.zeros(len(order), bool)
    drawn[order[rank < count]] = True
    return drawn


@dataclass(frozen=True, eq=False)
class Split:
    """What a model remembers of how its data were split.

    Arguments:
        rule: shares, number per class and seed.
        group: the pattern or column that kept images together, or None.
        training, validation: hashes of the images, uint64, sorted.
        groups: keys of the groups in these parts, uint64, sorted.
    """

    rule: SplitRule
    group: str | None
    training: Hashes
    validation: Hashes
    groups: Hashes

    @classmethod
    def of(
        cls,
        rule: SplitRule,
        group: str | None,
        hashes: Hashes,
        groups: Hashes,
        codes: NDArray[np.int64],
    ) -> Self:
        """The record for images with content hashes, group keys (or none) and parts."""
        return cls(
            rule,
            group,
            training=np.unique(hashes[codes == TRAINING]),
            validation=np.unique(hashes[codes == VALIDATION]),
            groups=np.unique(groups[codes[: len(groups)] != TEST]),
        )

    def learned(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Which images were themselves trained or validated on."""
        return np.isin(hashes, self.training) | np.isin(hashes, self.validation)

    def seen(self, hashes: Hashes, keys: Hashes) -> NDArray[np.bool_]:
        """Which images were trained or validated on, or belong to a group that was."""
        return self.learned(hashes) | np.isin(keys, self.groups)

    def including(self, earlier: Split) -> Self:
        """The record of a model that goes on from one with this earlier record."""
        return replace(
            self,
            training=np.union1d(self.training, earlier.training),
            validation=np.union1d(self.validation, earlier.validation),
            groups=np.union1d(self.groups, earlier.groups),
        )

    def to_config(self) -> dict[str, Any]:
        """The record in what JSON knows; hashes as base64 of 8 bytes each."""
        return {
            "seed": self.rule.seed,
            "validation_share": self.rule.validation,
            "test_share": self.rule.test,
            "train_per_class": self.rule.train_per_class,
            "group": self.group,
            **{
                name: base64.b64encode(getattr(self, name).astype("<u8")).decode()
                for name in ("training", "validation", "groups")
            },
        }

    @classmethod
    def from_config(cls, config: object) -> Self:
        """The record from a model file, which may hold anything.

        Raises ValueError where it is none.
        """
        try:
            if not isinstance(config, dict):
                raise TypeError("no mapping")
            rule = SplitRule(
                config["validation_share"],
                config["test_share"],
                config["train_per_class"],
                config["seed"],
            )
            group = config["group"]
            if not isinstance(group, str | None):
                raise TypeError("no pattern")
            hashes = [
                np.frombuffer(base64.b64decode(config[name], validate=True), "<u8")
                for name in ("training", "validation", "groups")
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError("this is no record of a split") from error
        return cls(rule, group, *(one.astype(np.uint64) for one in hashes))


def recorded_split(training: Mapping[str, Any]) -> Split | None:
    """How a model's images were split, by its training record; None where it has none.

    Raises ModelFileError for a record that is damaged.
    """
    if "split" not in training:
        return None
    try:
        return Split.from_config(training["split"])
    except ValueError as error:
        raise ModelFileError(
            f"the model's record of its split is damaged: {error}; train it again"
        ) from error


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
