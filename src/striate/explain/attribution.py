"""Which pixels decide: what every value of the input contributes to one number.

All take what is explained by the keywords of `Network.input_gradient`: `target`, a class
or one for each image, whose logit it is; or `layer` and `unit`, one or one for each; by
default the class the network answers. They raise what it raises, and DataError where
numbers are not finite. Logits are of the image itself, also where the network answers
by the mean of an image and its mirror image (`mirrored_answers`). Images are prepared
first, and all results are of the prepared input, float32 N,H,W,C:
(pixel / 255 - mean) / std, with the background around smaller images.
"""

from __future__ import annotations

import math

import numpy as np

from ..arguments import real_number, whole_number
from ..engine.randomness import check_seed, normal
from ..engine.weights import Floats
from ..gradients import Unit
from ..network import Network
from .question import Question


def saliency(
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
    """Return the gradient of a class's logit, or of a unit, by the input: N,H,W,C.

    It says what changing a pixel a little would do, which is not the same as what the
    pixel contributed. `largest_magnitude` makes one number of every pixel's channels.
    Source: Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional Networks:
    Visualising Image Classification Models and Saliency Maps", 2013.

    >>> import striate as st
    >>> network = st.Network([st.Flatten(), st.Dense(2, bias=False)], (2, 2, 1))
    >>> network.set_weights({"dense1.weight": [[1, 2, 3, 4], [0, 0, 0, 0]]})
    >>> saliency(network, np.zeros((1, 2, 2), np.uint8), target=0)[0, :, :, 0]
    array([[1., 2.],
           [3., 4.]], dtype=float32)
    """
    question = Question.of(
        network,
        images,
        target=target,
        layer=layer,
        unit=unit,
        preprocessed=preprocessed,
        invert=invert,
        threads=threads,
    )
    found = question.room()
    for part, values in question.batches():
        found[part] = question.gradients(values, question.units[part])
    return found


def largest_magnitude(attributions: Floats) -> Floats:
    """Return one number a pixel, N,H,W: the largest magnitude over its channels.

    Source: Simonyan, Vedaldi and Zisserman, 2013, section 3.1.

    >>> largest_magnitude(np.array([[[[1.0, -3.0]]]], np.float32))
    array([[[3.]]], dtype=float32)
    """
    magnitude: Floats = np.abs(attributions).max(axis=-1)
    return magnitude


def gradient_times_input(
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
    """Return the gradient times the prepared input: N,H,W,C.

    What is 0 after preprocessing contributes nothing: the image it is measured against
    is the training images' mean colour, not black. For a linear network the sum is the
    difference to that image's output.
    Source: Shrikumar, Greenside, Shcherbina and Kundaje, "Not Just a Black Box", 2016.

    >>> import striate as st
    >>> network = st.Network([st.Flatten(), st.Dense(2)], (2, 2, 1), seed=3)
    >>> pixels = np.full((1, 2, 2), 255, np.uint8)
    >>> shares = gradient_times_input(network, pixels, target=1)
    >>> bias = network.weights["dense1.bias"][1]
    >>> bool(np.isclose(shares.sum() + bias, network.logits(pixels)[0, 1]))
    True
    """
    question = Question.of(
        network,
        images,
        target=target,
        layer=layer,
        unit=unit,
        preprocessed=preprocessed,
        invert=invert,
        threads=threads,
    )
    found = question.room()
    for part, values in question.batches():
        found[part] = question.gradients(values, question.units[part]) * values
    return found


def smooth_gradient(
    network: Network,
    images: object,
    *,
    samples: int = 50,
    noise: float = 0.15,
    seed: int = 0,
    target: object = None,
    layer: str | int | None = None,
    unit: Unit | None = None,
    preprocessed: bool = False,
    invert: bool = False,
    threads: int | None = None,
) -> Floats:
    """Return the mean gradient over noisy copies of each image (SmoothGrad): N,H,W,C.

    Arguments:
        samples: how many copies.
        noise: standard deviation of the noise, as a share of the range from each
            image's lowest to its highest value.
        seed: of the noise; all images get the same, so that what is found of one
            depends on no other.

    Source: Smilkov, Thorat, Kim, Viégas and Wattenberg, "SmoothGrad: removing noise by
    adding noise", 2017.

    >>> import striate as st
    >>> network = st.lenet5()
    >>> smooth_gradient(network, np.zeros((2, 28, 28), np.uint8), samples=4).shape
    (2, 32, 32, 1)
    """
    samples = whole_number("smooth_gradient", "samples", samples)
    noise = real_number("smooth_gradient", "noise", noise)
    if noise < 0:
        raise ValueError(f"smooth_gradient: noise must be at least 0, not {noise}.")
    seed = check_seed(seed)
    question = Question.of(
        network,
        images,
        target=target,
        layer=layer,
        unit=unit,
        preprocessed=preprocessed,
        invert=invert,
        threads=threads,
    )
    shape = network.input_shape

    def moved(values: Floats, sample: int) -> Floats:
        ranges = np.ptp(values, axis=(1, 2, 3), keepdims=True)
        drawn = normal(math.prod(shape), (seed, sample)).reshape(shape)
        noisy: Floats = values + np.float32(noise) * ranges * drawn
        return noisy

    found = question.room()
    for part, values in question.batches():
        found[part] = question.mean_gradients(part, values, samples, moved)
    return found
