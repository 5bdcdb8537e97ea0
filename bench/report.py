"""What the comparison prints, writes into results.md and gives as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median
from typing import Any

from cases import TARGETS, Against, Case, Target
from end_to_end import EndToEnd

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
class Itself:
    """Striate against itself: images a second of two ways to run it, by rounds."""

    what: Against
    one: tuple[float, ...]
    other: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        """How fast one was, as a share of the other's speed, in each round."""
        return [a / b for a, b in zip(self.one, self.other, strict=True)]


@dataclass(frozen=True)
class Goal:
    """What was measured of a line of work, what was aimed at, and whether it is that.

    `aim` is empty and `reached` None where nothing was aimed at.
    """

    work: str
    measured: str
    aim: str = ""
    reached: bool | None = None


@dataclass(frozen=True)
class Report:
    """A whole run. `accuracy` is each tool's largest error as a share of its bound.

    `idle` is what all processes but the one being timed took together, in cores.
    """

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
    idle: float
    accuracy: dict[str, float]
    results: tuple[Result, ...]
    itself: tuple[Itself, ...] = ()
    end_to_end: EndToEnd | None = None
    notes: tuple[str, ...] = ()

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
        for itself, out in zip(self.itself, data["itself"], strict=True):
            out["ratio"] = median(itself.ratios)
        data["goals"] = [asdict(goal) for goal in self.goals()]
        return data

    def share(self, result: Result, line: Line) -> float | None:
        """The operations a tool did, as a share of what the machine can do.

        That is the highest peak of all rounds: noise must not flatter anyone.
        """
        if not self.peak:
            return None
        return median(line.rates) * result.operations / max(self.peak)

    def goals(self) -> list[Goal]:
        """Every line of work, beside what was aimed at."""
        goals = [self._goal(result) for result in self.results]
        for one in self.itself:
            ratio, least = median(one.ratios), one.what.least
            goals.append(
                Goal(
                    f"{one.what.case.title}, {one.what.title}",
                    f"{ratio:.2f} times",
                    f"{least:g} times",
                    ratio >= least,
                )
            )
        return goals + (end_to_end_goals(self.end_to_end) if self.end_to_end else [])

    def _goal(self, result: Result) -> Goal:
        ours = next(line for line in result.lines if line.tool == OURS)
        peer, share = result.fastest_peer, self.share(result, ours)
        measured = [
            f"{median(result.ratios(ours)):.2f} times {peer.tool}" if peer else "",
            "" if share is None else f"{share:.1%} of the peak",
        ]
        target = TARGETS.get(result.case)
        aim, reached = "", None
        if target:
            aim = f"{target.ratio:.3g} times"
            if target.share is not None:
                aim += f", {target.share:.0%} of the peak"
            reached = self._reached(target, result, ours)
        return Goal(result.case.title, ", ".join(filter(None, measured)), aim, reached)

    def _reached(self, target: Target, result: Result, ours: Line) -> bool | None:
        """Whether a target is met; where there are two, the share decides."""
        share, ratios = self.share(result, ours), result.ratios(ours)
        if target.share is not None and share is not None:
            return share >= target.share
        return median(ratios) >= target.ratio if ratios else None

    def __str__(self) -> str:
        """Markdown, readable as it is."""
        answer = {True: "yes", False: "no", None: ""}
        heads = ("work", "Striate reaches", "aimed at", "reached")
        goals = [
            (goal.work, goal.measured, goal.aim, answer[goal.reached])
            for goal in self.goals()
        ]
        sections = [self._head(), "\n".join(table([heads, *goals]))]
        sections += map(self._section, self.results)
        if self.itself:
            sections.append(self._itself())
        return "\n\n".join(sections) + "\n"

    def _head(self) -> str:
        worst = ", ".join(
            f"{tool} {share:.2f}" for tool, share in self.accuracy.items()
        )
        absent = f" Not installed: {', '.join(self.missing)}." if self.missing else ""
        text = (
            f"{self.date}, {self.processor}, {self.cores} cores, load before the run "
            f"{self.load:.1f}.\n"
            f"{', '.join(self.versions)}; Striate's instruction set: {self.isa}."
            f"{absent}"
        )
        if self.accuracy:
            text += (
                f"\nMedians of {self.rounds} alternating rounds of about "
                f"{self.seconds:g} s, lowest and highest in brackets; each tool with its "
                "best number of threads.\n"
                "The tools gave the same probabilities, and those that train the same "
                f"loss and gradients; largest error as a share of its bound: {worst}.\n"
                "While one tool had its turn, all others together took "
                f"{self.idle:.1%} of a core."
            )
        if self.peak:
            giga = [value / 1e9 for value in self.peak]
            text += (
                f"\nPeak: {max(giga):.0f} GFLOP/s of float32 multiply-adds, "
                f"{self.peak_isa}, all cores at once; the highest of {len(giga)}, "
                f"one a round (median {median(giga):.0f}, lowest {min(giga):.0f})."
            )
        return "\n".join([text, *self.notes])

    def _itself(self) -> str:
        heads = ("work", "images/s", "times the other's speed", "the other's images/s")
        rows = [
            (
                f"{one.what.case.title}, {one.what.title}",
                spread(one.one, "{:,.0f}"),
                spread(one.ratios, "{:.2f}"),
                spread(one.other, "{:,.0f}"),
            )
            for one in self.itself
        ]
        return "\n".join(["## Striate against itself", "", *table([heads, *rows])])

    def _section(self, result: Result) -> str:
        case = result.case
        latency = case.mode == "latency"
        unit = "µs" if latency else "images/s"
        title = f"## {case.title}"
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


def end_to_end_goals(whole: EndToEnd) -> list[Goal]:
    """What `striate train mnist` takes, beside what was aimed at."""
    wall = median(one.seconds for one in whole.striate)
    outside = median(one.seconds - one.training_seconds for one in whole.striate)
    accuracy = median(one.accuracy for one in whole.striate)
    goals = [
        Goal(
            "`striate train mnist`, from process start to model saved",
            f"{wall:.1f} s, {outside:.1f} s of it outside training "
            f"(test accuracy {accuracy:.2%})",
            "10 s, 2 s",
            wall <= 10 and outside <= 2,
        )
    ]
    ours = median(one.peak_bytes for one in whole.striate)
    measured, reached = f"{ours / 1e6:.0f} MB", None
    if whole.torch:
        theirs = median(one.peak_bytes for one in whole.torch)
        measured += f", {ours / theirs:.2f} of PyTorch's {theirs / 1e6:.0f} MB"
        reached = ours <= theirs / 3
    goals.append(
        Goal("`striate train mnist`, peak memory", measured, "a third", reached)
    )
    words = " ".join(["striate train mnist", *whole.options])
    seconds = [one for one in whole.to_accuracy if one is not None]
    everywhere = len(seconds) == len(whole.to_accuracy)
    measured = f"reached with {len(seconds)} of {len(whole.to_accuracy)} seeds"
    if everywhere:
        measured = (
            f"{mean(seconds):.1f} s of training, mean of {len(seconds)} seeds "
            f"({min(seconds):.1f} - {max(seconds):.1f})"
        )
    goals.append(
        Goal(
            f"`{words}`, to {whole.accuracy:.1%} test accuracy",
            measured,
            "2.5 s",
            everywhere and mean(seconds) <= 2.5,
        )
    )
    return goals


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
