"""What units look for and put out: filters, feature maps and patches as pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..arguments import spell, whole_number
from ..colors import GRID, THIRD
from ..errors import UsageError
from ..explain.filters import filter_pictures, filtering_layer, map_pictures
from ..explain.pixels import Pixels, input_pixels
from ..receptive import receptive_field
from ..resolve import find_layer
from .figure import new_figure
from .pixels import draw_pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..explain.patches import TopPatches
    from ..network import Network

Cell = tuple[Pixels, str, float]
"""A picture (H, W, C), the words below it, and how much of a cell's side it takes."""

MOST_PICTURES = 64
"""Filters or maps in one figure; 512 would be too small to see or too many to read."""

MOST_ROWS = 12
"""Feature maps in a figure of patches."""

# Inches: of a figure's edge, between cells, of a line of words, of the title's lines.
_EDGE, _GAP, _LINE, _TITLE = 0.15, 0.12, 0.12, 0.2
_NARROWEST = 5.5  # so that a title has room above a single map
_WORDS, _HEADING = 6.5, 10  # points


def filters_figure(
    network: Network, layer: str | int | None = None, most: int = MOST_PICTURES
) -> Figure:
    """Draw a layer's filters, or the first `most` of them, as `filter_pictures` has them.

    Raises UsageError for layers without filters, and without matplotlib.
    """
    one = filtering_layer(network, layer)
    most = whole_number("filters_figure", "most", most)
    pictures = filter_pictures(network, one.name)
    cells = [(picture, f"{at}", 1.0) for at, picture in enumerate(pictures[:most])]
    shape = network.weights[f"{one.name}.weight"].shape
    size = spell((*shape[2:], shape[1])) if len(shape) == 4 else f"{shape[1]} weights"
    title = [
        f"{one.name}: {_counted(len(pictures), most, 'filter')} of {size}",
        f"{_sees(network, one.name)}; grey is a weight of 0",
    ]
    return _sheet(_rows(cells), title, 0.8)


def maps_figure(
    network: Network,
    image: object,
    layer: str | int,
    most: int = MOST_PICTURES,
    *,
    preprocessed: bool = False,
    invert: bool = False,
) -> Figure:
    """Draw one image, H,W,C or H,W, and what a layer makes of it, or the first `most`.

    Maps are as `map_pictures` has them, each on a scale of its own, whose end stands
    below it. Raises UsageError without matplotlib, and what `Network.activations` raises.
    """
    one = find_layer(network.resolved, layer)
    most = whole_number("maps_figure", "most", most)
    images = np.asarray(image)[None]
    kind = {"preprocessed": preprocessed, "invert": invert}
    activations = network.activations(images, one.name, **kind)[0]
    pictures = map_pictures(activations, one_scale=False)
    finite = np.nan_to_num(activations, posinf=0, neginf=0)
    low, high = float(finite.min()), float(finite.max())
    ends = np.abs(finite).reshape(-1, len(pictures)).max(axis=0)
    sign, zero = ("±", "mid-grey") if low < 0 else ("to ", "black")
    cells = [(input_pixels(network, images, **kind)[0], "image", 1.0)]
    for at, picture in enumerate(pictures[:most]):
        cells.append((picture, f"{at}   {sign}{ends[at]:.3g}", 1.0))
    word, size = "unit", ""
    if len(one.output_shape) == 3:
        word, size = "map", f" of {spell(one.output_shape[:2])}"
    numbers = f"from {low:.3g} to {high:.3g}"
    title = [
        f"{one.name}: {_counted(len(pictures), most, word)}{size}, {numbers}",
        f"{_sees(network, one.name)}; {zero} is 0, and each has its own scale",
    ]
    if not np.isfinite(activations).all():
        title[1] += "; what is no finite number is drawn as 0"
    return _sheet(_rows(cells), title, 0.9)


