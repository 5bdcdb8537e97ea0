"""What the verbs that look at a trained model on images begin with: reading both."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    for what is no model, DataError for data that cannot be read or do not fit it.
    """
    network = load(model)
    if is_published(data):
        return network, load_published(data, quiet=console.quiet)[1]
    from ..data.unseen import read_unseen

    known = _of_files(network, model)
    images, notes = read_unseen(data, known, network.training, quiet=console.quiet)
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
        _check_size(network, model, published["training"])
        return {
            part: NamedPart(images, tuple(f"{part}[{at}]" for at in range(len(images))))
            for part, images in published.items()
        }
    known = _of_files(network, model)
    parts, notes = read_learned(data, known, network.training, quiet=console.quiet)
    for note in notes:
        console.note(note)
    return parts


def _check_size(network: Network, model: str, images: Dataset) -> None:
    """Refuse a published data set, which is never fitted, of another size or colour."""
    known, shape = network.preprocessing, images.images.shape[1:]
    if known and shape != (*known.image_size, known.channels):
        raise ShapeError(
            f"{images.name} has images of {spell(shape)}, but {model} takes "
            f"{spell((*known.image_size, known.channels))}; give it a data set of that "
            "size, or image files in a folder, which are fitted."
        )


def _of_files(network: Network, model: str) -> Preprocessing:
    """How files become the network's input; DataError where it does not say."""
    if network.preprocessing is None:
        raise DataError(
            f"{model} was not trained on uint8 images, so it does not say how files "
            "become its input; train it with `striate train`."
        )
    return network.preprocessing
