"""What is found of single images: what each layer made of them, which pixels decided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import Dataset
from ..drawing.stages import Stage
from ..explain import (
    grad_cam,
    input_pixels,
    integrated_gradients,
    map_pictures,
    occlusion,
    scale_to_input,
)
from ..explain.pixels import Pixels
from ..explain.question import parts
from ..network import Network
from ..spread import spread
from .pictures import at_most

if TYPE_CHECKING:
    from ..answers import Answers

MAPS = 8
"""Maps of each layer that are kept of an image, those that fire most."""

MAP = 40
"""The longest side of a map's picture."""

_TOGETHER = 32
"""Images whose activations are in memory at once."""


@dataclass(frozen=True, eq=False)
class FiringMaps:
    """Which maps of a layer fired most in an image, the strongest first."""

    numbers: tuple[int, ...]
    pictures: tuple[Pixels, ...]
    """On one scale, and no longer than `MAP`."""
    size: tuple[int, int]
    """Rows and columns of units."""


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
    maps: dict[str, FiringMaps] = field(repr=False)
    """What left the stages, by name."""

    @property
    def right(self) -> bool:
        """Whether the answer is the true class."""
        return self.true == self.answer


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


def explained(
    network: Network,
    dataset: Dataset,
    answers: Answers,
    chosen: Sequence[int],
    stages: Sequence[Stage],
) -> tuple[Example, ...]:
    """Find how the network came to its answers to the images at the places `chosen`.

    `stages` are those whose maps are kept. Memory grows with the pictures made, not with
    what all layers put out.
    """
    return tuple(
        example
        for part in parts(len(chosen), _TOGETHER)
        for example in _explained(network, dataset, answers, chosen[part], stages)
    )


def _explained(
    network: Network,
    dataset: Dataset,
    answers: Answers,
    chosen: Sequence[int],
    stages: Sequence[Stage],
) -> Iterator[Example]:
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
    firing = {
        one.name: [_firing(maps) for maps in network.activations(images, one.last)]
        for one in stages
    }
    seen = input_pixels(network, images)
    for at, place in enumerate(chosen):
        yield Example(
            place=place,
            pixels=seen[at],
            true=str(true[at]),
            answer=str(answered[at]),
            probabilities=_most_probable(answers.probabilities[place], names),
            decided={name: found[at] for name, found in decided.items()},
            against=against.get(at),
            maps={name: found[at] for name, found in firing.items()},
        )


def _firing(maps: NDArray[np.float32]) -> FiringMaps:
    """The strongest maps of an image, H,W,C."""
    peaks = np.nan_to_num(maps).max(axis=(0, 1))
    numbers = np.argsort(-peaks, kind="stable")[:MAPS].tolist()
    pictures = map_pictures(maps)
    small = tuple(at_most(pictures[number], MAP) for number in numbers)
    return FiringMaps(tuple(numbers), small, maps.shape[:2])


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
