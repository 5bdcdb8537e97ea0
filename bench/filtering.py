"""Measure minimal filtering against direct convolution, for docs/performance.md.

    python bench/filtering.py             # some four minutes
    python bench/filtering.py --json      # prints what it measured and writes nothing

Errors of every layer against double precision, speed on one thread, and the accuracy
that networks reach over five seeds: on the built-in digits, and on gtsrb-small where
the folder that STRIATE_DATA names has it. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import growth
import numpy as np
from cases import CASES, SUBJECTS, Case, operations
from filtering_report import Accuracy, Error, Filtering, LayerErrors, Speed, write
from growth import say
from machine import cores, processor
from numpy.typing import NDArray

import striate
from striate import _core
from striate.engine.lowering import lower
from striate.engine.machine import instruction_set

WAYS = ("auto", "direct")  # what STRIATE_CONVOLUTION may be
# Of SUBJECTS, those with layers that go by filtering.
COMPARED = ("lenet5", "vgg", "face")
LANES = 16
ROUNDS = 7
TURN = 5e10  # operations of direct convolution: about half a second
SEEDS, EPOCHS, WIDTH = range(5), 20, 16
SIGNS = striate.Reading(
    size=32, validation=0, test_share=0.25, group="(.+/[0-9]+)_", cache=False
)


def made(build: Callable[[], striate.Network], way: str) -> striate.Network:
    """Make a network that convolves in one of WAYS: it is settled when it is made."""
    variable = "STRIATE_CONVOLUTION"
    before = os.environ.get(variable)
    os.environ[variable] = way
    try:
        return build()
    finally:
        del os.environ[variable]
        if before is not None:
            os.environ[variable] = before


def layer_errors(title: str, network: striate.Network) -> Iterator[LayerErrors]:
    """Yield the errors of the convolutions of which any pass goes by filtering.

    Each is measured alone, on ReLU of noise as it stands behind one in the network.
    """
    for one in network.resolved:
        if isinstance(one.layer, striate.Conv2D):
            errors = convolution_errors(one.layer, one.input_shape)
            if any(error.filtering is not None for error in errors):
                assert one.window is not None
                rows, columns = one.window.kernel
                height, width, channels = one.input_shape
                shape = (
                    f"{rows} x {columns}, {channels} to {one.layer.filters} channels, "
                    f"{height} x {width}"
                )
                yield LayerErrors(f"{title}, {one.name}", shape, *errors)


def convolution_errors(
    layer: striate.Conv2D, input_shape: tuple[int, ...]
) -> tuple[Error, Error, Error]:
    """Measure one convolution: forward, gradient of the input, of the weights."""

    def build() -> striate.Network:
        head = [striate.Flatten(), striate.Dense(LANES, bias=False)]
        network = striate.Network([layer, *head], input_shape)
        # Logits so near zero that softmax does not see the forward error: all plans go
        # back from the same numbers.
        weights = {name: value.copy() for name, value in network.weights.items()}
        weights["dense1.weight"] *= 2.0**-40
        network.set_weights(weights)
        return network

    filtered, direct = (made(build, way) for way in WAYS)
    exact = _core.DoublePlan(lower(direct.resolved), direct.engine.flat.size)
    results = zip(
        passes(filtered, filtered.engine.plan, np.float32),
        passes(direct, direct.engine.plan, np.float32),
        passes(direct, exact, np.float64),
        strict=True,
    )
    forward, inputs, weights = (
        Error(  # the same bits both ways: the rule leaves it direct
            None if np.array_equal(one, other) else relative_error(one, wanted),
            relative_error(other, wanted),
        )
        for one, other, wanted in results
    )
    return forward, inputs, weights


def passes(
    network: striate.Network, plan: Any, number: type[np.floating[Any]]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The first layer's outputs, and its gradients of the input and of the weights."""
    random, threads = np.random.default_rng(0), cores()
    first, weights = network.resolved[0], network.engine.flat.astype(number)
    noise = random.standard_normal((LANES, *first.input_shape), np.float32)
    images = np.maximum(noise, 0).astype(number)
    (outputs,) = plan.forward(weights, images, [0], threads)
    seeds = random.standard_normal(outputs.shape, np.float32).astype(number)
    inputs = plan.input_gradient(weights, images, 0, seeds, None, 0.0, threads)
    labels = np.arange(LANES, dtype=np.int32)
    _, _, flat, _ = plan.gradients(
        weights, images, labels, None, 0.0, False, 0, 0, threads
    )
    return outputs, inputs, network.engine.named(flat)[f"{first.name}.weight"]


