"""Winograd's minimal filtering: where shapes choose it, and that it convolves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference_numpy as reference
from numpy.typing import NDArray
from strategies import Case, make_case
from test_properties import (
    ISAS,
    double,
    input_gradient,
    loss_and_gradient,
    single,
    train,
)

import striate as st
from striate import (
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool2D,
    Network,
    ReLU,
    Residual,
    Tanh,
    _core,
)
from striate.engine.lowering import lower
from striate.layers import Layer

# Networks whose convolutions all go by filtering, whatever the instruction set.
WIDE: list[tuple[list[Layer], tuple[int, int, int]]] = [
    ([Conv2D(16, 3, padding=1), Tanh()], (8, 8, 16)),
    ([Conv2D(33, 3, padding=2, bias=False), Tanh()], (9, 7, 25)),
    ([Conv2D(32, 3)], (10, 15, 31)),
    ([Conv2D(16, 3, padding=1), Tanh()], (12, 12, 6)),
    ([Conv2D(64, 3, padding="same"), ReLU()], (4, 4, 64)),
    ([Conv2D(32, 3), Tanh(), Conv2D(32, 3, padding=1)], (8, 9, 32)),
    ([Conv2D(17, 5, padding=2), Tanh()], (7, 10, 20)),
    ([Conv2D(32, 5), Tanh(), Conv2D(32, 5, padding=1)], (11, 10, 25)),
    (
        [Residual([Conv2D(20, 3, padding=1), Tanh(), Conv2D(20, 3, padding=1)])],
        (13, 11, 20),
    ),
]
WIDE_IDS = [f"{shape}-{len(layers)}" for layers, shape in WIDE]


def wide(layers: list[Layer], shape: tuple[int, int, int]) -> Network:
    return Network([*layers, GlobalAvgPool2D(), Dense(5)], shape, seed=4)


def direct(network: Network, isa: str = "") -> _core.Plan:
    return _core.Plan(
        lower(network.resolved), network.engine.flat.size, isa, direct=True
    )


@pytest.fixture(scope="module", params=WIDE, ids=WIDE_IDS)
def bounded(request: pytest.FixtureRequest) -> tuple[Case, reference.Reference]:
    """A batch for one of these networks, and what is to come of it."""
    network = wide(*request.param)
    case = make_case(network, count=17, seed=2)
    return case, reference.run(
        network.resolved, network.weights, case.images, **case.targets
    )


@pytest.mark.parametrize("isa", ISAS[:-1])  # the last one is the reference
def test_results_stay_within_the_bound(
    bounded: tuple[Case, reference.Reference], isa: str
) -> None:
    case, wanted = bounded
    network, weights = case.network, case.network.engine.flat
    plan = single(network, isa)
    (found,) = plan.forward(weights, case.images, [0], 2)
    first = network.resolved[0].name
    if not isinstance(network.layers[0], Residual):
        reference.assert_within(first, found, wanted.outputs[first])
    _, flat = loss_and_gradient(plan, case, weights, case.images)
    for name, gradient in network.engine.named(flat).items():
        reference.assert_within(name, gradient, wanted.gradients[name])
    gradient = input_gradient(plan, case, weights, case.images)
    reference.assert_within("input", gradient, wanted.input_gradient)
    # Other bits than those of the direct way, or this test would not be about it.
    plain = direct(network, isa)
    assert plan.bytes(17, 1, True) > plain.bytes(17, 1, True)
    _, other = loss_and_gradient(plain, case, weights, case.images)
    assert (flat != other).any()
    assert (input_gradient(plain, case, weights, case.images) != gradient).any()


def relative_error(found: NDArray[Any], exact: NDArray[Any]) -> float:
    difference = np.linalg.norm(found.astype(np.float64) - exact)
    return float(difference / np.linalg.norm(exact))


def test_errors_are_a_small_multiple_of_those_of_direct_convolution() -> None:
    """What docs/performance.md says of a layer of 64 channels, with room for luck."""
    network = wide([Conv2D(64, 3, padding=1)], (8, 8, 64))
    case, weights = make_case(network, count=16), network.engine.flat
    exact = double(network)
    wide_weights, images = weights.astype(np.float64), case.images.astype(np.float64)
    outputs = exact.forward(wide_weights, images, [0], 1)[0]
    seeds = np.random.default_rng(1).standard_normal(outputs.shape)
    backward = exact.input_gradient(wide_weights, images, 0, seeds, None, 0.0, 1)
    for plan, limit in ((single(network), 2e-6), (direct(network), 1e-6)):
        found = plan.forward(weights, case.images, [0], 1)[0]
        assert relative_error(found, outputs) < limit
        above = seeds.astype(np.float32)
        found = plan.input_gradient(weights, case.images, 0, above, None, 0.0, 1)
        assert relative_error(found, backward) < limit


@pytest.mark.parametrize("isa", ISAS[:-1])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_the_gradient_of_the_input_is_the_adjoint(isa: str, padding: int) -> None:
    """<A x, y> = <x, A' y> but for the rounding of both sides."""
    network = wide([Conv2D(32, 3, padding=padding, bias=False)], (12, 11, 32))
    random = np.random.default_rng(padding)
    x = random.standard_normal((16, 12, 11, 32), np.float32)
    plan, weights = single(network, isa), network.engine.flat
    (ax,) = plan.forward(weights, x, [0], 1)
    y = random.standard_normal(ax.shape, np.float32)
    aty = plan.input_gradient(weights, x, 0, y, None, 0.0, 1)
    one, other = (np.vdot(a.astype(np.float64), b) for a, b in ((ax, y), (x, aty)))
    # Sums of errors that have no common sign, each below 2e-6 of its value.
    scale = 2e-6 * np.linalg.norm(ax) * np.linalg.norm(y)
    assert abs(one - other) < scale / np.sqrt(ax.size) * 10


