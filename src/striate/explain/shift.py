"""Shifts: what moving an image does to the answers and to every layer (M4)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import shown, spell, whole_number
from ..engine.weights import Doubles, Floats
from ..errors import DataError, UsageError
from ..images.inputs import Images, prepare, prepared
from ..images.labels import as_labels
from ..layers import Dropout, Flatten
from ..network import Network
from ..receptive import receptive_field
from ..spread import spread
from .distances import DIRECTIONS, LayerShift, LayerTally, overlap
from .finite import check_finite

FARTHEST = 8  # pixels by default
COMPARED = 1_000  # images whose features are compared; answers are counted for all
_BATCH = 2**24  # bytes of activations held for a batch, for images where they were
_INPUT = "input"


@dataclass(frozen=True, eq=False)
class ShiftResponse:
    """What shifts of `pixels` do to a network; arrays have one number a shift."""

    pixels: tuple[int, ...]
    images: int
    compared: int
    accuracy: Doubles | None
    """The share of right answers; None without labels."""
    same_answer: Doubles | None
    """The share of images answered as they were unmoved; None without labels."""
    layers: tuple[LayerShift, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it; NaN becomes None."""
        shares = {"accuracy": self.accuracy, "same_answer": self.same_answer}
        return {
            "pixels": list(self.pixels),
            "images": self.images,
            "compared": self.compared,
            **{
                name: None if values is None else values.tolist()
                for name, values in shares.items()
            },
            "layers": [
                {
                    "name": layer.name,
                    "jump": list(layer.jump),
                    "change": _plain(layer.change),
                    "moved_along": _plain(layer.moved_along),
                    "maximum": _plain(layer.maximum),
                }
                for layer in self.layers
            ],
        }


def shift_response(
    network: Network,
    images: object,
    labels: object = None,
    *,
    pixels: Iterable[int] | None = None,
    compared: int = COMPARED,
    preprocessed: bool = False,
    threads: int | None = None,
) -> ShiftResponse:
    """Move images up, down, left and right, and measure answers and every layer.

    They move inside the network's input: what leaves it is lost, and the background of
    the training images comes in. For features f, images x and shifts T of one length,
    the change is

        sqrt( mean |f(T x) - f(x)|^2  /  mean |f(x) - f(x')|^2 )

    over x and T, and over pairs x, x' of different images: the features' own scale.

    Arguments:
        images: N,H,W,C, at least two.
        labels: one for each image; without them only features are compared.
        pixels: the shifts, each below the shorter side of the input; 0 to 8 by default.
        compared: how many images' features are compared at most, evenly spaced.
            Answers are counted for all images.

    Images are taken in batches: memory does not grow with their number. Raises
    UsageError for shifts that leave nothing, DataError for a single image, or a network
    whose numbers are not finite.
    Source: the lecture's M4; equivariance and invariance after Goodfellow, Bengio and
    Courville, "Deep learning", 2016, chapter 9.

    >>> from striate import Conv2D
    >>> network = Network([Conv2D(4, 3)], (12, 12, 1))
    >>> images = np.zeros((2, 12, 12, 1), np.float32)
    >>> images[0, 5:7, 5:7] = images[1, 5:9, 5:9] = 1
    >>> response = shift_response(network, images, pixels=[0, 2])
    >>> conv = response.layers[1]
    >>> conv.change.round(2), conv.moved_along.round(2), conv.maximum.round(2)
    (array([0.  , 0.96]), array([0., 0.]), array([0., 0.]))
    """
    steps = _checked_pixels(network, pixels)
    whole_number("shift_response", "compared", compared, minimum=2)
    inputs = prepare(images, network.input_rule, preprocessed=preprocessed)
    count = inputs.count
    if count < 2:
        raise DataError(
            "shift_response compares with how much images differ, so it needs at least "
            f"2 of them but gets {count}."
        )
    right = same = None
    if labels is not None:
        wanted, _ = as_labels(labels, count, network.classes, outputs=network.outputs)
        right, same = _answers(network, inputs, wanted, steps, threads)
    chosen = np.array(spread(range(count), compared), np.intp)
    layers = _features(network, inputs, chosen, steps, threads)
    return ShiftResponse(tuple(steps), count, len(chosen), right, same, layers)


