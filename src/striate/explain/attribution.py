"""Which pixels decide: what every value of the input contributes to one number.

All take what is explained by the keywords of `Network.input_gradient`: `target`, a class
or one for each image, whose logit it is; or `layer` and `unit`, one or one for each; by
default the class the network answers. They raise what it raises, and DataError where
numbers are not finite. Logits are of the image itself, also where the network answers by
the mean of an image and its mirror image (`mirrored_answers`). Images are prepared first, and all results are of the prepared input,
float32 N,H,W,C: (pixel / 255 - mean) / std, with the background around smaller images.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arguments import real_number, whole_number
from ..engine.randomness import check_seed, normal
from ..engine.weights import Floats
from ..errors import ShapeError
from ..gradients import Unit
from ..images.inputs import Images, prepare, prepared
from ..network import Network
from .question import Question


def saliency(
    network: Network,
    images: object,
    *,
    target: object = None,
    layer: str | int | None = None,
    unit: Unit | None = None,
    preprocessed: bool = False,
    invert: bool = False,
    threads: int | None = None,
) -> Floats:
    """Return the gradient of a class's logit, or of a unit, by the input: N,H,W,C.

    It says what changing a pixel a little would do, which is not the same as what the
    pixel contributed. `largest_magnitude` makes one number of every pixel's channels.
    Source: Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional Networks:
    Visualising Image Classification Models and Saliency Maps", 2013.

    >>> import striate as st
    >>> network = st.Network([st.Flatten(), st.Dense(2, bias=False)], (2, 2, 1))
    >>> network.set_weights({"dense1.weight": [[1, 2, 3, 4], [0, 0, 0, 0]]})
    >>> saliency(network, np.zeros((1, 2, 2), np.uint8), target=0)[0, :, :, 0]
    array([[1., 2.],
           [3., 4.]], dtype=float32)
    """
    question = Question.of(
        network,
        images,
        target=target,
        layer=layer,
        unit=unit,
        preprocessed=preprocessed,
        invert=invert,
        threads=threads,
    )
    found = _room(question)
    for part, values in question.batches():
        found[part] = question.gradients(values, question.units[part])
    return found


def largest_magnitude(attributions: Floats) -> Floats:
    """Return one number a pixel, N,H,W: the largest magnitude over its channels.

    Source: Simonyan, Vedaldi and Zisserman, 2013, section 3.1.

    >>> largest_magnitude(np.array([[[[1.0, -3.0]]]], np.float32))
    array([[[3.]]], dtype=float32)
    """
    magnitude: Floats = np.abs(attributions).max(axis=-1)
    return magnitude


def gradient_times_input(
    network: Network,
    images: object,
    *,
    target: object = None,
    layer: str | int | None = None,
    unit: Unit | None = None,
    preprocessed: bool = False,
    invert: bool = False,
    threads: int | None = None,
) -> Floats:
    """Return the gradient times the prepared input: N,H,W,C.

    What is 0 after preprocessing contributes nothing: the image it is measured against
    is the training images' mean colour, not black. For a linear network the sum is the
    difference to that image's output.
    Source: Shrikumar, Greenside, Shcherbina and Kundaje, "Not Just a Black Box", 2016.

    >>> import striate as st
    >>> network = st.Network([st.Flatten(), st.Dense(2)], (2, 2, 1), seed=3)
    >>> pixels = np.full((1, 2, 2), 255, np.uint8)
    >>> shares = gradient_times_input(network, pixels, target=1)
    >>> bias = network.weights["dense1.bias"][1]
    >>> bool(np.isclose(shares.sum() + bias, network.logits(pixels)[0, 1]))
    True
    """
    question = Question.of(
        network,
        images,
        target=target,
        layer=layer,
        unit=unit,
        preprocessed=preprocessed,
        invert=invert,
        threads=threads,
    )
    found = _room(question)
    for part, values in question.batches():
        found[part] = question.gradients(values, question.units[part]) * values
    return found


def smooth_gradient(
    network: Network,
    images: object,
    *,
    samples: int = 50,
    noise: float = 0.15,
    seed: int = 0,
    target: object = None,
    layer: str | int | None = None,
    unit: Unit | None = None,
    preprocessed: bool = False,
    invert: bool = False,
    threads: int | None = None,
) -> Floats:
    """Return the mean gradient over noisy copies of each image (SmoothGrad): N,H,W,C.

    Arguments:
        samples: how many copies.
        noise: standard deviation of the noise, as a share of the range from each
            image's lowest to its highest value.
        seed: of the noise; all images get the same, so that what is found of one
            depends on no other.

    Source: Smilkov, Thorat, Kim, Viégas and Wattenberg, "SmoothGrad: removing noise by
    adding noise", 2017.

    >>> import striate as st
    >>> network = st.lenet5()
    >>> smooth_gradient(network, np.zeros((2, 28, 28), np.uint8), samples=4).shape
    (2, 32, 32, 1)
    """
    samples = whole_number("smooth_gradient", "samples", samples)
    noise = real_number("smooth_gradient", "noise", noise)
    if noise < 0:
        raise ValueError(f"smooth_gradient: noise must be at least 0, not {noise}.")
    seed = check_seed(seed)
    question = Question.of(
        network,
        images,
        target=target,
        layer=layer,
        unit=unit,
        preprocessed=preprocessed,
        invert=invert,
        threads=threads,
    )
    shape = network.input_shape

    def moved(values: Floats, sample: int) -> Floats:
        ranges = np.ptp(values, axis=(1, 2, 3), keepdims=True)
        drawn = normal(math.prod(shape), (seed, sample)).reshape(shape)
        noisy: Floats = values + np.float32(noise) * ranges * drawn
        return noisy

    found = _room(question)
    for part, values in question.batches():
        found[part] = _mean_gradient(question, part, values, samples, moved)
    return found


@dataclass(frozen=True)
class IntegratedGradients:
    """What each value contributed to the difference from a baseline image."""

    attributions: Floats
    """N,H,W,C, of the prepared input."""
    outputs: Floats
    """N: what is explained, for the images."""
    baseline_outputs: Floats
    """N: the same for the baseline."""

    @property
    def residual(self) -> NDArray[np.float64]:
        """N: by how much the attributions' sums miss the difference of the outputs.

        Completeness says that with infinitely many steps it is 0.
        """
        sums = self.attributions.sum(axis=(1, 2, 3), dtype=np.float64)
        difference = self.outputs.astype(np.float64) - self.baseline_outputs
        residual: NDArray[np.float64] = sums - difference
        return residual


def integrated_gradients(
    network: Network,
    images: object,
    *,
    baseline: object = None,
    steps: int = 64,
    target: object = None,
    layer: str | int | None = None,
    unit: Unit | None = None,
    preprocessed: bool = False,
    invert: bool = False,
    threads: int | None = None,
) -> IntegratedGradients:
    """Return what every value contributed on the way from a baseline to the image.

    The gradient is averaged along the straight line from the baseline, at the middles
    of `steps` equal parts, and multiplied by the difference. Midpoints have the
    smallest error bound for what jumps, as the gradients of ReLU and max pooling do:
    at most the sum of all jumps and slopes along the line, divided by 2 * steps.

    Arguments:
        baseline: one image, or one for each, as `images` are given; by default an
            image of nothing but background, or of zeros where the network was
            trained on floats.
        steps: at how many places the gradient is taken.

    Source: Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", 2017.

    >>> import striate as st
    >>> train, _ = st.load_data("digits")
    >>> network = st.lenet5("tanh")
    >>> found = integrated_gradients(network, train.images[:5])
    >>> found.attributions.shape
    (5, 32, 32, 1)
    >>> bool(np.abs(found.residual).max() < 1e-4)
    True
    """
    steps = whole_number("integrated_gradients", "steps", steps)
    question = Question.of(
        network,
        images,
        target=target,
        layer=layer,
        unit=unit,
        preprocessed=preprocessed,
        invert=invert,
        threads=threads,
    )
    given = _baseline(question, baseline, preprocessed, invert)
    found = _room(question)
    outputs, starts = np.empty((2, question.count), np.float32)
    for part, values in question.batches():
        start = np.empty_like(values)
        start[:] = _start(question, given, part)
        way = values - start

        def between(
            values: Floats, step: int, start: Floats = start, way: Floats = way
        ) -> Floats:
            return start + np.float32((step + 0.5) / steps) * way

        mean = _mean_gradient(question, part, values, steps, between)
        found[part] = mean * way
        outputs[part] = question.outputs(values, question.units[part])
        starts[part] = question.outputs(start, question.units[part])
    return IntegratedGradients(found, outputs, starts)


def _room(question: Question) -> Floats:
    return np.empty((question.count, *question.network.input_shape), np.float32)


def _mean_gradient(
    question: Question,
    part: slice,
    values: Floats,
    samples: int,
    moved: Callable[[Floats, int], Floats],
) -> Floats:
    """Return the mean over samples of the gradient at `moved(values, sample)`.

    As many samples as fit are computed at once, and added up in their order, so that
    what is found of an image does not depend on how many others there are.
    """
    units = question.units[part]
    together = max(1, question.together // len(values))
    total = np.zeros(values.shape)
    for first in range(0, samples, together):
        copies = [
            moved(values, sample)
            for sample in range(first, min(first + together, samples))
        ]
        gradients = question.gradients(
            np.concatenate(copies), np.tile(units, len(copies))
        )
        for gradient in gradients.reshape(-1, *values.shape):
            total += gradient
    return (total / samples).astype(np.float32)


def _baseline(
    question: Question, baseline: object, preprocessed: bool, invert: bool
) -> Images | None:
    """Check a baseline: one image for all or one for each; None for the background."""
    if baseline is None:
        return None
    given = prepare(
        baseline,
        question.network.input_rule,
        preprocessed=preprocessed,
        invert=invert,
        what="baseline",
    )
    if given.count not in (1, question.count):
        raise ShapeError(
            f"baseline must be one image or one for each of the {question.count}, but "
            f"there are {given.count}."
        )
    return given


def _start(question: Question, given: Images | None, part: slice) -> Floats:
    """Return the baselines of some images as they enter the network."""
    rule = question.network.input_rule
    if given is None:
        return rule.background
    return prepared(given, rule, slice(None) if given.count == 1 else part)
