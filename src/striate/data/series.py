"""Series: images whose names tell that they belong together, as the frames of a film."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .groups import match_groups

FEWEST_FRAMES = 3  # of a series, and of series a class where names alone must tell
FEWEST_PAIRS, MOST_PAIRS = 20, 256  # of frames whose pixels are compared
ALIKE = 0.8  # share of these that must be nearer to each other than to other series
DENSE = 0.5  # share of the numbers from first to last that a series has

# The last number of a name, what precedes it, and what is left before the ending. Longer
# numbers are no counters but hashes.
_NUMBERED = re.compile(r"(.*[^0-9]|)([0-9]{1,15})([^0-9]*)", re.DOTALL)


@dataclass(frozen=True)
class Series:
    """What the names suggest to keep together.

    Arguments:
        pattern: for `--group`.
        groups: how many groups it makes.
        torn: how many of these have images in more than one part.
        example: two names of one group.
    """

    pattern: str
    groups: int
    torn: int
    example: tuple[str, str]


@dataclass(frozen=True)
class _Run:
    """Images of one class that are named alike up to a last number, by that number."""

    label: int
    head: str
    numbers: tuple[int, ...]
    places: tuple[int, ...]

    @property
    def dense(self) -> bool:
        """Whether they are numbered in steps, with few left out."""
        steps = [later - earlier for earlier, later in pairwise(self.numbers)]
        step = math.gcd(*steps)
        return len(steps) * step >= DENSE * (self.numbers[-1] - self.numbers[0])


def find_series(
    names: Sequence[str],
    labels: NDArray[np.int64],
    codes: NDArray[np.int64],
    pixels: NDArray[np.uint8],
) -> Series | None:
    """What the names of N images suggest to keep together; None where nothing.

    Suspected are names that share all but a last number, such as 00003_00017.png, where
    most images are in such series of three or more, several of them in a class. Either
    their numbers begin anew in each series and have few gaps; or the pixels say so:
    neighbours in a series are nearer to each other than to another one. One counter for
    a whole class, as of IMG_1234.jpg, is no reason.

    Arguments:
        names: as in a `Listing`.
        labels: int64 (N,), their classes.
        codes: int64 (N,), the parts they came into; -1 for a part that was given.
        pixels: uint8 (N,H,W,C).
    """
    runs = list(_runs(names, labels))
    classes = len({run.label for run in runs})
    if sum(len(run.places) for run in runs) < max(1, len(names) / 2) or not (
        _begin_anew(runs, classes, len(names)) or _look_alike(runs, classes, pixels)
    ):
        return None
    places = [place for run in runs for place in run.places]
    wanted = _together(names, runs)
    for pattern in _patterns(runs[0].head):
        groups = match_groups(names, pattern)
        pairs = {
            (key, groups[place]) for key, place in zip(wanted, places, strict=True)
        }
        if len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}):
            break  # each thing to keep together is one group, and no other is in it
    else:
        return None
    parts: defaultdict[str, set[int]] = defaultdict(set)
    for group, code in zip(groups, codes.tolist(), strict=True):
        if group and code >= 0:
            parts[group].add(code)
    torn = sum(len(where) > 1 for where in parts.values())
    if not torn:
        return None
    first, second = (names[place] for place in runs[0].places[:2])
    return Series(pattern, len(parts), torn, (first, second))


def _runs(names: Sequence[str], labels: NDArray[np.int64]) -> Iterator[_Run]:
    found: defaultdict[tuple[int, str], list[tuple[int, int]]] = defaultdict(list)
    for place, (name, label) in enumerate(zip(names, labels.tolist(), strict=True)):
        folder, slash, file = name.rpartition("/")
        match = _NUMBERED.fullmatch(file.rsplit(".", 1)[0])
        if match:
            head = f"{folder}{slash}{match[1]}"
            found[label, head].append((int(match[2]), place))
    for (label, head), frames in found.items():
        if len(frames) >= FEWEST_FRAMES:
            yield _Run(label, head, *zip(*sorted(frames), strict=True))


def _begin_anew(runs: Sequence[_Run], classes: int, images: int) -> bool:
    """Whether names alone tell: many series, dense ones, numbered over the same range."""
    dense = [run for run in runs if run.dense]
    if (
        len(dense) < FEWEST_FRAMES * classes
        or sum(len(run.places) for run in dense) < images / 2
    ):
        return False
    ends: dict[int, int] = {}
    overlapping = 0
    for run in sorted(dense, key=lambda run: run.numbers[0]):
        overlapping += ends.get(run.label, -1) >= run.numbers[0]
        ends[run.label] = max(ends.get(run.label, -1), run.numbers[-1])
    return overlapping >= len(dense) / 2


def _look_alike(runs: Sequence[_Run], classes: int, pixels: NDArray[np.uint8]) -> bool:
    """Whether neighbours in a series are nearer than images of two series of a class."""
    if len(runs) < 2 * classes:
        return False
    ordered = sorted(runs, key=lambda run: run.label)
    triples = [
        (first, second, other.places[len(other.places) // 2])
        for run, other in zip(ordered, ordered[1:] + ordered[:1], strict=True)
        if run.label == other.label
        for first, second in pairwise(run.places)
    ]
    if len(triples) < FEWEST_PAIRS:
        return False
    nearer = 0
    sample = triples[:: -(-len(triples) // MOST_PAIRS)]
    for triple in sample:
        first, second, other = pixels[list(triple)].astype(np.float32)
        nearer += np.abs(second - first).mean() < np.abs(other - first).mean()
    return bool(nearer >= ALIKE * len(sample))


def _together(names: Sequence[str], runs: Sequence[_Run]) -> list[str]:
    """What each image of the series must stay together with, series by series.

    Mostly its series. Where series of several classes have one name and their numbers
    go on, they are the frames of one film, sorted into classes.
    """
    labels: defaultdict[str, set[int]] = defaultdict(set)
    frames: list[tuple[str, int]] = []
    for run in runs:
        base = run.head.rsplit("/", 1)[-1]
        labels[base].add(run.label)
        frames += [(base, number) for number in run.numbers]
    shared = [frame for frame in frames if len(labels[frame[0]]) > 1]
    goes_on = "" not in labels and len(set(shared)) > 0.9 * len(shared) > 0
    heads = (run.head.rsplit("/", 1)[-1] if goes_on else run.head for run in runs)
    return [head for head, run in zip(heads, runs, strict=True) for _ in run.places]


def _patterns(head: str) -> list[str]:
    """Regular expressions for `--group` that may find series, the simplest first."""
    patterns = []
    if head[-1:] in ("_", "-", " ", "."):
        mark = head[-1].replace(".", "[.]")
        patterns = [f"^([0-9]+){mark}", f"^(.+){mark}[0-9]"]
        patterns += [f"(.+/[0-9]+){mark}", f"(.+/.+){mark}[0-9]"]
    general = ".*[^0-9])[0-9]+[^0-9/]*[.]"
    return ["(.+)/", *patterns, f"^({general}", f"(.+/{general}"]
