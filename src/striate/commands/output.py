"""Files that verbs write for people: pages and figures, whole or not at all."""

from __future__ import annotations

import os

from ..errors import UsageError
from ..saving.files import check_destination, replace_file, writing


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
    with writing(what, path):
        check_destination(path)


def write_output(what: str, path: str, text: str) -> int:
    """Write text as UTF-8 and return the bytes it takes; DataError where it cannot be."""
    content = text.encode()
    with writing(what, path):
        replace_file(path, content)
    return len(content)
