"""The cache of decoded images: used again, made anew, shared, and done without."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from noise_files import fill, pixels, read

from striate.data import cache, index, perimage
from striate.errors import DataError

pytestmark = pytest.mark.usefixtures("cache_home")


@pytest.fixture
def no_decoding(monkeypatch):
    """From the moment it is called on, decoding is an error."""

    def forbid():
        def refuse(*_, **__):
            raise AssertionError("decoded again")

        monkeypatch.setattr(perimage, "open_source", refuse)

    return forbid


def old(root):
    """Wait until the files cannot have changed within one tick of the clock."""
    time.sleep(index.TICK / 1e9 + 0.02)
    return root


def test_a_second_reading_decodes_nothing(tmp_path, no_decoding, cache_home):
    root = old(fill(tmp_path / "a", [(12, 14)] * 20))
    first = read(root)
    no_decoding()
    again = read(root)
    assert pixels(again).keys() == pixels(first).keys()
    np.testing.assert_array_equal(again.training.images, first.training.images)
    assert again.survey == first.survey
    os.rename(root, tmp_path / "b")  # the content is the same, wherever it lies
    for file in cache_home.glob("index-*/*"):
        assert file.stat().st_size
    with pytest.raises(AssertionError, match="decoded again"):
        read(tmp_path / "b", fit="stretch", size=(9, 9))


def test_a_changed_file_is_noticed_whatever_its_times_say(tmp_path):
    root = old(fill(tmp_path, [(12, 12)] * 20))
    read(root)
    path = root / "class 0" / "00000.png"
    before = path.stat()
    path.write_bytes((root / "class 0" / "00002.png").read_bytes())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    found = pixels(read(root))
    np.testing.assert_array_equal(
        found["class 0/00000.png"], found["class 0/00002.png"]
    )


def test_a_damaged_entry_is_made_anew(tmp_path, cache_home):
    root = old(fill(tmp_path, [(12, 12)] * 20))
    first = np.array(read(root).training.images)
    entries = sorted(cache_home.iterdir())
    assert [entry.name.split("-")[0] for entry in entries] == ["index", "pixels"]
    for entry in entries:
        for file in entry.iterdir():
            whole = file.read_bytes()
            for content in (whole[: len(whole) // 2], b"", None):
                if content is None:
                    file.unlink()
                else:
                    file.write_bytes(content)
                np.testing.assert_array_equal(read(root).training.images, first)
                assert file.read_bytes() == whole
    assert sorted(cache_home.iterdir()) == entries


def test_without_the_cache_nothing_is_left(tmp_path, cache_home, monkeypatch):
    spare = tmp_path / "tmp"
    spare.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(spare))
    data = read(fill(tmp_path / "a", [(12, 12)] * 20), cache=False)
    assert list(spare.iterdir()) == []
    assert not cache_home.exists()
    assert data.training.images.mean() > 0  # still mapped


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(read(fill(tmp_path / "a", [(12, 12)] * 20)).training) > 0


@pytest.fixture
def little_room():
    """No file can become longer than 200 kB; that is what a full disk looks like."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("little_room")
def test_no_room_for_the_pixels_is_told_and_leaves_nothing(tmp_path, cache_home):
    root = fill(tmp_path, [(12, 12)] * 20)
    with pytest.raises(
        DataError, match=r"cannot be written to .* File too large; make room"
    ):
        read(root, size=100)
    assert [entry.name.split("-")[0] for entry in cache_home.iterdir()] in (
        [],
        ["index"],
    )


def test_the_entries_used_longest_ago_make_room(tmp_path, cache_home, monkeypatch):
    read(fill(tmp_path / "a", [(12, 12)] * 20), size=(100, 100))
    read(fill(tmp_path / "b", [(12, 12)] * 20, start=100))
    pixels_a, pixels_b = sorted(
        cache_home.glob("pixels-*"), key=lambda one: one.stat().st_mtime
    )
    os.utime(pixels_a, (1, 1))
    left_behind = cache_home / f"{cache.BUILDING}crashed"
    left_behind.mkdir()
    os.utime(left_behind, (1, 1))
    monkeypatch.setattr(cache, "MOST_BYTES", 200_000)
    read(fill(tmp_path / "c", [(12, 12)] * 20, start=200))
    assert not pixels_a.exists()
    assert not left_behind.exists()
    assert pixels_b.exists()


SUM = """
import sys
from striate.data import read_data
print(int(read_data(sys.argv[1], quiet=True).training.images.sum()))
"""


def test_runs_share_the_cache(tmp_path, cache_home):
    root = old(fill(tmp_path, [(20, 20)] * 60))
    command = [sys.executable, "-c", SUM, str(root)]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    sums = {run.communicate(timeout=60)[0] for run in runs}
    assert sums == {f"{read(root).training.images.sum()}\n".encode()}
    kinds = sorted(entry.name.split("-")[0] for entry in cache_home.iterdir())
    assert kinds == ["index", "pixels"]
