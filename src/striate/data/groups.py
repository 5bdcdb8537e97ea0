"""Groups: images that must stay in one part, such as the frames of one film."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import UsageError
from .listing import Listing, counted, few
from .splits import Hashes, text_hash


def with_groups(listing: Listing, pattern: str) -> Listing:
    """A listing with the groups that a regular expression finds in its names.

    It is searched in the file's name, or, where the pattern has a slash, in the path
    below the data folder. What it matches (its first group in parentheses, if it has
    one) names the group, whatever the class; an image without a match is its own group.

    Raises UsageError for what is no regular expression, or matches no name.

    >>> signs = ["stop/00001_07.png", "stop/00001_08.png", "yield/00001_07.png"]
    >>> labels = np.zeros(3, np.int64)
    >>> listing = Listing("signs", signs, signs, labels, ("stop", "yield"))
    >>> with_groups(listing, "^([0-9]+)_").groups
    ('00001', '00001', '00001')
    >>> with_groups(listing, "(.+/[0-9]+)_").groups
    ('stop/00001', 'stop/00001', 'yield/00001')
    """
    groups = match_groups(listing.names, pattern)
    lone = [
        name for name, group in zip(listing.names, groups, strict=True) if not group
    ]
    if len(lone) == len(listing):
        where = (
            "with a slash it is searched in this whole path, which begins with the "
            "folder of a class or part, without a leading slash"
            if "/" in pattern
            else "without a slash it is searched in the file's name"
        )
        raise UsageError(
            f"--group {pattern!r} matches no name in {listing.name}, such as "
            f"{listing.names[0]!r}; {where}"
        )
    notes = list(listing.notes)
    if lone:
        notes.append(
            f"--group {pattern!r} does not match {counted(len(lone), 'name')} "
            f"({few(lone)}): each is a group of its own"
        )
    pairs = set(zip(groups, listing.labels.tolist(), strict=True))
    classes = Counter(group for group, _ in pairs if group)
    if (most := max(classes.values())) > 1:
        notes.append(
            f"each group of --group {pattern!r} has images of up to {most} classes; if "
            "their numbers start anew in every class, '(.+/[0-9]+)_' with a slash keeps "
            "groups within classes"
        )
    return replace(listing, groups=groups, notes=tuple(notes))


def match_groups(names: Sequence[str], pattern: str) -> tuple[str, ...]:
    """The group of each name, as `with_groups` finds it; "" where nothing matches.

    Raises UsageError for what is no regular expression.

    >>> match_groups(["stop/00001_07.png", "stop/holiday.png"], "^([0-9]+)_")
    ('00001', '')
    """
    try:
        search = re.compile(pattern).search
    except re.error as error:
        raise UsageError(
            f"--group {pattern!r} is no regular expression: {error}; one for names such "
            "as 0001_17.png is '^([0-9]+)_'"
        ) from error
    groups = []
    for name in names:
        match = search(name if "/" in pattern else name.rsplit("/", 1)[-1])
        groups.append((match[1 if match.re.groups else 0] or "") if match else "")
    return tuple(groups)


def group_keys(groups: Sequence[str], keys: Hashes) -> Hashes:
    """The keys of named groups; an image without a name keeps its own."""
    known = {name: text_hash(name) for name in set(groups)}
    named = np.array([known[name] for name in groups], np.uint64)
    return np.where(np.array(groups) == "", keys, named)
