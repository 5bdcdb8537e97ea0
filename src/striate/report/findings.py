"""All that the page tells, gathered before a word of it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import Dataset
from ..drawing.stages import Arc, Stage, stages_of, volumes_of
from ..errors import DataError, UsageError
from ..explain import Diagnosis, diagnose, top_patches
from ..network import Network
from ..resolve import find_layer
from ..spread import spread
from .chosen import Example, chosen_images, explained
from .looks import Look, learns, look_at

if TYPE_CHECKING:
    from ..accuracy import Report
    from ..answers import Answers

PATCHES = 8
"""Patches of each map."""

MOST_LAYERS = 10
"""Layers that are shown map by map; of deeper networks so many are taken, evenly."""


@dataclass(frozen=True, eq=False)
class Findings:
    """A network, how it does on a data set, and what is found inside of it."""

    network: Network
    dataset: Dataset
    report: Report
    stages: tuple[Stage, ...]
    arcs: tuple[Arc, ...]
    """The volumes and shortcuts that are drawn."""
    looks: tuple[Look, ...]
    """Every volume, those on shortcuts as well."""
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
    layers: Sequence[str | int] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Findings:
    """Find what a page about a network tells, by a few passes over a data set.

    Arguments:
        report: how the network does on this data set, as `Report.of` measures it.
        images: how many single images are looked at, at least 1.
        layers: those that are shown map by map, by name or index, in shortcuts as well;
            by default those that learn, and of more than ten some, evenly spread.
        say: is told what is being done.

    Raises DataError where the network's answers are not numbers, UsageError for layers
    there are not.
    """
    if report.answers is None:
        raise UsageError("look_inside needs a report that was made by Report.of.")
    check_answers(report.answers)
    stages, arcs = stages_of(network.resolved)
    volumes = volumes_of(network.resolved)
    detailed = detailed_stages(network, [stage for _, stage in volumes], layers)
    chosen = chosen_images(report.answers, images)
    count = f"{len(dataset):,} images" if len(dataset) > 1 else "the image"
    say(f"finding in {count} what makes each map fire")
    patches = top_patches(
        network, dataset.images, [one.last for one in detailed], PATCHES
    )
    shown = dataset.images[chosen[:1]]
    looks = tuple(
        look_at(network, dataset, stage, before, patches.get(stage.last), shown)
        for before, stage in volumes
    )
    say("looking for units that do nothing or the same")
    diagnosis: Diagnosis | str
    try:
        diagnosis = diagnose(network, dataset.images, _labels(network, report))
    except (DataError, UsageError) as error:  # one image, or nothing to diagnose
        diagnosis = str(error)
    say(f"finding which pixels decide, in {len(chosen):,} of them")
    drawn = detailed if layers is not None else [look.stage for look in looks]
    maps = spread([one for one in drawn if len(one.shape) == 3], MOST_LAYERS)
    examples = explained(network, dataset, report.answers, chosen, maps)
    return Findings(network, dataset, report, stages, arcs, looks, diagnosis, examples)


def detailed_stages(
    network: Network, stages: Sequence[Stage], layers: Sequence[str | int] | None
) -> list[Stage]:
    """Return the volumes that are shown map by map; UsageError for unknown layers."""
    if layers is None:
        return spread([one for one in stages if learns(one)], MOST_LAYERS)
    wanted = [find_layer(network.resolved, layer) for layer in layers]
    for one in wanted:
        if not any(one in stage.layers for stage in stages):
            raise UsageError(
                f"{one.name} has no maps of its own: it only changes the pixels; choose "
                "another layer."
            )
    return [one for one in stages if any(layer in one.layers for layer in wanted)]


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
