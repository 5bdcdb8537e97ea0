"""Tables of text that verbs print."""

from __future__ import annotations

from collections.abc import Sequence


def grid(rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """Return rows of cells as lines: the first columns hold ``words``, the others numbers.

    >>> print(grid([("layer", "units"), ("conv1", "4,704"), ("a", "9")]))
    layer  units
    conv1  4,704
    a          9
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if place < words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