def relative_error(found: NDArray[Any], exact: NDArray[Any]) -> float:
    """The norm of the difference, as a share of the norm."""
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def speed(case: Case) -> Speed:
    """Images a second on one thread, both ways by turns."""
    pair = {way: made(SUBJECTS[case.subject].build, way) for way in WAYS}
    costs = [layer.multiply_adds for layer in pair["auto"].resolved]
    steps = max(2, round(TURN / operations(costs, case.mode) / case.batch))
    pixels, labels = growth.images_of(pair["auto"], steps * case.batch)
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(1 + ROUNDS):
        for way, network in pair.items():
            rates[way].append(rate(case, network, pixels, labels))
    auto, direct = (tuple(rates[way][1:]) for way in WAYS)  # the first warms up
    return Speed(case.title, auto, direct)


def rate(case: Case, network: striate.Network, pixels: Any, labels: Any) -> float:
    """Images a second, once over the images."""
    if case.mode == "train":
        options = {"epochs": 1, "batch_size": case.batch, "threads": 1}
        return growth.fit(network, pixels, labels, **options)[0]
    began = perf_counter()
    for first in range(0, len(pixels), case.batch):
        network.predict_proba(pixels[first : first + case.batch], threads=1)
    return len(pixels) / (perf_counter() - began)


def accuracy(title: str, train: striate.Dataset, test: striate.Dataset) -> Accuracy:
    """Train the same networks both ways, and classify the test images."""

    def reached(way: str, seed: int) -> float:
        shape, classes = train.images.shape[1:], len(train.classes)
        network = made(lambda: striate.vgg(shape, classes, width=WIDTH, seed=seed), way)
        network.fit(train.images, train.labels, epochs=EPOCHS, seed=seed)
        return network.score(test.images, test.labels)

    auto, direct = (tuple(reached(way, seed) for seed in SEEDS) for way in WAYS)
    return Accuracy(title, len(train), len(test), auto, direct)


def data_sets() -> Iterator[tuple[str, striate.Dataset, striate.Dataset]]:
    """Yield what there is to train on: a title, images to train and to test with."""
    yield "digits", *striate.load_data("digits")
    folder = Path(os.environ.get("STRIATE_DATA", ""), "gtsrb-small")
    if "STRIATE_DATA" in os.environ and folder.is_dir():
        data = striate.read_data(folder, reading=SIGNS, quiet=True)
        assert data.test is not None
        yield "gtsrb-small, split by track", data.training, data.test


def run() -> Filtering:
    """Measure everything."""
    say("errors of layers")
    layers = tuple(
        errors
        for subject in (SUBJECTS[name] for name in COMPARED)
        for errors in layer_errors(subject.title, subject.build())
    )
    say("speed")
    blocks = (
        case for case in CASES if case.subject in COMPARED and case.batch >= LANES
    )
    speeds = tuple(map(speed, blocks))
    accuracies = []
    for title, train, test in data_sets():
        say(f"accuracy: {title}")
        accuracies.append(accuracy(title, train, test))
    return Filtering(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        processor=processor(),
        cores=cores(),
        striate=striate.__version__,
        isa=instruction_set(),
        layers=layers,
        speeds=speeds,
        network=f"`vgg` of width {WIDTH}, {EPOCHS} epochs",
        accuracies=tuple(accuracies),
    )


if __name__ == "__main__":
    growth.report(__doc__, run, write)
