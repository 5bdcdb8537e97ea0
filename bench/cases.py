"""What is compared: networks, the ways they are run, and what is aimed at.

A further case is a row; so is a further target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    """A network to compare, and its raw images: how many, and of which shape.

    There are whole batches of every size; as floats they are more than one core's
    cache holds. `image_shape` is (height, width, channels).
    """

    title: str
    build: Callable[[], Network]
    image_shape: tuple[int, int, int]
    images: int


@dataclass(frozen=True)
class Case:
    """One line of work: a subject's name, what is done with it, images at a time.

    "train" is whole steps (shuffled images to updated weights), "inference" calls that
    give probabilities, "latency" the same with one image, NumPy array to NumPy array,
    on one thread.
    """

    subject: str
    mode: Mode
    batch: int

    @property
    def title(self) -> str:
        """What is done, in words."""
        name = SUBJECTS[self.subject].title
        if self.mode == "latency":
            return f"{name}: one image, on one thread"
        return f"{name}: {self.mode}, batch {self.batch}"


SUBJECTS = {
    "lenet5": Subject("LeNet-5", networks.lenet5, (28, 28, 1), 12_800),
    "vgg": Subject("VGG-like", networks.vgg, (32, 32, 3), 1_280),
    "face": Subject("face network", networks.face, (112, 92, 1), 640),
    "separable": Subject("depthwise-separable", networks.separable, (48, 48, 3), 1_280),
    "vgg-bn": Subject(
        "VGG-like, normalised", partial(networks.vgg, True), (32, 32, 3), 1_280
    ),
    "face-bn": Subject(
        "face network, normalised", partial(networks.face, True), (112, 92, 1), 640
    ),
    "separable-bn": Subject(
        "depthwise-separable, normalised",
        partial(networks.separable, True),
        (48, 48, 3),
        1_280,
    ),
}

CASES = (
    *(Case("lenet5", "train", batch) for batch in (1, 16, 32, 128, 512)),
    Case("lenet5", "inference", 256),
    Case("lenet5", "latency", 1),
    *(
        Case(subject + normalized, mode, batch)
        for normalized in ("", "-bn")
        for subject, batch in (("vgg", 64), ("face", 16), ("separable", 64))
        for mode in ("train", "inference")
    ),
)
MOST_CHECKED = 64


def checked_images(subject: str) -> int:
    """How many images tools are checked on: as many as they are timed on at a time.

    What they compile for them may depend on it: for 32 images of the VGG-like network
    and fewer, PyTorch 2.13 compiles a gradient of zeros, for 48 and more the right one.
    """
    trained = (
        case for case in CASES if (case.subject, case.mode) == (subject, "train")
    )
    return min(MOST_CHECKED, max(case.batch for case in trained))


QUICK = (
    Case("lenet5", "train", 128),
    Case("lenet5", "inference", 256),
    Case("lenet5", "latency", 1),
)


@dataclass(frozen=True)
class Way:
    """A way to run Striate: how its processes are started (`tool_striate.Tool`)."""

    style: str = ""
    threads: int | None = None  # None: all cores


@dataclass(frozen=True)
class Against:
    """Striate against itself: how fast one way is, as a share of another's speed."""

    title: str
    case: Case
    one: Way
    other: Way
    least: float


LENET5 = Case("lenet5", "train", 128)
AGAINST = (
    Against(
        "default augmentation over none", LENET5, Way("augmented"), Way(), least=0.75
    ),
    *(
        Against("two threads over one", case, Way(threads=2), Way(threads=1), 1.85)
        for case in (
            LENET5,
            Case("vgg", "train", 64),
            Case("face", "train", 16),
            Case("separable", "train", 64),
        )
    ),
    Against("avx2 over avx512", LENET5, Way("avx2"), Way("avx512"), least=0.8),
)


@dataclass(frozen=True)
class Target:
    """At least so many times the fastest peer's speed, and such a share of the peak."""

    ratio: float
    share: float | None = None


