"""`striate features`: what a layer makes of images, for other classifiers."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ..arguments import spell
from ..data.listing import PARTS, SPELLINGS, counted
from ..engine.machine import in_bytes
from ..engine.weights import Floats
from ..errors import DataError
from ..features import before_classifier, feature_pieces
from ..network import Network, load
from ..resolve import ResolvedLayer, find_layer
from ..saving.featurefile import check_file, write_npz
from .console import Console, common_options
from .model_and_data import OneModel, read_parts
from .output import keep_inputs

if TYPE_CHECKING:
    from ..data.learned import NamedPart

ALL = "all"
ARRAYS = ("features", "labels", "classes", "names", "parts", "layer", "shape")


@click.command(cls=OneModel)
@click.argument("model")
@click.argument("data")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Archive to write, ending in .npz.  [default: DATA-LAYER.npz]",
)
@click.option(
    "--layer",
    metavar="NAME",
    help="Layer whose output to take; `striate summary MODEL` names them.  [default: the "
    "one before the classifier]",
)
@click.option(
    "--part",
    type=click.Choice(("train", "validation", "test", ALL)),
    default=ALL,
    show_default=True,
    help="Images to take: those the model was trained on, those kept apart meanwhile, "
    "those it has not learned from, or all.",
)
@common_options
def features(
    console: Console,
    /,
    model: str,
    data: str,
    output: str | None,
    layer: str | None,
    part: str,
) -> int:
    """Write the features of the images of DATA, for other tools.

    Features are what a layer makes of an image; other classifiers learn from them. DATA
    is whatever `striate train` takes, with any classes; its images are fitted as the
    model's training images were. The file has a row of features for each image, with its
    label, name and part: training, validation or test. NumPy alone reads it.

    \b
    Examples:
      striate features digits-lenet5.safetensors digits -o features.npz
      striate features digits-lenet5.safetensors signs/ --layer pool1
      striate features faces-auto.safetensors faces/ --part test --json
    """
    network = load(model)
    resolved = network.resolved
    one = find_layer(resolved, layer) if layer else before_classifier(resolved)
    if output:
        check_file(output, ".npz")
        keep_inputs(output, model, data)
    parts = _chosen(read_parts(console, network, model, data), part)
    name = next(iter(parts.values())).images.name
    path = Path(output or f"{name}-{one.name}.npz")
    if not output:
        check_file(path, ".npz")
        keep_inputs(str(path), model, data)
    count = sum(len(taken.names) for taken in parts.values())
    shape = count, math.prod(one.output_shape)
    lost = _write(console, path, network, one, parts, shape)
    if lost:
        console.note(
            f"note: the features of {counted(lost, 'image')} are not all finite numbers: "
            "they are beyond what float32 holds, and few classifiers take them"
        )
    values = {
        "model": model,
        "data": name,
        "file": str(path),
        "bytes": os.path.getsize(path),
        "layer": one.name,
        "shape": list(one.output_shape),
        "images": count,
        "features": shape[1],
        "not_finite": lost,
        "parts": {part: len(taken.names) for part, taken in parts.items()},
        "classes": list(next(iter(parts.values())).images.classes),
    }
    console.result(_text(path, one, shape, values), values)
    return 0


def _chosen(parts: dict[str, NamedPart], wanted: str) -> dict[str, NamedPart]:
    """The parts that were asked for; DataError where there is none of them."""
    if wanted == ALL:
        return parts
    part = SPELLINGS[wanted]
    if part not in parts:
        name = next(iter(parts.values())).images.name
        there = ", ".join(
            f"{known} ({counted(len(parts[known].names), 'image')})"
            for known in PARTS
            if known in parts
        )
        raise DataError(
            f"--part {wanted} asks for the {part} part, but for this model {name} has "
            f"only {there}; choose another part, or leave --part out"
        )
    return {part: parts[part]}


def _write(
    console: Console,
    path: Path,
    network: Network,
    one: ResolvedLayer,
    parts: dict[str, NamedPart],
    shape: tuple[int, int],
) -> int:
    """Write the archive; return for how many images features are not finite."""
    from ..data.workers import bar_of_images

    lost = 0

    def pieces() -> Iterator[Floats]:
        nonlocal lost
        for taken in parts.values():
            for rows in feature_pieces(network, taken.images.images, one):
                lost += int((~np.isfinite(rows).all(axis=1)).sum())
                yield rows
                bar.update(len(rows))

    taken = list(parts.values())
    others = {
        "labels": np.concatenate([part.images.labels for part in taken]),
        "classes": np.array(taken[0].images.classes),
        "names": np.array([name for part in taken for name in part.names]),
        "parts": np.repeat(list(parts), [len(part.names) for part in taken]),
        "layer": np.array(one.name),
        "shape": np.array(one.output_shape),
    }
    with bar_of_images(shape[0], "computing features", console.quiet) as bar:
        write_npz(path, shape, pieces(), others)
    return lost


def _text(
    path: Path, one: ResolvedLayer, shape: tuple[int, int], values: dict[str, Any]
) -> str:
    """Say what was written and how it is used."""
    source = f"what leaves {one.name}"
    if len(one.output_shape) == 3:
        source += f", {spell(one.output_shape)} in the order channel, row, column"
    each = ", ".join(f"{part} {count:,}" for part, count in values["parts"].items())
    images, numbers = counted(shape[0], "image"), counted(shape[1], "feature")
    many = {"training"} < set(values["parts"])
    rows = "[train]" if many else ""
    lines = [
        f"{images} ({each}), {numbers} each: {source}",
        f"features {path}, {in_bytes(values['bytes'])}: {', '.join(ARRAYS)}",
        "",
        "To train another classifier on them:",
        f"  data = np.load({str(path)!r})",
    ]
    if many:
        lines.append('  train = data["parts"] == "training"')
    lines.append(
        f'  LogisticRegression(max_iter=1000).fit(data["features"]{rows}, '
        f'data["labels"]{rows})'
    )
    return "\n".join(lines)
