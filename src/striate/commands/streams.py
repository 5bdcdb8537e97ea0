"""Streams whose reader may be gone: words that nobody reads must not stop the work."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TextIO, cast

# What moves a terminal's cursor, colours it, turns the direction of writing or cannot
# be encoded; new lines and tabs are left.
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


_WORDS = re.compile(r"--\S+ '[^']*'\S*|\S+")


def printable(text: str) -> str:
    """Spell out control characters: names in files may come from anybody.

    >>> print(printable("cat\\x1b[2J"))
    cat\\x1b[2J
    """
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


def columns(stream: TextIO) -> int:
    """The columns of a terminal that can be used; the last would begin a new line."""
    try:
        known = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        known = 0
    return (known or 80) - 1  # terminals without a size say 0


def wrapped(text: str, width: int) -> str:
    """Break lines that are longer than ``width`` between words.

    What follows is indented by two more. An option stays with its value in quotes, so
    that it can be pasted; what stands in columns stays as it is.

    >>> print(wrapped("  keep them together with --group '^a b' or not", 20))
      keep them
        together with
        --group '^a b'
        or not
    """
    return "\n".join(
        piece for line in text.split("\n") for piece in _pieces(line, width)
    )


def _pieces(line: str, width: int) -> Iterator[str]:
    indent = line[: len(line) - len(line.lstrip())]
    whole = len(line) <= width or "  " in line.strip()
    words = [] if whole else _WORDS.findall(line)
    piece = indent + words[0] if words else line
    for word in words[1:]:
        if len(piece) + 1 + len(word) <= width:
            piece = f"{piece} {word}"
        else:
            yield piece
            piece = f"{indent}  {word}"
    yield piece


class Words:
    """A text stream that goes silent where it cannot be written any more.

    >>> import io
    >>> Words(io.StringIO()).write("epoch 1")
    7
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or drop this and all that follows."""
        try:
            return self._stream.write(text)
        except OSError:
            discard(self._stream)
            return len(text)

    def flush(self) -> None:
        """Flush, or drop this and all that follows."""
        try:
            self._stream.flush()
        except OSError:
            discard(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def dispensable_stderr() -> Iterator[None]:
    """Go on without stderr where it is closed, full or read by nobody."""
    before = sys.stderr
    with ExitStack() as stack:
        stream = before
        if stream is None:  # closed from the start
            stream = stack.enter_context(open(os.devnull, "w"))
        sys.stderr = cast(TextIO, Words(stream))
        try:
            yield
        finally:
            sys.stderr = before


def discard(stream: TextIO) -> None:
    """Let what a stream still holds and will get vanish, so that it ends in peace."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
