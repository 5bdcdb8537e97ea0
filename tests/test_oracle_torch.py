"""Against PyTorch in float64: networks, their gradients, and weights to and fro.

Tolerances are the bounds that reference_layers.py carries from layer to layer.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import reference_numpy as reference
from hypothesis import given, settings
from numpy.typing import NDArray
from reference_layers import DOUBLE, Bounded
from strategies import Case, cases, make_case

from striate import (
    AvgPool2D,
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
    ScaledTanh,
    Sigmoid,
    Tanh,
    _core,
    lenet5,
)
from striate.engine.lowering import lower
from striate.layers import Layer

if find_spec("torch") is None:
    pytest.skip("compares with PyTorch: pip install torch", allow_module_level=True)
if TYPE_CHECKING:
    from torch_twin import Answer, Twin

pytestmark = [
    pytest.mark.oracle,
    # PyTorch tells that it copies where even kernels need an odd padding.
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel"),
]

LAYERS: list[list[Layer]] = [
    [Conv2D(4, 3)],
    [Conv2D(5, (3, 2), stride=(2, 1), padding=(1, 2))],
    [Conv2D(3, 3, padding=2, dilation=(2, 3), bias=False)],
    [Conv2D(3, 4, padding="same")],
    [Conv2D(3, (2, 3), padding="same", dilation=2)],
    [Conv2D(4, 3, stride=2, padding="same")],
    [Conv2D(4, (4, 2), stride=(3, 2), padding="same", bias=False)],
    [Conv2D(6, 3, stride=(1, 2), padding="same", dilation=(2, 1), groups=2)],
    [Conv2D(8, 2, groups=4)],
    [MaxPool2D(2)],
    [MaxPool2D(3, stride=2, padding=1)],
    [MaxPool2D((2, 3), stride=1, padding=(1, 0))],
    [AvgPool2D(2)],
    [AvgPool2D(3, stride=2, padding=1)],
    [AvgPool2D((3, 2), stride=(1, 3), padding=(1, 1))],
    [GlobalAvgPool2D(), Dense(6)],
    [ReLU()],
    [LeakyReLU()],
    [LeakyReLU(0.3)],
    [Tanh()],
    [ScaledTanh()],
    [Sigmoid()],
    [Dropout(0.5)],
    [Flatten(), Dense(20), ReLU(), Dense(7, bias=False), Dropout(0.2)],
    [BatchNorm()],
    [BatchNorm(0.3, epsilon=1e-3), ReLU(), Conv2D(3, 2, bias=False), BatchNorm()],
    [Flatten(), Dense(12), BatchNorm(), ReLU()],
    [Residual([Conv2D(4, 3, padding=1), BatchNorm(), ReLU(), Conv2D(4, 1)]), ReLU()],
    [
        Residual(
            [Conv2D(6, 3, stride=2, padding=1), BatchNorm(), ReLU()],
            shortcut=[Conv2D(6, 1, stride=2, bias=False), BatchNorm()],
        ),
        *(ReLU(), Residual([Residual([Conv2D(6, 3, padding=1)]), ReLU()])),
        GlobalAvgPool2D(),
    ],
]


def twin_of(network: Network) -> Twin:
    """The network in PyTorch; imported here so that other runs do without."""
    from torch_twin import Twin

    return Twin(network)


def compare(case: Case) -> None:
    """All that the two find out about a batch, in float32 and in float64."""
    network = case.network
    answer = twin_of(network).answer(case.images, **case.targets)
    bounds = reference.run(
        network.resolved, network.weights, case.images, **case.targets
    )
    maps = network.activations(case.images)
    loss, gradients = network.loss_and_gradients(case.images, **case.targets)
    for name, wanted in answer.outputs.items():
        within(name, maps[name], wanted, bounds.outputs[name])
    probabilities = network.predict_proba(case.images)
    within("predict_proba", probabilities, answer.probabilities, bounds.probabilities)
    within("loss", np.array(loss), answer.loss, bounds.loss)
    for name, wanted in answer.gradients.items():
        within(f"gradient of {name}", gradients[name], wanted, bounds.gradients[name])
    if case.label_smoothing == 0:  # which input_gradient(labels=...) does not know
        found = network.input_gradient(case.images, labels=case.labels)
        within("of the input", found, answer.input_gradient, bounds.input_gradient)
    compare_double(case, answer)


def compare_double(case: Case, answer: Answer) -> None:
    """The core's float64 plan, whose rounding and PyTorch's count together."""
    network = case.network
    bounds = reference.run(
        network.resolved,
        network.weights,
        case.images,
        **case.targets,
        unit=2 * DOUBLE,
    )
    plan = _core.DoublePlan(lower(network.resolved), network.engine.flat.size)
    weights = network.engine.flat.astype(np.float64)
    images, labels = case.images.astype(np.float64), case.labels.astype(np.int32)
    loss, _, flat, _ = plan.gradients(
        weights,
        images,
        labels,
        case.sample_weight,
        case.label_smoothing,
        False,
        0,
        0,
        1,
    )
    within("loss in float64", np.array(loss), answer.loss, bounds.loss)
    for name, found in network.engine.named(flat).items():
        what = f"gradient of {name} in float64"
        within(what, found, answer.gradients[name], bounds.gradients[name])
    last, smoothing = len(network.resolved) - 1, case.label_smoothing
    found = plan.input_gradient(weights, images, last, None, labels, smoothing, 1)
    what = "gradient of the input in float64"
    within(what, found, answer.input_gradient, bounds.input_gradient)


def within(
    what: str, found: NDArray[Any], wanted: NDArray[np.float64], bound: Bounded
) -> None:
    """Found is as near to PyTorch's number as the bound allows."""
    reference.assert_within(what, found, Bounded(wanted, bound.error))


