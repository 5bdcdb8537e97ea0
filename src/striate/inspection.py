"""Looking inside a network: activations, features and gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from .arguments import spell, whole_number
from .engine.randomness import check_seed
from .engine.weights import Floats
from .errors import ShapeError, UsageError
from .images.inputs import (
    Images,
    InputRule,
    checked,
    prepare,
    ready,
    sample_weights,
)
from .images.labels import as_labels
from .layers import Dense
from .resolve import ResolvedLayer, find_layer
from .stack import Stack
from .training.evaluation import Examples
from .training.settings import check_label_smoothing

Unit = int | Sequence[int]
"""A unit of a layer: (row, column, channel), or its number in a flat one."""

BLOCK = 16  # images that the core computes together
# Bytes of a batch: two are held while the next one is computed, some 64 MB.
BATCH = 2**25


class Inspection(Stack):
    """The part of Network that looks inside it.

    `preprocessed` says that float arrays already are as `preprocessing` makes them;
    `invert` turns dark and bright pixels first; `threads` is how many compute.
    """

    @overload
    def activations(  # type: ignore[overload-overlap]  # a name is a sequence too
        self,
        images: object,
        layer: str | int,
        *,
        preprocessed: bool = False,
        invert: bool = False,
        threads: int | None = None,
    ) -> Floats: ...

    @overload
    def activations(
        self,
        images: object,
        layer: Sequence[str | int] | None = None,
        *,
        preprocessed: bool = False,
        invert: bool = False,
        threads: int | None = None,
    ) -> dict[str, Floats]: ...

    def activations(
        self,
        images: object,
        layer: str | int | Sequence[str | int] | None = None,
        *,
        preprocessed: bool = False,
        invert: bool = False,
        threads: int | None = None,
    ) -> Floats | dict[str, Floats]:
        """Return what leaves a layer, N,H,W,C or N,D, for every image.

        `layer` is a name or an index; for a list of them, or None for all layers, the
        result is a mapping by name. Raises UsageError for layers there are not.
        Of more images than memory holds `activation_batches` gives some at a time.
        """
        if isinstance(layer, np.ndarray):
            layer = layer.tolist()
        alone = isinstance(layer, str) or hasattr(layer, "__index__")
        wanted = self._wanted(layer, "activations")
        inputs = self._inputs(images, preprocessed, invert)
        indices = [one.index for one in wanted]
        outputs = self.engine.forward(inputs, indices, threads=threads)
        if alone:
            return outputs[0]
        return {one.name: output for one, output in zip(wanted, outputs, strict=True)}

    def activation_batches(
        self,
        images: object,
        layer: str | int | Sequence[str | int] | None = None,
        *,
        batch_size: int | None = None,
        preprocessed: bool = False,
        invert: bool = False,
        threads: int | None = None,
    ) -> Iterator[tuple[slice, dict[str, Floats]]]:
        """Give the activations of some images at a time, in one pass over all of them.

        Yields (places, activations): which of the images, as a slice, and what leaves
        the layers for these, N,H,W,C or N,D by layer name. `images` may be mapped from
        a file larger than memory: each batch is read, given and left to be freed.

        Arguments:
            layer: a name, an index or a list of them; None for all layers.
            batch_size: images at a time, at least 1; by default so many that batches
                take some 64 MB together, though no fewer than 16.

        Every number is, bit for bit, what `activations` gives for all images at once,
        whatever the batch size. All arguments are checked before the first batch is
        asked for, but for values that are NaN or infinite, which are found (DataError)
        when their batch is read.

        >>> from striate import Conv2D, Network
        >>> network = Network([Conv2D(2, 3)], (8, 8, 1))
        >>> images = np.zeros((20, 8, 8, 1), np.uint8)
        >>> for places, maps in network.activation_batches(images, batch_size=16):
        ...     print(places, maps["conv1"].shape)
        slice(0, 16, None) (16, 6, 6, 2)
        slice(16, 20, None) (4, 6, 6, 2)
        """
        if isinstance(layer, np.ndarray):
            layer = layer.tolist()
        wanted = self._wanted(layer, "activation_batches")
        rule = self.input_rule
        array = checked(images, rule, preprocessed=preprocessed, invert=invert)
        numbers = sum(math.prod(one.output_shape) for one in wanted)
        if batch_size is None:
            each = 4 * (numbers + math.prod(self.input_shape))
            batch_size = max(BLOCK, BATCH // each // BLOCK * BLOCK)
        else:
            batch_size = whole_number("activation_batches", "batch_size", batch_size)
        step = min(batch_size, len(array))
        self.engine.team(step, len(wanted), numbers, threads)
        return self._batches(array, rule, wanted, step, invert, threads)

    def _batches(
        self,
        array: NDArray[Any],
        rule: InputRule,
        wanted: Sequence[ResolvedLayer],
        step: int,
        invert: bool,
        threads: int | None,
    ) -> Iterator[tuple[slice, dict[str, Floats]]]:
        indices = [one.index for one in wanted]
        fewest = _core.few_images + 1
        for start in range(0, len(array), step):
            stop = min(start + step, len(array))
            first, last = start, stop
            # Few images are computed another way. So that bits do not depend on the
            # batch size, few of many are computed among others, which are left out.
            if stop - start < fewest <= len(array):
                first = min(start, len(array) - fewest)
                last = max(stop, first + fewest)
            inputs = ready(array[first:last], rule, invert=invert, first=first)
            outputs = self.engine.forward(inputs, indices, threads=threads)
            if last - first > stop - start:
                inner = slice(start - first, stop - first)
                outputs = [output[inner].copy() for output in outputs]
            names = (one.name for one in wanted)
            yield slice(start, stop), dict(zip(names, outputs, strict=True))
            del outputs

    def features(
        self,
        images: object,
        *,
        preprocessed: bool = False,
        invert: bool = False,
        threads: int | None = None,
    ) -> Floats:
        """Return what enters the first Dense layer, N,D, in channel, row, column order.

        Raises UsageError where there is no Dense layer.
        Source: the lecture's M8, the convolutional part as a feature extractor.
        """
        dense = [one for one in self.resolved if isinstance(one.layer, Dense)]
        if not dense:
            raise UsageError(
                "features are what enters the first Dense layer, but this network has "
                "none; ask activations for the layer you want."
            )
        # Images are not flat, so a layer before the first Dense made them so.
        before = list(dense[0].inputs)
        inputs = self._inputs(images, preprocessed, invert)
        return self.engine.forward(inputs, before, threads=threads)[0]

    def input_gradient(
        self,
        images: object,
        *,
        layer: str | int | None = None,
        unit: Unit | None = None,
        target: object = None,
        labels: object = None,
        preprocessed: bool = False,
        invert: bool = False,
        threads: int | None = None,
    ) -> Floats:
        """Return how the input changes one number for every image, N,H,W,C.

        The number is one unit of a layer (`layer` and `unit`, (row, column, channel)
        or the unit's number in a flat layer), the logit of a class (`target`, one class
        or one for each image), or each image's own loss (`labels`). Gradients are of
        the network's input, after preprocessing, and of its shape: their places are
        those of `receptive_field(...).box(...)`. Dropout is not active,
        and BatchNorm uses its running statistics.
        """
        ways = [unit is not None, target is not None, labels is not None]
        if sum(ways) != 1 or (layer is not None) != (unit is not None):
            raise UsageError(
                "input_gradient needs exactly one thing to take the gradient of: "
                "layer=... with unit=..., or target=class, or labels=...."
            )
        one = self.resolved[-1] if layer is None else find_layer(self.resolved, layer)
        inputs = self._inputs(images, preprocessed, invert)
        if labels is not None:
            indices = self._indices(labels, inputs.count, "labels")
            return self.engine.input_gradient(
                inputs, one.index, labels=indices, threads=threads
            )
        seeds = np.zeros((inputs.count, *one.output_shape), np.float32)
        if unit is not None:
            seeds.reshape(inputs.count, -1)[:, unit_index(one, unit)] = 1
        else:
            classes = np.asarray(target)
            if classes.ndim == 0:
                classes = np.repeat(classes, inputs.count)
            indices = self._indices(classes, inputs.count, "target")
            seeds[np.arange(inputs.count), indices] = 1
        return self.engine.input_gradient(
            inputs, one.index, seeds=seeds, threads=threads
        )

    def loss_and_gradients(
        self,
        images: object,
        labels: object,
        sample_weight: ArrayLike | None = None,
        training: bool = False,
        label_smoothing: float = 0.0,
        *,
        seed: int = 0,
        preprocessed: bool = False,
        threads: int | None = None,
    ) -> tuple[float, Mapping[str, Floats]]:
        """Return the mean loss (cross-entropy) and its gradient by every weight's name.

        With `sample_weight` the mean is weighted. With `training` dropout is active and
        draws from `seed`, and BatchNorm normalises by the batch's own statistics, else
        by the running ones. The network itself does not change.
        """
        smoothing = check_label_smoothing(label_smoothing)
        examples = self._examples(images, labels, sample_weight, preprocessed)
        loss, gradient = self.engine.gradients(
            examples.images,
            examples.labels,
            examples.weights,
            label_smoothing=smoothing,
            dropout_seed=check_seed(seed) if training else None,
            threads=threads,
        )
        return loss, self.engine.named(gradient)

    def _wanted(
        self, layer: str | int | Sequence[str | int] | None, method: str
    ) -> list[ResolvedLayer]:
        """The layers that are meant: one, some, or for None all of them."""
        resolved = self.resolved
        if isinstance(layer, list | tuple) and not layer:
            raise UsageError(
                f"{method} needs a layer at least; leave layer out for all of them."
            )
        if layer is None:
            return list(resolved)
        if isinstance(layer, Sequence) and not isinstance(layer, str):
            return [find_layer(resolved, one) for one in layer]
        return [find_layer(resolved, layer)]

    def _inputs(self, images: object, preprocessed: bool, invert: bool) -> Images:
        return prepare(
            images, self.input_rule, preprocessed=preprocessed, invert=invert
        )

    def _examples(
        self,
        images: object,
        labels: object,
        sample_weight: ArrayLike | None,
        preprocessed: bool,
    ) -> Examples:
        inputs = self._inputs(images, preprocessed, invert=False)
        indices = self._indices(labels, inputs.count, "labels")
        return Examples(inputs, indices, sample_weights(sample_weight, inputs.count))

    def _indices(self, labels: object, count: int, what: str) -> NDArray[np.int32]:
        known, outputs = self._classes, self.outputs
        return as_labels(labels, count, known, outputs=outputs, what=what)[0]


def unit_index(one: ResolvedLayer, unit: Unit) -> int:
    """Where a unit stands in its layer's output, read row by row."""
    shape = one.output_shape
    form = "(row, column, channel)" if len(shape) == 3 else "its number"
    place = np.atleast_1d(np.asarray(unit))
    if place.shape != (len(shape),) or place.dtype.kind not in "iu":
        raise ShapeError(
            f"a unit of {one.name}, of shape {spell(shape)}, is named by {form}, not "
            f"{unit!r}."
        )
    if not all(0 <= at < side for at, side in zip(place, shape, strict=True)):
        raise ShapeError(
            f"there is no unit {unit!r} in {one.name}, whose shape is {spell(shape)}; "
            f"a unit is named by {form}, counted from 0."
        )
    return int(np.ravel_multi_index(tuple(place), shape))
