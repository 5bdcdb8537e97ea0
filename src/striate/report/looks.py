"""What is found of one layer: its field, its maps, and the patches that fire them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Dataset
from ..drawing.stages import Stage
from ..errors import DataError, UsageError
from ..explain import TopPatches, deconvolution, effective_field
from ..explain.pixels import Pixels
from ..layers import AvgPool2D, MaxPool2D
from ..network import Network
from ..receptive import ReceptiveField, receptive_field
from ..spread import spread

MAPS, UNITS = 12, 6
"""Maps of a layer that are shown with their patches, and units of a hidden dense one."""

_GRADIENTS = 512
"""Maps times images that the effective receptive field of a layer is the mean of."""


@dataclass(frozen=True, eq=False)
class Look:
    """What is shown of one stage of the network."""

    stage: Stage
    before: Stage
    seen: ReceptiveField
    patches: TopPatches | None
    """None where the stage is not shown map by map."""
    maps: NDArray[np.intp]
    """The maps that are shown; of more than there is room for those that fire most."""
    effective: NDArray[np.float64] | None
    """H,W: how much each pixel of the input changes the unit in the middle of the maps,
    on the average; None where that says nothing."""
    fired: dict[int, NDArray[Any]]
    """H,W by map: what fires it in its best patch, projected down to the pixels; of a
    first layer nothing, since there that is the filter."""
    pooled: tuple[int, NDArray[Any], NDArray[Any]] | None
    """Of a pooling the strongest map of an image, its number, and what it was before
    and is after (the lecture's M5)."""


def look_at(
    network: Network,
    dataset: Dataset,
    stage: Stage,
    before: Stage,
    patches: TopPatches | None,
    image: Pixels,
) -> Look:
    """Find what is shown of a stage; without `patches` it is not shown map by map.

    `image`, 1,H,W,C, is the one that poolings are shown on.
    """
    seen = receptive_field(network, stage.last)
    maps = np.arange(0)
    if patches is not None:
        hidden = stage.kind == "dense" and stage.last != network.resolved[-1].name
        maps = strongest_maps(patches, UNITS if hidden else MAPS)
    effective = None
    if len(stage.shape) == 3 and max(seen.size) > 1:
        count = max(1, _GRADIENTS // stage.shape[2])
        images = dataset.images[spread(range(len(dataset)), count)]
        try:
            effective = effective_field(network, images, stage.last).gradient
        except (DataError, UsageError):  # it never changes, or not by a number
            effective = None
    fired = {}
    if patches is not None and before.making is not None and len(stage.shape) == 3:
        fired = _fired(network, dataset, patches, maps)
    pooled = _pooled(network, stage, before, image) if patches is None else None
    return Look(stage, before, seen, patches, maps, effective, fired, pooled)


def _pooled(
    network: Network, stage: Stage, before: Stage, image: Pixels
) -> tuple[int, NDArray[Any], NDArray[Any]] | None:
    """One map of an image before and after a pooling."""
    pooling = stage.making and isinstance(stage.making.layer, MaxPool2D | AvgPool2D)
    if not pooling or before.making is None:
        return None
    names = [before.last, stage.last]
    maps = network.activations(image, names)
    fed, after = (maps[name][0] for name in names)
    strongest = int(np.nan_to_num(fed).max(axis=(0, 1)).argmax())
    return strongest, fed[..., strongest], after[..., strongest]


def _fired(
    network: Network, dataset: Dataset, patches: TopPatches, maps: NDArray[np.intp]
) -> dict[int, NDArray[Any]]:
    """What fires each map in its best patch (Zeiler and Fergus, 2013)."""
    firing = maps[(patches.images[maps, 0] >= 0) & (patches.values[maps, 0] > 0)]
    if not len(firing):
        return {}
    places = patches.rows[firing, 0], patches.columns[firing, 0], firing
    images = dataset.images[patches.images[firing, 0]]
    found = deconvolution(network, images, patches.layer, unit=np.stack(places, axis=1))
    return dict(zip(firing.tolist(), found.values.sum(axis=-1), strict=True))


def strongest_maps(patches: TopPatches, most: int) -> NDArray[np.intp]:
    """Return the maps that answer most strongly, by the mean of their best patches.

    In falling order; where there are no more than that, all of them in their own order.
    """
    if len(patches.values) <= most:
        return np.arange(len(patches.values))
    known = np.nan_to_num(patches.values, nan=-np.inf, posinf=np.inf)
    return np.argsort(-known.mean(axis=1), kind="stable")[:most]


def classes_among(
    patches: TopPatches, maps: Sequence[int], labels: NDArray[Any]
) -> tuple[float, float]:
    """Return how many classes the best images of a map are of, and as many at random.

    Both are means: over the maps, and over all ways to draw as many of the images.
    """
    images = patches.images[list(maps)]
    found = [len(np.unique(labels[places[places >= 0]])) for places in images]
    drawn = min(images.shape[1], len(labels))
    ways = comb(len(labels), drawn)
    missed = (
        comb(len(labels) - count, drawn) / ways
        for count in np.unique(labels, return_counts=True)[1].tolist()
    )
    return float(np.mean(found)), sum(1 - share for share in missed)


def learns(stage: Stage) -> bool:
    """Whether a stage finds something of its own, and does not only pass on."""
    return stage.kind in ("conv", "dense", "add")
