"""What the verbs that look at a trained model on images begin with: reading both."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

import click

from ..answers import known_labels
from ..arguments import spell
from ..data import Dataset
from ..data.load import is_published, load_published
from ..errors import DataError, ShapeError
from ..images.preprocess import Preprocessing
from ..network import Network, load
from .console import Console

if TYPE_CHECKING:
    from ..data.learned import NamedPart


def read_model_and_data(
    console: Console, model: str, data: str
) -> tuple[Network, Dataset]:
    """Return the network of a model file and the images to look at it with.

    Those are the test images of a published data set, and of a folder, table or archive
    those the model was not trained on; what is left out is told. Raises ModelFileError
    for what is no model, DataError for data that cannot be read or have other classes,
    ShapeError for images of another size or colour.
    """
    network = load(model)
    if is_published(data):
        images = load_published(data, quiet=console.quiet)[1]
        _check_images(network, model, images)
        known_labels(network, images, model)  # or DataError
        return network, images
    from ..data.unseen import read_unseen

    known = _of_files(network, model)
    images, notes = read_unseen(data, known, network.training, quiet=console.quiet)
    known_labels(network, images, model)  # or DataError
    for note in notes:
        console.note(note)
    return network, images


def read_parts(
    console: Console, network: Network, model: str, data: str
) -> dict[str, NamedPart]:
    """Return all images of a data set, by what they were to the network of `model`.

    A published data set has the parts it was published with. Raises DataError for data
    that cannot be read, ShapeError for those of another size than the model's images,
    ModelFileError where the model's record is damaged.
    """
    from ..data.learned import NamedPart, read_learned

    if is_published(data):
        published = dict(
            zip(
                ("training", "test"),
                load_published(data, quiet=console.quiet),
                strict=True,
            )
        )
        _check_images(network, model, published["training"])
        return {
            part: NamedPart(images, tuple(f"{part}[{at}]" for at in range(len(images))))
            for part, images in published.items()
        }
    known = _of_files(network, model)
    parts, notes = read_learned(data, known, network.training, quiet=console.quiet)
    for note in notes:
        console.note(note)
    return parts


class OneModel(click.Command):
    """A verb that takes MODEL and DATA, and says so where a pattern named more models."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments; UsageError where they begin with several model files."""
        ctx.allow_extra_args = True
        rest = super().parse_args(ctx, args)
        given = [str(ctx.params[name]) for name in ("model", "data")] + rest
        models = list(takewhile(_is_model, given))
        if len(models) > 1:
            raise click.UsageError(
                f"{len(models)} model files are given, {models[0]} and {models[1]}"
                f"{' first' if len(models) > 2 else ''}, but striate {ctx.info_name} looks "
                "at one: give MODEL, then DATA. Of a run folder best.safetensors is the "
                "model as it was at its best epoch, the other one the last.",
                ctx,
            )
        if rest:
            ctx.fail(f"Got unexpected extra arguments ({' '.join(rest)})")
        return rest


def _is_model(path: str) -> bool:
    return path.lower().endswith(".safetensors")


def _check_images(network: Network, model: str, images: Dataset) -> None:
    """Refuse a published data set, which is never fitted, of another size or colour."""
    known, shape = network.preprocessing, images.images.shape[1:]
    if known and shape != (*known.image_size, known.channels):
        wanted = (*known.image_size, known.channels)
        raise ShapeError(
            f"{images.name} has images of {spell(shape)}{_colour(shape)}, but {model} "
            f"takes {spell(wanted)}{_colour(wanted)}; give it a data set of that kind, or "
            "image files in a folder, which are fitted."
        )


def _colour(shape: tuple[int, ...]) -> str:
    return {1: " (grey)", 3: " (colour)"}.get(shape[2], "")


def _of_files(network: Network, model: str) -> Preprocessing:
    """How files become the network's input; DataError where it does not say."""
    if network.preprocessing is None:
        raise DataError(
            f"{model} was not trained on uint8 images, so it does not say how files "
            "become its input; train it with `striate train`."
        )
    return network.preprocessing
