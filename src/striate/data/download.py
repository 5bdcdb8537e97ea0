"""Fetching published files from mirrors that may fail in every way."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import DataError

if TYPE_CHECKING:
    from http.client import HTTPResponse

CHUNK = 1 << 16


@dataclass(frozen=True)
class Patience:
    """How long a mirror is waited for.

    Arguments:
        connect: seconds until it must answer, and between two pieces of a file.
        window: seconds over which its speed is judged, again and again.
        rate: bytes a second that it must deliver over each window.
        size: bytes beyond which a file can't be the right one.
    """

    connect: float = 10.0
    window: float = 15.0
    rate: float = 10_000.0
    size: int = 1 << 28


class MirrorError(Exception):
    """Why one mirror did not deliver; the next one is tried."""


def download(
    folder: Path,
    files: Mapping[str, str],
    mirrors: Sequence[str],
    *,
    patience: Patience | None = None,
    quiet: bool = False,
) -> None:
    """Fetch `files` into `folder`, each from the first mirror that delivers it.

    A file appears under its name only when it is whole and its sum is right, so that
    several processes may download the same files at once.

    Arguments:
        folder: where the files shall lie; made where it is missing.
        files: the published SHA-256, in hex, of every file name.
        mirrors: addresses that end in a slash, tried in turn. One that failed is
            tried last for the files that follow.
        patience: how long a mirror is waited for.
        quiet: say nothing on stderr.

    Raises DataError when no mirror delivers a file, or when it can't be written.
    """
    patience = patience or Patience()
    order = list(mirrors)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, sha256 in files.items():
            failures = []
            for mirror in tuple(order):
                try:
                    _deliver(folder / file, mirror + file, sha256, patience, quiet)
                    break
                except MirrorError as error:
                    failures.append(f"{mirror}{file} {error}")
                    _say(f"passed over: {failures[-1]}", quiet)
                    order.append(order.pop(0))
            else:
                raise DataError(f"{file} could not be had: {'; '.join(failures)}")
    except OSError as error:
        raise DataError(
            f"downloads cannot be written to {folder}: {error.strerror or error}"
        ) from error


def _say(text: str, quiet: bool) -> None:
    """One line on stderr, where everything goes that is not a result."""
    if not quiet:
        print(text, file=sys.stderr, flush=True)


def _deliver(
    target: Path, url: str, sha256: str, patience: Patience, quiet: bool
) -> None:
    """One file from one mirror: to a temporary name, checked, then renamed."""
    import hashlib

    digest = hashlib.sha256()
    handle, temporary = tempfile.mkstemp(".part", f"{target.name}.", target.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            for piece in _receive(url, patience, quiet):
                digest.update(piece)
                out.write(piece)
            received = out.tell()
        if digest.hexdigest() != sha256:
            raise MirrorError(
                f"sent {received:,} bytes that are not the published file (SHA-256 "
                f"{digest.hexdigest()[:12]}... instead of {sha256[:12]}...)"
            )
        os.replace(temporary, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _receive(url: str, patience: Patience, quiet: bool) -> Iterator[bytes]:
    """The pieces of a file as they come; MirrorError when they don't, or too slowly."""
    with _open(url, patience.connect) as response:
        total = getattr(response, "length", None)  # Content-Length, if it makes sense
        received = counted = 0
        since = time.monotonic()
        with _progress(url, total, quiet) as progress:
            while piece := _read(response, patience.connect):
                received += len(piece)
                if received > patience.size:
                    raise MirrorError(f"sent more than {patience.size:,} bytes")
                progress.update(len(piece))
                yield piece
                elapsed = time.monotonic() - since
                if elapsed >= patience.window:
                    speed = (received - counted) / elapsed
                    if speed < patience.rate:
                        raise MirrorError(
                            f"is too slow, {speed:,.0f} bytes a second over "
                            f"{elapsed:.0f} s"
                        )
                    since, counted = time.monotonic(), received
        if total is not None and received < total:
            raise MirrorError(f"broke off after {received:,} of {total:,} bytes")


def _read(response: HTTPResponse, seconds: float) -> bytes:
    from http.client import HTTPException

    try:
        return response.read1(CHUNK)
    except TimeoutError as error:
        raise MirrorError(f"sent nothing for {seconds:g} s") from error
    except (OSError, HTTPException, ValueError) as error:
        raise MirrorError(f"broke off ({_reason(error)})") from error


@contextmanager
def _open(url: str, seconds: float) -> Iterator[HTTPResponse]:
    """The response to a request, or MirrorError after so many seconds.

    The request runs in a thread of its own: looking up a name can't be timed out,
    and headers can come drop by drop, each in time.
    """
    answers: queue.SimpleQueue[HTTPResponse | Exception] = queue.SimpleQueue()
    given_up = threading.Event()

    def request() -> None:
        from urllib.request import Request, urlopen

        try:
            headers = {"User-Agent": "striate"}
            answers.put(urlopen(Request(url, headers=headers), timeout=seconds))
        except Exception as error:  # noqa: BLE001 - told by the thread that waits
            answers.put(error)
        if given_up.is_set():
            _drop(answers)

    threading.Thread(target=request, name="striate-download", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        given_up.set()
        _drop(answers)  # one that came just now
        raise MirrorError(f"did not answer within {seconds:g} s") from None
    if isinstance(answer, TimeoutError):
        raise MirrorError(f"did not answer within {seconds:g} s") from answer
    if isinstance(answer, Exception):
        raise MirrorError(f"failed ({_reason(answer)})") from answer
    with answer:
        yield answer


def _drop(answers: queue.SimpleQueue[HTTPResponse | Exception]) -> None:
    """Close the connection of an answer that comes too late."""
    with contextlib.suppress(queue.Empty):
        close = getattr(answers.get_nowait(), "close", None)
        if close is not None:
            close()


def _reason(error: BaseException) -> str:
    """An error of urllib in a few words, on one line."""
    from urllib.error import HTTPError, URLError

    if isinstance(error, HTTPError):
        error.close()
    elif isinstance(error, URLError) and isinstance(error.reason, OSError):
        error = error.reason
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())


class _Progress(Protocol):
    def update(self, bytes_more: int, /) -> Any: ...


class _NoProgress:
    def update(self, bytes_more: int, /) -> None:
        """Progress is drawn on terminals only."""


@contextmanager
def _progress(url: str, total: int | None, quiet: bool) -> Iterator[_Progress]:
    """A bar on a terminal, a plain line elsewhere, nothing when quiet."""
    if quiet or not sys.stderr.isatty():
        size = "" if total is None else f" ({total:,} bytes)"
        _say(f"downloading {url}{size}", quiet)
        yield _NoProgress()
        return
    from tqdm import tqdm

    name = url.rpartition("/")[2]
    with tqdm(
        total=total, desc=name, unit="B", unit_scale=True, mininterval=0.1
    ) as bar:
        yield bar
