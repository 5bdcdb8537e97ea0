"""What is wrong inside a network, said in words: units that do nothing or the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..engine.weights import Doubles, Floats
from ..errors import DataError, UsageError
from ..features import read_by
from ..images.inputs import checked
from ..images.labels import Classes, as_labels
from ..layers import (
    BatchNorm,
    Conv2D,
    Dense,
    LeakyReLU,
    ReLU,
    Residual,
    ScaledTanh,
    Sigmoid,
    Tanh,
)
from ..network import Network
from ..resolve import Layer, ResolvedLayer
from .diagnosis import ClassPair, Diagnosis, Finding
from .statistics import ClassStatistics, MapStatistics, cosines

CONSTANT = 1e-6
"""Change of a map, as a share of its largest value, that rounding can make: 8 * 2**-23."""

SAME = 0.98
"""Correlation from which two maps put out the same: either leaves only 4 % of the other's
variance (1 - 0.98 squared) unexplained. Units that serve the same classes reach 0.95."""

ALIKE = 0.95
"""Cosine from which two kernels look for the same: 18 degrees apart."""

FEWEST = 9
"""Numbers a kernel must have, as 3 x 3 has, for likeness of weights to say anything."""

SAMPLE = 100_000
"""Values of each map that correlations are of; their standard error is below 0.004."""

FAR = math.sqrt(0.9)
"""Share of the way from its middle to its ends beyond which tanh or a sigmoid passes on
less than a tenth of the gradient it would at most: its slope is 1 - share**2."""

MOSTLY = 0.9
"""Share of its values that a saturated unit has out there. More than half is common where
most of an image is background, and does no harm."""

SHARED = 0.9
"""Cosine from which classes count as sharing their features: 26 degrees apart."""

PAIRS = 10
"""The nearest pairs of classes that are told."""

ACTIVATIONS = (ReLU, LeakyReLU, Tanh, ScaledTanh, Sigmoid)
ENDS: dict[type[Layer], tuple[float, float]] = {
    Tanh: (-1.0, 1.0),
    ScaledTanh: (-1.7159, 1.7159),
    Sigmoid: (0.0, 1.0),
}


def diagnose(
    network: Network,
    images: object,
    labels: object = None,
    *,
    batch_size: int | None = None,
    preprocessed: bool = False,
    threads: int | None = None,
) -> Diagnosis:
    """Look for units that do nothing, or the same, and for classes that look alike.

    Dead maps (never positive behind ReLU, constant elsewhere), duplicates (by the
    correlation of what two maps put out, or the cosine of their kernels), saturated units
    of tanh and sigmoid, and, with `labels`, classes whose mean features at the last
    hidden layer point the same way. Maps are examined where they are finished: behind
    their activation and BatchNorm. The thresholds stand at the head of this module, with
    their reasons. One pass over the images, in batches, as `Network.activation_batches`.

    Arguments:
        images: N,H,W,C, as `Network.activations` takes them; some thousands say more
            than a few.
        labels: N integers or strings, as `Network.score` takes them.

    Raises DataError where all images are the same: then nothing can be seen to change.
    Sources: Glorot and Bengio, 2010 (saturation); Zeiler and Fergus, 2013 (dead filters).

    >>> import striate as st
    >>> layers = [st.Conv2D(2, 3), st.ReLU(), st.Flatten(), st.Dense(2)]
    >>> network = st.Network(layers, (8, 8, 1))
    >>> weights = dict(network.weights)
    >>> network.set_weights(weights | {"conv1.bias": [1, -99]})
    >>> noise = np.random.default_rng(0).integers(0, 256, (50, 8, 8), np.uint8)
    >>> print(diagnose(network, noise))
    relu1, dense1 over 50 images:
    - map 1 of relu1 is dead: it is never above 0.
    """
    rule = network.input_rule
    array = checked(images, rule, preprocessed=preprocessed)
    examined = _finished(network.resolved)
    if not examined:
        raise UsageError(
            "diagnose looks at what convolutions, Dense layers and activations put out, "
            "but this network has none of these."
        )
    found = {
        one.name: MapStatistics(one.output_shape, len(array), SAMPLE)
        for one in examined
    }
    classes = None if labels is None else _Classes.of(network, labels, len(array))
    batches = network.activation_batches(
        array,
        list(dict.fromkeys([*found, *([classes.layer] if classes else [])])),
        batch_size=batch_size,
        preprocessed=preprocessed,
        threads=threads,
    )
    changed = False
    for places, batch in batches:
        changed = changed or bool((array[places] != array[0]).any())
        for one in examined:
            low, high = ENDS.get(type(one.layer), (-math.inf, math.inf))
            found[one.name].add(batch[one.name], low, high, FAR)
        if classes:
            logits = network.logits(
                array[places], preprocessed=preprocessed, threads=threads
            )
            classes.add(places, batch[classes.layer], logits.argmax(axis=1))
    if not changed:
        same = f"all {len(array):,} are the same"
        how_many = same if len(array) > 1 else "there is only one"
        raise DataError(
            "diagnose looks at what changes from one image to another, but "
            f"{how_many}; give different images, best some thousands."
        )
    findings = [
        finding
        for one in examined
        for finding in _of_layer(network, one, found[one.name])
    ]
    pairs = classes.nearest() if classes else []
    if classes:
        findings += _of_classes(classes.layer, pairs)
    return Diagnosis(len(array), tuple(found), tuple(findings), tuple(pairs))


def _finished(resolved: Sequence[ResolvedLayer]) -> list[ResolvedLayer]:
    """The layers that make maps, each where no BatchNorm or activation follows."""
    goes_on = {
        index
        for one in resolved
        if isinstance(one.layer, (BatchNorm, *ACTIVATIONS))
        for index in one.inputs
    }
    makers = (Conv2D, Dense, Residual, BatchNorm, *ACTIVATIONS)
    return [
        one
        for one in resolved
        if isinstance(one.layer, makers) and one.index not in goes_on
    ]


def _of_layer(
    network: Network, one: ResolvedLayer, found: MapStatistics
) -> Iterator[Finding]:
    word = "map" if len(one.output_shape) == 3 else "unit"
    healthy = []
    for place in range(one.output_shape[-1]):
        told = _of_map(one, found, place)
        if told is None or told[0] == "saturated":
            healthy.append(place)
        if told is not None:
            kind, number, what = told
            sentence = f"{word} {place} of {one.name} {what}"
            yield Finding(kind, one.name, (place,), number, sentence)
    if one.index < len(network.resolved) - 1:  # two logits have to be opposites
        yield from _duplicates(network, one, found.correlation, healthy, word)


def _of_map(
    one: ResolvedLayer, found: MapStatistics, place: int
) -> tuple[str, float, str] | None:
    """The kind of what is wrong with a map by itself, its number, and it in words."""
    low, high = float(found.lowest[place]), float(found.highest[place])
    if not (math.isfinite(low) and math.isfinite(high)):
        what = (
            "is not a finite number everywhere: the weights before it have gone astray; "
            "train again with a lower learning rate."
        )
        return "not finite", math.nan, what
    # Below zero a LeakyReLU still tells images apart.
    if isinstance(one.layer, ReLU) and high <= 0:
        return "dead", high, "is dead: it is never above 0."
    if high - low <= CONSTANT * max(abs(low), abs(high)):
        return "constant", high, f"is constant: {high:.3g} for every image."
    share = float(found.beyond[place] / found.count)
    if share >= MOSTLY:
        what = (
            f"is saturated: {100 * share:.0f} % of its values are so near its ends that "
            "less than a tenth of a gradient passes."
        )
        return "saturated", share, what
    return None


def _duplicates(
    network: Network,
    one: ResolvedLayer,
    outputs: Doubles,
    places: Sequence[int],
    word: str,
) -> Iterator[Finding]:
    """Every map with the earlier one that it is most like, if that is enough."""
    kernels = _kernels(network, one)
    for rank, place in enumerate(places[1:], 1):
        earlier = np.array(places[:rank])
        likeness = np.abs(outputs[place, earlier])
        enough = likeness >= SAME
        if kernels is not None:
            enough |= kernels[place, earlier] >= ALIKE
            likeness = np.maximum(likeness, kernels[place, earlier])
        if not enough.any():
            continue
        other = int(earlier[np.where(enough, likeness, 0).argmax()])
        number = float(outputs[place, other])
        what = "are alike"
        if abs(number) >= SAME:
            what = "do the same" if number > 0 else "do the opposite"
        said = f"what they put out correlates by {number:.2f}"
        if kernels is not None:
            said += f", their weights have a cosine of {kernels[place, other]:.2f}"
            number = max(number, float(kernels[place, other]), key=abs)
        yield Finding(
            "duplicate",
            one.name,
            (other, place),
            number,
            f"{word}s {other} and {place} of {one.name} {what}: {said}.",
        )


def _kernels(network: Network, one: ResolvedLayer) -> Doubles | None:
    """Cosines of the kernels behind a layer's maps, where likeness says anything."""
    while isinstance(one.layer, (BatchNorm, *ACTIVATIONS)) and one.inputs[0] >= 0:
        one = network.resolved[one.inputs[0]]
    if isinstance(one.layer, Conv2D) and one.layer.groups > 1:
        return None  # they look at different maps
    weight = network.weights.get(f"{one.name}.weight")
    if weight is None or weight.ndim < 2 or weight[0].size < FEWEST:
        return None
    return cosines(weight)


