"""From resolved layers and frozen settings to the core's steps and rules.

This is the one place where both languages' names for a layer meet. Nothing is decided
here: shapes, windows and the order of the weights are settled by `resolve`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import _core
from ..layers import (
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Residual,
    ScaledTanh,
    Sigmoid,
    Tanh,
)
from ..resolve import ResolvedLayer, Shape
from ..training.augmentation import LIMITS, Augmentation
from ..training.optimizers import SGD, Adam, Optimizer
from ..window import Window
from .weights import weight_offsets

_MINUS_INFINITY = float("-inf")

# What each layer is to the core: the kind of step and the numbers that go with it.
_KINDS: dict[type, str] = {
    Conv2D: "conv",
    MaxPool2D: "max_pool",
    AvgPool2D: "average_pool",
    GlobalAvgPool2D: "average_pool",
    Dense: "dense",
    BatchNorm: "batch_norm",
    Residual: "add",
    ReLU: "relu",
    LeakyReLU: "leaky_relu",
    Tanh: "tanh",
    ScaledTanh: "tanh",
    Sigmoid: "sigmoid",
    Dropout: "dropout",
    Flatten: "flatten",
}


def lower(resolved: Sequence[ResolvedLayer]) -> list[_core.Step]:
    """Return the steps of a network; a window with padding has a step for that first.

    The steps' offsets into the weight vector follow the order of the resolved weights.

    >>> from striate.layers import resolve
    >>> len(lower(resolve([Conv2D(2, 3, padding=1), ReLU()], (8, 8, 1))))
    3
    """
    steps: list[_core.Step] = []
    places = weight_offsets(resolved)
    last_step = {-1: -1}  # by layer
    for one in resolved:
        sources = [last_step[index] for index in one.inputs]
        source = one.input_shape
        window = one.window
        if window is not None and any(window.padding):
            padded = _padded(source, window)
            steps.append(
                _core.Step(
                    "pad",
                    -1,
                    (sources[0], -1),
                    _planes(source),
                    _planes(padded),
                    padding=window.padding,
                    value=_MINUS_INFINITY if isinstance(one.layer, MaxPool2D) else 0.0,
                )
            )
            source, sources = padded, [len(steps) - 1]
        settings = _window_settings(window) | _layer_settings(one)
        offsets = [places[weight.name][1] for weight in one.weights]
        settings |= dict(zip(("weight", "bias", "running"), offsets, strict=False))
        last_step[one.index] = len(steps)
        steps.append(
            _core.Step(
                _KINDS[type(one.layer)],
                one.index,
                (sources[0], sources[1] if sources[1:] else -1),
                _planes(source),
                _planes(one.output_shape),
                **settings,
            )
        )
    return steps


def update_rule(optimizer: Optimizer) -> _core.UpdateRule:
    """Return an optimizer's settings as the core takes them, but the learning rate."""
    if isinstance(optimizer, SGD):
        return _core.UpdateRule(
            "sgd",
            momentum=optimizer.momentum,
            nesterov=optimizer.nesterov,
            weight_decay=optimizer.weight_decay,
        )
    assert isinstance(optimizer, Adam)
    return _core.UpdateRule(
        optimizer.kind,
        beta1=optimizer.betas[0],
        beta2=optimizer.betas[1],
        epsilon=optimizer.epsilon,
        weight_decay=optimizer.weight_decay,
    )


def augmentation_rule(settled: Augmentation) -> _core.Augmentation:
    """Return an augmentation, settled for its images, as the core takes it."""
    numbers = {name: getattr(settled, name) for name in LIMITS}
    for name in ("rotation", "shear", "hue"):
        numbers[name] = math.radians(numbers[name])
    return _core.Augmentation(
        **numbers,
        flip_horizontal=settled.flip in ("horizontal", "both"),
        flip_vertical=settled.flip in ("vertical", "both"),
        replicate=settled.outside == "edge",
    )


def augmentation_bytes(shape: Shape, threads: int) -> int:
    """Return what changing images of a network's input (H,W,C) takes at most, in bytes.

    Each thread has 16 images with a margin to sample from, as many to mix them with, and
    a grid, hardly finer than pixels, of two coordinates to bend them by.
    """
    height, width, channels = shape
    return threads * 16 * 4 * (2 * channels + 2) * (height + 4) * (width + 4)


def _planes(shape: Shape) -> tuple[int, int, int]:
    """(H, W, C) or (D,) as the core's (C, H, W); a flat vector is D planes of 1 x 1."""
    if len(shape) == 1:
        return shape[0], 1, 1
    height, width, channels = shape
    return channels, height, width


def _padded(shape: Shape, window: Window) -> Shape:
    top, bottom, left, right = window.padding
    return shape[0] + top + bottom, shape[1] + left + right, shape[2]


def _window_settings(window: Window | None) -> dict[str, Any]:
    if window is None:
        return {}
    return {
        "kernel": window.kernel,
        "stride": window.stride,
        "dilation": window.dilation,
    }


def _layer_settings(one: ResolvedLayer) -> dict[str, Any]:
    layer = one.layer
    if isinstance(layer, Conv2D):
        return {"groups": layer.groups}
    if isinstance(layer, GlobalAvgPool2D):
        return {"kernel": one.input_shape[:2]}
    if isinstance(layer, LeakyReLU):
        return {"value": layer.negative_slope}
    if isinstance(layer, Tanh):
        return {"value": 1.0, "scale": 1.0}
    if isinstance(layer, ScaledTanh):
        return {"value": 1.7159, "scale": 2 / 3}
    if isinstance(layer, BatchNorm):
        return {"value": layer.momentum, "scale": layer.epsilon}
    if isinstance(layer, Dropout):
        return {"value": layer.rate}
    return {}
