"""Files are read in processes where that pays, and the results are always the same."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tasks
from PIL import Image, ImageFile

from striate.data import Reading, perimage, process, read_data, workers
from striate.data.workers import Workers
from striate.errors import DataError

SOURCES = [f"image {number}" for number in range(200)]


@pytest.fixture(autouse=True)
def settings(monkeypatch, cache_home):
    monkeypatch.setenv("STRIATE_THREADS", "2")
    monkeypatch.setenv(tasks.HERE, str(os.getpid()))


@pytest.fixture
def ready(monkeypatch):
    """Processes are up before any work begins, however little it is."""
    started = []
    plain = Workers.__init__

    def begin(self, *, quiet):
        plain(self, quiet=quiet)
        self._seconds = self._images = 1
        self._start(1_000_000)
        deadline = time.monotonic() + 60
        while self._idle.qsize() < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        started.extend(self._processes)

    monkeypatch.setattr(Workers, "__init__", begin)
    yield started
    assert all(one._process.returncode is not None for one in started)


def run(work, sources=SOURCES):
    with Workers(quiet=True) as crew:
        return crew.run(work, sources, "testing")


# --- who does the work


@pytest.mark.usefixtures("ready")
def test_processes_do_it_and_results_keep_their_order():
    done = run(tasks.slowly)
    assert [one[:2] for one in done] == list(enumerate(SOURCES))
    assert len({pid for *_, pid in done} - {os.getpid()}) == 2


def test_they_are_started_while_threads_work(monkeypatch):
    monkeypatch.setattr(workers, "TRIAL", 0.0)
    monkeypatch.setattr(workers, "WORTH", 1e-9)
    many = SOURCES * 20
    done = run(tasks.slowly, many)
    assert [one[:2] for one in done] == list(enumerate(many))
    pids = [pid for *_, pid in done]
    assert pids[0] == os.getpid()
    assert len(set(pids)) == 3


@pytest.mark.parametrize(
    ("threads", "trial", "sources"),
    [
        ("2", 0.1, SOURCES[:50]),
        ("1", 0.0, SOURCES),
        ("2", 0.0, [np.zeros((1, 1, 1), np.uint8)] * 200),
    ],
)
def test_short_work_one_thread_and_arrays_need_none(
    threads, trial, sources, monkeypatch
):
    monkeypatch.setenv("STRIATE_THREADS", threads)
    monkeypatch.setattr(workers, "TRIAL", trial)
    monkeypatch.setattr(workers, "WORTH", 1e-9)
    monkeypatch.setattr(workers, "Process", None)
    assert {pid for *_, pid in run(tasks.slowly, sources)} == {os.getpid()}


@pytest.mark.parametrize(
    ("executable", "frozen"),
    [("", False), (None, False), (sys.executable, True), ("/usr/bin/editor", False)],
)
def test_a_program_with_python_inside_is_not_started_again(
    executable, frozen, monkeypatch
):
    monkeypatch.setattr(sys, "executable", executable)
    monkeypatch.setattr(sys, "frozen", frozen, raising=False)
    assert not process.can_start()


def test_threads_do_it_where_no_process_can_be_started(monkeypatch, tmp_path):
    monkeypatch.setattr(workers, "TRIAL", 0.0)
    monkeypatch.setattr(workers, "WORTH", 1e-9)
    mute = tmp_path / "python-that-is-none"
    for content, mode in (("", 0o644), ("#!/bin/sh\nexit 1\n", 0o755)):
        mute.write_text(content)
        mute.chmod(mode)
        monkeypatch.setattr(sys, "executable", str(mute))
        assert {pid for *_, pid in run(tasks.slowly)} == {os.getpid()}


def test_it_is_told_where_pillow_is_set_otherwise(monkeypatch):
    other = process.Process()
    try:
        other.begin()
        assert other.ask(perimage.reader) == perimage.reader()
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        assert other.ask(perimage.reader) != perimage.reader()
    finally:
        other.end()


# --- what goes wrong in a process


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("work", [tasks.dying, tasks.unable])
def test_what_a_process_does_not_do_is_done_here(work):
    done = run(work)
    assert [one[:2] for one in done] == list(enumerate(SOURCES))
    assert done[-1][2] == os.getpid()


@pytest.mark.usefixtures("ready")
def test_an_error_is_the_one_met_here():
    with pytest.raises(OSError, match=f"No space left .* 'process {os.getpid()}'"):
        run(tasks.failing)


@pytest.mark.skipif(os.name == "nt", reason="how a process is interrupted elsewhere")
def test_ctrl_c_ends_the_processes_at_once(ready):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    begun = time.monotonic()

    def press():
        while not ready:
            time.sleep(0.1)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    try:
        threading.Thread(target=press, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            run(tasks.for_ever)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - begun < 60
    assert len(ready) == 2


# --- images


def fill(root):
    """Images of many sizes and modes, and three files that are none."""
    rng = np.random.default_rng(0)
    for number in range(120):
        mode = ("L", "RGB", "RGBA", "P")[number % 4]
        size = rng.integers(20, 60, 2).tolist()
        image = Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8))
        path = root / f"class {number % 3}" / f"{number:03} größe.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.convert(mode).save(path)
    whole = (root / "class 0" / "000 größe.png").read_bytes()
    (root / "class 0" / "cut.png").write_bytes(whole[:300])
    (root / "class 1" / "empty.jpg").write_bytes(b"")
    (root / "class 2" / "bomb.pgm").write_bytes(b"P5 100000 100000 255\n")
    return root


def test_pixels_and_words_are_the_same_as_without(tmp_path, ready, monkeypatch):
    here = []
    plain = perimage.open_source

    def counted(source, draft=None):
        here.append(source)
        return plain(source, draft)

    monkeypatch.setattr(perimage, "open_source", counted)
    reading = Reading(cache=False)
    found = read_data(fill(tmp_path), reading=reading, quiet=True)
    assert {Path(one).name for one in here} == {"cut.png"}
    assert len(ready) == 2
    monkeypatch.undo()
    monkeypatch.setenv("STRIATE_THREADS", "1")
    again = read_data(tmp_path, reading=reading, quiet=True)
    assert found.survey == again.survey
    assert len(found.survey.unreadable) == 3
    assert found.names == again.names
    for name, part in found.parts().items():
        np.testing.assert_array_equal(part.images, again.parts()[name].images)
    with pytest.raises(DataError, match=r"empty\.jpg is empty, and 1 more image"):
        read_data(tmp_path, reading=Reading(cache=False, strict=True), quiet=True)


UNGUARDED = """
import sys, time
from striate.data import perimage, read_data, workers

