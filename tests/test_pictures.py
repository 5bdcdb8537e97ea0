"""What pictures need, show and are called, with and without matplotlib."""

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import striate as st
from striate import cli
from striate.commands import pictures
from striate.commands.runreport import plain
from striate.plotting import figure
from striate.plotting.confusion import MOST_CLASSES, most_confused
from striate.plotting.figure import new_figure, safe_name

RNG = np.random.default_rng(0)


def test_without_matplotlib_a_picture_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(figure, "find_spec", lambda name: None)
    with pytest.raises(st.UsageError, match=r"pip install 'striate\[plot\]'"):
        new_figure(1, 1)


def test_a_run_without_matplotlib_goes_on_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pictures, "available", lambda: False)
    folder = tmp_path / "run"
    result = CliRunner().invoke(
        cli.main, ["train", "digits", "--epochs", "1", "--run", str(folder)]
    )
    assert result.exit_code == 0
    assert result.stderr.count("pip install 'striate[plot]'") == 1
    assert not list(folder.glob("*.png"))
    page = (folder / "report.md").read_text()
    assert "![" not in page
    assert re.search(r"^\*\*\S+ % of 359 test images right\*\*", page, re.MULTILINE)
    assert "Not calibrated, for want of a validation part" in page
    assert f"striate predict {folder / 'digits-lenet5.safetensors'} photo.png" in page


def test_names_become_short_printable_lines() -> None:
    names = [safe_name(name) for name in ["a_b$c", "two\nlines", "\udcff", "x" * 200]]
    assert all(name.isprintable() and len(name) <= 20 for name in names)
    assert names[:3] == ["a_b$c", "two?lines", "?"]


def test_of_many_classes_the_most_confused_are_shown() -> None:
    confusion = np.diag(np.full(100, 50)).astype(np.int64)
    confusion[90, 3] = 9
    confusion[5, 60] = 4
    assert most_confused(confusion).tolist() == [3, 5, 60, 90]
    confusion += RNG.integers(0, 3, confusion.shape)
    chosen = most_confused(confusion)
    assert {3, 5, 60, 90} <= set(chosen.tolist())
    assert MOST_CLASSES - 1 <= len(chosen) <= MOST_CLASSES
    assert most_confused(np.diag(np.full(100, 50))).size == MOST_CLASSES
    assert most_confused(confusion[:24, :24]).tolist() == list(range(24))


def test_names_stand_in_a_page_as_they_are() -> None:
    assert plain("two\nlines | *and* [a](b)") == ("two lines \\| \\*and\\* \\[a\\](b)")
    assert plain(7) == "7"
