"""The colours of all pictures that are not photographs, on pages and in figures."""

from __future__ import annotations

# Okabe and Ito's: told apart by the colour-blind, and of different lightness. What is
# right, or speaks against an answer, is in the first, what is wrong or for it in the
# second.
FIRST, SECOND, THIRD = "#0072B2", "#D55E00", "#555555"
GRID = "#DDDDDD"


def rgb(color: str) -> tuple[int, int, int]:
    """Return a colour as red, green and blue, from 0 to 255.

    >>> rgb(SECOND)
    (213, 94, 0)
    """
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue
