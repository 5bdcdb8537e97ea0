"""`striate lr-find`: which learning rates a network learns at."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import Any

import click
import numpy as np

from ..data import Reading
from ..engine.machine import thread_count
from ..errors import UsageError
from ..plotting.figure import NEEDED, available, write_png
from ..training.range_test import (
    FEWEST_STEPS,
    HIGHEST,
    LOWEST,
    STEPS,
    RangeTest,
    range_test,
)
from .augment_options import augment_options
from .choice import network_options, read_and_choose
from .console import Console, common_options
from .data_options import data_options
from .options import Number, Recipe, WholeNumber, step_options
from .output import check_output
from .progress import ProgressLine

_ROWS = 13  # of the table that people see: two for every power of ten


@click.command("lr-find")
@click.argument("data")
@network_options
@step_options
@augment_options
@click.option(
    "--lowest",
    type=Number(0),
    metavar="X",
    default=LOWEST,
    show_default=True,
    help="Learning rate of the first step.",
)
@click.option(
    "--highest",
    type=Number(0),
    metavar="X",
    default=HIGHEST,
    show_default=True,
    help="Learning rate of the last step.",
)
@click.option(
    "--steps",
    type=WholeNumber(FEWEST_STEPS),
    metavar="N",
    default=STEPS,
    show_default=True,
    help="Steps from the lowest rate to the highest.",
)
@click.option(
    "--threads",
    type=WholeNumber(1, 1024),
    metavar="N",
    help="Threads to compute with.  [default: the processors there are]",
)
@click.option("-o", "--output", metavar="FILE", help="PNG to draw the test into.")
@common_options
@data_options
def lr_find(
    console: Console,
    /,
    data: str,
    name: str | None,
    width: int | None,
    lowest: float,
    highest: float,
    steps: int,
    threads: int | None,
    output: str | None,
    reading: Reading,
    **options: Any,
) -> int:
    """Find a learning rate for DATA by a range test.

    Trains a network for some steps at rising learning rates and watches its loss: it
    falls where the rate is right and rises where it is too high. Suggests a third of
    the rate at which it was lowest. Only training images are used; nothing is saved.

    \b
    Examples:
      striate lr-find digits
      striate lr-find mnist --optimizer adamw --highest 1 -o rates.png
    """
    if lowest >= highest:
        raise UsageError(f"--lowest {lowest:g} is not below --highest {highest:g}.")
    if output and not available():
        raise UsageError(f"{NEEDED}; or leave out -o.")
    if output:
        check_output("picture", output)
    recipe = Recipe(epochs=1, learning_rate=None, schedule="constant", **options)
    threads = thread_count(threads)
    loaded, chosen = read_and_choose(
        console, data, name, recipe, reading, width=width, threads=threads
    )
    training, network, settings = loaded.training, chosen.network, chosen.settings
    progress = ProgressLine(sys.stderr, live=True)
    shown = console.live and not console.quiet
    with progress if shown else nullcontext():
        test = range_test(
            network,
            training.images,
            training.labels,
            settings,
            lowest=lowest,
            highest=highest,
            steps=steps,
            callbacks=[progress] if shown else [],
            threads=threads,
        )
    if output:
        from ..plotting.rates import rates_figure

        title = f"{training.name}, {chosen.title}, batches of {settings.batch_size}"
        write_png(rates_figure(test, title), output)
    values = {
        "network": chosen.name,
        "data": training.name,
        "suggestion": test.suggestion,
        "default": settings.optimizer.learning_rate,
        "diverged": test.diverged,
        "steps": len(test.losses),
        "rates": test.rates.tolist(),
        "losses": test.losses.tolist(),
        "smoothed": test.smoothed.tolist(),
        "batch_size": settings.batch_size,
        "seed": settings.seed,
    }
    console.result(_text(test, settings.optimizer.learning_rate, output), values)
    return 0


def _text(test: RangeTest, default: float, picture: str | None) -> str:
    smoothed = test.smoothed
    lowest = int(smoothed.argmin())
    spread = np.linspace(0, len(smoothed) - 1, _ROWS).round().astype(int)
    lines = ["learning rate    loss"]
    lines += [
        f"{test.rates[at]:13.2g}  {smoothed[at]:6.3f}"
        for at in np.union1d(spread, lowest).tolist()
    ]
    if test.diverged:
        lines.append(f"diverged at {test.rates[-1]:.2g}")
    lines.append(f"lowest: {smoothed[lowest]:.3f} at {test.rates[lowest]:.2g}")
    lines.append(f"default: {default:g}")
    if test.suggestion is None:
        lines.append(
            "no suggestion: the loss did not fall; try other bounds for the rate"
        )
    else:
        lines.append(f"suggested: --learning-rate {test.suggestion:.2g}")
    return "\n".join(lines + ([f"picture {picture}"] if picture else []))
