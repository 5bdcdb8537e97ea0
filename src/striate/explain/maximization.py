"""Activation maximisation: the picture that a unit likes best."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import real_number, shown, whole_number
from ..engine.randomness import check_seed, normal
from ..engine.weights import Floats
from ..errors import UsageError
from ..images.inputs import Images
from ..images.preprocess import Preprocessing
from ..network import Network
from .canvas import Canvas
from .finite import check_finite
from .leaky import leaking
from .objectives import Objective, Of, objective
from .question import TOGETHER, parts
from .transforms import Movement, Transforms

RATE = 0.05  # of Adam; fields are of length 1, so it does for every network
MOMENTS = 0.9, 0.99
START = 0.1  # standard deviation of the fields at first
NOISE = 1 << 31  # streams of noise begin here, those of movements at 0


@dataclass(frozen=True)
class Maximization:
    """The pictures that several units like best, and how much."""

    layer: str
    units: tuple[Any, ...]
    """U: each a class, a unit's place, or the channel of a feature map."""
    pixels: NDArray[np.uint8]
    """U,h,w,C: images as the network takes them."""
    activations: Floats
    """U: what the units answer to these very pixels."""
    boxes: NDArray[np.int64]
    """U,4: (top, left, bottom, right), what of the network's input each unit sees."""
    offset: tuple[int, int]
    """(top, left): where the images lie in the network's input."""

    def crops(self) -> list[NDArray[np.uint8]]:
        """Return of each picture what its unit sees: the rest is of no matter."""
        top, left = self.offset
        corners = np.maximum(self.boxes - (top, left, top, left), 0)
        return [
            image[first:last, start:end].copy()
            for image, (first, start, last, end) in zip(
                self.pixels, corners, strict=True
            )
        ]


