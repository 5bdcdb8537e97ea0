"""Answers for image files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..arguments import shown
from .labels import Classes
from .preprocess import Preprocessing

PathLike = str | os.PathLike[str]

_TOGETHER = 256  # files that are in memory at once


@dataclass(frozen=True)
class FilePrediction:
    """What a network says about one image file.

    `label` is the most probable class; `rejected` tells that its probability is below
    what was asked for, so that the answer is "unknown". `probabilities` has every class;
    `note` tells where the file's background is not that of the training images, and
    what was done about it.
    """

    file: str
    label: str | int
    probability: float
    probabilities: dict[str | int, float]
    note: str | None = None
    rejected: bool = False


def read_files(
    files: Iterable[PathLike],
    preprocessing: Preprocessing,
    invert: bool | Literal["auto"],
) -> Iterator[tuple[list[str], NDArray[np.uint8], list[str | None]]]:
    """Yield names, pixels N,H,W,C and notes of some files at a time."""
    if isinstance(files, str | os.PathLike):
        raise TypeError(f"files must be a list of paths; give [{os.fspath(files)!r}].")
    remaining = iter(files)
    while names := list(islice(remaining, _TOGETHER)):
        for name in names:
            if not isinstance(name, str | os.PathLike):
                raise TypeError(f"files must be paths, str or Path, not {shown(name)}.")
        images, notes = zip(
            *(preprocessing.load_image(name, invert) for name in names), strict=True
        )
        yield [os.fspath(name) for name in names], np.stack(images), list(notes)


def file_predictions(
    names: list[str],
    notes: list[str | None],
    probabilities: NDArray[np.float32],
    classes: Classes,
    reject: float = 0.0,
) -> list[FilePrediction]:
    """Put probabilities N,K into one record for each file; rejected below `reject`."""
    records = []
    for name, note, row in zip(names, notes, probabilities, strict=True):
        values = row.tolist()
        best = int(row.argmax())
        records.append(
            FilePrediction(
                file=name,
                label=classes[best],
                probability=values[best],
                probabilities=dict(zip(classes, values, strict=True)),
                note=note,
                rejected=values[best] < reject,
            )
        )
    return records
