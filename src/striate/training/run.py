"""One training run: epochs, order, learning rates; the steps are the core's."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..engine.compute import Engine
from ..engine.lowering import augmentation_bytes, augmentation_rule, update_rule
from ..engine.machine import check_memory
from ..engine.randomness import epoch_order
from ..errors import TrainingError
from .averaging import Average
from .callbacks import Callbacks, Progress
from .evaluation import Examples, evaluate
from .pace import Pace
from .schedules import learning_rates
from .settings import Settings

History = dict[str, list[float]]
"""One list for each measure, with one entry an epoch."""

_SECONDS_PER_CALL = 0.1  # of the core: ten reports a second are plenty
_GROWTH = 4  # a call takes at most so many times the steps of the one before


@dataclass
class _Totals:
    """The sums of one epoch so far; loss is weighted as the images are."""

    images: int = 0
    weight: float = 0.0
    loss: float = 0.0
    correct: int = 0
    seconds: float = 0.0

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds if self.seconds > 0 else 0.0

    @property
    def mean_loss(self) -> float:
        return self.loss / self.weight if self.weight > 0 else 0.0

    @property
    def accuracy(self) -> float:
        return self.correct / self.images if self.images else 0.0


class Run:
    """One run of `fit` on prepared examples; `history` grows by one entry an epoch.

    Where it may take only so many `seconds`, its `pace` drops steps in time;
    `pace_changes` are those of an earlier run.
    """

    def __init__(
        self,
        engine: Engine,
        examples: Examples,
        validation: Examples | None,
        settings: Settings,
        threads: int,
        seconds: float | None = None,
        pace_changes: Iterable[tuple[int, int]] = (),
    ) -> None:
        self.engine = engine
        self.examples = examples
        self.validation = validation
        self.settings = settings
        self.threads = threads
        self.batch_size = min(settings.batch_size, examples.count)
        engine.check_batch(
            self.batch_size,
            "more images" if examples.count == 1 else "a larger batch_size",
        )
        # A batch of one image left over is left out where a BatchNorm needs several:
        # another one every epoch.
        alone = engine.normalizes is not None and examples.count % self.batch_size == 1
        self.images = examples.count - alone
        self.steps = math.ceil(self.images / self.batch_size)
        self.pace = Pace(settings.epochs * self.steps, seconds, pace_changes)
        self.history: History = {}
        optimizer, changes = settings.optimizer, settings.augmentation
        shape = engine.resolved[0].input_shape
        check_memory(
            engine.plan.bytes(self.batch_size, threads, True)
            + 4 * engine.flat.size * (5 + optimizer.moments)
            + (augmentation_bytes(shape, threads) if changes else 0),
            f"training with batch_size={self.batch_size} and threads={threads}",
            "give a smaller batch_size or fewer threads",
        )
        self._rates = self._learning_rates(0, 1)
        self._rule = update_rule(optimizer)
        self._augmentation = augmentation_rule(changes) if changes else None
        self._state = _core.State(engine.plan, optimizer.moments)
        self._good = engine.flat.copy()
        decay = settings.ema_decay
        self._average = None if decay is None else Average(engine.flat, decay)
        self._steps_per_call = 1

    def go(self, callbacks: Callbacks, stopped: Callable[[], bool]) -> None:
        """Train until the last epoch, or until `stopped` says so after some steps.

        Raises TrainingError where the loss or a weight is not finite; then the weights
        are those of the last epoch's start from which a finite loss was computed.
        """
        logs: dict[str, float] = {}
        self._began = time.perf_counter()
        try:
            for epoch in count(1):
                totals = _Totals()
                for progress in self._epoch(epoch, totals):
                    callbacks.on_steps_end(progress)
                    if stopped():
                        break
                with self._average.shown() if self._average else nullcontext():
                    logs = self._logs(epoch, totals)
                    for name, value in logs.items():
                        self.history.setdefault(name, []).append(value)
                    callbacks.on_epoch_end(epoch, logs)
                if stopped() or epoch * self.steps >= self.pace.steps:
                    break
        except TrainingError:
            raise  # with the last good weights in place
        except BaseException:
            self._settle()
            raise
        self._settle()
        callbacks.on_train_end(logs)

    def _settle(self) -> None:
        """Leave the network with the averaged weights, where they are averaged."""
        if self._average is not None:
            self.engine.flat[:] = self._average.values

    def _learning_rates(self, first: int, count: int) -> NDArray[np.float64]:
        """Return the learning rates of some steps of the run, counted from 0."""
        base = self.settings.optimizer.learning_rate
        places = self.pace.positions(first, count)
        return learning_rates(self.settings.schedule, base, places, self.pace.planned)

    def _epoch(self, epoch: int, totals: _Totals) -> Iterator[Progress]:
        """Train the steps of one epoch, yielding after each call of the core."""
        order = epoch_order(self.examples.count, self.settings.seed, epoch)
        order = order[: self.images]
        weights = self._step_weights(order)
        start = self.engine.flat.copy()
        before = (epoch - 1) * self.steps
        done = 0
        while done < self.steps and before + done < self.pace.steps:
            wanted = min(
                self._steps_per_call,
                self.steps - done,
                self.pace.steps_to_look(before + done),
            )
            self._rates = self._learning_rates(before + done, wanted)
            began = time.perf_counter()
            losses, correct, fault = self._train(epoch, order, done, wanted)
            seconds = time.perf_counter() - began
            if fault and len(losses) == 1:
                raise self._failed(fault, epoch, done + 1, self._rates[0])
            self._good = start  # a finite loss was computed from it
            if fault:
                rate = self._rates[len(losses) - 1]
                raise self._failed(fault, epoch, done + len(losses), rate)
            step_weights = weights[done : done + wanted]
            done += wanted
            seen = min(done * self.batch_size, self.images)
            # One by one, so that the sums do not depend on how many a call took.
            for loss, weight in zip(losses.tolist(), step_weights, strict=True):
                totals.loss += loss * float(weight)
                totals.weight += float(weight)
            totals.correct += int(correct.sum())
            totals.images = seen
            totals.seconds += seconds
            self._adapt(wanted, seconds)
            self.pace.look(before + done, time.perf_counter() - self._began)
            yield self._progress(epoch, done, totals)
        if not np.isfinite(self.engine.flat).all():
            raise self._failed("a weight", epoch, done, self._rates[-1])

    def _train(
        self, epoch: int, order: NDArray[np.int64], first: int, count: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], str]:
        settings, examples, average = self.settings, self.examples, self._average
        losses, correct, fault = self.engine.plan.train(
            self.engine.flat,
            self._state,
            self._rule,
            examples.images.source,
            examples.labels,
            examples.weights,
            order,
            batch_size=self.batch_size,
            first_step=first,
            learning_rates=self._rates,
            label_smoothing=settings.label_smoothing,
            clip_norm=settings.clip_norm or 0.0,
            seed=settings.seed,
            epoch=epoch,
            augmentation=self._augmentation,
            threads=self.threads,
            average=average.values if average else None,
            average_decay=average.decay((epoch - 1) * self.steps) if average else 0.0,
        )
        return losses, correct, f"the {fault}" if fault else ""

    def _step_weights(self, order: NDArray[np.int64]) -> NDArray[np.float64]:
        """What each step's mean loss counts for in the epoch's: its images' weights."""
        starts = np.arange(0, self.images, self.batch_size)
        if self.examples.weights is None:
            sizes = np.full(self.steps, self.batch_size, np.float64)
            sizes[-1] = self.images - starts[-1]
            return sizes
        weights = self.examples.weights[order].astype(np.float64)
        return np.add.reduceat(weights, starts)

    def _adapt(self, steps: int, seconds: float) -> None:
        """Choose how many steps the next call takes; the results don't depend on it."""
        fitting = round(steps * _SECONDS_PER_CALL / max(seconds, 1e-6))
        self._steps_per_call = max(1, min(fitting, _GROWTH * steps))

    def _progress(self, epoch: int, done: int, totals: _Totals) -> Progress:
        seen = sum(self.history.get("seconds", [])) + totals.seconds
        steps = (epoch - 1) * self.steps + done
        return Progress(
            epoch=epoch,
            epochs=self._epochs,
            step=done,
            steps=self.steps,
            loss=totals.mean_loss,
            accuracy=totals.accuracy,
            images_per_second=totals.images_per_second,
            seconds_left=seen / steps * (self.pace.steps - steps),
        )

    def _logs(self, epoch: int, totals: _Totals) -> dict[str, float]:
        logs = {"loss": totals.mean_loss, "accuracy": totals.accuracy}
        if self.validation is not None:
            loss, accuracy = evaluate(self.engine, self.validation, self.threads)
            logs |= {"val_loss": loss, "val_accuracy": accuracy}
        return logs | {
            "learning_rate": float(self._rates[-1]),
            "seconds": totals.seconds,
            "images_per_second": totals.images_per_second,
        }

    @property
    def _epochs(self) -> int:
        """How many epochs there will be; the last may be shorter."""
        return math.ceil(self.pace.steps / self.steps)

    def _failed(self, what: str, epoch: int, step: int, rate: float) -> TrainingError:
        """Put the last good weights back and say what happened."""
        self.engine.flat[:] = self._good
        return TrainingError(
            f"{what} is not finite any more in epoch {epoch} of "
            f"{self._epochs}, step {step} of {self.steps}, at learning rate "
            f"{rate:.3g}; lower learning_rate, for instance to a tenth, or limit the "
            "gradient with clip_norm=1.0. The last good weights are kept."
        )
