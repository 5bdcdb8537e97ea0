"""What filtering.py writes: the tables of minimal filtering in docs/performance.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, stdev

from growth_report import fill
from report import table


@dataclass(frozen=True)
class Error:
    """Relative errors of a pass; `filtering` is None where the rule leaves it direct."""

    filtering: float | None
    direct: float


@dataclass(frozen=True)
class LayerErrors:
    """A convolution, and the errors of its three passes."""

    layer: str
    shape: str
    forward: Error
    input_gradient: Error
    weight_gradient: Error


@dataclass(frozen=True)
class Speed:
    """Images a second of a line of work, one number a round."""

    work: str
    auto: tuple[float, ...]
    direct: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        """How much faster filtering was, in each round."""
        return [a / b for a, b in zip(self.auto, self.direct, strict=True)]


@dataclass(frozen=True)
class Accuracy:
    """Shares of test images classified rightly, one number a seed."""

    data: str
    train_images: int
    test_images: int
    auto: tuple[float, ...]
    direct: tuple[float, ...]

    @property
    def differences(self) -> list[float]:
        """What filtering changed, with each seed."""
        return [a - b for a, b in zip(self.auto, self.direct, strict=True)]


@dataclass(frozen=True)
class Filtering:
    """A whole run; `network` is what was trained for the accuracies, in words."""

    date: str
    processor: str
    cores: int
    striate: str
    isa: str
    layers: tuple[LayerErrors, ...]
    speeds: tuple[Speed, ...]
    network: str
    accuracies: tuple[Accuracy, ...]


def write(filtering: Filtering, docs: Path) -> None:
    """Replace what docs/performance.md says of a run before."""
    page = docs / "performance.md"
    page.write_text(filled(page.read_text(), filtering))


def filled(text: str, filtering: Filtering) -> str:
    """The page with what was measured between its marks, and all else as it is."""
    return fill(
        text,
        {
            "filtering": machine(filtering),
            "filtering errors": errors(filtering.layers),
            "filtering speed": speeds(filtering.speeds),
            "filtering accuracy": accuracies(filtering),
        },
    )


def machine(filtering: Filtering) -> str:
    """Where and when it was measured."""
    return (
        f"{filtering.date}, {filtering.processor}, {filtering.cores} cores; Striate "
        f"{filtering.striate}, {filtering.isa}."
    )


def errors(layers: Sequence[LayerErrors]) -> str:
    """The table of errors; a pass that the rule leaves direct has one number."""
    heads = ("forward", "direct", "gradient of input", "direct", "of weights", "direct")
    rows: list[Sequence[str]] = [("layer", "shape", *heads)]
    for one in layers:
        cells = [one.layer, one.shape]
        for error in (one.forward, one.input_gradient, one.weight_gradient):
            filtering = error.filtering
            cells.append("" if filtering is None else f"{filtering:.1e}")
            cells.append(f"{error.direct:.1e}")
        rows.append(cells)
    return "\n".join(table(rows))


def speeds(measured: Sequence[Speed]) -> str:
    """The table of speeds."""
    rows: list[Sequence[str]] = [
        ("on one thread", "by filtering, images/s", "direct", "times as fast")
    ]
    for one in measured:
        ratios = one.ratios
        rows.append(
            (
                one.work,
                f"{median(one.auto):,.0f}",
                f"{median(one.direct):,.0f}",
                f"{median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})",
            )
        )
    return "\n".join(table(rows))


def accuracies(filtering: Filtering) -> str:
    """The table of accuracies, and what was trained."""
    rows: list[Sequence[str]] = [
        (
            "data",
            "images to train and to test",
            "accuracy by filtering, %",
            "direct, %",
            "difference, points",
        )
    ]
    for one in filtering.accuracies:
        rows.append(
            (
                one.data,
                f"{one.train_images:,} and {one.test_images:,}",
                _spread(one.auto),
                _spread(one.direct),
                _spread(one.differences, "+"),
            )
        )
    seeds = len(filtering.accuracies[0].auto)
    told = f"{filtering.network}; mean and standard deviation over {seeds} seeds."
    return "\n".join([*table(rows), "", told])


def _spread(shares: Sequence[float], sign: str = "") -> str:
    return f"{100 * mean(shares):{sign}.2f} ± {100 * stdev(shares):.2f}"
