"""Images on axes as they are: grey or in colour, their pixels as squares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

_COARSE = 96  # pixels a side up to which every pixel is drawn as a square


def draw_pixels(
    axes: Axes,
    image: NDArray[np.uint8],
    extent: tuple[float, float, float, float] | None = None,
    **others: Any,
) -> AxesImage:
    """Draw uint8 pixels H,W,C on axes, C being 1, or 3 for red, green and blue.

    Of any other number of channels the mean is drawn. `extent` and `others` are those of
    matplotlib's `imshow`.
    """
    return axes.imshow(
        image if image.shape[2] == 3 else image.mean(axis=2),
        cmap="gray",
        vmin=0,
        vmax=255,
        extent=extent,
        interpolation=interpolation(image.shape),
        **others,
    )


def interpolation(shape: tuple[int, ...]) -> str:
    """Return how pixels H,W or H,W,C are drawn: as squares unless there are many."""
    return "nearest" if max(shape[:2]) <= _COARSE else "antialiased"
