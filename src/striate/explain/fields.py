"""What every layer sees of the input, as boxes to be drawn to scale."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..receptive import ReceptiveField, Resolved, receptive_field

Box = tuple[int, int, int, int]
"""Half-open: (top, left, bottom, right), in pixels of the network's input."""


@dataclass(frozen=True)
class LayerField:
    """What the unit in the middle of a map sees; pairs are (height, width).

    `layers` are neighbours that see the same, such as a convolution and its ReLU; `box`
    bounds the pixels that reach `unit`, (row, column), and `whole` is its field with
    padding. `size` and `jump` are those of `ReceptiveField`.
    """

    layers: tuple[str, ...]
    unit: tuple[int, int]
    size: tuple[int, int]
    jump: tuple[int, int]
    box: Box
    whole: Box


def unit_boxes(
    seen: ReceptiveField, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[np.int64]:
    """Return the clipped boxes of units at any number of places, (..., 4).

    Zeros stand for places that are not there, whose row is -1.

    >>> from striate import lenet5
    >>> seen = receptive_field(lenet5(), "conv2")
    >>> unit_boxes(seen, np.array([4, -1]), np.array([5, -1]))
    array([[ 8, 10, 22, 24],
           [ 0,  0,  0,  0]])
    """
    boxes = np.zeros((*rows.shape, 4), np.int64)
    for row, column in {
        *zip(rows.ravel().tolist(), columns.ravel().tolist(), strict=True)
    }:
        if row >= 0:
            boxes[(rows == row) & (columns == column)] = seen.box(row, column)
    return boxes


def layer_fields(network: Resolved) -> list[LayerField]:
    """Return what every layer's middle unit sees, one record for layers alike.

    In the order of the layers. A flat layer has one unit that stands for all.

    >>> from striate import lenet5
    >>> for field in layer_fields(lenet5())[:3]:
    ...     print(field.layers, field.size, field.jump, field.box)
    ('conv1', 'relu1') (5, 5) (1, 1) (14, 14, 19, 19)
    ('pool1',) (6, 6) (2, 2) (14, 14, 20, 20)
    ('conv2', 'relu2') (14, 14) (2, 2) (10, 10, 24, 24)
    """
    fields: list[LayerField] = []
    for one in network.resolved:
        seen = receptive_field(network, one.index)
        unit = seen.units[0] // 2, seen.units[1] // 2
        field = LayerField(
            layers=(one.name,),
            unit=unit,
            size=seen.size,
            jump=seen.jump,
            box=seen.box(*unit),
            whole=seen.box(*unit, clip=False),
        )
        if fields and fields[-1] == replace(field, layers=fields[-1].layers):
            field = replace(field, layers=(*fields.pop().layers, one.name))
        fields.append(field)
    return fields
