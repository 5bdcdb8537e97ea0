"""Long lines on a terminal: broken between words, and never elsewhere."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from striate.commands.streams import wrapped


@given(some.lists(some.text("abc-'", min_size=1), min_size=1), some.integers(1, 60))
def test_no_word_is_lost_and_lines_fit(words: list[str], width: int) -> None:
    text = " ".join(words)
    broken = wrapped(text, width)
    assert broken.split() == text.split()
    for line in broken.splitlines():
        assert len(line) <= width or len(line.split()) == 1 or "--" in line


def test_what_is_pasted_and_what_stands_in_columns_stays_whole() -> None:
    pasted = "keep each together with --group '^a film (.+)_' (9 groups)"
    assert "  --group '^a film (.+)_' (9" in wrapped(pasted, 30).splitlines()[1]
    table = "  class        training  validation\n  a                   1           2"
    assert wrapped(table, 20) == table
    assert wrapped("short", 20) == "short"


def test_notes_are_broken_on_a_terminal_only(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "striate", "summary", str(tmp_path / ("x" * 90))]
    master, terminal = pty.openpty()
    subprocess.run(command, check=False, stderr=terminal, stdin=subprocess.DEVNULL)
    os.close(terminal)
    told = os.read(master, 10_000).decode().splitlines()
    os.close(master)
    plain = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
    assert plain.stderr.count("\n") == 1
    assert len(told) > 2
    assert "".join("".join(told).split()).endswith("".join(plain.stderr[7:].split()))
    assert max(len(line) for line in told[2:]) < 80


@pytest.mark.parametrize("option", ["-q", "--json"])
def test_a_result_that_nobody_can_get_is_no_success(option: str) -> None:
    verb = [sys.executable, "-m", "striate", "summary", "lenet5", option]
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *verb]
    result = subprocess.run(
        closed, check=False, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1
    assert "the result cannot be written: stdout is closed" in result.stderr
    assert "should not happen" not in result.stderr
