"""What is done with each image by itself: it is looked at, or fitted.

A process that does no more than this imports no more than this module does.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..images.fitting import Fit, fitted_image, flatten
from ..images.imagefile import opened_file, read_image, read_size
from .listing import Source

if TYPE_CHECKING:
    from PIL.Image import Image

LOOK = 128  # pixels of the longest side at which an image is looked at
NEARLY = 12  # levels between the channels of a pixel that still looks grey
PIECE = 1 << 20  # bytes of a file in memory at once

Result = TypeVar("Result")
FirstLook = tuple[int, tuple[int, int]]
SecondLook = tuple[bool, float | None, float]


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

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of each image."""
        return (*self.size, self.channels)


def reader() -> tuple[object, ...]:
    """What decides how files are read: Pillow, and how the user's program has set it."""
    from PIL import Image, ImageFile, __version__

    return (
        __version__,
        Image.__file__,
        Image.MAX_IMAGE_PIXELS,
        ImageFile.LOAD_TRUNCATED_IMAGES,
    )


def open_source(source: Source, draft: int | None = None) -> Image:
    """An image of mode L, RGB or RGBA. Raises DataError where it cannot be read."""
    if isinstance(source, str):
        return read_image(source, draft)
    from PIL import Image

    return Image.fromarray(source[..., 0] if source.shape[2] == 1 else source)


def each(
    work: Callable[[Source], Result], sources: Sequence[Source]
) -> list[Result | DataError]:
    """What `work` gives for each image, or why it cannot be read."""
    found: list[Result | DataError] = []
    for source in sources:
        try:
            found.append(work(source))
        except DataError as error:
            # Not the error itself: its frames hold all that was read.
            found.append(DataError(str(error)))
    return found


def first_looks(_: int, sources: Sequence[Source]) -> list[FirstLook | DataError]:
    """Hash and (height, width) of each image."""
    return each(_first_look, sources)


def _first_look(source: Source) -> FirstLook:
    if not isinstance(source, str):
        digest = hashlib.blake2b(str(source.shape).encode(), digest_size=8)
        digest.update(np.ascontiguousarray(source).data)
        return _number(digest), source.shape[:2]
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
        return _number(digest), read_size(file, source)


def _number(digest: hashlib.blake2b) -> int:
    return int.from_bytes(digest.digest(), "little")


def second_looks(_: int, sources: Sequence[Source]) -> list[SecondLook | DataError]:
    """Of each image: whether it has colours, its ink's level on transparency, and its
    flatness."""
    return each(_second_look, sources)


def _second_look(source: Source) -> SecondLook:
    image = open_source(source, draft=LOOK)
    image.thumbnail((LOOK, LOOK))
    pixels = np.asarray(image).astype(np.int16)
    color, ink = False, None
    if image.mode == "RGBA":
        alpha = pixels[..., 3]
        if alpha.min() < 255 and alpha.max() > 0:
            ink = float(np.average(pixels[..., :3].mean(axis=2), weights=alpha))
        pixels = pixels[..., :3] * (alpha[..., None] > 0)
    if pixels.ndim == 3:
        color = bool((pixels.max(axis=2) - pixels.min(axis=2) > NEARLY).any())
    return color, ink, flat_share(pixels)


def flat_share(pixels: NDArray[Any]) -> float:
    """The share of pixels, H,W or H,W,C, that are like their left neighbours."""
    wide = pixels.reshape(*pixels.shape[:2], -1).astype(np.int16)
    steps = np.abs(np.diff(wide, axis=1)).max(axis=2, initial=0)
    return float((steps <= 1).mean()) if steps.size else 1.0


def write_rows(
    path: Path, start: int, fitting: Fitting, first: int, sources: Sequence[Source]
) -> list[DataError | None]:
    """Write images to a file whose rows begin at `start`, the first to the row `first`.

    Returns why an image cannot be read, whose row is zeros, or None.
    """
    length = math.prod(fitting.shape)
    rows = each(partial(_row, fitting), sources)
    whole = [bytes(length) if isinstance(row, DataError) else row for row in rows]
    with path.open("r+b") as file:
        file.seek(start + first * length)
        file.write(b"".join(whole))
    return [row if isinstance(row, DataError) else None for row in rows]


def _row(fitting: Fitting, source: Source) -> bytes:
    image = open_source(source)
    if image.mode == "RGBA":
        image = flatten(image, fitting.ground, False)
    return fitted_image(image, fitting.size, fitting.channels, fitting.fit).tobytes()
