"""How fast a run goes through its schedule: as planned, or faster where time is short."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

_LOOKS = 20  # at the clock, evenly over the steps that were planned
_RECENT = 2  # so many looks back, the speed is taken from what was done since


class Pace:
    """Where each step of a run is in its schedule, and after which step the run ends.

    As planned, steps follow one another. Where a run may take only so many `seconds` and
    turns out to be slower, it makes fewer steps, in larger strides over what is left of
    the schedule: the learning rate comes to its end, without a jump on the way. Where it
    is quicker again, it makes up to as many steps as planned.

    Arguments:
        planned: steps of the run, and of its schedule.
        seconds: what they may take together; None for as long as they do.
        changes: those of an earlier run, which this one is to go like.

    >>> pace = Pace(planned=40, seconds=20.0)
    >>> pace.look(2, elapsed=2.0)
    >>> pace.steps, pace.changes, pace.positions(2, 3)
    (20, [(2, 20)], array([2.        , 4.17647059, 6.35294118]))
    """

    def __init__(
        self,
        planned: int,
        seconds: float | None = None,
        changes: Iterable[tuple[int, int]] = (),
    ) -> None:
        self.planned = planned
        self.steps = planned
        """After how many steps the run ends, by what is known so far."""
        self.changes: list[tuple[int, int]] = []
        """(done, steps): after how many it was found that there would be so many."""
        self._seconds = seconds
        self._known = dict(changes)
        self._between = max(1, planned // _LOOKS)
        self._looks = [(0, 0.0)]  # steps done, and seconds gone
        self._since = 0  # the step since which strides are as they are,
        self._position: float = 0.0  # where it is,
        self._stride = 1.0  # and what lies between it and the next

    def positions(self, first: int, count: int) -> NDArray[np.float64]:
        """The places in the schedule, 0 to `planned` - 1, of steps counted from 0."""
        steps = np.arange(first - self._since, first - self._since + count)
        places = self._position + self._stride * steps
        return places.astype(np.float64, copy=False)

    def steps_to_look(self, done: int) -> int:
        """How many steps after those done the end, or the next look, comes."""
        following = [step for step in self._known if step > done]
        if self._seconds is not None:
            following.append((done // self._between + 1) * self._between)
        return min([*following, self.steps]) - done

    def look(self, done: int, elapsed: float) -> None:
        """Plan the rest anew, after some steps and seconds; between looks do nothing."""
        if done in self._known:
            self._change(done, self._known[done])
        if self._seconds is None or done % self._between or done >= self.steps:
            return
        self._looks.append((done, elapsed))
        before, then = self._looks[max(0, len(self._looks) - 1 - _RECENT)]
        each = (elapsed - then) / (done - before)
        fitting = int((self._seconds - elapsed) / each) if each > 0 else self.planned
        # A few at least, so that the learning rate still comes to its end.
        least = min(self._between, self.steps - done)
        steps = min(self.planned, done + max(least, fitting))
        if steps != self.steps:
            self._change(done, steps)

    def _change(self, done: int, steps: int) -> None:
        last = self.planned - 1
        self._position += self._stride * (done - self._since)
        if steps == done + 1:
            self._position = last
        self._since = done
        self._stride = (last - self._position) / max(1, steps - done - 1)
        self.steps = steps
        self.changes.append((done, steps))
