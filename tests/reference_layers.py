"""Layers in plain NumPy, each number with the bound on what float32 may add to it.

A sum of K products in float32, in any order, is off by at most 4 * 2^-24 * sqrt(K) times
the sum of the products' magnitudes. Here that bound is carried from layer to layer.
Where rounding could push a value across the kink of ReLU, or make another pixel the
maximum, the bound grows by all that could change, so no input need be avoided. Written
in float64 for images N,H,W,C; `unit` is 2^-24 for float32 and 2^-53 for float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import reference_winograd as winograd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from striate.layers import (
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
    ResolvedLayer,
    ScaledTanh,
    Sigmoid,
    Tanh,
    Window,
)

Array = NDArray[np.float64]
SINGLE, DOUBLE = 2.0**-24, 2.0**-53


@dataclass(frozen=True)
class Bounded:
    """Exact values, and how far from them a computed one may lie."""

    value: Array
    error: Array

    @staticmethod
    def exact(value: Any) -> Bounded:
        """Numbers that both sides know without rounding."""
        array = np.asarray(value, np.float64)
        return Bounded(array, np.zeros_like(array))

    @property
    def reach(self) -> Array:
        """The largest magnitude that a computed value may have."""
        return np.abs(self.value) + self.error

    def apply(self, rearrange: Callable[[Array], Array]) -> Bounded:
        """Move or add values about, without rounding."""
        return Bounded(rearrange(self.value), rearrange(self.error))


Weights = Mapping[str, Bounded]


def product(
    operation: Callable[[Array, Array], Array],
    terms: float,
    a: Bounded,
    b: Bounded,
    unit: float,
    magnitude: Callable[[Array, Array], Array] | None = None,
) -> Bounded:
    """Whatever is linear in a and in b and sums `terms` products for each value.

    The terms' magnitudes add up to `magnitude` where those are not the products.
    """
    error = (
        operation(np.abs(a.value), b.error)
        + operation(a.error, b.reach)
        + 4 * unit * np.sqrt(terms) * (magnitude or operation)(a.reach, b.reach)
    )
    return Bounded(operation(a.value, b.value), error)


# ---------------------------------------------------------------- windows and patches


def pad(x: Array, window: Window, fill: float = 0.0) -> Array:
    """Rows and columns around images N,H,W,C."""
    top, bottom, left, right = window.padding
    border = ((0, 0), (top, bottom), (left, right), (0, 0))
    return np.pad(x, border, constant_values=fill)


def patches(padded: Array, window: Window) -> Array:
    """All patches of padded images, N,OH,OW,C,KH,KW."""
    (down, right), (dilate_h, dilate_w) = window.stride, window.dilation
    views = sliding_window_view(padded, window.extent, axis=(1, 2))
    return views[:, ::down, ::right, :, ::dilate_h, ::dilate_w]


def fold(parts: Array, shape: tuple[int, ...], window: Window) -> Array:
    """Add patches back where they came from: the adjoint of pad and patches."""
    top, bottom, left, right = window.padding
    count, rows, columns, channels = parts.shape[:4]
    height, width = shape[0] + top + bottom, shape[1] + left + right
    padded = np.zeros((count, height, width, channels))
    (down, across), (dilate_h, dilate_w) = window.stride, window.dilation
    for kh in range(window.kernel[0]):
        for kw in range(window.kernel[1]):
            h, w = kh * dilate_h, kw * dilate_w
            padded[
                :, h : h + rows * down : down, w : w + columns * across : across
            ] += parts[..., kh, kw]
    return padded[:, top : height - bottom, left : width - right]


# --------------------------------------------------------------------------- layers


def filtered(one: ResolvedLayer, unit: float) -> bool:
    """Whether float32 may go by Winograd's way, whose bound is the wider one."""
    window = one.window
    assert isinstance(one.layer, Conv2D)
    assert window is not None
    form = window.stride, window.dilation, one.layer.groups
    return (
        form == ((1, 1), (1, 1), 1)
        and window.kernel in ((3, 3), (5, 5))
        and min(one.layer.filters, one.input_shape[2]) >= 8
        and unit == SINGLE
    )


