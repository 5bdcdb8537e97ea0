"""What this machine offers: how many threads, and how much memory is left."""

from __future__ import annotations

import operator
from collections.abc import Iterator

from .. import _core
from ..errors import UsageError

_MOST_THREADS = 1024
_NEGLIGIBLE = 2**24  # bytes; asking what is left costs half as much as one prediction


def instruction_set() -> str:
    """Return the instruction set in use; UsageError where STRIATE_ISA names none."""
    try:
        name: str = _core.default_isa()
    except ValueError as error:
        raise UsageError(str(error)) from error
    return name


def convolution() -> str:
    """Return how convolutions are computed: "auto", or "direct" without Winograd's way.

    By the environment variable STRIATE_CONVOLUTION; UsageError for any other word.
    """
    text = _core.environment("STRIATE_CONVOLUTION").strip() or "auto"
    if text not in ("auto", "direct"):
        raise UsageError(
            f"STRIATE_CONVOLUTION must be 'auto' or 'direct' but is {text!r}; unset it "
            "to let shapes decide between direct convolution and Winograd's filtering"
        )
    return text


def thread_count(threads: int | None = None, tasks: int | None = None) -> int:
    """Return how many threads to compute with, or to share so many tasks.

    `threads` wins; without it the environment variable STRIATE_THREADS; without that
    the processors this process may use (affinity and cgroup limits counted). Raises
    ValueError for a number below 1, UsageError for a variable that is no such number.

    >>> thread_count(2)
    2
    """
    if threads is not None:
        if isinstance(threads, bool) or not hasattr(threads, "__index__"):
            raise TypeError(f"threads must be a whole number but is {threads!r}")
        threads = operator.index(threads)
        if not 1 <= threads <= _MOST_THREADS:
            raise ValueError(
                f"threads must be from 1 to {_MOST_THREADS} but is {threads}; "
                "leave it out to use the processors of this machine"
            )
        return threads
    text = _core.environment("STRIATE_THREADS").strip()
    if not text:  # asking what the processors are costs more than a prediction
        return 1 if tasks == 1 else _core.hardware_threads()
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_THREADS:
        raise UsageError(
            f"STRIATE_THREADS must be a whole number from 1 to {_MOST_THREADS} but is "
            f"{text!r}; unset it to use the processors of this machine"
        )
    return int(text)


def available_memory() -> int | None:
    """Return the bytes this process may still take, or None where that is unknown.

    The kernel's MemAvailable, or what the control group leaves where that is less.
    """
    amounts = list(_control_group_rest())
    found = _fields("/proc/meminfo").get("MemAvailable:")
    if found is not None:
        amounts.append(found * 1024)
    return min(amounts, default=None)


def is_large(amount: int) -> bool:
    """Whether so many bytes are worth asking how many are left."""
    return amount >= _NEGLIGIBLE


def check_memory(amount: int, purpose: str, remedy: str) -> None:
    """Refuse what would take more bytes than are left, in words and beforehand.

    Raises UsageError: "`purpose` takes 48.0 GB of memory but ...; `remedy`."
    """
    if not is_large(amount):
        return
    available = available_memory()
    if available is not None and amount > available:
        raise UsageError(
            f"{purpose} takes {in_bytes(amount)} of memory but only "
            f"{in_bytes(available)} are available; {remedy}."
        )


def _control_group_rest() -> Iterator[int]:
    """What the memory limits of this process' control groups leave, in bytes."""
    groups = [
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes")
    ]
    for line in _lines("/proc/self/cgroup"):
        if line.startswith("0::/"):
            group = line[3:].rstrip("/")
            while True:
                folder = f"/sys/fs/cgroup{group}"
                groups.append((folder, "memory.max", "memory.current"))
                if not group:
                    break
                group = group.rpartition("/")[0]
    for folder, limit, usage in groups:
        numbers = [*_lines(f"{folder}/{limit}"), *_lines(f"{folder}/{usage}")]
        if len(numbers) == 2 and all(map(str.isdecimal, numbers)):  # else: no limit
            # Files that are only cached there are given back on demand.
            held = _fields(f"{folder}/memory.stat")
            cached = held.get("active_file", 0) + held.get("inactive_file", 0)
            yield max(0, int(numbers[0]) - int(numbers[1]) + cached)


def _lines(path: str) -> list[str]:
    try:
        with open(path) as file:
            return file.read().splitlines()
    except OSError:
        return []


def _fields(path: str) -> dict[str, int]:
    """The lines of a file that consist of a name and a number."""
    pairs = (line.split() for line in _lines(path))
    return {
        pair[0]: int(pair[1]) for pair in pairs if pair[1:2] and pair[1].isdecimal()
    }


def in_bytes(amount: int) -> str:
    """Say an amount of memory as people do.

    >>> in_bytes(246_824), in_bytes(48 * 10**9)
    ('247 kB', '48.0 GB')
    """
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if amount >= size:
            return f"{amount / size:.1f} {unit}"
    return f"{amount / 1000:.0f} kB"
