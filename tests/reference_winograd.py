"""What rounding may do to a convolution by Winograd's minimal filtering F(4x4, 3x3).

The terms that are rounded are not the products of inputs and weights but what the
transforms make of them. Here they are added up by their magnitudes, for each output and
each gradient, from the definitions and in float64: |A'| [(|G| |g| |G'|) * (|B'| |d| |B|)]
|A| for patches d and kernels g. `core/check_winograd.cpp` derives the bound.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.float64]

ROUNDINGS = 30
"""Of a term in the transforms, beside the additions of its sum."""


def _evaluations(points: list[float], powers: int) -> Array:
    """Polynomials of so many coefficients at the points and at infinity: |A|."""
    rows = [[point**power for power in range(powers)] for point in points]
    return np.abs(np.array([*rows, [0.0] * (powers - 1) + [1.0]]))


def _magnitudes(a: float = 5 / 8, b: float = 3 / 2) -> tuple[Array, Array, Array]:
    """|B'|, |G| and |A|, after Lavin and Gray (2016), for the points 0, +-a and +-b."""
    points = [0.0, a, -a, b, -b]
    # Row i of B' holds the coefficients of the product of (x - q) over all points q
    # but the i-th (over all of them for infinity), G divides by its value there.
    patches, scales = np.zeros((6, 6)), np.ones(6)
    for i in range(6):
        others = [q for k, q in enumerate(points) if k != i]
        coefficients = np.poly(others)[::-1]
        patches[i, : len(coefficients)] = coefficients
        if i < 5:
            scales[i] = np.prod([points[i] - q for q in others])
    kernels = _evaluations(points, 3) / np.abs(scales)[:, None]
    return np.abs(patches), kernels, _evaluations(points, 4)


PATCHES, KERNELS, SUMS = _magnitudes()


def _whole(x: Array, beyond: int) -> Array:
    """Planes N,H,W,C with zeros below and to the right: whole tiles and so much more."""
    rows, columns = (-(side - beyond) % 4 for side in x.shape[1:3])
    return np.pad(x, ((0, 0), (0, rows), (0, columns), (0, 0)))


def _patches(padded: Array) -> Array:
    """The transformed patches of padded images N,H,W,C: N,rows,columns,C,6,6."""
    views = sliding_window_view(_whole(padded, 2), (6, 6), axis=(1, 2))[:, ::4, ::4]
    return PATCHES @ views @ PATCHES.T


def terms_of_output(padded: Array, weight: Array) -> Array:
    """Of padded images N,H,W,C and kernels O,C,3,3: N,OH,OW,O."""
    kernels = KERNELS @ weight @ KERNELS.T
    products = np.einsum(
        "nabcij,ocij->naboij", _patches(padded), kernels, optimize=True
    )
    tiles = SUMS.T @ products @ SUMS
    count, down, across, outputs = tiles.shape[:4]
    planes = tiles.transpose(0, 1, 4, 2, 5, 3).reshape(
        count, 4 * down, 4 * across, outputs
    )
    return planes[:, : padded.shape[1] - 2, : padded.shape[2] - 2]


def terms_of_input(weight: Array, dy: Array, padding: tuple[int, ...]) -> Array:
    """Of kernels and gradients N,OH,OW,O: N,H,W,C, what padding added left out."""
    top, bottom, left, right = padding
    around = np.pad(dy, ((0, 0), (2, 2), (2, 2), (0, 0)))
    around = around[:, top : around.shape[1] - bottom, left : around.shape[2] - right]
    turned = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    return terms_of_output(around, turned)


def terms_of_weight(padded: Array, dy: Array) -> Array:
    """Of padded images and gradients: O,C,3,3."""
    whole = _whole(dy, 0)
    count, height, width, outputs = whole.shape
    tiles = whole.reshape(count, height // 4, 4, width // 4, 4, outputs)
    above = SUMS @ tiles.transpose(0, 1, 3, 5, 2, 4) @ SUMS.T
    products = np.einsum("naboij,nabcij->ocij", above, _patches(padded), optimize=True)
    return KERNELS.T @ products @ KERNELS
