"""Which layout a path has, and what lies in it."""

from __future__ import annotations

from pathlib import Path

from ..errors import DataError
from .arrays import find_npy_files, list_npy_folder, list_npz
from .folder import list_folder
from .listing import Listing
from .load import NAMES
from .table import list_table

TABLES = (".csv", ".tsv")


def list_path(path: Path) -> Listing:
    """The images of a folder or a file of any layout but IDX.

    A folder holds a folder for each class, or these in folders train, val and test, or
    the arrays x_train.npy, y_train.npy, x_test.npy and y_test.npy; a file is a CSV table
    with the columns path,label, or an NPZ archive of such arrays.

    Raises DataError where it is none of these.
    """
    name = path.resolve().name or str(path.resolve())
    if path.is_dir():
        if find_npy_files(path):
            return list_npy_folder(path, name)
        return list_folder(path, name)
    if not path.exists():
        raise DataError(
            f"there is no data set or folder {str(path)!r}; give the path of a folder "
            "with a folder of images for each class, or one of the names "
            f"{', '.join(NAMES)}"
        )
    suffix = path.suffix.lower()
    if suffix in TABLES:
        return list_table(path, path.stem)
    if suffix == ".npz":
        return list_npz(path, path.stem)
    raise DataError(
        f"{path} is a file, but data must be a folder of images in class folders, a CSV "
        "table (.csv) with the columns path,label, an archive (.npz) of arrays, or one "
        f"of the names {', '.join(NAMES)}"
    )
