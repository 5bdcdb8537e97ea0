"""What happens to pixels before the first layer; it travels inside every model file."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ..arguments import shown
from ..errors import DataError, ShapeError
from .fitting import (
    FITS,
    MODES,
    POLARITIES,
    Fit,
    Polarity,
    border_pixels,
    centred,
    fitted_image,
    flatten,
    keeps_polarity,
    placed,
    polarity_of_image,
    polarity_of_set,
)

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_SIDE = 1 << 16
LARGEST = 1e12  # of mean and 1 / std, so that the pixel table stays finite
SAMPLE = 1000  # images whose borders are looked at
CHUNK = 1 << 18  # pixels that are counted at once, 8 bytes each


@dataclass(frozen=True)
class Preprocessing:
    """How uint8 images and image files become what a network takes.

    Pixels become (pixel / 255 - mean) / std, channel by channel. Images smaller than
    the network's input are centred in it; files are first fitted to `image_size`.

    Arguments:
        image_size: (height, width) of the training images, in pixels.
        input_shape: (height, width, channels) of the network's input.
        background: the pixel value, 0 to 255, of what surrounds a smaller image.
        polarity: the background of the training images: "dark", "bright" or "mixed".
        mean: of pixel / 255 over the training images, one a channel.
        std: its standard deviation, likewise.
        fit: how files of another size are fitted, "pad", "crop" or "stretch".
        ground: the grey value, 0 to 255, on which files that are partly transparent
            were laid for training; None where no files were read for it.

    Raises ValueError for values that mean nothing.
    Source: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner 1998, section II.B: digits
    centred in a larger field, inputs of mean 0 and variance 1.

    >>> images = np.zeros((2, 28, 28, 1), np.uint8)
    >>> images[:, 7:21, 7:21] = 255
    >>> known = Preprocessing.measure(images, (32, 32, 1))
    >>> known.offset, known.polarity, known.mean
    ((2, 2), 'dark', (0.25,))
    """

    image_size: tuple[int, int]
    input_shape: tuple[int, int, int]
    background: int
    polarity: Polarity
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fit: Fit = "pad"
    ground: int | None = None

    def __post_init__(self) -> None:
        _require_integers("image_size", self.image_size, 2, 1, MAX_SIDE)
        _require_integers("input_shape", self.input_shape, 3, 1, MAX_SIDE)
        _require_integers("background", (self.background,), 1, 0, 255)
        if self.ground is not None:
            _require_integers("ground", (self.ground,), 1, 0, 255)
        if self.fit not in FITS:
            raise ValueError(f"fit must be one of {FITS} but is {self.fit!r}")
        if self.polarity not in POLARITIES:
            raise ValueError(
                f"polarity must be one of {POLARITIES} but is {self.polarity!r}"
            )
        _require_numbers("mean", self.mean, self.channels, -LARGEST, LARGEST)
        _require_numbers("std", self.std, self.channels, 1 / LARGEST, LARGEST)
        _require_room(self.image_size, self.input_shape)

    @property
    def channels(self) -> int:
        """The number of channels, of the images as of the network's input."""
        return self.input_shape[2]

    @property
    def offset(self) -> tuple[int, int]:
        """(top, left) pixels of background before an image centred in the input."""
        return centred(self.image_size, self.input_shape)

    @classmethod
    def measure(
        cls,
        images: NDArray[np.uint8],
        input_shape: tuple[int, int, int],
        *,
        fit: Fit = "pad",
        ground: int | None = None,
    ) -> Self:
        """Take all settings from the training images.

        With `ground` they were read from files. Then any such file becomes again the
        pixels that were trained on: their polarity counts only if all have it. Sums are exact integers, so that mean and std are the same on every machine.
        The std of a channel that is constant is taken as 1.

        Arguments:
            images: uint8 pixels, shape (N, H, W, C), at least one image.
            input_shape: (height, width, channels) of the network's input.
            fit: how the images were fitted, and files shall be.
            ground: what transparent files were laid on, if the images were files.

        Raises ShapeError when the images don't fit into the input.
        """
        _, height, width, channels = images.shape
        if channels != input_shape[2]:
            raise ShapeError(
                f"the network takes {input_shape[2]} channels but the training images "
                f"have {channels}; give it input_shape=(..., ..., {channels})"
            )
        _require_room((height, width), input_shape)
        mean, std = zip(
            *(_moments(images[..., channel]) for channel in range(channels)),
            strict=True,
        )
        sample = images[:: max(1, len(images) // SAMPLE)]
        polarity = polarity_of_set(sample)
        files = ground is not None and polarity != "mixed"
        if files and not keeps_polarity(images, polarity):
            polarity = "mixed"
        return cls(
            image_size=(height, width),
            input_shape=input_shape,
            background=int(np.median(border_pixels(sample))),
            polarity=polarity,
            mean=mean,
            std=std,
            fit=fit,
            ground=ground,
        )

    def pixel_table(self) -> NDArray[np.float32]:
        """What each pixel value becomes: float32, shape (C, 256)."""
        pixels = np.arange(256) / 255
        mean, std = np.array(self.mean), np.array(self.std)
        table: NDArray[np.float64] = (pixels - mean[:, None]) / std[:, None]
        return table.astype(np.float32)

    def load_image(
        self,
        source: str | os.PathLike[str] | bytes | BinaryIO | Image,
        invert: bool | Literal["auto"] = "auto",
    ) -> tuple[NDArray[np.uint8], str | None]:
        """Read an image file as the training images were: size, channels, polarity.

        What is transparent is laid on `ground`. Without one it gets the training
        images' background, or its opposite where the drawing would vanish on it.

        Arguments:
            source: a path, the content of a file, an open binary file or a Pillow
                image.
            invert: True turns dark and bright, "auto" does so when the training
                images have one background and the file has the other.

        Returns uint8 pixels of shape (H, W, C), and a note for the user when the
        file's background is not that of the training images.
        Raises DataError, naming the file, when it can't be used.
        """
        from .imagefile import read_image, source_name

        if invert not in ("auto", True, False):
            raise ValueError(f"invert must be True, False or 'auto', not {invert!r}")
        if self.channels not in MODES:
            raise DataError(
                f"{source_name(source)} has 1 or 3 channels, as all image files, but "
                f"the network takes {self.channels}; give it arrays instead"
            )
        image = read_image(source)
        if image.mode == "RGBA":
            ground = self.background if self.ground is None else self.ground
            if invert != "auto":
                image = flatten(image, 255 - ground if invert else ground, False)
            else:
                visible = self.ground is None and self.polarity != "mixed"
                image = flatten(image, ground, visible)
        image = fitted_image(image, self.image_size, self.channels, self.fit)
        pixels = np.array(image).reshape(*self.image_size, self.channels)
        return self._turn(pixels, invert)

    def _turn(
        self, pixels: NDArray[np.uint8], invert: bool | Literal["auto"]
    ) -> tuple[NDArray[np.uint8], str | None]:
        if invert not in ("auto", False):
            return 255 - pixels, None
        found = polarity_of_image(pixels)
        if found == self.polarity or "mixed" in (found, self.polarity):
            return pixels, None
        note = f"its background is {found}, that of the training images {self.polarity}"
        if invert == "auto":
            return 255 - pixels, f"{note}: inverted"
        return pixels, f"{note}: kept as it is"

    def file_box(
        self,
        box: Sequence[int],
        file_size: tuple[int, int],
        orientation: int = 1,
    ) -> tuple[int, int, int, int]:
        """Return which pixels of an image file a box of the network's input shows.

        This goes back through centring, padding, cropping and scaling, with boxes as
        `ReceptiveField.box` gives them: half-open (top, left, bottom, right). The result
        is the area of the file that the box covers, whole pixels outward, clipped to
        the file; (0, 0, 0, 0) where all of the box is background. Resampling lets
        pixels around it weigh in: as far again as a pixel of the input is wide where
        the file is made smaller, two of the file's pixels where it is enlarged.

        Arguments:
            box: in pixels of the network's input; may reach beyond it.
            file_size: (height, width) of the file in pixels, or of an array.
            orientation: the file's EXIF orientation, if rows and columns are to be
                counted as its pixels are stored; then `file_size` is too. Else both are
                those of the upright image.

        Raises ValueError for what is no box or no size.

        >>> known = Preprocessing((28, 28), (32, 32, 1), 0, "dark", (0.1,), (0.3,))
        >>> known.file_box((8, 8, 22, 22), (280, 140))
        (60, 0, 200, 130)
        >>> known.file_box((8, 0, 22, 8), (280, 140))
        (0, 0, 0, 0)
        """
        from .imagefile import as_stored, upright_size

        edges = _whole_numbers("box", box, 4, "(top, left, bottom, right)")
        stored = _whole_numbers("file_size", file_size, 2, "(height, width)")
        if edges[0] > edges[2] or edges[1] > edges[3]:
            raise ValueError(
                f"box must be (top, left, bottom, right), top at most bottom and left "
                f"at most right, but is {edges}"
            )
        if min(stored) < 1:
            raise ValueError(f"file_size must be at least 1 x 1 but is {stored}")
        size = upright_size((stored[0], stored[1]), orientation)
        top, left = self.offset
        place = placed(size, self.image_size, self.fit)
        seen = place.back(
            (edges[0] - top, edges[1] - left, edges[2] - top, edges[3] - left)
        )
        return as_stored(seen, size, orientation)

    def to_config(self) -> dict[str, Any]:
        """The settings in what JSON knows; `from_config` reads them back."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_config(cls, config: object) -> Self:
        """Settings from a model file, which may hold anything.

        Raises ValueError, saying what is wrong with them.

        >>> known = Preprocessing((8, 8), (8, 8, 1), 0, "dark", (0.5,), (0.25,))
        >>> Preprocessing.from_config(known.to_config()) == known
        True
        """
        names = [field.name for field in fields(cls)]
        if isinstance(config, dict):
            config = {"ground": None, **config}  # unknown to the first model files
        if not isinstance(config, dict) or sorted(config) != sorted(names):
            raise ValueError(f"preprocessing must consist of {', '.join(names)}")
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in config.items()
        }
        return cls(**values)


def _moments(pixels: NDArray[np.uint8]) -> tuple[float, float]:
    """Mean and standard deviation of pixel / 255, rounded once from exact values."""
    counts = np.zeros(256, np.int64)
    step = max(1, CHUNK // math.prod(pixels.shape[1:]))
    for start in range(0, len(pixels), step):
        chunk = pixels[start : start + step].reshape(-1)
        counts += np.bincount(chunk, minlength=256)
    numbers = counts.tolist()
    n = sum(numbers)
    total = sum(value * count for value, count in enumerate(numbers))
    squares = sum(value**2 * count for value, count in enumerate(numbers))
    spread = n * squares - total**2  # n^2 times the variance
    return total / (255 * n), math.sqrt(spread / (255 * n) ** 2) if spread else 1.0


def _require_room(size: tuple[int, int], input_shape: tuple[int, int, int]) -> None:
    (height, width), (rows, columns, _) = size, input_shape
    if height > rows or width > columns:
        raise ShapeError(
            f"training images of {height}x{width} pixels don't fit into the network's "
            f"input of {rows}x{columns}; make them smaller or the input larger"
        )


def _whole_numbers(name: str, values: object, count: int, form: str) -> list[int]:
    """Python's or NumPy's whole numbers, so many of them, as ints."""
    try:
        numbers = [operator.index(value) for value in values]  # type: ignore[attr-defined]
    except TypeError:
        numbers = []
    if len(numbers) != count:
        raise ValueError(
            f"{name} must be {count} whole numbers {form} but is {shown(values)}"
        )
    return numbers


def _require_integers(
    name: str, values: object, count: int, low: int, high: int
) -> None:
    if (
        not isinstance(values, tuple)
        or len(values) != count
        or not all(type(value) is int and low <= value <= high for value in values)
    ):
        shown = values[0] if count == 1 and isinstance(values, tuple) else values
        what = "an integer" if count == 1 else f"{count} integers"
        raise ValueError(f"{name} must be {what} from {low} to {high} but is {shown!r}")


def _require_numbers(
    name: str, values: object, count: int, low: float, high: float
) -> None:
    if (
        not isinstance(values, tuple)
        or len(values) != count
        or not all(type(value) in (int, float) for value in values)
        or not all(low <= value <= high for value in values)
    ):
        raise ValueError(
            f"{name} must be {count} numbers, one a channel, from {low:g} to {high:g} "
            f"but is {values!r}"
        )
