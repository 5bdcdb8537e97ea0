"""The layers: frozen records that say what each one is and does to a shape.

How they compute is the core's business; between the two stands only the plan.
Numbers for windows are one for both axes or (height, width) pairs, and mean what
they mean in PyTorch unless said otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from .arguments import real_number, shown, spell, store, truth, whole_number
from .convolution import Conv2D
from .pooling import AvgPool2D, GlobalAvgPool2D, MaxPool2D
from .residual import Residual
from .resolve import Layer, ResolvedLayer, Shape, WeightSpec, resolve
from .window import Window

__all__ = [
    "AvgPool2D",
    "BatchNorm",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2D",
    "Layer",
    "LeakyReLU",
    "MaxPool2D",
    "ReLU",
    "Residual",
    "ResolvedLayer",
    "ScaledTanh",
    "Sigmoid",
    "Tanh",
    "WeightSpec",
    "Window",
    "layer_from_config",
    "resolve",
]


@dataclass(frozen=True, repr=False)
class Dense(Layer):
    """Fully connected: every unit's dot product with the whole input, plus its bias.

    Takes flat input (D,), gives (units,); weights are (units, D).

    >>> Dense(120).output_shape((400,))
    (120,)
    """

    kind: ClassVar[str] = "dense"
    units: int
    bias: bool = True

    def __post_init__(self) -> None:
        store(self, "units", whole_number("Dense", "units", self.units))
        truth("Dense", "bias", self.bias)

    def problem(self, shape: Shape, earlier: Sequence[ResolvedLayer]) -> str | None:
        if len(shape) == 1:
            return None
        return f"needs a flat input but gets {spell(shape)}; put Flatten() before it"

    def output_shape(self, shape: Shape) -> Shape:
        return (self.units,)

    def weights(self, shape: Shape) -> tuple[WeightSpec, ...]:
        weight = WeightSpec("weight", (self.units, shape[0]), shape[0])
        bias = WeightSpec("bias", (self.units,), shape[0])
        return (weight, bias) if self.bias else (weight,)

    def multiply_adds(self, shape: Shape) -> int:
        return shape[0] * self.units


@dataclass(frozen=True, repr=False)
class BatchNorm(Layer):
    """Brings every channel to mean 0 and variance 1, then scales and shifts it.

    While training by the statistics of the batch, of which running averages are kept,
    running = (1 - `momentum`) * running + momentum * batch; else by those. A volume is
    normalised channel by channel over images, rows and columns, a flat input unit by
    unit. `epsilon` is added to the variance. The scale (weight) starts at 1, the shift
    (bias) at 0. Sample weights do not count here. As PyTorch's BatchNorm2d and
    BatchNorm1d (Ioffe and Szegedy, 2015).

    >>> BatchNorm(momentum=0.05)
    BatchNorm(0.05)
    """

    kind: ClassVar[str] = "bn"
    momentum: float = 0.1
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        momentum = real_number("BatchNorm", "momentum", self.momentum)
        if not 0 < momentum <= 1:
            raise ValueError(
                f"BatchNorm: momentum must be above 0 and at most 1, not {momentum}; "
                "it is the share of the newest batch in the running statistics."
            )
        epsilon = real_number("BatchNorm", "epsilon", self.epsilon)
        if not 1e-12 <= epsilon <= 1:
            raise ValueError(
                f"BatchNorm: epsilon must be from 1e-12 to 1, not {epsilon}; it keeps "
                "the division by the root of a variance of zero from failing."
            )
        store(self, "momentum", momentum)
        store(self, "epsilon", epsilon)

    def weights(self, shape: Shape) -> tuple[WeightSpec, ...]:
        each = shape[-1:]
        return (
            WeightSpec("weight", each, 1, start=1.0),
            WeightSpec("bias", each, 1, start=0.0),
            WeightSpec("running_mean", each, 1, start=0.0, trainable=False),
            WeightSpec("running_var", each, 1, start=1.0, trainable=False),
        )


class ReLU(Layer):
    """max(x, 0), value by value; NaN stays NaN."""

    kind: ClassVar[str] = "relu"


@dataclass(frozen=True, repr=False)
class LeakyReLU(Layer):
    """x where it is positive and `negative_slope` * x elsewhere."""

    kind: ClassVar[str] = "leakyrelu"
    negative_slope: float = 0.01

    def __post_init__(self) -> None:
        slope = real_number("LeakyReLU", "negative_slope", self.negative_slope)
        if slope < 0:
            raise ValueError(
                f"LeakyReLU: negative_slope must be at least 0, not {slope}."
            )
        store(self, "negative_slope", slope)


class Tanh(Layer):
    """tanh(x), value by value."""

    kind: ClassVar[str] = "tanh"


class ScaledTanh(Layer):
    """1.7159 * tanh(2x/3), the squashing function of LeNet-5 (LeCun et al., 1998)."""

    kind: ClassVar[str] = "tanh"


class Sigmoid(Layer):
    """1 / (1 + exp(-x)), value by value."""

    kind: ClassVar[str] = "sigmoid"


@dataclass(frozen=True, repr=False)
class Dropout(Layer):
    """While training, zero each value with probability `rate` and scale up the rest.

    What stays is divided by 1 - rate, so nothing changes when predicting
    (Srivastava et al., 2014).
    """

    kind: ClassVar[str] = "dropout"
    rate: float = 0.5

    def __post_init__(self) -> None:
        rate = real_number("Dropout", "rate", self.rate)
        if not 0 <= rate < 1:
            raise ValueError(
                f"Dropout: rate must be at least 0 and below 1, not {rate}; "
                "it is the share of values that are dropped."
            )
        store(self, "rate", rate)


class Flatten(Layer):
    """A volume as one vector, in channel, row, column order (as PyTorch's C,H,W).

    >>> Flatten().output_shape((5, 5, 16))
    (400,)
    """

    kind: ClassVar[str] = "flatten"

    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)


_BY_NAME: dict[str, type[Layer]] = {
    layer.__name__: layer
    for layer in (
        *(Conv2D, MaxPool2D, AvgPool2D, GlobalAvgPool2D, Dense, ReLU, LeakyReLU),
        *(Tanh, ScaledTanh, Sigmoid, Dropout, Flatten, BatchNorm, Residual),
    )
}


def layer_from_config(config: object) -> Layer:
    """Return the layer whose `to_config()` this is; ValueError if it is none.

    >>> layer_from_config({"kind": "Conv2D", "filters": 6, "kernel_size": [5, 3]})
    Conv2D(6, (5, 3))
    """
    settings: dict[str, Any] = dict(config) if isinstance(config, Mapping) else {}
    kind = settings.pop("kind", None)
    layer = _BY_NAME.get(kind) if isinstance(kind, str) else None
    if layer is None:
        raise ValueError(
            f"A layer is described by its kind, one of {', '.join(_BY_NAME)}, and "
            f"its settings, not by {shown(config)}."
        )
    if unknown := settings.keys() - {field.name for field in fields(layer)}:
        names = ", ".join(sorted(map(shown, unknown)))
        raise ValueError(f"{kind} has no setting {names}.")
    try:
        if layer is Residual:
            settings = {
                name: [layer_from_config(one) for one in branch]
                for name, branch in settings.items()
            }
        return layer(**settings)
    except TypeError as error:
        raise ValueError(f"Not a valid {kind}: {error}") from None
