"""`striate doctor`: what this installation has, and whether it computes rightly."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import click

from .. import _core
from ..data import NAMES, cache_folder
from ..data.idx_folder import FILES, find_idx_files
from ..data.load import NAMED
from ..data.named import search_folders
from ..engine.machine import convolution, instruction_set, thread_count
from .console import FAILED, Console, common_options
from .runfolder import versions

CASES = 40  # random cases of the kernels; a second or so


@click.command()
@common_options
def doctor(console: Console, /) -> int:
    """Show what this machine offers, and test the kernels.

    Tells versions, processor, threads and where known data lie. Compares the fast kernels
    with the plain reference on random cases; the exit code is 1 when they differ. Four environment variables change what is used: STRIATE_ISA,
    STRIATE_CONVOLUTION (auto, or direct: without Winograd's filtering), STRIATE_THREADS
    and STRIATE_DATA.
    """
    used = instruction_set()
    failures = _core.selftest(used, 0, CASES)
    values: dict[str, Any] = {
        "versions": versions(),
        "isa": used,
        "isas": list(_core.isas()),
        "convolution": convolution(),
        "threads": thread_count(),
        "hardware_threads": _core.hardware_threads(),
        "cache": str(cache_folder()),
        "cache_exists": cache_folder().is_dir(),
        "STRIATE_DATA": os.environ.get("STRIATE_DATA"),
        "data": dict(_find_data()),
        "selftest": {"cases": CASES, "failures": list(failures)},
    }
    console.result("\n".join(_lines(values)), values)
    return FAILED if failures else 0


def _find_data() -> Iterator[tuple[str, str | None]]:
    """Yield every named data set and the folder it lies in, None where it is missing."""
    for name in NAMES:
        if name not in NAMED:
            yield name, "built in"
            continue
        folders = search_folders(NAMED[name])
        whole = (one for one in folders if len(find_idx_files(one)) == len(FILES))
        found = next(whole, None)
        yield name, None if found is None else str(found)


def _lines(values: dict[str, Any]) -> Iterator[str]:
    for name, number in values["versions"].items():
        yield f"{name:16}{number}"
    others = ", ".join(one for one in values["isas"] if one != values["isa"])
    yield f"{'instructions':16}{values['isa']} (also here: {others or 'none'})"
    ways = {
        "auto": "Winograd's filtering or direct, by shape",
        "direct": "none filtered",
    }
    yield f"{'convolution':16}{values['convolution']} ({ways[values['convolution']]})"
    yield f"{'threads':16}{values['threads']} (processors: {values['hardware_threads']})"
    there = "" if values["cache_exists"] else " (not there yet)"
    yield f"{'cache':16}{values['cache']}{there}"
    yield f"{'STRIATE_DATA':16}{values['STRIATE_DATA'] or 'not set'}"
    for name, place in values["data"].items():
        missing = "not found; downloaded when first used"
        yield f"{name:16}{place or missing}"
    failures = values["selftest"]["failures"]
    cases = f"{values['selftest']['cases']} cases"
    yield f"{'self-test':16}{len(failures) or 'no'} failures in {cases}"
    yield from failures
