"""What a diagnosis consists of, and how it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a map or with two of them, or with two classes."""

    kind: str
    """"not finite", "dead", "constant", "duplicate", "saturated" or "shared"."""
    layer: str
    maps: tuple[int, ...]
    """The map, or unit of a flat layer; of duplicates both; of "shared" the classes."""
    number: float
    """Of a dead or constant map its value; of duplicates their correlation, that of
    weights if it is larger; the share of saturated values; the cosine of classes."""
    sentence: str


@dataclass(frozen=True)
class ClassPair:
    """Two classes, by index and name, and how near their mean features are."""

    classes: tuple[int, int]
    names: tuple[str, str]
    cosine: float
    """Of the angle between the mean vectors of features."""
    confusions: tuple[int, int]
    """Images of the first class taken for the second, and the other way round."""


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found; printed, it is said in plain words."""

    images: int
    layers: tuple[str, ...]
    """The layers whose maps were examined."""
    findings: tuple[Finding, ...]
    pairs: tuple[ClassPair, ...]
    """The pairs of classes nearest to each other, at most ten."""

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __str__(self) -> str:
        seen = f"{', '.join(self.layers)} over {self.images:,} images"
        if self.healthy:
            shared = ", no two classes share their features" if self.pairs else ""
            return (
                f"{seen}: nothing is wrong. Every map changes with the image, no two do "
                f"the same, none is saturated{shared}."
            )
        return "\n".join([f"{seen}:", *_told(self.findings)])


def _told(findings: Sequence[Finding], most: int = 3) -> Iterator[str]:
    """The sentences; of many findings of a kind in one layer the first few."""
    counts = Counter((one.kind, one.layer) for one in findings)
    told: Counter[tuple[str, str]] = Counter()
    for one in findings:
        key = one.kind, one.layer
        told[key] += 1
        if told[key] <= most:
            yield f"- {one.sentence}"
        elif told[key] == most + 1:
            yield f"- and so on: {counts[key]} {one.kind} in {one.layer} in all."
