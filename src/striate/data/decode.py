"""Decoding images in many threads into one array on disk, mapped into memory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..images.fitting import Fit, fitted_image, flatten
from .cache import cached
from .duplicates import near_pairs
from .index import open_source
from .listing import Source
from .threads import in_threads

if TYPE_CHECKING:
    from PIL.Image import Image

VERSION = 1  # of what is kept, and of how it is computed
PIECE = 16 << 20  # bytes that are moved at once


@dataclass(frozen=True)
class Fitting:
    """How images of any size and kind become pixels of one shape.

    Arguments:
        size: (height, width) in pixels.
        channels: 1 for grey or 3 for RGB.
        fit: "pad", "crop" or "stretch".
        ground: the level, 0 to 255, that transparent images are laid on.
    """

    size: tuple[int, int]
    channels: int
    fit: Fit
    ground: int


@dataclass(frozen=True, eq=False)
class Decoded:
    """The images that could be read, in the order they were asked for.

    Arguments:
        pixels: uint8 (M, H, W, C), mapped from a file.
        faults: why an image could not be read, by its place among all N asked for.
        near: int64 (P, 2), rows of `pixels` that look nearly the same.
    """

    pixels: NDArray[np.uint8]
    faults: dict[int, str]
    near: NDArray[np.int64]


def decode(
    sources: Sequence[Source],
    hashes: NDArray[np.uint64],
    fitting: Fitting,
    *,
    keep: bool,
    quiet: bool,
) -> Decoded:
    """Decode and fit images, or take them from the cache.

    What is kept is found again by the `hashes` of the images' content, uint64 (N,), and
    by `fitting`, wherever the files lie. Memory holds a few images at a time.

    Raises DataError where no image can be read, or there is no room for the pixels.
    """
    import PIL

    versions = f"{VERSION} {PIL.__version__} {fitting}"
    digest = hashlib.blake2b(versions.encode(), digest_size=16)
    digest.update(hashes.astype("<u8", copy=False).tobytes())

    def build(folder: Path) -> None:
        faults = _write_pixels(folder / "pixels.npy", sources, fitting, quiet)
        pixels = np.load(folder / "pixels.npy", mmap_mode="r")
        np.save(folder / "near.npy", near_pairs(pixels))
        (folder / "faults.json").write_text(json.dumps(list(faults.items())))

    def read(folder: Path) -> Decoded:
        pixels = np.load(folder / "pixels.npy", mmap_mode="r", allow_pickle=False)
        near = np.load(folder / "near.npy", allow_pickle=False)
        stored = json.loads((folder / "faults.json").read_text())
        faults = {int(place): str(why) for place, why in stored}
        if pixels.shape != _shape(len(sources) - len(faults), fitting):
            raise ValueError("the parts of this entry do not belong together")
        return Decoded(np.asarray(pixels), faults, near)

    return cached(f"pixels-{digest.hexdigest()}", build, read, keep=keep)


def _shape(count: int, fitting: Fitting) -> tuple[int, int, int, int]:
    return (count, *fitting.size, fitting.channels)


def _write_pixels(
    path: Path, sources: Sequence[Source], fitting: Fitting, quiet: bool
) -> dict[int, str]:
    """Write a .npy file of all images that can be read; return why others cannot.

    The file is written and not mapped: a full disk is then an error and no crash.
    """
    faults: dict[int, str] = {}
    length = fitting.size[0] * fitting.size[1] * fitting.channels

    with path.open("w+b") as file:
        start = _write_header(file.fileno(), _shape(len(sources), fitting))

        def work(places: range) -> None:
            rows = []
            for place in places:
                try:
                    rows.append(_fitted(sources[place], fitting).tobytes())
                except DataError as error:
                    faults[place] = str(error)
                    rows.append(bytes(length))
            _write(file.fileno(), b"".join(rows), start + places.start * length)

        for _ in in_threads(work, len(sources), "decoding", quiet=quiet):
            pass
        if len(faults) == len(sources):
            first = faults[min(faults)] if faults else "there is none"
            raise DataError(f"no image can be read: {first}")
        if faults:
            _close_gaps(file.fileno(), start, length, len(sources), sorted(faults))
            _write_header(file.fileno(), _shape(len(sources) - len(faults), fitting))
        os.fsync(file.fileno())
    return dict(sorted(faults.items()))


def _fitted(source: Source, fitting: Fitting) -> Image:
    image = open_source(source)
    if image.mode == "RGBA":
        image = flatten(image, fitting.ground, False)
    return fitted_image(image, fitting.size, fitting.channels, fitting.fit)


def _write_header(file: int, shape: tuple[int, ...]) -> int:
    """Write the header of a .npy file and return its length, the same for any count."""
    import io

    header = io.BytesIO()
    facts = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, facts)
    _write(file, header.getvalue(), 0)
    return header.tell()


def _write(file: int, content: bytes, place: int) -> None:
    """Write all of the content, or raise OSError: a full disk may take a part first."""
    while content:
        written = os.pwrite(file, content, place)
        content, place = content[written:], place + written


def _close_gaps(
    file: int, start: int, length: int, count: int, missing: Sequence[int]
) -> None:
    """Move the rows behind each missing one forward, and cut off what is left over."""
    target = start
    for first, end in _runs(count, missing):
        source, left = start + first * length, (end - first) * length
        while left:
            piece = os.pread(file, min(PIECE, left), source)
            _write(file, piece, target)
            source, target = source + len(piece), target + len(piece)
            left -= len(piece)
    os.ftruncate(file, target)


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
