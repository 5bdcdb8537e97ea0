"""Files that verbs write for people: pages and figures, whole or not at all."""

from __future__ import annotations

import os

from ..errors import DataError, UsageError
from ..saving.files import check_destination, replace_file


def keep_inputs(path: str, *inputs: str | None) -> None:
    """Raise UsageError where a file to write is one of those that a verb reads."""
    for one in inputs:
        if (
            one
            and os.path.exists(one)
            and os.path.realpath(one) == os.path.realpath(path)
        ):
            raise UsageError(
                f"{path} is what is read here, and would be overwritten; give another "
                "file to write."
            )


def check_output(what: str, path: str, *inputs: str | None) -> None:
    """Refuse, before anything is computed, a file that could not be written.

    Raises DataError for that, UsageError where it is one of the `inputs`.
    """
    keep_inputs(path, *inputs)
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
