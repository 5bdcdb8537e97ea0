"""What fires a unit: the patches of images that make each feature map largest."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..arguments import whole_number
from ..engine.weights import Floats
from ..errors import DataError
from ..images.arrays import PIXEL, as_array
from ..images.fitting import flatten
from ..images.imagefile import read_image
from ..images.inputs import InputRule, checked
from ..network import Network
from ..receptive import receptive_field
from ..resolve import ResolvedLayer
from .fields import boxes_of
from .pixels import Pixels, as_pixels
from .statistics import folded

Boxed = Callable[[NDArray[np.int64]], Sequence[int]]
"""Where a box of the network's input lies in an image."""


@dataclass(frozen=True, eq=False)
class TopPatches:
    """The k images and places that make each of a layer's C feature maps largest.

    No image counts twice for a map. In flat layers every unit is a map of one number.
    """

    layer: str
    values: Floats
    """(C, k) the largest activations, falling; NaN where there are fewer images."""
    images: NDArray[np.intp]
    """(C, k) which image, -1 where there are fewer."""
    rows: NDArray[np.intp]
    """(C, k) where in the map, -1 likewise."""
    columns: NDArray[np.intp]
    """(C, k) likewise."""
    boxes: NDArray[np.int64]
    """(C, k, 4) what that unit sees: top, left, bottom, right in the network's input,
    half-open and clipped to it; zeros where there are fewer images."""
    rule: InputRule = field(repr=False)
    """How images become the network's input."""
    inverted: bool = False
    """Whether dark and bright pixels were turned."""

    def crops(self, images: object) -> list[list[Pixels]]:
        """Cut the patches out of the images they were found in, N,H,W,C.

        Returns for every map its patches, uint8 (height, width, C) of the boxes' sizes,
        from the images as the network takes them (`input_pixels`): what surrounds small
        ones is their background. Only those images are read that have a patch. Raises
        DataError where there are fewer images than were ranked.
        """
        given = as_array(images, "images")
        # Floats were preprocessed ones, or top_patches would not have taken them.
        floats = given.dtype != PIXEL and self.rule.preprocessing is not None
        array = checked(given, self.rule, preprocessed=floats)

        def pixels(image: int) -> tuple[Pixels, Boxed]:
            one = array[image : image + 1]
            pixels = as_pixels(255 - one if self.inverted else one, self.rule)
            return pixels[0], lambda box: box

        return self._cut(len(array), "images", pixels)

    def crops_from_files(
        self, files: Sequence[str | os.PathLike[str]]
    ) -> list[list[Pixels]]:
        """Cut the patches out of the files that the images were read from.

        `files` are paths in the order of the images. Returns what `crops` does, but of
        the files' own pixels, as many as there are in what the unit sees
        (`Preprocessing.file_box`), grey or red, green and blue. A patch that shows
        nothing of its file is empty. Only those files are read that have a patch.
        Raises DataError where there are fewer files, one cannot be read, or the network
        was not trained on pixels.
        """
        known = self.rule.preprocessing
        if known is None:
            raise DataError(
                "patches can be cut from files only where the network knows how files "
                "become its input, but it was not trained on uint8 images."
            )

        def pixels(file: int) -> tuple[Pixels, Boxed]:
            image = read_image(files[file])
            if image.mode == "RGBA":
                ground = known.background if known.ground is None else known.ground
                image = flatten(image, ground, keep_visible=False)
            size = image.height, image.width
            return (
                np.asarray(image).reshape(*size, -1),
                lambda box: known.file_box(box, size),
            )

        return self._cut(len(files), "files", pixels)

    def _cut(
        self, count: int, what: str, pixels: Callable[[int], tuple[Pixels, Boxed]]
    ) -> list[list[Pixels]]:
        """Cut all patches, image by image; `pixels` gives one, and a box's in it."""
        wanted = np.unique(self.images[self.images >= 0])
        if len(wanted) and wanted[-1] >= count:
            raise DataError(
                f"patches of {self.layer} come from {what} up to number {wanted[-1]}, "
                f"counted from 0, but there are {count}; give all that top_patches was "
                "given, in the same order."
            )
        cut: dict[tuple[int, int], Pixels] = {}
        for image in wanted.tolist():
            whole, boxed = pixels(image)
            for place, rank in np.argwhere(self.images == image).tolist():
                top, left, bottom, right = boxed(self.boxes[place, rank])
                cut[place, rank] = whole[top:bottom, left:right].copy()
        maps, ranks = self.images.shape
        return [
            [cut[place, rank] for rank in range(ranks) if (place, rank) in cut]
            for place in range(maps)
        ]


