"""Maps of a layer scaled to the network's input, unit by unit where they look."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import spell
from ..engine.weights import Floats
from ..errors import ShapeError, UsageError
from ..images.arrays import as_array
from ..network import Network
from ..receptive import ReceptiveField, receptive_field
from ..resolve import ResolvedLayer, find_layer


def scale_to_input(
    network: Network, maps: ArrayLike, layer: str | int | None = None
) -> Floats:
    """Return maps of a layer as large as the network's input, N,H,W or N,H,W,C.

    `maps` are N,h,w or N,h,w,C; `layer` is whose they are, by default the last one
    whose maps have more than one unit. Each unit's value stands at the centre of its
    receptive field and pixels between centres are interpolated linearly along both
    axes; beyond the outermost centres values stay as they are there. Stretching the
    map from corner to corner, as is usual, would be right only where the receptive
    fields of the corner units are centred in the corners: without padding what a unit
    says would be shown pixels away from what it sees. Raises UsageError for layers
    that have no maps, ShapeError for maps that are not the layer's.

    >>> from striate import Conv2D
    >>> network = Network([Conv2D(1, 3, stride=2)], (5, 5, 1))
    >>> scale_to_input(network, [[[0, 4], [0, 4]]])[0, 0]  # units look at 1 and 3
    array([0., 0., 2., 4., 4.], dtype=float32)
    """
    one = layer_with_maps(network, layer)
    values = as_array(maps, "maps").astype(np.float32, copy=False)
    if values.ndim not in (3, 4) or values.shape[1:3] != one.output_shape[:2]:
        raise ShapeError(
            f"maps of {one.name} are N,{','.join(map(str, one.output_shape[:2]))} or "
            f"have channels behind that, but these have shape {values.shape}; name the "
            "layer whose maps they are."
        )
    field = receptive_field(network, one.index)
    for axis in (0, 1):
        values = _interpolated(values, axis, field)
    return values


def _interpolated(maps: Floats, axis: int, field: ReceptiveField) -> Floats:
    last = field.units[axis] - 1
    pixels = np.arange(field.input_size[axis])
    unit = (pixels - field.center[axis]) / field.jump[axis]
    unit = unit.clip(0, last)
    below = unit.astype(np.intp)
    above = np.minimum(below + 1, last)
    share = (unit - below).astype(np.float32)
    share = share.reshape(-1, *[1] * (maps.ndim - axis - 2))
    with np.errstate(invalid="ignore"):  # infinite values times a share of 0
        values: Floats = maps.take(below, axis + 1) * (1 - share)
        values += maps.take(above, axis + 1) * share
    return values


def layer_with_maps(network: Network, layer: str | int | None) -> ResolvedLayer:
    """Return a layer that has maps, by default the last whose maps have several units.

    Raises UsageError, naming those there are.
    """
    with_maps = [one for one in network.resolved if len(one.output_shape) == 3]
    if layer is not None:
        one = find_layer(network.resolved, layer)
        if one in with_maps:
            return one
        known = ", ".join(other.name for other in with_maps) or "none"
        raise UsageError(
            f"{one.name} puts out {spell(one.output_shape)} values that have no place in "
            f"the image; the layers that have maps are {known}."
        )
    large = [one for one in with_maps if max(one.output_shape[:2]) > 1]
    if not large:
        raise UsageError(
            "no layer of this network has maps of more than one unit, so none can tell "
            "places in the image apart; gradients of the input can."
        )
    return large[-1]
