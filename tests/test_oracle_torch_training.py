"""Against PyTorch in float64: optimizers, schedules and clipping.

Each step is held to a bound carried through it, from the gradients' bounds of
reference_layers.py to the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import reference_numpy as reference
from numpy.typing import NDArray
from reference_layers import SINGLE, Bounded
from strategies import Case, make_case

from striate import (
    SGD,
    Adam,
    AdamW,
    AvgPool2D,
    Conv2D,
    Dense,
    Flatten,
    Network,
    ScaledTanh,
    Sigmoid,
    Tanh,
)
from striate.engine.randomness import epoch_order
from striate.layers import Layer
from striate.training.optimizers import Optimizer
from striate.training.schedules import SCHEDULES, learning_rates

if find_spec("torch") is None:
    pytest.skip("compares with PyTorch: pip install torch", allow_module_level=True)
if TYPE_CHECKING:
    import torch

pytestmark = pytest.mark.oracle

OPTIMIZERS = [
    SGD(0.1),
    SGD(0.1, momentum=0.9),
    SGD(0.1, momentum=0.9, nesterov=True),
    SGD(0.1, momentum=0.8, weight_decay=0.01),
    SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    Adam(0.003),
    Adam(0.003, betas=(0.8, 0.99), epsilon=1e-6, weight_decay=0.01),
    AdamW(0.003),
    AdamW(0.003, betas=(0.8, 0.99), weight_decay=0.1),
]
SMOOTH: list[Layer] = [
    *(Conv2D(4, 3), Tanh(), AvgPool2D(2), Conv2D(5, 2), ScaledTanh()),
    *(Flatten(), Dense(12), Sigmoid(), Dense(4)),
]


class Snapshots:
    """A callback that keeps weights and learning rate after every epoch."""

    def __init__(self) -> None:
        self.weights: list[dict[str, NDArray[np.float32]]] = []
        self.rates: list[float] = []

    def on_train_begin(self, network: Network, info: object) -> None:
        self.network = network
        self.weights.append(self.copy())

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        self.weights.append(self.copy())
        self.rates.append(logs["learning_rate"])

    def copy(self) -> dict[str, NDArray[np.float32]]:
        return {name: array.copy() for name, array in self.network.weights.items()}


class TorchRun:
    """The same training in PyTorch, one update at a time.

    `errors` bounds what float32 may make of the weights in the last update, given the
    weights before it. What the optimizer remembers is carried on with its own bounds.
    """

    def __init__(self, case: Case, training: Mapping[str, Any], steps: int) -> None:
        from torch_twin import Twin, torch_optimizer, torch_schedule

        self.case, self.settings = case, training["optimizer"]
        self.clip_norm = training.get("clip_norm")
        self.twin = Twin(case.network)
        self.optimizer = torch_optimizer(self.settings, self.twin.parameters)
        schedule, base = training["schedule"], self.settings.learning_rate
        self.scheduler = torch_schedule(schedule, self.optimizer, base, steps)
        self.errors, self.moment_errors, self.root_errors = (
            {name: np.zeros(p.shape) for name, p in self.twin.parameters.items()}
            for _ in range(3)
        )
        self.rate = base

    @property
    def weights(self) -> dict[str, NDArray[np.float64]]:
        """Copies of the weights as they are now."""
        parameters = self.twin.parameters.items()
        return {name: p.detach().numpy().copy() for name, p in parameters}

    def start_from(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Go on from these weights."""
        for name, parameter in self.twin.parameters.items():
            parameter.detach().numpy()[...] = weights[name]

    def step(self, rows: NDArray[np.int64], bounded: bool = True) -> None:
        """One update from the images of these rows."""
        import torch

        case, twin, before = self.case, self.twin, self.weights
        weights = case.sample_weight
        batch: dict[str, Any] = {
            "labels": case.labels[rows],
            "sample_weight": None if weights is None else weights[rows],
            "label_smoothing": case.label_smoothing,
        }
        answer = twin.answer(case.images[rows], **batch)
        for name, parameter in twin.parameters.items():
            parameter.grad = torch.tensor(answer.gradients[name])
        if self.clip_norm is not None:
            parameters = list(twin.parameters.values())
            torch.nn.utils.clip_grad_norm_(parameters, self.clip_norm)
        self.rate = self.optimizer.param_groups[0]["lr"]
        self.optimizer.step()
        self.scheduler.step()
        if not bounded:
            return
        resolved = case.network.resolved
        bounds = reference.run(resolved, before, case.images[rows], **batch).gradients
        gradients = {
            name: Bounded(answer.gradients[name], bounds[name].error) for name in before
        }
        if self.clip_norm is not None:
            gradients = clipped(gradients, self.clip_norm)
        for name, gradient in gradients.items():
            self.carry(name, gradient, np.abs(before[name]))

    def carry(self, name: str, gradient: Bounded, weight: NDArray[np.float64]) -> None:
        """Carry the gradient's bound of one array through the update just done."""
        settings, rounding = self.settings, 8 * SINGLE
        state = self.optimizer.state[self.twin.parameters[name]]
        size = np.abs(gradient.value)
        if not isinstance(settings, AdamW):
            size = size + settings.weight_decay * weight
        error = gradient.error + rounding * size
        if isinstance(settings, SGD):
            buffer = state.get("momentum_buffer")
            velocity = size if buffer is None else np.abs(buffer.numpy())
            moment = settings.momentum * self.moment_errors[name] + error
            moment = self.moment_errors[name] = moment + rounding * velocity
            step = Bounded(velocity, moment)
            if settings.nesterov:
                ahead = size + settings.momentum * velocity
                step = Bounded(ahead, error + settings.momentum * moment)
        else:
            step = self.carry_adam(name, error, settings, state)
        taken = self.rate * step.error
        self.errors[name] = taken + rounding * (weight + self.rate * step.value)

    def carry_adam(
        self,
        name: str,
        error: NDArray[np.float64],
        settings: Adam,
        state: Mapping[str, torch.Tensor],
    ) -> Bounded:
        """The size of mean / (root + epsilon), with its bound.

        The root of a mean of squares is a norm: it moves by at most the same mean
        of the squared errors.
        """
        (beta1, beta2), rounding = settings.betas, 8 * SINGLE
        mean, square = (state[key].numpy() for key in ("exp_avg", "exp_avg_sq"))
        mean, root, count = np.abs(mean), np.sqrt(square), float(state["step"])
        mean_error = beta1 * self.moment_errors[name] + (1 - beta1) * error
        mean_error = self.moment_errors[name] = mean_error + rounding * mean
        squares = beta2 * self.root_errors[name] ** 2 + (1 - beta2) * error**2
        root_error = self.root_errors[name] = np.sqrt(squares) + rounding * root
        whole, scale = 1 - beta1**count, np.sqrt(1 - beta2**count)
        below = root / scale + settings.epsilon
        least = np.maximum(below - root_error / scale, settings.epsilon)
        ratio = mean / whole / below
        moved = mean_error / whole + ratio * root_error / scale
        return Bounded(ratio, moved / least + rounding * ratio)


