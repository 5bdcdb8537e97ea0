"""Who is using a network: any number of readers, or one thread that changes it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import BusyError


class Usage:
    """Keeps training and reading apart; never waits, a conflict is an error.

    The thread that trains may read as well (from its callbacks). A forked child starts
    afresh, because the threads that held the network stayed behind in the parent.
    """

    def __init__(self) -> None:
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._lock = threading.Lock()
        self._readers: list[int] = []  # thread identifiers, one for each reading
        self._writer: int | None = None
        self._process = os.getpid()

    def _in_this_process(self) -> int:
        if self._process != os.getpid():
            self._start_afresh()
        return self._process

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read the network; BusyError while another thread changes it."""
        process = self._in_this_process()
        own = threading.get_ident()
        with self._lock:
            if self._writer not in (None, own):
                raise BusyError(
                    "this network is being trained by another thread; wait for fit to "
                    "return, or use a copy of the network (copy.deepcopy before fit)"
                )
            self._readers.append(own)
        try:
            yield
        finally:
            if process == self._in_this_process():
                with self._lock:
                    self._readers.remove(own)

    @contextmanager
    def changing(self, action: str) -> Iterator[None]:
        """Change the weights; BusyError while anything else uses the network.

        Inside `fit`, its own thread may change the weights from a callback.
        """
        process = self._in_this_process()
        own = threading.get_ident()
        with self._lock:
            outer = self._writer
            if outer not in (None, own) or self._readers:
                verb = "trained" if outer is not None else "read"
                raise BusyError(
                    f"{action} needs the network for itself but it is being {verb} "
                    "by another thread; wait for that, or use a copy of the network "
                    "(copy.deepcopy)"
                )
            self._writer = own
        try:
            yield
        finally:
            if process == self._in_this_process():
                with self._lock:
                    self._writer = outer

    @property
    def own_training(self) -> bool:
        """Whether the calling thread is the one that trains the network now."""
        self._in_this_process()
        return self._writer == threading.get_ident()
