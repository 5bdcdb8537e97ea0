"""Random small networks, images and labels for property tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from striate import (
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    LeakyReLU,
    MaxPool2D,
    Network,
    ReLU,
    Residual,
    ScaledTanh,
    Sigmoid,
    Tanh,
)
from striate.layers import Layer

ACTIVATIONS: tuple[Layer, ...] = (
    *(ReLU(), LeakyReLU(0.1), Tanh(), ScaledTanh(), Sigmoid()),
)


@dataclass(frozen=True)
class Case:
    """A network and a batch for it; `seed` made the numbers."""

    network: Network
    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    sample_weight: NDArray[np.float32] | None
    label_smoothing: float
    seed: int

    @property
    def targets(self) -> dict[str, Any]:
        """What the loss is taken against, as Network's methods name it."""
        return {
            "labels": self.labels,
            "sample_weight": self.sample_weight,
            "label_smoothing": self.label_smoothing,
        }


def numbers(most: int) -> st.SearchStrategy[int | tuple[int, int]]:
    """One number or a (height, width) pair from 1 to `most`."""
    one = st.integers(1, most)
    return one | st.tuples(one, one)


@st.composite
def convolutions(draw: st.DrawFn, channels: int) -> Conv2D:
    """A convolution over so many channels, with any option."""
    groups = draw(st.sampled_from([n for n in (1, 2, 3) if channels % n == 0]))
    padding = draw(st.sampled_from(["valid", "same", 0, 1, (0, 2), (2, 1)]))
    return Conv2D(
        filters=groups * draw(st.integers(1, 3)),
        kernel_size=draw(numbers(4)),
        stride=draw(st.just(1) | numbers(3)),
        padding=padding,
        dilation=draw(st.just(1) | numbers(2)),
        groups=groups,
        bias=draw(st.booleans()),
    )


@st.composite
def poolings(draw: st.DrawFn) -> MaxPool2D | AvgPool2D:
    """A pooling, with overlap, gaps and padding."""
    kind = draw(st.sampled_from([MaxPool2D, AvgPool2D]))
    size = draw(numbers(3))
    smallest = min(size) if isinstance(size, tuple) else size
    stride = draw(st.none() | numbers(3))
    return kind(size, stride, padding=draw(st.integers(0, smallest // 2)))


@st.composite
def residuals(draw: st.DrawFn, channels: int) -> Residual:
    """A block that keeps the size of its map, or halves it in both branches."""
    stride, size = draw(st.integers(1, 2)), draw(st.sampled_from([1, 3]))
    filters = draw(st.integers(1, 4))
    layers: list[Layer] = [Conv2D(filters, size, stride=stride, padding=size // 2)]
    if draw(st.booleans()):
        layers.append(BatchNorm(epsilon=1e-2))
    if draw(st.booleans()):
        layers.append(draw(st.sampled_from(ACTIVATIONS)))
    if draw(st.booleans()):
        layers.append(Residual([Conv2D(filters, 3, padding=1), ReLU()]))
    if stride == 1 and filters == channels:
        return Residual(layers)
    shortcut: list[Layer] = [Conv2D(filters, 1, stride=stride, bias=False)]
    if draw(st.booleans()):
        shortcut.append(BatchNorm(epsilon=1e-2))
    return Residual(layers, shortcut)


class Stack:
    """Layers for images of a size, one on the other; what does not fit is left out."""

    def __init__(self, input_shape: tuple[int, int, int]) -> None:
        self.input_shape = input_shape
        self.shape: tuple[int, ...] = input_shape
        self.layers: list[Layer] = []

    def add(self, layer: Layer) -> None:
        if layer.problem(self.shape, ()) is None:
            self.layers.append(layer)
            self.shape = layer.output_shape(self.shape)


@st.composite
def networks(draw: st.DrawFn, dropout: bool = False, most_classes: int = 5) -> Network:
    """A network of at most two stages of convolution and one hidden dense layer.

    Layers that would not fit into what is left of the image are left out.
    """
    sides = st.integers(3, 9)
    stack = Stack(draw(st.tuples(sides, sides, st.integers(1, 3))))
    add = stack.add
    for _ in range(draw(st.integers(0, 2))):
        add(draw(convolutions(stack.shape[2]) | residuals(stack.shape[2])))
        if draw(st.booleans()):
            add(BatchNorm(epsilon=1e-2))
        if draw(st.booleans()):
            add(draw(st.sampled_from(ACTIVATIONS)))
        if draw(st.booleans()):
            add(draw(poolings()))
        if dropout and draw(st.booleans()):
            add(Dropout(0.3))
    add(draw(st.sampled_from([Flatten(), GlobalAvgPool2D()])))
    if draw(st.booleans()):
        add(Dense(draw(st.integers(1, 18)), bias=draw(st.booleans())))
        if draw(st.booleans()):
            add(BatchNorm(0.3, epsilon=1e-2))
        add(draw(st.sampled_from(ACTIVATIONS)))
        if dropout:
            add(Dropout(0.5))
    add(Dense(draw(st.integers(2, most_classes)), bias=draw(st.booleans())))
    seed = draw(st.integers(0, 99))
    network = Network(stack.layers, stack.input_shape, seed=seed)
    if draw(st.booleans()):
        unsettle(network)
    return network


def unsettle(network: Network, seed: int = 0) -> None:
    """Give normalisations numbers as training leaves them, not those they start with."""
    random = np.random.default_rng(seed)
    weights = dict(network.weights)
    for name, array in weights.items():
        if name.startswith("bn"):
            spread = random.uniform(0.5, 1.5, array.shape)
            centred = name.endswith(("bias", "mean"))
            weights[name] = (spread - centred).astype(np.float32)
    network.set_weights(weights)


def with_ones(network: Network) -> Network:
    """Give a network kernels of ones, so that nothing along two ways is cancelled.

    Biases become zero: below zero they would silence units that a pixel has lit.
    """

    def plain(name: str, array: NDArray[np.float32]) -> NDArray[np.float32]:
        if array.ndim > 1:
            return np.ones_like(array)
        return np.zeros_like(array) if name.endswith(".bias") else array

    network.set_weights(
        {name: plain(name, array) for name, array in network.weights.items()}
    )
    return network


@st.composite
def cases(draw: st.DrawFn, dropout: bool = False, most_images: int = 40) -> Case:
    """A network with a batch of normally distributed images, and what to learn."""
    network = draw(networks(dropout))
    seed = draw(st.integers(0, 2**16))
    # One image alone has no statistics to be normalised by in training.
    fewest = 2 if network.engine.normalizes else 1
    return make_case(
        network,
        count=draw(st.integers(fewest, most_images)),
        seed=seed,
        weighted=draw(st.booleans()),
        label_smoothing=draw(st.sampled_from([0.0, 0.1])),
    )


def make_case(
    network: Network,
    count: int,
    seed: int = 0,
    weighted: bool = False,
    label_smoothing: float = 0.0,
) -> Case:
    """A batch of so many images for a network, all numbers drawn from the seed."""
    random = np.random.default_rng(seed)
    return Case(
        network=network,
        images=random.standard_normal((count, *network.input_shape), np.float32),
        labels=random.integers(0, network.outputs, count),
        sample_weight=(
            random.uniform(0.1, 2, count).astype(np.float32) if weighted else None
        ),
        label_smoothing=label_smoothing,
        seed=seed,
    )
