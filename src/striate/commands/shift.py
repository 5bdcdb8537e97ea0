"""`striate shift`: what moving the images does to answers and features (M4)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from ..answers import known_labels
from ..arguments import LARGEST, spell
from ..errors import UsageError
from ..plotting.figure import NEEDED, available, write_png
from .console import Console, common_options
from .grid import grid
from .model_and_data import OneModel, read_model_and_data
from .options import WholeNumber
from .output import check_output

if TYPE_CHECKING:
    from ..data import Dataset
    from ..engine.weights import Doubles
    from ..explain.distances import LayerShift
    from ..explain.shift import ShiftResponse
    from ..network import Network


@click.command(cls=OneModel)
@click.argument("model")
@click.argument("data")
@click.option(
    "--beside",
    metavar="MODEL",
    help="Measure this model too, and draw both.",
)
@click.option(
    "--pixels",
    type=WholeNumber(1),
    metavar="N",
    help="The farthest shift.  [default: 8, or what the input allows]",
)
@click.option(
    "--compared",
    type=WholeNumber(2, LARGEST),
    metavar="N",
    default=1_000,
    show_default=True,
    help="Images whose features are compared; answers are counted for all.",
)
@click.option("--plot", metavar="FILE", help="PNG to draw the curves into.")
@common_options
def shift(
    console: Console,
    /,
    model: str,
    data: str,
    beside: str | None,
    pixels: int | None,
    compared: int,
    plot: str | None,
) -> int:
    """Measure how shifts of the images change answers and features.

    Moves the test images of DATA by so many pixels along one axis, up, down, left or
    right, inside the network's input, the background coming in behind them, and tells,
    as the mean over these four: the accuracy; how far each layer's features go, unit by
    unit; how far they go beyond having moved along with the image; and how far the
    maximum of each map goes. Distances are relative to that between two different images.

    \b
    Examples:
      striate shift mnist-lenet5.safetensors mnist
      striate shift mnist-lenet5.safetensors mnist \\
        --beside mnist-lenet5-strided.safetensors --plot shift.png
    """
    if plot:
        check_output("picture", plot, model, data, beside)
        if not available():
            raise UsageError(f"{NEEDED}; or leave out --plot.")
    if beside and Path(beside).resolve() == Path(model).resolve():
        raise UsageError(f"--beside {beside} is MODEL itself; give another one.")
    read = [
        (name, *_read(console, name, data, pixels))
        for name in ([model, beside] if beside else [model])
    ]
    measured = [
        (name, _measure(console, name, network, images, pixels, compared))
        for name, network, images in read
    ]
    texts = [_text(name, response) for name, response in measured]
    values, *others = ({"model": name, **one.to_dict()} for name, one in measured)
    values = {"data": data, "directions": ["up", "down", "left", "right"], **values} | (
        {"beside": others[0]} if others else {}
    )
    if plot:
        from ..plotting.shift import shift_figure

        stems = {Path(name).stem for name, _ in measured}
        if len(stems) == len(measured):
            measured = [(Path(name).stem, response) for name, response in measured]
        write_png(shift_figure(dict(measured), f"shifts of {read[0][2].name}"), plot)
        texts.append(f"picture {plot}")
        values["picture"] = plot
    console.result("\n\n".join(texts), values)
    return 0


def _read(
    console: Console, model: str, data: str, pixels: int | None
) -> tuple[Network, Dataset]:
    network, images = read_model_and_data(console, model, data)
    side = min(network.input_shape[:2])
    if pixels is not None and pixels >= side:
        raise UsageError(
            f"--pixels {pixels} moves all out of the input of {model}, which is "
            f"{spell(network.input_shape[:2])}; give at most {side - 1}."
        )
    return network, images


def _measure(
    console: Console,
    model: str,
    network: Network,
    images: Dataset,
    pixels: int | None,
    compared: int,
) -> ShiftResponse:
    from ..explain.shift import shift_response

    labels = known_labels(network, images)
    console.note(f"{model}: moving {len(images):,} images")
    return shift_response(
        network,
        images.images,
        np.asarray(network.classes)[labels],
        pixels=None if pixels is None else range(pixels + 1),
        compared=compared,
    )


def _text(model: str, response: ShiftResponse) -> str:
    assert response.accuracy is not None
    assert response.same_answer is not None
    pixels = [f"{step}" for step in response.pixels]
    answers = [
        ["pixels", *pixels],
        ["right answers, %", *_percents(response.accuracy)],
        ["as unmoved, %", *_percents(response.same_answer)],
    ]
    mapped = [layer for layer in response.layers if not _flat(layer)]
    change = (
        f"change of features of {response.compared:,} images; 1 is as much as another "
        "image's"
    )
    lines = [
        f"{model}: {response.images:,} images moved up, down, left or right (means of all)",
        grid(answers),
        "",
        change,
        _table(pixels, {_named(one): one.change for one in response.layers}),
        "",
        "the same after the maps have been moved along with the image",
        _table(pixels, {_named(one): one.moved_along for one in mapped}),
        "",
        "change of the maximum of each map",
        _table(pixels, {_named(one): one.maximum for one in mapped}),
    ]
    return "\n".join(lines)


def _table(pixels: list[str], rows: dict[tuple[str, str], Doubles]) -> str:
    body = [
        [*names, *("-" if math.isnan(one) else f"{one:.2f}" for one in values.tolist())]
        for names, values in rows.items()
    ]
    return grid([["layer", "jump", *pixels], *body])


def _named(layer: LayerShift) -> tuple[str, str]:
    down, right = layer.jump
    step = str(down) if down == right else spell(layer.jump)
    return layer.name, "" if _flat(layer) else step


def _flat(layer: LayerShift) -> bool:
    return layer.jump == (0, 0)


def _percents(shares: Doubles) -> list[str]:
    return [f"{100 * share:.2f}" for share in shares.tolist()]