def maximize(
    network: Network,
    *,
    target: object = None,
    layer: str | int | None = None,
    unit: object = None,
    channel: object = None,
    of: Of = "center",
    steps: int = 128,
    transforms: Transforms | None = Transforms(),  # noqa: B008 - frozen
    smoothness: float = 1.25,
    decay: float = 0.5,
    limits: tuple[float, float] | None = None,
    seed: int = 0,
    threads: int | None = None,
) -> Maximization:
    """Find, by gradient ascent from noise, pictures that make units answer most.

    Arguments:
        target: a class or several, whose logits shall be large; all by default.
        layer: the layer of units or feature maps, by name or index.
        unit: (row, column, channel) of a unit, or its number in a flat layer; or
            several of these, or, in a flat layer, all by default.
        channel: a feature map or several; all by default.
        of: which of a feature map's units: the one in the "center", or the "mean".
        steps: of gradient ascent.
        transforms: the movements that pictures must bear; None leaves them out.
        smoothness: amplitudes fall with the frequency to this power, in photographs
            about 1; with 0 every pixel is on its own.
        decay: how strongly pictures are drawn back to the training images' mean
            colour (L2 decay), against a gradient of length 1; what matters little to
            the unit stays away.
        limits: what black and white are, where the network was trained on floats and
            cannot know it.
        seed: of the noise and of the movements.

    All units begin with the same noise and are moved alike: the picture of one does not
    depend on the others. Pixels that a unit does not see keep the mean colour.
    Source: Erhan, Bengio, Courville and Vincent, "Visualizing Higher-Layer Features of a
    Deep Network", 2009; parameterisation and transformations after Olah, Mordvintsev and
    Schubert, "Feature Visualization", Distill 2017.

    >>> import striate as st
    >>> train, _ = st.load_data("digits")
    >>> network = st.lenet5()
    >>> history = network.fit(train.images, train.labels, epochs=3)
    >>> best = maximize(network, target=[3, 8], steps=32)
    >>> best.units, best.pixels.shape
    ((3, 8), (2, 28, 28, 1))
    >>> bool(best.activations[0] > network.logits(train.images)[:, 3].max())
    True
    """
    steps = whole_number("maximize", "steps", steps)
    smoothness = _from_0("smoothness", smoothness, 10)
    decay = _from_0("decay", decay, 1e6)
    if transforms is not None and not isinstance(transforms, Transforms):
        raise TypeError(
            f"maximize: transforms must be Transforms(...) or None, which leaves them "
            f"out, not {shown(transforms)}."
        )
    seed = check_seed(seed)
    known = _known(network, limits)
    wanted = objective(network, target, layer, unit, channel, of)
    count, (height, width) = len(wanted.units), known.image_size
    pixels = np.empty((count, height, width, known.channels), np.uint8)
    activations = np.empty(count, np.float32)
    numbers = math.prod(network.input_shape) + math.prod(wanted.layer.output_shape)
    for part in parts(count, TOGETHER // numbers):
        canvas = Canvas(
            known, _masks(wanted.boxes[part], known), smoothness, wanted.sight
        )
        ascent = _Ascent(network, wanted, part, canvas, transforms, decay, threads)
        pixels[part] = ascent.run(steps, seed)
        values = known.values(pixels[part])
        (outputs,) = network.engine.forward(
            Images(values, values), [wanted.layer.index], threads=threads
        )
        activations[part] = wanted.values(outputs, part)
    return Maximization(
        wanted.layer.name,
        wanted.units,
        pixels,
        activations,
        wanted.boxes,
        known.offset,
    )


@dataclass(frozen=True)
class _Ascent:
    """Gradient ascent of some pictures at once, by Adam on normalised gradients."""

    network: Network
    wanted: Objective
    part: slice
    canvas: Canvas
    transforms: Transforms | None
    decay: float
    threads: int | None

    def run(self, steps: int, seed: int) -> NDArray[np.uint8]:
        """Return the pictures after so many steps, U,h,w,C.

        Steps and movements are as large as they may be for half of the time, and then
        fade away, so that pictures come to rest.
        """
        known = self.canvas.known
        shape = *known.image_size, known.channels
        noise = START * normal(math.prod(shape), (seed, NOISE)).reshape(shape)
        fields = np.repeat(noise[None], len(self.canvas.masks), axis=0)
        mean, square = np.zeros_like(fields), np.zeros_like(fields)
        for step in range(steps):
            strength = min(1.0, 2 * (1 - step / steps))
            gradient = self.gradient(fields, (seed, step), strength)
            gradient -= np.float32(self.decay) * fields
            mean = MOMENTS[0] * mean + (1 - MOMENTS[0]) * gradient
            square = MOMENTS[1] * square + (1 - MOMENTS[1]) * gradient**2
            up, size = (
                moment / (1 - rate ** (step + 1))
                for moment, rate in zip((mean, square), MOMENTS, strict=True)
            )
            fields += RATE * strength * up / (np.sqrt(size) + 1e-8)
        return self.canvas.pixels(fields)

    def gradient(self, fields: Floats, key: tuple[int, int], strength: float) -> Floats:
        """Return how fields change what each picture is made for, at length 1."""
        pictures, slopes = self.canvas.paint(fields)
        values = self.canvas.values(pictures)
        ground = self.canvas.ground
        movements = self.movements(key, strength)
        for units, movement in movements:
            values[units] = movement.apply(values[units] - ground) + ground
        changes = self.of_input(self.network, values, np.arange(len(values)))
        silent = np.flatnonzero(~changes.any(axis=(1, 2, 3)))
        if silent.size:
            changes[silent] = self.of_input(self.leaky, values[silent], silent)
        for units, movement in movements:
            changes[units] = movement.adjoint(changes[units])
        gradient = self.canvas.paint_adjoint(
            self.canvas.values_adjoint(changes), slopes
        )
        # In double, where squares of neither large nor small numbers are lost.
        square = np.square(gradient, dtype=np.float64)
        length = np.sqrt(square.mean(axis=(1, 2, 3), keepdims=True))
        length[length == 0] = 1
        unit: Floats = (gradient / length).astype(np.float32)
        return unit

    def movements(
        self, key: tuple[int, int], strength: float
    ) -> list[tuple[NDArray[np.intp], Movement]]:
        """Return which pictures to move, and how: each about what its unit sees."""
        if self.transforms is None:
            return []
        motion = self.transforms.draw(key, strength)
        boxes, which = np.unique(
            self.wanted.boxes[self.part], axis=0, return_inverse=True
        )
        size = self.network.input_shape[:2]
        return [
            (np.flatnonzero(which.ravel() == number), Movement.of(motion, size, box))
            for number, box in enumerate(boxes)
        ]

    def of_input(
        self, network: Network, values: Floats, units: NDArray[np.intp]
    ) -> Floats:
        """Return how the network's input changes the units, U,H,W,C."""
        gradients = network.engine.input_gradient(
            Images(values, values),
            self.wanted.layer.index,
            seeds=self.seeds[units],
            threads=self.threads,
        )
        check_finite(gradients, f"the gradient of {self.wanted.layer.name}")
        return gradients

    @cached_property
    def seeds(self) -> Floats:
        return self.wanted.seeds(self.part)

    @cached_property
    def leaky(self) -> Network:
        """The network with a gradient where units are silent, to find what wakes them."""
        return leaking(self.network)


def _masks(boxes: NDArray[np.int64], known: Preprocessing) -> Floats:
    top, left = known.offset
    masks = np.zeros((len(boxes), *known.image_size, 1), np.float32)
    for mask, (first, start, last, end) in zip(masks, boxes, strict=True):
        mask[max(first - top, 0) : max(last - top, 0)][
            :, max(start - left, 0) : max(end - left, 0)
        ] = 1
    return masks


def _known(network: Network, limits: tuple[float, float] | None) -> Preprocessing:
    """How pixels become what the network takes."""
    rule = network.input_rule
    if limits is None:
        if rule.floats:
            raise UsageError(
                "this network was trained on float arrays and does not know what black "
                "and white are; give limits=(black, white)."
            )
        return rule.pixels
    if rule.preprocessing is not None:
        raise UsageError(
            "this network was trained on pixels and knows what black and white are; "
            "leave out limits."
        )
    if not isinstance(limits, tuple | list) or len(limits) != 2:
        raise TypeError(
            f"maximize: limits must be (black, white), not {shown(limits)}."
        )
    black, white = (real_number("maximize", "limits", value) for value in limits)
    if not black < white:
        raise ValueError(
            f"maximize: limits must be (black, white), the lower first, not {limits}."
        )
    height, width, channels = network.input_shape
    return Preprocessing(
        image_size=(height, width),
        input_shape=network.input_shape,
        background=0,
        polarity="dark",
        mean=(-black / (white - black),) * channels,
        std=(1 / (white - black),) * channels,
    )


def _from_0(name: str, value: object, most: float) -> float:
    number = real_number("maximize", name, value)
    if not 0 <= number <= most:
        raise ValueError(
            f"maximize: {name} must be from 0 to {most:g}, not {number:g}."
        )
    return number
