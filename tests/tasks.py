"""Work for processes in tests; they import this, as `tests` is a folder of sys.path."""

import os
import time

from striate.errors import DataError

HERE = "STRIATE_TEST_PROCESS"
"""The variable in which a test leaves the number of its own process."""


def elsewhere():
    return os.environ[HERE] != str(os.getpid())


def slowly(first, sources):
    """Who does it, for the places from the first on; processes are ten times as fast."""
    time.sleep((0.0005 if elsewhere() else 0.005) * len(sources))
    return [(first + place, one, os.getpid()) for place, one in enumerate(sources)]


def dying(first, sources):
    """A process ends in the middle of its second share."""
    if elsewhere() and first > 10:
        os._exit(9)
    return slowly(first, sources)


def unable(first, sources):
    """Only the test's own process can read these."""
    if elsewhere():
        return [DataError(one) for one in sources]
    return slowly(first, sources)


def failing(first, sources):
    """No process can do it, for a reason that is nobody's wrong data."""
    raise OSError(28, "No space left on device", f"process {os.getpid()}")


def for_ever(first, sources):
    """A share takes a process longer than any test lasts."""
    time.sleep(600 if elsewhere() else 0.001)
    return [None] * len(sources)
