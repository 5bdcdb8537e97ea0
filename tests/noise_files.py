"""Folders of images of noise, read as data."""

import numpy as np
from PIL import Image

from striate.data import Reading, read_data


def noise(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def fill(root, sizes, *, channels=3, classes=2, start=0):
    """Images of noise of these (height, width), in turns of every class."""
    for number, size in enumerate(sizes):
        pixels = noise(start + number, *size, channels).squeeze()
        path = root / f"class {number % classes}" / f"{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return root


def read(data, labels=None, **settings):
    return read_data(data, labels, Reading(**settings), quiet=True)


def pixels(data):
    """All images by name."""
    parts = [part.images for part in data.parts().values()]
    return dict(zip(data.names, np.concatenate(parts), strict=True))
