"""What every verb shares: where words go, the common options, the exit codes."""

from __future__ import annotations

import errno
import functools
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TextIO

import click

from ..accuracy import Report
from ..engine.machine import convolution, instruction_set
from ..errors import DataError, ModelFileError, ShapeError, StriateError, UsageError
from .streams import columns, discard, printable, wrapped

FAILED, WRONG_USAGE, BAD_DATA, TARGET_MISSED, INTERRUPTED = 1, 2, 3, 4, 130

# What errors find out from click's context: whether -v was given, and the file of a
# model that is safe already.
VERBOSE, SAVED = "striate.verbose", "striate.saved"

Parameters = ParamSpec("Parameters")


@dataclass(frozen=True)
class Console:
    """Results go to stdout, as text or as JSON; all other words go to stderr."""

    json: bool
    quiet: bool
    verbose: bool

    @property
    def live(self) -> bool:
        """Whether stderr is a terminal on which a line can be drawn again."""
        return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def note(self, text: str) -> None:
        """Say something about the work, unless the user wants quiet."""
        if not self.quiet:
            click.echo(on_terminal(text, sys.stderr), err=True)

    def detail(self, text: str) -> None:
        """Say something only to those who asked for more with -v."""
        if self.verbose:
            click.echo(on_terminal(text, sys.stderr), err=True)

    def problem(self, text: str) -> None:
        """Say what went wrong; that is never left out."""
        complain(text)

    def result(self, text: str, values: Mapping[str, Any]) -> None:
        """Give a result: ``text`` to people, ``values`` as one line of JSON to programs.

        Raises BrokenPipeError where the reader of a pipe is gone, OSError where there is
        no room or stdout was closed from the start; either is told once and not again
        when Python ends.
        """
        if sys.stdout is None:
            raise OSError(errno.EBADF, "the result cannot be written: stdout is closed")
        try:
            click.echo(
                json.dumps(values) if self.json else on_terminal(text, sys.stdout)
            )
        except OSError:
            discard(sys.stdout)
            raise


def complain(text: str) -> None:
    """Say on stderr what went wrong."""
    words = on_terminal(f"Error: {text}", sys.stderr).removeprefix("Error")
    click.echo(f"{click.style('Error', fg='red')}{words}", err=True)


def on_terminal(text: str, stream: TextIO) -> str:
    """Make text printable; where the stream is a terminal, no longer than its lines."""
    text = printable(text)
    return wrapped(text, columns(stream)) if stream.isatty() else text


def common_options(
    verb: Callable[Concatenate[Console, Parameters], int],
) -> Callable[Parameters, None]:
    """Give a verb --json, -q and -v; it takes a console and returns its exit code."""

    @click.option("--json", "as_json", is_flag=True, help="Print results as JSON.")
    @click.option(
        "-q", "--quiet", is_flag=True, help="Results only: no progress or notes."
    )
    @click.option("-v", "--verbose", is_flag=True, help="Say more about what is done.")
    @functools.wraps(verb)
    def with_console(*arguments: Parameters.args, **options: Parameters.kwargs) -> None:
        context = click.get_current_context()
        as_json, quiet, verbose = (
            bool(options.pop(name)) for name in ("as_json", "quiet", "verbose")
        )
        if quiet and verbose:
            raise click.UsageError("-q and -v contradict each other; give one of them.")
        context.meta[VERBOSE] = verbose
        # A wrong STRIATE_ISA or STRIATE_CONVOLUTION is told before anything is done.
        instruction_set()
        convolution()
        context.exit(verb(Console(as_json, quiet, verbose), *arguments, **options))

    return with_console


def exit_code(error: StriateError) -> int:
    """Return the code with which a program that met this error ends.

    >>> exit_code(DataError("no images")), exit_code(UsageError("no such option"))
    (3, 2)
    """
    if isinstance(error, DataError | ModelFileError | ShapeError):
        return BAD_DATA
    return WRONG_USAGE if isinstance(error, UsageError) else FAILED


def target(
    console: Console, report: Report, fail_under: float | None, what: str = "test"
) -> int:
    """Return the exit code for an accuracy that had to reach a target, or None had to."""
    if fail_under is None or report.accuracy >= fail_under:
        return 0
    console.problem(
        f"the {what} accuracy of {percent(report.accuracy)} is below the target of "
        f"{percent(fail_under)}."
    )
    return TARGET_MISSED


def percent(share: float) -> str:
    """Write a share of 1 as per cent.

    >>> percent(0.9922)
    '99.22 %'
    """
    return f"{100 * share:.2f} %"
