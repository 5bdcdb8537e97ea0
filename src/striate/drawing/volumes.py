"""A volume on paper: a stack of maps in perspective, or a slanted bar of units."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..markup import Markup, leaf
from ..resolve import Shape

MOST_SHEETS = 16
"""Maps up to this number are all drawn; of more some, growing with the logarithm."""

INK, FAINT = "#333333", "#666666"
_PAPER = {
    "conv": ("#e3edf7", "#2b5f8f"),
    "pool": ("#fbeedd", "#a5661a"),
    "dense": ("#e6f1e6", "#3d7a3d"),
}
"""Fill and outline by the kind of the layer; of all others white and ink."""

_STEP, _DEEPEST = 5.0, 44.0  # pixels from sheet to sheet; from first to last at most
_BAR, _SLANT = 11.0, 0.3
_MOST_CELLS = 24  # units of a bar that are drawn one by one


@dataclass(frozen=True)
class Volume:
    """A volume whose whole drawing has its upper left corner at (`x`, `y`)."""

    shape: Shape
    kind: str
    x: float = 0.0
    y: float = 0.0

    @property
    def flat(self) -> bool:
        """Whether it is a vector of units, not a stack of maps."""
        return len(self.shape) == 1

    @property
    def sheet(self) -> tuple[float, float]:
        """Width and height of a map, or of the bar without its slant."""
        if self.flat:
            return _BAR, 16 + 14 * math.log2(1 + self.shape[0])
        return side(self.shape[1]), side(self.shape[0])

    @property
    def sheets(self) -> int:
        """How many maps are drawn."""
        return 1 if self.flat else sheets(self.shape[2])

    @property
    def step(self) -> float:
        """How far every map stands to the right of and below the one behind it."""
        return min(_STEP, _DEEPEST / max(1, self.sheets - 1))

    @property
    def width(self) -> float:
        """The width of the whole drawing."""
        width, height = self.sheet
        return width + (_SLANT * height if self.flat else self.step * (self.sheets - 1))

    @property
    def height(self) -> float:
        """The height of the whole drawing."""
        return self.sheet[1] + (0 if self.flat else self.step * (self.sheets - 1))

    @property
    def front(self) -> tuple[float, float]:
        """The upper left corner of the map in front."""
        offset = self.step * (self.sheets - 1)
        return self.x + offset, self.y + offset

    def on_front(self, row: float, column: float) -> tuple[float, float]:
        """Where a place of the map in front is drawn, in rows and columns of units."""
        (x, y), (width, height) = self.front, self.sheet
        rows, columns, _ = self.shape
        return x + width * column / columns, y + height * row / rows

    def edge(self, share: float, right: bool) -> tuple[float, float]:
        """A point on the left or right edge, at a share of the height."""
        width, height = self.sheet
        if self.flat:
            x = self.x + _SLANT * height * share + (width if right else 0)
            return x, self.y + share * height
        x, y = self.front
        return x + (width if right else 0), y + share * height

    def drawn(self, picture: str | None = None) -> Iterator[Markup]:
        """Yield what draws it; `picture`, an address of one, lies on the map in front."""
        if self.flat:
            yield from self._bar()
            return
        width, height = self.sheet
        fill, outline = _PAPER.get(self.kind, ("#ffffff", INK))
        for number in range(self.sheets):
            offset = number * self.step
            yield leaf(
                "rect",
                x=self.x + offset,
                y=self.y + offset,
                width=width,
                height=height,
                fill=fill,
                stroke=outline,
            )
        if picture is not None:
            x, y = self.front
            yield leaf(
                "image",
                href=picture,
                x=x + 1,
                y=y + 1,
                width=width - 2,
                height=height - 2,
                preserveAspectRatio="none",
                style="image-rendering:pixelated",
            )

    def _bar(self) -> Iterator[Markup]:
        width, height = self.sheet
        fill, outline = _PAPER.get(self.kind, ("#ffffff", INK))
        slant = _SLANT * height
        corners = (
            (self.x, self.y),
            (self.x + width, self.y),
            (self.x + width + slant, self.y + height),
            (self.x + slant, self.y + height),
        )
        yield leaf("polygon", points=_points(*corners), fill=fill, stroke=outline)
        units = self.shape[0]
        for unit in range(1, units if units <= _MOST_CELLS else 0):
            left, right = (self.edge(unit / units, side) for side in (False, True))
            yield leaf(
                "polyline", points=_points(left, right), fill="none", stroke=outline
            )


def side(pixels: int) -> float:
    """How long a side of so many pixels is drawn, so that 1 and 1,000 both fit.

    >>> [round(side(pixels)) for pixels in (1, 5, 14, 28, 32, 112, 1000)]
    [12, 33, 62, 95, 103, 157, 252]
    """
    grown = min(pixels, 32)
    return 12 * math.pow(grown, 0.62) + 30 * math.log2(pixels / grown)


def sheets(channels: int) -> int:
    """How many maps of so many are drawn.

    >>> [sheets(channels) for channels in (1, 6, 16, 64, 4096)]
    [1, 6, 16, 18, 24]
    """
    more = math.log2(max(1.0, channels / MOST_SHEETS))
    return min(channels, MOST_SHEETS + round(more))


def _points(*corners: tuple[float, float]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
