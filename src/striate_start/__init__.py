"""How the command `striate` starts: outside the package, whose import takes a while.

Ctrl-C is answered by one line and exit code 130 from here on, not by the traceback of
some import; once the command has ended, a late one changes nothing any more.
"""

import contextlib
import os
import signal

INTERRUPTED = 130


def main() -> None:
    """Run the command line of `striate`."""
    heeded = heed() or signal.getsignal(signal.SIGINT) is _leave
    from striate.cli import main as run

    try:
        run(prog_name="striate")
    finally:
        if heeded:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def heed() -> bool:
    """Answer Ctrl-C from now on; not where the parent had it ignored, as for what runs
    in the background. Return whether it is so."""
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeded:
        signal.signal(signal.SIGINT, _leave)
    return heeded


def _leave(*_: object) -> None:
    """End at once: outside of a verb there is nothing to save or to clean up."""
    with contextlib.suppress(OSError):
        os.write(2, b"Error: interrupted\n")
    os._exit(INTERRUPTED)
