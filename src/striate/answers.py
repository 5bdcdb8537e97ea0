"""A network's answers to images whose classes are known, one by one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .data.listing import counted
from .errors import DataError

if TYPE_CHECKING:
    from .data import Dataset
    from .network import Network

REJECTED_SHARES = (0.0, 0.05, 0.1)
"""The shares of the images that reports leave unanswered, the least confident first."""


@dataclass(frozen=True)
class Rejection:
    """How answers do where those below a probability are not given.

    ``share`` of the images was to be rejected, those with a probability below
    ``threshold``; ``images`` kept their answer, ``correct`` of them the right one.
    """

    share: float
    threshold: float
    images: int
    correct: int

    @property
    def accuracy(self) -> float:
        """The share of the answers given that were right."""
        return self.correct / self.images

    @property
    def below(self) -> str:
        """The threshold in words, rounded down so that it rejects no more."""
        return f"{math.floor(1000 * self.threshold) / 1000:.3f}"


@dataclass(frozen=True, eq=False)
class Answers:
    """Probabilities (N,K) and true class indices (N,) of N images, N at least 1."""

    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]

    @classmethod
    def of(cls, network: Network, dataset: Dataset) -> Answers:
        """Let a network answer a data set, whose classes it must know by name."""
        labels = known_labels(network, dataset)
        return cls(network.predict_proba(dataset.images), labels)

    @cached_property
    def answered(self) -> NDArray[np.intp]:
        """The class that was answered, by image."""
        answered: NDArray[np.intp] = self.probabilities.argmax(axis=1)
        return answered

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """The probability of the answer, by image."""
        confidence: NDArray[np.float32] = self.probabilities.max(axis=1)
        return confidence

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the answer was right, by image."""
        right: NDArray[np.bool_] = self.answered == self.labels
        return right

    def mistakes(self) -> NDArray[np.intp]:
        """Return the places of the wrong answers, the most confident first."""
        wrong = np.flatnonzero(~self.right)
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")]

    def rejections(self) -> tuple[Rejection, ...]:
        """Return how the answers do at each of the ``REJECTED_SHARES``.

        At most that share is rejected: answers as confident as the least confident one
        that is kept stay too, so `striate predict --reject` does the same by threshold.
        Source: Chow, 1970, on the trade of errors for rejections.

        >>> rows = np.array([[0.9, 0.1]] * 19 + [[0.4, 0.6]], np.float32)
        >>> answers = Answers(rows, np.zeros(20, np.int64))
        >>> [(one.images, one.accuracy) for one in answers.rejections()]
        [(20, 0.95), (19, 1.0), (19, 1.0)]
        """
        return tuple(self._reject(share) for share in REJECTED_SHARES)

    def _reject(self, share: float) -> Rejection:
        rejected = int(share * len(self.labels))
        threshold = np.partition(self.confidence, rejected)[rejected]
        kept = self.confidence >= threshold
        correct = int(np.count_nonzero(kept & self.right))
        return Rejection(share, float(threshold), int(kept.sum()), correct)


def known_labels(
    network: Network, dataset: Dataset, model: str = "the model"
) -> NDArray[np.int64]:
    """Return a data set's labels as indices into the network's classes, by name.

    Raises DataError, in which the network is called `model`, where it does not know a
    class.
    """
    known = {str(name): index for index, name in enumerate(network.classes or ())}
    occurring = [dataset.classes[label] for label in np.unique(dataset.labels)]
    unknown = [name for name in occurring if name not in known]
    if unknown:
        classes = f"{len(unknown):,} classes" if len(unknown) > 1 else "a class"
        knows = f"{counted(len(known), 'class')}: {_some([*known])}"
        raise DataError(
            f"{dataset.name} has {classes} that {model} does not know: {_some(unknown)}; "
            f"it knows {knows if known else 'none, as it is not trained'}; give the kind "
            "of data it was trained on."
        )
    places = np.array([known.get(name, -1) for name in dataset.classes], np.int64)
    labels: NDArray[np.int64] = places[dataset.labels]
    return labels


def _some(names: Sequence[str], most: int = 10) -> str:
    """The first few of some names."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(f"{name:.40}" for name in names[:most]) + more


def calibrate(network: Network, dataset: Dataset) -> None:
    """Calibrate a network on a data set that it was not trained on."""
    names = np.asarray(network.classes)
    network.calibrate(dataset.images, names[known_labels(network, dataset)])
