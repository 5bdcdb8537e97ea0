"""Image files of a drawing, and how three networks know their images."""

import io
from dataclasses import replace

from PIL import Image, ImageDraw

from striate.images.preprocess import Preprocessing

DIGITS = Preprocessing((28, 28), (32, 32, 1), 0, "dark", (0.13,), (0.31,))
INK = replace(DIGITS, background=255, polarity="bright")
PHOTOS = Preprocessing((8, 8), (8, 8, 3), 70, "mixed", (0.5,) * 3, (0.25,) * 3)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def drawing(size, paper, ink, mode="L"):
    """A bar, upright, in the middle of a sheet."""
    width, height = size
    image = Image.new(mode, size, paper)
    box = (width * 0.4, height * 0.2, width * 0.6, height * 0.8)
    ImageDraw.Draw(image).rectangle(box, fill=ink)
    return image
