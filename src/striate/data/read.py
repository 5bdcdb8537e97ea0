"""From whatever the user has to parts of images ready to train on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UsageError
from .arrays import as_names, as_pixels, list_labelled
from .dataset import Dataset
from .decode import Fitting, decode
from .duplicates import find_duplicates
from .groups import group_keys, with_groups
from .index import Index, read_index
from .layouts import list_path
from .listing import PARTS, Listing, Source, counted
from .load import is_published, load_published
from .parts import Data
from .reading import SHARE, Reading
from .sizes import Sizes, default_size
from .splits import Split, SplitRule, assign, split_off
from .survey import (
    Survey,
    duplicate_notes,
    fitting_choices,
    kind_of,
    part_notes,
    split_choices,
    survey_of_arrays,
    unreadable_note,
)


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
        data: the name of a data set or the path of a folder or file (README lists the
            layouts). Together with `labels`: a list of image files, an array N,H,W,C
            of uint8 pixels, or a list of arrays H,W,C of any sizes.
        labels: N integers or strings.
        reading: how to read, fit and split.
        groups: with `labels`, N names; images with the same one stay in one part.
        quiet: say nothing on stderr.

    Decoded images are mapped from a file in the user's cache, so that data sets may be
    larger than memory and a second reading takes no time.

    Raises DataError for data that cannot be used, UsageError for settings that
    contradict them.

    >>> noise = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), np.uint8)
    >>> both = read_data(noise, ["cat", "dog"] * 20, Reading(cache=False))
    >>> both.training.classes, sum(len(part) for part in both.parts().values())
    (('cat', 'dog'), 40)
    """
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
    return _read(listing, reading, quiet)


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


def _read(listing: Listing, reading: Reading, quiet: bool) -> Data:
    """The short path: look, split, decode, check, and say what was done."""
    if len(listing.classes) == 1:
        raise DataError(
            f"{listing.name} has only one class, {listing.classes[0]!r}, but a network "
            "tells at least two apart; give the images of each a folder or label of "
            "their own"
        )
    rule = _rule(listing, reading)
    if reading.group is not None:
        listing = with_groups(listing, reading.group)
    index = read_index(listing, keep=reading.cache, quiet=quiet)
    faults = dict(index.faults)
    total, notes = len(listing), listing.notes
    readable = np.flatnonzero(index.sizes[:, 0])
    _check_faults(listing, faults, reading.strict)
    hashes, whole = index.hashes, listing
    keys = group_keys(listing.groups, hashes) if listing.groups else hashes
    codes = np.full(total, -1)
    codes[readable] = assign(listing.take(readable), keys[readable], rule)
    # One part behind the other: then each is a slice of the file, never a copy.
    order = readable[np.argsort(codes[readable], kind="stable")]
    sizes = Sizes.of(index.sizes[order])
    fitting = _fitting(listing, sizes, index, reading)
    decoded = decode(
        [listing.sources[place] for place in order.tolist()],
        hashes[order],
        fitting,
        keep=reading.cache,
        quiet=quiet,
    )
    faults |= {int(order[row]): why for row, why in decoded.faults.items()}
    _check_faults(whole, faults, reading.strict)
    order = np.delete(order, list(decoded.faults))
    listing, hashes, keys, codes = (
        whole.take(order),
        hashes[order],
        keys[order],
        codes[order],
    )
    unreadable = tuple(why for _, why in sorted(faults.items()))
    duplicates = find_duplicates(
        listing.names, hashes, listing.labels, codes, decoded.near
    )
    survey = Survey(
        sizes=sizes,
        color=index.color,
        kind=kind_of(index.flat),
        choices=(
            *fitting_choices(sizes, fitting, reading),
            *split_choices(listing, rule, reading.group),
        ),
        notes=(
            *notes,
            *unreadable_note(unreadable, total),
            *part_notes(listing, codes),
            *duplicate_notes(duplicates),
        ),
        unreadable=unreadable,
        duplicates=duplicates,
    )
    split = Split.of(
        rule, reading.group, hashes, keys if listing.groups else keys[:0], codes
    )
    training, validation, test = _parts(listing, codes, decoded.pixels)
    return Data(
        cast(Dataset, training),
        validation,
        test,
        survey=survey,
        fit=fitting.fit,
        ground=fitting.ground,
        split=split,
        names=tuple(listing.names),
    )


def _rule(listing: Listing, reading: Reading) -> SplitRule:
    """How to split what is not split; UsageError where settings contradict the data."""
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
        size=reading.size or own,
        channels=3 if color else 1,
        fit=reading.fit,
        ground=index.ground,
    )


def _check_faults(listing: Listing, faults: Mapping[int, str], strict: bool) -> None:
    """Raise DataError where nothing, or with `strict` anything, cannot be read."""
    if faults and (strict or len(faults) == len(listing)):
        first = faults[min(faults)]
        left = len(faults) - 1
        more = f", and {counted(left, 'more image')}" if left else ""
        remedy = "mend or remove them" if left else "mend or remove it"
        raise DataError(f"{first}{more}; {remedy}")


def _parts(
    listing: Listing, codes: NDArray[np.int64], pixels: NDArray[np.uint8]
) -> Iterator[Dataset | None]:
    """The parts, each a slice of the pixels; DataError where a given one is lost."""
    bounds = np.searchsorted(codes, range(len(PARTS) + 1)).tolist()
    for part, (first, end) in zip(PARTS, pairwise(bounds), strict=True):
        if first < end:
            labels = listing.labels[first:end]
            yield Dataset(pixels[first:end], labels, listing.classes, listing.name)
        elif part == "training" or part in listing.parts:
            raise DataError(
                f"{listing.name} has no image in its {part} part that can be read"
            )
        else:
            yield None
