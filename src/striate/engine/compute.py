"""The core as a network uses it: the plan, the weights, and who uses them now."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..arguments import spell
from ..errors import ShapeError, UsageError
from ..images.inputs import Images
from ..layers import BatchNorm
from ..resolve import ResolvedLayer
from .lowering import lower
from .machine import (
    check_memory,
    convolution,
    instruction_set,
    is_large,
    thread_count,
)
from .usage import Usage
from .weights import Floats, named_views


def make_plan(resolved: Sequence[ResolvedLayer]) -> _core.Plan:
    """Return what the core makes of layers; it holds no weights and no memory yet."""
    return _core.Plan(
        lower(resolved),
        sum(one.parameters + one.statistics for one in resolved),
        instruction_set(),
        convolution() == "direct",
    )


class Engine:
    """Computes with one network's weights; several threads may do so at once.

    `flat` holds all weights in the order of `resolved` and is changed in place, by
    one thread that uses nothing else meanwhile (`usage`).
    """

    def __init__(self, resolved: Sequence[ResolvedLayer], flat: Floats) -> None:
        self.resolved = tuple(resolved)
        self.flat = flat
        self.plan = make_plan(self.resolved)
        self.usage = Usage()

    @property
    def outputs(self) -> int:
        """How many numbers the network ends in, one a class; else ShapeError."""
        last = self.resolved[-1]
        if len(last.output_shape) != 1:
            raise ShapeError(
                f"classes need a network that ends in one number for each, but "
                f"{last.name} puts out {spell(last.output_shape)}; end it with "
                "Flatten() and Dense(classes)."
            )
        return last.output_shape[0]

    @property
    def normalizes(self) -> str | None:
        """The name of the first layer that normalises over a batch, if there is one."""
        norms = (one.name for one in self.resolved if isinstance(one.layer, BatchNorm))
        return next(norms, None)

    def check_batch(self, images: int, remedy: str) -> None:
        """Refuse, in words, to train on one image what normalises over a batch."""
        if images == 1 and self.normalizes:
            raise UsageError(
                f"{self.normalizes} normalises over the images of a batch, so training "
                f"needs at least 2 images in each, but a batch has 1; give {remedy}."
            )

    def named(self, flat: Floats) -> Mapping[str, Floats]:
        """Return a vector laid out as the weights are, as named arrays."""
        return named_views(self.resolved, flat)

    def forward(
        self, images: Images, layers: Sequence[int], *, threads: int | None = None
    ) -> list[Floats]:
        """Return the outputs of layers, N,H,W,C or N,D, in the order they are named."""
        shapes = [self.resolved[index].output_shape for index in layers]
        numbers = sum(math.prod(shape) for shape in shapes)
        team = self.team(images.count, len(shapes), numbers, threads)
        with self.usage.reading():
            outputs = self.plan.forward(self.flat, images.source, list(layers), team)
        return [
            output.reshape(images.count, *shape)
            for output, shape in zip(outputs, shapes, strict=True)
        ]

    def answers(
        self,
        images: Images,
        *,
        probabilities: bool = False,
        temperature: float = 1.0,
        threads: int | None = None,
    ) -> Floats:
        """Return the last layer's output, N,K; ShapeError where it is not flat.

        With `probabilities` it is divided by `temperature` and goes through softmax.
        """
        team = self.team(images.count, 1, self.outputs, threads)
        with self.usage.reading():
            return self.plan.answers(
                self.flat, images.source, probabilities, team, temperature
            )

    def team(self, images: int, layers: int, numbers: int, threads: int | None) -> int:
        """How many threads go forward; UsageError where what they take is not there.

        `numbers` is how many the layers put out for each image.
        """
        team = thread_count(threads, self.plan.tasks(images))
        amount = 4 * images * numbers + self.plan.bytes(images, team, False)
        if is_large(amount):  # else finding words would take longer than the check
            check_memory(
                amount,
                f"the output of {layers} layer(s) for {images:,} images",
                "give fewer images or layers at once",
            )
        return team

    def input_gradient(
        self,
        images: Images,
        layer: int,
        *,
        at: int = -1,
        rule: str = "gradient",
        seeds: Floats | None = None,
        labels: NDArray[np.int32] | None = None,
        threads: int | None = None,
    ) -> Floats:
        """Return the gradient of the output of layer `at`, N,H,W,C or N,D; -1: the input.

        Of the sum of `seeds` times the layer's output, or, with `labels`, of each
        image's own loss. `rule` is what rectifiers pass back.
        """
        team = thread_count(threads)
        first = self.resolved[0].input_shape
        shape = first if at < 0 else self.resolved[at].output_shape
        taken = 4 * images.count * math.prod(shape)
        check_memory(
            taken + self.plan.bytes(min(images.count, 16), team, True),
            f"the gradient of {images.count:,} images",
            "give fewer images at once",
        )
        if seeds is not None and seeds.ndim == 2:
            seeds = seeds[:, None, None, :]
        with self.usage.reading():
            gradient = self.plan.input_gradient(
                self.flat, images.source, layer, seeds, labels, 0.0, team, at, rule
            )
        return gradient.reshape(images.count, *shape)

    def gradients(
        self,
        images: Images,
        labels: NDArray[np.int32],
        sample_weight: NDArray[np.float32] | None,
        *,
        label_smoothing: float,
        dropout_seed: int | None,
        threads: int | None,
    ) -> tuple[float, Floats]:
        """Return the mean loss and its gradient, laid out as the trainable weights are.

        Where dropout has a seed to draw from, it is active, and normalisation is by the
        statistics of the batch.
        """
        team = thread_count(threads)
        if dropout_seed is not None:
            self.check_batch(images.count, "more images, or training=False")
        check_memory(
            4 * self.flat.size + self.plan.bytes(images.count, team, True),
            f"the gradient of {images.count:,} images in one batch",
            "give fewer images at once",
        )
        with self.usage.reading():
            loss, _, gradient, fault = self.plan.gradients(
                self.flat,
                images.source,
                labels,
                sample_weight,
                label_smoothing,
                dropout_seed is not None,
                dropout_seed or 0,
                0,
                team,
            )
        if fault == "loss":  # the core went no further
            gradient[:] = np.nan
        return loss, gradient
