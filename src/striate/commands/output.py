"""Files that verbs write for people: pages and figures, whole or not at all."""

from __future__ import annotations

from ..saving.files import check_destination, replace_file, writing


def check_output(what: str, path: str) -> None:
    """Raise DataError where a file could not be written, before it is computed."""
    with writing(what, path):
        check_destination(path)


def write_output(what: str, path: str, text: str) -> int:
    """Write text as UTF-8 and return the bytes it takes; DataError where it cannot be."""
    content = text.encode()
    with writing(what, path):
        replace_file(path, content)
    return len(content)
