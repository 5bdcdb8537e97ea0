"""The exponential moving average of the weights, kept beside a training run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..engine.weights import Floats


class Average:
    """The average of the weights in `flat`, which training changes and this follows.

    Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging",
    1992; its exponential form as in Szegedy and others, 2016.
    """

    def __init__(self, flat: Floats, decay: float) -> None:
        self.flat = flat
        self.values = flat.copy()
        self._decay = decay

    def decay(self, steps: int) -> float:
        """Return what a step after `steps` others leaves of the average.

        Less than the set decay at first, so that the average does not begin with weights
        that know nothing: (1 + steps) / (10 + steps).
        """
        return min(self._decay, (1 + steps) / (10 + steps))

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Let the network have the averaged weights for a while.

        What is changed in them meanwhile changes the average.
        """
        trained = self.flat.copy()
        self.flat[:] = self.values
        try:
            yield
        finally:
            self.values[:] = self.flat
            self.flat[:] = trained
