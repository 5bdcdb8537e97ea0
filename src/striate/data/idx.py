"""The IDX file format, in which MNIST and its relatives are published.

An IDX file, plain or packed by gzip, is

    2 bytes   zero
    1 byte    the type of the elements, one of `ELEMENT_TYPES`
    1 byte    the number of dimensions D
    4 D bytes the sizes, big-endian, slowest dimension first
    the elements, big-endian, and nothing after them
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

ELEMENT_TYPES = {
    0x08: "u1",
    0x09: "i1",
    0x0B: ">i2",
    0x0C: ">i4",
    0x0D: ">f4",
    0x0E: ">f8",
}
MAX_DIMENSIONS = 8
# Deflate packs at most 1032 bytes into one; a header that claims more is lying.
MAX_EXPANSION = 1032
CHUNK = 1 << 20


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read one IDX file, plain or gzip: its content decides, not its name.

    Memory grows with the bytes that are really there, never with what the header
    claims. The array is in native byte order and owns its memory.

    Raises DataError, naming the file, for anything but one whole IDX file.
    Source: Y. LeCun, C. Cortes and C. Burges, "The MNIST database", file format.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "labels-idx1-ubyte")
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            packed = file.peek(2)[:2] == b"\x1f\x8b"
            available = os.fstat(file.fileno()).st_size if path.is_file() else None
            if not packed:
                return _read_elements(file, path, available)
            import gzip

            ceiling = None if available is None else available * MAX_EXPANSION
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _read_packed(cast(BinaryIO, unpacked), path, ceiling)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path} cannot be read: {reason}") from error


def _read_packed(file: BinaryIO, path: Path, ceiling: int | None) -> NDArray[Any]:
    import gzip
    import zlib

    try:
        return _read_elements(file, path, ceiling)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(
            f"{path} is a damaged gzip file ({error}); fetch or pack it again"
        ) from error


def _read_elements(file: BinaryIO, path: Path, ceiling: int | None) -> NDArray[Any]:
    """Header and elements; `ceiling` is the most bytes that the file can hold."""
    dtype, shape = _read_header(file, path)
    wanted = math.prod(shape) * dtype.itemsize
    sizes = " x ".join(map(str, shape))
    if ceiling is not None and wanted > ceiling:
        raise DataError(
            f"{path} claims {sizes} elements, {wanted:,} bytes, but cannot hold more "
            f"than {ceiling:,}; it is truncated or not an IDX file"
        )
    content = bytearray()
    while len(content) < wanted:
        piece = file.read(min(CHUNK, wanted - len(content)))
        if not piece:
            raise DataError(
                f"{path} is truncated: its header promises {sizes} elements, "
                f"{wanted:,} bytes, but only {len(content):,} follow"
            )
        content += piece
    if file.read(1):  # for gzip this also checks the sum at the end
        raise DataError(
            f"{path} goes on after the {sizes} elements that its header promises; "
            "it is damaged or not an IDX file"
        )
    array = np.frombuffer(content, dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _read_header(file: BinaryIO, path: Path) -> tuple[np.dtype[Any], tuple[int, ...]]:
    magic = file.read(4)
    if not magic:
        raise DataError(f"{path} is empty; an IDX file begins with a header")
    if magic[:2] != b"\0\0":
        raise DataError(
            f"{path} is not an IDX file: it must begin with two zero bytes but begins "
            f"with {magic[:4]!r}"
        )
    if len(magic) < 4:
        raise DataError(f"{path} is truncated: it ends within its header")
    _, _, code, dimensions = magic
    if code not in ELEMENT_TYPES:
        known = ", ".join(f"0x{known:02x}" for known in ELEMENT_TYPES)
        raise DataError(
            f"{path} has the unknown element type 0x{code:02x}; IDX knows {known}"
        )
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise DataError(
            f"{path} claims {dimensions} dimensions; read are 1 to {MAX_DIMENSIONS}"
        )
    header = file.read(4 * dimensions)
    if len(header) < 4 * dimensions:
        raise DataError(f"{path} is truncated: it ends within its header")
    shape = tuple(np.frombuffer(header, ">u4").tolist())
    if 0 in shape:
        sizes = " x ".join(map(str, shape))
        raise DataError(f"{path} holds no elements: its sizes are {sizes}")
    return np.dtype(ELEMENT_TYPES[code]), shape
