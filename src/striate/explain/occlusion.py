"""Occlusion maps: how much less sure the network is where a patch hides the image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..arguments import Pair, both, number_or_pair, shown, spell
from ..engine.weights import Floats
from ..errors import ShapeError, UsageError
from ..network import Network
from ..training.evaluation import softmax
from .finite import check_finite
from .question import Question, parts

Fill = Literal["background", "mean"]

ALONE = 8
"""Calls of so many images take them one by one and round otherwise: there, hiding what
is background already would seem to change something."""


@dataclass(frozen=True)
class Occlusion:
    """What hiding each place of every image took from its class.

    Places are in coordinates of the network's input, as boxes of receptive fields are.
    """

    rows: NDArray[np.intp]
    """R: the first row of each place of the patch."""
    columns: NDArray[np.intp]
    """K: the first column of each."""
    patch: tuple[int, int]
    input_size: tuple[int, int]
    probability_drops: Floats
    """N,R,K: the probability without the patch less the probability with it."""
    logit_drops: Floats
    """N,R,K: the same of the logit."""

    @property
    def probability_map(self) -> Floats:
        """N,H,W: the mean drop of probability over all patches that cover a pixel."""
        return self._spread(self.probability_drops)

    @property
    def logit_map(self) -> Floats:
        """N,H,W: the mean drop of the logit over all patches that cover a pixel."""
        return self._spread(self.logit_drops)

    def _spread(self, drops: Floats) -> Floats:
        down = _covered(self.rows, self.patch[0], self.input_size[0])
        across = _covered(self.columns, self.patch[1], self.input_size[1])
        spread: Floats = (down.T @ drops @ across).astype(np.float32)
        return spread


def occlusion(
    network: Network,
    images: object,
    *,
    target: object = None,
    patch: Pair | None = None,
    stride: Pair | None = None,
    fill: Fill = "background",
    preprocessed: bool = False,
    invert: bool = False,
    threads: int | None = None,
) -> Occlusion:
    """Slide a patch over every image and measure what that takes from a class.

    Arguments:
        target: a class, or one for each image; by default the one the network answers.
        patch: side of the patch in pixels, or (height, width); by default a quarter of
            the input's sides.
        stride: pixels from one place to the next, at most the patch's side, so that no
            pixel is left out; by default a quarter of that. The last places lie at the
            border, whatever the stride.
        fill: what is in the patch: the "background" of the training images, or their
            "mean" colour, which is 0 in the prepared input.

    Probabilities are those of `predict_proba`. Raises ShapeError for a patch larger than
    the input, UsageError for a stride that leaves gaps.
    Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks",
    2013, section 4.2.

    >>> import striate as st
    >>> network = st.Network([st.Flatten(), st.Dense(2, bias=False)], (2, 4, 1))
    >>> network.set_weights({"dense1.weight": [[1, 2, 0, 0, 3, 4, 0, 0], [0] * 8]})
    >>> found = occlusion(network, np.full((1, 2, 4), 255, np.uint8), patch=2, stride=2)
    >>> found.logit_drops  # the left half gives 1 + 2 + 3 + 4, the right half nothing
    array([[[10.,  0.]]], dtype=float32)
    >>> found.logit_map.shape
    (1, 2, 4)
    """
    height, width, _ = network.input_shape
    size = _patch(patch, (height, width))
    step = _stride(stride, size)
    if fill not in ("background", "mean"):
        raise ValueError(
            f"occlusion: fill must be 'background' or 'mean', not {shown(fill)}."
        )
    question = Question.of(
        network,
        images,
        target=target,
        preprocessed=preprocessed,
        invert=invert,
        threads=threads,
    )
    rule = network.input_rule
    hidden = rule.background if fill == "background" else np.zeros(1, np.float32)
    rows, columns = (
        _places(*sides) for sides in zip((height, width), size, step, strict=True)
    )
    corners = [(row, column) for row in rows for column in columns]
    drops = np.empty((2, question.count, len(corners)), np.float32)
    for part, values in question.batches():
        whole = _answers(question, values, part, 1)
        for places in parts(len(corners), question.together // len(values)):
            covered = np.tile(values, (places.stop - places.start, 1, 1, 1))
            copies = covered.reshape(-1, *values.shape)
            for copy, (row, column) in zip(copies, corners[places], strict=True):
                copy[:, row : row + size[0], column : column + size[1]] = hidden
            with_patch = _answers(question, covered, part, len(copies))
            drops[:, part, places] = (whole - with_patch).swapaxes(1, 2)
    shape = question.count, len(rows), len(columns)
    logits, probabilities = (drop.reshape(shape) for drop in drops)
    return Occlusion(rows, columns, size, (height, width), probabilities, logits)


def _answers(
    question: Question, values: Floats, part: slice, copies: int
) -> NDArray[np.float32]:
    """Logit and probability of each image's class in every copy: 2, copies, images."""
    network, units = question.network, np.tile(question.units[part], copies)
    count = len(values)
    if count <= ALONE:
        values = np.resize(values, (ALONE + 1, *values.shape[1:]))
    logits = network.logits(values, preprocessed=True, threads=question.threads)
    check_finite(logits, f"the output of {question.layer.name}")
    chosen = np.arange(count), units
    answers = np.stack([logits[chosen], softmax(logits, network.temperature)[chosen]])
    return answers.reshape(2, copies, -1)


def _places(side: int, patch: int, stride: int) -> NDArray[np.intp]:
    """Where the patch begins along one axis; the last place ends at the border."""
    places = np.arange(0, side - patch + 1, stride)
    last = side - patch
    return places if places[-1] == last else np.append(places, last)


def _covered(places: NDArray[np.intp], patch: int, side: int) -> NDArray[np.float64]:
    """Along one axis: places x pixels, what share each place has in a pixel's mean."""
    pixels = np.arange(side)
    first = places[:, None]
    covers = (first <= pixels) & (pixels < first + patch)
    shares: NDArray[np.float64] = covers / covers.sum(axis=0)
    return shares


def _patch(patch: Pair | None, size: tuple[int, int]) -> tuple[int, int]:
    if patch is None:
        return max(1, size[0] // 4), max(1, size[1] // 4)
    given = both(number_or_pair("occlusion", "patch", patch))
    if given[0] > size[0] or given[1] > size[1]:
        raise ShapeError(
            f"occlusion: a patch of {spell(given)} does not fit into the network's "
            f"input of {spell(size)}; give a smaller one."
        )
    return given


def _stride(stride: Pair | None, patch: tuple[int, int]) -> tuple[int, int]:
    if stride is None:
        return math.ceil(patch[0] / 4), math.ceil(patch[1] / 4)
    given = both(number_or_pair("occlusion", "stride", stride))
    if given[0] > patch[0] or given[1] > patch[1]:
        raise UsageError(
            f"occlusion: a stride of {spell(given)} leaves pixels out between patches of "
            f"{spell(patch)}; give a stride of at most the patch's sides."
        )
    return given
