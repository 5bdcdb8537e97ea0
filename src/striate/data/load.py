"""Data sets as they were published: by name, or a folder of IDX files."""

from __future__ import annotations

import os
from pathlib import Path

from .dataset import Dataset
from .digits import load_digits
from .idx_folder import find_idx_files, load_idx_folder
from .named import FASHION_MNIST, MNIST, load_named

NAMED = {wanted.name: wanted for wanted in (MNIST, FASHION_MNIST)}
NAMES = ("digits", *NAMED)


def is_published(data: str | os.PathLike[str]) -> bool:
    """Whether this is the name of a data set or a folder with IDX files."""
    return data in NAMES or bool(find_idx_files(Path(data)))


def load_published(
    data: str | os.PathLike[str], *, quiet: bool = False
) -> tuple[Dataset, Dataset]:
    """The training and the test part of a named data set or an IDX folder."""
    if data == "digits":
        return load_digits()
    if isinstance(data, str) and data in NAMED:
        return load_named(NAMED[data], quiet=quiet)
    path = Path(data)
    return load_idx_folder(path, path.resolve().name)
