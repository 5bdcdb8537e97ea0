"""From what users give to what the core reads: pixels or prepared values, and labels."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from ..arguments import shown
from ..errors import DataError, ShapeError, UsageError
from .arrays import PIXEL, Pixels, as_array, image_values, shaped_images
from .fitting import centred
from .preprocess import Preprocessing


@dataclass(frozen=True)
class InputRule:
    """What a network knows about its images.

    `floats` tells that it was trained on float arrays, whose origin it can't know.
    """

    input_shape: tuple[int, int, int]
    preprocessing: Preprocessing | None
    floats: bool

    @cached_property
    def pixel_table(self) -> _core.PixelTable:
        """What pixels become; made once.

        A network that has not seen any divides them by 255 and centres them on black.
        """
        height, width, channels = self.input_shape
        known = self.preprocessing or Preprocessing(
            image_size=(height, width),
            input_shape=self.input_shape,
            background=0,
            polarity="dark",
            mean=(0.0,) * channels,
            std=(1.0,) * channels,
        )
        table = known.pixel_table()
        fill = np.ascontiguousarray(table[:, known.background])
        return _core.PixelTable(table, fill, (height, width))


@dataclass(slots=True)  # frozen, it would take twice as long to make
class Images:
    """Images as the core reads them; `array` holds them N,H,W,C as they were given."""

    array: Pixels
    source: Any = field(repr=False)

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self.array)


def prepare(
    x: object,
    rule: InputRule,
    *,
    preprocessed: bool = False,
    invert: bool = False,
    what: str = "images",
) -> Images:
    """Check images against what the network knows and make them ready for the core.

    uint8 pixels must be of the training images' size; a network that has not seen any
    takes sizes up to its input and divides by 255. Floats must be of the input's shape
    and, where the network was trained on pixels, be declared `preprocessed`. `invert`
    turns dark and bright pixels. Raises ShapeError, DataError or UsageError.
    """
    array = checked(x, rule, preprocessed=preprocessed, invert=invert, what=what)
    return ready(array, rule, invert=invert, what=what)


def checked(
    x: object,
    rule: InputRule,
    *,
    preprocessed: bool = False,
    invert: bool = False,
    what: str = "images",
) -> NDArray[Any]:
    """Images N,H,W,C of which all is known to be right but that floats are finite.

    Nothing is read or copied, so that they may be mapped from a file larger than
    memory. Arguments and errors are those of `prepare`.
    """
    if invert is not False and not isinstance(invert, bool | np.bool_):
        raise UsageError(
            f"invert must be True or False for arrays, not {shown(invert)}; only image "
            "files are judged one by one, by predict_files."
        )
    array = as_array(x, what)
    if array.dtype != PIXEL:
        _check_floats(array, rule, preprocessed, invert, what)
        return shaped_images(array, rule.input_shape, what=what)
    if preprocessed:
        raise UsageError(
            f"{what} are uint8 pixels, which the network prepares itself; leave out "
            "preprocessed=True, or give float arrays."
        )
    known = rule.preprocessing
    if known is None and rule.floats:
        raise DataError(
            f"{what} are uint8 pixels but this network was trained on float arrays and "
            "cannot know how those were made from pixels; give floats made likewise."
        )
    height, width, channels = rule.input_shape
    size = known.image_size if known else (None, None)
    expected = (*size, channels)
    return shaped_images(array, expected, what=what, within=(height, width))


def ready(
    array: NDArray[Any],
    rule: InputRule,
    *,
    invert: bool = False,
    what: str = "images",
    first: int = 0,
) -> Images:
    """Make what `checked` gave, or images from `first` on of it, ready for the core.

    Raises DataError for floats that are NaN or infinite.
    """
    values = image_values(array, what=what, first=first)
    if values.dtype != PIXEL:
        return Images(values, values)
    pixels = cast("NDArray[np.uint8]", values)
    if invert:
        pixels = 255 - pixels
    offset = centred(pixels.shape[1:], rule.input_shape)
    return Images(pixels, _core.Pixels(pixels, rule.pixel_table, offset))


def mirrored(images: Images, rule: InputRule) -> Images:
    """Return prepared images with left and right exchanged."""
    array = np.ascontiguousarray(images.array[:, :, ::-1])
    return prepare(array, rule, preprocessed=array.dtype != np.uint8)


def _check_floats(
    array: NDArray[Any], rule: InputRule, preprocessed: bool, invert: bool, what: str
) -> None:
    if array.dtype.kind != "f":
        return  # shaped_images says what is wrong with it
    if rule.preprocessing is not None and not preprocessed:
        raise DataError(
            f"{what} are {array.dtype} but this network was trained on uint8 pixels; "
            "give uint8 pixels, or preprocessed=True if the values already are as "
            "network.preprocessing makes them."
        )
    if invert:
        raise UsageError(
            f"invert=True turns uint8 pixels, but {what} are {array.dtype}; turn them "
            "before they are prepared."
        )


def sample_weights(
    sample_weight: ArrayLike | None, count: int
) -> NDArray[np.float32] | None:
    """Check one weight for each image: finite, at least 0, not all 0."""
    if sample_weight is None:
        return None
    weights = as_array(sample_weight, "sample_weight")
    if weights.dtype.kind not in "fiu":
        raise DataError(f"sample_weight must be numbers but is {weights.dtype}.")
    if weights.shape != (count,):
        raise ShapeError(
            f"sample_weight must be one number an image, shape ({count},), but has "
            f"shape {weights.shape}."
        )
    checked = weights.astype(np.float32)
    total = float(checked.sum(dtype=np.float64))
    if not math.isfinite(total) or checked.min() < 0 or total == 0:
        raise DataError(
            "sample_weight must be finite, at least 0 and not 0 for all images, but "
            f"goes from {checked.min()} to {checked.max()}."
        )
    return checked
