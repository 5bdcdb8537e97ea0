"""How well a network does: accuracy with its interval, classes, confusion."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .answers import Answers, Rejection
from .data.listing import counted
from .errors import DataError
from .training.calibration import expected_calibration_error

if TYPE_CHECKING:
    from .data import Dataset
    from .network import Network

_Z = NormalDist().inv_cdf(0.975)  # 95 % lie within 1.96 standard deviations


def wilson_interval(correct: int, images: int) -> tuple[float, float]:
    """Return the 95 % interval of an accuracy, as shares of 1.

    ``correct`` of ``images`` answers were right. The interval holds for few images and
    for accuracies near 1 too, where the usual mean ± 1.96 deviations does not. Raises
    ValueError unless 0 <= correct <= images and images >= 1. Source: Wilson, 1927.

    >>> [round(bound, 4) for bound in wilson_interval(990, 1000)]
    [0.9817, 0.9946]
    """
    if not 0 <= correct <= images or images < 1:
        raise ValueError(
            f"correct must be from 0 to images and images at least 1, but they are "
            f"{correct} and {images}"
        )
    share, square = correct / images, _Z**2 / images
    middle = share + square / 2
    spread = _Z * math.sqrt(share * (1 - share) / images + square / (4 * images))
    low = (middle - spread) / (1 + square) if correct else 0.0
    high = (middle + spread) / (1 + square) if correct < images else 1.0
    return low, high


@dataclass(frozen=True)
class ClassResult:
    """One class among the images of a report."""

    name: str | int
    images: int
    correct: int

    @property
    def accuracy(self) -> float | None:
        """The share of the class's images that were recognised; None without images."""
        return self.correct / self.images if self.images else None


@dataclass(frozen=True, eq=False)
class Report:
    """The answers of a network to images whose classes are known.

    ``confusion[true, answered]`` counts images; both axes follow ``classes``. What is
    said of probabilities needs the ``answers`` themselves, image by image.

    >>> report = Report.measure([0, 0, 1, 1], [0, 1, 1, 1], ("cat", "dog"))
    >>> report.accuracy, report.confusion.tolist()
    (0.75, [[1, 1], [0, 2]])
    """

    classes: tuple[str | int, ...]
    confusion: NDArray[np.int64]
    answers: Answers | None = None

    @classmethod
    def measure(
        cls, labels: ArrayLike, answers: ArrayLike, classes: tuple[str | int, ...]
    ) -> Report:
        """Count true ``labels`` against ``answers``, both indices into ``classes``.

        Raises DataError where there is nothing to count or an index is not a class.
        """
        true = np.asarray(labels, dtype=np.int64).ravel()
        answered = np.asarray(answers, dtype=np.int64).ravel()
        if not true.size or true.size != answered.size:
            raise DataError(
                f"A report needs as many answers as labels, at least one, but gets "
                f"{answered.size} answers and {true.size} labels."
            )
        count = len(classes)
        if (
            min(true.min(), answered.min()) < 0
            or max(true.max(), answered.max()) >= count
        ):
            raise DataError(f"Labels and answers must be from 0 to {count - 1}.")
        cells = np.bincount(true * count + answered, minlength=count * count)
        return cls(tuple(classes), cells.reshape(count, count).astype(np.int64))

    @classmethod
    def of(cls, network: Network, dataset: Dataset) -> Report:
        """Let a network answer a data set, whose classes it must know by name.

        Raises DataError where it does not know one.
        """
        answers = Answers.of(network, dataset)
        counted = cls.measure(answers.labels, answers.answered, network.classes or ())
        return replace(counted, answers=answers)

    @property
    def images(self) -> int:
        """How many images were counted."""
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        """How many of them were recognised."""
        return int(np.trace(self.confusion))

    @property
    def accuracy(self) -> float:
        """The share of images that were recognised."""
        return self.correct / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy."""
        return wilson_interval(self.correct, self.images)

    @property
    def per_class(self) -> tuple[ClassResult, ...]:
        """Every class's result, in the order of ``classes``."""
        totals, hits = self.confusion.sum(axis=1), np.diagonal(self.confusion)
        return tuple(
            ClassResult(name, int(images), int(correct))
            for name, images, correct in zip(self.classes, totals, hits, strict=True)
        )

    @property
    def untested(self) -> tuple[str | int, ...]:
        """The classes that no image belongs to, of which the accuracy says nothing."""
        return tuple(one.name for one in self.per_class if not one.images)

    @property
    def untested_share(self) -> str:
        """How many classes are untested, in words; "" where none is.

        >>> Report.measure([0, 1], [0, 1], ("ant", "bee", "cat")).untested_share
        '1 of 3 classes untested'
        """
        count = len(self.untested)
        return f"{count:,} of {len(self.classes):,} classes untested" if count else ""

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        """The accuracy where the least confident answers are not given."""
        return self.answers.rejections() if self.answers else ()

    @property
    def calibration_error(self) -> float | None:
        """How far probabilities are from the accuracy, as a share of 1, on average."""
        if self.answers is None:
            return None
        answers = self.answers
        return expected_calibration_error(answers.probabilities, answers.labels)

    def worst(self, count: int = 3) -> tuple[ClassResult, ...]:
        """Return the ``count`` classes with the lowest accuracy, faultless ones never."""
        faulty = [result for result in self.per_class if result.correct < result.images]
        return tuple(sorted(faulty, key=lambda result: result.accuracy or 0.0)[:count])

    def confused_with(self, name: str | int) -> tuple[str | int, int] | None:
        """Return the wrong answer most often given for a class, and how often."""
        index = self.classes.index(name)
        wrong = self.confusion[index].copy()
        wrong[index] = 0
        answer = int(wrong.argmax())
        return (self.classes[answer], int(wrong[answer])) if wrong[answer] else None

    def to_dict(self) -> dict[str, Any]:
        """Return the report as values JSON knows."""
        return {
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "images": self.images,
            "correct": self.correct,
            "per_class": [
                {
                    "class": result.name,
                    "images": result.images,
                    "correct": result.correct,
                    "accuracy": result.accuracy,
                }
                for result in self.per_class
            ],
            "confusion": self.confusion.tolist(),
            "rejected": rejected_values(self.rejections),
            "calibration_error": self.calibration_error,
            "untested_classes": list(self.untested),
        }

    def __str__(self) -> str:
        """Say it in up to three lines, without naming the images."""
        low, high = self.interval
        text = (
            f"{100 * self.accuracy:.2f} % of {counted(self.images, 'image')} "
            f"(95 % interval {100 * low:.2f} to {100 * high:.2f} %)"
        )
        lines = ["; ".join(filter(None, (text, self.untested_share)))]
        if worst := self.worst():
            lines.append(f"worst classes: {', '.join(map(self._say, worst))}")
            better = [
                f"{100 * one.accuracy:.2f} % at {100 * one.share:g} % rejected "
                f"(below {one.below})"
                for one in self.rejections
                if one.share
            ]
            lines += (
                [f"least confident rejected: {', '.join(better)}"] if better else []
            )
        return "\n".join(lines)

    def _say(self, result: ClassResult) -> str:
        confused = self.confused_with(result.name)
        taken = f", {confused[1]} taken for {confused[0]}" if confused else ""
        return f"{result.name} ({result.correct} of {result.images} right{taken})"


def rejected_values(rejections: tuple[Rejection, ...]) -> list[dict[str, float]]:
    """Return what JSON says of rejections."""
    return [
        {
            "share": one.share,
            "threshold": one.threshold,
            "images": one.images,
            "correct": one.correct,
            "accuracy": one.accuracy,
        }
        for one in rejections
    ]
