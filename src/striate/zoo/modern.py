"""Small relatives of later networks, for images of 8 to some hundred pixels.

Each is cut into stages; a stage halves the map and doubles the channels. How many there
are follows from the receptive field: the last convolution sees the whole image (the
lecture's M2 and M3). Convolutions are normalised (Ioffe and Szegedy, "Batch
normalization", 2015). Large images are first reduced to maps of at most 64 pixels, by
the stride of the first convolution.
"""

from __future__ import annotations

from collections.abc import Callable

from ..arguments import spell, whole_number
from ..errors import ShapeError
from ..layers import (
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    MaxPool2D,
    ReLU,
    Residual,
    resolve,
)
from ..network import Network
from ..receptive import receptive_field

Stage = Callable[[int, list[Layer]], list[Layer]]
"""The layers of a stage with so many channels, after the first layers of the network."""

_LARGEST_MAP = 64  # pixels; stride makes larger images smaller first
_WIDEST = 128  # channels; more cost time and, on few images, accuracy


def vgg(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    *,
    width: int = 16,
    dropout: float = 0.5,
    seed: int = 0,
) -> Network:
    """Return a plain network: two 3x3 convolutions a stage, then 2x2 max pooling.

    `width` is the number of channels of the first stage; the next ones have twice as
    many, up to 128. `dropout` is the rate before the classifier, a Dense layer that sees
    every value of the last map. Raises ValueError for numbers that mean nothing and
    ShapeError for images of less than 8 pixels a side.
    Source: Simonyan and Zisserman, "Very deep convolutional networks for large-scale
    image recognition", 2015: 11 to 19 layers on 224 x 224 pixels, without batch
    normalisation, with 23.7 % top-1 errors on ImageNet.

    >>> network = vgg((32, 32, 3), width=8)
    >>> network.parameters, network.resolved[-3].input_shape
    (23426, (4, 4, 32))
    """

    def stage(channels: int, before: list[Layer]) -> list[Layer]:
        start = before or _convolution(channels)
        return [*start, *_convolution(channels), MaxPool2D(2)]

    layers = _stages("vgg", stage, input_shape, width)
    ending = [Flatten(), Dropout(dropout), Dense(classes)]
    return Network([*layers, *ending], input_shape, seed)


def mobilenet(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    *,
    width: int = 16,
    dropout: float = 0.0,
    seed: int = 0,
) -> Network:
    """Return a depthwise-separable network: few weights and few multiply-adds.

    In place of a 3x3 convolution: one of each channel alone, then a 1x1 convolution of
    all of them. Ends in the mean of every map. Arguments and errors are those of `vgg`.
    Source: Howard and others, "MobileNets: efficient convolutional neural networks for
    mobile vision applications", 2017.

    >>> plain, separable = vgg((32, 32, 3)), mobilenet((32, 32, 3))
    >>> separable.parameters < plain.parameters / 5
    True
    """
    channels_before = 0

    def stage(channels: int, before: list[Layer]) -> list[Layer]:
        nonlocal channels_before
        start = before or [MaxPool2D(2), *_separable(channels_before, channels)]
        channels_before = channels
        return [*start, *_separable(channels, channels)]

    layers = _stages("mobilenet", stage, input_shape, width)
    return Network([*layers, *_averaged(classes, dropout)], input_shape, seed)


def resnet(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    *,
    width: int = 16,
    dropout: float = 0.0,
    seed: int = 0,
) -> Network:
    """Return a small residual network: two convolutions a stage, added to their input.

    Later stages begin with stride 2, and what enters them reaches the sum through a 1x1
    convolution of stride 2. Ends in the mean of every map. Arguments and errors are
    those of `vgg`.
    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition",
    2016, whose 20 layers for CIFAR-10 (270,000 parameters) made 8.75 % errors.

    >>> network = resnet((32, 32, 3))
    >>> [one.name for one in network.resolved if one.name.startswith("add")]
    ['add1', 'add2', 'add3', 'add4']
    """

    def stage(channels: int, before: list[Layer]) -> list[Layer]:
        stride = 1 if before else 2
        body = [*_convolution(channels, stride), *_convolution(channels)[:-1]]
        shortcut: list[Layer] = []
        if not before:
            shortcut = [Conv2D(channels, 1, stride=stride, bias=False), BatchNorm()]
        return [*before, Residual(body, shortcut=shortcut), ReLU()]

    layers = _stages("resnet", stage, input_shape, width)
    return Network([*layers, *_averaged(classes, dropout)], input_shape, seed)


def _stages(
    name: str, stage: Stage, input_shape: tuple[int, int, int], width: int
) -> list[Layer]:
    """A first convolution, and stages until the last one sees the whole image."""
    whole_number(name, "width", width)
    if len(input_shape) != 3 or min(input_shape[:2]) < 8:
        raise ShapeError(
            f"{name} needs images of at least 8x8 pixels but gets "
            f"{spell(input_shape[:2])}; enlarge them (striate train "
            "has --size), or stack layers of your own."
        )
    stride = 1
    while max(input_shape[:2]) > _LARGEST_MAP * stride:
        stride *= 2
    layers = stage(width, _convolution(width, stride, kernel_size=2 * stride + 1))
    channels = width
    while True:
        resolved = resolve(layers, input_shape)
        sizes = [
            receptive_field(resolved, one.index).size
            for one in resolved
            if isinstance(one.layer, Conv2D)
        ]
        rows, columns = map(max, zip(*sizes, strict=True))
        covers = rows >= input_shape[0] and columns >= input_shape[1]
        if covers or min(resolved[-1].output_shape[:2]) < 2:
            return layers
        channels = min(2 * channels, max(width, _WIDEST))
        layers = [*layers, *stage(channels, [])]


def _averaged(classes: int, dropout: float) -> list[Layer]:
    """End in the mean of every map (Lin, Chen and Yan, "Network in network", 2014)."""
    dropped: list[Layer] = [Dropout(dropout)] if dropout else []
    return [GlobalAvgPool2D(), *dropped, Dense(classes)]


def _convolution(channels: int, stride: int = 1, kernel_size: int = 3) -> list[Layer]:
    # The normalisation subtracts the mean, so a bias would do nothing.
    padding = kernel_size // 2
    convolution = Conv2D(channels, kernel_size, stride, padding, bias=False)
    return [convolution, BatchNorm(), ReLU()]


def _separable(channels: int, filters: int) -> list[Layer]:
    depthwise = Conv2D(channels, 3, padding=1, groups=channels, bias=False)
    pointwise = Conv2D(filters, 1, bias=False)
    return [depthwise, BatchNorm(), ReLU(), pointwise, BatchNorm(), ReLU()]
