"""The learning-rate range test as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..colors import FIRST, SECOND, THIRD
from .figure import new_figure, plain_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..training.range_test import RangeTest


def rates_figure(test: RangeTest, title: str = "") -> Figure:
    """Draw loss against learning rate, with the rate the test suggests.

    Raises UsageError without matplotlib.
    """
    figure = new_figure(6.4, 4)
    axes = figure.subplots()
    if title:
        axes.set_title(title, fontsize="medium", parse_math=False)
    axes.plot(
        test.rates, test.losses, ".", color=THIRD, alpha=0.4, markersize=4, label="step"
    )
    axes.plot(test.rates, test.smoothed, color=FIRST, linewidth=2, label="smoothed")
    if test.suggestion is not None:
        axes.axvline(
            test.suggestion,
            color=SECOND,
            linestyle="--",
            label=f"suggested: {test.suggestion:.2g}",
        )
    axes.set_xscale("log")
    low, high = float(np.min(test.smoothed)), float(test.smoothed[0])
    room = max(high - low, 1e-3 * abs(high) + 1e-9)
    axes.set_ylim(low - 0.15 * room, high + 0.6 * room)
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss (cross-entropy)")
    axes.legend(frameon=False)
    plain_axes(axes)
    return figure
