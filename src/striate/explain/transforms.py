"""Small random movements of the input, which a picture must bear, and their adjoints."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arguments import real_number
from ..engine.randomness import fill_uniform
from ..engine.weights import Floats


@dataclass(frozen=True)
class Transforms:
    """How far pictures are moved at random, anew in every step of maximisation.

    A picture that excites a unit only while it is exactly in its place is of little
    use: such pictures look like noise. Raises ValueError for what means nothing.

    Arguments:
        shift: up to such a share of what the unit sees, down and across (jitter).
        rotation: up to so many degrees to either side.
        scale: up to such a share larger or smaller.
    """

    shift: float = 0.05
    rotation: float = 8.0
    scale: float = 0.08

    def __post_init__(self) -> None:
        limits = {"shift": 1.0, "rotation": 180.0, "scale": 0.9}
        for name, most in limits.items():
            value = real_number("Transforms", name, getattr(self, name))
            if not 0 <= value <= most:
                raise ValueError(
                    f"Transforms: {name} must be from 0 to {most:g}, not {value:g}."
                )

    def draw(self, key: tuple[int, int], strength: float = 1.0) -> Motion:
        """Return how far to move, drawn by the key; `strength` is a share of all that."""
        drawn = np.empty(4, np.float32)
        fill_uniform(drawn, strength, key)
        down, right, turn, growth = (float(number) for number in drawn)
        angle = math.radians(self.rotation) * turn
        factor = math.exp(math.log1p(self.scale) * growth)
        turned = factor * np.array(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        )
        return Motion(turned, (self.shift * down, self.shift * right))


@dataclass(frozen=True)
class Motion:
    """One way to move: pixels are read at `turned` times their place plus `shift`.

    Places are counted from the middle of what a unit sees, `shift` in shares of it.
    """

    turned: NDArray[np.float64]
    shift: tuple[float, float]


@dataclass(frozen=True)
class Movement:
    """A linear map of images: every pixel is a mean of four others, or of what is outside.

    What comes from outside is 0.
    """

    size: tuple[int, int]
    sources: NDArray[np.intp]
    """4, pixels: which pixel is read."""
    shares: Floats
    """4, pixels: and with what weight."""

    @classmethod
    def of(
        cls, motion: Motion, size: tuple[int, int], box: tuple[int, int, int, int]
    ) -> Movement:
        """Return the map that moves images of a (height, width) about the box's middle.

        Between pixels the four around are mixed (bilinear interpolation).
        """
        height, width = size
        top, left, bottom, right = box
        middle = np.array([[top + bottom - 1], [left + right - 1]]) / 2
        shift = np.array(motion.shift)[:, None] * [[bottom - top], [right - left]]
        places = np.indices(size).reshape(2, -1) - middle
        read = motion.turned @ places + middle + shift
        first = np.floor(read).astype(np.intp)
        part = read - first
        sources = np.zeros((4, height * width), np.intp)
        shares = np.zeros((4, height * width), np.float32)
        for corner in range(4):
            step = np.array(divmod(corner, 2))[:, None]
            row, column = first + step
            share = np.where(step == 1, part, 1 - part).prod(axis=0)
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            sources[corner] = np.where(inside, row * width + column, 0)
            shares[corner] = np.where(inside, share, 0)
        return cls(size, sources, shares)

    def apply(self, images: Floats) -> Floats:
        """Return the images N,H,W,C moved."""
        flat = images.reshape(len(images), -1, images.shape[3])
        moved = np.zeros_like(flat)
        for sources, shares in zip(self.sources, self.shares, strict=True):
            moved += flat[:, sources] * shares[:, None]
        return moved.reshape(images.shape)

    def adjoint(self, gradients: Floats) -> Floats:
        """Return how the images change a number, from how the moved ones do: N,H,W,C."""
        flat = gradients.reshape(len(gradients), -1, gradients.shape[3])
        count = flat.shape[1]
        order = np.argsort(self.sources, axis=None, kind="stable")
        read, starts = np.unique(self.sources.ravel()[order], return_index=True)
        given = flat[:, order % count] * self.shares.ravel()[order][:, None]
        result = np.zeros_like(flat)
        result[:, read] = np.add.reduceat(given, starts, axis=1)
        return result.reshape(gradients.shape)
