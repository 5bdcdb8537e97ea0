"""A .npy file of pixels, written row by row, from which rows can be taken out again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np

PIECE = 16 << 20  # bytes that are moved at once


def write_header(file: BinaryIO, shape: tuple[int, ...]) -> int:
    """Write the header of a .npy file and return its length, the same for any count."""
    file.seek(0)
    facts = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, facts)
    return file.tell()


def close_gaps(
    file: BinaryIO, start: int, length: int, count: int, missing: Sequence[int]
) -> None:
    """Move the rows behind each missing one forward, and cut off what is left over.

    Arguments:
        start: where the first row begins.
        length: the bytes of a row.
        count: how many rows there are.
        missing: the rows to take out, in order.
    """
    target = start
    for first, end in _runs(count, missing):
        source, left = start + first * length, (end - first) * length
        while left:
            file.seek(source)
            piece = file.read(min(PIECE, left))
            file.seek(target)
            file.write(piece)
            source, target = source + len(piece), target + len(piece)
            left -= len(piece)
    file.truncate(target)


def _runs(count: int, missing: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The ranges of rows between missing ones.

    >>> list(_runs(6, [0, 3]))
    [(1, 3), (4, 6)]
    """
    first = 0
    for place in (*missing, count):
        if place > first:
            yield first, place
        first = place + 1
