"""LeNet-5, as the lecture draws it and as near to 1998's as it is."""

from __future__ import annotations

from typing import Literal, TypeVar

from ..arguments import shown
from ..layers import (
    AvgPool2D,
    Conv2D,
    Dense,
    Flatten,
    Layer,
    MaxPool2D,
    ReLU,
    ScaledTanh,
    Sigmoid,
    Tanh,
)
from ..network import Network

Activation = Literal["relu", "tanh", "scaled_tanh", "sigmoid"]
Pooling = Literal["max", "average"]
Choice = TypeVar("Choice")

_ACTIVATIONS: dict[str, type[Layer]] = {
    "relu": ReLU,
    "tanh": Tanh,
    "scaled_tanh": ScaledTanh,
    "sigmoid": Sigmoid,
}
_POOLINGS: dict[str, type[MaxPool2D | AvgPool2D]] = {
    "max": MaxPool2D,
    "average": AvgPool2D,
}


def lenet5(
    activation: Activation = "relu",
    pooling: Pooling = "max",
    *,
    input_shape: tuple[int, int, int] = (32, 32, 1),
    classes: int = 10,
    seed: int = 0,
) -> Network:
    """Return LeNet-5 as the lecture draws it (M7): 61,706 parameters, untrained.

    32x32x1 -> convolution 5x5 -> 28x28x6 -> pooling -> 14x14x6 -> convolution 5x5 ->
    10x10x16 -> pooling -> 5x5x16 -> dense 120, 84, 10; one image costs 416,520
    multiply-adds. `activation` ("relu", "tanh", "scaled_tanh", "sigmoid") follows
    every convolution and every dense layer but the last; `pooling` is "max" or
    "average". `input_shape` is (height, width, channels), at least 16 x 16. Raises
    ValueError for other names and ShapeError for smaller images.

    The network of 1998 (LeCun, Bottou, Bengio and Haffner, "Gradient-based learning
    applied to document recognition", Proc. IEEE 86) differed in its details. It had
    60,000 trainable parameters: 156 in C1, 12 in S2, 1,516 in C3, 32 in S4, 48,120 in
    C5 and 10,164 in F6. Each of the 16 maps of its third layer C3 saw only three,
    four or all six of the maps below, where here each sees all six (2,416). Its
    subsampling S2 and S4 multiplied the sum of each 2x2 patch by a trained
    coefficient, added a trained bias and squashed it. It squashed by
    1.7159 tanh(2x/3), and its ten outputs were radial-basis units: squared distances
    to fixed bitmaps of 7 x 12 pixels. It made 0.95 % errors on the MNIST test set,
    0.8 % when distorted training images were added.

    >>> network = lenet5()
    >>> network.parameters, network.summary().multiply_adds
    (61706, 416520)
    """
    activate = _chosen("activation", activation, _ACTIVATIONS)
    pool = _chosen("pooling", pooling, _POOLINGS)
    features = [Conv2D(6, 5), activate(), pool(2), Conv2D(16, 5), activate(), pool(2)]
    classifier = [Dense(120), activate(), Dense(84), activate(), Dense(classes)]
    return Network([*features, Flatten(), *classifier], input_shape, seed)


def lenet5_1998(
    *,
    input_shape: tuple[int, int, int] = (32, 32, 1),
    classes: int = 10,
    seed: int = 0,
) -> Network:
    """Return LeNet-5 with scaled tanh and average pooling, as near to 1998's as it is.

    How the paper's own network differed yet is told at `lenet5`.

    >>> lenet5_1998().layers[1:3]
    (ScaledTanh(), AvgPool2D(2))
    """
    return lenet5(
        "scaled_tanh", "average", input_shape=input_shape, classes=classes, seed=seed
    )


def lenet5_strided(
    activation: Activation = "relu",
    *,
    input_shape: tuple[int, int, int] = (32, 32, 1),
    classes: int = 10,
    seed: int = 0,
) -> Network:
    """Return LeNet-5 without pooling: its convolutions have stride 2 instead (M3, M4).

    The same 61,706 parameters and the same sizes of maps, 14x14x6 and 5x5x16: of four
    units that LeNet-5 takes the maximum of, only the first is computed, which makes
    148,320 multiply-adds an image. Arguments and errors are those of `lenet5`.

    >>> network = lenet5_strided()
    >>> network.parameters, network.summary().multiply_adds
    (61706, 148320)
    """
    activate = _chosen("activation", activation, _ACTIVATIONS)
    features = [Conv2D(6, 5, stride=2), activate(), Conv2D(16, 5, stride=2), activate()]
    classifier = [Dense(120), activate(), Dense(84), activate(), Dense(classes)]
    return Network([*features, Flatten(), *classifier], input_shape, seed)


def input_shape_for(images: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the input, (height, width, channels), that suits images of this shape.

    Images at most an eighth smaller than LeNet-5's 32x32, as MNIST's, are centred in it;
    others are the input themselves.

    >>> input_shape_for((28, 28, 1)), input_shape_for((48, 40, 3))
    ((32, 32, 1), (48, 40, 3))
    """
    height, width, channels = images
    if min(height, width) >= 28 and max(height, width) <= 32:
        return 32, 32, channels
    return images


def _chosen(name: str, value: object, choices: dict[str, Choice]) -> Choice:
    if isinstance(value, str) and value in choices:
        return choices[value]
    known = ", ".join(map(repr, choices))
    raise ValueError(f"lenet5: {name} must be one of {known}, not {shown(value)}.")
