"""Looking inside a network: activations, features and gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from .arguments import shown, spell, whole_number
from .engine.randomness import check_seed
from .engine.weights import Floats
from .errors import ShapeError, UsageError
from .images.inputs import (
    Images,
    InputRule,
    checked,
    prepare,
    prepared,
    ready,
    sample_weights,
)
from .images.labels import as_labels, as_targets
from .resolve import ResolvedLayer, find_layer
from .stack import Stack
from .training.evaluation import Examples
from .training.settings import check_label_smoothing

if TYPE_CHECKING:
    from .features import Output

Unit = int | Sequence[int] | NDArray[np.integer[Any]]
"""A unit of a layer: (row, column, channel), or its number in a flat one; or N of them."""

Rule = Literal["gradient", "guided", "deconvolution"]
"""What a ReLU passes back."""

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

    @property
    def feature_layer(self) -> str:
        """The name of the layer whose output `features` takes unless told otherwise.

        What is classified: the layer before the first Dense one, Dropout passed over
        (lenet5: flatten1; mobilenet and resnet: the mean of every map). In a network
        without a Dense layer that ends flat, the one before the last convolution, which
        gives each class its map; in any other, the last. Raises UsageError where the
        classifier reads the images themselves.
        """
        from .features import before_classifier

        return before_classifier(self.resolved).name

    def features(
        self,
        images: object,
        layer: str | int | None = None,
        *,
        out: Output | None = None,
        batch_size: int | None = None,
        preprocessed: bool = False,
        invert: bool = False,
        threads: int | None = None,
    ) -> Floats:
        """Return what leaves a layer, flat, for every image: N,D for other classifiers.

        Volumes become rows in the order channel, row, column, as Flatten has it.

        Arguments:
            images: may be mapped from a file; some are computed at a time.
            layer: its name or index; by default `feature_layer`.
            out: where to put the features: the path of a file that ends in .npy, which
                is written whole or not at all and returned mapped, to read only; or an
                array N,D of float32 or float64. Without it they are in memory.
            batch_size: images at a time; by default so many that memory stays small.

        Raises UsageError for layers there are not and for what `out` cannot be,
        ShapeError for an array of another shape, DataError where the file cannot be
        written.
        Source: the lecture's M8, the convolutional part as a feature extractor.

        >>> from striate import lenet5
        >>> images = np.zeros((5, 28, 28), np.uint8)
        >>> lenet5().features(images).shape, lenet5().features(images, "pool1").shape
        ((5, 400), (5, 1176))
        """
        from .features import features  # not needed to predict, as files are not

        return features(
            self,
            images,
            layer,
            out,
            batch_size=batch_size,
            preprocessed=preprocessed,
            invert=invert,
            threads=threads,
        )

    def prepared(
        self, images: object, *, preprocessed: bool = False, invert: bool = False
    ) -> Floats:
        """Return what enters the first layer for images: float32, N,H,W,C.

        Pixels are normalised and have the background around them where they are smaller
        than the input; `preprocessing.pixels` is the way back. Floats that already are
        as they have to be are returned as they are.
        """
        inputs = self._inputs(images, preprocessed, invert)
        return prepared(inputs, self.input_rule, slice(None))

    def input_gradient(
        self,
        images: object,
        *,
        layer: str | int | None = None,
        unit: Unit | None = None,
        target: object = None,
        labels: object = None,
        at: str | int | None = None,
        rule: Rule = "gradient",
        preprocessed: bool = False,
        invert: bool = False,
        threads: int | None = None,
    ) -> Floats:
        """Return how the input changes one number for every image, N,H,W,C.

        Arguments:
            layer, unit: the number is a unit of this layer, (row, column, channel) or
                its number in a flat layer; one for all images, or N of them.
            target: the number is the logit of this class, or of N classes.
            labels: the number is each image's own loss, of these N labels.
            at: the gradient is not of the input but of what leaves this layer, N,H,W,C
                or N,D, and nothing below it is computed.
            rule: what a ReLU passes back: "gradient", what arrives where its input was
                positive; "deconvolution", where what arrives is positive; "guided",
                where both are. Of the rest a LeakyReLU passes on its slope's share. All
                other layers, Tanh and Sigmoid as well, pass back the gradient.

        Gradients of the input are of what preprocessing makes of it, and of its shape:
        their places are those of `receptive_field(...).box(...)`. Dropout is not
        active, and BatchNorm uses its running statistics. Raises UsageError where there
        is not one number to take the gradient of, for layers there are not, and for
        `at` where the number does not depend on it; ShapeError for units there are not,
        ValueError for other rules.
        Source: Zeiler and Fergus, 2013, for "deconvolution"; Springenberg, Dosovitskiy,
        Brox and Riedmiller, 2014, for "guided".

        >>> from striate import Dense, Flatten, Network, ReLU
        >>> network = Network([ReLU(), Flatten(), Dense(1, bias=False)], (1, 2, 1))
        >>> network.set_weights({"dense1.weight": [[-3, 2]]})
        >>> image = np.array([[[5.0], [-1.0]]], np.float32)
        >>> for rule in ("gradient", "deconvolution", "guided"):
        ...     network.input_gradient(image[None], target=0, rule=rule).ravel()
        array([-3.,  0.], dtype=float32)
        array([0., 2.], dtype=float32)
        array([0., 0.], dtype=float32)
        >>> network.input_gradient(image[None], target=0, at="flatten1")
        array([[-3.,  2.]], dtype=float32)
        """
        if rule not in get_args(Rule):
            raise ValueError(
                f"rule must be one of {', '.join(get_args(Rule))} but is {shown(rule)}."
            )
        ways = [unit is not None, target is not None, labels is not None]
        if sum(ways) != 1 or (layer is not None) != (unit is not None):
            raise UsageError(
                "input_gradient needs exactly one thing to take the gradient of: "
                "layer=... with unit=..., or target=class, or labels=...."
            )
        one = self.resolved[-1] if layer is None else find_layer(self.resolved, layer)
        below = -1 if at is None else _below(self.resolved, one, at)
        inputs = self._inputs(images, preprocessed, invert)
        if labels is not None:
            indices = self._indices(labels, inputs.count)
            return self.engine.input_gradient(
                inputs, one.index, at=below, rule=rule, labels=indices, threads=threads
            )
        seeds = np.zeros((inputs.count, *one.output_shape), np.float32)
        images_of_batch = np.arange(inputs.count)
        if unit is not None:
            places = unit_indices(one, unit, inputs.count)
            seeds.reshape(inputs.count, -1)[images_of_batch, places] = 1
        else:
            known = self._classes
            places = as_targets(target, inputs.count, known, self.outputs)
            seeds[images_of_batch, places] = 1
        return self.engine.input_gradient(
            inputs, one.index, at=below, rule=rule, seeds=seeds, threads=threads
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
        indices = self._indices(labels, inputs.count)
        return Examples(inputs, indices, sample_weights(sample_weight, inputs.count))

    def _indices(self, labels: object, count: int) -> NDArray[np.int32]:
        return as_labels(labels, count, self._classes, outputs=self.outputs)[0]


def _below(resolved: Sequence[ResolvedLayer], one: ResolvedLayer, at: str | int) -> int:
    """The index of the layer `at`, which `one` must be computed from."""
    wanted = find_layer(resolved, at)
    reached = {one.index}
    for other in reversed(resolved[: one.index + 1]):
        if other.index in reached:
            reached.update(other.inputs)
    if wanted.index not in reached:
        known = ", ".join(other.name for other in resolved if other.index in reached)
        raise UsageError(
            f"there is no gradient at {wanted.name}, which {one.name} is not computed "
            f"from; at can be one of {known}."
        )
    return wanted.index


def unit_indices(one: ResolvedLayer, unit: Unit, count: int) -> NDArray[np.intp]:
    """Return where each image's unit, or the one of all, stands in its layer's output.

    Read row by row, (count,) or (1,). Raises ShapeError for units there are not.
    """
    shape = one.output_shape
    form = "(row, column, channel)" if len(shape) == 3 else "its number"
    try:
        places = np.asarray(unit)
    except ValueError:  # rows of different lengths
        places = np.empty(0)
    if places.ndim < 2:  # one for all or, in a flat layer, a number an image
        places = places.reshape((1, -1) if len(shape) == 3 else (-1, 1))
    fits = places.shape in ((1, len(shape)), (count, len(shape)))
    if not fits or places.dtype.kind not in "iu":
        each = f", one for all images or one for each of the {count}"
        raise ShapeError(
            f"a unit of {one.name}, of shape {spell(shape)}, is named by {form}"
            f"{each if count > 1 else ''}, not {shown(unit)}."
        )
    wrong = ((places < 0) | (places >= shape)).any(axis=1)
    if wrong.any():
        first = places[wrong][0].tolist()
        named = tuple(first) if len(shape) == 3 else first[0]
        raise ShapeError(
            f"there is no unit {named} in {one.name}, whose shape is {spell(shape)}; "
            f"a unit is named by {form}, counted from 0."
        )
    indices: NDArray[np.intp] = np.ravel_multi_index(
        tuple(places.astype(np.intp).T), shape
    )
    return indices


def unit_index(one: ResolvedLayer, unit: Unit) -> int:
    """Where one unit stands in its layer's output, read row by row."""
    return int(unit_indices(one, unit, 1)[0])
