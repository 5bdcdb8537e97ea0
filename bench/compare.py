"""Measure Striate and the tools its users would take instead, in one run.

    python bench/compare.py [--only KIND ...] [--subject NAME ...] [--quick] [--json]

First all tools must agree with a NumPy twin in double precision; then they take turns,
round by round, so that a machine that slows down slows all of them. A whole run writes
results.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import get_args

import end_to_end
from cases import (
    AGAINST,
    CASES,
    QUICK,
    SUBJECTS,
    Against,
    Case,
    Material,
    Mode,
    Way,
    checked_images,
    operations,
)
from machine import INSTRUCTIONS, Peak, cores, has, processor, thread_counts
from reference import Check
from report import OURS, Itself, Line, Report, Result
from worker import Worker


@dataclass(frozen=True)
class Competitor:
    """A tool: the module that drives it, in which style, and the packages it needs."""

    title: str
    module: str
    style: str = ""
    needs: tuple[str, ...] = ()
    trains: bool = True
    quick: bool = True

    @property
    def installed(self) -> bool:
        """Whether all its packages are there."""
        return all(find_spec(name) for name in self.needs)

    def start(self, stack: ExitStack) -> Team:
        """Start its processes, one for every number of threads; the stack ends them."""
        return {
            count: stack.enter_context(closing(Worker(self.module, self.style, count)))
            for count in thread_counts()
        }


Team = dict[int, Worker]
"""A tool's processes, by the threads they compute with."""

KERAS = ("keras", "tensorflow")
ONNX = ("onnxruntime", "onnx")
COMPETITORS = (
    Competitor(OURS, "tool_striate"),
    Competitor("PyTorch eager", "tool_torch", "eager", ("torch",)),
    Competitor("PyTorch channels_last", "tool_torch", "channels_last", ("torch",)),
    # What compiles first takes longer than a quick run may.
    Competitor("PyTorch compile", "tool_torch", "compile", ("torch",), quick=False),
    Competitor("Keras", "tool_keras", "graph", KERAS, quick=False),
    Competitor("Keras jit", "tool_keras", "jit", KERAS, quick=False),
    Competitor("JAX", "tool_jax", needs=("jax",), quick=False),
    Competitor("ONNX Runtime", "tool_onnxruntime", needs=ONNX, trains=False),
    Competitor("OpenVINO", "tool_openvino", needs=("openvino", "onnx"), trains=False),
)


@dataclass(frozen=True)
class Pace:
    """How often and how long to measure; seconds of a tool's turn."""

    rounds: int
    seconds: float


END_TO_END = "end-to-end"
FULL, QUICK_PACE = Pace(rounds=9, seconds=0.5), Pace(rounds=3, seconds=0.15)
PEAK_SECONDS = 0.1
REST = 0.05  # seconds after every turn, for the tool's threads to fall asleep


class Crew:
    """All processes of a run: those of every tool, and of Striate's ways to be run."""

    def __init__(
        self,
        competitors: Sequence[Competitor],
        itself: Sequence[Against],
        stack: ExitStack,
    ) -> None:
        self.teams = {one.title: one.start(stack) for one in competitors}
        self.ways = {Way(threads=n): one for n, one in self.teams[OURS].items()}
        self.ways[Way()] = self.ours = self.teams[OURS][cores()]
        for way in (way for what in itself for way in (what.one, what.other)):
            if way not in self.ways:
                worker = Worker("tool_striate", way.style, way.threads or cores())
                self.ways[way] = stack.enter_context(closing(worker))
        teams = (team.values() for team in self.teams.values())
        self.everyone = [*dict.fromkeys([*chain(*teams), *self.ways.values()])]

    def check(self, subject: str, material: Material) -> dict[str, float | str]:
        """The largest error of every tool, by title, or what it computes otherwise.

        Striate has no excuse: AssertionError where it does.
        """
        count = checked_images(subject)
        check, found = Check(material, count), dict[str, float | str]()
        for title, team in self.teams.items():
            say(f"{subject}: checking {title}")
            try:
                found[title] = check.worst(title, team[cores()]("answers", count))
            except AssertionError as error:
                if title == OURS:
                    raise
                found[title] = str(error)
        return found


