"""What the verbs that look at a trained model on images begin with: reading both."""

from __future__ import annotations

from ..data import Dataset
from ..data.load import is_published, load_published
from ..errors import DataError
from ..network import Network, load
from .console import Console


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

    if network.preprocessing is None:
        raise DataError(
            f"{model} was not trained on uint8 images, so it does not say how files "
            "become its input; train it with `striate train`."
        )
    images, notes = read_unseen(
        data, network.preprocessing, network.training, quiet=console.quiet
    )
    for note in notes:
        console.note(note)
    return network, images
