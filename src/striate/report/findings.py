"""All that the page tells, gathered before a word of it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..data import Dataset
from ..drawing.stages import Arc, Stage, stages_of
from ..errors import DataError, UsageError
from ..explain import (
    Diagnosis,
    TopPatches,
    deconvolution,
    diagnose,
    effective_field,
    grad_cam,
    input_pixels,
    integrated_gradients,
    occlusion,
    scale_to_input,
    top_patches,
)
from ..network import Network
from ..receptive import ReceptiveField, receptive_field
from .pictures import Pixels

if TYPE_CHECKING:
    from ..commands.answers import Answers
    from ..commands.report import Report

MOST_LAYERS = 10
"""Layers that are shown map by map; of deeper networks so many are taken, evenly."""

MAPS, UNITS, FEW_MAPS = 12, 6, 8
"""Maps of a layer that are shown with their patches, units of a hidden dense layer, and
maps of a layer that are shown for each image."""

PATCHES = 8
"""Patches of each map."""

_GRADIENTS = 512
"""Maps times images that the effective receptive field of a layer is the mean of."""

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Look:
    """What is shown of one stage of the network."""

    stage: Stage
    before: Stage
    seen: ReceptiveField
    patches: TopPatches | None
    """None where the stage is not shown map by map."""
    maps: NDArray[np.intp]
    """The maps that are shown; of more than there is room for those that fire most."""
    effective: NDArray[np.float64] | None
    """H,W: how much each pixel of the input changes the unit in the middle of the maps,
    on the average; None where that says nothing."""
    fired: dict[int, NDArray[Any]]
    """H,W by map: what fires it in its best patch, projected down to the pixels; of a
    first layer nothing, since there that is the filter."""


@dataclass(frozen=True, eq=False)
class Example:
    """One image, what the network answered, and how it came to that."""

    place: int
    """Which of the data set's images it is."""
    pixels: Pixels
    """H,W,C, as it lies in the network's input."""
    true: str
    answer: str
    probabilities: tuple[tuple[str, float], ...]
    """The most probable classes, the first one the answer."""
    decided: dict[str, NDArray[Any]]
    """Maps H,W of what spoke for the answer, by the name of the method."""
    against: NDArray[Any] | None
    """Where the answer is wrong, what spoke for the true class."""
    maps: dict[str, NDArray[Any]] = field(repr=False)
    """H,W,C: what left the stages, by name."""

    @property
    def right(self) -> bool:
        """Whether the answer is the true class."""
        return self.true == self.answer


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
        _look(network, dataset, stage, before, patches.get(stage.last))
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
    examples = _examples(network, dataset, report.answers, chosen, looks)
    return Findings(network, dataset, report, stages, arcs, looks, diagnosis, examples)


def learns(stage: Stage) -> bool:
    """Whether a stage finds something of its own, and does not only pass on."""
    return stage.kind in ("conv", "dense", "add")


def check_answers(answers: Answers) -> None:
    """Raise DataError where probabilities are not numbers: nothing explains them."""
    wrong: NDArray[np.bool_] = ~np.isfinite(answers.probabilities).all(axis=1)
    if wrong.any():
        raise DataError(
            f"The network's answers to {int(wrong.sum()):,} of {len(wrong):,} images are "
            "not numbers (NaN), so there is nothing to explain; train it again with a "
            "smaller learning rate."
        )


