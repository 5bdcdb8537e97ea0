"""How fast a run goes through its schedule: as planned, or faster where time is short."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


class Pace:
    """Which steps of a schedule an epoch makes, and after which epoch a run ends.

    As planned, steps follow one another. Where a run may take only so many `seconds` and
    turns out to be slower, it makes fewer epochs, in larger strides over what is left of
    the schedule: the learning rate comes to its end, without a jump on the way. Where it
    is quicker again, it makes up to as many epochs as planned.

    Arguments:
        epochs, steps: as planned, and of each epoch.
        seconds: what all epochs may take together; None for as long as they do.
        changes: (epoch, epochs) of an earlier run, which this one is to go like.

    >>> pace = Pace(epochs=10, steps=2, seconds=30.0)
    >>> pace.epoch_ended(1, elapsed=3.0); pace.epoch_ended(2, elapsed=9.0)
    >>> pace.epochs, pace.changes, pace.positions(3)
    (5, [(2, 5)], array([4., 7.]))
    """

    def __init__(
        self,
        epochs: int,
        steps: int,
        seconds: float | None = None,
        changes: Iterable[tuple[int, int]] = (),
    ) -> None:
        self.epochs = epochs
        """After how many epochs the run ends, by what is known so far."""
        self.changes: list[tuple[int, int]] = []
        """(epoch, epochs): after which epoch it was found that there would be so many."""
        self._planned = epochs
        self._steps = steps
        self._seconds = seconds
        self._known = dict(changes)
        self._elapsed = [0.0]
        self._since = 0  # the epoch after which the strides were last changed,
        self._position = 0.0  # where the next step was then,
        self._stride = 1.0  # and what lies between two since

    @property
    def total(self) -> int:
        """The steps of the schedule."""
        return self._planned * self._steps

    def positions(self, epoch: int) -> NDArray[np.float64]:
        """The place in the schedule of every step of an epoch, from 0 to below total."""
        first = (epoch - 1 - self._since) * self._steps
        steps = np.arange(first, first + self._steps, dtype=np.float64)
        return self._position + self._stride * steps

    def epoch_ended(self, epoch: int, elapsed: float) -> None:
        """Plan the rest anew, `elapsed` seconds after the run began."""
        if epoch in self._known:
            self._change(epoch, self._known[epoch])
        self._elapsed.append(elapsed)
        if self._seconds is None or epoch >= self.epochs:
            return
        # The last quarter of the epochs tells what the next ones take.
        recent = max(1, epoch // 4)
        each = (elapsed - self._elapsed[-1 - recent]) / recent
        fitting = int((self._seconds - elapsed) / each) if each > 0 else self._planned
        epochs = min(self._planned, epoch + max(1, fitting))
        if epochs != self.epochs:
            self._change(epoch, epochs)

    def _change(self, epoch: int, epochs: int) -> None:
        self._position += self._stride * (epoch - self._since) * self._steps
        self._since = epoch
        left = (epochs - epoch) * self._steps
        last = self.total - 1
        self._stride = (last - self._position) / max(1, left - 1)
        self.epochs = epochs
        self.changes.append((epoch, epochs))
