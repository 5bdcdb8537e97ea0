"""Striate, through its public interface and on raw pixels: what its users run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import cycle
from typing import Any

import numpy as np
import worker
from cases import (
    LEARNING_RATE,
    MOMENTUM,
    SUBJECTS,
    Case,
    Layer,
    Material,
    Weights,
    make_images,
    make_inputs,
)
from numpy.typing import NDArray
from worker import Answers, Job

import striate


class Clock:
    """A callback that measures all between the first step and the last."""

    seconds = 0.0

    def on_train_begin(self, network: striate.Network, info: object) -> None:
        self.seconds = -time.perf_counter()

    def on_train_end(self, logs: Mapping[str, float]) -> None:
        self.seconds += time.perf_counter()


class Tool(worker.Tool):
    """Training is `fit` on uint8 images, whole epochs with their shuffling."""

    def version(self) -> str:
        return f"Striate {striate.__version__}"

    def material(self, name: str) -> Material:
        """Make what all tools run: the network as this one starts it, and images."""
        network = SUBJECTS[name].build()
        costs = network.summary().to_dict()["layers"]
        layers = tuple(
            Layer(cost["name"], one.layer.to_config(), cost["multiply_adds"])
            for one, cost in zip(network.resolved, costs, strict=True)
        )
        weights = {key: value.copy() for key, value in network.weights.items()}
        pixels, labels = make_images(SUBJECTS[name], network.outputs)
        inputs = make_inputs(pixels, network.input_shape)
        self.network = network
        return Material(layers, weights, pixels, inputs, labels)

    def load(self, material: Material) -> None:
        """Let the network see its training images, then put its weights back."""
        self.pixels, self.labels = material.pixels, material.labels
        self._fit(128, 1, None)
        self.network.set_weights(material.weights)

    def isa(self) -> str:
        """The instruction set that training used."""
        return str(self.network.training["isa"])

    def answers(self, chosen: NDArray[np.int64]) -> Answers:
        pixels, labels = self.pixels[chosen], self.labels[chosen]
        loss, gradients = self.network.loss_and_gradients(pixels, labels)
        named: Weights = dict(gradients)
        return Answers(self.network.predict_proba(pixels), loss, named)

    def job(self, case: Case, threads: int) -> Job:
        if case.mode == "train":
            return Job(
                len(self.pixels),
                lambda repeats: self._fit(case.batch, repeats, threads),
            )
        starts = range(0, len(self.pixels) - case.batch + 1, case.batch)
        batches = cycle([self.pixels[i : i + case.batch] for i in starts])

        def step() -> Any:
            return self.network.predict_proba(next(batches), threads=threads)

        return Job(case.batch, worker.repeat(step))

    def _fit(self, batch: int, epochs: int, threads: int | None) -> float:
        clock = Clock()
        self.network.fit(
            self.pixels,
            self.labels,
            epochs=epochs,
            batch_size=batch,
            optimizer=striate.SGD(LEARNING_RATE, momentum=MOMENTUM),
            schedule="constant",
            callbacks=[clock],
            threads=threads,
        )
        return clock.seconds
