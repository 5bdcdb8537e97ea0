"""Decoding images, many at once, into one array on disk that is mapped into memory."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .cache import cached
from .duplicates import near_pairs
from .listing import Source
from .perimage import Fitting, write_rows
from .pixelfile import close_gaps, write_header
from .workers import Workers

VERSION = 1  # of what is kept, and of how it is computed


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
    workers: Workers,
    *,
    keep: bool,
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
        faults = _write_pixels(folder / "pixels.npy", sources, fitting, workers)
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
    return (count, *fitting.shape)


def _write_pixels(
    path: Path, sources: Sequence[Source], fitting: Fitting, workers: Workers
) -> dict[int, str]:
    """Write a .npy file of all images that can be read; return why others cannot.

    The file is written and not mapped: a full disk is then an error and no crash.
    """
    count = len(sources)
    with path.open("w+b") as file:
        start = write_header(file, _shape(count, fitting))
        file.flush()
        work = partial(write_rows, path, start, fitting)
        found = workers.run(work, sources, "decoding")
        faults = {place: str(why) for place, why in enumerate(found) if why}
        if len(faults) == count:
            first = next(iter(faults.values()), "there is none")
            raise DataError(f"no image can be read: {first}")
        if faults:
            length = math.prod(fitting.shape)
            close_gaps(file, start, length, count, list(faults))
            write_header(file, _shape(count - len(faults), fitting))
        file.flush()
        os.fsync(file.fileno())
    return faults
