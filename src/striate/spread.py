"""A few out of many, evenly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def spread(items: Sequence[T], count: int) -> list[T]:
    """Return so many of the items, evenly taken, the first and the last among them.

    >>> spread("abcdefg", 3), spread("ab", 3), spread("abc", 1)
    (['a', 'd', 'g'], ['a', 'b'], ['a'])
    """
    if count >= len(items):
        return list(items)
    return [items[round(at)] for at in np.linspace(0, len(items) - 1, count).tolist()]