def forward(one: ResolvedLayer, x: Bounded, weights: Weights, unit: float) -> Bounded:
    """What leaves a layer that x enters."""
    layer, window = one.layer, one.window
    if isinstance(layer, Conv2D):
        assert window is not None
        weight = weights[f"{one.name}.weight"]
        taps = x.apply(lambda values: patches(pad(values, window), window))

        def convolve(w: Array, p: Array) -> Array:
            grouped = p.reshape(*p.shape[:3], layer.groups, -1, *p.shape[4:])
            filters = w.reshape(layer.groups, -1, *w.shape[1:])
            y = np.einsum("nhwgckl,gockl->nhwgo", grouped, filters, optimize=True)
            return y.reshape(*p.shape[:3], -1)

        terms, magnitude = weight.value[0].size + 1, None
        if filtered(one, unit):
            reach = pad(x.reach, window)
            terms = one.input_shape[2] + winograd.ROUNDINGS

            def magnitude(w: Array, _: Array) -> Array:
                return winograd.terms_of_output(reach, w)

        y = product(convolve, terms, weight, taps, unit, magnitude)
        return add_bias(y, weights.get(f"{one.name}.bias"), terms, unit)
    if isinstance(layer, Dense):
        weight = weights[f"{one.name}.weight"]
        terms = weight.value.shape[1] + 1
        y = product(lambda w, v: v @ w.T, terms, weight, x, unit)
        return add_bias(y, weights.get(f"{one.name}.bias"), terms, unit)
    if isinstance(layer, MaxPool2D):
        assert window is not None
        values = patches(pad(x.value, window, -np.inf), window)
        errors = patches(pad(x.error, window), window)
        return Bounded(values.max((4, 5)), errors.max((4, 5)))
    if isinstance(layer, AvgPool2D):
        assert window is not None
        taps = x.apply(lambda values: patches(pad(values, window), window))
        size = window.kernel[0] * window.kernel[1]
        share = Bounded.exact(1 / size)
        return product(lambda s, p: s * p.sum((4, 5)), size, share, taps, unit)
    if isinstance(layer, GlobalAvgPool2D):
        size = math.prod(one.input_shape[:2])
        share = Bounded.exact(1 / size)
        return product(lambda s, v: s * v.sum((1, 2)), size, share, x, unit)
    if isinstance(layer, Flatten) and x.value.ndim == 4:
        return x.apply(channels_first)
    if isinstance(layer, Flatten | Dropout):
        return x
    if isinstance(layer, BatchNorm):
        inverse, centered = normalization(one, x, weights, unit)
        scale = product(np.multiply, 1, weights[f"{one.name}.weight"], inverse, unit)
        y = product(np.multiply, 2, scale, centered, unit)
        return add_bias(y, weights[f"{one.name}.bias"], 2, unit)
    return activate(layer, x, unit)


