"""A network as one picture in SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from ..arguments import spell
from ..markup import Markup, element, escaped, joined, leaf
from ..receptive import Resolved
from .layout import (
    ARC,
    ARC_LEVEL,
    LETTER,
    LINE,
    MARGIN,
    Column,
    Row,
    arrange,
    words_width,
)
from .stages import Arc, Stage, stages_of
from .volumes import FAINT, INK, MOST_SHEETS

WIDTH = 1000
"""The width of the paper; longer networks go on in further rows."""

TURN = 16.0  # room for the way from a row to the next

_PATCH = "#b3261e"  # the patch that a unit sees, and the lines to it
_PLACES = ((0.28, 0.3), (0.66, 0.62))  # of the units shown, in turn: (row, column)


def draw_network(
    network: Resolved,
    title: str = "A convolutional network",
    *,
    picture: str | None = None,
) -> str:
    """Return a network drawn as volumes, as an SVG file's text.

    The manner is that of LeNet-5's figure: every volume is a stack of maps in
    perspective, with its name and size below and what makes it before it; a patch, to
    scale, and lines to the unit that sees it; dense layers are bars. Layers that only
    change values are part of the volume they change, shortcuts are arcs, and of many
    maps some are drawn. Sides grow with a power of the pixels, so that 100 x 100 and
    1 x 1 both fit.

    Arguments:
        network: a Network, or anything else that has its layers as `resolved`.
        title: what screen readers say, and browsers under the pointer.
        picture: the address of an image for the first volume, such as a data URI.

    Source: LeCun, Bottou, Bengio and Haffner 1998, figure 2.

    >>> from striate import lenet5
    >>> draw_network(lenet5())[:39]
    '<svg xmlns="http://www.w3.org/2000/svg"'
    """
    stages, arcs = stages_of(network.resolved)
    rows = arrange(stages, arcs, WIDTH)
    columns = [column for row in rows for column in row.columns]
    right = max(_right(column) for column in columns) + MARGIN
    width = right + (TURN if len(rows) > 1 else 0)
    height = rows[-1].bottom + MARGIN / 2
    some = any(len(one.shape) == 3 and one.shape[2] > MOST_SHEETS for one in stages)
    if some:
        height += LINE
    parts = [
        element("title", title),
        element("desc", _described(stages, arcs)),
        leaf("rect", width=width, height=height, fill="#ffffff"),
    ]
    for row, following in pairwise(rows):
        parts += _turn(row, following, width)
    for arc in arcs:
        parts += _arc(arc, rows, width)
    for number, column in enumerate(columns):
        parts.append(_volume(column, None if number else picture))
    for row in rows:  # lines end on the map in front of the next volume
        for number, pair in enumerate(pairwise(row.columns), row.first):
            parts += _lines(*pair, number)
    if some:
        note = f"Of more than {MOST_SHEETS} maps not every one is drawn."
        parts.append(_words(note, MARGIN, height - MARGIN / 2, FAINT, "start"))
    return element(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=round(width),
        height=round(height),
        role="img",
        font_family="Helvetica, Arial, sans-serif",
        font_size=LETTER,
    )


def _right(column: Column) -> float:
    return column.volume.x + column.volume.width


def _volume(column: Column, picture: str | None) -> Markup:
    """A volume with all its words; what it sees can be read under the pointer."""
    stage, below = column.stage, column.baseline
    words = [
        _words(stage.name, column.center, below),
        _words(stage.size, column.center, below + LINE),
    ]
    for number, line in enumerate(column.operation):
        height = below + (2 + number) * LINE
        words.append(_words(line, column.operation_center, height, FAINT))
    layers = ", ".join(f"{one.name} {one.layer!r:.80}" for one in stage.layers)
    title = f"{layers or 'the image'}: {spell(stage.shape)}"
    return element("g", element("title", title), *column.volume.drawn(picture), *words)


def _words(
    text: str, x: float, y: float, color: str = INK, anchor: str = "middle"
) -> Markup:
    return element("text", text, x=x, y=y, fill=color, text_anchor=anchor)


def _lines(column: Column, following: Column, number: int) -> Iterator[Markup]:
    """Lines to the next volume: from a patch to the unit that sees it, or from all."""
    before, after = column.volume, following.volume
    making = following.stage.making
    window = making.window if making else None
    if before.flat or after.flat or window is None:
        for share in (0.0, 1.0):
            yield _line(
                before.edge(share, right=True), after.edge(share, right=False), FAINT
            )
        return
    rows, columns, _ = after.shape
    down, across = _PLACES[number % 2]
    unit = int(down * rows), int(across * columns)
    spans = []
    for axis in (0, 1):
        start = unit[axis] * window.stride[axis] - window.padding[2 * axis]
        end = start + window.extent[axis]
        spans.append((max(0, start), min(before.shape[axis], end)))
    (top, bottom), (left, right) = spans
    if top >= bottom or left >= right:  # the unit sees nothing but padding
        return
    corner, opposite = before.on_front(top, left), before.on_front(bottom, right)
    yield _frame(corner, opposite)
    target = after.on_front(unit[0] + 0.5, unit[1] + 0.5)
    yield _line((opposite[0], corner[1]), target, _PATCH)
    yield _line(opposite, target, _PATCH)
    yield leaf("circle", cx=target[0], cy=target[1], r=2, fill=_PATCH)


def _frame(corner: tuple[float, float], opposite: tuple[float, float]) -> Markup:
    return leaf(
        "rect",
        x=corner[0],
        y=corner[1],
        width=opposite[0] - corner[0],
        height=opposite[1] - corner[1],
        fill="none",
        stroke=_PATCH,
    )


def _line(start: tuple[float, float], end: tuple[float, float], color: str) -> Markup:
    return leaf("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], stroke=color)


def _arc(arc: Arc, rows: Sequence[Row], width: float) -> Iterator[Markup]:
    """A shortcut above its row, or in pieces above several; its words on the longest."""
    pieces = []
    for row in rows:
        starts, ends = arc.source - row.first, arc.target - row.first
        if starts >= len(row.columns) or ends < 0:
            continue
        tallest = max(one.volume.height for one in row.columns)
        height = row.middle - tallest / 2 - ARC - ARC_LEVEL * arc.level
        start, stop = 4.0, width - 4.0
        path = f"M{start:.1f} {height:.1f}"
        if starts >= 0:
            source = row.columns[starts]
            start = source.center + 6
            path = f"M{start:.1f} {source.volume.y - 3:.1f}V{height:.1f}"
        if ends < len(row.columns):
            target = row.columns[ends]
            stop = target.center - 6
            path += f"H{stop:.1f}V{target.volume.y - 14:.1f}"
            yield _plus(stop, target.volume.y - 9)
        else:
            path += f"H{stop:.1f}"
        yield leaf("path", d=path, fill="none", stroke=INK, stroke_linejoin="round")
        pieces.append((stop - start, (start + stop) / 2, height - 4))
    length, middle, height = max(pieces)
    if arc.operation and length >= words_width([arc.operation]):
        yield _words(arc.operation, middle, height, FAINT)


def _plus(x: float, y: float) -> Markup:
    """The sign of a sum, where a shortcut ends."""
    return joined(
        [
            leaf("circle", cx=x, cy=y, r=5, fill="#ffffff", stroke=INK),
            leaf(
                "path",
                d=f"M{x - 3:.1f} {y:.1f}h6M{x:.1f} {y - 3:.1f}v6",
                stroke=INK,
            ),
        ]
    )


def _turn(row: Row, following: Row, width: float) -> Iterator[Markup]:
    """The way from the end of a row to the beginning of the next."""
    last, first = row.columns[-1], following.columns[0]
    start, end = _right(last) + 6, first.volume.x - 6
    right, left = width - 10, 10.0
    path = (
        f"M{start:.1f} {row.middle:.1f}H{right:.1f}V{row.bottom + 14:.1f}"
        f"H{left:.1f}V{following.middle:.1f}H{end:.1f}"
    )
    yield leaf("path", d=path, fill="none", stroke=FAINT, stroke_linejoin="round")
    yield leaf(
        "path",
        d=f"M{end:.1f} {following.middle:.1f}l-7 -4v8z",
        fill=FAINT,
    )


def _described(stages: Sequence[Stage], arcs: Sequence[Arc]) -> Markup:
    """The figure in words, for those who do not see it."""
    text = f"An image of {spell(stages[0].shape)}"
    for stage in stages[1:]:
        text += f"; {stage.operation} makes {stage.name}, {spell(stage.shape)}"
    for arc in arcs:
        how = f" by {arc.operation}" if arc.operation else ""
        text += (
            f"; {stages[arc.source].name} is added to {stages[arc.target].name}{how}"
        )
    return escaped(f"{text}.")
