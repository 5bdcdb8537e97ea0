"""What activation maximisation makes large: classes, units, or whole feature maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..arguments import shown, whole_number
from ..engine.weights import Floats
from ..errors import ShapeError, UsageError
from ..gradients import unit_indices
from ..images.labels import as_targets
from ..network import Network
from ..receptive import receptive_field
from ..resolve import ResolvedLayer, find_layer
from .fields import boxes_of

Of = Literal["center", "mean"]


@dataclass(frozen=True)
class Objective:
    """Numbers to make large, each a weighted sum of what leaves one layer."""

    layer: ResolvedLayer
    units: tuple[Any, ...]
    """What each is called: a class, a unit, or the channel of a map."""
    places: NDArray[np.intp]
    """U,P: the places in the layer's output, read row by row, whose mean each is."""
    boxes: NDArray[np.int64]
    """U,4: (top, left, bottom, right), all pixels of the input that can matter."""
    sight: tuple[int, int]
    """(height, width) that a unit of this kind sees where no border cuts it off."""

    def seeds(self, part: slice) -> Floats:
        """Return the derivative of some of the numbers by the layer's output."""
        places = self.places[part]
        seeds = np.zeros((len(places), *self.layer.output_shape), np.float32)
        flat = seeds.reshape(len(places), -1)
        np.put_along_axis(flat, places, np.float32(1 / places.shape[1]), axis=1)
        return seeds

    def values(self, outputs: Floats, part: slice) -> Floats:
        """Return some of the numbers from what leaves the layer for their pictures."""
        flat = outputs.reshape(len(outputs), -1)
        values: Floats = np.take_along_axis(flat, self.places[part], axis=1).mean(
            axis=1
        )
        return values


def objective(
    network: Network,
    target: object,
    layer: str | int | None,
    unit: object,
    channel: object,
    of: Of,
) -> Objective:
    """Settle what is to be made large; `maximize` says what the arguments are."""
    if of not in ("center", "mean"):
        raise ValueError(f"maximize: of must be 'center' or 'mean', not {shown(of)}.")
    inner = unit is not None or channel is not None
    if (
        (target is not None and (layer is not None or inner))
        or (layer is None and inner)
        or (unit is not None and channel is not None)
    ):
        raise UsageError(
            "maximize takes classes, target=..., or a layer, layer=..., with its "
            "units, unit=..., or its feature maps, channel=...; give one of them."
        )
    if layer is None:
        return _of_classes(network, target)
    one = find_layer(network.resolved, layer)
    flat = len(one.output_shape) == 1
    if unit is None and not flat:
        return _of_maps(network, one, channel, of)
    if channel is not None:
        raise UsageError(
            f"{one.name} puts out no feature maps but {one.output_shape[0]} numbers; "
            "give unit=... instead of channel=...."
        )
    return _of_units(network, one, unit)


def _of_classes(network: Network, target: object) -> Objective:
    last = network.resolved[-1]
    names = network.classes or tuple(range(network.outputs))
    wanted: Any = names if target is None else target
    count = len(wanted) if isinstance(wanted, list | tuple) else np.size(wanted)
    indices = as_targets(wanted, count, network.classes, network.outputs)
    units = tuple(names[index] for index in indices)
    return _settled(network, last, units, indices[:, None])


def _of_units(network: Network, one: ResolvedLayer, unit: object) -> Objective:
    shape = one.output_shape
    wanted: Any = range(shape[0]) if unit is None else unit
    if not _several(wanted, alone=0 if len(shape) == 1 else 1):
        wanted = [wanted]
    if len(wanted) == 0:
        raise UsageError("maximize needs at least one unit, but unit is empty.")
    places = np.array([unit_indices(one, each, 1)[0] for each in wanted], np.intp)
    units = np.transpose(np.unravel_index(places, shape)).tolist()
    names = tuple(place[0] if len(shape) == 1 else tuple(place) for place in units)
    return _settled(network, one, names, places[:, None])


def _several(unit: object, alone: int) -> bool:
    """Whether these are units, each of which has so many axes, and not one of them."""
    if isinstance(unit, list) and not unit:
        return True
    try:
        return np.ndim(unit) > alone  # type: ignore[arg-type]
    except ValueError:  # not all of the same length, which unit_indices complains of
        return True


def _of_maps(
    network: Network, one: ResolvedLayer, channel: object, of: Of
) -> Objective:
    height, width, channels = one.output_shape
    asked = np.atleast_1d(np.asarray(range(channels) if channel is None else channel))
    if not asked.size:
        raise UsageError(
            "maximize needs at least one feature map, but channel is empty."
        )
    wanted = [
        whole_number("maximize", "channel", each, minimum=0) for each in asked.ravel()
    ]
    if max(wanted) >= channels:
        raise ShapeError(
            f"there is no channel {max(wanted)} in {one.name}, which has {channels}, "
            f"counted from 0 to {channels - 1}."
        )
    if of == "center":
        first = (height // 2 * width + width // 2) * channels
        places = first + np.array(wanted)[:, None]
        return _settled(network, one, tuple(wanted), places)
    places = np.arange(height * width) * channels + np.array(wanted)[:, None]
    return _settled(network, one, tuple(wanted), places)


def _settled(
    network: Network,
    one: ResolvedLayer,
    units: tuple[Any, ...],
    places: NDArray[np.intp],
) -> Objective:
    field = receptive_field(network, one.index)
    whole = places.shape[1] > 1 or len(one.output_shape) == 1
    if whole:
        boxes = np.tile(np.array(field.box_of_all(), np.int64), (len(places), 1))
    else:
        rows, columns, _ = np.unravel_index(places[:, 0], one.output_shape)
        boxes = boxes_of(field, rows, columns)
    seen = field.input_size if whole else field.size
    sight = min(seen[0], field.input_size[0]), min(seen[1], field.input_size[1])
    return Objective(one, units, places, boxes, sight)