def backward(
    one: ResolvedLayer,
    x: Bounded,
    y: Bounded,
    above: Bounded,
    weights: Weights,
    unit: float,
    rule: str,
) -> tuple[Bounded, dict[str, Bounded]]:
    """The gradients of a layer's input and weights, from that of its output."""
    layer, window, name = one.layer, one.window, one.name
    if isinstance(layer, Conv2D):
        assert window is not None
        weight = weights[f"{name}.weight"]
        taps = x.apply(lambda values: patches(pad(values, window), window))
        groups, kernel = layer.groups, weight.value.shape[1:]

        def weight_gradient(p: Array, dy: Array) -> Array:
            grouped = p.reshape(*p.shape[:3], groups, -1, *p.shape[4:])
            split = dy.reshape(*dy.shape[:3], groups, -1)
            dw = np.einsum("nhwgckl,nhwgo->gockl", grouped, split, optimize=True)
            return dw.reshape(-1, *kernel)

        def spread(w: Array, dy: Array) -> Array:
            split = dy.reshape(*dy.shape[:3], groups, -1)
            filters = w.reshape(groups, -1, *kernel)
            parts = np.einsum("nhwgo,gockl->nhwgckl", split, filters, optimize=True)
            parts = parts.reshape(*dy.shape[:3], -1, *kernel[1:])
            return fold(parts, one.input_shape, window)

        terms, of_input, of_weight = weight.value.size / kernel[0] / groups, None, None
        if filtered(one, unit):
            reach = pad(x.reach, window)
            terms = layer.filters + winograd.ROUNDINGS

            def of_input(w: Array, dy: Array) -> Array:
                return winograd.terms_of_input(w, dy, window.padding)

            def of_weight(_: Array, dy: Array) -> Array:
                return winograd.terms_of_weight(reach, dy)

        dx = product(spread, terms, weight, above, unit, of_input)
        terms = above.value[..., 0].size + (winograd.ROUNDINGS if of_weight else 0)
        dw = product(weight_gradient, terms, taps, above, unit, of_weight)
        return dx, named(one, {"weight": dw}, above, terms, unit)
    if isinstance(layer, Dense):
        weight = weights[f"{name}.weight"]
        units, terms = weight.value.shape[0], len(above.value)
        dx = product(lambda w, dy: dy @ w, units, weight, above, unit)
        dw = product(lambda v, dy: dy.T @ v, terms, x, above, unit)
        return dx, named(one, {"weight": dw}, above, terms, unit)
    if isinstance(layer, MaxPool2D | AvgPool2D):
        assert window is not None
        size = window.kernel[0] * window.kernel[1]
        share = (
            winners(x, window)
            if isinstance(layer, MaxPool2D)
            else Bounded.exact(np.full((*above.value.shape, *window.kernel), 1 / size))
        )

        def share_out(s: Array, dy: Array) -> Array:
            return fold(s * dy[..., None, None], one.input_shape, window)

        return product(share_out, size, share, above, unit), {}
    if isinstance(layer, GlobalAvgPool2D):
        share = Bounded.exact(
            np.full(x.value.shape, 1 / math.prod(one.input_shape[:2]))
        )
        return product(lambda s, dy: s * dy[:, None, None], 1, share, above, unit), {}
    if isinstance(layer, Flatten) and x.value.ndim == 4:
        height, width, channels = one.input_shape
        volume = (-1, channels, height, width)
        return above.apply(lambda v: v.reshape(volume).transpose(0, 2, 3, 1)), {}
    if isinstance(layer, Flatten | Dropout):
        return above, {}
    if isinstance(layer, BatchNorm):
        inverse, centered = normalization(one, x, weights, unit)
        scale = product(np.multiply, 1, weights[f"{name}.weight"], inverse, unit)
        axes, terms = tuple(range(x.value.ndim - 1)), x.value[..., 0].size
        sums = product(lambda d, v: (d * v).sum(axes), terms, above, centered, unit)
        found = {"weight": product(np.multiply, 1, sums, inverse, unit)}
        dx = product(np.multiply, 1, scale, above, unit)
        return dx, named(one, found, above, terms, unit)
    # What the rules change is whether ReLU's input counts, its gradient, or both.
    rectifies = isinstance(layer, ReLU | LeakyReLU)
    if rule != "deconvolution" or not rectifies:
        above = product(np.multiply, 1, slope(layer, x, y, unit), above, unit)
    if rule != "gradient" and rectifies:
        above = activate(layer, above, unit)
    return above, {}


def normalization(
    one: ResolvedLayer, x: Bounded, weights: Weights, unit: float
) -> tuple[Bounded, Bounded]:
    """1 / sqrt(variance + epsilon) and x - mean, by the running statistics."""
    assert isinstance(one.layer, BatchNorm)
    mean, variance = (weights[f"{one.name}.running_{name}"] for name in ("mean", "var"))
    inverse = 1 / np.sqrt(variance.value + one.layer.epsilon)
    centered = x.value - mean.value
    return (
        Bounded(inverse, 4 * unit * inverse),
        Bounded(centered, x.error + mean.error + 2 * unit * np.abs(centered)),
    )


