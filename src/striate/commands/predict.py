"""`striate predict`: what a model sees in image files."""

from __future__ import annotations

import functools
import itertools
import os
import sys
from collections.abc import Iterator, Sequence

import click
import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..images.prediction import FilePrediction, file_predictions
from ..images.preprocess import Preprocessing
from ..network import load
from .console import BAD_DATA, Console, common_options
from .options import COUNT, TARGET

_TOGETHER = 64  # files that are answered in one go
_UNKNOWN = "unknown"  # the answer where the most probable class is rejected

Pixels = NDArray[np.uint8]


@click.command()
@click.argument("model")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--invert/--no-invert",
    default=None,
    help="Turn dark and bright, or never do.  [default: where the background needs it]",
)
@click.option(
    "--top",
    type=COUNT,
    metavar="K",
    help="Give the K most probable classes.  [default: 1; with --json all]",
)
@click.option(
    "--reject",
    type=TARGET,
    metavar="P",
    default=0.0,
    help="Answer unknown where the most probable class is below this, such as 0.9.",
)
@common_options
def predict(
    console: Console,
    /,
    model: str,
    files: tuple[str, ...],
    invert: bool | None,
    top: int | None,
    reject: float,
) -> int:
    """Say what is in image files.

    FILE is an image of any kind Pillow reads, a folder (all images in it and below),
    or - for standard input. Each is fitted as the training images were. A file that
    cannot be read is reported, the others are done, and the exit code is 3. JSON keeps
    the label of a rejected answer, with "rejected": true.

    \b
    Examples:
      striate predict mnist-lenet5.safetensors photo.png
      striate predict mnist-lenet5.safetensors scans/ --json > answers.jsonl
      striate predict mnist-lenet5.safetensors photo.png --reject 0.9
      cat photo.png | striate predict mnist-lenet5.safetensors - --top 3
    """
    network = load(model)
    if network.preprocessing is None or network.classes is None:
        raise DataError(
            f"{model} was not trained on uint8 images, so it does not say how files "
            f"become its input; train it with `striate train`."
        )
    code = 0
    expanded = _expand(console, files)
    while names := list(itertools.islice(expanded, _TOGETHER)):
        images = [_read(console, network.preprocessing, name, invert) for name in names]
        readable = [image for image in images if not isinstance(image, DataError)]
        rows = iter(network.predict_proba(np.stack(readable)) if readable else ())
        for name, image in zip(names, images, strict=True):
            if isinstance(image, DataError):
                code = BAD_DATA
                _refuse(console, name, image)
            else:
                one: NDArray[np.float32] = np.atleast_2d(next(rows))
                (answer,) = file_predictions(
                    [name], [None], one, network.classes, reject
                )
                _answer(console, answer, top)
    return code


def _read(
    console: Console, preprocessing: Preprocessing, name: str, invert: bool | None
) -> Pixels | DataError:
    """Return the pixels of a file as the network takes them, or why there are none."""
    try:
        if not name:
            raise DataError("a file name is empty; give the path of an image file")
        if name != "-" and os.path.isdir(name):
            raise DataError(f"{name} has no image files in it or below")
        if name == "-" and sys.stdin is None:
            raise DataError("standard input is closed; pipe an image file into it")
        source = sys.stdin.buffer if name == "-" else name
        pixels, note = preprocessing.load_image(
            source, "auto" if invert is None else invert
        )
    except DataError as error:
        return error
    if note:
        console.note(f"{click.format_filename(name)}: {note}")
    return pixels


def _answer(console: Console, answer: FilePrediction, top: int | None) -> None:
    likeliest = sorted(answer.probabilities.items(), key=lambda item: -item[1])
    width = max(len(str(label)) for label in answer.probabilities)
    shown = [
        f"{label!s:{width}}  {100 * share:5.1f} %"
        for label, share in likeliest[: top or 1]
    ]
    file = click.format_filename(answer.file)
    if answer.rejected:  # in place of the answer; what it would be stands behind
        gap = " " * max(0, len(shown[0]) - len(_UNKNOWN))
        likely = ", ".join(
            f"{label} {100 * share:.1f} %" for label, share in likeliest[: top or 1]
        )
        text = f"{_UNKNOWN}{gap}  {file}  (perhaps {likely})"
    else:
        text = "  ".join([*shown, file])
    listed = likeliest[:top] if top else answer.probabilities.items()
    values = {
        "file": answer.file,
        "label": answer.label,
        "probability": answer.probability,
        "rejected": answer.rejected,
        "probabilities": {str(label): share for label, share in listed},
    }
    console.result(text, values)


def _refuse(console: Console, name: str, error: DataError) -> None:
    message = str(error).encode(errors="replace").decode()
    console.problem(message)
    if console.json:
        console.result("", {"file": name, "error": message})


def _expand(console: Console, files: Sequence[str]) -> Iterator[str]:
    """Yield files as they are and folders file by file, sorted, hidden ones left out.

    A folder without images is yielded itself.
    """
    for name in files:
        if name == "-" or not os.path.isdir(name):
            yield name
            continue
        found = passed_over = 0
        for folder, below, members in os.walk(name):
            below[:] = sorted(one for one in below if not one.startswith("."))
            for member in sorted(one for one in members if not one.startswith(".")):
                if os.path.splitext(member)[1].lower() in _suffixes():
                    found += 1
                    yield os.path.join(folder, member)
                else:
                    passed_over += 1
        if passed_over:
            shown = click.format_filename(name)
            console.note(f"{shown}: {passed_over} files that are no images passed over")
        if not found:
            yield name


@functools.cache
def _suffixes() -> frozenset[str]:
    """Return the endings of the file formats that Pillow reads."""
    from PIL import Image

    known = Image.registered_extensions()
    return frozenset(suffix for suffix, kind in known.items() if kind in Image.OPEN)
