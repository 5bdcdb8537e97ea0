"""What was found in a data set, what is done with it, and what to look out for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..images.fitting import Fit
from .duplicates import Duplicates, Pair
from .listing import PARTS, Listing, Part, counted, few
from .perimage import Fitting, flat_share
from .reading import Reading
from .series import Series
from .sizes import Sizes, spell
from .splits import SplitRule

Kind = Literal["photographs", "drawings"]
FLAT = (
    0.5  # share of neighbouring pixels that are alike, from which on images are drawn
)
SHOWN = 3  # names in a note
SHARES: dict[Part, str] = {"validation": "validation", "test": "test-share"}
FITTED: dict[Fit, str] = {
    "pad": "padded: the aspect is kept, the border's colour fills up",
    "crop": "cropped: the aspect is kept, what is left over cut off",
    "stretch": "stretched: the aspect is given up",
}


@dataclass(frozen=True)
class Survey:
    """What was found and decided.

    Arguments:
        sizes: of the images before they were fitted.
        color: whether any image has colours.
        kind: "drawings" where most neighbouring pixels are alike, else "photographs".
        choices: what was decided, a sentence each.
        notes: what the user should know, a sentence each.
        unreadable: every image that cannot be read, with the reason.
        duplicates: what occurs more than once.
        series: what names suggest to keep together, where the split tears it apart.
    """

    sizes: Sizes
    color: bool
    kind: Kind
    choices: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    duplicates: Duplicates = Duplicates()  # noqa: RUF009 - it is frozen
    series: Series | None = None


def kind_of(flat: float) -> Kind:
    """What images are whose share of like neighbouring pixels is `flat`."""
    return "drawings" if flat >= FLAT else "photographs"


def survey_of_arrays(images: NDArray[np.uint8]) -> Survey:
    """What can be told of images N,H,W,C as they were published."""
    height, width, channels = images.shape[1:]
    sample = images[:: max(1, len(images) // 128)]
    flat = float(np.median([flat_share(image) for image in sample]))
    size = (height, width)
    return Survey(Sizes(size, size, size), channels > 1, kind_of(flat))


def unreadable_note(unreadable: Sequence[str], total: int) -> list[str]:
    """How many images cannot be read, and why the first of them cannot."""
    if not unreadable:
        return []
    rest = len(unreadable) - SHOWN
    more = f"; {rest:,} more (-v lists all)" if rest > 0 else ""
    left = "is left out" if len(unreadable) == 1 else "are left out"
    listed = "; ".join(unreadable[:SHOWN])
    return [
        f"{len(unreadable):,} of {counted(total, 'image')} cannot be read and {left}: "
        + listed
        + more
    ]


def duplicate_notes(found: Duplicates) -> list[str]:
    """What occurs twice where it should not."""
    cases = (
        (found.labels, "same image", "under two labels", "give each one label"),
        (
            found.near_labels,
            "nearly same image",
            "under two labels",
            "check their labels",
        ),
        (found.across, "same image", "in two parts", "remove one of each"),
        (
            found.near_across,
            "nearly same image",
            "in two parts, which makes the accuracy look better than it is",
            "keep them together with --group, or remove one of each",
        ),
    )
    return [
        f"the {what} occurs {where} in {counted(len(pairs), 'case')} "
        f"({_pairs(pairs)}); {remedy}"
        for pairs, what, where, remedy in cases
        if pairs
    ]


def series_notes(series: Series | None, rule: SplitRule) -> list[str]:
    """That the split tears apart what names suggest to keep together, and the remedy."""
    if series is None:
        return []
    first, second = (name.rsplit("/", 1)[-1] for name in series.example)
    drawn = "" if rule.train_per_class is None else ", without --train-per-class"
    note = (
        f"names such as {first} and {second} look like frames of one film or track, and "
        f"{series.torn:,} of {series.groups:,} such series have images in more than one "
        "part, which makes the accuracy look better than it is; keep each together with "
        f"--group '{series.pattern}' ({counted(series.groups, 'group')}){drawn}"
    )
    return [note]


def _pairs(pairs: Sequence[Pair]) -> str:
    shown = ", ".join(f"{first} and {second}" for first, second in pairs[:SHOWN])
    return f"{shown} ..." if len(pairs) > SHOWN else shown


def part_notes(
    listing: Listing, rule: SplitRule, codes: NDArray[np.int64]
) -> list[str]:
    """Classes that the parts do not share, and groups that they do."""
    counts = np.stack(
        [
            np.bincount(listing.labels[codes == code], minlength=len(listing.classes))
            for code in range(len(PARTS))
        ]
    )
    names = np.array(listing.classes, object)
    notes = []
    if unknown := names[counts[0] == 0].tolist():
        one = len(unknown) == 1
        notes.append(
            f"the class{'' if one else 'es'} {few(unknown)} {'has' if one else 'have'} no "
            f"image to train on: no network can know {'it' if one else 'them'}"
        )
    for part, row in zip(PARTS[1:], counts[1:], strict=True):
        missing = names[(row == 0) & (counts[0] > 0)].tolist()
        if row.any() and missing:
            by_share = part not in listing.parts and (
                part == "validation" or rule.train_per_class is None
            )
            remedy = f"; a larger --{SHARES[part]} gives it more" if by_share else ""
            notes.append(f"the {part} part has no image of {few(missing)}{remedy}")
    return notes + _torn_groups(listing, codes)


def _torn_groups(listing: Listing, codes: NDArray[np.int64]) -> list[str]:
    if not listing.groups:
        return []
    parts: dict[str, set[int]] = {}
    for group, code in zip(listing.groups, codes.tolist(), strict=True):
        if group:
            parts.setdefault(group, set()).add(code)
    torn = [group for group, where in parts.items() if len(where) > 1]
    if not torn:
        return []
    count = counted(len(torn), "group")
    return [
        f"{count} ({few(torn)}) in more than one of the given parts; keep each in one"
    ]


def fitting_choices(sizes: Sizes, fitting: Fitting, reading: Reading) -> list[str]:
    """To what size and colours images are brought, and why."""
    size = spell(fitting.size)
    if sizes.common and sizes.median == fitting.size:
        sized = f"size {size}, as all images have"
    else:
        why = "as asked" if reading.size else "--size changes it"
        sized = f"size {size} ({why}), made from {sizes}; {FITTED[fitting.fit]}"
    looks = "grey" if fitting.channels == 1 else "RGB"
    if reading.color != "auto":
        colored = f"{looks}, as asked"
    elif fitting.channels == 1:
        colored = "grey, as all pixels looked at are (--color rgb gives three channels)"
    else:
        colored = "RGB, as there are colours (--color grey gives one channel)"
    return [sized, colored]


def split_choices(
    listing: Listing, rule: SplitRule, group: str | None, codes: NDArray[np.int64]
) -> list[str]:
    """How parts came to be; `codes` are the places in PARTS of the images read."""
    said = []
    train, validate, test = np.bincount(codes, minlength=len(PARTS)).tolist()
    by = f"by content and seed {rule.seed}"
    if listing.groups:
        count = counted(len(set(listing.groups)), "group")
        by = f"by {count} ({group or 'as listed'}) and seed {rule.seed}"
    average = "on average; files added later move no others"
    if rule.train_per_class is not None:
        said.append(
            f"{rule.train_per_class} images of every class train, drawn by seed "
            f"{rule.seed}; all others test"
        )
    elif "test" not in listing.parts:
        said.append(
            f"{percent(rule.test)} of all images test (here {test:,} of "
            f"{len(codes):,}), {by} ({average})"
            if rule.test
            else "no test part (--test-share)"
        )
    if "validation" not in listing.parts:
        said.append(
            f"{percent(rule.validation)} of the training images validate (here "
            f"{validate:,} of {train + validate:,}), {by} ({average})"
            if rule.validation
            else "no validation part (--validation)"
        )
    if listing.parts:
        found = [part for part in PARTS if part in listing.parts]
        said.append(f"given: {', '.join(found)}")
    return said


def percent(share: float) -> str:
    """A share as people say it.

    >>> percent(0.1), percent(0.125)
    ('10 %', '12.5 %')
    """
    return f"{100 * share:g} %"