def patches_figure(
    top: TopPatches,
    crops: Sequence[Sequence[Pixels]],
    maps: Sequence[int] | None = None,
) -> Figure:
    """Draw for feature maps, one a row, the patches that fire them most.

    Arguments:
        top: what `top_patches` found for a layer.
        crops: its `crops`, or `crops_from_files`.
        maps: which maps; by default the first twelve, which the title says.

    Below each patch stand the activation, the number of the image and the box in the
    network's input, as [rows, columns]. Raises UsageError for maps there are not, and
    without matplotlib.
    """
    count = len(top.images)
    shown = list(range(min(count, MOST_ROWS))) if maps is None else list(maps)
    for at in shown:
        if not 0 <= at < count:
            raise UsageError(
                f"there is no map {at} in {top.layer}; its {count} are counted from 0."
            )
    boxes = top.boxes[shown]
    sides = (boxes[..., 2:] - boxes[..., :2]).max(axis=-1)
    # Clipped ones are smaller, and so they look, however many pixels a file has there.
    shares = sides / max(int(sides.max(initial=1)), 1)
    rows = []
    for place, at in enumerate(shown):
        row: list[Cell] = []
        for rank, crop in enumerate(crops[at]):
            first, left, last, right = boxes[place, rank]
            words = f"{top.values[at, rank]:.3g}  #{top.images[at, rank]}"
            box = f"[{first}:{last}, {left}:{right}]"
            row.append((crop, f"{words}\n{box}", float(shares[place, rank])))
        rows.append(row)
    title = [
        f"{top.layer}: the top patches of {_counted(count, len(shown), 'map')}",
        "below each patch: activation, #image, [rows, columns] of the network's input",
    ]
    return _sheet(rows, title, 0.85, [f"{at}" for at in shown])


def _counted(count: int, most: int, word: str) -> str:
    """Say how many there are, and how many of them are left out."""
    words = f"{count} {word}{'s' if count != 1 else ''}"
    return (
        words if count <= most else f"{most} of its {words} ({count - most} left out)"
    )


def _sees(network: Network, layer: str) -> str:
    return f"each sees {spell(receptive_field(network, layer).size)} pixels"


def _rows(cells: Sequence[Cell]) -> list[Sequence[Cell]]:
    """Cells in rows, a little wider than high."""
    columns = max(math.ceil(math.sqrt(1.6 * len(cells))), 7)
    return [cells[start : start + columns] for start in range(0, len(cells), columns)]


def _sheet(
    rows: Sequence[Sequence[Cell]],
    title: Sequence[str],
    side: float,
    names: Sequence[str] = (),
) -> Figure:
    """Draw rows of pictures in square cells of so many inches, with words below.

    `names` stand before the rows.
    """
    cells = [cell for row in rows for cell in row]
    lines = max((words.count("\n") + 1 for _, words, _ in cells), default=0)
    down = side + lines * _LINE + _GAP
    before = _EDGE + (0.4 if names else 0)
    top = _EDGE + len(title) * _TITLE + _GAP
    widest = max((len(row) for row in rows), default=0)
    width = max(before + widest * (side + _GAP) + _EDGE - _GAP, _NARROWEST)
    height = top + len(rows) * down + _EDGE - _GAP
    figure = new_figure(width, height)
    figure.set_layout_engine("none")
    # One pair of axes in inches: a hundred of their own would take seconds to lay out.
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for number, line in enumerate(title):
        _write(axes, _EDGE, _EDGE + number * _TITLE, line, _HEADING - 2 * number)
    for row, contents in enumerate(rows):
        y = top + row * down
        if names:
            _write(axes, _EDGE, y + side / 2 - 0.07, names[row], _HEADING)
        for column, (picture, words, share) in enumerate(contents):
            x = before + column * (side + _GAP)
            if picture.size:  # else it shows nothing of its image
                _draw(axes, picture, x, y, side, side * share / max(picture.shape[:2]))
            _write(axes, x, y + side + 0.02, words, _WORDS, THIRD)
    axes.set(xlim=(0, width), ylim=(height, 0))
    return figure


def _draw(
    axes: Axes, picture: Pixels, x: float, y: float, side: float, pixel: float
) -> None:
    """Draw one picture in the middle of its cell, with a thin frame."""
    from matplotlib.patches import Rectangle

    height, width = (pixel * length for length in picture.shape[:2])
    x, y = x + (side - width) / 2, y + (side - height) / 2
    draw_pixels(axes, picture, (x, x + width, y + height, y), aspect="auto")
    frame = Rectangle((x, y), width, height, fill=False, color=GRID, linewidth=0.6)
    axes.add_patch(frame)


def _write(
    axes: Axes, x: float, y: float, text: str, points: float, color: str = "black"
) -> None:
    axes.text(x, y, text, fontsize=points, color=color, va="top", parse_math=False)
