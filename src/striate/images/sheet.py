"""A contact sheet: many small images on one page, with a word under each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ShapeError

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage
    from PIL.ImageFont import FreeTypeFont, ImageFont

    Font = FreeTypeFont | ImageFont

MARGIN, GAP, CAPTION = 16, 8, 22  # pixels around the page, between cells, for words
LETTERS, TITLE = 13, 18  # sizes of the fonts, in pixels
PAPER, FRAME, INK = (255, 255, 255), (205, 205, 205), (40, 40, 40)


def contact_sheet(
    images: Sequence[NDArray[np.uint8] | None],
    captions: Sequence[str],
    columns: int,
    cell: int = 96,
    title: str = "",
) -> PillowImage:
    """Draw images row by row into square cells, each with its caption beneath.

    Small images are enlarged by whole factors, so that their pixels stay crisp; large
    ones are made smaller. A caption runs on under the cells to its right whose captions
    are empty, and is cut off with an ellipsis where it would meet the next one.

    Arguments:
        images: uint8 pixels of any sizes, each of shape (H, W, 1) or (H, W, 3); None
            leaves a cell empty.
        captions: one for each image; "" for none. Without any word no room is left.
        columns: cells in a row, at least 1.
        cell: width and height of a cell, in pixels.
        title: a line above all; none if empty.

    Returns an RGB image. Raises ShapeError for images of another shape, and ValueError
    where there are none, or not as many captions.

    >>> digits = [np.full((28, 28, 1), 9, np.uint8)] * 5
    >>> contact_sheet(digits, [""] * 5, columns=3, cell=56).size
    (216, 152)
    """
    from PIL import Image, ImageDraw

    if not images or len(images) != len(captions) or columns < 1 or cell < 1:
        raise ValueError(
            "a contact sheet needs images, as many captions, and columns and cell of "
            f"at least 1, but gets {len(images)} images, {len(captions)} captions, "
            f"columns={columns} and cell={cell}"
        )
    rows = -(-len(images) // columns)
    words = CAPTION if any(captions) else 0
    top = MARGIN + (TITLE + MARGIN if title else 0)
    size = (
        2 * MARGIN + columns * (cell + GAP) - GAP,
        top + rows * (cell + words + GAP) - GAP + MARGIN,
    )
    page = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(page)
    if title:
        font = _font(TITLE)
        draw.text(
            (MARGIN, MARGIN), _shortened(title, font, size[0] - 2 * MARGIN), INK, font
        )
    font = _font(LETTERS)
    for index, (pixels, caption) in enumerate(zip(images, captions, strict=True)):
        row, column = divmod(index, columns)
        x = MARGIN + column * (cell + GAP)
        y = top + row * (cell + words + GAP)
        if pixels is not None:
            picture = _in_cell(pixels, cell)
            left = x + (cell - picture.width) // 2
            upper = y + (cell - picture.height) // 2
            page.paste(picture, (left, upper))
            corners = left - 1, upper - 1, left + picture.width, upper + picture.height
            draw.rectangle(corners, outline=FRAME)
        if caption:
            free = 1
            while column + free < columns and not "".join(
                captions[index + free : index + free + 1]
            ):
                free += 1
            room = free * (cell + GAP) - GAP
            draw.text((x, y + cell + 3), _shortened(caption, font, room), INK, font)
    return page


def _in_cell(pixels: NDArray[np.uint8], cell: int) -> PillowImage:
    from PIL import Image

    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        raise ShapeError(
            "images of a contact sheet must be H,W,1 or H,W,3 but one is "
            f"{'x'.join(map(str, pixels.shape))}"
        )
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    picture = picture.convert("RGB")
    longest = max(picture.size)
    if longest <= cell:
        factor = cell // longest
        size = picture.width * factor, picture.height * factor
        return picture.resize(size, Image.Resampling.NEAREST)
    picture.thumbnail((cell, cell), Image.Resampling.LANCZOS)
    return picture


def _font(size: int) -> Font:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _shortened(text: str, font: Font, room: int) -> str:
    """The text on one line, or as much of it as fits with an ellipsis."""
    text = " ".join(text.split())
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(f"{text}...") > room:
        text = text[:-1]
    return f"{text.rstrip()}..."
