"""Keras on TensorFlow: its guides' own training step, on floats made beforehand."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import numpy as np
import worker
from cases import LEARNING_RATE, MOMENTUM, Case, Layer, Material, Weights
from channels_last import Layout, images_last
from numpy.typing import NDArray
from worker import Answers, Job

os.environ |= {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

tf.get_logger().setLevel("ERROR")  # one process runs many networks, and retraces

OURS = {  # by what Keras calls them
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


class Tool(worker.Tool):
    """`style` is "graph", or "jit" for XLA; both are a tf.function."""

    def __init__(self, style: str, threads: int) -> None:
        super().__init__(style, threads)
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)

    def version(self) -> str:
        return f"Keras {keras.__version__} on TensorFlow {tf.__version__}"

    def load(self, name: str, material: Material) -> None:
        self.layout = Layout(material.layers)
        self.images = images_last(material)
        self.data = tf.constant(self.images), tf.constant(material.labels)
        self.weights = self.layout.there(material)
        self.model = build(material.layers, self.weights)
        self.loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def answers(self, count: int) -> Answers:
        predict = self._function(self._probabilities)
        probabilities = predict(self.data[0][:count]).numpy()
        loss, gradients = self._function(self._gradients)(tf.range(count))
        named = {}
        for variable, value in zip(
            self.model.trainable_variables, gradients, strict=True
        ):
            layer, key = variable.path.split("/")[-2], OURS[variable.name]
            value = value.numpy().reshape(self.weights[layer][key].shape)
            named[f"{layer}.{key}"] = self.layout.back(layer, value)
        return Answers(probabilities, float(loss), named)

    def job(self, case: Case) -> Job:
        if case.mode == "train":
            return Job(case.batch, self._train(case.batch))
        predict = self._function(self._probabilities)
        starts = range(0, len(self.images) - case.batch + 1, case.batch)
        batches = [self.images[i : i + case.batch] for i in starts[:1000]]
        if case.mode == "inference":
            batches = [tf.constant(batch) for batch in batches]
        turns = cycle(batches)
        return Job(case.batch, worker.repeat(lambda: predict(next(turns)).numpy()))

    def _function(self, python: Callable[..., Any]) -> Any:
        return tf.function(python, jit_compile=self.style == "jit")

    def _probabilities(self, images: Any) -> Any:
        return tf.nn.softmax(self.model(images, training=False))

    def _gradients(self, index: Any) -> Any:
        images, labels = (tf.gather(array, index) for array in self.data)
        with tf.GradientTape() as tape:
            loss = self.loss(labels, self.model(images, training=True))
        return loss, tape.gradient(loss, self.model.trainable_variables)

    def _train(self, batch: int) -> Callable[[int], float]:
        optimizer = keras.optimizers.SGD(LEARNING_RATE, momentum=MOMENTUM)
        optimizer.build(self.model.trainable_variables)
        count = len(self.images)

        def shuffled() -> Iterator[NDArray[np.int64]]:
            random = np.random.default_rng(0)
            while True:
                order = random.permutation(count)
                yield from order[: count // batch * batch].reshape(-1, batch)

        def step(index: Any) -> Any:
            loss, gradients = self._gradients(index)
            optimizer.apply(gradients, self.model.trainable_variables)
            return loss

        indices, update = shuffled(), self._function(step)

        def run(repeats: int) -> float:
            began = time.perf_counter()
            for _ in range(repeats):
                loss = update(tf.constant(next(indices)))
            loss.numpy()
            return time.perf_counter() - began

        return run


def build(layers: tuple[Layer, ...], weights: dict[str, Weights]) -> Any:
    """Make the network of a subject, with its weights."""
    modules = [make_layer(layer) for layer in layers]
    model = keras.Sequential([keras.Input(layers[0].input_shape), *modules])
    for module in modules:
        for variable in module.weights:
            value = weights[module.name][OURS[variable.name]]
            # A depthwise kernel is H,W,C,1 here and H,W,1,C in the layout: alike.
            variable.assign(value.reshape(variable.shape))
    return model


def make_layer(layer: Layer) -> Any:
    """Make one layer; its weights are still to come."""
    config, name, kind = layer.config, layer.name, layer.config["kind"]
    layers = keras.layers
    if kind == "Conv2D":
        size, bias = config["kernel_size"], config["bias"]
        padding = "valid" if config["padding"] == 0 else "same"
        if config["groups"] == config["filters"] == layer.input_shape[-1] > 1:
            return layers.DepthwiseConv2D(
                size, padding=padding, use_bias=bias, name=name
            )
        return layers.Conv2D(
            config["filters"], size, padding=padding, use_bias=bias, name=name
        )
    if kind == "BatchNorm":
        return layers.BatchNormalization(
            momentum=1 - config["momentum"], epsilon=config["epsilon"], name=name
        )
    if kind == "MaxPool2D":
        return layers.MaxPooling2D(config["size"], config["stride"], name=name)
    if kind == "Dense":
        return layers.Dense(config["units"], name=name)
    return {
        "ReLU": layers.ReLU,
        "Flatten": layers.Flatten,
        "GlobalAvgPool2D": layers.GlobalAveragePooling2D,
    }[kind](name=name)
