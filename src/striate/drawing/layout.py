"""Where on the paper every volume stands: in rows, as far apart as their words need."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from .stages import Arc, Stage
from .volumes import Volume

MARGIN, GAP = 18.0, 26.0
LETTER, LINE = 13.0, 16.0  # the size of the words, and from line to line
WIDEST_LETTER = 0.6  # of the size; sans-serif fonts have on average less
ARC, ARC_LEVEL = 26.0, 17.0  # height of a shortcut, and of each that it lies around
BETWEEN_ROWS = 34.0


@dataclass(frozen=True)
class Column:
    """A stage in its place: its volume, and the words below, centred at `center`."""

    stage: Stage
    volume: Volume
    center: float
    baseline: float
    """Where the first line of the words stands; below it the size, then operations."""
    operation: tuple[str, ...]
    """What makes the volume of the one before, in short lines."""
    operation_center: float


@dataclass(frozen=True)
class Row:
    """Stages side by side; `top` to `bottom` hold all that belongs to them."""

    columns: tuple[Column, ...]
    first: int
    """The number of the first stage."""
    top: float
    middle: float
    bottom: float


def arrange(
    stages: Sequence[Stage], arcs: Sequence[Arc], width: float
) -> tuple[Row, ...]:
    """Place all stages on paper that is so wide; longer networks take more rows."""
    sketches = [Volume(stage.shape, stage.kind) for stage in stages]
    operations = [_lines(one.operation) for one in stages]
    widths = [
        max(sketch.width, words_width((stage.name, stage.size)))
        for sketch, stage in zip(sketches, stages, strict=True)
    ]
    distances = [
        max((one + other) / 2 + GAP, words_width(words) + GAP / 2)
        for one, other, words in zip(
            [0.0, *widths[:-1]], widths, operations, strict=True
        )
    ]
    for arc in arcs:  # what is written on a shortcut has its room below it
        below = slice(arc.source + 1, arc.target + 1)
        wanted = words_width([arc.operation]) + GAP
        if arc.operation and wanted > sum(distances[below]):
            distances[arc.target] += wanted - sum(distances[below])
    rows, top = [], MARGIN
    for chosen in _rows(widths, distances, arcs, width - 2 * MARGIN):
        first = chosen.start
        tallest = max(sketches[number].height for number in chosen)
        levels = [
            arc.level
            for arc in arcs
            if arc.source < chosen.stop and arc.target >= chosen.start
        ]
        room = ARC + ARC_LEVEL * max(levels) + LINE if levels else 0.0
        middle = top + room + tallest / 2
        baseline = middle + tallest / 2 + LINE + 3
        center = MARGIN + _lead(first, widths, distances)
        columns = []
        for number in chosen:
            if number > first:
                center += distances[number]
            sketch = sketches[number]
            volume = replace(
                sketch, x=center - sketch.width / 2, y=middle - sketch.height / 2
            )
            words = operations[number]
            between = center - distances[number] / 2
            if number == first:
                between = MARGIN + words_width(words) / 2
            columns.append(
                Column(stages[number], volume, center, baseline, words, between)
            )
        lines = 2 + max(len(operations[number]) for number in chosen)
        bottom = baseline + lines * LINE
        rows.append(Row(tuple(columns), first, top, middle, bottom))
        top = bottom + BETWEEN_ROWS
    return tuple(rows)


def words_width(lines: Sequence[str]) -> float:
    """At most how wide lines of words are, whatever font draws them."""
    return WIDEST_LETTER * LETTER * max(map(len, lines), default=0)


def _lines(words: str) -> tuple[str, ...]:
    """Break words into short lines; a kernel's size stays in one piece."""
    kept = words.replace(" × ", "\u00a0×\u00a0")
    return tuple(textwrap.wrap(kept, 13, break_long_words=False))


def _lead(first: int, widths: Sequence[float], distances: Sequence[float]) -> float:
    """How far the first stage of a row stands from the margin.

    Later rows begin with what makes their first volume of the last one above.
    """
    return distances[first] if first else widths[first] / 2


def _rows(
    widths: Sequence[float],
    distances: Sequence[float],
    arcs: Sequence[Arc],
    room: float,
) -> list[range]:
    """Cut the stages into rows; as few as fit, and these of like lengths."""
    crossed = _crossings(len(widths), arcs)
    rows = _cut(widths, distances, crossed, room)
    narrower = room
    while len(rows) > 1 and narrower > room / 2:
        narrower -= 20
        tried = _cut(widths, distances, crossed, narrower)
        if len(tried) > len(rows):
            break
        rows = tried
    return rows


def _cut(
    widths: Sequence[float],
    distances: Sequence[float],
    crossed: Sequence[bool],
    room: float,
) -> list[range]:
    rows, start = list[range](), 0
    while start < len(widths):
        end = start + 1
        length = _lead(start, widths, distances)
        while end < len(widths) and length + distances[end] + widths[end] / 2 <= room:
            length += distances[end]
            end += 1
        if end < len(widths):
            # Where no shortcut is cut in two, if that leaves a row of fair length.
            fair = range(end, start + max(1, (end - start) // 2), -1)
            end = next((at for at in fair if not crossed[at]), end)
        rows.append(range(start, end))
        start = end
    return rows


def _crossings(count: int, arcs: Sequence[Arc]) -> list[bool]:
    """Before which stages a row cannot end without cutting a shortcut in two."""
    changes = [0] * (count + 1)
    for arc in arcs:
        changes[arc.source + 1] += 1
        changes[arc.target + 1] -= 1
    return [open_arcs > 0 for open_arcs in accumulate(changes)]
