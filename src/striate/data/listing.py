"""What a data set consists of, before a pixel is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

Part = Literal["training", "validation", "test"]
PARTS: tuple[Part, ...] = ("training", "validation", "test")
SPELLINGS: dict[str, Part] = {
    "train": "training",
    "training": "training",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""What folders and tables call the parts, in small letters."""

Value = TypeVar("Value")
Source = str | NDArray[np.uint8]
"""One image: the path of its file, or its pixels H,W,C."""


@dataclass(frozen=True, eq=False)
class Listing:
    """Labelled images that are not read yet.

    Arguments:
        name: what the data are called in reports.
        sources: one path or array (H, W, C) for each image.
        names: what messages call each image: its path below the folder, with slashes.
        labels: int64 (N,), places in `classes`.
        classes: their names, in plain alphanumeric order.
        parts: the part that each image was given to; empty where the data have none.
        groups: what each image must stay together with; empty where nothing is known.
        notes: what the user should know about what was found, a sentence each.
    """

    name: str
    sources: Sequence[Source]
    names: Sequence[str]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    parts: Sequence[Part] = ()
    groups: Sequence[str] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, places: NDArray[np.int64]) -> Listing:
        """The listing of some of its images, in the order of their places."""

        def taken(values: Sequence[Value]) -> tuple[Value, ...]:
            return tuple(values[place] for place in places.tolist()) if values else ()

        return replace(
            self,
            sources=taken(self.sources),
            names=taken(self.names),
            labels=self.labels[places],
            parts=taken(self.parts),
            groups=taken(self.groups),
        )


def listed(
    name: str,
    sources: Sequence[Source],
    names: Sequence[str],
    classes: Sequence[str],
    *,
    order: Sequence[str] = (),
    parts: Sequence[Part] = (),
    groups: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Listing:
    """A listing of images of which each one's class is named; checked and noted.

    Unless their `order` is given, classes are sorted as Python sorts text, as torchvision
    and Keras do: capitals first, and "s10" before "s2". Raises DataError where there is
    no image.
    """
    found = tuple(order) or tuple(sorted(set(classes)))
    if not found:
        raise DataError(f"{name} has no images; give a folder with a folder per class")
    places = {one: place for place, one in enumerate(found)}
    labels = np.array([places[one] for one in classes], np.int64)
    return Listing(
        name=name,
        sources=sources,
        names=names,
        labels=labels,
        classes=found,
        parts=parts,
        groups=groups,
        notes=(*notes, *_alike(found)),
    )


def _alike(classes: tuple[str, ...]) -> list[str]:
    """Notes on classes whose names look like one and the same."""
    spellings: dict[str, list[str]] = {}
    for name in classes:
        spellings.setdefault(" ".join(name.split()).casefold(), []).append(name)
    return [
        f"the classes {' and '.join(map(repr, names))} differ in case or white space "
        "only; if they mean the same, give them one name"
        for names in spellings.values()
        if len(names) > 1
    ]


def few(names: Sequence[object], most: int = 5) -> str:
    """Some names in quotes, and how many more there are.

    >>> few(["cat", "dog"]), few(range(9), most=2)
    ("'cat', 'dog'", '0, 1 and 7 more')
    """
    shown = ", ".join(repr(name) for name in names[:most])
    rest = len(names) - most
    return f"{shown} and {rest:,} more" if rest > 0 else shown


def counted(count: int, what: str) -> str:
    """A number with its noun, as in "1 image" and "1,600 images".

    >>> counted(1, "image"), counted(1600, "image"), counted(2, "class")
    ('1 image', '1,600 images', '2 classes')
    """
    plural = "es" if what.endswith("s") else "s"
    return f"{count:,} {what}{'' if count == 1 else plural}"
