"""What every tool must compute: NumPy in double precision, and how far off is allowed.

Single precision errs. One sum of K products may be off by 4 * 2^-24 * sqrt(K) times the
sum of the products' magnitudes; the errors of different sums are taken as independent,
so that what they do to later sums adds up in squares. Carried through the network and
back, this gives every loss, probability and gradient a bound of its own.
"""

from __future__ import annotations

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
    carried = product(a.bound**2, b.value**2) + product(a.value**2, b.bound**2)
    return Bounded(product(a.value, b.value), np.hypot(own, np.sqrt(carried)))


def exact(values: NDArray[Any]) -> Bounded:
    """Numbers that every tool is given."""
    return Bounded(values.astype(np.float64), np.zeros(values.shape))


class Forward:
    """The forward pass over some images, N,C,H,W; `close` marks those to leave out.

    An image is close where a ReLU's input or a maximum's lead lies within its bound:
    there two correct tools may decide differently, and gradients jump.
    """

    def __init__(
        self, layers: tuple[Layer, ...], weights: Weights, inputs: NDArray[np.float32]
    ) -> None:
        self.close = np.zeros(len(inputs), bool)
        self._weights = weights
        self._back: list[Back] = []
        x = exact(inputs)
        x = Bounded(x.value, UNIT * np.abs(x.value))  # tools make them from pixels
        for layer in layers:
            x, back = getattr(self, f"_{layer.config['kind'].lower()}")(x, layer)
            self._back.append(back)
        self.logits = x

    def answers(self, labels: NDArray[np.int64]) -> dict[str, Bounded]:
        """Probabilities, mean loss and every gradient, by name."""
        z, bound = self.logits.value, self.logits.bound
        shifted = z - z.max(axis=1, keepdims=True)
        p = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
        mean = np.sqrt((p**2 * bound**2).sum(axis=1, keepdims=True))
        p_bound = p * np.hypot(np.hypot(bound, mean), UNIT * (1 - shifted))
        rows, count = np.arange(len(z)), len(z)
        losses = -np.log(p[rows, labels])
        loss_bound = (p_bound / p)[rows, labels] + UNIT * np.sqrt(count) * losses
        target = np.zeros_like(p)
        target[rows, labels] = 1
        gradient = Bounded((p - target) / count, p_bound / count)
        found: dict[str, Bounded] = {}
        for back in reversed(self._back):
            gradient, of_weights = back(gradient)
            found |= of_weights
        loss = Bounded(losses.mean(), np.sqrt((loss_bound**2).sum()) / count)
        return {"probabilities": Bounded(p, p_bound), "loss": loss, **found}

    def _relu(self, x: Bounded, layer: Layer) -> tuple[Bounded, Back]:
        self._decide(np.abs(x.value) < x.bound)
        keep = x.value > 0
        return x.map(lambda a: a * keep), lambda g: (g.map(lambda a: a * keep), {})

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
        np.put_along_axis(near, first, False, 0)
        self._decide(near.any(axis=0))

        def back(g: Bounded) -> tuple[Bounded, dict[str, Bounded]]:
            def scatter(a: Doubles) -> Doubles:
                parts = np.zeros((len(value), *a.shape))
                np.put_along_axis(parts, first, a[None], 0)
                return slide.unstack(parts)

            return g.map(scatter), {}

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

    def _decide(self, close: Any) -> None:
        self.close |= close.reshape(len(close), -1).any(axis=1)


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
        sums = multiply(
            lambda a, b: (a * b).sum(axis=axes),
            g,
            exact(np.ones(g.value.shape)),
            g.value.size // g.value.shape[1],
        )
        found = found | {"bias": sums}
    return {f"{layer.name}.{key}": value for key, value in found.items()}


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


class Check:
    """The right answers for some images of a subject, to hold tools against."""

    def __init__(self, material: Material, images: int = 64) -> None:
        layers, weights = material.layers, material.weights
        close = Forward(layers, weights, material.inputs[:images]).close
        self.chosen = np.flatnonzero(~close)
        assert len(self.chosen) >= images // 4, "the bounds leave too few images"
        clear = Forward(layers, weights, material.inputs[self.chosen])
        self._expected = clear.answers(material.labels[self.chosen])

    def worst(self, tool: str, answers: Answers) -> float:
        """The largest error, as a share of its bound; AssertionError above 1."""
        given: dict[str, Any] = {"probabilities": answers.probabilities}
        if answers.loss is not None and answers.gradients is not None:
            given |= {"loss": answers.loss, **answers.gradients}
            assert given.keys() == self._expected.keys(), f"{tool} lacks a gradient"
        worst = 0.0
        for name, values in given.items():
            right = self._expected[name]
            assert np.shape(values) == np.shape(right.value), f"{tool}: {name}'s shape"
            error = np.abs(values - right.value) / (right.bound + 1e-30)
            share = float(np.max(error))
            assert share <= 1, f"{tool} computes another {name}: {share:.3g} bounds off"
            worst = max(worst, share)
        return worst
