"""The learning-rate range test: which learning rates a network learns at."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TrainingError
from ..images.arrays import as_array
from .callbacks import Progress, TrainingPlan
from .fit import fit
from .run import Run
from .settings import Settings

if TYPE_CHECKING:
    from ..network import Network

LOWEST, HIGHEST, STEPS = 1e-5, 10.0, 200
"""The rates a test goes through by default, and in how many steps."""
FEWEST_STEPS = 20

_WINDOW_SHARE = 0.05  # of the steps, over which losses are averaged
_FALL = 0.05  # of the loss, that must be seen before a rate is suggested
_RISE = 0.25  # above the loss at the start: clearly worse than having learned nothing
# LeNet-5 on digits and on MNIST trained best at 0.04 and 0.1; its lowest losses in six
# tests were at 0.03 to 0.18, and it trained well at a third of each.
_BELOW_LOWEST = 3.0


@dataclass(frozen=True, eq=False)
class RangeTest:
    """The loss of every step of a test (T,) at its learning rate (T,), float64.

    ``diverged`` tells that the test ended early, because the loss had become clearly
    worse than at the start or was not finite any more.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    diverged: bool
    window: int = field(repr=False)

    @property
    def smoothed(self) -> NDArray[np.float64]:
        """The mean loss of the steps around each step, (T,)."""
        half = self.window // 2
        sums = np.concatenate([[0.0], np.cumsum(self.losses)])
        steps = np.arange(len(self.losses))
        first = np.maximum(steps - half, 0)
        last = np.minimum(steps + half + 1, len(self.losses))
        means: NDArray[np.float64] = (sums[last] - sums[first]) / (last - first)
        return means

    @property
    def suggestion(self) -> float | None:
        """A third of the rate at which the smoothed loss was lowest.

        There it is about to rise; a third is still on the slope and, as the highest
        rate of a schedule, not too high for the rest of a run. None where the loss
        fell by less than a twentieth.
        """
        smoothed = self.smoothed
        lowest = int(smoothed.argmin())
        if smoothed[lowest] > (1 - _FALL) * smoothed[0]:
            return None
        return float(self.rates[lowest]) / _BELOW_LOWEST


class _RangeRun(Run):
    """A run at given learning rates that notes the loss of every step."""

    def __init__(
        self, *arguments: Any, rates: NDArray[np.float64], losses: list[float]
    ) -> None:
        self._given = rates
        self._losses = losses
        super().__init__(*arguments)

    def _learning_rates(self, first: int, count: int) -> NDArray[np.float64]:
        steps = np.arange(first, first + count)
        return self._given[np.minimum(steps, len(self._given) - 1)]

    def _train(
        self, epoch: int, order: NDArray[np.int64], first: int, count: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], str]:
        trained = super()._train(epoch, order, first, count)
        self._losses += trained[0].tolist()
        return trained


@dataclass
class _Watch:
    """A callback of `fit` that ends it after the last rate, or when the loss diverges."""

    losses: list[float]
    steps: int
    window: int
    network: Network | None = None

    def on_train_begin(self, network: Network, info: TrainingPlan) -> None:
        self.network = network

    def on_steps_end(self, info: Progress) -> None:
        done = len(self.losses) >= self.steps
        if self.network and (done or _end(self.losses, self.window) is not None):
            self.network.stop_training = True


def range_test(
    network: Network,
    images: object,
    labels: object,
    settings: Settings,
    *,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    steps: int = STEPS,
    callbacks: Iterable[object] = (),
    threads: int | None = None,
) -> RangeTest:
    """Train a copy of a network at rising learning rates and watch its loss.

    The rate rises exponentially from `lowest` to `highest` over `steps` steps, or until
    the loss diverges. Order and everything else are those of `fit` with these
    `settings`, but for epochs, schedule and learning rate; the network itself does not
    change. The same seed gives the same losses on any number of threads.

    Arguments:
        images: N,H,W,C, and labels: N, as `fit` takes them.
        steps: at least 20.
        callbacks: as those of `fit`; they hear of steps and epochs.

    Raises ValueError unless 0 < lowest < highest, and what `fit` raises for images,
    labels and settings.
    Source: Smith, "Cyclical learning rates for training neural networks", 2017.

    >>> import striate as st
    >>> train, _ = st.load_data("digits")
    >>> settings = Settings(epochs=1, batch_size=32, optimizer=st.SGD(0.1, momentum=0.9))
    >>> test = range_test(st.lenet5(), train.images, train.labels, settings)
    >>> 0.001 < test.suggestion < 0.5
    True
    """
    if not 0 < lowest < highest < math.inf:
        raise ValueError(
            f"lowest and highest must be learning rates above 0, the highest above the "
            f"lowest, but they are {lowest!r} and {highest!r}."
        )
    if steps < FEWEST_STEPS:
        raise ValueError(f"steps must be at least {FEWEST_STEPS} but is {steps!r}.")
    count = len(np.atleast_1d(as_array(images, "images")))
    steps_per_epoch = max(1, math.ceil(count / settings.batch_size))
    epochs = math.ceil(steps / steps_per_epoch)
    rates = np.geomspace(lowest, highest, steps)
    window = max(3, round(_WINDOW_SHARE * steps))
    noted: list[float] = []
    try:
        fit(
            copy.deepcopy(network),
            images,
            labels,
            replace(settings, epochs=epochs, schedule="constant"),
            callbacks=[*callbacks, _Watch(noted, steps, window)],
            threads=threads,
            make_run=partial(_RangeRun, rates=rates, losses=noted),
        )
    except TrainingError:  # not finite any more: that is one of the ends a test has
        if not np.isfinite(noted[:1]).all():
            raise  # ... but not at the lowest rate
    end = _end(noted[:steps], window)
    losses = np.array(noted[: steps if end is None else end])
    return RangeTest(rates[: len(losses)], losses, len(losses) < steps, window)


def _end(losses: list[float], window: int) -> int | None:
    """Return after how many steps the loss has diverged, None where it has not.

    It depends on the losses alone, not on how many steps were made at once.
    """
    array = np.array(losses)
    finite = np.isfinite(array)
    count = len(array) if finite.all() else int(finite.argmin())
    if count >= window:
        sums = np.concatenate([[0.0], np.cumsum(array[:count])])
        means = (sums[window:] - sums[:-window]) / window
        risen = means > means[0] + _RISE
        if risen.any():
            return int(risen.argmax()) + window
    return None if count == len(array) else count
