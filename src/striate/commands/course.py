"""One run of `fit` as the command line wants it: shown, interruptible, remembered."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from ..answers import known_labels
from ..data import Dataset
from ..errors import TrainingError
from ..images.preprocess import Preprocessing
from ..network import Network
from ..training.callbacks import Progress, TrainingPlan
from ..training.fit import fit
from ..training.run import Run
from ..training.settings import Settings
from ..training.stopping import EarlyStopping
from .console import FAILED, INTERRUPTED, Console
from .interrupts import Interrupts
from .progress import ProgressLine
from .runfolder import RunFolder


@dataclass
class Course:
    """A callback of `fit` that remembers how far training came."""

    plan: TrainingPlan | None = None
    last: Progress | None = None
    epochs: list[Mapping[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    code: int = 0
    pace: list[list[int]] = field(default_factory=list)

    def on_train_begin(self, network: Network, info: TrainingPlan) -> None:
        """Keep the plan."""
        self.plan = info

    def on_steps_end(self, info: Progress) -> None:
        """Keep the latest progress."""
        self.last = info

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Keep the logs of the epoch."""
        self.epochs.append(dict(logs))

    @property
    def images_per_second(self) -> float | None:
        """The mean speed of training over the whole epochs, or else the last one."""
        seconds = [logs["seconds"] for logs in self.epochs]
        if sum(seconds):
            speeds = [logs["images_per_second"] for logs in self.epochs]
            return float(np.dot(speeds, seconds) / sum(seconds))
        return self.last.images_per_second if self.last else None

    @property
    def shortened(self) -> str:
        """That there was no time for all epochs, in words; "" where there was.

        >>> plan = TrainingPlan(100, 0, 20, 10, 10, 1, "reference")
        >>> Course(plan, pace=[[30, 180], [60, 200]]).shortened[-54:]
        'from epoch 4 on the schedule was gone through unevenly'
        """
        if not self.pace or not self.plan:
            return ""
        planned, each = self.plan.epochs, self.plan.steps_per_epoch
        start = self.pace[0][0] // each + 1
        trained = self.pace[-1][1] / each
        if trained == planned:
            return (
                f"for a while the time looked too short for the {planned} epochs planned, "
                f"so from epoch {start} on the schedule was gone through unevenly"
            )
        return (
            f"the time was too short for the {planned} epochs planned: {trained:.3g} were "
            f"trained, and the schedule was gone through faster from epoch {start} on"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON says of the course."""
        speed = self.images_per_second
        return {
            "epochs": len(self.epochs),
            "planned_epochs": self.plan.epochs if self.plan else None,
            "finished": self.code == 0,
            "loss": self.last.loss if self.last else None,
            "train_seconds": round(self.seconds, 3),
            "images_per_second": None if speed is None else round(speed, 1),
            "isa": self.plan.isa if self.plan else None,
        }

    @property
    def place(self) -> str:
        """Where training is, in words."""
        if self.last is None:
            return "before the first step"
        at = self.last
        return f"in epoch {at.epoch} of {at.epochs}, near step {at.step} of {at.steps}"


def follow(
    console: Console,
    network: Network,
    training: Dataset,
    validation: Dataset | None,
    settings: Settings,
    threads: int,
    folder: RunFolder | None,
    preprocessing: Preprocessing | None,
    patience: int | None,
    until: float | None,
    pace: Iterable[tuple[int, int]],
    fingerprint: str,
    interrupts: Interrupts,
) -> Course:
    """Train; Ctrl-C and a loss that is not finite end it early, with good weights.

    ``until`` is when it has to end, by `time.monotonic`: steps are dropped in time;
    ``pace`` tells how an earlier run did so. ``fingerprint`` is the training images'.
    """
    course = Course()
    progress = ProgressLine(sys.stderr, console.live)
    stopping = None if patience is None else EarlyStopping(patience)
    callbacks = [course, None if console.quiet else progress, folder, stopping]
    held = (validation.images, _labels(network, validation)) if validation else None
    seconds = None if until is None else max(0.0, until - time.monotonic())
    began = time.perf_counter()
    try:
        with interrupts.heeded(), progress:
            fit(
                network,
                training.images,
                _labels(network, training),
                settings,
                validation_data=held,
                callbacks=[one for one in callbacks if one is not None],
                threads=threads,
                preprocessing=preprocessing,
                make_run=partial(Run, seconds=seconds, pace_changes=pace),
                data_sha256=fingerprint,
            )
    except KeyboardInterrupt:
        if course.plan is None:  # nothing was learned, nor how to treat pixels
            raise
        click.echo(
            f"Interrupted {course.place}; the weights so far are kept.", err=True
        )
        course.code = INTERRUPTED
    except TrainingError as error:
        console.problem(str(error))
        course.code = FAILED
    # Labels were places in the data's list of classes; numbers name themselves.
    if [str(index) for index in network.classes or ()] != list(training.classes):
        network.classes = training.classes
    course.seconds = time.perf_counter() - began
    console.note(f"trained for {course.seconds:.1f} s")
    course.pace = network.training["pace"]
    if course.pace:
        console.note(f"note: {course.shortened}")
    return course


def _labels(network: Network, dataset: Dataset) -> NDArray[Any]:
    """Labels as `fit` takes them: by name where the network knows its classes."""
    if network.classes is None:
        return dataset.labels
    return np.asarray(network.classes)[known_labels(network, dataset)]
