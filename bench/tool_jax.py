"""JAX: a network of plain functions, its step jitted, on floats made beforehand."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import worker
from cases import LEARNING_RATE, MOMENTUM, Case, Layer, Material
from channels_last import Layout, images_last
from numpy.typing import NDArray
from worker import Answers, Job

Arrays = dict[str, Any]
Tree = dict[str, Arrays]
"""Arrays by layer and by what they are to it."""


class Tool(worker.Tool):
    """Images are N,H,W,C, which XLA's convolutions on the CPU prefer."""

    def __init__(self, style: str, threads: int) -> None:
        super().__init__(style, threads)
        # Read when the first array is made: XLA's pool then has its size for good.
        os.environ["NPROC"] = str(threads)
        if threads == 1:
            os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
        jax.config.update("jax_platforms", "cpu")

    def version(self) -> str:
        return f"JAX {jax.__version__}"

    def load(self, name: str, material: Material) -> None:
        self.layers, self.layout = material.layers, Layout(material.layers)
        self.images = images_last(material)
        self.data = jnp.asarray(self.images), jnp.asarray(material.labels, jnp.int32)
        self.weights = jax.tree.map(jnp.asarray, self.layout.there(material))

    def answers(self, count: int) -> Answers:
        images, labels = (array[:count] for array in self.data)
        probabilities = jax.jit(self._probabilities)(self.weights, images)
        loss, gradients, _ = jax.jit(self._gradients)(self.weights, images, labels)
        named = {
            f"{layer}.{key}": self.layout.back(layer, np.asarray(value))
            for layer, held in gradients.items()
            for key, value in held.items()
            if not key.startswith("running")
        }
        return Answers(np.asarray(probabilities), float(loss), named)

    def job(self, case: Case) -> Job:
        if case.mode == "train":
            return Job(case.batch, self._train(case.batch))
        predict = jax.jit(self._probabilities)
        starts = range(0, len(self.images) - case.batch + 1, case.batch)
        batches = [self.images[i : i + case.batch] for i in starts[:1000]]
        if case.mode == "inference":
            batches = [jnp.asarray(batch) for batch in batches]
        turns = cycle(batches)
        return Job(
            case.batch,
            worker.repeat(lambda: np.asarray(predict(self.weights, next(turns)))),
        )

    def _probabilities(self, weights: Tree, images: Any) -> Any:
        logits, _ = forward(self.layers, weights, images, training=False)
        return jax.nn.softmax(logits)

    def _gradients(self, weights: Tree, images: Any, labels: Any) -> Any:
        def mean_loss(weights: Tree) -> Any:
            logits, kept = forward(self.layers, weights, images, training=True)
            logs = jax.nn.log_softmax(logits)
            return -jnp.take_along_axis(logs, labels[:, None], 1).mean(), kept

        found, gradients = jax.value_and_grad(mean_loss, has_aux=True)(weights)
        loss, kept = found
        return loss, gradients, kept

    def _train(self, batch: int) -> Callable[[int], float]:
        count = len(self.images)

        @partial(jax.jit, donate_argnums=(0, 1))
        def update(weights: Tree, velocity: Tree, index: Any, data: Any) -> Any:
            images, labels = (array[index] for array in data)
            _, gradients, kept = self._gradients(weights, images, labels)
            velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, gradients)
            weights = jax.tree.map(
                lambda w, v: w - LEARNING_RATE * v, weights, velocity
            )
            return {key: weights[key] | kept.get(key, {}) for key in weights}, velocity

        def shuffled() -> Iterator[NDArray[np.int32]]:
            random = np.random.default_rng(0)
            while True:
                order = random.permutation(count).astype(np.int32)
                yield from order[: count // batch * batch].reshape(-1, batch)

        indices = shuffled()
        state = [
            jax.tree.map(jnp.copy, self.weights),
            jax.tree.map(jnp.zeros_like, self.weights),
        ]

        def run(repeats: int) -> float:
            began = time.perf_counter()
            for _ in range(repeats):
                state[:] = update(*state, next(indices), self.data)
            jax.block_until_ready(state)  # calls return before their work is done
            return time.perf_counter() - began

        return run


def forward(
    layers: tuple[Layer, ...], weights: Tree, x: Any, training: bool
) -> tuple[Any, Tree]:
    """The logits and, in training, the running statistics as this batch moves them."""
    kept: Tree = {}
    for layer in layers:
        held = weights[layer.name]
        if layer.config["kind"] == "BatchNorm":
            x, kept[layer.name] = normalize(layer.config, held, x, training)
        else:
            x = apply(layer.config, held, x)
    return x, kept


def apply(config: dict[str, Any], held: Arrays, x: Any) -> Any:
    """One layer that does the same in training and in inference."""
    kind = config["kind"]
    if kind == "Conv2D":
        x = jax.lax.conv_general_dilated(
            x,
            held["weight"],
            pair(config["stride"]),
            [(pad, pad) for pad in pair(config["padding"])],
            rhs_dilation=pair(config["dilation"]),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=config["groups"],
        )
        return x + held["bias"] if config["bias"] else x
    if kind == "MaxPool2D":
        size = (1, *pair(config["size"]), 1)
        stride = (1, *pair(config["stride"] or config["size"]), 1)
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, size, stride, "VALID")
    if kind == "GlobalAvgPool2D":
        return x.mean((1, 2))
    if kind == "Dense":
        return x @ held["weight"] + held["bias"]
    if kind == "Flatten":
        return x.reshape(len(x), -1)
    return {"ReLU": jax.nn.relu}[kind](x)


def normalize(
    config: dict[str, Any], held: Arrays, x: Any, training: bool
) -> tuple[Any, Arrays]:
    """Batch normalisation, and the running statistics it leaves."""
    mean, variance = held["running_mean"], held["running_var"]
    kept = {}
    if training:
        count, share = x.size // x.shape[-1], config["momentum"]
        own_mean, own_variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        unbiased = own_variance * (count / (count - 1))
        kept = {
            "running_mean": (1 - share) * mean + share * own_mean,
            "running_var": (1 - share) * variance + share * unbiased,
        }
        mean, variance = own_mean, own_variance
    scale = held["weight"] * jax.lax.rsqrt(variance + config["epsilon"])
    return (x - mean) * scale + held["bias"], kept


def pair(value: Any) -> tuple[int, int]:
    """One number for both axes, or one for each."""
    return (value, value) if isinstance(value, int) else tuple(value)
