"""The worst mistakes: the images a network was most sure of and wrong about."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..colors import THIRD
from .figure import new_figure, safe_name
from .pixels import draw_pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_IMAGES = 24
_COLUMNS = 6


def mistakes_sheet(
    images: NDArray[np.uint8],
    labels: Sequence[object],
    answers: Sequence[object],
    probabilities: Sequence[float],
    title: str = "",
    names: Sequence[str] = (),
) -> Figure:
    """Draw images, each with its true class, the answer and how sure, and its name.

    Arguments:
        images: uint8 N,H,W,C of one channel or of red, green and blue; of any other
            number of channels the mean is drawn. N from 1 to 24.
        labels, answers, probabilities: N of each.
        names: what the images are called, N or none.

    Raises UsageError without matplotlib.
    """
    columns = min(_COLUMNS, len(images))
    rows = math.ceil(len(images) / columns)
    height, width = images.shape[1:3]
    tall = min(max(height / width, 0.5), 2.0)
    line = 0.7 if names else 0.45  # inches of words above and below an image
    figure = new_figure(max(1.7 * columns, 4), rows * (1.5 * tall + line) + 0.3)
    figure.set_layout_engine("constrained", h_pad=0.08)  # a name is its own image's
    if title:
        figure.suptitle(title, fontsize="medium", parse_math=False)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, image, label, answer, probability in zip(
        grid.flat, images, labels, answers, probabilities, strict=False
    ):
        draw_pixels(axes, image)
        axes.set_title(
            f"{safe_name(label)}\n→ {safe_name(answer, 15)}, {100 * probability:.0f} %",
            fontsize="small",
            parse_math=False,
        )
    for axes, name in zip(grid.flat, names, strict=False):
        axes.text(
            0.5,
            -0.03,
            safe_name(name, 24),
            transform=axes.transAxes,
            ha="center",
            va="top",
            fontsize="x-small",
            color=THIRD,
            parse_math=False,
        )
    return figure
