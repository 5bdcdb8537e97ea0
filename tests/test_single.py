"""Few images are taken one by one, with kernels of their own: the same answers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import reference_numpy as reference
from reference_layers import Bounded
from strategies import unsettle

import striate as st
from striate import _core
from striate.engine.lowering import lower
from striate.zoo import NETWORKS

RNG = np.random.default_rng(4)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_the_zoo_answer_within_their_bounds(name: str) -> None:
    network = NETWORKS[name](input_shape=(32, 36, 3), classes=10, seed=1)
    unsettle(network)
    images = RNG.standard_normal((1, *network.input_shape), np.float32)
    weights = {name: Bounded.exact(array) for name, array in network.weights.items()}
    wanted = reference.run_forward(network.resolved, weights, images)
    layers = [one.index for one in network.resolved]
    for isa in _core.isas():
        plan = _core.Plan(lower(network.resolved), network.engine.flat.size, isa)
        outputs = plan.forward(network.engine.flat, images, layers, 1)
        for one, output in zip(network.resolved, outputs, strict=True):
            shaped = output.reshape(1, *one.output_shape)
            reference.assert_within(f"{isa}: {one.name}", shaped, wanted[one.index])


def test_few_images_and_many_are_answered_alike() -> None:
    network = st.lenet5()
    pixels = RNG.integers(0, 256, (40, 28, 28), np.uint8)
    many = network.predict_proba(pixels)
    for count in range(1, 10):
        few = network.predict_proba(pixels[:count])
        np.testing.assert_allclose(few, many[:count], rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(
            network.predict(pixels[:count]), many[:count].argmax(1)
        )


def test_images_smaller_than_the_input_and_colours_are_placed_alike() -> None:
    network = st.Network([st.ReLU()], (6, 7, 3))
    pixels = RNG.integers(0, 256, (12, 3, 4, 3), np.uint8)
    many = network.activations(pixels, 0)
    np.testing.assert_array_equal(network.activations(pixels[:5], 0), many[:5])
    floats = RNG.standard_normal((12, 6, 7, 3), np.float32)
    many = network.activations(floats, 0)
    np.testing.assert_array_equal(network.activations(floats[:5], 0), many[:5])


def test_changed_weights_are_seen_at_once() -> None:
    layers = [st.Conv2D(16, 3), st.ReLU(), st.Conv2D(16, 3), st.Flatten(), st.Dense(3)]
    network, other = (st.Network(layers, (9, 9, 1), seed=seed) for seed in (1, 2))
    image = RNG.integers(0, 256, (1, 9, 9), np.uint8)
    before, wanted = network.logits(image), other.logits(image)
    assert (before != wanted).any()
    network.set_weights(other.weights)
    np.testing.assert_array_equal(network.logits(image), wanted)
    seen = []

    class Watch:
        def on_epoch_end(self, epoch: int, logs: object) -> None:
            fresh = st.Network(layers, (9, 9, 1))
            fresh.set_weights(network.weights)
            fresh.learned(network.preprocessing, (0, 1, 2), False)
            seen.append(network.logits(image))
            np.testing.assert_array_equal(fresh.logits(image), seen[-1])

    pixels = RNG.integers(0, 256, (60, 9, 9), np.uint8)
    network.fit(pixels, np.arange(60) % 3, epochs=3, callbacks=[Watch()])
    assert len({one.tobytes() for one in seen}) == 3


def test_threads_share_the_images_of_a_larger_network() -> None:
    layers = [st.Conv2D(16, 5), st.ReLU(), st.Conv2D(16, 5), st.Flatten(), st.Dense(3)]
    network = st.Network(layers, (40, 40, 1))
    assert network.engine.plan.tasks(5) == 5
    assert st.lenet5().engine.plan.tasks(5) == 1  # done before a thread has started
    images = RNG.integers(0, 256, (5, 40, 40), np.uint8)
    alone = network.logits(images, threads=1)
    np.testing.assert_array_equal(network.logits(images, threads=3), alone)


def test_many_threads_ask_for_one_image_each() -> None:
    network = st.lenet5()
    pixels = RNG.integers(0, 256, (50, 28, 28), np.uint8)
    wanted = [network.predict_proba(pixels[i : i + 1]) for i in range(50)]
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(
            lambda i: network.predict_proba(pixels[i : i + 1]), range(50)
        )
        for got, alone in zip(answers, wanted, strict=True):
            np.testing.assert_array_equal(got, alone)


def test_another_size_is_centred_anew_before_training() -> None:
    network = st.Network([st.Flatten()], (4, 4, 1))
    for size in (2, 4, 3, 2):
        values = network.logits(np.full((1, size, size, 1), 255, np.uint8))
        assert values.sum() == size**2
        top = (4 - size) // 2
        assert values.reshape(4, 4)[top : top + size, top : top + size].all()
