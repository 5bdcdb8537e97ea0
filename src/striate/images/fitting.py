"""How an image is brought to the training images' size, and what its background is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

Fit = Literal["pad", "crop", "stretch"]
Polarity = Literal["dark", "bright", "mixed"]
FITS: tuple[Fit, ...] = ("pad", "crop", "stretch")
POLARITIES: tuple[Polarity, ...] = ("dark", "bright", "mixed")
MODES = {1: "L", 3: "RGB"}  # Pillow's, by the number of channels
MIDDLE = 128
NEAR = 0.25  # of an image's range of greys
GAP = 3.0  # times the size to which large images are first averaged, which is quicker
FEW = 1 << 16  # pixels of an image up to which all are copied sooner than the border
TOGETHER = 1 << 18  # pixels of a set that are in memory at once
SLIVER = 1e-6  # of a pixel; so much of its edge is rounding, not seen
# A set has a polarity when so many of its images agree. Of drawn digits all do; of
# photographs of faces and of traffic signs 42 % and 56 %.
AGREEMENT = 0.9


def border_pixels(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The outermost pixels of (N, H, W, C) images, as (N, pixels, C)."""
    count, _, _, channels = images.shape
    inner = images[:, 1:-1]
    top, bottom = images[:, :1], images[:, 1:][:, -1:]
    left, right = inner[:, :, :1], inner[:, :, 1:][:, :, -1:]
    sides = (top, bottom, left, right)
    return np.concatenate([side.reshape(count, -1, channels) for side in sides], 1)


