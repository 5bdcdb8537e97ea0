"""Reading one image file, whatever it is, as an upright image of 8 bits a channel."""

from __future__ import annotations

import io
import os
import stat
import threading
import warnings
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

# Pillow's own limit against files that unpack into all of the memory: 2 GiB / 12.
MAX_PIXELS = 178_956_970
WHOLE = 1 << 20  # bytes up to which a file is read at once, quicker than piece by piece
WITH_ALPHA = {"RGBA", "RGBa", "LA", "La", "PA"}
# EXIF's orientation: where height and width change places, and where the stored rows or
# columns run the other way.
ORIENTATION, SIDEWAYS = 0x0112, {5, 6, 7, 8}
UPWARD, LEFTWARD = {3, 4, 6, 7}, {2, 3, 7, 8}
WIDTH_AND_HEIGHT = 256, 257  # of TIFF


class _Silence:
    """Warnings off for the whole process while any thread decodes a file.

    The threads share one filter, so that they need not wait for each other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._filters.__exit__(None, None, None)


silence = _Silence()


def source_name(source: object) -> str:
    """What messages call an image: its file's name where it has one."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source) if isinstance(source, str) else str(source)
    for attribute in ("filename", "name"):
        name = getattr(source, attribute, None)
        if isinstance(name, str) and name:
            return name
    return "the image"


def read_image(
    source: str | os.PathLike[str] | bytes | BinaryIO | Image,
    draft: int | None = None,
) -> Image:
    """The image of a file as Pillow's mode L, RGB or RGBA, turned as EXIF says.

    The first frame of an animation; 16-bit values scaled by 255 / 65535; other values
    of 32 bits only if they lie in 0 ... 1, 0 ... 255 or 0 ... 65535. What Pillow only
    warns about is passed over.

    Arguments:
        source: a path, the content of a file, an open binary file or a Pillow image.
        draft: the pixels a side that are enough, where a quick look is wanted; a JPEG
            file is then decoded at a fraction of its size.

    Raises DataError, naming the file and the reason, for what is no readable image,
    and before memory is taken for one of more than 178,956,970 pixels.
    """
    from PIL.Image import Image

    name = source_name(source)
    if not isinstance(source, str | os.PathLike | bytes | Image) and not hasattr(
        source, "read"
    ):
        raise TypeError(
            "an image is given as a path, bytes, an open binary file or a Pillow "
            f"image, not as {type(source).__name__}"
        )
    with silence, _InWords(name):
        if isinstance(source, Image):
            return _normalised(source, name)
        with opened_file(source, name) as file, _identified(file, name) as image:
            if draft:
                image.draft(None, (draft, draft))
            return _normalised(image, name)


def read_size(file: BinaryIO, name: str) -> tuple[int, int]:
    """The (height, width) of an open image file as a person sees it; no pixel is read.

    Raises DataError as `read_image` does, but for damage in the pixels.
    """
    with silence, _InWords(name), _identified(file, name) as image:
        _check_size(image, name)
        width, height = image.size
        if image.format == "TIFF":  # whose size newer Pillows turn as they open it
            width, height = map(vars(image)["tag_v2"].get, WIDTH_AND_HEIGHT)
        # Asking a PNG for EXIF that it has not shown yet would read all of it.
        shown = "exif" in image.info or image.format == "TIFF"
        turned = shown and image.getexif().get(ORIENTATION) in SIDEWAYS
        return (width, height) if turned else (height, width)


def upright_size(stored: tuple[int, int], orientation: int) -> tuple[int, int]:
    """The (height, width) that a person sees of an image that is stored turned."""
    height, width = stored
    return (width, height) if orientation in SIDEWAYS else (height, width)


def as_stored(
    box: tuple[int, int, int, int], size: tuple[int, int], orientation: int
) -> tuple[int, int, int, int]:
    """Where a box of an upright image of (height, width) lies among the stored pixels.

    >>> as_stored((0, 0, 2, 5), (40, 30), 6)  # its top is the first stored column
    (25, 0, 30, 2)
    """
    top, left, bottom, right = box
    if top == bottom or left == right:
        return 0, 0, 0, 0
    height, width = upright_size(size, orientation)  # turning twice is no turning
    if orientation in SIDEWAYS:
        top, left, bottom, right = left, top, right, bottom
    if orientation in UPWARD:
        top, bottom = height - bottom, height - top
    if orientation in LEFTWARD:
        left, right = width - right, width - left
    return top, left, bottom, right


