"""What a network asks of the kernels, layer by layer, for a block of 16 images.

The shapes are those that `resolve` settled; only what a call costs is added here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from striate import Network
from striate.layers import (
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    GlobalAvgPool2D,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Residual,
    ScaledTanh,
    Sigmoid,
    Tanh,
)
from striate.resolve import ResolvedLayer

LANES = 16
BATCH = 128  # images; what is done once a batch is shared by its blocks
SLICES = 8

ACTIVATIONS: dict[type, str] = {
    ReLU: "relu",
    LeakyReLU: "leaky_relu",
    Tanh: "tanh",
    ScaledTanh: "tanh",
    Sigmoid: "sigmoid",
}


@dataclass(frozen=True)
class Job:
    """A call of a kernel: the numbers of its shape, as `kernel_times` reads them.

    `operations` are two a multiply-add, `bytes` what it reads and writes at least: 0
    for kernels whose limit is the arithmetic. `calls` is how often a block needs it.
    """

    kernel: str
    numbers: tuple[int, ...]
    layer: str
    shape: str
    operations: int = 0
    bytes: int = 0
    calls: float = 1.0
    training_only: bool = True


def jobs_of(network: Network, image_shape: tuple[int, int, int]) -> Iterator[Job]:
    """Return the calls of a training step, forward ones first in every layer."""
    yield _gathering(network, image_shape)
    learning = False
    for one in network.resolved:
        yield from _jobs_of_layer(one, deeper=learning)
        learning |= bool(one.weights)
    yield _memory("softmax_cross_entropy", (network.outputs,), "loss", network.outputs)
    per_block = LANES / BATCH
    total = network.parameters
    convolved = sum(
        one.parameters for one in network.resolved if isinstance(one.layer, Conv2D)
    )
    yield Job(
        "sum_slices",
        (convolved, SLICES),
        "all convolutions",
        f"{convolved:,} x {SLICES}",
        bytes=4 * convolved * (SLICES + 1),
        calls=per_block,
    )
    yield Job(
        "update", (total,), "all", f"{total:,}", bytes=4 * total * 5, calls=per_block
    )


def _gathering(network: Network, image_shape: tuple[int, int, int]) -> Job:
    height, width, channels = image_shape
    rows, columns, _ = network.input_shape
    corner = ((rows - height) // 2, (columns - width) // 2)
    return Job(
        "gather_pixels",
        (height, width, channels, rows, columns, *corner),
        "input",
        f"{height}x{width}x{channels}",
        bytes=LANES * (4 * rows * columns * channels + height * width * channels),
        training_only=False,
    )


def _jobs_of_layer(one: ResolvedLayer, *, deeper: bool) -> Iterator[Job]:
    """Yield a layer's calls; `deeper`: something below it learns."""
    layer, inputs, outputs = one.layer, one.input_shape, one.output_shape
    count = math.prod(outputs)
    if isinstance(layer, Conv2D):
        yield from _convolution(one, deeper)
    elif isinstance(layer, Dense):
        yield from _dense(one, deeper)
    elif isinstance(layer, (MaxPool2D, AvgPool2D, GlobalAvgPool2D)):
        yield from _pooling(one, deeper)
    elif isinstance(layer, BatchNorm):
        plane = (inputs[-1], math.prod(inputs[:-1]))
        for kernel, passes, training in (
            ("norm_moments", 1, True),
            ("norm_forward", 2, False),
            ("norm_weight_gradient", 2, True),
            ("norm_input_gradient", 3, True),
        ):
            yield _memory(kernel, plane, one.name, passes * count, training)
    elif isinstance(layer, Residual):
        yield _memory("add", (count,), one.name, 3 * count, False)
    elif type(layer) in ACTIVATIONS:
        name = ACTIVATIONS[type(layer)]
        yield _memory(f"{name}_forward", (count,), one.name, 2 * count, False)
        yield _memory(f"{name}_backward", (count,), one.name, 3 * count)


def _memory(
    kernel: str,
    numbers: tuple[int, ...],
    layer: str,
    values: int,
    training_only: bool = True,
) -> Job:
    """A kernel that is bound by memory: `values` of a block read and written."""
    shape = "x".join(map(str, numbers))
    size = 4 * LANES * values
    return Job(kernel, numbers, layer, shape, 0, size, 1.0, training_only)


def _window(one: ResolvedLayer) -> tuple[tuple[int, int, int], tuple[int, int]]:
    """A layer's planes (C, H, W) with their padding, and its windows' (OH, OW)."""
    height, width, channels = one.input_shape
    top, bottom, left, right = one.window.padding if one.window else (0, 0, 0, 0)
    outputs = one.output_shape[:2] if len(one.output_shape) == 3 else (1, 1)
    return (channels, height + top + bottom, width + left + right), outputs


def _convolution(one: ResolvedLayer, deeper: bool) -> Iterator[Job]:
    assert isinstance(one.layer, Conv2D)
    assert one.window is not None
    (channels, height, width), (rows, columns) = _window(one)
    filters = one.output_shape[-1]
    window = one.window
    planes = (channels, height, width, filters, rows, columns)
    numbers = (
        *planes,
        *window.kernel,
        *window.stride,
        *window.dilation,
        one.layer.groups,
    )
    kind = "depthwise " if one.layer.groups == channels > 1 else ""
    kernel = "x".join(map(str, window.kernel))
    shape = f"{kind}{kernel}, {height}x{width}x{channels} - {filters}"
    cost = 2 * LANES * one.multiply_adds
    yield Job("conv_forward", numbers, one.name, shape, cost, training_only=False)
    yield Job("conv_weight_gradient", numbers, one.name, shape, cost)
    if deeper:
        yield Job("conv_input_gradient", numbers, one.name, shape, cost)


def _dense(one: ResolvedLayer, deeper: bool) -> Iterator[Job]:
    inputs, units = one.input_shape[-1], one.output_shape[-1]
    shape = f"{inputs} - {units}"
    cost = 2 * LANES * one.multiply_adds
    sizes = (LANES, inputs, units)
    yield Job("dense_forward", sizes, one.name, shape, cost, training_only=False)
    blocks = BATCH // LANES
    sizes = (BATCH, inputs, units)
    shared = (cost * blocks, 0, 1 / blocks)
    yield Job("dense_weight_gradient", sizes, one.name, shape, *shared)
    for count in (inputs, units):
        yield _memory("lanes_to_rows", (count,), one.name, 2 * count)
    if deeper:
        yield Job("dense_input_gradient", sizes, one.name, shape, cost)


def _pooling(one: ResolvedLayer, deeper: bool) -> Iterator[Job]:
    (channels, height, width), (rows, columns) = _window(one)
    kernel = stride = one.input_shape[:2]
    if one.window is not None:
        kernel, stride = one.window.kernel, one.window.stride
    numbers = (channels, height, width, rows, columns, *kernel, *stride)
    shape = f"{'x'.join(map(str, kernel))}, {height}x{width}x{channels}"
    before, after = channels * height * width, channels * rows * columns
    largest = isinstance(one.layer, MaxPool2D)
    kind = "max_pool" if largest else "average_pool"
    size = 4 * LANES * (before + after * (1 + largest))  # its winners are int32
    forward, backward = f"{kind}_forward", f"{kind}_backward"
    yield Job(forward, numbers, one.name, shape, 0, size, training_only=False)
    if deeper:
        yield Job(backward, numbers, one.name, shape, 0, size)
