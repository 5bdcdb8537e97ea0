"""Reading many files at once: in threads, and in processes where that pays."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from ..engine.machine import available_memory, thread_count
from ..errors import DataError
from ..images.imagefile import silence
from .listing import Source
from .perimage import reader
from .process import LOST, Process, can_start

if TYPE_CHECKING:
    from tqdm import tqdm

TOGETHER = 32  # images that one thread takes at a time, where there are many
TURNS = 8  # that each thread has at least, so that all end at about the same time
TRIAL = 0.1  # seconds of processor time after which the rest is estimated
WORTH = 0.4  # of the rest that each process must have, as starting one takes 0.1
NEEDED = 128 << 20  # bytes of memory for a process and the images it decodes
MOST = 32  # processes; this one does not keep more of them busy

Result = TypeVar("Result")
Work = Callable[[int, Sequence[Source]], list[Result | DataError]]
"""Takes images and the place of the first; gives a result or an error for each."""


class Workers:
    """As many threads as there are processors, and processes behind them.

    Pillow works without the interpreter's lock, but what surrounds it needs that, and
    for small files this is most of the work: threads then keep hardly more than one
    processor busy. So where the rest of a work promises to take long, each thread
    gets a process that does its part. What a process cannot do, or does not live to
    do, its thread does itself, so that results are the same on any machine.

    Arguments:
        quiet: show no progress.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._threads = thread_count(None)
        self._processes: list[Process] = []
        self._idle: queue.SimpleQueue[Process] = queue.SimpleQueue()
        useful = self._threads > 1 and can_start()
        self._most = min(self._threads, MOST) if useful else 0
        self._lock = threading.Lock()
        self._seconds, self._images = 0.0, 0  # that the threads have spent, and done
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def run(
        self, work: Work[Result], sources: Sequence[Source], words: str
    ) -> list[Result | DataError]:
        """What `work`, a function of a module, gives for all images, in their order.

        On a terminal a bar on stderr shows how far it is, under these words.
        """
        count = len(sources)
        files = count > 0 and isinstance(sources[0], str)
        step = max(1, min(TOGETHER, count // (self._threads * TURNS)))
        starts = range(0, count, step)

        def share(first: int) -> list[Result | DataError]:
            return self._share(work, first, sources[first : first + step])

        found: list[Result | DataError] = []
        self._seconds, self._images = 0.0, 0
        pool = ThreadPoolExecutor(self._threads)
        with silence, bar_of_images(count, words, self._quiet) as bar:
            try:
                for some in pool.map(share, starts):
                    found += some
                    bar.update(len(some))
                    if files:
                        self._start(count - len(found))
            except BaseException:
                self._end()  # so that no thread waits for a process
                raise
            finally:
                pool.shutdown(cancel_futures=True)
        return found

    def _share(
        self, work: Work[Result], first: int, sources: Sequence[Source]
    ) -> list[Result | DataError]:
        """A part of the work, done by an idle process where there is one."""
        try:
            process = self._idle.get_nowait()
        except queue.Empty:
            return self._here(work, first, sources)
        try:
            found: list[Result | DataError] = process.ask(work, first, sources)
        except LOST:
            if self._ended:
                raise
            return self._here(work, first, sources)
        self._idle.put(process)
        for place, one in enumerate(found):
            # The user's program may have taught Pillow formats that it has to itself.
            if isinstance(one, DataError):
                found[place : place + 1] = work(first + place, [sources[place]])
        return found

    def _here(
        self, work: Work[Result], first: int, sources: Sequence[Source]
    ) -> list[Result | DataError]:
        begun = time.thread_time()  # without waiting for a disk, which needs no core
        found = work(first, sources)
        with self._lock:
            self._seconds += time.thread_time() - begun
            self._images += len(sources)
        return found

    def _start(self, left: int) -> None:
        """Start as many processes as the images that are left are worth.

        The threads work on by themselves until these are up.
        """
        if self._seconds <= TRIAL:
            return
        wanted = int(self._seconds / self._images * left / WORTH)
        while len(self._processes) < min(self._most, wanted):
            process = _new_process()
            if process is None:
                self._most = 0
                return
            self._processes.append(process)
            threading.Thread(target=self._welcome, args=(process,), daemon=True).start()

    def _welcome(self, process: Process) -> None:
        """Wait until a process is up, and have it work if it reads files as this one."""
        with contextlib.suppress(Exception):  # whatever is wrong, it is done without
            process.begin()
            if process.ask(reader) == reader():
                self._idle.put(process)

    def _end(self) -> None:
        self._ended = True
        for process in self._processes:
            process.end()


def _new_process() -> Process | None:
    """A process, or None where the system has no room for one or allows none."""
    memory = available_memory()
    if memory is None or memory >= NEEDED:
        with contextlib.suppress(OSError):
            return Process()
    return None


def bar_of_images(count: int, words: str, quiet: bool) -> tqdm[None]:
    """A bar on a terminal's stderr that shows how many of the images are done."""
    from tqdm import tqdm

    return tqdm(
        total=count,
        desc=words,
        unit=" images",
        leave=False,
        mininterval=0.1,
        delay=0.5,
        disable=True if quiet else None,
    )
