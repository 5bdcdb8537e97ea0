"""The same network in PyTorch, in float64: the oracle of test_oracle_torch*.py.

Nothing is taken from Striate but the layers' settings and the weights: windows,
padding and the order of Flatten are PyTorch's own, or TensorFlow's rule written out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from striate import (
    SGD,
    Adam,
    AdamW,
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
)
from striate.layers import Layer
from striate.training.optimizers import Optimizer

Array = NDArray[np.float64]


torch.set_num_threads(1)  # arrays this small only wait for one another


@dataclass(frozen=True)
class Answer:
    """All that PyTorch finds out about a batch; images and maps N,H,W,C."""

    outputs: dict[str, Array]
    probabilities: Array
    loss: Array
    gradients: dict[str, Array]
    input_gradient: Array
    """Of each image's own loss."""
    layer_gradients: dict[str, Array]
    """The same of what leaves every layer."""


class Twin:
    """A Striate network's layers, and a copy of its weights, in PyTorch."""

    def __init__(self, network: Network) -> None:
        self.layers = network.resolved
        arrays = {
            name: torch.tensor(array, dtype=torch.float64)
            for name, array in network.weights.items()
        }
        self.statistics = {
            name: array for name, array in arrays.items() if ".running_" in name
        }
        self.parameters = {
            name: array.requires_grad_(True)
            for name, array in arrays.items()
            if name not in self.statistics
        }

    def forward(
        self, images: Tensor, training: bool = False, rule: str = "gradient"
    ) -> dict[str, Tensor]:
        """What leaves every layer, in PyTorch's layout, for images N,C,H,W.

        In training the running statistics follow the batch's; dropout stays off.
        `rule` is what rectifiers pass back.
        """
        outputs, values = {}, {-1: images}
        for one in self.layers:
            x, *others = (values[index] for index in one.inputs)
            weight = self.parameters.get(f"{one.name}.weight")
            bias = self.parameters.get(f"{one.name}.bias")
            if isinstance(one.layer, BatchNorm):
                kept = [
                    self.statistics[f"{one.name}.running_{name}"]
                    for name in ("mean", "var")
                ]
                momentum, epsilon = one.layer.momentum, one.layer.epsilon
                x = F.batch_norm(x, *kept, weight, bias, training, momentum, epsilon)
            elif isinstance(one.layer, Residual):
                x = x + others[0]
            elif isinstance(one.layer, ReLU | LeakyReLU) and rule != "gradient":
                x = Rectifier.apply(x, getattr(one.layer, "negative_slope", 0), rule)
            else:
                x = _apply(one.layer, x, weight, bias)
            # A tensor of its own, whose gradient is no other layer's as well.
            outputs[one.name] = values[one.index] = x.view_as(x)
        return outputs

    def loss(
        self,
        logits: Tensor,
        labels: NDArray[Any],
        sample_weight: NDArray[Any] | None,
        label_smoothing: float,
    ) -> tuple[Tensor, Tensor]:
        """The weighted mean of the images' losses, and each image's own."""
        target = torch.tensor(labels, dtype=torch.int64)
        own = F.cross_entropy(
            logits, target, reduction="none", label_smoothing=label_smoothing
        )
        if sample_weight is None:
            return own.mean(), own
        weights = torch.tensor(sample_weight, dtype=torch.float64)
        return (own * weights).sum() / weights.sum(), own

    def answer(
        self,
        images: NDArray[Any],
        labels: NDArray[Any],
        sample_weight: NDArray[Any] | None = None,
        label_smoothing: float = 0.0,
        training: bool = False,
        rule: str = "gradient",
    ) -> Answer:
        """Carry a batch forward and backward; by a rule where that is given."""
        x = torch.tensor(images, dtype=torch.float64).permute(0, 3, 1, 2)
        x.requires_grad_(True)
        outputs = self.forward(x, training, rule)
        logits = list(outputs.values())[-1]
        loss, own = self.loss(logits, labels, sample_weight, label_smoothing)
        parameters = list(self.parameters.values())
        found = torch.autograd.grad(loss, parameters, retain_graph=True)
        of_input, *at = torch.autograd.grad(own.sum(), [x, *outputs.values()])
        return Answer(
            outputs={name: to_numpy(output) for name, output in outputs.items()},
            probabilities=to_numpy(logits.softmax(1)),
            loss=to_numpy(loss),
            gradients={
                name: gradient.numpy()
                for name, gradient in zip(self.parameters, found, strict=True)
            },
            input_gradient=to_numpy(of_input),
            layer_gradients=dict(zip(outputs, map(to_numpy, at), strict=True)),
        )


