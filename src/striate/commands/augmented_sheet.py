"""The sheet of augmented images in the run folder: what the network was shown."""

from __future__ import annotations

from io import BytesIO

import numpy as np

from ..data import Dataset
from ..images.sheet import contact_sheet
from ..network import Network
from ..training.augmentation import Augmentation
from ..training.augmented import augmented_images

ROWS = 10  # images, each of another class as far as there are so many
EPOCHS = 7  # at most, beside each image as it is


def augmented_sheet(network: Network, training: Dataset) -> bytes | None:
    """Return a PNG of training images as they are and as the first epochs showed them.

    None where the network's training left its images alone.
    """
    config = network.training["settings"]["augmentation"]
    known = network.preprocessing
    if config is None or known is None:
        return None
    augmentation = Augmentation(**config)
    seed = network.training["seed"]
    _, firsts = np.unique(training.labels, return_index=True)
    chosen = firsts[:ROWS]
    columns = [augmented_images(training.images, known, "none", indices=chosen)]
    shown = max(1, min(EPOCHS, network.training["epochs"]))
    for epoch in range(1, shown + 1):
        columns.append(
            augmented_images(
                training.images,
                known,
                augmentation,
                seed=seed,
                epoch=epoch,
                indices=chosen,
            )
        )
    images = [image for row in zip(*columns, strict=True) for image in row]
    captions = [
        caption
        for label in training.labels[chosen]
        for caption in [training.classes[label], *[""] * shown]
    ]
    epochs = "epoch 1" if shown == 1 else f"epochs 1 to {shown}"
    title = f"{training.name}: as they are, and in {epochs}"
    content = BytesIO()
    page = contact_sheet(images, captions, 1 + shown, title=title)
    page.save(content, "PNG")
    return content.getvalue()