def sum_of(values: Sequence[Bounded], unit: float) -> Bounded:
    """The sum of a few values, as a Residual takes it and as gradients meet."""
    first, *others = values
    for other in others:
        value = first.value + other.value
        first = Bounded(value, first.error + other.error + 2 * unit * np.abs(value))
    return first


def channels_first(x: Array) -> Array:
    """N,H,W,C as N,D in channel, row, column order."""
    return x.transpose(0, 3, 1, 2).reshape(len(x), -1)


def add_bias(y: Bounded, bias: Bounded | None, terms: float, unit: float) -> Bounded:
    if bias is None:
        return y
    error = bias.error + 4 * unit * np.sqrt(terms) * np.abs(bias.value)
    return Bounded(y.value + bias.value, y.error + error)


def named(
    one: ResolvedLayer,
    found: dict[str, Bounded],
    above: Bounded,
    terms: float,
    unit: float,
) -> dict[str, Bounded]:
    """The gradients by the weights' full names, with the bias's where there is one."""
    axes = tuple(range(above.value.ndim - 1))
    ones = Bounded.exact(1.0)
    if len(one.weights) > 1:
        found["bias"] = product(lambda s, d: s * d.sum(axes), terms, ones, above, unit)
    return {f"{one.name}.{name}": value for name, value in found.items()}


def winners(x: Bounded, window: Window) -> Bounded:
    """1 for the first maximum of each patch; an error of 1 for all that could be it."""
    values = patches(pad(x.value, window, -np.inf), window)
    errors = patches(pad(x.error, window), window)
    flat = values.reshape(*values.shape[:4], -1)
    first = np.arange(flat.shape[-1]) == flat.argmax(-1)[..., None]
    lowest = (values - errors).max((4, 5), keepdims=True)
    possible = values + errors >= lowest
    # One candidate alone wins surely, and so does the first of equals without error.
    sure = (possible.sum((4, 5)) == 1) | ((possible * errors).max((4, 5)) == 0)
    doubtful = possible & ~sure[..., None, None]
    return Bounded(first.reshape(values.shape).astype(float), doubtful.astype(float))


# ---------------------------------------------------------------------- activations


def activate(layer: object, x: Bounded, unit: float) -> Bounded:
    """f(x); functions are off by a few units of their results' last place."""
    if isinstance(layer, ReLU | LeakyReLU):
        below = layer.negative_slope if isinstance(layer, LeakyReLU) else 0.0
        value = np.where(x.value < 0, below * x.value, x.value)
        steepest = np.where(x.value < -x.error, below, max(1.0, below))
        rounding = 4 * unit * np.abs(value) * (below > 0)
        return Bounded(value, steepest * x.error + rounding)
    if isinstance(layer, Sigmoid):
        value, steepest = 1 / (1 + np.exp(-x.value)), 0.25
    else:
        height, steepness = scale(layer)
        value, steepest = height * np.tanh(steepness * x.value), height * steepness
    rounding = 8 * unit * np.abs(value) * (1 + x.reach)
    return Bounded(value, steepest * x.error + rounding)


def slope(layer: object, x: Bounded, y: Bounded, unit: float) -> Bounded:
    """f'(x), which the core finds from y = f(x)."""
    if isinstance(layer, ReLU | LeakyReLU):
        below = layer.negative_slope if isinstance(layer, LeakyReLU) else 0.0
        doubtful = (np.abs(x.value) <= x.error) & (x.error > 0)
        return Bounded(np.where(x.value > 0, 1.0, below), doubtful * abs(1 - below))
    if isinstance(layer, Sigmoid):
        return Bounded(y.value * (1 - y.value), y.error + 8 * unit)
    height, steepness = scale(layer)
    value = steepness * (height - y.value**2 / height)
    rounding = 8 * unit * steepness * height
    return Bounded(value, 2 * steepness * y.error + rounding)


def scale(layer: object) -> tuple[float, float]:
    """Height and steepness of a tanh."""
    if isinstance(layer, ScaledTanh):
        return 1.7159, 2 / 3
    assert isinstance(layer, Tanh)
    return 1.0, 1.0
