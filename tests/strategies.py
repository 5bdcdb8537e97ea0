"""Random small networks, images and labels for property tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from striate import (
    AvgPool2D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    LeakyReLU,
    MaxPool2D,
    Network,
    ReLU,
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
def networks(draw: st.DrawFn, dropout: bool = False, most_classes: int = 5) -> Network:
    """A network of at most two stages of convolution and one hidden dense layer.

    Layers that would not fit into what is left of the image are left out.
    """
    shape: tuple[int, ...] = draw(
        st.tuples(st.integers(3, 9), st.integers(3, 9), st.integers(1, 3))
    )
    input_shape, layers = shape, list[Layer]()

    def add(layer: Layer) -> None:
        nonlocal shape
        if layer.problem(shape, ()) is None:
            layers.append(layer)
            shape = layer.output_shape(shape)

    for _ in range(draw(st.integers(0, 2))):
        add(draw(convolutions(shape[2])))
        if draw(st.booleans()):
            add(draw(st.sampled_from(ACTIVATIONS)))
        if draw(st.booleans()):
            add(draw(poolings()))
        if dropout and draw(st.booleans()):
            add(Dropout(0.3))
    add(draw(st.sampled_from([Flatten(), GlobalAvgPool2D()])))
    if draw(st.booleans()):
        add(Dense(draw(st.integers(1, 18)), bias=draw(st.booleans())))
        add(draw(st.sampled_from(ACTIVATIONS)))
        if dropout:
            add(Dropout(0.5))
    add(Dense(draw(st.integers(2, most_classes)), bias=draw(st.booleans())))
    return Network(layers, input_shape, seed=draw(st.integers(0, 99)))


@st.composite
def cases(draw: st.DrawFn, dropout: bool = False, most_images: int = 40) -> Case:
    """A network with a batch of normally distributed images, and what to learn."""
    network = draw(networks(dropout))
    seed = draw(st.integers(0, 2**16))
    return make_case(
        network,
        count=draw(st.integers(1, most_images)),
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
