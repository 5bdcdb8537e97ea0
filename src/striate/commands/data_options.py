"""The options that say how images are read, fitted and split."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import click

from ..data import Data, Reading
from ..data.reading import COLORS
from ..images.fitting import FITS
from ..images.preprocess import MAX_SIDE
from .console import Console
from .options import COUNT, Number

if TYPE_CHECKING:
    ParamType = click.ParamType[tuple[int, int]]
else:
    ParamType = click.ParamType  # generic to type checkers only, before click 8.4

Parameters = ParamSpec("Parameters")


class Size(ParamType):
    """A height, or height x width, in pixels."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return (height, width), or fail with the rule that is broken."""
        if isinstance(value, list | tuple):  # as settings hold it
            value = "x".join(map(str, value))
        sides = str(value).lower().split("x")
        if len(sides) not in (1, 2) or not all(side.isdecimal() for side in sides):
            self.fail(f"{value!r} is not a size, such as 32 or 48x64.", param, ctx)
        height, width = int(sides[0]), int(sides[-1])
        if not 1 <= min(height, width) <= max(height, width) <= MAX_SIDE:
            self.fail(f"{value!r} has a side not from 1 to {MAX_SIDE}.", param, ctx)
        return height, width


_SHARE = Number(0, 1, "[)")
_OPTIONS = (
    click.option(
        "--size",
        type=Size(),
        metavar="H|HxW",
        help="Height and width of the images in pixels.  [default: by the data]",
    ),
    click.option(
        "--fit",
        type=click.Choice(FITS),
        default="pad",
        show_default=True,
        help="How images of another aspect are brought to it: filled up, cut or bent.",
    ),
    click.option(
        "--color",
        type=click.Choice(COLORS),
        default="auto",
        show_default=True,
        help="Grey or RGB; auto is grey where all pixels are.",
    ),
    click.option(
        "--validation",
        type=_SHARE,
        metavar="SHARE",
        help="Share of the training images, such as 0.1, kept apart to try settings on; "
        "0 for none.  [default: 0.1 for folders, tables and arrays; none for named data "
        "sets, IDX, and with --train-per-class]",
    ),
    click.option(
        "--test-share",
        type=_SHARE,
        metavar="SHARE",
        help="Share of all images that test where no part is given; 0 for none.  "
        "[default: 0.1]",
    ),
    click.option(
        "--train-per-class",
        type=COUNT,
        metavar="N",
        help="Train on N images of every class, drawn by --seed; all others test. "
        "--validation takes its share of these N.",
    ),
    click.option(
        "--group",
        metavar="REGEX",
        help="Keep images whose file names give the same match in one part, such as "
        "'^([0-9]+)_'.  With a / it is searched in the path below DATA.",
    ),
    click.option(
        "--strict", is_flag=True, help="An image that cannot be read is an error."
    ),
    click.option(
        "--cache/--no-cache",
        default=True,
        show_default=True,
        help="Keep the decoded images for the next run.",
    ),
)


def data_options(
    verb: Callable[Concatenate[Console, Parameters], int],
) -> Callable[Concatenate[Console, Parameters], int]:
    """Give a verb the options above; it takes them as `reading`, with its --seed."""

    @functools.wraps(verb)
    def with_reading(
        console: Console, /, *arguments: Parameters.args, **options: Parameters.kwargs
    ) -> int:
        names = [field.name for field in fields(Reading) if field.name != "seed"]
        chosen: dict[str, Any] = {name: options.pop(name) for name in names}
        options["reading"] = Reading(seed=options.get("seed", 0), **chosen)  # type: ignore[arg-type]
        return verb(console, *arguments, **options)

    for option in reversed(_OPTIONS):
        with_reading = option(with_reading)
    return with_reading


def say_what_was_read(console: Console, data: Data) -> None:
    """Say counts, choices and problems of a data set."""
    counts = ", ".join(
        f"{len(part):,} to {PURPOSES[name]}" for name, part in data.parts().items()
    )
    height, width, channels = data.training.images.shape[1:]
    console.note(
        f"data {data.name}: {counts.replace(' to', ' images to', 1)}; "
        f"{height}x{width}x{channels}, {len(data.training.classes)} classes"
    )
    for choice in data.survey.choices:
        console.note(f"  {choice}")
    for note in data.survey.notes:
        console.note(f"note: {note}")
    for fault in data.survey.unreadable:
        console.detail(f"unreadable: {fault}")


PURPOSES = {"training": "train", "validation": "validate", "test": "test"}
