"""Ctrl-C: where it ends the work, and where it has to wait."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt inside, as Python does by itself.

    Where Ctrl-C is ignored it stays so.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        before = _answer_by(signal.default_int_handler)
    try:
        yield
    finally:
        _answer_by(before)


class Interrupts:
    """Ctrl-C while a model is trained and saved: it ends training, but not the save.

    Inside the block Ctrl-C waits; inside `heeded` it raises KeyboardInterrupt, once.
    One that still waits when the block ends is raised then.

    >>> import os
    >>> with Interrupts() as interrupts:
    ...     try:
    ...         with interrupts.heeded():
    ...             signal.raise_signal(signal.SIGINT)
    ...     except KeyboardInterrupt:
    ...         print("training ends")
    ...     print("saved")
    training ends
    saved
    """

    def __init__(self) -> None:
        self._open = False
        self._waiting = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = _answer_by(self._answer)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            _answer_by(self._before)
        if self._waiting and error is None:
            raise KeyboardInterrupt

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Let Ctrl-C end what is inside; what follows can rely on having no other."""
        self._open = True
        try:
            if self._waiting:
                self._answer()
            yield
        finally:
            self._open = False

    def _answer(self, *_: object) -> None:
        self._waiting = not self._open
        if self._open:
            self._open = False
            raise KeyboardInterrupt


def _answer_by(handler: Any) -> Any:
    """Answer Ctrl-C by a handler; returns the one before.

    Only Python's main thread may choose it, and only there it is called.
    """
    try:
        return signal.signal(signal.SIGINT, handler)
    except ValueError:
        return handler