@dataclass(frozen=True)
class _Classes:
    """The features of every class at the last hidden layer, and its confusions."""

    layer: str
    names: Classes
    labels: NDArray[np.int32]
    statistics: ClassStatistics

    @classmethod
    def of(cls, network: Network, labels: object, count: int) -> Self | None:
        """None where no Dense layer classifies, so that there is no hidden layer."""
        outputs, known = network.outputs, network.classes
        indices, names = as_labels(labels, count, known, outputs=outputs)
        dense = [one for one in network.resolved if isinstance(one.layer, Dense)]
        if not dense:
            return None
        hidden = network.resolved[read_by(network.resolved, dense[-1])]
        statistics = ClassStatistics(outputs, hidden.output_shape[0])
        return cls(hidden.name, names, indices, statistics)

    def add(self, places: slice, features: Floats, answers: NDArray[np.intp]) -> None:
        self.statistics.add(features, self.labels[places], answers)

    def nearest(self) -> list[ClassPair]:
        """The pairs of classes whose mean features are nearest, the nearest first."""
        cosine, wrong = self.statistics.cosines, self.statistics.confusion
        finite = np.isfinite(np.diagonal(cosine))
        there = np.flatnonzero((self.statistics.images > 0) & finite)
        first, second = (there[part] for part in np.triu_indices(len(there), 1))
        order = np.argsort(-cosine[first, second], kind="stable")[:PAIRS]
        pairs = zip(first[order].tolist(), second[order].tolist(), strict=True)
        return [
            ClassPair(
                (one, other),
                (str(self.names[one]), str(self.names[other])),
                float(cosine[one, other]),
                (int(wrong[one, other]), int(wrong[other, one])),
            )
            for one, other in pairs
        ]


def _of_classes(layer: str, pairs: Sequence[ClassPair]) -> Iterator[Finding]:
    for pair in pairs:
        if pair.cosine >= SHARED:
            one, other = pair.names
            there, back = pair.confusions
            yield Finding(
                "shared",
                layer,
                pair.classes,
                pair.cosine,
                f"classes {one} and {other} share their features: their means at {layer} "
                f"have a cosine of {pair.cosine:.2f}; {there} of {one} were taken for "
                f"{other}, {back} the other way round.",
            )