# ----------------------------------------------------------------- networks and layers


@pytest.mark.parametrize("layers", LAYERS, ids=repr)
@pytest.mark.parametrize("weighted", [False, True])
def test_layers_agree(layers: list[Layer], weighted: bool) -> None:
    head = [] if any(isinstance(one, Dense) for one in layers) else [Flatten()]
    below = Conv2D(4, 2, padding=1)
    network = Network([below, *layers, *head, Dense(5)], (9, 8, 3), seed=7)
    smoothing = 0.1 if weighted else 0.0
    compare(make_case(network, 21, 3, weighted, smoothing))


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("size", [3, 5])
def test_layers_wide_enough_for_minimal_filtering_agree(
    padding: int, size: int
) -> None:
    below = Conv2D(24, size, padding=padding)
    layers = [below, Tanh(), Conv2D(33, 3, padding=1), ReLU()]
    head = [MaxPool2D(2), Flatten(), Dense(5)]
    compare(make_case(Network([*layers, *head], (11, 9, 17), seed=5), 19))


@settings(max_examples=150, deadline=None)
@given(cases(dropout=True))
def test_random_networks_agree(case: Case) -> None:
    compare(case)


@pytest.mark.parametrize("activation", ["relu", "tanh", "scaled_tanh", "sigmoid"])
@pytest.mark.parametrize("pooling", ["max", "average"])
def test_lenet5_agrees(activation: str, pooling: str) -> None:
    network = lenet5(activation, pooling, seed=2)
    compare(make_case(network, count=17))


def test_equal_and_missing_numbers_go_as_in_pytorch() -> None:
    """Ties of max pooling, zeros before ReLU, and NaN through both."""
    import torch.nn.functional as F
    from torch_twin import torch

    images = np.random.default_rng(0).integers(-1, 2, (50, 6, 6, 1)).astype(np.float32)
    images[40:, 2, 3] = np.nan
    network = Network([ReLU(), MaxPool2D(3, stride=1, padding=1)], (6, 6, 1))
    plan = _core.Plan(lower(network.resolved), 0)
    nothing = np.zeros(0, np.float32)
    x = torch.tensor(images).permute(0, 3, 1, 2).requires_grad_(True)
    y = F.max_pool2d(F.relu(x), 3, 1, 1)
    (found,) = plan.forward(nothing, images, [1], 1)
    np.testing.assert_array_equal(found, y.detach().permute(0, 2, 3, 1).numpy())
    (wanted,) = torch.autograd.grad(y[:40].sum(), [x])
    seeds = np.ones((40, 6, 6, 1), np.float32)
    found = plan.input_gradient(nothing, images[:40], 1, seeds, None, 0.0, 1)
    np.testing.assert_array_equal(found, wanted[:40].permute(0, 2, 3, 1).numpy())


# ---------------------------------------------------------------- weights to and fro


def test_weights_pass_from_and_to_pytorch_unchanged() -> None:
    """The names' order is PyTorch's too, and so is Flatten's, seen by dense1."""
    from torch_twin import torch

    nn = torch.nn
    torch.manual_seed(0)
    theirs = nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(400, 120), nn.ReLU()),
        *(nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )
    ours = lenet5()
    state = theirs.state_dict()
    names = dict(zip(ours.weights, state, strict=True))
    ours.set_weights({name: state[other] for name, other in names.items()})
    case = make_case(ours, count=20)
    x = torch.tensor(case.images).permute(0, 3, 1, 2)
    bounds = reference.run(ours.resolved, ours.weights, case.images, case.labels)
    with torch.no_grad():
        logits = theirs.double()(x.double()).numpy()
        features = theirs[:7](x.double()).numpy()
    within("logits", ours.logits(case.images), logits, bounds.outputs["dense3"])
    found = ours.features(case.images)
    within("features", found, features, bounds.outputs["flatten1"])

    back = {other: torch.tensor(ours.weights[name]) for name, other in names.items()}
    assert all(torch.equal(back[other].double(), state[other]) for other in state)
    theirs.load_state_dict(back)
