"""The learned numbers: one flat vector, seen as one named array each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arguments import spell
from ..errors import ShapeError
from ..resolve import ResolvedLayer, WeightSpec, flat_order

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


def named_views(
    resolved: Sequence[ResolvedLayer], flat: Floats, writable: bool = False
) -> Mapping[str, Floats]:
    """Return views of the flat vector by name, layer by layer; nothing is copied.

    A vector of the trainable weights alone, as gradients are, gives those alone.
    """
    views = {}
    for weight, start in weight_offsets(resolved).values():
        if start + weight.size <= flat.size:
            view = flat[start : start + weight.size].reshape(weight.shape)
            view.flags.writeable = writable
            views[weight.name] = view
    return MappingProxyType(views)


def weight_offsets(
    resolved: Sequence[ResolvedLayer],
) -> dict[str, tuple[WeightSpec, int]]:
    """Return by name, layer by layer, each weight and its place in the flat vector."""
    places = {}
    start = 0
    for weight in flat_order(resolved):
        places[weight.name] = weight, start
        start += weight.size
    return {one.name: places[one.name] for layer in resolved for one in layer.weights}


def flattened(
    resolved: Sequence[ResolvedLayer], arrays: Mapping[str, Floats]
) -> Floats:
    """Return named arrays as one flat vector."""
    parts = [arrays[weight.name].ravel() for weight in flat_order(resolved)]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def checked_weights(
    resolved: Sequence[ResolvedLayer], mapping: Mapping[str, ArrayLike]
) -> dict[str, Floats]:
    """Return the arrays of a mapping as float32, in the network's order.

    Raises ShapeError for missing and unknown names and wrong shapes, TypeError for
    arrays that do not hold numbers, ValueError for numbers that are not finite.
    """
    specs = [weight for layer in resolved for weight in layer.weights]
    if not isinstance(mapping, Mapping):
        raise TypeError(
            "weights must be a mapping of names to arrays, as network.weights is, not "
            f"{type(mapping).__name__}."
        )
    names = [weight.name for weight in specs]
    missing = [name for name in names if name not in mapping]
    unknown = [str(name) for name in mapping if name not in names]
    if missing or unknown:
        faults = [f"{', '.join(missing)} missing"] if missing else []
        faults += [f"{', '.join(unknown)} unknown"] if unknown else []
        raise ShapeError(
            f"weights must have this network's names, but there is "
            f"{' and '.join(faults)}; the names are {', '.join(names) or 'none'}."
        )
    arrays = {}
    for weight in specs:
        array = np.asarray(mapping[weight.name])
        if array.dtype.kind not in "fiu":
            raise TypeError(
                f"{weight.name} must hold real numbers, not {array.dtype}; give it as "
                "float32."
            )
        if array.shape != weight.shape:
            raise ShapeError(
                f"{weight.name} must be of shape {spell(weight.shape)} but is "
                f"{spell(array.shape) or 'a single number'}."
            )
        with np.errstate(over="ignore"):
            array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise ValueError(
                f"{weight.name} must hold finite float32 numbers, but holds NaN, "
                "infinity or numbers too large for float32."
            )
        if weight.name.endswith("running_var") and (array < 0).any():
            raise ValueError(f"{weight.name} must hold variances, none below 0.")
        arrays[weight.name] = array
    return arrays
