"""What a network is: layers in their places, weights, and what it knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arguments import shown, truth
from .engine.compute import Engine
from .engine.initialization import initial_weights
from .engine.machine import check_memory
from .engine.randomness import check_seed
from .engine.weights import Floats, checked_weights, flattened
from .errors import DataError
from .images.inputs import Images, InputRule, prepare, sample_weights
from .images.labels import Classes, ClassNames, as_labels
from .images.preprocess import Preprocessing
from .resolve import Layer, ResolvedLayer, check_layers, resolve
from .training.calibration import checked_temperature
from .training.evaluation import Examples

if TYPE_CHECKING:
    from .table import Summary


class Stack:
    """The base of Network: a stack of layers with its weights and its record."""

    def __init__(
        self, layers: Iterable[Layer], input_shape: Sequence[int], seed: int = 0
    ) -> None:
        layers = check_layers(layers)
        resolved = resolve(layers, input_shape)
        seed = check_seed(seed)
        parameters = sum(one.parameters for one in resolved)
        check_memory(
            4 * parameters,
            f"a network of {parameters:,} parameters",
            "use fewer filters or units, or pool before Flatten()",
        )
        self._set_up(layers, resolved, seed, initial_weights(resolved, seed))

    def _set_up(
        self,
        layers: Sequence[Layer],
        resolved: Sequence[ResolvedLayer],
        seed: int,
        flat: Floats,
    ) -> None:
        self.layers = tuple(layers)
        """The layers as they were given, those of branches inside of their Residual."""
        self.seed = seed
        self.engine = Engine(resolved, flat)
        """What computes; for Striate's own modules."""
        self.training: dict[str, Any] = {}
        """The record of the last training run: versions, seed, settings, data hash."""
        self.stop_training = False
        """Set by a callback to end `fit` after the steps under way."""
        self._classes: Classes | None = None
        self._preprocessing: Preprocessing | None = None
        self._input_rule = InputRule(self.input_shape, None, floats=False)
        self._temperature = 1.0
        self._mirrored_answers = False

    @property
    def resolved(self) -> tuple[ResolvedLayer, ...]:
        """All layers in their places: names, shapes, weights and cost."""
        return self.engine.resolved

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of what enters the first layer."""
        height, width, channels = self.resolved[0].input_shape
        return height, width, channels

    @property
    def parameters(self) -> int:
        """How many numbers the network learns."""
        return sum(one.parameters for one in self.resolved)

    @property
    def outputs(self) -> int:
        """How many numbers the network ends in, one a class; else ShapeError."""
        return self.engine.outputs

    @property
    def preprocessing(self) -> Preprocessing | None:
        """How pixels become the input; None before `fit` has seen uint8 images."""
        return self._preprocessing

    @property
    def input_rule(self) -> InputRule:
        """What the network knows about the images it takes."""
        known, floats = self._input_rule, self.training.get("input") == "floats"
        if known.preprocessing is not self._preprocessing or known.floats != floats:
            known = InputRule(self.input_shape, self._preprocessing, floats)
            self._input_rule = known  # it keeps the table that pixels go through
        return known

    @property
    def classes(self) -> Classes | None:
        """What labels and answers are made of, in the order of the logits.

        None before `fit` has seen labels; may be set to names of the same number.
        """
        return self._classes

    @classes.setter
    def classes(self, names: ClassNames) -> None:
        self._classes = checked_classes(names, self.outputs)

    @property
    def temperature(self) -> float:
        """What logits are divided by before they become probabilities.

        1.0 until `calibrate` has chosen it; training and new weights set it back. May
        be set to a number from 0.05 to 20.
        """
        return self._temperature

    @temperature.setter
    def temperature(self, value: float) -> None:
        self._temperature = checked_temperature(value)

    @property
    def mirrored_answers(self) -> bool:
        """Whether logits are the mean of those of an image and of its mirror image.

        True after training on images that were mirrored (left and right, by
        `augmentation`); costs twice the time. May be set.
        """
        return self._mirrored_answers

    @mirrored_answers.setter
    def mirrored_answers(self, value: bool) -> None:
        self._mirrored_answers = truth("Network", "mirrored_answers", value)
        self._temperature = 1.0

    def learned(
        self,
        preprocessing: Preprocessing | None,
        classes: Classes,
        mirrored_answers: bool,
    ) -> None:
        """Take over what training images and labels told; called by `fit`."""
        self._preprocessing = preprocessing
        self._classes = classes
        self._mirrored_answers = mirrored_answers
        self._temperature = 1.0

    @property
    def weights(self) -> Mapping[str, Floats]:
        """All weights by name, in the network's order; views that cannot be written.

        conv1.weight is (filters, channels / groups, height, width), dense1.weight
        (units, inputs), a bias (filters,) or (units,): as in PyTorch and ONNX. The views
        show what training does to them; copy what shall stay.
        """
        return self.engine.named(self.engine.flat)

    def set_weights(self, weights: Mapping[str, ArrayLike]) -> None:
        """Replace all weights by arrays of the same names and shapes.

        Raises ShapeError for missing or unknown names and for wrong shapes, TypeError
        or ValueError for what is not finite real numbers, BusyError in training;
        the network then stays as it was.
        """
        arrays = checked_weights(self.resolved, weights)
        with self.engine.usage.changing("set_weights"):
            self._temperature = 1.0
            self.engine.flat[:] = flattened(self.resolved, arrays)

    def summary(self) -> Summary:
        """Return a table of layers, shapes, parameters, cost and receptive fields."""
        from .table import Summary

        return Summary.of(self.resolved)

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

    def __getstate__(self) -> dict[str, Any]:
        with self.engine.usage.reading():
            return {
                "layers": self.layers,
                "input_shape": self.input_shape,
                "seed": self.seed,
                "flat": self.engine.flat.copy(),
                "classes": self._classes,
                "preprocessing": self._preprocessing,
                "temperature": self._temperature,
                "mirrored_answers": self._mirrored_answers,
                "training": self.training,
            }

    def __setstate__(self, state: dict[str, Any]) -> None:
        resolved = resolve(state["layers"], state["input_shape"])
        seed, flat = check_seed(state["seed"]), np.array(state["flat"])
        self._set_up(state["layers"], resolved, seed, flat)
        self._preprocessing = state["preprocessing"]
        self._temperature = state["temperature"]
        self._mirrored_answers = state["mirrored_answers"]
        self.training = state["training"]
        if state["classes"] is not None:
            self.classes = state["classes"]

    def __repr__(self) -> str:
        """Return the constructor call a user would write."""
        layers = ", ".join(map(repr, self.layers))
        return f"Network([{layers}], {self.input_shape}, seed={self.seed})"

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()


def checked_classes(names: object, outputs: int | None = None) -> Classes:
    """Return the names of classes as a tuple, or say what is wrong with them.

    `outputs` is how many there must be; None where any number will do.
    """
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise DataError(f"classes must be a list of names, not {shown(names)}.")
    given = tuple(
        name.item() if isinstance(name, np.generic) else name for name in names
    )
    kinds = {type(name) for name in given}
    if kinds not in ({str}, {int}) or len(set(given)) != len(given):
        raise DataError(
            "classes must be different strings or different integers, but are "
            f"{given!r:.200}."
        )
    if outputs is not None and len(given) != outputs:
        raise DataError(
            f"classes must be {outputs} names, one for each output of the network, but "
            f"are {len(given)}."
        )
    return given