LESS = 0.9  # of a ratio, for the same network with batch normalisation
TARGETS = {
    Case("lenet5", "train", 1): Target(2),
    Case("lenet5", "train", 16): Target(5),
    Case("lenet5", "train", 32): Target(5),
    Case("lenet5", "train", 128): Target(5, share=0.8),
    Case("lenet5", "train", 512): Target(4.3, share=0.8),
    Case("lenet5", "inference", 256): Target(3, share=0.8),
    Case("lenet5", "latency", 1): Target(1 / 0.7),
    Case("vgg", "train", 64): Target(2.5),
    Case("vgg", "inference", 64): Target(3),
    Case("face", "train", 16): Target(1.6),
    Case("separable", "train", 64): Target(3),
    Case("vgg-bn", "train", 64): Target(LESS * 2.5),
    Case("vgg-bn", "inference", 64): Target(LESS * 3),
    Case("face-bn", "train", 16): Target(LESS * 1.6),
    Case("separable-bn", "train", 64): Target(LESS * 3),
}

# SGD with momentum 0.9. The labels mean nothing and the rate is small: the weights
# hardly move, so that every round does the same work, far from overflow or denormals.
LEARNING_RATE, MOMENTUM = 1e-3, 0.9


@dataclass(frozen=True)
class Layer:
    """A layer as its network resolved it: settings as `Layer.to_config` gives them.

    `input_shape` is (height, width, channels), or (length,) of a flat input.
    """

    name: str
    config: dict[str, Any]
    input_shape: tuple[int, ...]
    multiply_adds: int


@dataclass(frozen=True)
class Material:
    """All a tool needs to run a subject.

    `pixels` are uint8 N,H,W,C, `inputs` the same images as the network's first layer
    takes them, float32 N,C,H,W; weights are O,I,H,W and out,in, those of a BatchNorm
    weight, bias, running_mean and running_var.
    """

    layers: tuple[Layer, ...]
    weights: Weights
    pixels: NDArray[np.uint8]
    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]

    def held(self, layer: Layer) -> Weights:
        """A layer's weights, by what they are to it."""
        start = f"{layer.name}."
        return {
            name.removeprefix(start): value
            for name, value in self.weights.items()
            if name.startswith(start)
        }


def make_material(subject: Subject) -> Material:
    """Make what all tools run: the network as Striate starts it, and images."""
    network = subject.build()
    layers = tuple(
        Layer(one.name, one.layer.to_config(), one.input_shape, one.multiply_adds)
        for one in network.resolved
    )
    weights = {key: value.copy() for key, value in network.weights.items()}
    _vary_normalization(layers, weights)
    pixels, labels = _make_images(subject, network.outputs)
    inputs = _make_inputs(pixels, network.input_shape)
    return Material(layers, weights, pixels, inputs, labels)


def _vary_normalization(layers: tuple[Layer, ...], weights: Weights) -> None:
    """Give every BatchNorm numbers that tell apart what is done with each of them."""
    random = np.random.default_rng(0)
    for layer in layers:
        if layer.config["kind"] == "BatchNorm":
            for key, low in (
                ("weight", 0.5),
                ("bias", -0.5),
                ("running_mean", -0.5),
                ("running_var", 0.5),
            ):
                name = f"{layer.name}.{key}"
                weights[name] = random.uniform(
                    low, low + 1, weights[name].shape
                ).astype(np.float32)


def _make_images(subject: Subject, classes: int) -> tuple[Any, Any]:
    """Noise with a black rim, as white on black, uint8 N,H,W,C, and labels.

    In noise no two values compete for a maximum, as they do on a plain background.
    """
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (subject.images, *subject.image_shape), np.uint8)
    pixels[:, [0, -1]] = 0
    pixels[:, :, [0, -1]] = 0
    return pixels, random.integers(0, classes, subject.images)


def _make_inputs(
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


def operations(multiply_adds: Sequence[int], mode: Mode) -> int:
    """Floating-point operations of convolutions and dense layers, for one image.

    Two for each of the layers' multiply-adds. Training costs the forward pass three
    times (outputs, gradients of weights, gradients of inputs), but nobody needs the
    gradient of the images.
    """
    forward = [number for number in multiply_adds if number]
    if mode != "train":
        return 2 * sum(forward)
    return 2 * (3 * sum(forward) - forward[0])
