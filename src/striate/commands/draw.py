"""`striate draw`: a network as a figure."""

from __future__ import annotations

from pathlib import Path

import click

from ..data import Reading
from ..drawing import draw_network
from .choice import width_option
from .console import Console, common_options
from .data_options import data_options
from .model_or_network import model_or_network
from .output import check_output, write_output


@click.command()
@click.argument("model", metavar="MODEL|NETWORK")
@click.argument("data", required=False)
@click.option(
    "-o", "--output", metavar="FILE", help="SVG to write.  [default: NETWORK.svg]"
)
@width_option
@common_options
@data_options
def draw(
    console: Console,
    /,
    model: str,
    data: str | None,
    width: int | None,
    output: str | None,
    reading: Reading,
) -> int:
    """Draw a network as volumes, as in the figure of LeNet-5.

    MODEL is a model file, NETWORK one of auto, lenet5, lenet5-1998, lenet5-strided, vgg,
    mobilenet and resnet, or a JSON file of `striate design`, made for DATA if given, as
    for `striate summary`. The figure is an SVG file: browsers, word processors and LaTeX
    (through PDF) take it at any size.

    \b
    Examples:
      striate draw lenet5 -o lenet5.svg
      striate draw resnet photos/ --width 32
      striate draw runs/first/images-auto.safetensors -o network.svg
    """
    name = Path(model).name
    stem = name.removesuffix(".safetensors").removesuffix(".json")
    path = output or f"{stem}.svg"
    check_output("figure", path, model, data)
    network = model_or_network(console, model, data, width, reading)
    figure = draw_network(network, f"{name}: {network.parameters:,} parameters")
    size = write_output("figure", path, figure)
    values = {"file": path, "bytes": size, "parameters": network.parameters}
    console.result(f"figure {path}, {size:,} bytes", values)
    return 0
