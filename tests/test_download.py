"""Downloads from mirrors that misbehave in every way, all of them on this machine."""

import gzip
import hashlib
import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from striate.data import named
from striate.data.download import Patience, download
from striate.errors import DataError

FILE = "train-images-idx3-ubyte.gz"
CONTENT = gzip.compress(np.random.default_rng(0).bytes(100_000))
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PAGE = b"<!DOCTYPE html><title>Please log in to the wireless network</title>"
IMPATIENT = Patience(connect=0.8, window=0.3, rate=10_000, size=200_000)


class Mirror(BaseHTTPRequestHandler):
    """The first folder of a path says how the file is delivered."""

    def do_GET(self):
        self.server.requests.append(self.path)
        with suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, self.path.split("/")[1])()

    def log_message(self, *_):
        pass

    def head(self, status=200, length=None, **headers):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def wait(self):
        self.server.closing.wait(5)

    def drip(self, content):
        for byte in content:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self.server.closing.wait(0.05):
                break

    def good(self):
        self.head(length=len(CONTENT))
        self.wfile.write(CONTENT)

    def unannounced(self):
        self.head()
        self.wfile.write(CONTENT)

    def moved(self):
        self.head(302, 0, Location=f"/good/{FILE}")

    def missing(self):
        self.head(404, 0)

    def broken(self):
        self.head(500, 0)

    def truncated(self):
        self.head(length=len(CONTENT))
        self.wfile.write(CONTENT[:5000])

    def cut(self):
        self.head()
        self.wfile.write(CONTENT[:5000])

    def chunked(self):
        self.protocol_version = "HTTP/1.1"
        self.head(**{"Transfer-Encoding": "chunked"})
        self.wfile.write(b"1000\r\nonly this")

    def altered(self):
        self.head(length=len(CONTENT))
        self.wfile.write(CONTENT[:-1] + b"!")

    def page(self):
        self.head(length=len(PAGE))
        self.wfile.write(PAGE)

    def endless(self):
        self.head()
        while not self.server.closing.is_set():
            self.wfile.write(CONTENT)

    def silent(self):
        self.wait()

    def stalled(self):
        self.head(length=len(CONTENT))
        self.wfile.write(CONTENT[:5000])
        self.wait()

    def dripping(self):
        self.head(length=len(CONTENT))
        self.drip(CONTENT)

    def dripping_head(self):
        self.drip(b"HTTP/1.0 200 OK\r\n" * 100)

    def loop(self):
        self.head(302, 0, Location=self.path)

    def elsewhere(self):
        self.head(302, 0, Location="file:///etc/hostname")

    def nonsense(self):
        self.wfile.write(b"\xff\xfe\x00 this is no HTTP\r\n\r\n")


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.closing, server.requests = threading.Event(), []
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def mirror(server, monkeypatch):
    """The address of a mirror that behaves in the way named."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    server.requests.clear()
    return lambda manner: f"http://127.0.0.1:{server.server_port}/{manner}/"


def fetch(folder, *mirrors, files=None, **options):
    files = files or {FILE: SHA256}
    download(folder, files, mirrors, patience=IMPATIENT, **options)


@pytest.mark.parametrize("manner", ["good", "unannounced", "moved"])
def test_a_file_arrives_whole(mirror, tmp_path, capsys, manner):
    fetch(tmp_path / "new" / "folder", mirror(manner))
    assert (tmp_path / "new" / "folder" / FILE).read_bytes() == CONTENT
    assert os.listdir(tmp_path / "new" / "folder") == [FILE]
    said = capsys.readouterr()
    assert said.out == ""
    assert f"downloading {mirror(manner)}{FILE}" in said.err
    assert "passed over" not in said.err


FAULTS = {
    "missing": "Not Found",
    "broken": "Internal Server Error",
    "truncated": f"broke off after 5,000 of {len(CONTENT):,} bytes",
    "cut": "sent 5,000 bytes that are not the published file",
    "chunked": "broke off",
    "altered": f"sent {len(CONTENT):,} bytes that are not the published file",
    "page": "not the published file",
    "endless": "sent more than 200,000 bytes",
    "silent": "did not answer within 0.8 s",
    "stalled": "sent nothing for 0.8 s",
    "dripping": "is too slow",
    "dripping_head": "did not answer within 0.8 s",
    "loop": "infinite loop",
    "elsewhere": "failed",
    "nonsense": "failed",
}


@pytest.mark.parametrize(("manner", "fault"), FAULTS.items(), ids=FAULTS.keys())
def test_a_bad_mirror_is_passed_over_with_a_word(
    mirror, tmp_path, capsys, manner, fault
):
    began = time.monotonic()
    fetch(tmp_path, mirror(manner), mirror("good"))
    assert time.monotonic() - began < 5
    assert (tmp_path / FILE).read_bytes() == CONTENT
    assert os.listdir(tmp_path) == [FILE]
    lines = capsys.readouterr().err.splitlines()
    passed = [line for line in lines if line.startswith("passed over: ")]
    assert len(passed) == 1
    assert f"{mirror(manner)}{FILE}" in passed[0]
    assert fault in passed[0]


def test_a_port_that_nobody_listens_on(mirror, tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening
        fetch(tmp_path, f"http://127.0.0.1:{taken.getsockname()[1]}/", mirror("good"))
    assert (tmp_path / FILE).exists()
    assert "Connection refused" in capsys.readouterr().err


def test_a_name_that_nobody_knows(mirror, tmp_path, capsys, monkeypatch):
    def lookup(host, *arguments, **options):
        if host == "mirror.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return known(host, *arguments, **options)

    known = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setenv("no_proxy", "127.0.0.1,mirror.invalid")
    fetch(tmp_path, "http://mirror.invalid/", mirror("good"))
    assert "failed (Name or service not known)" in capsys.readouterr().err


def test_when_all_mirrors_fail_every_reason_is_told_and_nothing_is_left(
    mirror, tmp_path
):
    with pytest.raises(DataError) as caught:
        fetch(tmp_path, mirror("missing"), mirror("page"), mirror("truncated"))
    text = str(caught.value)
    assert f"{FILE} could not be had" in text
    assert text.index("Not Found") < text.index("not the published")
    assert text.index("not the published") < text.index("broke off after")
    assert os.listdir(tmp_path) == []


def test_a_failed_mirror_is_tried_last_for_the_files_that_follow(
    mirror, server, tmp_path
):
    files = {"one.gz": SHA256, "two.gz": SHA256}
    fetch(tmp_path, mirror("missing"), mirror("good"), files=files)
    assert server.requests == ["/missing/one.gz", "/good/one.gz", "/good/two.gz"]


def test_two_downloads_at_once_do_not_disturb_each_other(mirror, tmp_path):
    threads = [
        threading.Thread(target=fetch, args=(tmp_path, mirror("good")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / FILE).read_bytes() == CONTENT
    assert os.listdir(tmp_path) == [FILE]


def test_an_interruption_leaves_nothing_behind(mirror, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("striate.data.download._read", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path, mirror("good"))
    assert os.listdir(tmp_path) == []


def test_a_place_that_cannot_be_written_is_named(mirror, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        DataError, match=r"cannot be written to .*file/below: Not a dir"
    ):
        fetch(tmp_path / "file" / "below", mirror("good"))


def test_a_full_disk_is_not_the_mirrors_fault(mirror, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("striate.data.download.os.replace", full)
    with pytest.raises(DataError, match=r"cannot be written to .*No space left"):
        fetch(tmp_path, mirror("good"), mirror("good"))
    assert os.listdir(tmp_path) == []


def test_quiet_is_quiet(mirror, tmp_path, capsys):
    fetch(tmp_path, mirror("missing"), mirror("good"), quiet=True)
    assert capsys.readouterr().err == ""


def test_a_terminal_sees_a_bar(mirror, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    fetch(tmp_path, mirror("good"))
    said = capsys.readouterr().err
    assert FILE in said
    assert "100%" in said
    assert "downloading" not in said


# --- a named data set from end to end


@pytest.fixture
def wanted(mirror, tmp_path, monkeypatch):
    """A data set whose files are all the same and lie on two mirrors, one of them bad."""
    monkeypatch.delenv("STRIATE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    mirrors = (mirror("broken"), mirror("good"))
    return replace(named.MNIST, mirrors=mirrors, sha256=(SHA256,) * 4)


def test_only_files_that_are_missing_are_fetched(wanted, server, tmp_path):
    cache = tmp_path / "striate" / "mnist"
    cache.mkdir(parents=True)
    (cache / "train-labels.idx1-ubyte").touch()
    with pytest.raises(DataError, match="not an IDX file"):  # the content is noise
        named.load_named(wanted, patience=IMPATIENT)
    assert [path.rpartition("/")[2] for path in server.requests] == [
        "train-images-idx3-ubyte.gz",
        "train-images-idx3-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    ]


def test_what_all_mirrors_refuse_ends_in_advice(wanted, mirror, tmp_path):
    bad = replace(wanted, mirrors=(mirror("missing"), mirror("page")))
    with pytest.raises(DataError) as caught:
        named.load_named(bad, patience=IMPATIENT)
    text = str(caught.value)
    assert "Not Found" in text
    assert f"into {tmp_path / 'striate' / 'mnist'}" in text
    assert "STRIATE_DATA" in text
