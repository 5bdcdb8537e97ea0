"""Images with their labels, and how well a network does on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..engine.compute import Engine
from ..images.inputs import Images


@dataclass(frozen=True)
class Examples:
    """Prepared images, their class indices and, where given, their weights."""

    images: Images
    labels: NDArray[np.int32]
    weights: NDArray[np.float32] | None = None

    @property
    def count(self) -> int:
        """How many images there are."""
        return self.images.count


def evaluate(
    engine: Engine, examples: Examples, threads: int | None
) -> tuple[float, float]:
    """Return mean loss (cross-entropy) and accuracy, each weighted as the images are."""
    logits = engine.answers(examples.images, threads=threads)
    return _loss(logits, examples), accuracy(logits, examples)


def accuracy(logits: NDArray[np.float32], examples: Examples) -> float:
    """Return the share of images whose highest logit is their label's."""
    hits = logits.argmax(axis=1) == examples.labels
    return float(np.average(hits, weights=examples.weights))


def _loss(logits: NDArray[np.float32], examples: Examples) -> float:
    rows = np.arange(examples.count)
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[rows, examples.labels]
    return float(np.average(losses, weights=examples.weights))


def softmax(
    logits: NDArray[np.float32], temperature: float = 1.0
) -> NDArray[np.float32]:
    """Return the probabilities, N,K, that logits at a temperature stand for.

    >>> softmax(np.zeros((1, 4), np.float32))
    array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """
    scaled = logits.astype(np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    shares = exponentials / exponentials.sum(axis=1, keepdims=True)
    probabilities: NDArray[np.float32] = shares.astype(np.float32)
    return probabilities