def clipped(gradients: Mapping[str, Bounded], clip_norm: float) -> dict[str, Bounded]:
    """Gradients scaled down to a norm; the norm itself is off by their errors' norm."""
    norm = np.sqrt(sum((g.value**2).sum() for g in gradients.values()))
    off = np.sqrt(sum((g.error**2).sum() for g in gradients.values()))
    factor = min(1.0, clip_norm / (norm + 1e-6))
    return {
        name: Bounded(
            factor * g.value, factor * (g.error + np.abs(g.value) * off / (norm - off))
        )
        for name, g in gradients.items()
    }


def smooth_case(weighted: bool = False, label_smoothing: float = 0.0) -> Case:
    """A network without kinks and 40 images for it."""
    network = Network(SMOOTH, (9, 8, 2), seed=4)
    return make_case(network, 40, 6, weighted, label_smoothing)


def train_both(case: Case, optimizer: Optimizer, **options: Any) -> None:
    """Ten steps of all images in both; the weights agree after every one of them.

    PyTorch takes each step from Striate's weights: each is then held to its own bound,
    while free runs drift apart by an unknown multiple of it (see below).
    """
    training = {"optimizer": optimizer, "schedule": "constant"} | options
    snapshots = Snapshots()
    run = TorchRun(case, training, steps=10)
    case.network.fit(
        case.images,
        epochs=10,
        batch_size=40,
        seed=11,
        callbacks=[snapshots],
        **case.targets,
        **training,
    )
    order, start = epoch_order(40, seed=11, epoch=1), snapshots.weights[0]
    for step in range(10):
        run.start_from(snapshots.weights[step])
        run.step(order)
        assert snapshots.rates[step] == pytest.approx(run.rate, rel=1e-12)
        for name, wanted in run.weights.items():
            bound = Bounded(wanted, run.errors[name])
            found = snapshots.weights[step + 1][name]
            reference.assert_within(f"{name} after step {step + 1}", found, bound)
            if step == 0:  # the bounds mean something beside the way of one step
                way = np.abs(wanted - start[name]).max()
                assert np.median(bound.error) < 0.1 * way


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_weights_after_one_and_after_ten_steps(optimizer: Optimizer) -> None:
    train_both(smooth_case(), optimizer)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", [SGD(0.1, momentum=0.9), AdamW(0.003)], ids=repr)
def test_weights_along_every_schedule(optimizer: Optimizer, schedule: str) -> None:
    train_both(smooth_case(), optimizer, schedule=schedule)


@pytest.mark.parametrize("clip_norm", [0.05, 100.0])
@pytest.mark.parametrize("optimizer", [SGD(0.1, momentum=0.9), Adam(0.003)], ids=repr)
def test_clipping_is_that_of_clip_grad_norm(
    optimizer: Optimizer, clip_norm: float
) -> None:
    train_both(smooth_case(), optimizer, clip_norm=clip_norm)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_free_runs_end_at_the_same_weights(optimizer: Optimizer, schedule: str) -> None:
    """Four epochs of batches of 16, 16 and 8, each on its own from the same start."""
    case = smooth_case(weighted=True, label_smoothing=0.1)
    training = {"optimizer": optimizer, "schedule": schedule, "clip_norm": 0.5}
    run = TorchRun(case, training, steps=12)
    start = run.weights
    case.network.fit(
        case.images, epochs=4, batch_size=16, seed=11, **case.targets, **training
    )
    for epoch in range(1, 5):
        order = epoch_order(40, seed=11, epoch=epoch)
        for first in range(0, 40, 16):
            run.step(order[first : first + 16], bounded=False)
    for name, wanted in run.weights.items():
        off = np.linalg.norm(case.network.weights[name] - wanted)
        assert off < 3e-4 * np.linalg.norm(wanted - start[name]), name


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 10, 97, 100])
def test_learning_rates_are_pytorchs(schedule: str, steps: int) -> None:
    from torch_twin import torch, torch_schedule

    if schedule == "one-cycle" and steps == 1:
        return  # PyTorch divides by zero; here a single step takes the base rate
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler = torch_schedule(schedule, optimizer, 0.3, steps)
    wanted = []
    for _ in range(steps):
        wanted.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(wanted) < steps:
            scheduler.step()
    found = learning_rates(schedule, 0.3, np.arange(float(steps)), steps)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
