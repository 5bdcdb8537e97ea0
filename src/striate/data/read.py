"""From whatever the user has to parts of images ready to train on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import both, shown
from ..errors import DataError, UsageError
from .arrays import as_names, as_pixels, list_labelled
from .dataset import Dataset
from .decode import decode
from .duplicates import find_duplicates
from .groups import group_keys, with_groups
from .index import Index, read_index
from .layouts import list_path
from .listing import PARTS, Listing, Source, counted
from .load import is_published, load_published
from .parts import Data
from .perimage import Fitting
from .reading import SHARE, Reading
from .series import Series, find_series
from .sizes import Sizes, default_size
from .splits import Hashes, Split, SplitRule, assign, split_off
from .survey import (
    Survey,
    duplicate_notes,
    fitting_choices,
    kind_of,
    part_notes,
    series_notes,
    split_choices,
    survey_of_arrays,
    unreadable_note,
)
from .workers import Workers


def read_data(
    data: object,
    labels: object = None,
    reading: Reading | None = None,
    *,
    groups: Sequence[str] = (),
    quiet: bool = False,
) -> Data:
    """Read, fit and split a data set of any layout.

    Arguments:
        data: the name of a data set, or the path of one of these: a folder with a
            folder of images for each class; one with these in folders train, val and
            test; a CSV table with the columns path,label and perhaps split and group;
            an .npz file or a folder of .npy files with x_train, y_train, x_test and
            y_test; four IDX files. Together with `labels`: a list of image files, an
            array N,H,W,C of uint8 pixels, or a list of arrays H,W,C of any sizes.
        labels: N integers or strings.
        reading: how to read, fit and split.
        groups: with `labels`, N names; images with the same one stay in one part.
        quiet: say nothing on stderr.

    Decoded images are mapped from a file in the user's cache, so that data sets may be
    larger than memory and a second reading takes no time. Many files are decoded in
    processes, as many as STRIATE_THREADS or the machine allows; they never run the
    user's script again, so that this needs no `if __name__ == "__main__"`.

    Raises DataError for data that cannot be used, UsageError for settings that
    contradict them, TypeError where `reading` is no Reading.

    >>> noise = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), np.uint8)
    >>> both = read_data(noise, ["cat", "dog"] * 20, Reading(cache=False))
    >>> both.training.classes, sum(len(part) for part in both.parts().values())
    (('cat', 'dog'), 40)
    """
    if not isinstance(reading, Reading | None):
        raise TypeError(
            "reading must be settings, such as Reading(size=24), but is "
            f"{shown(reading)}"
        )
    reading = reading or Reading()
    if labels is not None:
        listing = _listed(data, labels, groups)
    elif not isinstance(data, str | os.PathLike):
        raise UsageError(
            "images in memory and lists of files need labels, one for each: "
            "read_data(images, labels)"
        )
    elif is_published(data):
        return _published(data, reading, quiet)
    else:
        listing = list_path(Path(data))
    with Workers(quiet=quiet) as workers:
        return _read(listing, reading, workers)


def _listed(data: Any, labels: object, groups: Sequence[str]) -> Listing:
    """Images in memory or a list of files, with their labels."""
    sources: list[Source]
    if isinstance(data, str | os.PathLike):
        raise UsageError(
            "labels belong to images in memory and lists of files; a folder has its own"
        )
    items = data if isinstance(data, np.ndarray) else list(data)
    if len(items) and all(isinstance(item, str | os.PathLike) for item in items):
        sources = [os.fspath(item) for item in items]
        names = [str(item) for item in items]
    else:
        if isinstance(items, list) and all(np.ndim(item) >= 2 for item in items):
            sources = [
                as_pixels([item], f"images[{i}]")[0] for i, item in enumerate(items)
            ]
        else:
            sources = list(as_pixels(items, "images"))
        names = [f"images[{index}]" for index in range(len(sources))]
    if groups and len(groups) != len(sources):
        raise DataError(
            f"there are {len(groups)} groups for {len(sources)} images; every image "
            "needs one"
        )
    found = as_names(labels, len(sources), "labels")
    return list_labelled("data", sources, names, found, groups=tuple(groups))


def load_data(
    data: str | os.PathLike[str], *, quiet: bool = False
) -> tuple[Dataset, Dataset]:
    """Load a data set: (training part, test part).

    Arguments:
        data: "digits" (built in), "mnist" or "fashion-mnist", or the path of a folder
            or file of any layout that `read_data` knows. The named ones are looked for
            in the folder that the environment variable STRIATE_DATA names, then in the
            user's cache, and else downloaded there.
        quiet: say nothing on stderr while looking and downloading.

    A folder without a test part gives a tenth of its images; a validation part is left
    out. Raises DataError when there is no such data set, or it is damaged, or it can't
    be downloaded. A folder called as a data set is reached by "./mnist".

    Sources: E. Alpaydin and C. Kaynak 1998 (digits); Y. LeCun, C. Cortes and
    C. Burges 1998 (MNIST); H. Xiao, K. Rasul and R. Vollgraf 2017 (Fashion-MNIST).

    >>> train, test = load_data("digits")
    >>> train.images.shape, test.labels[:5].tolist()
    ((1438, 28, 28, 1), [4, 9, 4, 9, 4])
    """
    found = read_data(data, reading=Reading(validation=0), quiet=quiet)
    if found.test is None:
        raise DataError(
            f"{found.name} has no image that could be spared for a test part; add some, "
            "or use read_data, which does without"
        )
    return found.training, found.test


def _published(data: str | os.PathLike[str], reading: Reading, quiet: bool) -> Data:
    """A named data set or an IDX folder, as it was published."""
    plain = Reading()
    for name in ("size", "fit", "color", "test_share", "train_per_class", "group"):
        if getattr(reading, name) != getattr(plain, name):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{option} is for folders, tables and arrays of images, but {data} has "
                f"a size, colours and a test part of its own; leave {option} out"
            )
    training, test = load_published(data, quiet=quiet)
    validation = None
    if reading.validation:
        training, validation = split_off(training, reading.validation, reading.seed)
    return Data(training, validation, test, survey_of_arrays(training.images))


@dataclass(frozen=True, eq=False)
class _Images:
    """Listed images with what decides where they go: hashes, keys and parts."""

    listing: Listing
    hashes: Hashes
    keys: Hashes
    codes: NDArray[np.int64]

    def take(self, places: NDArray[np.int64]) -> _Images:
        return _Images(
            self.listing.take(places),
            self.hashes[places],
            self.keys[places],
            self.codes[places],
        )


def _read(listing: Listing, reading: Reading, workers: Workers) -> Data:
    """The path of images: look, split, decode, check, and say what was done."""
    rule = _rule(listing, reading)
    if reading.group is not None:
        listing = with_groups(listing, reading.group)
    index = read_index(listing, workers, keep=reading.cache)
    hashes = index.hashes
    keys = group_keys(listing.groups, hashes) if listing.groups else hashes
    images = _Images(listing, hashes, keys, np.zeros(len(listing), np.int64))
    images = images.take(np.flatnonzero(index.sizes[:, 0]))
    _check(listing, images.listing, list(index.faults.values()), reading.strict)
    images = replace(images, codes=assign(images.listing, images.keys, rule))
    # One part behind the other: then each is a slice of the file, never a copy.
    images = images.take(np.argsort(images.codes, kind="stable"))
    sizes = Sizes.of(index.sizes[index.sizes[:, 0] > 0])
    fitting = _fitting(listing, sizes, index, reading)
    decoded = decode(
        images.listing.sources,
        images.hashes,
        fitting,
        workers,
        keep=reading.cache,
    )
    images = images.take(np.delete(np.arange(len(images.codes)), [*decoded.faults]))
    unreadable = (*index.faults.values(), *decoded.faults.values())
    _check(listing, images.listing, unreadable, reading.strict)
    training, validation, test = _parts(images, decoded.pixels)
    if training is None:
        raise DataError(
            f"{listing.name} has no image left to train on: {'; '.join(unreadable[:3])}"
        )
    kept = images.keys if listing.groups else images.keys[:0]
    duplicates = find_duplicates(
        images.listing.names,
        images.hashes,
        images.listing.labels,
        images.codes,
        decoded.near,
    )
    series = _torn_series(images, decoded.pixels)
    return Data(
        training,
        validation,
        test,
        survey=Survey(
            sizes=sizes,
            color=index.color,
            kind=kind_of(index.flat),
            choices=(
                *fitting_choices(sizes, fitting, reading),
                *split_choices(listing, rule, reading.group, images.codes),
            ),
            notes=(
                *listing.notes,
                *unreadable_note(unreadable, len(listing)),
                *part_notes(images.listing, rule, images.codes),
                *series_notes(series, rule),
                *duplicate_notes(duplicates),
            ),
            unreadable=unreadable,
            duplicates=duplicates,
            series=series,
        ),
        fit=fitting.fit,
        ground=fitting.ground,
        split=Split.of(rule, reading.group, images.hashes, kept, images.codes),
        names=tuple(images.listing.names),
    )


def _rule(listing: Listing, reading: Reading) -> SplitRule:
    """How to split what is not split. Raises errors where that cannot be."""
    if len(listing.classes) == 1:
        raise DataError(
            f"{listing.name} has only one class, {listing.classes[0]!r}, but a network "
            "tells at least two apart; give the images of each a folder or label of "
            "their own"
        )
    for part, settings in (
        ("validation", ("validation",)),
        ("test", ("test_share", "train_per_class")),
    ):
        for name in settings:
            if part in listing.parts and getattr(reading, name) is not None:
                raise UsageError(
                    f"--{name.replace('_', '-')} splits off a {part} part, but "
                    f"{listing.name} has one; leave the option out, or the part"
                )
    if listing.groups and reading.group is not None:
        raise UsageError(
            f"{listing.name} has groups of its own; leave --group out, or the column"
        )
    if (listing.groups or reading.group) and reading.train_per_class is not None:
        raise UsageError(
            "--train-per-class draws single images and would tear groups apart; leave "
            "it out, or the groups"
        )
    return reading.rule(SHARE if reading.train_per_class is None else 0)


def _fitting(listing: Listing, sizes: Sizes, index: Index, reading: Reading) -> Fitting:
    """Size and colour, where the user names none, as the data are."""
    arrays = not isinstance(listing.sources[0], str)
    own = sizes.median if arrays and sizes.common else default_size(sizes)
    color = reading.color == "rgb" or (reading.color == "auto" and index.color)
    return Fitting(
        size=own if reading.size is None else both(reading.size),
        channels=3 if color else 1,
        fit=reading.fit,
        ground=index.ground,
    )


def _torn_series(images: _Images, pixels: NDArray[np.uint8]) -> Series | None:
    """Series that the split tears apart; none where the user said what a group is."""
    listing = images.listing
    if listing.groups:
        return None
    given = np.array(listing.parts or ["training"] * len(listing))
    codes = np.where(given == "training", images.codes, -1)
    return find_series(listing.names, listing.labels, codes, pixels)


def _check(whole: Listing, left: Listing, faults: Sequence[str], strict: bool) -> None:
    """Raise DataError where what can be read is not enough, or with `strict` not all."""
    if faults and (strict or not len(left)):
        more = f", and {counted(len(faults) - 1, 'more image')}"
        raise DataError(
            f"{faults[0]}{more if len(faults) > 1 else ''}; mend or remove "
            f"{'them' if len(faults) > 1 else 'it'}"
        )
    for part in dict.fromkeys(whole.parts):
        if part not in left.parts:
            raise DataError(
                f"{whole.name} has no image in its {part} part that can be read: "
                f"{faults[0]}"
            )


def _parts(images: _Images, pixels: NDArray[np.uint8]) -> Iterator[Dataset | None]:
    """The parts, each a slice of the pixels; None for one without images."""
    listing = images.listing
    bounds = np.searchsorted(images.codes, range(len(PARTS) + 1)).tolist()
    for first, end in pairwise(bounds):
        labels = listing.labels[first:end]
        part = Dataset(pixels[first:end], labels, listing.classes, listing.name)
        yield part if len(part) else None
