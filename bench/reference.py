"""What every tool must compute: NumPy in double precision, and how far off is allowed.

Single precision errs. One sum of K products may be off by 4 * 2^-24 * sqrt(K) times the
sum of the products' magnitudes; the errors of different sums are taken as independent,
so that what they do to later sums adds up in squares. Carried through the network and
back, this gives every loss, probability and gradient a bound of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from cases import Layer, Material, Weights
from numpy.typing import NDArray
from worker import Answers

Doubles = NDArray[np.float64]
UNIT = 4 * 2.0**-24


@dataclass(frozen=True)
class Bounded:
    """Values, and how far off single precision may be from each of them."""

    value: Doubles
    bound: Doubles

    def map(self, change: Callable[[Doubles], Doubles]) -> Bounded:
        """Rearrange or select."""
        return Bounded(change(self.value), change(self.bound))


Product = Callable[[Doubles, Doubles], Doubles]
Back = Callable[[Bounded], tuple[Bounded, dict[str, Bounded]]]
"""From the gradient of a layer's output to those of its input and its weights."""


def multiply(product: Product, a: Bounded, b: Bounded, terms: int) -> Bounded:
    """A product that sums `terms` products for every number it gives."""
    own = UNIT * np.sqrt(terms) * product(np.abs(a.value), np.abs(b.value))
    carried = product(a.bound**2, b.value**2)
    if b.bound.any():  # weights are exact, and most products are with them
        carried = carried + product(a.value**2, b.bound**2)
    return Bounded(product(a.value, b.value), np.hypot(own, np.sqrt(carried)))


def times(a: Bounded, b: Bounded) -> Bounded:
    """Products, value by value."""
    return multiply(np.multiply, a, b, 1)


def add(a: Bounded, b: Bounded, sign: int = 1) -> Bounded:
    """Sums, or differences, value by value."""
    own = UNIT * np.sqrt(2) * (np.abs(a.value) + np.abs(b.value))
    return Bounded(a.value + sign * b.value, np.hypot(own, np.hypot(a.bound, b.bound)))


def total(a: Bounded, axes: tuple[int, ...], terms: int) -> Bounded:
    """Sums over axes, of so many numbers each."""
    ones = exact(np.ones((1,) * a.value.ndim))
    return multiply(lambda x, one: (x * one).sum(axes), a, ones, terms)


def mean(a: Bounded, axes: tuple[int, ...]) -> Bounded:
    """Means over axes, which stay, with one value."""
    terms = math.prod(a.value.shape[axis] for axis in axes)
    summed = total(a, axes, terms)
    return summed.map(lambda x: np.expand_dims(x, axes) / terms)


def exact(values: NDArray[Any]) -> Bounded:
    """Numbers that every tool is given."""
    return Bounded(values.astype(np.float64), np.zeros(values.shape))