class _InWords:
    """Errors of every class, as decoders of damaged files raise them, become one."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, *__: object) -> None:
        if isinstance(error, MemoryError):
            raise DataError(f"{self._name} needs more memory than there is") from error
        if isinstance(error, Exception) and not isinstance(error, DataError):
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(
                f"{self._name} cannot be read as an image: {reason}"
            ) from error


def _identified(file: BinaryIO, name: str) -> ImageFile:
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(file)
    except UnidentifiedImageError as error:
        raise DataError(
            f"{name} is not an image file of a kind that Pillow reads"
        ) from error


def opened_file(
    source: str | os.PathLike[str] | bytes | BinaryIO, name: str
) -> BinaryIO:
    """A seekable file with at least one byte."""
    if isinstance(source, str | os.PathLike):
        file = _opened_path(source, name)
    else:
        content = source if isinstance(source, bytes) else source.read()
        if not isinstance(content, bytes):
            raise DataError(f"{name} was opened as text; open it with mode 'rb'")
        file = io.BytesIO(content)
    if not file.read(1):
        file.close()
        raise DataError(f"{name} is empty")
    file.seek(0)
    return file


def _opened_path(path: str | os.PathLike[str], name: str) -> BinaryIO:
    try:
        known = os.stat(path)
        if stat.S_ISDIR(known.st_mode):
            raise DataError(f"{name} is a folder; give the image files in it")
        if not stat.S_ISREG(known.st_mode):  # opening a pipe might wait for ever
            raise DataError(f"{name} is not a regular file")
        if known.st_size > WHOLE:
            return open(path, "rb")
        return io.BytesIO(_content(path, known.st_size))
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}") from error


def _content(path: str | os.PathLike[str], size: int) -> bytes:
    """The bytes of a small file; Python's own file objects take half as long again."""
    file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        content = os.read(file, size + 1)
        while len(content) != size and (more := os.read(file, WHOLE)):
            content += more  # it is growing, or comes in pieces
        return content
    finally:
        os.close(file)


def _normalised(image: Image, name: str) -> Image:
    _check_size(image, name)
    # PNG and PPM know no more than 16 bits; Pillow may hand these out as 32
    sixteen = image.mode.startswith("I;16") or image.format in {"PNG", "PPM"}
    image.load()  # which may find the turning behind the pixels
    if image.getexif().get(ORIENTATION, 1) != 1:
        from PIL import ImageOps

        image = ImageOps.exif_transpose(image)
    if image.mode[:1] in {"I", "F"}:
        return _eight_bits(np.asarray(image), sixteen, name)
    if image.mode in WITH_ALPHA or "transparency" in image.info:
        mode = "RGBA"
    else:
        mode = "L" if image.mode in {"1", "L"} else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _check_size(image: Image, name: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DataError(
            f"{name} has {width} x {height} pixels; read are at most {MAX_PIXELS:,}, "
            "make it smaller"
        )
    if not width or not height:
        raise DataError(f"{name} has no pixels, its size is {width} x {height}")


def _eight_bits(values: NDArray[Any], sixteen: bool, name: str) -> Image:
    """Grey values of 16 or 32 bits as a mode L image."""
    from PIL import Image

    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise DataError(f"{name} has pixels that are NaN or infinite")
    if low < 0 or high > 65535:
        raise DataError(
            f"{name} has pixel values from {low:g} to {high:g}; scale them to 0 ... 255"
        )
    if values.dtype.kind == "f" and high <= 1:
        scaled = np.rint(values * 255).astype(np.uint8)
    elif sixteen or high > 255:
        steps = np.rint(np.arange(65536) * (255 / 65535)).astype(np.uint8)
        scaled = steps[values.astype(np.uint16)]
    else:
        scaled = np.rint(values).astype(np.uint8)
    return Image.fromarray(scaled)
