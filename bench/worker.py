"""A tool in a process of its own, which lives as long as the comparison.

One process for every number of threads a tool is tried with: some tools settle it when
they start.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from cases import Case, Material, Weights
from numpy.typing import NDArray


@dataclass(frozen=True)
class Answers:
    """What a tool computes for the first images of its material, before it is timed.

    Gradients are by weight name; they and the loss are None for a tool that cannot
    train.
    """

    probabilities: NDArray[np.float32]
    loss: float | None = None
    gradients: Weights | None = None


@dataclass(frozen=True)
class Job:
    """A case made ready: `run(n)` works n times on `images` images, in seconds."""

    images: int
    run: Callable[[int], float]


class Tool(ABC):
    """What the comparison asks of a tool; the names of subclasses in files are `Tool`.

    Everything but `job(...).run` may take its time.
    """

    def __init__(self, style: str, threads: int) -> None:
        self.style, self.threads = style, threads
        self._jobs: dict[Case, tuple[Job, float]] = {}

    @abstractmethod
    def version(self) -> str:
        """Name and version."""

    @abstractmethod
    def load(self, name: str, material: Material) -> None:
        """Build a subject's network, with the material's weights, and take the data."""

    @abstractmethod
    def answers(self, count: int) -> Answers:
        """Answer for the first so many images, with the weights as loaded.

        Probabilities are those of inference, loss and gradients those of training.
        """

    @abstractmethod
    def job(self, case: Case) -> Job:
        """Make a case ready to run."""

    def take(self, name: str, material: Material) -> None:
        """Load a subject, and let go of what the cases of the one before held."""
        self._jobs.clear()
        self.load(name, material)

    def warm_up(self, case: Case, seconds: float) -> float:
        """Make a case ready and run it until its speed is known; images a second."""
        job = self.job(case)
        job.run(1)
        repeats = 1
        while (elapsed := job.run(repeats)) < seconds / 2:
            repeats *= 2
        self._jobs[case] = job, elapsed / repeats
        return job.images * repeats / elapsed

    def sample(self, case: Case, seconds: float) -> float:
        """Run a case for about so long; images a second."""
        job, each = self._jobs[case]
        repeats = max(1, round(seconds / each))
        elapsed = job.run(repeats)
        return job.images * repeats / elapsed


def repeat(step: Callable[[], object]) -> Callable[[int], float]:
    """Make a step a job's `run`."""

    def run(repeats: int) -> float:
        began = time.perf_counter()
        for _ in range(repeats):
            step()
        return time.perf_counter() - began

    return run


class Worker:
    """The parent's end: `worker("method", ...)` calls the tool and waits."""

    def __init__(self, module: str, style: str, threads: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.threads = threads
        self._connection, theirs = spawn.Pipe()
        self._process = spawn.Process(
            target=serve, args=(theirs, module, style, threads), daemon=True
        )
        self._process.start()
        theirs.close()

    @property
    def used(self) -> float:
        """Seconds of processors that the process has taken so far."""
        # After the command's name, in brackets: utime and stime are fields 14 and 15.
        line = Path(f"/proc/{self._process.pid}/stat").read_text()
        fields = line.rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def __call__(self, method: str, *arguments: object) -> Any:
        """Return what the method returns; RuntimeError with its trace if it fails."""
        self._connection.send((method, arguments))
        failed, result = self._connection.recv()
        if failed:
            raise RuntimeError(f"in the process of a tool:\n{result}")
        return result

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join()


def serve(
    connection: Connection[Any, Any], module: str, style: str, threads: int
) -> None:
    """The worker's end: load one tool and call its methods until the pipe closes."""
    tool = importlib.import_module(module).Tool(style, threads)
    while True:
        try:
            method, arguments = connection.recv()
        except EOFError:
            return
        try:
            connection.send((False, getattr(tool, method)(*arguments)))
        except Exception:  # noqa: BLE001 - whatever it is, the parent raises it
            connection.send((True, traceback.format_exc()))
