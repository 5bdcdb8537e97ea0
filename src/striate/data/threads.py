"""Reading many files at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from ..engine.machine import thread_count
from ..images.imagefile import silence

if TYPE_CHECKING:
    from tqdm import tqdm

TOGETHER = 32  # images that one thread takes at a time, where there are many
TURNS = 8  # that each thread has at least, so that all end at about the same time

Result = TypeVar("Result")


def in_threads(
    work: Callable[[range], Result], count: int, words: str, *, quiet: bool
) -> Iterator[Result]:
    """What `work` gives for ranges that cover 0 ... count, in order.

    Pillow decodes without the interpreter's lock, so threads keep all processors busy.
    On a terminal a bar on stderr shows how far it is, unless `quiet`.
    """
    threads = thread_count(None)
    step = max(1, min(TOGETHER, count // (threads * TURNS)))
    ranges = [range(start, min(start + step, count)) for start in range(0, count, step)]
    pool = ThreadPoolExecutor(threads)
    with silence, _bar(count, words, quiet) as bar:
        try:
            for part, result in zip(ranges, pool.map(work, ranges), strict=True):
                yield result
                bar.update(len(part))
        finally:
            pool.shutdown(cancel_futures=True)


def _bar(count: int, words: str, quiet: bool) -> tqdm[None]:
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