class Rectifier(torch.autograd.Function):
    """ReLU or LeakyReLU whose way back asks for other signs than the input's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: float, rule: str) -> Tensor:
        ctx.save_for_backward(x)
        ctx.slope, ctx.rule = slope, rule
        return torch.where(x < 0, slope * x, x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (x,), (gradient,) = ctx.saved_tensors, gradients
        below, above = (torch.full_like(x, share) for share in (ctx.slope, 1))
        share = torch.where(gradient > 0, above, below)
        if ctx.rule == "guided":
            share = share * torch.where(x > 0, above, below)
        return gradient * share, None, None


def to_numpy(tensor: Tensor) -> Array:
    """Maps N,C,H,W as N,H,W,C; anything else as it is."""
    array = tensor.detach().numpy()
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


def _apply(layer: Layer, x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Any:
    if isinstance(layer, Conv2D):
        assert weight is not None
        padding, stride = layer.padding, _pair(layer.stride)
        if padding == "same" and stride != (1, 1):  # PyTorch has none of these
            x, padding = _pad_as_tensorflow(x, layer), 0
        return F.conv2d(
            x, weight, bias, stride, padding, _pair(layer.dilation), layer.groups
        )
    if isinstance(layer, MaxPool2D):
        return F.max_pool2d(x, layer.size, layer.stride, layer.padding)
    if isinstance(layer, AvgPool2D):
        return F.avg_pool2d(x, layer.size, layer.stride, layer.padding)
    if isinstance(layer, Dense):
        assert weight is not None
        return F.linear(x, weight, bias)
    if isinstance(layer, LeakyReLU):
        return F.leaky_relu(x, layer.negative_slope)
    if isinstance(layer, Dropout):
        return F.dropout(x, layer.rate, training=False)
    functions = {
        ReLU: F.relu,
        Tanh: torch.tanh,
        ScaledTanh: lambda v: 1.7159 * torch.tanh(2 * v / 3),
        Sigmoid: torch.sigmoid,
        Flatten: lambda v: torch.flatten(v, 1),
        GlobalAvgPool2D: lambda v: v.mean((2, 3)),
    }
    return functions[type(layer)](x)


def _pad_as_tensorflow(x: Tensor, layer: Conv2D) -> Tensor:
    """tf.nn.conv2d's rule: ceil(input / stride) outputs, the odd pixel goes after."""
    sides = []
    for length, kernel, stride, dilation in zip(
        x.shape[2:],
        *map(_pair, (layer.kernel_size, layer.stride, layer.dilation)),
        strict=True,
    ):
        extent = (kernel - 1) * dilation + 1
        total = max((math.ceil(length / stride) - 1) * stride + extent - length, 0)
        sides.append((total // 2, total - total // 2))
    (top, bottom), (left, right) = sides
    return F.pad(x, (left, right, top, bottom))


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


# ----------------------------------------------------------------------- training


def torch_optimizer(
    optimizer: Optimizer, parameters: Mapping[str, Tensor]
) -> torch.optim.Optimizer:
    """PyTorch's optimizer with the same settings."""
    shared: dict[str, Any] = {
        "params": list(parameters.values()),
        "lr": optimizer.learning_rate,
        "weight_decay": optimizer.weight_decay,
    }
    if isinstance(optimizer, SGD):
        return torch.optim.SGD(
            **shared, momentum=optimizer.momentum, nesterov=optimizer.nesterov
        )
    kind = torch.optim.AdamW if isinstance(optimizer, AdamW) else torch.optim.Adam
    assert isinstance(optimizer, Adam)
    return kind(**shared, betas=optimizer.betas, eps=optimizer.epsilon)


def torch_schedule(
    schedule: str, optimizer: torch.optim.Optimizer, base: float, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """PyTorch's schedule of the same name, to be stepped after every batch."""
    schedulers = torch.optim.lr_scheduler
    if schedule == "step":
        milestones = [math.ceil(steps / 2), math.ceil(3 * steps / 4)]
        return schedulers.MultiStepLR(optimizer, milestones, gamma=0.1)
    if schedule == "cosine":
        return schedulers.CosineAnnealingLR(optimizer, T_max=steps)
    if schedule == "one-cycle":
        return schedulers.OneCycleLR(
            optimizer, max_lr=base, total_steps=steps, cycle_momentum=False
        )
    assert schedule == "constant"
    return schedulers.ConstantLR(optimizer, factor=1.0)