class Rounds:
    """Lets processes take turns, and watches that the others sleep meanwhile."""

    def __init__(self, pace: Pace, peak: Peak, everyone: Sequence[Worker]) -> None:
        self.pace, self.peak, self.everyone = pace, peak, everyone
        self._idle, self._elapsed = 0.0, 0.0

    def settle(self, case: Case, team: Team) -> Worker:
        """The process of a team that is fastest; all of them are warm then."""
        rates = {}
        for count, worker in team.items():
            warm = worker("warm_up", case, self.pace.seconds)
            time.sleep(REST)
            rates[count] = max(warm, worker("sample", case, self.pace.seconds))
            time.sleep(REST)
        return team[max(rates, key=rates.__getitem__)]

    def alternate(
        self, case: Case, workers: Mapping[str, Worker]
    ) -> dict[str, tuple[float, ...]]:
        """Images a second of each worker, one number a round."""
        samples: dict[str, list[float]] = {title: [] for title in workers}
        for _ in range(self.pace.rounds):
            self.peak.measure(PEAK_SECONDS)
            for title, worker in workers.items():
                others = [one for one in self.everyone if one is not worker]
                began, used = time.perf_counter(), sum(one.used for one in others)
                samples[title].append(worker("sample", case, self.pace.seconds))
                time.sleep(REST)
                self._idle += sum(one.used for one in others) - used
                self._elapsed += time.perf_counter() - began
        return {title: tuple(rates) for title, rates in samples.items()}

    @property
    def idle(self) -> float:
        """What all others took together while one had its turn, in cores."""
        return self._idle / self._elapsed if self._elapsed else 0.0


def compare(case: Case, teams: Mapping[str, Team], rounds: Rounds) -> tuple[Line, ...]:
    """Let tools take turns on one case, each with its best number of threads."""
    chosen = {
        title: rounds.settle(case, {1: team[1]} if case.mode == "latency" else team)
        for title, team in teams.items()
    }
    samples = rounds.alternate(case, chosen)
    return tuple(
        Line(title, worker.threads, samples[title]) for title, worker in chosen.items()
    )


def possible(what: Against) -> bool:
    """Whether this machine has the threads and the instructions."""
    ways = (what.one, what.other)
    enough = all((way.threads or 1) <= cores() for way in ways)
    return enough and all(has(way.style) for way in ways if way.style in INSTRUCTIONS)


def against(what: Against, workers: Mapping[Way, Worker], rounds: Rounds) -> Itself:
    """Let two ways to run Striate take turns."""
    pair = {"one": workers[what.one], "other": workers[what.other]}
    for worker in pair.values():
        rounds.settle(what.case, {worker.threads: worker})
    samples = rounds.alternate(what.case, pair)
    return Itself(what, samples["one"], samples["other"])


