"""What rounding may do to a convolution by Winograd's minimal filtering.

F(4x4, 3x3) and F(2x2, 5x5): K x K kernels, tiles of M = 7 - K rows and columns.

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


POINTS = [0.0, 5 / 8, -5 / 8, 3 / 2, -3 / 2]


def _magnitudes(points: list[float]) -> tuple[Array, Array]:
    """|B'|, after Lavin and Gray (2016), and what divides the rows of |G|."""
    # Row i of B' holds the coefficients of the product of (x - q) over all points q
    # but the i-th (over all of them for infinity), G divides by its value there.
    patches, scales = np.zeros((6, 6)), np.ones(6)
    for i in range(6):
        others = [q for k, q in enumerate(points) if k != i]
        coefficients = np.poly(others)[::-1]
        patches[i, : len(coefficients)] = coefficients
        if i < 5:
            scales[i] = np.prod([points[i] - q for q in others])
    return np.abs(patches), np.abs(scales)


PATCHES, SCALES = _magnitudes(POINTS)
KERNELS = {size: _evaluations(POINTS, size) / SCALES[:, None] for size in (3, 5)}
SUMS = {size: _evaluations(POINTS, 7 - size) for size in (3, 5)}
"""|G| and |A| for kernels of a size."""


def _whole(x: Array, size: int, beyond: int) -> Array:
    """Planes N,H,W,C with zeros below and to the right: whole tiles and so much more."""
    rows, columns = (-(side - beyond) % (7 - size) for side in x.shape[1:3])
    return np.pad(x, ((0, 0), (0, rows), (0, columns), (0, 0)))


def _patches(padded: Array, size: int) -> Array:
    """The transformed patches of padded images N,H,W,C: N,rows,columns,C,6,6."""
    whole, step = _whole(padded, size, size - 1), 7 - size
    views = sliding_window_view(whole, (6, 6), axis=(1, 2))[:, ::step, ::step]
    return PATCHES @ views @ PATCHES.T


def terms_of_output(padded: Array, weight: Array) -> Array:
    """Of padded images N,H,W,C and kernels O,C,K,K: N,OH,OW,O."""
    size = weight.shape[-1]
    kernels, patches = KERNELS[size] @ weight @ KERNELS[size].T, _patches(padded, size)
    products = np.einsum("nabcij,ocij->naboij", patches, kernels, optimize=True)
    tiles = SUMS[size].T @ products @ SUMS[size]
    count, down, across, outputs, tile, _ = tiles.shape
    planes = tiles.transpose(0, 1, 4, 2, 5, 3)
    whole = planes.reshape(count, tile * down, tile * across, outputs)
    return whole[:, : padded.shape[1] - size + 1, : padded.shape[2] - size + 1]


def terms_of_input(weight: Array, dy: Array, padding: tuple[int, ...]) -> Array:
    """Of kernels and gradients N,OH,OW,O: N,H,W,C, what padding added left out."""
    top, bottom, left, right = padding
    border = (weight.shape[-1] - 1,) * 2
    around = np.pad(dy, ((0, 0), border, border, (0, 0)))
    around = around[:, top : around.shape[1] - bottom, left : around.shape[2] - right]
    turned = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    return terms_of_output(around, turned)


def terms_of_weight(padded: Array, dy: Array) -> Array:
    """Of padded images and gradients: O,C,K,K."""
    size = padded.shape[1] - dy.shape[1] + 1
    whole, tile = _whole(dy, size, 0), 7 - size
    count, height, width, outputs = whole.shape
    tiles = whole.reshape(count, height // tile, tile, width // tile, tile, outputs)
    above = SUMS[size] @ tiles.transpose(0, 1, 3, 5, 2, 4) @ SUMS[size].T
    patches = _patches(padded, size)
    products = np.einsum("naboij,nabcij->ocij", above, patches, optimize=True)
    return KERNELS[size].T @ products @ KERNELS[size]
