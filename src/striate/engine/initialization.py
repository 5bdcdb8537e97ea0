"""The weights a new network starts with: PyTorch's default initialisation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..resolve import ResolvedLayer
from .randomness import fill_uniform
from .weights import weight_offsets


def initial_weights(
    resolved: Sequence[ResolvedLayer], seed: int
) -> NDArray[np.float32]:
    """Return the starting weights of a network, float32, as one flat vector.

    Weights and biases are uniform over -1/sqrt(fan_in) ... 1/sqrt(fan_in), fan_in being
    the number of inputs that one output sums over; a normalisation starts by changing
    nothing but mean and variance. Each array is drawn from the seed
    and its layer's index alone, so appending a layer leaves those before it unchanged.
    Source: LeCun, Bottou, Orr and Müller, 1998; as PyTorch's Conv2d and Linear start.
    """
    size = sum(layer.parameters + layer.statistics for layer in resolved)
    flat = np.empty(size, dtype=np.float32)
    places = weight_offsets(resolved)
    for layer in resolved:
        for number, weight in enumerate(layer.weights):
            start = places[weight.name][1]
            part = flat[start : start + weight.size]
            if weight.start is not None:
                part[:] = weight.start
                continue
            bound = 1 / math.sqrt(weight.fan_in)
            fill_uniform(part, bound, (seed, 2 * layer.index + number))
    return flat