def pieces(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """The (N, H, W, C) images some at a time, so that copies of these stay small."""
    step = max(1, TOGETHER // (images.shape[1] * images.shape[2]))
    for start in range(0, len(images), step):
        yield images[start : start + step]


def polarity_of_set(images: NDArray[np.uint8]) -> Polarity:
    """The background that nearly all of (N, H, W, C) images have, or "mixed"."""
    counts = np.zeros(2)
    for piece in pieces(images):
        counts += [found.sum() for found in _backgrounds(piece, nearness=NEAR)]
    dark, bright = counts / len(images)
    if dark >= AGREEMENT:
        return "dark"
    return "bright" if bright >= AGREEMENT else "mixed"


def polarity_of_image(image: NDArray[np.uint8]) -> Polarity:
    """The background of one (H, W, C) image; "mixed" when that can't be told."""
    dark, bright = _backgrounds(image[np.newaxis], nearness=1.0)
    return "dark" if dark[0] else "bright" if bright[0] else "mixed"


def keeps_polarity(images: NDArray[np.uint8], polarity: Polarity) -> bool:
    """Whether no image of a set has, taken alone, the opposite of "dark" or "bright"."""
    for piece in pieces(images):
        dark, bright = _backgrounds(piece, nearness=1.0)
        if (bright if polarity == "dark" else dark).any():
            return False
    return True


def _backgrounds(
    images: NDArray[np.uint8], nearness: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of the images have a dark background, and which a bright one.

    The background is the border's median grey. Dark is one below 128, or in the darkest
    quarter of the image's own greys, with a content that is brighter on the average, and
    nearer to the image's darkest grey than `nearness` times its range of greys. Bright
    is the opposite: paper in the shade is darker than 128, yet brighter than its ink.
    """
    grey = images.mean(axis=3)
    level = np.median(border_pixels(images).mean(axis=2), axis=1)
    average, low, high = grey.mean((1, 2)), grey.min((1, 2)), grey.max((1, 2))
    reach = nearness * (high - low)
    quarter = NEAR * (high - low)
    below = (level < MIDDLE) | (level - low <= quarter)
    above = (level >= MIDDLE) | (high - level <= quarter)
    dark = below & (average > level) & (level - low <= reach)
    bright = above & (average < level) & (high - level <= reach)
    return dark, bright


def flatten(image: Image, background: int, keep_visible: bool) -> Image:
    """Lay an RGBA image on an opaque grey, so that it becomes RGB.

    With `keep_visible` a background that the ink would vanish on (both dark, or both
    bright) is turned: drawing programs save black strokes on nothing.
    """
    from PIL import Image, ImageStat

    alpha = image.getchannel("A")
    if keep_visible and alpha.getextrema() != (0, 0):
        ink = ImageStat.Stat(image.convert("L"), mask=alpha).mean[0]
        if (ink < MIDDLE) == (background < MIDDLE):
            background = 255 - background
    canvas = Image.new("RGB", image.size, (background,) * 3)
    canvas.paste(image.convert("RGB"), mask=alpha)
    return canvas


@dataclass(frozen=True)
class Placement:
    """Which part of an image fills which part of the size it is brought to.

    Both are boxes (top, left, bottom, right): `source` in the image's pixels, fractions
    of them where it is cropped, `target` in those of the result.
    """

    source: tuple[float, float, float, float]
    target: tuple[int, int, int, int]

    def back(self, box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """Return which pixels of the image a box of the result shows, outward.

        That is the area it covers, of which any part counts; resampling weighs in some
        pixels around it. (0, 0, 0, 0) where the box shows nothing of the image.
        """
        ends: list[tuple[int, int]] = []
        for axis in (0, 1):
            low, high = self.target[axis], self.target[axis + 2]
            start, end = self.source[axis], self.source[axis + 2]
            first, last = max(box[axis], low), min(box[axis + 2], high)
            if first >= last:
                return 0, 0, 0, 0
            scale = (end - start) / (high - low)
            ends.append(
                (
                    math.floor(start + (first - low) * scale + SLIVER),
                    math.ceil(start + (last - low) * scale - SLIVER),
                )
            )
        (top, bottom), (left, right) = ends
        return top, left, bottom, right


def placed(given: tuple[int, int], size: tuple[int, int], fit: Fit) -> Placement:
    """How an image of one (height, width) is brought to another.

    "pad" keeps the aspect and leaves room around it, "crop" keeps it and cuts off what
    is left over on both sides, "stretch" gives it up.

    >>> placed((100, 50), (32, 32), "pad").target
    (0, 8, 32, 24)
    >>> placed((100, 50), (32, 32), "crop").source
    (25.0, 0.0, 75.0, 50.0)
    """
    (height, width), (rows, columns) = given, size
    whole, all_of_it = (0.0, 0.0, float(height), float(width)), (0, 0, rows, columns)
    if fit == "stretch" or given == size:
        return Placement(whole, all_of_it)
    if fit == "pad":
        scale = min(columns / width, rows / height)
        inner = (
            min(rows, max(1, round(height * scale))),
            min(columns, max(1, round(width * scale))),
        )
        top, left = centred(inner, size)
        return Placement(whole, (top, left, top + inner[0], left + inner[1]))
    # As Pillow's ImageOps.fit has it, operation by operation: it rounds the same.
    ratio = columns / rows
    shown: tuple[float, float] = (height, width)
    if width / height > ratio:
        shown = (height, ratio * height)
    elif width / height < ratio:
        shown = (width / ratio, width)
    over_top, over_left = (height - shown[0]) * 0.5, (width - shown[1]) * 0.5
    source = (over_top, over_left, over_top + shown[0], over_left + shown[1])
    return Placement(source, all_of_it)


def centred(size: tuple[int, ...], room: tuple[int, ...]) -> tuple[int, int]:
    """(top, left) of a (height, width) in the middle of another one."""
    return (room[0] - size[0]) // 2, (room[1] - size[1]) // 2


def fit_image(image: Image, size: tuple[int, int], fit: Fit) -> Image:
    """Bring an L or RGB image to (height, width); one of that size stays as it is.

    `placed` says which part of it comes to lie where; what "pad" leaves free is filled
    up with the median colour of the image's own border. Made smaller with Hamming's
    filter, which puts no halos around strokes, larger with cubic convolution.
    """
    height, width = size
    if image.size == (width, height):
        return image
    from PIL import Image

    ratios = (width / image.width, height / image.height)
    smaller = (max if fit == "crop" else min)(ratios) < 1
    method = Image.Resampling.HAMMING if smaller else Image.Resampling.BICUBIC
    place = placed((image.height, image.width), size, fit)
    (top, left, bottom, right), target = place.source, place.target
    inner = (target[3] - target[1], target[2] - target[0])
    resized = image.resize(
        inner,
        method,
        (left, top, right, bottom),
        reducing_gap=None if fit == "crop" else GAP,
    )
    if inner == (width, height):
        return resized
    canvas = Image.new(image.mode, (width, height), _border_colour(image))
    canvas.paste(resized, (target[1], target[0]))
    return canvas


def fitted_image(image: Image, size: tuple[int, int], channels: int, fit: Fit) -> Image:
    """An L or RGB image of any size as one of (height, width) and 1 or 3 channels.

    Files are fitted by this alone, those that are trained on and those that a network
    answers, so that they come out the same.
    """
    if image.mode != MODES[channels]:
        image = image.convert(MODES[channels])
    return fit_image(image, size, fit)


def _border_colour(image: Image) -> Any:
    """The median of the border's pixels, channel by channel, as Pillow takes it."""
    width, height = image.size
    if width * height <= FEW:
        pixels = np.asarray(image).reshape(1, height, width, -1)
        border = border_pixels(pixels)[0]
    else:
        sides = (
            (0, 0, width, 1),
            (0, max(1, height - 1), width, height),
            (0, 1, 1, max(1, height - 1)),
            (max(1, width - 1), 1, width, max(1, height - 1)),
        )
        strips = b"".join(image.crop(side).tobytes() for side in sides)
        border = np.frombuffer(strips, np.uint8).reshape(-1, len(image.mode))
    ordered = np.sort(border, axis=0).astype(int)  # np.median is slow
    middle = ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]
    colour = (middle // 2).tolist()
    return colour[0] if len(colour) == 1 else tuple(colour)