class Forward:
    """The forward pass over some images, N,C,H,W.

    A decision is close where a ReLU's input or a maximum's lead lies within its bound:
    there two correct tools may decide differently, and the whole gradient belongs to
    its bound.
    """

    def __init__(
        self,
        layers: tuple[Layer, ...],
        weights: Weights,
        inputs: NDArray[np.float32],
        training: bool,
    ) -> None:
        self._weights, self._training = weights, training
        self._back: list[Back] = []
        x = exact(inputs)
        x = Bounded(x.value, UNIT * np.abs(x.value))  # tools make them from pixels
        for layer in layers:
            x, back = getattr(self, f"_{layer.config['kind'].lower()}")(x, layer)
            self._back.append(back)
        self.logits = x

    def probabilities(self) -> Bounded:
        """The softmax of the logits."""
        z, bound = self.logits.value, self.logits.bound
        shifted = z - z.max(axis=1, keepdims=True)
        p = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
        shared = np.sqrt((p**2 * bound**2).sum(axis=1, keepdims=True))
        return Bounded(p, p * np.hypot(np.hypot(bound, shared), UNIT * (1 - shifted)))

    def answers(self, labels: NDArray[np.int64]) -> dict[str, Bounded]:
        """Mean loss and every gradient, by name."""
        found = self.probabilities()
        p, p_bound = found.value, found.bound
        rows, count = np.arange(len(p)), len(p)
        losses = -np.log(p[rows, labels])
        loss_bound = (p_bound / p)[rows, labels] + UNIT * np.sqrt(count) * losses
        target = np.zeros_like(p)
        target[rows, labels] = 1
        gradient = Bounded((p - target) / count, p_bound / count)
        loss = Bounded(losses.mean(), np.sqrt((loss_bound**2).sum()) / count)
        answers = {"loss": loss}
        for back in reversed(self._back):
            gradient, of_weights = back(gradient)
            answers |= of_weights
        return answers

    def _relu(self, x: Bounded, layer: Layer) -> tuple[Bounded, Back]:
        close = np.abs(x.value) < x.bound
        keep = x.value > 0

        def back(g: Bounded) -> tuple[Bounded, dict[str, Bounded]]:
            bound = np.hypot(g.bound * (keep | close), g.value * close)
            return Bounded(g.value * keep, bound), {}

        return x.map(lambda a: a * keep), back

    def _flatten(self, x: Bounded, layer: Layer) -> tuple[Bounded, Back]:
        shape = x.value.shape
        flat = x.map(lambda a: a.reshape(len(a), -1))
        return flat, lambda g: (g.map(lambda a: a.reshape(shape)), {})

    def _maxpool2d(self, x: Bounded, layer: Layer) -> tuple[Bounded, Back]:
        config = layer.config
        stride = config["stride"] or config["size"]
        slide = Window(x.value.shape, config["size"], stride, config["padding"])
        value, bound = slide.stack(x.value, -np.inf), slide.stack(x.bound, 0)
        first = value.argmax(axis=0)[None]
        best = Bounded(
            np.take_along_axis(value, first, 0)[0],
            np.take_along_axis(bound, first, 0)[0],
        )
        near = best.value - value < best.bound + bound
        near &= near.sum(axis=0) > 1

        def back(g: Bounded) -> tuple[Bounded, dict[str, Bounded]]:
            wins = np.zeros(value.shape, bool)
            np.put_along_axis(wins, first, True, 0)
            bound = np.hypot(g.bound * (wins | near), g.value * near)
            return Bounded(slide.unstack(g.value * wins), slide.unstack(bound)), {}

        return best, back

    def _conv2d(self, x: Bounded, layer: Layer) -> tuple[Bounded, Back]:
        config, weight = layer.config, exact(self._weights[f"{layer.name}.weight"])
        filters, inner, *kernel = weight.value.shape
        stride, padding = config["stride"], config["padding"]
        slide = Window(x.value.shape, kernel, stride, padding)
        groups, area = config["groups"], slide.height * slide.width

        def columns(a: Doubles) -> Doubles:  # N, groups, inner * taps, area
            taps = slide.stack(a, 0).reshape(-1, len(a), groups, inner, area)
            return taps.transpose(1, 2, 3, 0, 4).reshape(len(a), groups, -1, area)

        def rows(a: Doubles) -> Doubles:  # N, groups, filters, area
            return a.reshape(len(a), groups, -1, area)

        def backward(g: Doubles, w: Doubles) -> Doubles:
            taps = (w.swapaxes(1, 2) @ g).reshape(len(g), groups, inner, -1, area)
            taps = taps.transpose(3, 0, 1, 2, 4)
            size = (len(taps), len(g), groups * inner, slide.height, slide.width)
            return slide.unstack(taps.reshape(size))

        patches = x.map(columns)
        matrix = weight.map(lambda a: a.reshape(groups, filters // groups, -1))
        terms = inner * kernel[0] * kernel[1]
        out = multiply(lambda a, w: w @ a, patches, matrix, terms).map(
            lambda a: a.reshape(len(a), filters, slide.height, slide.width)
        )

        def back(g: Bounded) -> tuple[Bounded, dict[str, Bounded]]:
            arriving = g.map(rows)
            of_weight = multiply(_outer, arriving, patches, len(g.value) * area)
            reaching = filters // groups * kernel[0] * kernel[1]
            of_input = multiply(backward, arriving, matrix, reaching)
            found = {"weight": of_weight.map(lambda a: a.reshape(weight.value.shape))}
            return of_input, _named(layer, g, found, (0, 2, 3))

        return self._biased(out, layer, (-1, 1, 1)), back

    def _globalavgpool2d(self, x: Bounded, layer: Layer) -> tuple[Bounded, Back]:
        shape = x.value.shape

        def back(g: Bounded) -> tuple[Bounded, dict[str, Bounded]]:
            def spread(a: Doubles) -> Doubles:
                return np.broadcast_to(
                    a[:, :, None, None] / math.prod(shape[2:]), shape
                )

            return g.map(spread), {}

        return mean(x, (2, 3)).map(lambda a: a.reshape(shape[:2])), back

    def _batchnorm(self, x: Bounded, layer: Layer) -> tuple[Bounded, Back]:
        shape = (1, -1, 1, 1)
        held = {
            key: exact(self._weights[f"{layer.name}.{key}"].reshape(shape))
            for key in ("weight", "bias", "running_mean", "running_var")
        }
        axes = (0, 2, 3)
        if self._training:
            centred = add(x, mean(x, axes), -1)
            variance = mean(times(centred, centred), axes)
        else:
            centred = add(x, held["running_mean"], -1)
            variance = held["running_var"]
        root = np.sqrt(variance.value + layer.config["epsilon"])
        of_variance = variance.bound / (2 * root**3)
        scale = Bounded(1 / root, np.hypot(of_variance, UNIT / root))
        normal = times(centred, scale)
        out = add(times(normal, held["weight"]), held["bias"])

        def back(g: Bounded) -> tuple[Bounded, dict[str, Bounded]]:
            count = x.value.size // x.value.shape[1]
            found = {"weight": total(times(g, normal), axes, count)}
            found["bias"] = total(g, axes, count)
            named = {f"{layer.name}.{key}": value for key, value in found.items()}
            g = times(g, held["weight"])
            along = times(normal, mean(times(g, normal), axes))
            left = add(add(g, mean(g, axes), -1), along, -1)
            return times(left, scale), named

        return out, back

    def _dense(self, x: Bounded, layer: Layer) -> tuple[Bounded, Back]:
        weight = exact(self._weights[f"{layer.name}.weight"])
        units, inputs = weight.value.shape

        def back(g: Bounded) -> tuple[Bounded, dict[str, Bounded]]:
            of_weight = multiply(lambda a, b: a.T @ b, g, x, len(x.value))
            of_input = multiply(lambda a, w: a @ w, g, weight, units)
            return of_input, _named(layer, g, {"weight": of_weight}, (0,))

        out = multiply(lambda a, w: a @ w.T, x, weight, inputs)
        return self._biased(out, layer, (-1,)), back

    def _biased(self, x: Bounded, layer: Layer, shape: tuple[int, ...]) -> Bounded:
        if not layer.config["bias"]:
            return x
        bias = self._weights[f"{layer.name}.bias"].reshape(shape)
        value = x.value + bias
        return Bounded(value, np.hypot(x.bound, UNIT * np.abs(value)))


class Window:
    """A window sliding over N,C,H,W: one array for every place within the window."""

    def __init__(self, shape: Any, kernel: Any, stride: Any, padding: Any) -> None:
        self.shape, (self.rows, self.columns) = shape, _pair(kernel)
        self.stride, self.padding = _pair(stride), _pair(padding)
        height, width = (
            side + 2 * pad for side, pad in zip(shape[2:], self.padding, strict=True)
        )
        self.padded = (*shape[:2], height, width)
        self.height = (height - self.rows) // self.stride[0] + 1
        self.width = (width - self.columns) // self.stride[1] + 1

    def stack(self, a: Doubles, fill: float) -> Doubles:
        """Taps, N, C, output height, output width."""
        padded = np.full(self.padded, fill, np.float64)
        self._inside(padded)[...] = a
        return np.stack(list(self._taps(padded)))

    def unstack(self, taps: Doubles) -> Doubles:
        """Add all taps back to where they were taken from."""
        padded = np.zeros(self.padded)
        for view, tap in zip(self._taps(padded), taps, strict=True):
            view += tap
        return self._inside(padded)

    def _taps(self, a: Doubles) -> Iterator[Doubles]:
        down, right = self.stride
        for i in range(self.rows):
            for j in range(self.columns):
                tall, wide = i + down * self.height, j + right * self.width
                yield a[:, :, i:tall:down, j:wide:right]

    def _inside(self, a: Doubles) -> Doubles:
        (top, left), (height, width) = self.padding, self.shape[2:]
        return a[:, :, top : top + height, left : left + width]


def _outer(g: Doubles, columns: Doubles) -> Doubles:
    return np.asarray((g @ columns.swapaxes(2, 3)).sum(axis=0))


def _named(
    layer: Layer, g: Bounded, found: dict[str, Bounded], axes: tuple[int, ...]
) -> dict[str, Bounded]:
    """A layer's gradients by the weights' names, with that of its bias, if any."""
    if layer.config["bias"]:
        terms = g.value.size // g.value.shape[1]
        found = found | {"bias": total(g, axes, terms)}
    return {f"{layer.name}.{key}": value for key, value in found.items()}


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


class Check:
    """The right answers for the first images of a subject, to hold tools against."""

    def __init__(self, material: Material, images: int) -> None:
        layers, weights = material.layers, material.weights
        inputs, labels = material.inputs[:images], material.labels[:images]
        training = Forward(layers, weights, inputs, training=True)
        self._expected = training.answers(labels)
        inference = training
        if any(layer.config["kind"] == "BatchNorm" for layer in layers):
            inference = Forward(layers, weights, inputs, training=False)
        self._expected["probabilities"] = inference.probabilities()

    def worst(self, tool: str, answers: Answers) -> float:
        """The largest error, as a share of its bound; AssertionError above 1.

        Errors of an array are taken together, as a Euclidean norm: a close decision
        that went otherwise moves few numbers, but those by more than a sum of
        independent errors allows.
        """
        given: dict[str, Any] = {"probabilities": answers.probabilities}
        if answers.loss is not None and answers.gradients is not None:
            given |= {"loss": answers.loss, **answers.gradients}
            assert given.keys() == self._expected.keys(), f"{tool} lacks a gradient"
        worst = 0.0
        for name, values in given.items():
            right = self._expected[name]
            assert np.shape(values) == np.shape(right.value), f"{tool}: {name}'s shape"
            error = np.linalg.norm(values - right.value)
            share = float(error / (np.linalg.norm(right.bound) + 1e-30))
            assert share <= 1, f"{tool} computes another {name}: {share:.3g} bounds off"
            worst = max(worst, share)
        return worst
