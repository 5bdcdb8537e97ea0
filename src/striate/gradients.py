"""How a network's numbers change: with its input, with a layer, with its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arguments import shown, spell
from .engine.randomness import check_seed
from .engine.weights import Floats
from .errors import ShapeError, UsageError
from .images.labels import as_targets
from .resolve import ResolvedLayer, find_layer
from .stack import Stack
from .training.settings import check_label_smoothing

Unit = int | Sequence[int] | NDArray[np.integer[Any]]
"""A unit of a layer: (row, column, channel), or its number in a flat one; or N of them."""

Rule = Literal["gradient", "guided", "deconvolution"]
"""What a ReLU passes back."""


class Gradients(Stack):
    """The part of Network that differentiates."""

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
