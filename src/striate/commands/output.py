"""Files that verbs write for people: pages and figures, whole or not at all."""

from __future__ import annotations

from ..errors import DataError
from ..saving.files import check_destination, replace_file


def check_output(what: str, path: str) -> None:
    """Raise DataError where a file could not be written, before it is computed."""
    try:
        check_destination(path)
    except OSError as error:
        raise _unwritable(what, path, error) from error


def write_output(what: str, path: str, text: str) -> int:
    """Write text as UTF-8 and return the bytes it takes; DataError where it cannot be."""
    content = text.encode()
    try:
        replace_file(path, content)
    except OSError as error:
        raise _unwritable(what, path, error) from error
    return len(content)


def _unwritable(what: str, path: str, error: OSError) -> DataError:
    return DataError(
        f"The {what} cannot be written as {path}: {error.strerror or error}; name a file "
        "in a folder that exists, may be written and has room."
    )
