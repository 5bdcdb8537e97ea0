"""PyTorch, as its own guides write it for the CPU, on floats made beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import numpy as np
import torch
import worker
from cases import LEARNING_RATE, MOMENTUM, Case, Layer, Material, Weights
from numpy.typing import NDArray
from torch import Tensor, nn
from worker import Answers, Job


class Tool(worker.Tool):
    """`style` is "eager", "channels_last" or "compile"."""

    def version(self) -> str:
        return f"PyTorch {torch.__version__}"

    def load(self, material: Material) -> None:
        self.names = list(material.weights)
        self.model = build(material.layers, material.weights)
        self.inputs = torch.from_numpy(material.inputs)
        self.labels = torch.from_numpy(material.labels)
        self.format = torch.contiguous_format
        if self.style == "channels_last":
            self.format = torch.channels_last
            self.model = self.model.to(memory_format=self.format)  # type: ignore[call-overload]
            self.inputs = self.inputs.contiguous(memory_format=self.format)
        self.loss = nn.CrossEntropyLoss()

    def answers(self, chosen: NDArray[np.int64]) -> Answers:
        index = torch.from_numpy(chosen)
        model = self._compiled()
        logits = model(self.inputs[index])
        loss = self.loss(logits, self.labels[index])
        loss.backward()
        gradients: Weights = {}
        for name, weight in zip(self.names, self.model.parameters(), strict=True):
            assert weight.grad is not None
            gradients[name] = weight.grad.numpy().copy()
        probabilities = torch.softmax(logits.detach(), 1).numpy()
        return Answers(probabilities, loss.item(), gradients)

    def job(self, case: Case, threads: int) -> Job:
        torch.set_num_threads(threads)
        step = getattr(self, f"_{case.mode}")(case.batch, self._compiled())

        def run(repeats: int) -> float:
            torch.set_num_threads(threads)
            return worker.repeat(step)(repeats)

        return Job(case.batch, run)

    def _compiled(self) -> Any:
        """The model to call; compiled for each case's shapes and threads alone."""
        if self.style != "compile":
            return self.model
        torch.compiler.config.recompile_limit = (
            1000  # beyond it, it falls back to eager
        )
        return torch.compile(self.model, dynamic=False)

    def _train(self, batch: int, model: Any) -> Any:
        optimizer = torch.optim.SGD(
            self.model.parameters(), LEARNING_RATE, MOMENTUM, fused=True
        )

        def shuffled() -> Iterator[Tensor]:
            while True:
                order = torch.randperm(len(self.labels))
                yield from torch.split(order[: len(order) // batch * batch], batch)

        indices = shuffled()

        def step() -> None:
            index = next(indices)
            inputs = self.inputs[index].contiguous(memory_format=self.format)
            optimizer.zero_grad(set_to_none=True)
            self.loss(model(inputs), self.labels[index]).backward()
            optimizer.step()

        return step

    def _inference(self, batch: int, model: Any) -> Any:
        whole = self.inputs[: len(self.inputs) // batch * batch]
        batches = cycle(torch.split(whole, batch))

        @torch.inference_mode()
        def step() -> Tensor:
            return torch.softmax(model(next(batches)), 1)

        return step

    def _latency(self, batch: int, model: Any) -> Any:
        images = cycle([self.inputs[i : i + batch].numpy() for i in range(1000)])

        @torch.inference_mode()
        def step() -> Any:
            return torch.softmax(model(torch.from_numpy(next(images))), 1).numpy()

        return step


def build(layers: tuple[Layer, ...], weights: Weights) -> nn.Sequential:
    """Make the network of a subject, with these weights."""
    model = nn.Sequential(*(module(layer, weights) for layer in layers))
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), weights.values(), strict=True):
            parameter.copy_(torch.from_numpy(value))
    return model


def module(layer: Layer, weights: Weights) -> nn.Module:
    """Make one layer; its weights are still to come."""
    config: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in layer.config.items()
    }
    kind = config.pop("kind")
    if kind == "Conv2D":
        filters = config.pop("filters")
        channels = weights[f"{layer.name}.weight"].shape[1] * config["groups"]
        return nn.Conv2d(channels, filters, **config)
    if kind == "Dense":
        units, inputs = weights[f"{layer.name}.weight"].shape
        return nn.Linear(inputs, units, config["bias"])
    if kind == "MaxPool2D":
        return nn.MaxPool2d(config["size"], config["stride"], config["padding"])
    plain: dict[str, type[nn.Module]] = {"ReLU": nn.ReLU, "Flatten": nn.Flatten}
    return plain[kind]()
