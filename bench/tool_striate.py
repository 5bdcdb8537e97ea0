"""Striate, through its public interface and on raw pixels: what its users run."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from itertools import cycle
from typing import Any

import worker
from cases import LEARNING_RATE, MOMENTUM, SUBJECTS, Case, Material, make_material
from worker import Answers, Job

import striate
from striate.engine.machine import instruction_set


class Clock:
    """A callback that measures all between the first step and the last."""

    seconds = 0.0

    def on_train_begin(self, network: striate.Network, info: object) -> None:
        self.seconds = -time.perf_counter()

    def on_train_end(self, logs: Mapping[str, float]) -> None:
        self.seconds += time.perf_counter()


class Tool(worker.Tool):
    """Training is `fit` on uint8 images, whole epochs with their shuffling.

    `style` is "augmented", for default augmentation, or an instruction set, or "".
    """

    def __init__(self, style: str, threads: int) -> None:
        super().__init__(style, threads)
        if style not in ("", "augmented"):
            os.environ["STRIATE_ISA"] = style

    def version(self) -> str:
        return f"Striate {striate.__version__}"

    def material(self, name: str) -> Material:
        """Make what all tools run."""
        return make_material(SUBJECTS[name])

    def load(self, name: str, material: Material) -> None:
        """Let the network see its training images, then put its weights back."""
        self.network = SUBJECTS[name].build()
        self.pixels, self.labels = material.pixels, material.labels
        self._fit(128, 1)
        self.network.set_weights(material.weights)

    def isa(self) -> str:
        """The instruction set it computes with."""
        return instruction_set()

    def answers(self, count: int) -> Answers:
        pixels, labels = self.pixels[:count], self.labels[:count]
        loss, gradients = self.network.loss_and_gradients(pixels, labels, training=True)
        probabilities = self.network.predict_proba(pixels, threads=self.threads)
        return Answers(probabilities, loss, dict(gradients))

    def job(self, case: Case) -> Job:
        if case.mode == "train":
            return Job(len(self.pixels), lambda repeats: self._fit(case.batch, repeats))
        starts = range(0, len(self.pixels) - case.batch + 1, case.batch)
        batches = cycle([self.pixels[i : i + case.batch] for i in starts])

        def step() -> Any:
            return self.network.predict_proba(next(batches), threads=self.threads)

        return Job(case.batch, worker.repeat(step))

    def _fit(self, batch: int, epochs: int) -> float:
        clock = Clock()
        self.network.fit(
            self.pixels,
            self.labels,
            epochs=epochs,
            batch_size=batch,
            optimizer=striate.SGD(LEARNING_RATE, momentum=MOMENTUM),
            schedule="constant",
            callbacks=[clock],
            augmentation="default" if self.style == "augmented" else None,
            threads=self.threads,
        )
        return clock.seconds
