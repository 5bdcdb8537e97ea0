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


def boxes_of(
    seen: ReceptiveField, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[np.int64]:
    """Return the clipped box of each of many units, (..., 4).

    Zeros stand where a row is negative, as those of units that are not there.
    """
    units = np.stack([rows, columns], axis=-1).reshape(-1, 2)
    places, which = np.unique(units, axis=0, return_inverse=True)
    boxes = [
        seen.box(row, column) if row >= 0 else (0, 0, 0, 0)
        for row, column in places.tolist()
    ]
    every = np.array(boxes, np.int64).reshape(-1, 4)
    return every[which.ravel()].reshape(*rows.shape, 4)
