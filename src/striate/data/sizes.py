"""The size that images of many sizes are brought to, where the user names none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LONGEST = 64  # pixels that the longer side has at most, unless the user wants more
SHORTEST, STEP = 16, 8  # of sides that are no common size: at least, and in steps of


@dataclass(frozen=True)
class Sizes:
    """The sizes of some images, (height, width) each, as a person sees them."""

    smallest: tuple[int, int]
    median: tuple[int, int]
    largest: tuple[int, int]

    @classmethod
    def of(cls, sizes: NDArray[np.int64]) -> Sizes:
        """Sum up sizes (N, 2); smallest and largest by their area."""
        areas = sizes.prod(axis=1)
        height, width = np.median(sizes, axis=0).tolist()
        return cls(
            _pair(sizes[areas.argmin()]),
            (round(height), round(width)),
            _pair(sizes[areas.argmax()]),
        )

    @property
    def common(self) -> bool:
        """Whether all images have one size."""
        return self.smallest == self.largest == self.median

    def __str__(self) -> str:
        """Say it in words."""
        if self.common:
            return spell(self.median)
        smallest, median, largest = map(
            spell, (self.smallest, self.median, self.largest)
        )
        return f"{smallest} to {largest}, median {median}"


def default_size(sizes: Sizes) -> tuple[int, int]:
    """The (height, width) that images are brought to by default.

    A size that all images share is kept if no side is longer than 64 pixels, and else
    divided by the whole number that makes it so. Where sizes differ, the median height
    and width are scaled so that neither is longer, and rounded to multiples of 8.

    >>> faces = Sizes((112, 92), (112, 92), (112, 92))
    >>> signs = Sizes((25, 25), (43, 42), (191, 207))
    >>> default_size(faces), default_size(signs)
    ((56, 46), (40, 40))
    """
    height, width = sizes.median
    longest = max(height, width)
    if sizes.common:
        divisor = -(-longest // LONGEST)
        return max(1, round(height / divisor)), max(1, round(width / divisor))
    scale = min(1.0, LONGEST / longest)
    height, width = (
        max(SHORTEST, STEP * round(side * scale / STEP)) for side in (height, width)
    )
    return height, width


def spell(size: tuple[int, int]) -> str:
    """A size as people write it: "56x46", height first."""
    return f"{size[0]}x{size[1]}"


def _pair(size: NDArray[np.int64]) -> tuple[int, int]:
    height, width = size.tolist()
    return height, width
