"""A first look at every image of a listing: its hash and its size.

Headers are read of all files, pixels of a sample of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .cache import cached
from .listing import Listing, Source
from .perimage import SecondLook, first_looks, second_looks
from .workers import Workers

VERSION = 1  # of the index as it is kept
SAMPLE = 128  # images whose pixels are looked at
VANISHING = 192  # a drawing of such a mean level would vanish on white
TICK = 50_000_000  # nanoseconds; two changes of a file within them may look like one


@dataclass(frozen=True, eq=False)
class Index:
    """What is known of each image of a listing before it is decoded.

    Arguments:
        hashes: uint64 (N,), of the bytes of each file, or of each array.
        sizes: int64 (N, 2), height and width as a person sees them; 0 if unreadable.
        faults: why an image cannot be read, by its place.
        color: whether a sampled image is not grey.
        ground: the level that transparent images are laid on: white, 255, or black, 0,
            where most drawings are so bright that they would vanish on white.
        flat: the share of neighbouring pixels that are alike, over the sample.
    """

    hashes: NDArray[np.uint64]
    sizes: NDArray[np.int64]
    faults: dict[int, str]
    color: bool
    ground: int
    flat: float


def read_index(listing: Listing, workers: Workers, *, keep: bool) -> Index:
    """Look at all images of a listing; of files the result is kept (`keep`).

    A kept index is used again while path, size and times of every file are the same.
    """
    files = [source for source in listing.sources if isinstance(source, str)]
    key, settled = _key(files) if len(files) == len(listing) else ("", False)
    if not (keep and settled):
        return _looked_at(listing.sources, workers)

    def build(folder: Path) -> None:
        _write(folder, _looked_at(listing.sources, workers))

    return cached(key, build, _read)


def _key(files: Sequence[str]) -> tuple[str, bool]:
    """What tells a list of files from any other, and whether that can be relied on.

    The time of the last change of any kind is part of it: programs that copy files give
    the copy the time of the original, but cannot choose that one.
    """
    newest = 0
    digest = hashlib.blake2b(f"{VERSION}".encode(), digest_size=16)
    for file in files:
        try:
            known = os.stat(file)
            facts = (known.st_size, known.st_mtime_ns, known.st_ctime_ns)
        except OSError:
            facts = (0, 0, 0)
        newest = max(newest, *facts[1:])
        digest.update(f"{os.path.abspath(file)!r}{facts}".encode())
    return f"index-{digest.hexdigest()}", time.time_ns() - newest > TICK


def _looked_at(sources: Sequence[Source], workers: Workers) -> Index:
    hashes = np.zeros(len(sources), np.uint64)
    sizes = np.zeros((len(sources), 2), np.int64)
    faults: dict[int, str] = {}
    for place, look in enumerate(workers.run(first_looks, sources, "looking")):
        if isinstance(look, DataError):
            faults[place] = str(look)
        else:
            hashes[place], sizes[place] = look
    readable = np.flatnonzero(sizes[:, 0])
    sample = readable[:: max(1, len(readable) // SAMPLE)].tolist()
    looks = workers.run(second_looks, [sources[place] for place in sample], "looking")
    return Index(hashes, sizes, faults, *_summed_up(looks))


def _summed_up(
    looks: Sequence[SecondLook | DataError],
) -> tuple[bool, int, float]:
    """Colour, ground and flatness of a set by second looks at some of its images."""
    # What cannot be read is passed over: decoding will say so.
    seen = [look for look in looks if not isinstance(look, DataError)]
    inks = [ink for _, ink, _ in seen if ink is not None]
    flats = [flat for _, _, flat in seen]
    vanishing = bool(inks) and float(np.median(inks)) > VANISHING
    return (
        any(color for color, _, _ in seen),
        0 if vanishing else 255,
        float(np.median(flats)) if flats else 0.0,
    )


def _write(folder: Path, index: Index) -> None:
    facts = {
        "faults": list(index.faults.items()),
        "color": index.color,
        "ground": index.ground,
        "flat": index.flat,
    }
    np.save(folder / "hashes.npy", index.hashes)
    np.save(folder / "sizes.npy", index.sizes)
    (folder / "facts.json").write_text(json.dumps(facts))


def _read(folder: Path) -> Index:
    hashes = np.load(folder / "hashes.npy", allow_pickle=False)
    sizes = np.load(folder / "sizes.npy", allow_pickle=False)
    facts = json.loads((folder / "facts.json").read_text())
    faults = {int(place): str(why) for place, why in facts["faults"]}
    return Index(hashes, sizes, faults, facts["color"], facts["ground"], facts["flat"])
