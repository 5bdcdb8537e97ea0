"""What fit tells its callbacks, and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..arguments import shown

if TYPE_CHECKING:
    from ..network import Network

HOOKS = ("on_train_begin", "on_steps_end", "on_epoch_end", "on_train_end")


@dataclass(frozen=True)
class TrainingPlan:
    """What is about to be trained: the argument `info` of on_train_begin."""

    images: int
    validation_images: int
    epochs: int
    batch_size: int
    steps_per_epoch: int
    threads: int
    isa: str


@dataclass(frozen=True)
class Progress:
    """How far a run is: the argument of on_steps_end, about ten times a second.

    `epoch` counts from 1 to `epochs`, `step` within the epoch from 1 to `steps`. `loss`
    and `accuracy` are means over the epoch so far; times are in seconds.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    images_per_second: float
    seconds_left: float


class Callbacks:
    """Calls the hooks that each callback has, in the order the callbacks were given."""

    def __init__(self, callbacks: Iterable[object]) -> None:
        if not isinstance(callbacks, Iterable):
            raise TypeError(
                f"callbacks must be a list of objects, not {shown(callbacks)}; give [] "
                "for none and [callback] for one"
            )
        self._callbacks = tuple(callbacks)
        for callback in self._callbacks:
            if not any(callable(getattr(callback, hook, None)) for hook in HOOKS):
                raise TypeError(
                    f"a callback needs at least one of the methods {', '.join(HOOKS)}, "
                    f"but {callback!r} has none"
                )

    def _call(self, hook: str, *arguments: object) -> None:
        for callback in self._callbacks:
            method = getattr(callback, hook, None)
            if method is not None:
                method(*arguments)

    def on_train_begin(self, network: Network, info: TrainingPlan) -> None:
        """Tell that training is about to start."""
        self._call("on_train_begin", network, info)

    def on_steps_end(self, info: Progress) -> None:
        """Tell that some steps are done."""
        self._call("on_steps_end", info)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Tell that an epoch is done; logs are its entries in the history."""
        self._call("on_epoch_end", epoch, logs)

    def on_train_end(self, logs: Mapping[str, float]) -> None:
        """Tell that training is over; logs are those of the last epoch."""
        self._call("on_train_end", logs)
