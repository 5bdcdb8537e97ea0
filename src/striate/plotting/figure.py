"""Figures without a display and without matplotlib's global state; names made safe."""

from __future__ import annotations

import io
import os
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..colors import GRID
from ..errors import UsageError
from ..saving.files import replace_file, writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEEDED = "pictures need matplotlib: pip install 'striate[plot]'"

_DOTS_PER_INCH = 120


def available() -> bool:
    """Return whether matplotlib is installed, without importing it."""
    return find_spec("matplotlib") is not None


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches; UsageError without matplotlib."""
    if not available():
        raise UsageError(f"{NEEDED}.")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(
        (width, height),
        dpi=_DOTS_PER_INCH,
        layout="constrained",
        facecolor="white",
    )
    FigureCanvasAgg(figure)
    return figure


def plain_axes(axes: Axes) -> None:
    """Leave of an axes' frame what is read: left and bottom, and a faint grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def write_png(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as PNG, whole or not at all; DataError where it cannot be."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        # A script that the font lacks is drawn as boxes, and is no reason to complain.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(content, format="png", metadata={"Software": None})
    with writing("picture", path):
        replace_file(path, content.getvalue())


def safe_name(name: object, longest: int = 20) -> str:
    """Return a name as one short line that can be drawn, with both its ends.

    >>> safe_name("speed limit of 30 km/h", 15), safe_name("two\\nlines")
    ('speed l…30 km/h', 'two?lines')
    """
    text = str(name).encode(errors="replace").decode()
    text = "".join(one if one.isprintable() else "?" for one in text)
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[: longest - half - 1]}…{text[-half:]}"
