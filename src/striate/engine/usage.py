"""Who is using a network: any number of readers, or one thread that changes it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import BusyError

_process = 0  # how many forks lie between the first process and this one


def _forked() -> None:
    global _process
    _process += 1


os.register_at_fork(after_in_child=_forked)


class Usage:
    """Keeps training and reading apart; never waits, a conflict is an error.

    The thread that trains may read as well (from its callbacks). A forked child starts
    afresh, because the threads that held the network stayed behind in the parent.
    """

    def __init__(self) -> None:
        self._start_afresh()

    def _start_afresh(self) -> None:
        self.lock = threading.Lock()
        self.readers = 0
        self.writer: int | None = None
        self._process = _process

    def in_this_process(self) -> int:
        if self._process != _process:
            self._start_afresh()
        return _process

    def reading(self) -> Reading:
        """Read the network; BusyError while another thread changes it."""
        return Reading(self)

    @contextmanager
    def changing(self, action: str) -> Iterator[None]:
        """Change the weights; BusyError while anything else uses the network.

        Inside `fit`, its own thread may change the weights from a callback.
        """
        process = self.in_this_process()
        own = threading.get_ident()
        with self.lock:
            outer = self.writer
            if outer not in (None, own) or self.readers:
                verb = "trained" if outer is not None else "read"
                raise BusyError(
                    f"{action} needs the network for itself but it is being {verb} "
                    "by another thread; wait for that, or use a copy of the network "
                    "(copy.deepcopy)"
                )
            self.writer = own
        try:
            yield
        finally:
            if process == self.in_this_process():
                with self.lock:
                    self.writer = outer

    @property
    def own_training(self) -> bool:
        """Whether the calling thread is the one that trains the network now."""
        self.in_this_process()
        return self.writer == threading.get_ident()


class Reading:
    """What `with usage.reading():` enters; a generator would take twice as long."""

    __slots__ = ("_process", "_usage")

    def __init__(self, usage: Usage) -> None:
        self._usage = usage

    def __enter__(self) -> None:
        usage = self._usage
        self._process = usage.in_this_process()
        with usage.lock:
            if usage.writer is not None and usage.writer != threading.get_ident():
                raise BusyError(
                    "this network is being trained by another thread; wait for fit to "
                    "return, or use a copy of the network (copy.deepcopy before fit)"
                )
            usage.readers += 1

    def __exit__(self, *_: object) -> None:
        usage = self._usage
        if self._process == usage.in_this_process():
            with usage.lock:
                usage.readers -= 1
