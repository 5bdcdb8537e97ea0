"""The networks that are compared, as their users stack them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from striate import Network
    from striate.layers import Layer

# Striate is imported where it is needed: the other tools' processes never load it.


def lenet5() -> Network:
    """LeNet-5 with ReLU and max pooling, 32 x 32 x 1."""
    import striate

    return striate.lenet5(activation="relu", pooling="max")


def vgg(normalized: bool = False) -> Network:
    """A VGG-like network, 32 x 32 x 3: two 3 x 3 convolutions a stage, padding 1."""
    import striate as st

    layers: list[Layer] = []
    for filters in (32, 64, 128):
        for _ in range(2):
            layers += _convolution(filters, 3, normalized, padding=1)
        layers.append(st.MaxPool2D(2))
    layers += [st.Flatten(), st.Dense(256), st.ReLU(), st.Dense(10)]
    return st.Network(layers, (32, 32, 3))


def face(normalized: bool = False) -> Network:
    """A network for 40 people's faces, 112 x 92 x 1: 5 x 5 convolutions, no padding."""
    import striate as st

    layers: list[Layer] = []
    for filters in (16, 32, 64):
        layers += [*_convolution(filters, 5, normalized), st.MaxPool2D(2)]
    layers += [st.Flatten(), st.Dense(128), st.ReLU(), st.Dense(40)]
    return st.Network(layers, (112, 92, 1))


def separable(normalized: bool = False) -> Network:
    """A depthwise-separable network, 48 x 48 x 3: 3 x 3 of each channel, then 1 x 1."""
    import striate as st

    layers = _convolution(16, 3, normalized, padding=1)
    before = 16
    for filters in (32, 64, 128):
        layers += [] if before == 16 else [st.MaxPool2D(2)]
        layers += _convolution(before, 3, normalized, padding=1, groups=before)
        layers += _convolution(filters, 1, normalized)
        before = filters
    return st.Network([*layers, st.GlobalAvgPool2D(), st.Dense(10)], (48, 48, 3))


def _convolution(
    filters: int, kernel_size: int, normalized: bool, **options: Any
) -> list[Layer]:
    """A convolution and its ReLU; normalised between them, and then without a bias."""
    import striate as st

    convolution = st.Conv2D(filters, kernel_size, bias=not normalized, **options)
    return [convolution, *([st.BatchNorm()] if normalized else []), st.ReLU()]


def plain(channels: int, side: int, depth: int) -> Network:
    """So many 3 x 3 convolutions, padding 1, that all cost the same but the first."""
    import striate as st

    layers: list[Layer] = []
    for _ in range(depth):
        layers += _convolution(channels, 3, normalized=False, padding=1)
    return st.Network([*layers, st.GlobalAvgPool2D(), st.Dense(10)], (side, side, 3))
