"""Arrays as pictures inside of a page: data URIs, which need no other file."""

from __future__ import annotations

import io
from base64 import b64encode
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..colors import FIRST, SECOND, rgb
from ..explain.pixels import Pixels
from ..markup import Markup, leaf

_PHOTOGRAPH = 32  # pixels a side from which colour pictures are stored as JPEG
_DARK = 110  # mean grey level below which a picture is shown as its negative


def uri(pixels: Pixels) -> str:
    """Return the address of a picture H,W or H,W,C that holds the picture itself."""
    pixels = drawable(pixels)
    image, content = Image.fromarray(pixels), io.BytesIO()
    if image.mode == "RGB" and min(image.size) >= _PHOTOGRAPH:
        image.save(content, "JPEG", quality=85)
        kind = "jpeg"
    else:
        image.save(content, "PNG", optimize=True)
        kind = "png"
    return f"data:image/{kind};base64,{b64encode(content.getvalue()).decode()}"


def picture(pixels: Pixels, alt: str, longest: float, class_: str = "px") -> Markup:
    """Show a picture so that its longer side takes so many pixels of the page.

    `alt` says what it shows to those who do not see it, "" where words beside it do.
    """
    scale = longest / max(pixels.shape[:2])
    width, height = (max(1, round(scale * pixels.shape[axis])) for axis in (1, 0))
    return leaf(
        "img", class_=class_, src=uri(pixels), alt=alt, width=width, height=height
    )


def drawable(pixels: Pixels) -> Pixels:
    """Return pixels H,W for grey or H,W,3; of other numbers of channels the mean."""
    if pixels.ndim == 3 and pixels.shape[2] != 3:
        mean: Pixels = pixels.mean(axis=2).round().astype(np.uint8)
        return mean
    return np.ascontiguousarray(pixels)


def at_most(pixels: Pixels, longest: int) -> Pixels:
    """Return a picture made smaller, where one of its sides is longer than that."""
    pixels = drawable(pixels)
    if max(pixels.shape[:2]) <= longest:
        return pixels
    image = Image.fromarray(pixels)
    image.thumbnail((longest, longest), Image.Resampling.BOX)
    return np.asarray(image)


def on_picture(pixels: Pixels, values: NDArray[Any], root: bool = False) -> Pixels:
    """Lay values H,W over a faint picture: orange where above 0, blue where below.

    The largest magnitude has the full colour, others their share of it, or with `root`
    the root of that, which brings out single pixels. Of a dark picture the negative is
    drawn, so that the colours stand on white.
    """
    grey = drawable(pixels).astype(np.float64)
    grey = grey.mean(axis=2) if grey.ndim == 3 else grey
    grey = 255 - grey if grey.mean() < _DARK else grey
    faint = np.repeat((145 + 110 * grey / 255)[..., None], 3, axis=2)
    shares = np.nan_to_num(values, posinf=0, neginf=0)
    shares = shares / max(float(np.abs(shares).max()), 1e-30)
    strength = (np.sqrt(np.abs(shares)) if root else np.abs(shares))[..., None]
    ends = np.where(shares[..., None] > 0, rgb(SECOND), rgb(FIRST))
    mixed: Pixels = np.rint(faint + 0.9 * strength * (ends - faint)).astype(np.uint8)
    return mixed
