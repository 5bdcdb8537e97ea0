"""A first look at every image of a listing: its hash, its size, whether it is grey.

Headers are read of all files, pixels of a sample of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..images.imagefile import opened_file, read_header, read_image
from .cache import cached
from .listing import Listing, Source
from .threads import in_threads

if TYPE_CHECKING:
    from PIL.Image import Image

VERSION = 1  # of the index as it is kept
SAMPLE = 128  # images whose pixels are looked at
LOOK = 128  # the longest side, in pixels, at which they are
NEARLY = 12  # levels between the channels of a pixel that still looks grey
VANISHING = 192  # a drawing of such a mean level would vanish on white
PIECE = 1 << 20  # bytes of a file in memory at once
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


def read_index(listing: Listing, *, keep: bool, quiet: bool) -> Index:
    """Look at all images of a listing; of files the result is kept (`keep`).

    A kept index is used again while path, size and times of every file are the same.
    """
    files = [source for source in listing.sources if isinstance(source, str)]
    key, settled = _key(files) if len(files) == len(listing) else ("", False)
    if not (keep and settled):
        return _looked_at(listing.sources, quiet)

    def build(folder: Path) -> None:
        _write(folder, _looked_at(listing.sources, quiet))

    return cached(key, build, _read)


def open_source(source: Source, draft: int | None = None) -> Image:
    """An image of mode L, RGB or RGBA. Raises DataError where it cannot be read."""
    if isinstance(source, str):
        return read_image(source, draft)
    from PIL import Image

    return Image.fromarray(source[..., 0] if source.shape[2] == 1 else source)


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


def _looked_at(sources: Sequence[Source], quiet: bool) -> Index:
    hashes = np.zeros(len(sources), np.uint64)
    sizes = np.zeros((len(sources), 2), np.int64)
    grey = np.zeros(len(sources), bool)
    faults: dict[int, str] = {}

    def look(places: range) -> None:
        for place in places:
            try:
                hashes[place], sizes[place], grey[place] = _first_look(sources[place])
            except DataError as error:
                faults[place] = str(error)

    for _ in in_threads(look, len(sources), "looking", quiet=quiet):
        pass
    color, ground, flat = _sampled(sources, np.flatnonzero(sizes[:, 0]), grey, quiet)
    return Index(hashes, sizes, dict(sorted(faults.items())), color, ground, flat)


def _first_look(source: Source) -> tuple[np.uint64, tuple[int, int], bool]:
    """Hash, (height, width) and whether an image can only be grey."""
    if not isinstance(source, str):
        digest = hashlib.blake2b(str(source.shape).encode(), digest_size=8)
        digest.update(np.ascontiguousarray(source).data)
        return _number(digest.digest()), source.shape[:2], source.shape[2] == 1
    with opened_file(source, source) as file:
        try:
            digest = hashlib.blake2b(digest_size=8)
            while piece := file.read(PIECE):
                digest.update(piece)
        except OSError as error:
            raise DataError(
                f"{source} cannot be read: {error.strerror or error}"
            ) from error
        file.seek(0)
        header = read_header(file, source)
    return _number(digest.digest()), header.size, header.grey


def _number(digest: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(digest, "little"))


def _sampled(
    sources: Sequence[Source],
    readable: NDArray[np.intp],
    grey: NDArray[np.bool_],
    quiet: bool,
) -> tuple[bool, int, float]:
    """Colour, ground and flatness of some images, evenly taken from all."""
    sample = readable[:: max(1, len(readable) // SAMPLE)].tolist()

    def look(places: range) -> list[tuple[bool, float | None, float]]:
        looks = []
        for place in sample[places.start : places.stop]:
            # What cannot be read is passed over: decoding will say so.
            with contextlib.suppress(DataError):
                looks.append(_second_look(sources[place], bool(grey[place])))
        return looks

    found = in_threads(look, len(sample), "looking", quiet=quiet)
    looks = [one for some in found for one in some]
    inks = [ink for _, ink, _ in looks if ink is not None]
    flats = [flat for _, _, flat in looks]
    vanishing = bool(inks) and float(np.median(inks)) > VANISHING
    return (
        any(color for color, _, _ in looks),
        0 if vanishing else 255,
        float(np.median(flats)) if flats else 0.0,
    )


def _second_look(source: Source, grey: bool) -> tuple[bool, float | None, float]:
    """Whether an image has colours, its ink's level on transparency, its flatness."""
    image = open_source(source, draft=LOOK)
    image.thumbnail((LOOK, LOOK))
    pixels = np.asarray(image).astype(np.int16)
    color, ink = False, None
    if image.mode == "RGBA":
        alpha = pixels[..., 3]
        if alpha.min() < 255 and alpha.max() > 0:
            ink = float(np.average(pixels[..., :3].mean(axis=2), weights=alpha))
        pixels = pixels[..., :3] * (alpha[..., None] > 0)
    if pixels.ndim == 3 and not grey:
        color = bool((pixels.max(axis=2) - pixels.min(axis=2) > NEARLY).any())
    return color, ink, flat_share(pixels)


def flat_share(pixels: NDArray[Any]) -> float:
    """The share of pixels, H,W or H,W,C, that are like their left neighbours."""
    wide = pixels.reshape(*pixels.shape[:2], -1).astype(np.int16)
    steps = np.abs(np.diff(wide, axis=1)).max(axis=2, initial=0)
    return float((steps <= 1).mean()) if steps.size else 1.0


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
