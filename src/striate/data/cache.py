"""What was computed from a data set is kept in the user's cache, by its content.

An entry is a folder named by its key. It is built under another name and renamed when it
is whole, so that runs that share the cache see all of it or nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ..errors import DataError
from .named import cache_folder

MOST_BYTES = 20 << 30  # of all entries; those not used for longest go first
ABANDONED = 24 * 3600.0  # seconds after which a half-built entry is nobody's any more
BUILDING = ".building-"

Content = TypeVar("Content")


def cached(
    key: str,
    build: Callable[[Path], None],
    read: Callable[[Path], Content],
    *,
    keep: bool = True,
) -> Content:
    """The content of the entry `key`, which is built where there is none.

    Arguments:
        key: names the entry; the same content must always get the same key.
        build: writes the entry's files into an empty folder.
        read: reads them, or raises where they are damaged; then they are built anew.
            Files that it maps stay mapped when the entry is removed.
        keep: False builds it in the folder for temporary files and leaves nothing.

    Raises DataError where there is no room for the files.
    """
    entry = decoded_folder() / key if keep else None
    if entry:
        with contextlib.suppress(Exception):  # missing, or damaged in any way
            content = read(entry)
            os.utime(entry)  # used now
            return content
    building = _new_folder(entry)
    try:
        build(building)
        content = read(building)
        if entry and building.parent == entry.parent:
            _publish(building, entry)
        return content
    except OSError as error:
        raise DataError(
            f"the decoded images cannot be written to {building.parent}: "
            f"{error.strerror or error}; make room, or let XDG_CACHE_HOME (with "
            "--no-cache TMPDIR) name a folder that has it"
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def decoded_folder() -> Path:
    """Where entries lie; it may be deleted at any time, also while it is used."""
    return cache_folder() / "decoded"


def _new_folder(entry: Path | None) -> Path:
    """An empty folder to build in; a cache that cannot be written is done without."""
    if entry:
        with contextlib.suppress(OSError):
            entry.parent.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(prefix=BUILDING, dir=entry.parent))
    return Path(tempfile.mkdtemp(prefix="striate-"))


def _publish(building: Path, entry: Path) -> None:
    """Give a whole entry its name, unless another run was first."""
    with contextlib.suppress(OSError):
        if entry.exists():  # damaged, or it would have been read
            os.rename(entry, building / "damaged")
        os.rename(building, entry)
        _tidy(entry)


def _tidy(newest: Path) -> None:
    """Remove what was abandoned, and the entries used longest ago beyond the limit."""
    entries = []
    for folder in newest.parent.iterdir():
        changed = folder.stat().st_mtime
        if folder.name.startswith(BUILDING):
            if time.time() - changed > ABANDONED:
                shutil.rmtree(folder, ignore_errors=True)
        elif folder != newest:
            entries.append((changed, folder))
    room = MOST_BYTES - _bytes(newest)
    for _, folder in sorted(entries, reverse=True):
        room -= _bytes(folder)
        if room < 0:
            shutil.rmtree(folder, ignore_errors=True)


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())
