"""Grad-CAM: where a layer's maps speak for a class."""

from __future__ import annotations

import numpy as np

from ..engine.weights import Floats
from ..network import Network
from .finite import check_finite
from .scaling import layer_with_maps


def grad_cam(
    network: Network,
    images: object,
    *,
    target: object = None,
    layer: str | int | None = None,
    relu: bool = True,
    preprocessed: bool = False,
    invert: bool = False,
    threads: int | None = None,
) -> Floats:
    """Return where a layer's maps speak for a class, N,h,w: one heat map an image.

    The sum of the layer's maps, each times the mean of the gradient of the class's
    logit over its units.

    Arguments:
        target: the class, one or one for each image; by default the one the network
            answers.
        layer: any that has maps, those inside of a Residual too; by default the last
            whose maps have more than one unit. Deeper layers know more of what makes
            up the class, those before them better where.
        relu: whether what speaks against the class is left out, as in the paper.

    Heat maps are of the layer's size; `scale_to_input` makes them as large as the
    image. Raises UsageError where there are no maps, ShapeError where the network does
    not end in classes, DataError for classes it does not know and where its numbers
    are not finite.
    Source: Selvaraju and others, "Grad-CAM: visual explanations from deep networks via
    gradient-based localization", 2017.

    >>> from striate import lenet5
    >>> from striate.explain import scale_to_input
    >>> network = lenet5()
    >>> heat = grad_cam(network, np.zeros((2, 28, 28), np.uint8), target=3)
    >>> heat.shape, scale_to_input(network, heat).shape
    ((2, 5, 5), (2, 32, 32))
    """
    one = layer_with_maps(network, layer)
    if target is None:
        target = network.predict(
            images, preprocessed=preprocessed, invert=invert, threads=threads
        )
    gradient = network.input_gradient(
        images,
        target=target,
        at=one.index,
        preprocessed=preprocessed,
        invert=invert,
        threads=threads,
    )
    maps = network.activations(
        images, one.index, preprocessed=preprocessed, invert=invert, threads=threads
    )
    with np.errstate(invalid="ignore", over="ignore"):  # it is told below
        heat: Floats = np.einsum("nhwc,nc->nhw", maps, gradient.mean(axis=(1, 2)))
    check_finite(heat, f"the heat map of {one.name}")
    return np.maximum(heat, 0) if relu else heat
