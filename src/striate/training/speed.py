"""How fast a network trains here, measured: for times that are told beforehand."""

from __future__ import annotations

import copy
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .fit import fit

if TYPE_CHECKING:
    from ..network import Network
    from .callbacks import Progress
    from .settings import Settings

_STEPS = 200  # of an epoch; the images of so many are trained on, more than caches hold


class _Stopwatch:
    """A callback that stops after some seconds; the steps of the first call warm up."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.steps_per_second = 0.0
        self._first: tuple[int, float] | None = None

    def on_train_begin(self, network: Network, info: object) -> None:
        self.network = network

    def on_steps_end(self, info: Progress) -> None:
        steps, now = (info.epoch - 1) * info.steps + info.step, time.perf_counter()
        if self._first is None:
            self._first = steps, now
            return
        elapsed = now - self._first[1]
        self.steps_per_second = (steps - self._first[0]) / elapsed
        self.network.stop_training |= elapsed >= self.seconds


def training_speed(
    network: Network,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    settings: Settings,
    *,
    threads: int | None = None,
    seconds: float = 0.5,
) -> float:
    """Return the images per second that `fit` trains with these settings, here and now.

    A copy of the network is trained for about `seconds` on the first images; the
    network itself does not change.
    """
    count = min(len(images), _STEPS * settings.batch_size)
    trial = copy.deepcopy(network)
    watch = _Stopwatch(seconds)
    fit(
        trial,
        images[:count],
        labels[:count],
        replace(settings, epochs=1000),
        callbacks=[watch],
        threads=threads,
        data_sha256="",  # the trial's record is not kept
    )
    return watch.steps_per_second * min(settings.batch_size, count)
