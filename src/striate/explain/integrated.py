"""Integrated gradients: what every value contributed, adding up to the whole.

Keywords, errors and the prepared input are those of `attribution`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arguments import whole_number
from ..engine.weights import Floats
from ..errors import ShapeError
from ..gradients import Unit
from ..images.inputs import Images, prepare, prepared
from ..network import Network
from .question import Question


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
    found = question.room()
    outputs, starts = np.empty((2, question.count), np.float32)
    for part, values in question.batches():
        start = np.empty_like(values)
        start[:] = _start(question, given, part)
        way = values - start

        def between(
            values: Floats, step: int, start: Floats = start, way: Floats = way
        ) -> Floats:
            return start + np.float32((step + 0.5) / steps) * way

        mean = question.mean_gradients(part, values, steps, between)
        found[part] = mean * way
        outputs[part] = question.outputs(values, question.units[part])
        starts[part] = question.outputs(start, question.units[part])
    return IntegratedGradients(found, outputs, starts)


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
