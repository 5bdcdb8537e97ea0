"""Gradients whose way back through every ReLU is changed, so that pictures are clearer.

Guided backpropagation, and the deconvolutional projection of Zeiler and Fergus.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arguments import shown, whole_number
from ..engine.weights import Floats
from ..errors import ShapeError, UsageError
from ..inspection import Unit, unit_indices
from ..network import Network
from ..receptive import receptive_field
from ..resolve import ResolvedLayer, find_layer
from .fields import boxes_of
from .finite import check_finite


def guided_backpropagation(
    network: Network,
    images: object,
    *,
    target: object = None,
    layer: str | int | None = None,
    unit: Unit | None = None,
    preprocessed: bool = False,
    invert: bool = False,
    threads: int | None = None,
) -> Floats:
    """Return the gradient of the input with all that is negative cut away, N,H,W,C.

    Of the logit of a class (`target`, by default the one the network answers) or of a
    unit (`layer` and `unit`), one for all images or one for each. A ReLU passes the
    gradient back only where both it and the ReLU's input are positive, so that only
    those ways count on which every ReLU raises the number. Other activations pass back
    their gradient. The pictures are clear, but depend little on the class and on the
    later layers (Adebayo and others, "Sanity checks for saliency maps", 2018). Raises
    what `Network.input_gradient` does, and DataError where numbers are not finite.
    Source: Springenberg, Dosovitskiy, Brox and Riedmiller, "Striving for simplicity:
    the all convolutional net", 2014.

    >>> from striate import lenet5
    >>> images = np.zeros((2, 28, 28), np.uint8)
    >>> guided_backpropagation(lenet5(), images, target=[3, 5]).shape
    (2, 32, 32, 1)
    """
    if target is None and layer is None and unit is None:
        target = network.predict(
            images, preprocessed=preprocessed, invert=invert, threads=threads
        )
    gradient = network.input_gradient(
        images,
        target=target,
        layer=layer,
        unit=unit,
        rule="guided",
        preprocessed=preprocessed,
        invert=invert,
        threads=threads,
    )
    check_finite(gradient, "the gradient of the input")
    return gradient


@dataclass(frozen=True)
class Projection:
    """What made one unit of a layer fire in each of N images, as pixels."""

    values: Floats
    """N,H,W,C, in coordinates of the network's input."""
    units: NDArray[np.intp]
    """N,3: row, column and channel of each unit; of a flat layer N,1."""
    activations: Floats
    """N: how strongly each unit fired."""
    boxes: NDArray[np.int64]
    """N,4: top, left, bottom and right of what each unit sees."""


def deconvolution(
    network: Network,
    images: object,
    layer: str | int,
    *,
    unit: Unit | None = None,
    channel: int | None = None,
    preprocessed: bool = False,
    invert: bool = False,
    threads: int | None = None,
) -> Projection:
    """Return what made a unit fire in each image, projected down to the input.

    All other units of the layer are set to zero, and the activation is passed down:
    through max pooling to the place of the recorded maximum, through every ReLU where
    it is positive, through every convolution by the transposed kernels, without biases.

    Arguments:
        layer: any.
        unit: (row, column, channel), or a number in a flat layer; one for all images or
            one for each.
        channel: instead, the strongest unit of this feature map in each image.

    With neither it is the strongest unit of the layer in each image. What does not
    fire, its activation being 0 or less, has a projection of zeros. Raises UsageError
    where both are given and for layers there are not, ShapeError for units and channels
    there are not, DataError where the network's numbers are not finite.
    Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks",
    2013.

    >>> from striate import lenet5
    >>> images = np.zeros((2, 28, 28), np.uint8)
    >>> found = deconvolution(lenet5(), images, "relu2", channel=7)
    >>> found.values.shape, found.units.shape
    ((2, 32, 32, 1), (2, 3))
    """
    if unit is not None and channel is not None:
        raise UsageError(
            "deconvolution takes a unit, or a channel whose strongest unit is found, but "
            f"not unit={shown(unit)} and channel={shown(channel)} at once."
        )
    one = find_layer(network.resolved, layer)
    maps = network.activations(
        images, one.index, preprocessed=preprocessed, invert=invert, threads=threads
    )
    if unit is None:
        places = _strongest(one, maps, channel)
    else:
        places = np.broadcast_to(unit_indices(one, unit, len(maps)), len(maps))
    units = np.stack(np.unravel_index(places, one.output_shape), axis=1)
    values = network.input_gradient(
        images,
        layer=one.index,
        unit=units,
        rule="deconvolution",
        preprocessed=preprocessed,
        invert=invert,
        threads=threads,
    )
    # The way down has no biases, so what goes down it scales what comes out.
    activations = maps.reshape(len(maps), -1)[np.arange(len(maps)), places]
    with np.errstate(invalid="ignore", over="ignore"):  # it is told below
        values *= np.maximum(activations, 0)[:, None, None, None]
    check_finite(values, f"what makes {one.name} fire")
    flat = units.shape[1] == 1  # then (0, 0) stands for every unit
    rows, columns = np.zeros((2, len(units)), np.intp) if flat else units.T[:2]
    boxes = boxes_of(receptive_field(network, one.index), rows, columns)
    return Projection(values, units, activations, boxes)


def _strongest(
    one: ResolvedLayer, maps: Floats, channel: int | None
) -> NDArray[np.intp]:
    """Where each image's strongest unit stands, of all or of one channel."""
    strongest: NDArray[np.intp]
    if channel is None:
        strongest = maps.reshape(len(maps), -1).argmax(axis=1)
        return strongest
    channel = whole_number("deconvolution", "channel", channel, minimum=0)
    channels = one.output_shape[-1]
    if channel >= channels:
        raise ShapeError(
            f"there is no channel {channel} in {one.name}, which has {channels}, "
            "counted from 0."
        )
    strongest = maps[..., channel].reshape(len(maps), -1).argmax(axis=1)
    return strongest * channels + channel