def chosen_images(answers: Answers, count: int) -> list[int]:
    """Choose images to look at: first right ones, then up to a third mistakes.

    Of a class the right one with the median of probabilities, an ordinary one; of more
    classes than there is room for some, spread evenly; of mistakes the most confident.
    """
    wrong = answers.mistakes().tolist()
    ordinary = []
    for label in np.unique(answers.labels[answers.right]):
        places = np.flatnonzero(answers.right & (answers.labels == label))
        order = np.argsort(answers.confidence[places], kind="stable")
        ordinary.append(int(places[order[len(places) // 2]]))
    mistakes = wrong[: max(count // 3, count - len(ordinary))]
    return [*spread(ordinary, count - len(mistakes)), *mistakes]


def spread(items: Sequence[T], count: int) -> list[T]:
    """Return so many of the items, evenly taken, the first and the last among them.

    >>> spread("abcdefg", 3), spread("ab", 3), spread("abc", 1)
    (['a', 'd', 'g'], ['a', 'b'], ['a'])
    """
    if count >= len(items):
        return list(items)
    return [items[round(at)] for at in np.linspace(0, len(items) - 1, count)]


def _labels(network: Network, report: Report) -> NDArray[Any]:
    """The true classes, as the network names them."""
    assert report.answers is not None
    names: NDArray[Any] = np.asarray(network.classes)[report.answers.labels]
    return names


def _look(
    network: Network,
    dataset: Dataset,
    stage: Stage,
    before: Stage,
    patches: TopPatches | None,
) -> Look:
    seen = receptive_field(network, stage.last)
    maps = np.arange(0)
    if patches is not None:
        hidden = stage.kind == "dense" and stage.last != network.resolved[-1].name
        maps = strongest_maps(patches, UNITS if hidden else MAPS)
    effective = None
    if len(stage.shape) == 3 and max(seen.size) > 1:
        count = max(1, _GRADIENTS // stage.shape[2])
        images = dataset.images[spread(range(len(dataset)), count)]
        try:
            effective = effective_field(network, images, stage.last).gradient
        except (DataError, UsageError):  # it never changes, or not by a number
            effective = None
    fired = {}
    if patches is not None and before.making is not None and len(stage.shape) == 3:
        fired = _fired(network, dataset, patches, maps)
    return Look(stage, before, seen, patches, maps, effective, fired)


def _fired(
    network: Network, dataset: Dataset, patches: TopPatches, maps: NDArray[np.intp]
) -> dict[int, NDArray[Any]]:
    """What fires each map in its best patch (Zeiler and Fergus, 2013)."""
    firing = maps[(patches.images[maps, 0] >= 0) & (patches.values[maps, 0] > 0)]
    if not len(firing):
        return {}
    places = patches.rows[firing, 0], patches.columns[firing, 0], firing
    images = dataset.images[patches.images[firing, 0]]
    found = deconvolution(network, images, patches.layer, unit=np.stack(places, axis=1))
    return dict(zip(firing.tolist(), found.values.sum(axis=-1), strict=True))


def strongest_maps(patches: TopPatches, most: int) -> NDArray[np.intp]:
    """Return the maps that answer most strongly, by the mean of their best patches.

    In falling order; where there are no more than that, all of them in their own order.
    """
    if len(patches.values) <= most:
        return np.arange(len(patches.values))
    known = np.nan_to_num(patches.values, nan=-np.inf, posinf=np.inf)
    return np.argsort(-known.mean(axis=1), kind="stable")[:most]


def _examples(
    network: Network,
    dataset: Dataset,
    answers: Answers,
    chosen: Sequence[int],
    looks: Sequence[Look],
) -> tuple[Example, ...]:
    images = dataset.images[chosen]
    names = np.asarray(network.classes)
    answered, true = names[answers.answered[chosen]], names[answers.labels[chosen]]
    decided = _decided(network, images, answered)
    mistaken = np.flatnonzero(answered != true)
    against = {}
    if len(mistaken):
        spoke = integrated_gradients(
            network, images[mistaken], target=true[mistaken]
        ).attributions.sum(axis=-1)
        against = dict(zip(mistaken.tolist(), spoke, strict=True))
    stages = spread(
        [look.stage for look in looks if len(look.stage.shape) == 3], MOST_LAYERS
    )
    maps = {one.name: network.activations(images, one.last) for one in stages}
    seen = input_pixels(network, images)
    return tuple(
        Example(
            place=place,
            pixels=seen[at],
            true=str(true[at]),
            answer=str(answered[at]),
            probabilities=_most_probable(answers.probabilities[place], names),
            decided={name: found[at] for name, found in decided.items()},
            against=against.get(at),
            maps={name: found[at] for name, found in maps.items()},
        )
        for at, place in enumerate(chosen)
    )


def _decided(
    network: Network, images: Pixels, answered: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    """What spoke for the answers, N,H,W, by three methods that ask differently."""
    found = {
        "integrated gradients": integrated_gradients(
            network, images, target=answered
        ).attributions.sum(axis=-1),
        "occlusion": occlusion(network, images, target=answered).logit_map,
    }
    shapes = [one.output_shape for one in network.resolved]
    if any(len(shape) == 3 and max(shape[:2]) > 1 for shape in shapes):
        heat = grad_cam(network, images, target=answered)
        found["Grad-CAM"] = scale_to_input(network, heat)
    return found


def _most_probable(
    probabilities: NDArray[np.float32], names: NDArray[Any]
) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-probabilities, kind="stable")[:3]
    return tuple((str(names[at]), float(probabilities[at])) for at in order)
