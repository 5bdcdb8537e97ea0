"""What is compared: networks, and the ways they are run. A further case is a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import networks
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from striate import Network

Mode = Literal["train", "inference", "latency"]
Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Subject:
    """A network to compare, and the (height, width, channels) of its raw images."""

    title: str
    build: Callable[[], Network]
    image_shape: tuple[int, int, int]


@dataclass(frozen=True)
class Case:
    """One line of work: a subject's name, what is done with it, images at a time.

    "train" is whole steps (shuffled images to updated weights), "inference" calls that
    give probabilities, "latency" the same with one image, NumPy array to NumPy array.
    """

    subject: str
    mode: Mode
    batch: int


SUBJECTS = {
    "lenet5": Subject("LeNet-5", networks.lenet5, (28, 28, 1)),
    "vgg": Subject("VGG-like", networks.vgg, (32, 32, 3)),
    "face": Subject("face network", networks.face, (112, 92, 1)),
    "separable": Subject("depthwise-separable", networks.separable, (48, 48, 3)),
    "vgg-bn": Subject("VGG-like, normalised", partial(networks.vgg, True), (32, 32, 3)),
    "face-bn": Subject(
        "face network, normalised", partial(networks.face, True), (112, 92, 1)
    ),
    "separable-bn": Subject(
        "depthwise-separable, normalised",
        partial(networks.separable, True),
        (48, 48, 3),
    ),
}

CASES = (
    Case("lenet5", "train", 32),
    Case("lenet5", "train", 128),
    Case("lenet5", "train", 512),
    Case("lenet5", "inference", 256),
    Case("lenet5", "latency", 1),
)

IMAGES = 12_800  # whole batches of every size above; as floats more than a cache holds

# SGD with momentum 0.9. The labels mean nothing and the rate is small: the weights
# hardly move, so that every round does the same work, far from overflow or denormals.
LEARNING_RATE, MOMENTUM = 1e-3, 0.9


@dataclass(frozen=True)
class Layer:
    """A layer as its network resolved it: settings as `Layer.to_config` gives them."""

    name: str
    config: dict[str, Any]
    multiply_adds: int


@dataclass(frozen=True)
class Material:
    """All a tool needs to run a subject.

    `pixels` are uint8 N,H,W,C, `inputs` the same images as the network's first layer
    takes them, float32 N,C,H,W; weights are O,I,H,W and out,in.
    """

    layers: tuple[Layer, ...]
    weights: Weights
    pixels: NDArray[np.uint8]
    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]


def make_images(subject: Subject, classes: int) -> tuple[Any, Any]:
    """Noise with a black rim, as white on black, uint8 N,H,W,C, and labels.

    In noise no two values compete for a maximum, as they do on a plain background.
    """
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (IMAGES, *subject.image_shape), np.uint8)
    pixels[:, [0, -1]] = 0
    pixels[:, :, [0, -1]] = 0
    return pixels, random.integers(0, classes, IMAGES)


def make_inputs(
    pixels: NDArray[np.uint8], input_shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """Scale to mean 0 and deviation 1 by channel and centre on black: N,C,H,W."""
    count, height, width, channels = pixels.shape
    top, left = (input_shape[0] - height) // 2, (input_shape[1] - width) // 2
    field = np.zeros((count, *input_shape), np.uint8)
    field[:, top : top + height, left : left + width] = pixels
    inputs = np.empty((count, channels, *input_shape[:2]), np.float32)
    for channel in range(channels):
        values = pixels[..., channel] / 255
        table = (np.arange(256) / 255 - values.mean()) / values.std()
        inputs[:, channel] = table.astype(np.float32)[field[..., channel]]
    return inputs


def operations(layers: tuple[Layer, ...], mode: Mode) -> int:
    """Floating-point operations of convolutions and dense layers, for one image.

    Two a multiply-add. Training costs the forward pass three times (outputs, gradients
    of weights, gradients of inputs), but nobody needs the gradient of the images.
    """
    forward = [layer.multiply_adds for layer in layers if layer.multiply_adds]
    if mode != "train":
        return 2 * sum(forward)
    return 2 * (3 * sum(forward) - forward[0])
