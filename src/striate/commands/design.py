"""`striate design`: which network sees all of an object (M2, M3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..arguments import spell
from ..engine.machine import in_bytes
from ..errors import ShapeError, UsageError
from ..images.preprocess import MAX_SIDE
from ..layers import Conv2D
from ..receptive import depth_to_see
from ..saving.architecture import Architecture, write_architecture
from ..saving.files import check_destination
from ..saving.modelfile import unwritable
from ..zoo.design import BATCH, KINDS, RECOMMENDED, WIDEST, Design, design
from .console import Console, common_options
from .data_options import Size
from .grid import grid
from .options import Number, WholeNumber

if TYPE_CHECKING:
    ShapeType = click.ParamType[tuple[int, int, int]]
else:  # generic to type checkers only, before click 8.4
    ShapeType = click.ParamType

_HEADINGS = (
    *("kind", "stack of", "layers", "sees", "jump", "anywhere", "input"),
    *("parameters", "multiply-adds", "to predict", "to train"),
)


class InputShape(ShapeType):
    """The size and the channels of a network's input."""

    name = "input"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int, int]:
        """Return (height, width, channels), or fail with the rule that is broken."""
        sides = str(value).lower().split("x")
        if len(sides) != 3 or not all(side.isdecimal() for side in sides):
            self.fail(
                f"{value!r} is not an input, such as 300x300x3 (rows, columns, "
                "channels).",
                param,
                ctx,
            )
        height, width, channels = map(int, sides)
        if not 1 <= min(height, width, channels) <= max(height, width) <= MAX_SIDE:
            self.fail(f"{value!r} has a side not from 1 to {MAX_SIDE}.", param, ctx)
        return height, width, channels


@click.command("design")
@click.option(
    "--object",
    "wanted",
    type=Size(),
    metavar="H|HxW",
    required=True,
    help="Height and width of the object in pixels.",
)
@click.option(
    "--kernel",
    type=Size(),
    metavar="H|HxW",
    default="3",
    show_default=True,
    help="Height and width of the kernels.",
)
@click.option(
    "--input",
    "shape",
    type=InputShape(),
    metavar="HxWxC",
    help="Input of the networks.  [default: as large as the object, or a little larger "
    "where that needs a layer less; 3 channels]",
)
@click.option(
    "--classes",
    type=WholeNumber(1),
    metavar="N",
    default=10,
    show_default=True,
    help="Classes to tell apart.",
)
@click.option(
    "--width",
    type=WholeNumber(1, 4096),
    metavar="N",
    default=16,
    show_default=True,
    help="Channels of the first layer.",
)
@click.option(
    "--growth",
    type=Number(1, 4, "[]"),
    metavar="X",
    default=2,
    show_default=True,
    help=f"Times as many channels, up to {WIDEST}, each time the map gets smaller.",
)
@click.option(
    "--kind",
    type=click.Choice(tuple(KINDS)),
    help=f"Show this network alone.  [default: all; -o writes {RECOMMENDED}]",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="JSON file to write the network to, for --network.",
)
@common_options
def design_command(
    console: Console,
    /,
    wanted: tuple[int, int],
    kernel: tuple[int, int],
    shape: tuple[int, int, int] | None,
    classes: int,
    width: int,
    growth: float,
    kind: str | None,
    output: str | None,
) -> int:
    """Find the networks that see all of an object.

    Says how many layers of stride 1 it takes, and sets beside them the networks that
    reach the same with dilation, stride or pooling: what the units of the last map see,
    how far apart their fields are (jump), up to which size objects are seen whole
    anywhere, and what the network costs. -o writes one of them, which `striate train`
    and others take as --network.

    \b
    Examples:
      striate design --object 300 --kernel 3
      striate design --object 48 --input 48x48x3 -o net.json
      striate train photos/ --network net.json
    """
    if output:
        _check(output)
    designs: dict[str, Design] = {}
    problems: dict[str, ShapeError] = {}
    for name in [kind] if kind else KINDS:
        if name == "patches" and kernel == (2, 2) and not kind:
            continue  # it is "strided"
        try:
            designs[name] = design(
                name,
                wanted,
                kernel,
                input_shape=shape,
                classes=classes,
                width=width,
                growth=growth,
            )
            designs[name].memory  # noqa: B018 - where it cannot be computed
        except ShapeError as error:
            designs.pop(name, None)
            problems[name] = error
        except ValueError as error:
            raise UsageError(str(error)) from error
    if not designs:
        raise next(iter(problems.values()))
    for name, problem in problems.items():
        console.note(f"{name} is left out: {problem}")
    written = None
    if output:
        written = kind or RECOMMENDED
        if written not in designs:
            raise problems[written]
        chosen = designs[written]
        write_architecture(output, Architecture(chosen.layers, chosen.input_shape))
    depth = depth_to_see(wanted, Conv2D(1, kernel))
    values = {
        "object": list(wanted),
        "kernel": list(kernel),
        "layers_of_stride_1": depth,
        "designs": {name: _values(one) for name, one in designs.items()},
        "written": {"kind": written, "file": output} if written else None,
    }
    console.result(_text(wanted, kernel, depth, designs, written, output), values)
    return 0


def _check(path: str) -> None:
    """Refuse, before anything is computed, what could not be read again."""
    if not path.lower().endswith(".json"):
        raise UsageError(
            f"-o {path}: an architecture is written as JSON; call the file net.json."
        )
    try:
        check_destination(path)
    except OSError as error:
        raise unwritable(path, error, "architecture") from error


def _values(one: Design) -> dict[str, Any]:
    predicting, training = one.memory
    return {
        "layers": one.depth,
        "of": one.title,
        "receptive_field": list(one.field.size),
        "jump": list(one.field.jump),
        "anywhere": list(one.anywhere),
        "input_shape": list(one.input_shape),
        "last_map": list(one.field.units),
        "parameters": one.parameters,
        "multiply_adds": one.multiply_adds,
        "predicting_bytes": predicting,
        "training_bytes": training,
        "training_batch": BATCH,
    }


def _text(
    wanted: tuple[int, int],
    kernel: tuple[int, int],
    depth: int,
    designs: dict[str, Design],
    written: str | None,
    output: str | None,
) -> str:
    sides = [1 + depth * (taps - 1) for taps in kernel]
    layers = "layer" if depth == 1 else "layers"
    verb = "sees" if depth == 1 else "see"
    answer = (
        f"{depth:,} {layers} of {spell(kernel)} with stride 1 {verb} {spell(sides)} "
        f"pixels, all of an object of {spell(wanted)}"
    )
    legend = (
        "anywhere: objects up to this size are seen whole by one unit wherever they "
        f"stand, larger ones in the middle\nto predict: memory for one image; to train: "
        f"for a batch of {BATCH}; both by one thread, besides weights"
    )
    rows = [_HEADINGS, *(_row(name, one) for name, one in designs.items())]
    lines = [answer, "", grid(rows, words=2), "", legend]
    if written:
        lines.append(f"{written} is written: striate train DATA --network {output}")
    else:
        lines.append(
            f"-o net.json writes {RECOMMENDED}, --kind another, for striate train DATA "
            "--network net.json"
        )
    return "\n".join(lines)


def _row(name: str, one: Design) -> tuple[str, ...]:
    down, right = one.field.jump
    return (
        name,
        one.title,
        f"{one.depth}",
        spell(one.field.size),
        str(down) if down == right else spell((down, right)),
        spell(one.anywhere),
        spell(one.input_shape),
        f"{one.parameters:,}",
        f"{one.multiply_adds:,}",
        *map(in_bytes, one.memory),
    )
