"""Images as the network takes them, as pixels to look at."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..images.arrays import PIXEL
from ..images.fitting import centred
from ..images.inputs import InputRule, checked
from ..network import Network

Pixels = NDArray[np.uint8]


def input_pixels(
    network: Network,
    images: object,
    *,
    preprocessed: bool = False,
    invert: bool = False,
) -> Pixels:
    """Return images as they lie in the network's input: uint8 N,H,W,C of its shape.

    Smaller ones are centred, with the training images' background around them, so that
    boxes of receptive fields cut out what a unit sees. Of float images the preprocessing
    is undone; where the network knows none, each is stretched from its lowest value,
    0, to its highest, 255. Arguments and errors are those of `Network.activations`.

    >>> import striate as st
    >>> input_pixels(st.lenet5(), np.full((1, 28, 28), 9, np.uint8))[0, :4, 16, 0]
    array([0, 0, 9, 9], dtype=uint8)
    """
    rule = network.input_rule
    array = checked(images, rule, preprocessed=preprocessed, invert=invert)
    return as_pixels(255 - array if invert else array, rule)


def as_pixels(array: NDArray[Any], rule: InputRule) -> Pixels:
    """Do what `input_pixels` does with images N,H,W,C that were checked."""
    known = rule.preprocessing
    if array.dtype != PIXEL:
        if known is not None:
            shares = array * np.array(known.std) + np.array(known.mean)
        else:
            lowest = array.min(axis=(1, 2, 3), keepdims=True)
            spread = array.max(axis=(1, 2, 3), keepdims=True) - lowest
            shares = (array - lowest) / np.where(spread > 0, spread, 1)
        pixels: Pixels = np.rint(255 * shares.clip(0, 1)).astype(np.uint8)
        return pixels
    background = known.background if known else 0
    field = np.full((len(array), *rule.input_shape), background, np.uint8)
    top, left = centred(array.shape[1:], rule.input_shape)
    field[:, top : top + array.shape[1], left : left + array.shape[2]] = array
    return field
