"""A network whose silent units have a gradient all the same."""

from __future__ import annotations

from collections.abc import Iterable

from ..layers import LeakyReLU, ReLU, Residual
from ..network import Network
from ..resolve import Layer

SLOPE = 0.1


def leaking(network: Network) -> Network:
    """Return the same network with LeakyReLU in place of every ReLU.

    It tells which way to go to wake a unit that is silent. Layers keep their indices;
    the weights are shared.

    >>> from striate.layers import Dense, Flatten
    >>> leaking(Network([Flatten(), Dense(2), ReLU()], (2, 2, 1)))
    Network([Flatten(), Dense(2), LeakyReLU(0.1)], (2, 2, 1), seed=0)
    """
    twin = Network(_replaced(network.layers), network.input_shape, network.seed)
    twin.engine.flat = network.engine.flat
    return twin


def _replaced(layers: Iterable[Layer]) -> list[Layer]:
    replaced: list[Layer] = []
    for layer in layers:
        if isinstance(layer, ReLU):
            layer = LeakyReLU(SLOPE)
        elif isinstance(layer, Residual):
            layer = Residual(*map(_replaced, layer.branches))
        replaced.append(layer)
    return replaced
