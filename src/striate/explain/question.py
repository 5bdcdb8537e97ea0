"""What is asked of a network: one number for each image, and how the input changes it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..engine.weights import Floats
from ..errors import UsageError
from ..gradients import Unit, unit_indices
from ..images.inputs import Images, prepare, prepared
from ..images.labels import as_targets
from ..network import Network
from ..resolve import ResolvedLayer, find_layer
from .finite import check_finite

TOGETHER = 1 << 20
"""Numbers that are computed with at once, 4 bytes each, whatever is asked of how many."""


@dataclass(frozen=True)
class Question:
    """Of every image, one unit of a layer: by default the class the network answers."""

    network: Network
    images: Images
    layer: ResolvedLayer
    units: NDArray[np.intp]
    """One for each image: its place in the layer's output, read row by row."""
    threads: int | None

    @classmethod
    def of(
        cls,
        network: Network,
        images: object,
        *,
        target: object = None,
        layer: str | int | None = None,
        unit: Unit | None = None,
        preprocessed: bool = False,
        invert: bool = False,
        threads: int | None = None,
    ) -> Self:
        """Settle what is asked, in the keywords of `Network.input_gradient`.

        Raises UsageError for what contradicts itself and for unknown layers, ShapeError
        or DataError for units, classes and images there are not.
        """
        if (layer is None) != (unit is None) or (
            target is not None and unit is not None
        ):
            raise UsageError(
                "what is explained is a class, target=..., or one unit, layer=... with "
                "unit=..., or by default the class the network answers; give one of them."
            )
        given = prepare(
            images, network.input_rule, preprocessed=preprocessed, invert=invert
        )
        if layer is not None and unit is not None:
            one = find_layer(network.resolved, layer)
            units = np.broadcast_to(unit_indices(one, unit, given.count), given.count)
            return cls(network, given, one, units, threads)
        if target is None:
            floats = given.array.dtype != np.uint8
            target = network.predict(given.array, preprocessed=floats, threads=threads)
        units = as_targets(target, given.count, network.classes, network.outputs)
        return cls(network, given, network.resolved[-1], units, threads)

    @property
    def count(self) -> int:
        """How many images there are."""
        return self.images.count

    @property
    def together(self) -> int:
        """How many images are computed with at once, so that memory stays bounded."""
        shapes = self.network.input_shape, self.layer.output_shape
        return max(1, TOGETHER // sum(map(math.prod, shapes)))

    def room(self) -> Floats:
        """Return room for a number for every value of the prepared images, N,H,W,C."""
        return np.empty((self.count, *self.network.input_shape), np.float32)

    def batches(self) -> Iterator[tuple[slice, Floats]]:
        """Yield all images, prepared, N,H,W,C, some at a time."""
        rule = self.network.input_rule
        for part in parts(self.count, self.together):
            yield part, prepared(self.images, rule, part)

    def gradients(self, values: Floats, units: NDArray[np.intp]) -> Floats:
        """Return how prepared values N,H,W,C change the units, one for each: N,H,W,C."""
        seeds = np.zeros((len(values), *self.layer.output_shape), np.float32)
        seeds.reshape(len(values), -1)[np.arange(len(values)), units] = 1
        gradients = self.network.engine.input_gradient(
            Images(values, values), self.layer.index, seeds=seeds, threads=self.threads
        )
        check_finite(gradients, f"the gradient of {self.layer.name}")
        return gradients

    def mean_gradients(
        self,
        part: slice,
        values: Floats,
        samples: int,
        moved: Callable[[Floats, int], Floats],
    ) -> Floats:
        """Return the mean over samples of the gradients at `moved(values, sample)`.

        As many samples as fit are computed at once, and added up in their order, so that
        what is found of an image does not depend on how many others there are.
        """
        units, total = self.units[part], np.zeros(values.shape)
        for some in parts(samples, self.together // len(values)):
            copies = [moved(values, sample) for sample in range(some.start, some.stop)]
            gradients = self.gradients(
                np.concatenate(copies), np.tile(units, len(copies))
            )
            for gradient in gradients.reshape(-1, *values.shape):
                total += gradient
        return (total / samples).astype(np.float32)

    def outputs(self, values: Floats, units: NDArray[np.intp]) -> Floats:
        """Return the units' values for prepared values N,H,W,C, one for each: N."""
        (outputs,) = self.network.engine.forward(
            Images(values, values), [self.layer.index], threads=self.threads
        )
        chosen = outputs.reshape(len(values), -1)[np.arange(len(values)), units]
        check_finite(chosen, f"the output of {self.layer.name}")
        return chosen


def parts(count: int, together: int) -> Iterator[slice]:
    """Yield slices that cover so many places, at most `together` (or 1) in each."""
    step = max(1, together)
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))
