"""Time every kernel alone, on one thread, over the shapes of the networks compared.

    python bench/kernels.py [--isa NAME] [--only TEXT] [--quick] [--json]

Needs cmake and a C++ compiler. Kernels of convolutions and dense layers are given as a
share of the processor's multiply-add peak, those that memory limits as a share of the
speed of streaming within the second-level cache; both limits are measured in turn with
every kernel. The last column is a kernel's part in the time of all that are shown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from cases import SUBJECTS
from kernel_jobs import LANES, Job, jobs_of
from machine import processor
from report import table

from striate.engine.machine import instruction_set

SOURCE = Path(__file__).resolve().parent.parent
FULL, QUICK = (9, 0.004), (3, 0.001)  # rounds, and seconds of a kernel's turn in each


@dataclass(frozen=True)
class Timed:
    """A kernel's call: its seconds, and the limits measured in turn with it."""

    job: Job
    seconds: float
    peak: float
    streaming: float

    @property
    def rate(self) -> float:
        """Operations a second, or bytes a second where memory is the limit."""
        return (self.job.operations or self.job.bytes) / self.seconds

    @property
    def share(self) -> float:
        """The rate as a share of the limit."""
        return self.rate / (self.peak if self.job.operations else self.streaming)

    @property
    def part(self) -> float:
        """Seconds of it that a block of 16 images costs."""
        return self.seconds * self.job.calls


def build(folder: Path) -> Path:
    """Compile the program that times kernels, with the core's own flags."""
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DSTRIATE_BENCH=ON"]
    for command in (
        ["cmake", "-S", str(SOURCE), "-B", str(folder), *options],
        ["cmake", "--build", str(folder), "--parallel", "--target", "kernel_times"],
    ):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "kernel_times"


class Program:
    """The program under way: jobs go in, one line each, and times come out."""

    def __init__(self, path: Path, isa: str, pace: tuple[int, float]) -> None:
        self._process = subprocess.Popen(
            [str(path), isa, str(LANES), *map(str, pace)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._known: dict[tuple[str, tuple[int, ...]], tuple[float, ...]] = {}

    def time(self, job: Job) -> Timed:
        """Time a job, or remember what it took in another network."""
        key = job.kernel, job.numbers
        if key not in self._known:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            print(job.kernel, *job.numbers, file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
            self._known[key] = tuple(map(float, answer.split()))
        return Timed(job, *self._known[key])

    def close(self) -> None:
        """End the program."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def total(times: Sequence[Timed]) -> tuple[float, float]:
    """Seconds of a block through these kernels, and the share of the peak they reach."""
    seconds = sum(one.part for one in times)
    operations = sum(one.job.operations * one.job.calls for one in times)
    return seconds, operations / seconds / median(one.peak for one in times)


def report(title: str, times: Sequence[Timed]) -> str:
    """One network's kernels as a Markdown table, those that cost most first."""
    seconds, share = total(times)
    summary = (
        f"A block of {LANES} images: {seconds * 1e6:.0f} µs at {share:.0%} of the peak"
    )
    predicting = [one for one in times if not one.job.training_only]
    if predicting:
        forward, share = total(predicting)
        summary += f", {forward * 1e6:.0f} µs of it in prediction, at {share:.0%}"
    rows: list[Sequence[str]] = [
        ("kernel", "layer", "shape", "µs", "GFLOP/s", "GB/s", "share", "part")
    ]
    for one in sorted(times, key=lambda one: -one.part):
        rate = f"{one.rate / 1e9:.0f}"
        rows.append(
            (
                one.job.kernel,
                one.job.layer,
                one.job.shape,
                f"{one.seconds * 1e6:.2f}",
                rate if one.job.operations else "",
                "" if one.job.operations else rate,
                f"{one.share:.0%}",
                f"{one.part / seconds:.1%}",
            )
        )
    return "\n".join([f"## {title}", f"{summary}.", "", *table(rows)])


def to_dict(title: str, times: Sequence[Timed]) -> dict[str, Any]:
    """The same as JSON can hold it."""
    seconds, share = total(times)
    kernels = [asdict(one.job) | {"seconds": one.seconds} for one in times]
    for entry, one in zip(kernels, times, strict=True):
        entry |= {"peak": one.peak, "streaming": one.streaming, "share": one.share}
    return {
        "network": title,
        "seconds_per_block": seconds,
        "share_of_peak": share,
        "kernels": kernels,
    }


def main() -> None:
    """Parse the command line, build, time, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--isa", default="", help="avx512, avx2, baseline, neon")
    parser.add_argument("--only", default="", help="networks or kernels with this name")
    parser.add_argument("--quick", action="store_true", help="rough")
    parser.add_argument("--json", action="store_true", help="JSON instead of tables")
    options = parser.parse_args()
    isa = options.isa or instruction_set()
    reports: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        program = Program(build(Path(folder)), isa, QUICK if options.quick else FULL)
        for name, subject in SUBJECTS.items():
            times = [
                program.time(job)
                for job in jobs_of(subject.build(), subject.image_shape)
                if options.only in name or options.only in job.kernel
            ]
            if times:
                say = to_dict if options.json else report
                reports.append(say(subject.title, times))
        program.close()
    if options.json:
        print(json.dumps(reports, indent=2))
        return
    head = f"{processor()}, one thread, {isa}."
    print("\n\n".join([head, *reports]))


if __name__ == "__main__":
    main()
