"""A subject's weights as tools take them whose images are N,H,W,C, and back."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from cases import Layer, Material, Weights
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Layout:
    """Turns O,I,H,W into H,W,I,O and out,in into in,out, and gradients back.

    What Flatten gives is in the order channel, row, column there and row, column,
    channel here, which the Dense layer behind it has to know.
    """

    def __init__(self, layers: tuple[Layer, ...]) -> None:
        self._volumes: dict[str, tuple[int, int, int]] = {}
        for before, layer in pairwise(layers):
            if before.config["kind"] == "Flatten" and layer.config["kind"] == "Dense":
                height, width, channels = before.input_shape
                self._volumes[layer.name] = height, width, channels

    def there(self, material: Material) -> dict[str, Weights]:
        """The weights of every layer, by layer and by what they are to it."""
        return {
            layer.name: {
                key: self._there(layer.name, value)
                for key, value in material.held(layer).items()
            }
            for layer in material.layers
        }

    def _there(self, layer: str, value: Floats) -> Floats:
        if value.ndim == 4:
            return np.ascontiguousarray(value.transpose(2, 3, 1, 0))
        if value.ndim == 2 and layer in self._volumes:
            height, width, channels = self._volumes[layer]
            volume = value.reshape(-1, channels, height, width)
            return volume.transpose(2, 3, 1, 0).reshape(-1, len(value))
        return np.ascontiguousarray(value.T)

    def back(self, layer: str, value: Floats) -> Floats:
        """A weight, or its gradient, as the material has it."""
        if value.ndim == 4:
            return value.transpose(3, 2, 0, 1)
        if value.ndim == 2 and layer in self._volumes:
            volume = value.reshape(*self._volumes[layer], -1)
            return volume.transpose(3, 2, 0, 1).reshape(value.shape[1], -1)
        return value.T


def images_last(material: Material) -> Floats:
    """The inputs as N,H,W,C."""
    return np.ascontiguousarray(material.inputs.transpose(0, 2, 3, 1))
