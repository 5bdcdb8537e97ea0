"""What shifts of the images do to a network, as curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..colors import FIRST, SECOND, THIRD
from ..spread import spread
from .figure import new_figure, plain_axes, safe_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..engine.weights import Doubles
    from ..explain.distances import LayerShift
    from ..explain.shift import ShiftResponse

_TITLES = (
    *("right answers", "change of features"),
    *("the same, maps moved along", "change of maps' maxima"),
)
_MOST_LAYERS = 12  # curves that can be told apart


def shift_figure(responses: Mapping[str, ShiftResponse], title: str = "") -> Figure:
    """Draw one or two networks' responses to shifts, by name.

    Accuracy of all of them; then for each, by layer, the change of features, what of it
    is left after moving the maps along, and the change of each map's maximum. Of more
    than 12 layers as many are drawn, evenly spaced. Raises UsageError without
    matplotlib.
    """
    figure = new_figure(12, 0.6 + 3.1 * len(responses))
    if title:
        figure.suptitle(title, fontsize="medium", parse_math=False)
    grid = figure.subplots(len(responses), 4, squeeze=False, sharex=True)
    colors = (FIRST, SECOND)
    for row, (name, response) in zip(grid, responses.items(), strict=True):
        for (other, shown), color in zip(responses.items(), colors, strict=False):
            _answers(row[0], shown, safe_name(other, 28), color, other == name)
        layers = spread(response.layers, _MOST_LAYERS)
        for axes, part in zip(
            row[1:], ("change", "moved_along", "maximum"), strict=True
        ):
            _layers(axes, response, layers, part)
        row[0].set_ylabel(safe_name(name, 28), fontsize="medium", parse_math=False)
        if row[0].lines:
            row[0].legend(frameon=False, fontsize="x-small")
        named = [line for line in row[1].lines if line.get_label()[0] != "_"]
        row[3].legend(
            handles=named,
            frameon=False,
            fontsize="x-small",
            loc="upper left",
            bbox_to_anchor=(1, 1),
        )
    for axes, what in zip(grid[0], _TITLES, strict=True):
        axes.set_title(what, fontsize="medium")
    highest = max(axes.get_ylim()[1] for row in grid for axes in row[1:])
    for row in grid:
        for axes in row[1:]:
            axes.set_ylim(0, highest)
    for axes in grid[-1]:
        axes.set_xlabel("shift in pixels, mean of 4 directions")
    return figure


def _answers(
    axes: Axes, response: ShiftResponse, name: str, color: str, strong: bool
) -> None:
    from matplotlib.ticker import PercentFormatter

    if response.accuracy is not None:
        axes.plot(
            response.pixels,
            response.accuracy,
            "o-" if strong else "--",
            color=color,
            markersize=4,
            label=name,
        )
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.set_ylim(0, 1.02)
    plain_axes(axes)


def _layers(
    axes: Axes, response: ShiftResponse, layers: list[LayerShift], part: str
) -> None:
    from matplotlib import colormaps

    shades = colormaps["viridis"](np.linspace(0, 0.9, len(layers)))
    for layer, shade in zip(layers, shades, strict=True):
        values: Doubles = getattr(layer, part)
        if not np.isnan(values).all():
            style = "--" if layer.name == "input" else "-"
            axes.plot(response.pixels, values, style, color=shade, label=layer.name)
    axes.axhline(1, color=THIRD, linewidth=0.8, linestyle=":")
    plain_axes(axes)
