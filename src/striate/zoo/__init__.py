"""Networks from the literature, with their papers' numbers beside them."""

from __future__ import annotations

from collections.abc import Callable

from ..network import Network
from .lenet import input_shape_for, lenet5, lenet5_1998, lenet5_strided
from .modern import mobilenet, resnet, vgg

__all__ = [
    "NETWORKS",
    "input_shape_for",
    "lenet5",
    "lenet5_1998",
    "lenet5_strided",
    "mobilenet",
    "resnet",
    "vgg",
]

NETWORKS: dict[str, Callable[..., Network]] = {
    "lenet5": lenet5,
    "lenet5-1998": lenet5_1998,
    "lenet5-strided": lenet5_strided,
    "vgg": vgg,
    "mobilenet": mobilenet,
    "resnet": resnet,
}
"""Networks by the names the command line knows; each takes input_shape, classes and
seed as keywords."""
