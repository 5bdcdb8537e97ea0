"""Numbers and names in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..markup import Markup, joined, leaf


def size(shape: Iterable[int]) -> str:
    """Write a size as people do, in one piece that no line breaks.

    >>> size((5, 5, 16)) == "5\\u00a0×\\u00a05\\u00a0×\\u00a016"
    True
    """
    return "\u00a0×\u00a0".join(f"{side:,}" for side in shape)


def percent(share: float, digits: int = 2) -> str:
    """Write a share of 1 as per cent, in one piece.

    >>> percent(0.9922), percent(0.9922, 0)
    ('99.22\\xa0%', '99\\xa0%')
    """
    return f"{100 * share:.{digits}f}\u00a0%"


def named(names: Sequence[str], most: int = 12) -> str:
    """Name a few things in words.

    >>> named(["cat"]), named(["cat", "dog", "owl"]), named(["a", "b", "c", "d"], 3)
    ('cat', 'cat, dog and owl', 'a, b and 2 more')
    """
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1:,} more"]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def breakable(name: str) -> Markup:
    """Let a long name of one piece go on in the next line where it has a joint.

    >>> breakable("speed_limit")
    'speed_<wbr/>limit'
    """
    first, *parts = re.split(r"(?<=[_/.-])", name)
    return joined([first, *(part for rest in parts for part in (leaf("wbr"), rest))])
