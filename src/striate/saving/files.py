"""Writing a file whole or not at all: models, features, pages, pictures."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import DataError


def check_destination(path: str | os.PathLike[str]) -> Path:
    """Return the file that writing to ``path`` replaces, having tried its folder.

    Training can take long: asking before it starts spares a lost result. Raises OSError
    where no file can be written.
    """
    target = Path(os.path.realpath(path))  # a symbolic link stays, its target changes
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "that is a folder", str(path))
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "that is a device, not a file", str(path))
    if not target.parent.is_dir():
        fault = f"there is no folder {target.parent}"
        raise FileNotFoundError(errno.ENOENT, fault, str(path))
    probe = _temporary(target)
    probe.touch(exist_ok=False)
    probe.unlink()
    return target


def replace_file(path: str | os.PathLike[str], content: bytes) -> None:
    """Write ``content`` as a file that is there whole or not at all. Raises OSError.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "a.txt"
    >>> replace_file(file, b"one"), replace_file(file, b"two"), file.read_text()
    (None, None, 'two')
    """
    with replacing(path) as file:
        file.write(content)


@contextmanager
def writing(what: str, path: str | os.PathLike[str]) -> Iterator[None]:
    """Say in words, by DataError, why what a user asked for cannot be written."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"The {what} cannot be written as {os.fspath(path)}: "
            f"{error.strerror or error}; name a file in a folder that exists, may be "
            "written and has room."
        ) from error


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Give a temporary file in the same folder; after the block, fsync and rename.

    A reader sees the old file or the new one; after any error, interruption or power
    cut the old one is still there. A new file gets the mode the umask allows, a
    replaced one keeps its own. Raises OSError.
    """
    target = check_destination(path)
    temporary = _temporary(target)
    try:
        with open(temporary, "xb") as file:
            if target.exists():
                os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _temporary(target: Path) -> Path:
    return target.with_name(f".striate-{os.urandom(6).hex()}.tmp")


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where the file system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # a folder may be writable and yet not readable
        return
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems cannot; the file is whole all the same
        pass
    finally:
        os.close(descriptor)
