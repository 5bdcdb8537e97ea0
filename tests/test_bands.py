"""Convolutions taken with their max pool, a band of rows at a time, and rectifiers that
other steps apply: what they compute is what the layers say."""

from __future__ import annotations

import numpy as np
import pytest
import reference_numpy as reference
from strategies import make_case
from test_properties import (
    ISAS,
    check_against_differences,
    input_gradient,
    loss_and_gradient,
    single,
    train,
)

from striate import (
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    LeakyReLU,
    MaxPool2D,
    Network,
    ReLU,
    Residual,
)
from striate.layers import Layer

# Maps of a megabyte and more in a block of 16 images, with rows that no window reaches,
# bands that end within the map, and pools of other sizes.
BANDED: dict[str, list[Layer]] = {
    "1 x 1": [Conv2D(5, 3), ReLU(), Conv2D(12, 1), ReLU(), MaxPool2D(2)],
    "leaky": [
        Conv2D(4, 1),
        LeakyReLU(0.1),
        Conv2D(12, 1),
        LeakyReLU(0.2),
        MaxPool2D(3),
    ],
    "no rectifier": [Conv2D(20, 5, stride=(1, 2)), MaxPool2D((3, 2), stride=(3, 1))],
    "depthwise": [
        Conv2D(12, 1),
        ReLU(),
        Conv2D(12, 3, groups=12),
        ReLU(),
        MaxPool2D(2),
    ],
}


def network_of(layers: list[Layer], side: int = 45) -> Network:
    return Network([*layers, GlobalAvgPool2D(), Dense(4)], (side, side + 2, 3), seed=5)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", BANDED)
def test_results_stay_within_the_bound(name: str, isa: str) -> None:
    network = network_of(BANDED[name])
    case, weights = make_case(network, count=9, seed=2), network.engine.flat
    wanted = reference.run(
        network.resolved, network.weights, case.images, **case.targets
    )
    plan = single(network, isa)
    last = network.resolved[-1]
    for threads in (1, 2):
        (found,) = plan.forward(weights, case.images, [last.index], threads)
        found = found.reshape(len(found), *last.output_shape)
        reference.assert_within(last.name, found, wanted.outputs[last.name])
    _, flat = loss_and_gradient(plan, case, weights, case.images)
    for one, gradient in network.engine.named(flat).items():
        reference.assert_within(one, gradient, wanted.gradients[one])
    gradient = input_gradient(plan, case, weights, case.images)
    reference.assert_within("input", gradient, wanted.input_gradient)


@pytest.mark.parametrize("name", BANDED)
def test_bits_do_not_depend_on_threads(name: str) -> None:
    network = network_of(BANDED[name])
    case = make_case(network, count=20, seed=3)
    assert train(case, threads=1) == train(case, threads=3)


RECTIFIED: dict[str, list[Layer]] = {
    "before padding": [Conv2D(3, 3), ReLU(), Conv2D(2, 3, padding=1), ReLU()],
    "padded pool": [Conv2D(3, 3), LeakyReLU(0.3), MaxPool2D(3, padding=1)],
    "overlapping pool": [Conv2D(3, 2), ReLU(), MaxPool2D(3, stride=1), ReLU()],
    "twice": [Conv2D(3, 2), LeakyReLU(0.5), ReLU(), Conv2D(2, 1), LeakyReLU(0.2)],
    "strided": [Conv2D(4, 3), LeakyReLU(0.2), Conv2D(3, 2, stride=3), ReLU()],
    "dilated": [Conv2D(2, 2), ReLU(), Conv2D(2, 2, dilation=2), BatchNorm(), ReLU()],
    "branches": [
        Conv2D(3, 1),
        ReLU(),
        Residual([Conv2D(3, 3, padding=1), ReLU(), Conv2D(3, 1)]),
        ReLU(),
    ],
    "dropout": [Conv2D(3, 2), BatchNorm(), Dropout(0.3), ReLU(), MaxPool2D(2)],
    "flat": [Conv2D(2, 3), Flatten(), ReLU(), Dense(5), LeakyReLU(0.2)],
    "first": [ReLU(), Conv2D(2, 3), ReLU()],
}


@pytest.mark.parametrize("name", RECTIFIED)
def test_gradients_through_rectifiers_agree_with_differences(name: str) -> None:
    layers = [*RECTIFIED[name], Flatten(), Dense(3)]
    if name == "flat":
        layers.pop(-2)
    network = Network(layers, (7, 8, 2), seed=1)
    check_against_differences(make_case(network, count=5, seed=7), most=12)


def test_what_a_rectifier_is_given_can_be_seen() -> None:
    """Activations asked for are the layers' own, whatever the engine joins."""
    network = network_of(BANDED["1 x 1"])
    images = make_case(network, count=9, seed=2).images
    found = network.activations(images, preprocessed=True)
    assert found["conv2"].min() < 0.0
    np.testing.assert_array_equal(found["relu2"], np.maximum(found["conv2"], 0.0))
    alone = network.activations(images, "relu2", preprocessed=True)
    np.testing.assert_array_equal(alone, found["relu2"])
