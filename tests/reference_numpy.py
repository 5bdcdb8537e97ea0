"""Whole networks in plain NumPy, with the bounds of reference_layers.py.

The readable oracle of the property tests, and where their tolerances come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from reference_layers import (
    SINGLE,
    Array,
    Bounded,
    Weights,
    backward,
    forward,
    product,
    sum_of,
)

from striate.layers import Residual, ResolvedLayer


@dataclass(frozen=True)
class Reference:
    """All that a network finds out about a batch, with bounds."""

    outputs: dict[str, Bounded]
    probabilities: Bounded
    loss: Bounded
    gradients: dict[str, Bounded]
    input_gradient: Bounded
    """Of each image's own loss, N,H,W,C."""
    layer_gradients: dict[str, Bounded]
    """The same of what leaves every layer."""


def run_forward(
    resolved: Sequence[ResolvedLayer],
    weights: Weights,
    images: NDArray[Any],
    unit: float = SINGLE,
) -> dict[int, Bounded]:
    """The output of every layer by its index; that of -1 is the input."""
    values = {-1: Bounded.exact(images)}
    for one in resolved:
        read = [values[index] for index in one.inputs]
        summed = isinstance(one.layer, Residual)
        values[one.index] = (
            sum_of(read, unit) if summed else forward(one, read[0], weights, unit)
        )
    return values


def run(
    resolved: Sequence[ResolvedLayer],
    weights: Mapping[str, NDArray[Any]] | Weights,
    images: NDArray[Any],
    labels: NDArray[Any],
    sample_weight: NDArray[Any] | None = None,
    label_smoothing: float = 0.0,
    unit: float = SINGLE,
    rule: str = "gradient",
) -> Reference:
    """Carry a batch forward and backward through a network that predicts.

    Weights may have bounds of their own. `rule` is that of the gradients of the input
    and of layers.
    """
    known = {
        name: given if isinstance(given, Bounded) else Bounded.exact(given)
        for name, given in weights.items()
    }
    values = run_forward(resolved, known, images, unit)
    last = resolved[-1].index
    own = (
        np.ones(len(images))
        if sample_weight is None
        else np.array(sample_weight, float)
    )
    shares = own / own.sum()
    probabilities, losses, seeds = cross_entropy(
        values[last], labels, label_smoothing, unit
    )
    error = shares @ (losses.error + 4 * unit * np.abs(losses.value))
    loss = Bounded(shares @ losses.value, error)

    def seen_from(
        factor: Array, rule: str
    ) -> tuple[dict[int, Bounded], dict[str, Bounded]]:
        rows = Bounded.exact(factor[:, None])
        seed = product(np.multiply, 1, rows, seeds, unit)
        arrived: dict[int, list[Bounded]] = {last: [seed]}
        gradients: dict[str, Bounded] = {}
        at = {}
        for one in reversed(resolved):
            above, y = sum_of(arrived[one.index], unit), values[one.index]
            at[one.index] = above
            if not isinstance(one.layer, Residual):
                x = values[one.inputs[0]]
                above, found = backward(one, x, y, above, known, unit, rule)
                gradients |= found
            for index in one.inputs:
                arrived.setdefault(index, []).append(above)
        at[-1] = sum_of(arrived[-1], unit)
        return at, gradients

    _, gradients = seen_from(shares, "gradient")
    at, _ = seen_from(np.ones(len(images)), rule)
    outputs = {one.name: values[one.index] for one in resolved}
    at_layers = {one.name: at[one.index] for one in resolved}
    return Reference(outputs, probabilities, loss, gradients, at[-1], at_layers)


def cross_entropy(
    logits: Bounded, labels: NDArray[Any], smoothing: float, unit: float
) -> tuple[Bounded, Bounded, Bounded]:
    """Probabilities N,K, each image's loss N, and its gradient N,K."""
    z, classes = logits.value, logits.value.shape[1]
    shifted = z - z.max(1, keepdims=True)
    p = np.exp(shifted) / np.exp(shifted).sum(1, keepdims=True)
    widest = logits.error.max(1, keepdims=True)
    span = 1 + np.abs(shifted).max(1, keepdims=True) + 2 * widest
    relative = np.expm1(2 * widest + 8 * unit * np.sqrt(classes) * span)
    q = np.eye(classes)[labels] * (1 - smoothing) + smoothing / classes
    losses = -(q * (shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))).sum(1)
    rounding = 8 * unit * np.sqrt(classes) * (span[:, 0] + np.abs(z).max(1))
    gradient = Bounded(p - q, p * relative + 4 * unit * (p + q))
    return (
        Bounded(p, p * relative),
        Bounded(losses, 2 * widest[:, 0] + rounding),
        gradient,
    )


def assert_within(what: str, got: NDArray[Any], wanted: Bounded) -> None:
    """Every computed value lies within its bound, shapes included."""
    assert got.shape == wanted.value.shape, what
    off = np.abs(np.asarray(got, np.float64) - wanted.value)
    bound = wanted.error + 1e-37  # smaller numbers are flushed to zero
    worst = np.unravel_index(np.argmax(off - bound), off.shape) if off.ndim else ()
    assert (off <= bound).all(), (
        f"{what}{[int(i) for i in worst]} is {got[worst]!r} but should be "
        f"{wanted.value[worst]!r}, off by {off[worst] / bound[worst]:.3g} times the bound"
    )
