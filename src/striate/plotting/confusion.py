"""Which classes are taken for which: the confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..colors import GRID
from .figure import new_figure, safe_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CLASSES = 24  # that a matrix can show legibly; of more the most confused are shown
OTHERS = "others"


def confusion_figure(
    confusion: NDArray[np.int64], classes: Sequence[str | int], title: str = ""
) -> Figure:
    """Draw a confusion matrix K,K: rows the true class, columns the answer.

    Numbers count images, shades are shares of a row: blue for right answers, orange for
    mistakes, on a square-root scale on which rare ones are visible. Of more than 24 classes the most confused are shown,
    with one column for all other answers. Raises UsageError without matplotlib.
    """
    from matplotlib.colors import PowerNorm

    shown = most_confused(confusion)
    counts, names = confusion[shown], [safe_name(classes[place]) for place in shown]
    columns = names
    if len(shown) < len(classes):
        others = counts.sum(axis=1) - counts[:, shown].sum(axis=1)
        counts = np.column_stack([counts[:, shown], others])
        columns = [*names, OTHERS]
        title = f"{title}{': ' if title else ''}the {len(shown)} most confused of "
        title += f"{len(classes)} classes"
    totals = np.maximum(confusion[shown].sum(axis=1, keepdims=True), 1)
    shares = counts / totals
    side = 1.2 + 0.42 * max(len(shown), 6)
    room = 0.07 * max(map(len, columns))  # inches that the names take on two sides
    figure = new_figure(side + room, side + room)
    axes = figure.subplots()
    if title:
        axes.set_title(title, fontsize="medium", parse_math=False)
    own = np.zeros(shares.shape, np.bool_)
    np.fill_diagonal(own, True)
    for colors, cells_of in (("Blues", own), ("Oranges", ~own)):
        cells = np.ma.masked_array(shares, ~cells_of | (counts == 0))
        axes.imshow(cells, cmap=colors, norm=PowerNorm(0.5, 0, 1))
    for row, column in np.argwhere(counts):
        axes.text(
            column,
            row,
            f"{counts[row, column]}",
            ha="center",
            va="center",
            fontsize="small" if counts[row, column] < 1000 else "x-small",
            color="white" if shares[row, column] > 0.35 else "black",
            fontweight="normal" if row == column else "bold",
        )
    turned = max(map(len, columns)) > 3
    axes.set_xticks(
        range(len(columns)), columns, rotation=90 if turned else 0, parse_math=False
    )
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.tick_params(length=0, labelsize="small")
    axes.set_xlabel("answer")
    axes.set_ylabel("true class")
    # Lines between the cells, so that empty ones can be followed to their names.
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=GRID, linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    return figure


def most_confused(confusion: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the classes a picture shows, in their order: at most 24.

    >>> most_confused(np.diag([5, 5, 5])).tolist()
    [0, 1, 2]
    """
    count = len(confusion)
    if count <= MOST_CLASSES:
        return np.arange(count)
    wrong = confusion - np.diag(np.diagonal(confusion))
    # The pairs with most mistakes bring both their classes, as long as there is room.
    pairs = np.argsort(-wrong, axis=None, kind="stable")[: MOST_CLASSES**2]
    chosen: dict[int, None] = {}
    for place in pairs:
        pair = divmod(int(place), count)
        if not wrong[pair] or len({*chosen, *pair}) > MOST_CLASSES:
            break
        chosen |= dict.fromkeys(pair)
    if not chosen:  # nothing to see but that
        chosen = dict.fromkeys(range(MOST_CLASSES))
    return np.array(sorted(chosen))
