"""PyTorch, as its own guides write it for the CPU, on floats made beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import torch
import worker
from cases import LEARNING_RATE, MOMENTUM, Case, Layer, Material, Weights
from torch import Tensor, nn
from worker import Answers, Job


class Tool(worker.Tool):
    """`style` is "eager", "channels_last" or "compile"."""

    def __init__(self, style: str, threads: int) -> None:
        super().__init__(style, threads)
        torch.set_num_threads(threads)
        # Beyond it, it falls back to eager.
        torch.compiler.config.recompile_limit = 1000

    def version(self) -> str:
        return f"PyTorch {torch.__version__}"

    def load(self, name: str, material: Material) -> None:
        self.names = [layer.name for layer in material.layers]
        self.model = build(material)
        self.inputs = torch.from_numpy(material.inputs)
        self.labels = torch.from_numpy(material.labels)
        self.format = torch.contiguous_format
        if self.style == "channels_last":
            self.format = torch.channels_last
            self.model = self.model.to(memory_format=self.format)
            self.inputs = self.inputs.contiguous(memory_format=self.format)
        self.loss = nn.CrossEntropyLoss()

    def answers(self, count: int) -> Answers:
        inputs, labels = self.inputs[:count], self.labels[:count]
        model = self._compiled(training=False)
        with torch.inference_mode():
            probabilities = torch.softmax(model(inputs), 1).numpy()
        model = self._compiled(training=True)
        loss = self.loss(model(inputs), labels)
        loss.backward()
        gradients: Weights = {}
        for name, weight in self.model.named_parameters():
            place, _, key = name.partition(".")
            assert weight.grad is not None
            gradients[f"{self.names[int(place)]}.{key}"] = weight.grad.numpy().copy()
        return Answers(probabilities, loss.item(), gradients)

    def job(self, case: Case) -> Job:
        training = case.mode == "train"
        step = getattr(self, f"_{case.mode}")(case.batch, self._compiled(training))

        def run(repeats: int) -> float:
            self.model.train(training)
            return worker.repeat(step)(repeats)

        return Job(case.batch, run)

    def _compiled(self, training: bool) -> Any:
        """The model to call; compiled for each case alone."""
        self.model.train(training)
        if self.style != "compile":
            return self.model
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


def build(material: Material) -> nn.Sequential:
    """Make the network of a subject, with its weights."""
    model = nn.Sequential()
    for layer in material.layers:
        held = material.held(layer)
        module = make_module(layer, held)
        with torch.no_grad():
            for key, value in held.items():
                getattr(module, key).copy_(torch.from_numpy(value))
        model.append(module)
    return model


def make_module(layer: Layer, held: Weights) -> nn.Module:
    """Make one layer; its weights are still to come."""
    config: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in layer.config.items()
    }
    kind = config.pop("kind")
    if kind == "Conv2D":
        return nn.Conv2d(layer.input_shape[-1], config.pop("filters"), **config)
    if kind == "Dense":
        return nn.Linear(*layer.input_shape, config["units"], config["bias"])
    if kind == "MaxPool2D":
        return nn.MaxPool2d(config["size"], config["stride"], config["padding"])
    if kind == "BatchNorm":
        channels = layer.input_shape[-1]
        return nn.BatchNorm2d(channels, config["epsilon"], config["momentum"])
    if kind == "GlobalAvgPool2D":
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    plain: dict[str, type[nn.Module]] = {"ReLU": nn.ReLU, "Flatten": nn.Flatten}
    return plain[kind]()
