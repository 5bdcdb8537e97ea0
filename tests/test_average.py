"""The moving average of the weights that the core keeps beside a training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate import BatchNorm, Conv2D, Dense, Flatten, Network, _core
from striate.engine.lowering import update_rule
from striate.training.optimizers import SGD

DECAY = 0.9
STEPS = 6


def network() -> Network:
    layers = [Conv2D(4, 3), BatchNorm(), Flatten(), Dense(300), Dense(3)]
    return Network(layers, (7, 7, 1), seed=1)


class Training:
    """Steps of a network on 50 fixed images, through the core."""

    def __init__(self) -> None:
        random = np.random.default_rng(5)
        self.plan = network().engine.plan
        self.flat = network().engine.flat.copy()
        self.images = random.standard_normal((50, 7, 7, 1), np.float32)
        self.labels = random.integers(0, 3, 50).astype(np.int32)
        self.state = _core.State(self.plan, 1)

    def steps(self, first: int, count: int, threads: int, **average: Any) -> str:
        _, _, fault = self.plan.train(
            self.flat,
            self.state,
            update_rule(SGD(0.1, momentum=0.9)),
            self.images,
            self.labels,
            None,
            np.arange(50),
            batch_size=8,
            first_step=first,
            learning_rates=np.full(count, 0.1),
            label_smoothing=0.0,
            clip_norm=0.0,
            seed=0,
            epoch=1,
            threads=threads,
            **average,
        )
        return fault


def averaged(threads: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    training = Training()
    average = training.flat.copy()
    fault = training.steps(0, STEPS, threads, average=average, average_decay=DECAY)
    assert fault == ""
    return training.flat, average


def test_average_follows_weights_and_running_statistics() -> None:
    """Step by step, as NumPy takes it; the training itself is not touched."""
    training = Training()
    wanted = training.flat.astype(np.float64)
    for step in range(STEPS):
        training.steps(step, 1, threads=1)
        wanted += (1 - DECAY) * (training.flat - wanted)
    flat, average = averaged(threads=2)
    np.testing.assert_array_equal(flat, training.flat)
    # One rounding or two of numbers up to 2 a step.
    np.testing.assert_allclose(average, wanted, rtol=0, atol=STEPS * 4 * 2.0**-24 * 2)
    assert np.abs(average - flat)[training.plan.trainable_count :].min() > 1e-4


def test_average_has_the_same_bits_on_any_number_of_threads() -> None:
    one = averaged(threads=1)[1]
    for threads in (2, 3, 8):
        np.testing.assert_array_equal(averaged(threads)[1], one)


def test_a_step_that_fails_leaves_the_average_alone() -> None:
    training = Training()
    training.images[3] = np.inf
    average = training.flat.copy()
    fault = training.steps(0, 1, threads=2, average=average, average_decay=DECAY)
    assert fault == "loss"
    np.testing.assert_array_equal(average, network().engine.flat)
