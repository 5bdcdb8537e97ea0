"""Ctrl-C and streams nobody reads: a model that was trained is never lost."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from striate import cli
from striate.commands import outcome, train
from striate.commands.interrupts import Interrupts, interruptible
from striate.network import Network, load
from striate.training import fit


@pytest.fixture(autouse=True)
def as_in_a_terminal() -> Iterator[None]:
    """Heed Ctrl-C also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press(times: int = 1) -> None:
    for _ in range(times):
        signal.raise_signal(signal.SIGINT)


def train_digits(path: Path, *options: str) -> Any:
    arguments = ["train", "digits", "--epochs", "1", "-o", str(path), *options]
    return CliRunner().invoke(cli.main, arguments)


def wrap(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, before: int, after: int
) -> None:
    """Press Ctrl-C so often before and after a function that is called."""
    plain = getattr(owner, name)

    def pressed(*arguments: Any, **options: Any) -> Any:
        press(before)
        result = plain(*arguments, **options)
        press(after)
        return result

    monkeypatch.setattr(owner, name, pressed)


def test_ctrl_c_after_the_last_epoch_saves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = fit._Record.write

    def late(self: Any, ending: str) -> None:
        if ending == "completed":
            press()
        write(self, ending)

    monkeypatch.setattr(fit._Record, "write", late)
    result = train_digits(tmp_path / "m")
    assert result.exit_code == 130
    assert "Interrupted in epoch 1 of 1, near step 45 of 45" in result.stderr
    training = load(tmp_path / "m").training
    assert (training["ending"], training["epochs"]) == ("interrupted", 1)


@pytest.mark.parametrize("owner", [Network, train])
def test_ctrl_c_waits_for_the_save(
    owner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "save" if owner is Network else "_save"
    wrap(monkeypatch, owner, name, before=1, after=1)
    result = train_digits(tmp_path / "m")
    assert result.exit_code == 130
    assert f"interrupted; the model is saved as {tmp_path / 'm'}" in result.stderr
    assert load(tmp_path / "m").training["ending"] == "completed"


def test_a_second_ctrl_c_waits_for_the_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrap(monkeypatch, train, "follow", before=0, after=2)
    monkeypatch.setattr(
        "striate.commands.course.Course.on_epoch_end", lambda *_: press()
    )
    result = train_digits(tmp_path / "m")
    assert result.exit_code == 130
    assert "Interrupted in epoch 1 of 1" in result.stderr
    assert f"interrupted; the model is saved as {tmp_path / 'm'}" in result.stderr
    load(tmp_path / "m")


def test_an_interrupted_evaluation_names_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrap(monkeypatch, outcome.Report, "of", before=1, after=0)
    result = train_digits(tmp_path / "m")
    assert result.exit_code == 130
    assert result.stdout == ""
    assert result.stderr.endswith(
        f"Error: interrupted; the model is saved as {tmp_path / 'm'}\n"
    )


def test_ctrl_c_that_waits_ends_what_follows() -> None:
    steps = []

    def prepare() -> None:
        with Interrupts() as interrupts:
            press()
            steps.append("prepared")
            with interrupts.heeded():
                steps.append("never")

    def save() -> None:
        with Interrupts():
            press(2)
            steps.append("saved")

    for work in (prepare, save):
        with pytest.raises(KeyboardInterrupt):
            work()
    assert steps == ["prepared", "saved"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_that_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interruptible(), Interrupts() as interrupts, interrupts.heeded():
        press(2)


# --- as a process of its own ---------------------------------------------------------


ENTERED = """
import atexit, os, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)
place = sys.argv.pop(1)

class Presser:
    def find_spec(self, name, path=None, target=None):
        if name == place:
            os.kill(os.getpid(), signal.SIGINT)

def at_the_end():
    if place == "exit":
        os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Presser())
atexit.register(at_the_end)
from striate_start import main
main()
"""


def enter(place: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", ENTERED, place, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("place", ["numpy", "striate.network", "striate.zoo", "click"])
def test_ctrl_c_while_starting_is_one_line(place: str) -> None:
    ended = enter(place, "summary", "lenet5")
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr == "Error: interrupted\n"


def test_ctrl_c_after_the_end_changes_nothing() -> None:
    ended = enter("exit", "summary", "lenet5")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "61,706" in ended.stdout


STRIATE = f"{shlex.quote(sys.executable)} -m striate"


@pytest.mark.parametrize(
    ("redirection", "shown"),
    [
        ("2>&-", 1),
        ("2>/dev/full", 1),
        ("2> >(exec 0<&-)", 1),
        ("2>&1 | :", 0),
    ],
)
def test_a_run_goes_on_where_nobody_reads_its_words(
    redirection: str, shown: int, tmp_path: Path
) -> None:
    """What is left of a pipe's exit code is the first command's."""
    command = (
        f"set -o pipefail; {STRIATE} train digits --epochs 1 -o m --run r --json "
        f"{redirection}"
    )
    ended = subprocess.run(
        ["bash", "-c", command],
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0
    assert load(tmp_path / "m").training["ending"] == "completed"
    assert (tmp_path / "r" / "report.md").exists()
    lines = ended.stdout.splitlines()
    assert [json.loads(line)["model"] for line in lines] == ["m"] * shown


def test_wrong_usage_keeps_its_code_where_nobody_reads_why() -> None:
    for verb in ("train", "nothing"):
        command = f"{STRIATE} {verb} 2>/dev/full"
        assert os.waitstatus_to_exitcode(os.system(command)) == 2


def test_results_without_room_are_an_error_told_once() -> None:
    ended = subprocess.run(
        ["bash", "-c", f"{STRIATE} summary lenet5 >/dev/full"],
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr == "Error: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("command", [["-m", "striate"], ["-c", "STARTED"]])
def test_ctrl_c_while_it_still_imports_is_one_line(
    command: list[str], tmp_path: Path
) -> None:
    """NumPy, or what stands in for it, is the first that is imported from elsewhere."""
    (tmp_path / "numpy.py").write_text("import signal; signal.raise_signal(2)")
    started = "from striate_start import main; main()"
    words = [one.replace("STARTED", started) for one in command]
    ended = subprocess.run(
        [sys.executable, *words, "doctor"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (130, "Error: interrupted\n")
