"""The command line: `striate VERB ...`, also as `python -m striate VERB ...`."""

from __future__ import annotations

import os
import traceback
from typing import Any

import click

from . import __version__
from .commands import (
    data,
    design,
    doctor,
    draw,
    explain,
    features,
    lr_find,
    predict,
    shift,
    summary,
    test,
    train,
)
from .commands.console import (
    FAILED,
    INTERRUPTED,
    SAVED,
    VERBOSE,
    complain,
    exit_code,
)
from .commands.interrupts import interruptible
from .commands.streams import dispensable_stderr
from .errors import StriateError

EPILOG = """\
\b
Examples:
  striate train digits                      a first model in seconds
  striate train mnist --run runs/first      with history and settings
  striate test mnist-lenet5.safetensors mnist
  striate predict mnist-lenet5.safetensors photo.png
  striate explain mnist-lenet5.safetensors mnist      a page on what it has learned

Exit codes: 0 fine, 1 failed while running, 2 wrong usage, 3 a problem with the data
or a file, 4 a target not met, 130 interrupted.
"""


class Verbs(click.Group):
    """The group of verbs; turns errors into words and exit codes, never a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order a newcomer needs them."""
        return list(self.commands)

    def main(self, *arguments: Any, **extra: Any) -> Any:
        """Run the command line; it also works where nobody reads stderr."""
        with dispensable_stderr():
            return super().main(*arguments, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a verb; whatever it raises ends as a message on stderr."""
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            with interruptible():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            saved = ctx.meta.get(SAVED)
            kept = f"; the model is saved as {saved}" if saved else ""
            _end(ctx, f"interrupted{kept}", INTERRUPTED)
        except StriateError as error:
            _end(ctx, str(error), exit_code(error))
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:
            ctx.exit(FAILED)  # whoever read the results wants no more of them
        except OSError as error:
            _end(ctx, str(error), FAILED)
        except Exception as error:  # noqa: BLE001 - the last line of defence
            if ctx.meta.get(VERBOSE):
                click.echo(traceback.format_exc(), err=True)
                hint = "please report this with the lines above"
            else:
                hint = "this should not happen; -v shows where it did"
            _end(ctx, f"{type(error).__name__}: {error} ({hint})", FAILED)


def _end(ctx: click.Context, message: str, code: int) -> None:
    complain(message)
    ctx.exit(code)


@click.group(
    "striate",
    cls=Verbs,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
)
@click.version_option(__version__)
def main() -> None:
    """Train small convolutional networks on the CPU, in seconds, and use them.

    Every verb has its own help: striate train --help
    """


for _verb in (
    data.data,
    train.train,
    test.test,
    predict.predict,
    explain.explain,
    shift.shift,
    features.features,
    design.design_command,
    draw.draw,
    summary.summary,
    lr_find.lr_find,
    doctor.doctor,
):
    main.add_command(_verb)
