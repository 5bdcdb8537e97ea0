"""Against PyTorch in float64: training with BatchNorm, alone and within Residual.

What a predicting network does is compared in test_oracle_torch.py, layer by layer with
carried bounds. Here statistics couple all images of a batch; the core's own float64
plan must agree to a few roundings, and float32 in the norm of each array.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from reference_layers import SINGLE
from strategies import make_case, unsettle

from striate import (
    SGD,
    Adam,
    AdamW,
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool2D,
    Network,
    Residual,
    Tanh,
    _core,
)
from striate.engine.lowering import lower
from striate.engine.randomness import epoch_order
from striate.layers import Layer
from striate.training.optimizers import Optimizer

if find_spec("torch") is None:
    pytest.skip("compares with PyTorch: pip install torch", allow_module_level=True)

pytestmark = pytest.mark.oracle

# Smooth, so that no rounding turns a ReLU or a maximum; without biases that a
# normalisation takes out again, whose gradients are rounding that Adam blows up.
STACKS: dict[str, list[Layer]] = {
    "after a convolution": [
        *(Conv2D(5, 3, bias=False), BatchNorm(), Tanh(), Flatten(), Dense(4)),
    ],
    "after a dense layer": [
        *(
            Flatten(),
            Dense(12, bias=False),
            BatchNorm(0.2, epsilon=1e-3),
            Tanh(),
            Dense(4),
        ),
    ],
    "first of all": [BatchNorm(), Conv2D(4, 2), Tanh(), GlobalAvgPool2D(), Dense(4)],
    "identity": [
        *(Conv2D(4, 3, padding=1, bias=False), BatchNorm(), Tanh()),
        Residual(
            [
                *(Conv2D(4, 3, padding=1, bias=False), BatchNorm(), Tanh()),
                *(Conv2D(4, 3, padding=1, bias=False), BatchNorm()),
            ]
        ),
        *(Tanh(), GlobalAvgPool2D(), Dense(4)),
    ],
    "projection": [
        Residual(
            [
                *(Conv2D(6, 3, stride=2, padding=1, bias=False), BatchNorm(), Tanh()),
                Conv2D(6, 1, bias=False),
            ],
            shortcut=[Conv2D(6, 1, stride=2, bias=False), BatchNorm(0.3)],
        ),
        *(Tanh(), BatchNorm(), Tanh(), GlobalAvgPool2D()),
        *(Dense(7, bias=False), BatchNorm(), Dense(4)),
    ],
    "normalised before": [  # the fork is read by a BatchNorm and by the sum
        Conv2D(4, 3),
        Residual([BatchNorm(), Tanh(), Conv2D(4, 3, padding=1), Tanh()]),
        *(Tanh(), Flatten(), Dense(4)),
    ],
}
OPTIMIZERS: list[Optimizer] = [
    SGD(0.1),
    SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    Adam(0.003, weight_decay=0.01),
    AdamW(0.003, weight_decay=0.1),
]


def network_of(name: str) -> Network:
    network = Network(STACKS[name], (9, 8, 3), seed=5)
    unsettle(network)
    return network


def near(what: str, found: Any, wanted: Any, bound: float) -> None:
    """Within a bound on the norm of all differences."""
    off = np.linalg.norm(np.asarray(found, np.float64) - wanted)
    assert off <= bound, f"{what}: off by {off}"


@pytest.mark.parametrize("count", [2, 16, 37])
@pytest.mark.parametrize("name", STACKS)
def test_loss_and_gradients_in_training(name: str, count: int) -> None:
    from torch_twin import Twin

    network = network_of(name)
    case = make_case(network, count, seed=2, weighted=True, label_smoothing=0.1)
    wanted = Twin(network).answer(case.images, **case.targets, training=True)
    plan = _core.DoublePlan(lower(network.resolved), network.engine.flat.size)
    loss, _, flat, _ = plan.gradients(
        network.engine.flat.astype(np.float64),
        case.images.astype(np.float64),
        case.labels.astype(np.int32),
        case.sample_weight,
        case.label_smoothing,
        *(True, 0, 0, 1),
    )
    # A weight's gradient can be small by cancellation, of terms as large as others'.
    largest = max(float(np.linalg.norm(g)) for g in wanted.gradients.values())
    near("loss in float64", loss, wanted.loss, 1e-14)
    doubles = network.engine.named(flat)
    for key, gradient in wanted.gradients.items():
        near(f"{key} in float64", doubles[key], gradient, 1e-12 * largest)
    loss, gradients = network.loss_and_gradients(
        case.images, training=True, **case.targets
    )
    near("loss", loss, wanted.loss, 1e-6)
    for key, gradient in wanted.gradients.items():
        # Two images may be so alike that dividing by their deviation enlarges rounding.
        near(key, gradients[key], gradient, (1e-5 if count > 2 else 1e-4) * largest)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("name", STACKS)
def test_ten_steps_end_at_the_same_weights_and_statistics(
    name: str, optimizer: Optimizer
) -> None:
    """Two epochs of batches of 16, 16, 16, 16 and 9, each side on its own."""
    import torch
    from torch_twin import Twin, torch_optimizer

    network = network_of(name)
    case = make_case(network, count=73, seed=6)
    twin, start = Twin(network), {k: a.copy() for k, a in network.weights.items()}
    theirs = torch_optimizer(optimizer, twin.parameters)
    network.fit(
        case.images,
        case.labels,
        epochs=2,
        batch_size=16,
        optimizer=optimizer,
        schedule="constant",
        seed=11,
    )
    images = torch.tensor(case.images, dtype=torch.float64).permute(0, 3, 1, 2)
    for epoch in (1, 2):
        order = epoch_order(73, seed=11, epoch=epoch)
        for first in range(0, 73, 16):
            rows = order[first : first + 16]
            logits = list(twin.forward(images[rows], training=True).values())[-1]
            theirs.zero_grad()
            twin.loss(logits, case.labels[rows], None, 0.0)[0].backward()
            theirs.step()
    for key, tensor in (twin.parameters | twin.statistics).items():
        wanted = tensor.detach().numpy()
        way = float(np.linalg.norm(wanted - start[key]))
        off = np.linalg.norm(network.weights[key] - wanted)
        # Ten roundings of the weights, and what gradients differ by on the way.
        assert way > 0
        assert off <= 40 * SINGLE * np.linalg.norm(wanted) + 3e-4 * way, key