def moved(images: Floats, rows: int, columns: int, background: Floats) -> Floats:
    """Return images N,H,W,C moved down and right (up and left where negative).

    What comes into view is `background`, one value a channel.

    >>> moved(np.arange(4.0).reshape(1, 2, 2, 1), 0, 1, np.array([9.0]))[0, :, :, 0]
    array([[9., 0.],
           [9., 2.]])
    """
    result = np.empty_like(images)
    result[:] = background
    (to_rows, from_rows), (to_columns, from_columns) = map(overlap, (rows, columns))
    result[:, to_rows, to_columns] = images[:, from_rows, from_columns]
    return result


def _checked_pixels(network: Network, pixels: Iterable[int] | None) -> list[int]:
    side = min(network.input_shape[:2])
    if pixels is None:
        return list(range(min(FARTHEST, side - 1) + 1))
    if not isinstance(pixels, Iterable) or isinstance(pixels, str):
        raise TypeError(
            f"shift_response: pixels must be several shifts, not {shown(pixels)}; give "
            "a list of them."
        )
    steps = [whole_number("shift_response", "pixels", one, minimum=0) for one in pixels]
    if not steps or max(steps) >= side:
        raise UsageError(
            f"shifts must be of 0 to {side - 1} pixels, as the network's input is "
            f"{spell(network.input_shape[:2])}, but are {steps or 'none'}."
        )
    return steps


def _answers(
    network: Network,
    inputs: Images,
    labels: NDArray[np.int32],
    steps: Sequence[int],
    threads: int | None,
) -> tuple[Doubles, Doubles]:
    """The shares of right answers, and of answers as they were unmoved, by shift."""

    def answers(images: Floats) -> NDArray[np.intp]:
        logits = network.logits(images, preprocessed=True, threads=threads)
        check_finite(logits, f"what leaves {network.resolved[-1].name}")
        highest: NDArray[np.intp] = logits.argmax(axis=1)
        return highest

    hits = np.zeros((2, len(steps)))
    rule = network.input_rule
    size = _batch_size(4 * math.prod(network.input_shape))
    for start in range(0, inputs.count, size):
        part = slice(start, start + size)
        images = prepared(inputs, rule, part)
        before = answers(images)
        for place, step in enumerate(steps):
            for down, right in DIRECTIONS:
                now = answers(moved(images, step * down, step * right, rule.background))
                hits[:, place] += np.sum(now == labels[part]), np.sum(now == before)
    right, same = hits / (len(DIRECTIONS) * inputs.count)
    return right, same


def _features(
    network: Network,
    inputs: Images,
    chosen: NDArray[np.intp],
    steps: Sequence[int],
    threads: int | None,
) -> tuple[LayerShift, ...]:
    tallies = [LayerTally(_INPUT, (1, 1), network.input_shape, len(steps))]
    for one in network.resolved:
        if not isinstance(one.layer, Flatten | Dropout):  # they change no feature
            jump = receptive_field(network, one.index).jump
            tallies.append(LayerTally(one.name, jump, one.output_shape, len(steps)))
    names = [tally.name for tally in tallies[1:]]

    def features(images: Floats) -> dict[str, Floats]:
        if not names:
            return {_INPUT: images}
        maps = network.activations(images, names, preprocessed=True, threads=threads)
        return {_INPUT: images, **maps}

    rule = network.input_rule
    # Features of a batch, of the moved batch, and their difference.
    size = _batch_size(16 * sum(math.prod(tally.shape) for tally in tallies))
    for start in range(0, len(chosen), size):
        images = prepared(inputs, rule, chosen[start : start + size])
        unmoved = features(images)
        for tally in tallies:
            tally.see(unmoved[tally.name])
        for place, step in enumerate(steps):
            for down, right in DIRECTIONS:
                shift = step * down, step * right
                now = features(moved(images, *shift, rule.background))
                for tally in tallies:
                    tally.compare(now[tally.name], place, shift)
    return tuple(tally.result(steps) for tally in tallies)


def _batch_size(bytes_an_image: int) -> int:
    return max(1, _BATCH // bytes_an_image)


def _plain(values: Doubles) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]