def test_same_bits_on_any_number_of_threads_and_with_any_neighbours() -> None:
    layers: list[Layer] = [
        *(Conv2D(16, 3, padding=1), BatchNorm(), ReLU()),
        *(Conv2D(24, 3, padding=1), ReLU(), Flatten(), Dense(4)),
    ]
    network = Network(layers, (9, 9, 16), seed=1)
    case = make_case(network, count=50)
    one = train(case, threads=1)
    assert all(train(case, threads) == one for threads in (2, 3))
    some = network.logits(case.images[20:30])
    np.testing.assert_array_equal(network.logits(case.images)[20:30], some)


def test_narrow_layers_and_other_kernels_stay_direct() -> None:
    layers: list[Layer] = [
        *(Conv2D(8, 3), Conv2D(32, 7), Conv2D(32, 3, stride=2)),
        *(Conv2D(32, 3, dilation=2), Conv2D(32, 3, groups=2), Conv2D(32, (5, 3))),
    ]
    network = wide(layers, (40, 40, 3))
    plans = single(network), direct(network)
    assert len({plan.bytes(16, 1, True) for plan in plans}) == 1
    images = make_case(network, count=16).images
    outputs = [plan.forward(network.engine.flat, images, [5], 1)[0] for plan in plans]
    np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize("isa", ISAS[:-1])
def test_with_few_registers_the_forward_pass_needs_more_channels(isa: str) -> None:
    """LeNet-5's second convolution; the gradient of its weights is always filtered."""
    network = wide([Conv2D(16, 5)], (14, 14, 6))
    case, weights = make_case(network, count=16), network.engine.flat
    outputs, gradients = [], []
    for plan in (single(network, isa), direct(network, isa)):
        outputs.append(plan.forward(weights, case.images, [0], 1)[0])
        _, flat = loss_and_gradient(plan, case, weights, case.images)
        gradients.append(network.engine.named(flat)["conv1.weight"])
    same = np.array_equal(*outputs)
    assert same == (isa in ("avx2", "baseline"))
    assert (gradients[0] != gradients[1]).any()


def test_a_variable_switches_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CONVOLUTION", "direct")
    network = wide([Conv2D(32, 3)], (12, 12, 32))
    images = make_case(network, count=16).images
    (wanted,) = direct(network).forward(network.engine.flat, images, [0], 1)
    np.testing.assert_array_equal(network.activations(images, "conv1"), wanted)
    monkeypatch.setenv("STRIATE_CONVOLUTION", "auto")
    automatic = wide([Conv2D(32, 3)], (12, 12, 32))
    assert (automatic.activations(images, "conv1") != wanted).any()
    monkeypatch.setenv("STRIATE_CONVOLUTION", "winograd")
    with pytest.raises(
        st.UsageError,
        match="STRIATE_CONVOLUTION must be 'auto' or 'direct' but is 'winograd'",
    ):
        wide([Conv2D(32, 3)], (12, 12, 32))