print("once")
workers.TRIAL, workers.WORTH = 0.0, 1e-9
asked = []

class Counted(workers.Process):
    def ask(self, work, *arguments):
        answer = super().ask(work, *arguments)
        asked.append(work)
        return answer

def slowly(source, draft=None, plain=perimage.open_source):
    time.sleep(0.1)
    return plain(source, draft)

workers.Process = Counted
perimage.open_source = slowly
read_data(sys.argv[1], quiet=True)
print(len(asked) > 4)
"""


def slow_folder(root, count):
    """Names of one large image, which is read for each."""
    root.mkdir()
    large = root / "large.png"
    Image.new("L", (3000, 2000), 77).save(large)
    for number in range(count):
        folder = root / "data" / f"class {number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").symlink_to(large)
    return root / "data"


def test_a_script_without_a_guard_runs_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    # None of them may be taken for the modules of these names.
    for name in ("pickle.py", "numpy.py", "striate.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong one')")
    folder = fill(tmp_path / "data")
    done = subprocess.run(
        [sys.executable, "-P", str(script), str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=120,
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["once", "True"]


COMMAND = """
import sys
from striate.data import workers
workers.TRIAL, workers.WORTH = 0.0, 1e-9
from striate_start import main
main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_ctrl_c_on_a_terminal_is_one_line_and_leaves_nothing(tmp_path, cache_home):
    folder = slow_folder(tmp_path / "slow", 400)
    running = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "data", str(folder)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        process_group=0,
    )
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    deadline = time.monotonic() + 60
    while len(found := children.read_text().split()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (130, b"", b"Error: interrupted\n")
    while any(Path(f"/proc/{one}").exists() for one in found):
        assert time.monotonic() < deadline  # one that just begins ends by itself
        time.sleep(0.05)
    assert [one for one in cache_home.iterdir() if one.name.startswith(".")] == []
    assert sorted(one.name for one in tmp_path.iterdir()) == ["slow"]
