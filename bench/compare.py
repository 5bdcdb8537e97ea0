"""Measure Striate and the tools its users would take instead, in one run.

    python bench/compare.py [--only train|inference|latency] [--quick] [--json]

First all tools must agree with a NumPy twin in double precision; then they take turns,
round by round, so that a machine that slows down slows all of them. A whole run writes
results.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

from cases import CASES, Case, Mode, operations
from machine import Peak, cores, processor, thread_counts
from reference import Check
from report import OURS, Line, Report, Result
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


COMPETITORS = (
    Competitor(OURS, "tool_striate"),
    Competitor("PyTorch eager", "tool_torch", "eager", ("torch",)),
    Competitor("PyTorch channels_last", "tool_torch", "channels_last", ("torch",)),
    # Compiling alone takes longer than a quick run may.
    Competitor("PyTorch compile", "tool_torch", "compile", ("torch",), quick=False),
    Competitor(
        "ONNX Runtime", "tool_onnxruntime", needs=("onnxruntime", "onnx"), trains=False
    ),
)


@dataclass(frozen=True)
class Pace:
    """How often and how long to measure; seconds of a tool's turn."""

    rounds: int
    seconds: float


FULL, QUICK = Pace(rounds=9, seconds=0.8), Pace(rounds=3, seconds=0.15)
PEAK_SECONDS = 0.1
REST = 0.05  # seconds after every turn, for the tool's threads to fall asleep


def compare(
    case: Case, workers: dict[str, Worker], pace: Pace, peak: Peak
) -> tuple[Line, ...]:
    """Let tools take turns on one case, each with its best number of threads."""
    threads: dict[str, int] = {}
    for title, worker in workers.items():
        rates: dict[int, float] = {}
        for method in ("warm_up", "sample"):
            for count in thread_counts():
                rate = worker(method, case, count, pace.seconds)
                rates[count] = max(rate, rates.get(count, 0.0))
                time.sleep(REST)
        threads[title] = max(rates, key=rates.__getitem__)
    samples: dict[str, list[float]] = {title: [] for title in workers}
    for _ in range(pace.rounds):
        peak.measure(PEAK_SECONDS)
        for title, worker in workers.items():
            rate = worker("sample", case, threads[title], pace.seconds)
            samples[title].append(rate)
            time.sleep(REST)
    return tuple(
        Line(title, threads[title], tuple(samples[title])) for title in workers
    )


def run(
    cases: Sequence[Case], competitors: Sequence[Competitor], pace: Pace, peak: Peak
) -> Report:
    """Check all tools against each other, then measure all cases."""
    load = os.getloadavg()[0]
    results: list[Result] = []
    accuracy: dict[str, float] = {}
    with ExitStack() as stack:
        workers = {
            one.title: stack.enter_context(closing(Worker(one.module, one.style)))
            for one in competitors
        }
        trainers = {one.title for one in competitors if one.trains}
        for subject in dict.fromkeys(case.subject for case in cases):
            material = workers[OURS]("material", subject)
            check = Check(material)
            for title, worker in workers.items():
                say(f"{subject}: checking {title}")
                worker("load", material)
                worst = check.worst(title, worker("answers", check.chosen))
                accuracy[title] = max(worst, accuracy.get(title, 0.0))
            for case in cases:
                if case.subject != subject:
                    continue
                say(f"{subject}: {case.mode}, batch {case.batch}")
                able = {
                    title: worker
                    for title, worker in workers.items()
                    if case.mode != "train" or title in trainers
                }
                cost = operations(material.layers, case.mode)
                results.append(Result(case, cost, compare(case, able, pace, peak)))
        versions = dict.fromkeys(worker("version") for worker in workers.values())
        isa = workers[OURS]("isa")
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
        accuracy=accuracy,
        results=tuple(results),
    )


def say(text: str) -> None:
    """Tell how far the run is."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Parse the command line, run, print, and write results.md after a whole run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=get_args(Mode), help="one kind of work")
    parser.add_argument("--quick", action="store_true", help="under a minute, rough")
    parser.add_argument("--json", action="store_true", help="JSON instead of tables")
    options = parser.parse_args()
    cases = [case for case in CASES if options.only in (None, case.mode)]
    competitors = [
        one for one in COMPETITORS if one.installed and (one.quick or not options.quick)
    ]
    with tempfile.TemporaryDirectory() as folder:
        pace = QUICK if options.quick else FULL
        report = run(cases, competitors, pace, Peak(Path(folder)))
    print(json.dumps(report.to_dict(), indent=2) if options.json else report)
    if not options.quick and options.only is None:
        text = f"# Striate and other tools\n\n{report}"
        Path(__file__).with_name("results.md").write_text(text)


if __name__ == "__main__":
    main()
