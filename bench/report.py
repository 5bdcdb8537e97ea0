"""What the comparison prints, writes into results.md and gives as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from cases import SUBJECTS, Case

OURS = "Striate"


@dataclass(frozen=True)
class Line:
    """One tool in one case: images a second, one number a round."""

    tool: str
    threads: int
    rates: tuple[float, ...]


@dataclass(frozen=True)
class Result:
    """A case, its operations per image, and all tools that ran it."""

    case: Case
    operations: int
    lines: tuple[Line, ...]

    @property
    def fastest_peer(self) -> Line | None:
        """The best of the others, by its median."""
        peers = [line for line in self.lines if line.tool != OURS]
        return max(peers, key=lambda line: median(line.rates), default=None)

    def ratios(self, line: Line) -> list[float]:
        """How much faster than the fastest peer a tool was, in each round."""
        peer = self.fastest_peer
        if peer is None:
            return []
        return [a / b for a, b in zip(line.rates, peer.rates, strict=True)]


@dataclass(frozen=True)
class Report:
    """A whole run. `accuracy` is each tool's largest error as a share of its bound."""

    date: str
    processor: str
    cores: int
    load: float
    isa: str
    versions: tuple[str, ...]
    missing: tuple[str, ...]
    rounds: int
    seconds: float
    peak_isa: str | None
    peak: tuple[float, ...]
    accuracy: dict[str, float]
    results: tuple[Result, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything, with medians and ratios, as JSON can hold it."""
        data = asdict(self)
        for result, out in zip(self.results, data["results"], strict=True):
            peer = result.fastest_peer
            out["fastest_peer"] = peer.tool if peer else None
            for line, entry in zip(result.lines, out["lines"], strict=True):
                entry["median"] = median(line.rates)
                ratios = result.ratios(line)
                entry["ratio"] = median(ratios) if ratios else None
                entry["share_of_peak"] = self.share(result, line)
        return data

    def share(self, result: Result, line: Line) -> float | None:
        """The operations a tool did, as a share of what the machine can do.

        That is the highest peak of all rounds: noise must not flatter anyone.
        """
        if not self.peak:
            return None
        return median(line.rates) * result.operations / max(self.peak)

    def __str__(self) -> str:
        """Markdown, readable as it is."""
        return "\n\n".join([self._head(), *map(self._section, self.results)]) + "\n"

    def _head(self) -> str:
        worst = ", ".join(
            f"{tool} {share:.2f}" for tool, share in self.accuracy.items()
        )
        absent = f" Not installed: {', '.join(self.missing)}." if self.missing else ""
        text = (
            f"{self.date}, {self.processor}, {self.cores} cores, load before the run "
            f"{self.load:.1f}.\n"
            f"{', '.join(self.versions)}; Striate's instruction set: {self.isa}."
            f"{absent}\n"
            f"Medians of {self.rounds} alternating rounds of about {self.seconds:g} s, "
            "lowest and highest in brackets; each tool with its best number of threads."
            "\nAll tools gave the same probabilities, and those that train the same "
            "loss and gradients; largest error as a share of its bound: "
            f"{worst}."
        )
        if self.peak:
            giga = [value / 1e9 for value in self.peak]
            text += (
                f"\nPeak: {max(giga):.0f} GFLOP/s of float32 multiply-adds, "
                f"{self.peak_isa}, all cores at once; the highest of {len(giga)}, "
                f"one a round (median {median(giga):.0f}, lowest {min(giga):.0f})."
            )
        return text

    def _section(self, result: Result) -> str:
        case = result.case
        latency = case.mode == "latency"
        unit = "µs" if latency else "images/s"
        what = "one image" if latency else f"{case.mode}, batch {case.batch}"
        title = f"## {SUBJECTS[case.subject].title}: {what}"
        heads = ("tool", "threads", unit, "times the fastest peer", "share of peak")
        rows: list[Sequence[str]] = [heads]
        for line in sorted(result.lines, key=lambda line: -median(line.rates)):
            values = [1e6 / rate for rate in line.rates] if latency else line.rates
            ratios, share = result.ratios(line), self.share(result, line)
            rows.append(
                (
                    line.tool,
                    str(line.threads),
                    spread(values, "{:.1f}" if latency else "{:,.0f}"),
                    spread(ratios, "{:.2f}") if ratios else "",
                    "" if share is None else f"{share:.1%}",
                )
            )
        cost = f"{result.operations / 1e6:.2f} MFLOP an image."
        return "\n".join([title, cost, "", *table(rows)])


def spread(values: Sequence[float], form: str) -> str:
    """The median, with the lowest and the highest."""
    low, middle, high = map(form.format, (min(values), median(values), max(values)))
    return f"{middle} ({low} - {high})"


def table(rows: list[Sequence[str]]) -> list[str]:
    """A Markdown table whose columns line up."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    first, *others = [
        "| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows
    ]
    return [first, "|" + "|".join("-" * (width + 2) for width in widths) + "|", *others]
