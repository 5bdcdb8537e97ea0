"""The files features are written to, piece by piece: .npy and .npz, as NumPy has them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..arguments import shown
from ..errors import UsageError
from .files import check_destination, replacing, writing

Rows = NDArray[np.float32]


def check_file(path: str | os.PathLike[str], ending: str) -> None:
    """Refuse a file that features cannot be written to, before they are computed.

    Raises UsageError for another ending, DataError where no file can be written.
    """
    if not os.fspath(path).endswith(ending):
        raise UsageError(
            f"features are written to a file that ends in {ending}, not "
            f"{shown(os.fspath(path))}; name it features{ending}."
        )
    with writing("features", path):
        check_destination(path)


def write_npy(
    path: str | os.PathLike[str], shape: tuple[int, int], pieces: Iterable[Rows]
) -> np.memmap[Any, np.dtype[np.float32]]:
    """Write rows to a .npy file, whole or not at all; return them mapped, to read only.

    Arguments:
        shape: how many rows there will be, and how long each is.
        pieces: some rows at a time, float32 (n, D); only one piece is in memory.

    Raises DataError where the file cannot be written.

    >>> import tempfile
    >>> file = os.path.join(tempfile.mkdtemp(), "rows.npy")
    >>> write_npy(file, (3, 2), [np.ones((2, 2), np.float32), np.zeros((1, 2), "f")])
    memmap([[1., 1.],
            [1., 1.],
            [0., 0.]], dtype=float32)
    """
    with writing("features", path), replacing(path) as file:
        _write_rows(file, shape, pieces)
    mapped: np.memmap[Any, np.dtype[np.float32]] = np.load(path, mmap_mode="r")
    return mapped


def write_npz(
    path: str | os.PathLike[str],
    shape: tuple[int, int],
    pieces: Iterable[Rows],
    others: Mapping[str, NDArray[Any]],
) -> None:
    """Write rows as "features", and other arrays, to an .npz file, whole or not at all.

    The archive is not compressed and holds no pickled objects: `numpy.load` reads it as
    it stands. The same content gives the same bytes. Arguments and errors are those of
    `write_npy`.
    """
    import zipfile

    with (
        writing("features", path),
        replacing(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
    ):
        with archive.open("features.npy", "w", force_zip64=True) as member:
            _write_rows(member, shape, pieces)
        for name, array in others.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _write_rows(
    file: IO[bytes] | BinaryIO, shape: tuple[int, int], pieces: Iterable[Rows]
) -> None:
    """Write a .npy header and what follows it."""
    facts = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, facts)
    for rows in pieces:
        file.write(np.ascontiguousarray(rows, "<f4").data)
