"""A process that works for this one: how it starts, and what the two tell each other.

Neither a fork, which threads make unsafe, nor multiprocessing's spawn, which would run
the user's script again where that has no `if __name__ == "__main__"`.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import warnings
from collections.abc import Callable
from typing import IO, Any

# Packages are searched for in the same folders as here. Of Striate's own only the named
# modules are imported, not all that its packages do: that halves the time to start.
_START = f"""
import pickle, sys, types
sys.path[:], packages = pickle.load(sys.stdin.buffer)
for name, folders in packages:
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = folders
from {__name__} import serve
serve()
"""
LOST = (OSError, EOFError, ValueError, pickle.PickleError)
"""What `Process.ask` raises where the process has ended: its pipes are broken, or
closed."""


def can_start() -> bool:
    """Whether this program is a Python that can be started once more.

    Programs that are frozen, or have Python built in, would start all over again.
    """
    name = os.path.basename(sys.executable or "").lower()
    return name.startswith("python") and not getattr(sys, "frozen", False)


class Process:
    """A process of its own that calls functions; it ends when this one does.

    Raises OSError where the system starts none.
    """

    def __init__(self) -> None:
        import subprocess

        self._process = subprocess.Popen(
            [sys.executable, *_flags(), "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # NumPy's, not needed
            # In a group of its own, so that Ctrl-C is for this process to answer.
            process_group=0,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._jobs, self._answers = self._process.stdin, self._process.stdout

    def begin(self) -> None:
        """Let it import what it needs, from where this process has it."""
        folders = [one for one in sys.path if isinstance(one, str)]
        _send(self._jobs, (folders, _packages()))

    def ask(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """What a function of a module gives there; raises one of `LOST` if it fails."""
        _send(self._jobs, (work, arguments))
        return pickle.load(self._answers)

    def end(self) -> None:
        """End it at once, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._jobs, self._answers):
            with contextlib.suppress(OSError):  # words that nobody reads any more
                pipe.close()


def serve() -> None:
    """Do what is asked on stdin until that ends; the only thing such a process does.

    A function that fails ends it: who asked can call that again, and see why.
    """
    warnings.simplefilter("ignore")
    jobs, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed is no answer
    with contextlib.suppress(*LOST):
        while True:
            work, arguments = pickle.load(jobs)
            _send(answers, work(*arguments))


def _packages() -> list[tuple[str, list[str]]]:
    """The packages that this module is in, outermost first, and where they lie."""
    parts = __name__.split(".")[:-1]
    names = [".".join(parts[: end + 1]) for end in range(len(parts))]
    return [(name, list(sys.modules[name].__path__)) for name in names]


def _flags() -> list[str]:
    """What Python was started with that decides where it finds packages and files."""
    flags = {
        "-E": sys.flags.ignore_environment,
        "-B": sys.flags.dont_write_bytecode,
        "-s": sys.flags.no_user_site,
        "-S": sys.flags.no_site,
    }
    given = [flag for flag, wanted in flags.items() if wanted]
    return ["-P", f"-Xutf8={sys.flags.utf8_mode}", *given]


def _send(pipe: IO[bytes], message: object) -> None:
    pickle.dump(message, pipe)
    pipe.flush()
