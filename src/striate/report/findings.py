"""All that the page tells, gathered before a word of it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import Dataset
from ..drawing.stages import Arc, Stage, stages_of
from ..errors import DataError, UsageError
from ..explain import Diagnosis, diagnose, top_patches
from ..network import Network
from ..spread import spread
from .chosen import MOST_LAYERS, Example, chosen_images, explained
from .looks import Look, learns, look_at

if TYPE_CHECKING:
    from ..commands.answers import Answers
    from ..commands.report import Report

PATCHES = 8
"""Patches of each map."""


@dataclass(frozen=True, eq=False)
class Findings:
    """A network, how it does on a data set, and what is found inside of it."""

    network: Network
    dataset: Dataset
    report: Report
    stages: tuple[Stage, ...]
    arcs: tuple[Arc, ...]
    looks: tuple[Look, ...]
    diagnosis: Diagnosis | str
    """What is wrong inside, or why that cannot be told."""
    examples: tuple[Example, ...]

    @property
    def answers(self) -> Answers:
        """The network's answers, image by image."""
        if self.report.answers is None:
            raise UsageError("a page needs a report that was made by Report.of.")
        return self.report.answers

    @property
    def sentences(self) -> list[str]:
        """What is wrong inside, in words; nothing where that cannot be told."""
        if isinstance(self.diagnosis, str):
            return []
        return [one.sentence for one in self.diagnosis.findings]

    def name(self, place: int) -> str:
        """The true class of an image."""
        return self.dataset.classes[int(self.dataset.labels[place])]


def look_inside(
    network: Network,
    dataset: Dataset,
    report: Report,
    *,
    images: int = 12,
    say: Callable[[str], None] = lambda text: None,
) -> Findings:
    """Find what a page about a network tells, by a few passes over a data set.

    Arguments:
        report: how the network does on this data set, as `Report.of` measures it.
        images: how many single images are looked at, at least 1.
        say: is told what is being done.

    Raises DataError where the network's answers are not numbers.
    """
    if report.answers is None:
        raise UsageError("look_inside needs a report that was made by Report.of.")
    check_answers(report.answers)
    stages, arcs = stages_of(network.resolved)
    count = f"{len(dataset):,} images" if len(dataset) > 1 else "the image"
    say(f"finding in {count} what makes each map fire")
    detailed = spread([one for one in stages if learns(one)], MOST_LAYERS)
    patches = top_patches(
        network, dataset.images, [one.last for one in detailed], PATCHES
    )
    looks = tuple(
        look_at(network, dataset, stage, before, patches.get(stage.last))
        for before, stage in pairwise(stages)
    )
    say("looking for units that do nothing or the same")
    diagnosis: Diagnosis | str
    try:
        diagnosis = diagnose(network, dataset.images, _labels(network, report))
    except (DataError, UsageError) as error:  # one image, or nothing to diagnose
        diagnosis = str(error)
    chosen = chosen_images(report.answers, images)
    say(f"finding which pixels decide, in {len(chosen)} of them")
    examples = explained(network, dataset, report.answers, chosen, looks)
    return Findings(network, dataset, report, stages, arcs, looks, diagnosis, examples)


def check_answers(answers: Answers) -> None:
    """Raise DataError where probabilities are not numbers: nothing explains them."""
    wrong = np.flatnonzero(~np.isfinite(answers.probabilities.sum(axis=1)))
    if len(wrong):
        raise DataError(
            f"The network's answers to {len(wrong):,} of {len(answers.labels):,} images are "
            "not numbers (NaN), so there is nothing to explain; train it again with a "
            "smaller learning rate."
        )


def _labels(network: Network, report: Report) -> NDArray[Any]:
    """The true classes, as the network names them."""
    assert report.answers is not None
    names: NDArray[Any] = np.asarray(network.classes)[report.answers.labels]
    return names