def top_patches(
    network: Network,
    images: object,
    layers: str | int | Sequence[str | int] | None = None,
    k: int = 9,
    *,
    batch_size: int | None = None,
    preprocessed: bool = False,
    invert: bool = False,
    threads: int | None = None,
) -> dict[str, TopPatches]:
    """Find for every feature map the k images, and places in them, that fire it most.

    One pass over the images, which may be mapped from a file larger than memory
    (`Network.activation_batches`). Of equal activations the image that comes first
    counts, and in one image the place that comes first, row by row. Values that are NaN
    or minus infinity, as weights gone astray give, never count.

    Arguments:
        images: N,H,W,C, as `Network.activations` takes them.
        layers: a name, an index or a list of them; None for all layers.
        k: how many images for each map, at least 1.
        invert: turn dark and bright pixels first, in the crops as well.

    Returns the patches by layer name. Raises UsageError for layers there are not.
    Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks",
    2013; the lecture's M9.

    >>> from striate import Conv2D
    >>> network = Network([Conv2D(1, 2, bias=False)], (4, 4, 1))
    >>> network.set_weights({"conv1.weight": np.eye(2).reshape(1, 1, 2, 2)})
    >>> image = np.array([[1, 5, 1, 7], [4, 6, 0, 8], [3, 2, 2, 3], [0, 1, 1, 4]])
    >>> found = top_patches(network, np.stack([image, image.T]).astype(float), k=1)
    >>> top = found["conv1"]
    >>> top.values, top.images, top.boxes
    (array([[9.]], dtype=float32), array([[0]]), array([[[0, 2, 2, 4]]]))
    """
    k = whole_number("top_patches", "k", k)
    batches = network.activation_batches(
        images,
        layers,
        batch_size=batch_size,
        preprocessed=preprocessed,
        invert=invert,
        threads=threads,
    )
    rankings: dict[str, _Ranking] = {}
    for places, batch in batches:
        for name, activations in batch.items():
            if name not in rankings:
                rankings[name] = _Ranking(activations.shape[-1], k)
            rankings[name].add(places.start, activations)
    resolved = {one.name: one for one in network.resolved}
    return {
        name: _patches(network, resolved[name], ranking, bool(invert))
        for name, ranking in rankings.items()
    }


class _Ranking:
    """The best images of every map so far; no activations are kept."""

    def __init__(self, maps: int, k: int) -> None:
        self.values = np.full((maps, k), -np.inf, np.float32)
        self.images = np.full((maps, k), -1)
        self.places = np.full((maps, k), -1)

    def add(self, start: int, activations: Floats) -> None:
        """Rank some more images, the first of which is number `start`."""
        count, channels = len(activations), activations.shape[-1]
        values = activations.reshape(count, -1, channels)
        peaks = folded(values, np.fmax)  # fmax passes over NaN
        peaks = np.where(np.isnan(peaks), np.float32(-np.inf), peaks)
        # What equals the last in rank comes after it, so only what is larger enters.
        maps = np.flatnonzero((peaks > self.values[:, -1]).any(axis=0))
        both = np.concatenate([self.values[maps], peaks.T[maps]], axis=1)
        k = self.values.shape[1]
        order = np.empty((len(maps), k), np.intp)
        best = np.empty((len(maps), k), np.float32)
        every = np.arange(len(maps))
        for rank in range(k):  # of some hundred, a few are found sooner than sorted
            order[:, rank] = first = both.argmax(axis=1)
            best[:, rank] = both[every, first]
            both[every, first] = -np.inf
        old, ranked = order < k, np.minimum(order, k - 1)
        images = np.take_along_axis(self.images[maps], ranked, axis=1)
        images = np.where(old, images, start + order - k)
        images[best == -np.inf] = -1
        places = np.take_along_axis(self.places[maps], ranked, axis=1)
        for rank in range(k):  # where in its map is asked of what is new alone
            new = np.flatnonzero(images[:, rank] >= start)
            seen = values[images[new, rank] - start, :, maps[new]]
            places[new, rank] = (seen == best[new, rank, None]).argmax(axis=1)
        self.values[maps], self.images[maps], self.places[maps] = best, images, places


def _patches(
    network: Network, one: ResolvedLayer, ranking: _Ranking, inverted: bool
) -> TopPatches:
    width = one.output_shape[1] if len(one.output_shape) == 3 else 1
    there = ranking.images >= 0
    rows, columns = (
        np.where(there, part, -1) for part in np.divmod(ranking.places, width)
    )
    return TopPatches(
        layer=one.name,
        values=np.where(there, ranking.values, np.float32(np.nan)),
        images=ranking.images,
        rows=rows,
        columns=columns,
        boxes=boxes_of(receptive_field(network, one.name), rows, columns),
        rule=network.input_rule,
        inverted=inverted,
    )