def run(
    cases: Sequence[Case],
    itself: Sequence[Against],
    competitors: Sequence[Competitor],
    pace: Pace,
    peak: Peak,
) -> Report:
    """Check all tools against each other, then measure all cases."""
    load = os.getloadavg()[0]
    results: list[Result] = []
    ratios: list[Itself] = []
    accuracy: dict[str, float] = {}
    notes: list[str] = []
    trainers = {one.title for one in competitors if one.trains}
    with ExitStack() as stack:
        crew = Crew(competitors, itself, stack)
        rounds = Rounds(pace, peak, crew.everyone)
        subjects = [case.subject for case in (*cases, *(one.case for one in itself))]
        for subject in dict.fromkeys(subjects):
            material = crew.ours("material", subject)
            for worker in crew.everyone:
                worker("take", subject, material)
            mine = [case for case in cases if case.subject == subject]
            found = crew.check(subject, material) if mine else {}
            for title, worst in found.items():
                if isinstance(worst, str):
                    notes.append(f"Left out of {SUBJECTS[subject].title}: {worst}.")
                else:
                    accuracy[title] = max(worst, accuracy.get(title, 0.0))
            for case in mine:
                say(case.title)
                able = {
                    title: team
                    for title, team in crew.teams.items()
                    if case.mode != "train" or title in trainers
                    if not isinstance(found[title], str)
                }
                costs = [layer.multiply_adds for layer in material.layers]
                cost = operations(costs, case.mode)
                results.append(Result(case, cost, compare(case, able, rounds)))
            for what in itself:
                if what.case.subject == subject:
                    say(f"{what.case.title}: {what.title}")
                    ratios.append(against(what, crew.ways, rounds))
        versions = dict.fromkeys(team[1]("version") for team in crew.teams.values())
        isa = crew.ours("isa")
    return Report(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        processor=processor(),
        cores=cores(),
        load=load,
        isa=isa,
        versions=tuple(versions),
        missing=tuple(one.title for one in COMPETITORS if not one.installed),
        rounds=pace.rounds,
        seconds=pace.seconds,
        peak_isa=peak.isa,
        peak=tuple(peak.values),
        idle=rounds.idle,
        accuracy=accuracy,
        results=tuple(results),
        itself=tuple(ratios),
        notes=tuple(notes),
    )


def say(text: str) -> None:
    """Tell how far the run is."""
    print(text, file=sys.stderr, flush=True)


def with_end_to_end(report: Report) -> Report:
    """Let `end_to_end.py` measure in a process of its own, if there is MNIST."""
    if end_to_end.mnist() is None:
        note = "Left out: end to end, for it needs mnist in the folder of STRIATE_DATA."
        return replace(report, notes=(*report.notes, note))
    say("end to end: striate train mnist")
    done = subprocess.run(
        [sys.executable, end_to_end.__file__], check=True, stdout=subprocess.PIPE
    )
    measured = end_to_end.EndToEnd.from_dict(json.loads(done.stdout))
    return replace(report, end_to_end=measured)


def main() -> None:
    """Run what the command line asks for, print, and keep the results of a whole run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    kinds = (*get_args(Mode), END_TO_END)
    parser.add_argument("--only", nargs="+", choices=kinds, help="kinds of work")
    parser.add_argument("--subject", nargs="+", choices=SUBJECTS, help="networks")
    parser.add_argument("--quick", action="store_true", help="under a minute, rough")
    parser.add_argument("--json", action="store_true", help="JSON instead of tables")
    options = parser.parse_args()
    whole = not (options.only or options.subject or options.quick)

    def wanted(case: Case) -> bool:
        return (
            (case in QUICK or not options.quick)
            and case.mode in (options.only or kinds)
            and case.subject in (options.subject or SUBJECTS)
        )

    cases = [case for case in CASES if wanted(case)]
    itself = [one for one in AGAINST if wanted(one.case) and possible(one)]
    from_end_to_end = whole or END_TO_END in (options.only or ())
    if not cases and (options.quick or not from_end_to_end):
        parser.error(
            "nothing is left to measure; --quick is LeNet-5 without end-to-end"
        )
    competitors = [
        one
        for one in COMPETITORS
        if one.installed and (one.quick or not options.quick)
        if cases or one.title == OURS
    ]
    with tempfile.TemporaryDirectory() as folder:
        pace = QUICK_PACE if options.quick else FULL
        report = run(cases, itself, competitors, pace, Peak(Path(folder)))
    slow = [one.title for one in COMPETITORS if one.installed and not one.quick]
    if options.quick and slow:
        note = f"Left out of a quick run: {', '.join(slow)}."
        report = replace(report, notes=(*report.notes, note))
    if from_end_to_end and not options.quick:
        report = with_end_to_end(report)
    print(json.dumps(report.to_dict(), indent=2) if options.json else report)
    if whole:
        text = f"# Striate and other tools\n\n{report}"
        Path(__file__).with_name("results.md").write_text(text)


if __name__ == "__main__":
    main()
