"""Properties of random small networks, on every instruction set and any threads."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference_numpy as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from reference_layers import DOUBLE, pad, patches
from strategies import Case, cases, make_case, networks

from striate import (
    SGD,
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
    _core,
)
from striate.engine.lowering import lower, update_rule
from striate.layers import Layer

Floats = NDArray[Any]
ISAS = _core.isas()

LAYERS: list[list[Layer]] = [
    [Conv2D(3, 2)],
    [Conv2D(2, (3, 2), stride=(2, 1), padding=(1, 2), bias=False)],
    [Conv2D(4, 3, stride=2, padding="same", dilation=(1, 2), groups=2)],
    [MaxPool2D(2)],
    [MaxPool2D((3, 2), stride=(2, 1), padding=1)],
    [AvgPool2D(2)],
    [AvgPool2D((2, 3), stride=1, padding=1)],
    [GlobalAvgPool2D(), Dense(6)],
    [ReLU()],
    [LeakyReLU(0.2)],
    [Tanh()],
    [ScaledTanh()],
    [Sigmoid()],
    [Dropout(0.4)],
    [Flatten(), Dense(7), Tanh(), Dropout(0.3), Dense(5, bias=False)],
    [BatchNorm(epsilon=0.01)],
    [BatchNorm(epsilon=0.01), Tanh(), Conv2D(3, 2), BatchNorm(epsilon=0.1)],
    [Flatten(), Dense(7), BatchNorm(epsilon=0.01), Tanh(), Dense(5)],
    [Residual([Conv2D(2, 3, padding=1), Tanh(), Conv2D(2, 3, padding=1)]), Tanh()],
    [
        Residual(
            [Conv2D(3, 3, stride=2, padding=1), BatchNorm(epsilon=0.1), Tanh()],
            shortcut=[Conv2D(3, 1, stride=2), BatchNorm(epsilon=0.1)],
        )
    ],
    [
        Tanh(),  # a fork whose value is needed thrice, and a Residual in each branch
        Residual(
            [Residual([Conv2D(2, 3, padding=1)]), Sigmoid()],
            shortcut=[Residual([Dropout(0.2)]), Tanh()],
        ),
    ],
]


def single(network: Network, isa: str = "") -> _core.Plan:
    """The network in float32 on one instruction set."""
    return _core.Plan(lower(network.resolved), network.engine.flat.size, isa)


def double(network: Network) -> _core.DoublePlan:
    """The network in float64 on the reference kernels."""
    return _core.DoublePlan(lower(network.resolved), network.engine.flat.size)


def loss_and_gradient(
    plan: Any, case: Case, weights: Floats, images: Floats, training: bool = False
) -> tuple[float, Floats]:
    """Mean loss and flat gradient; dropout draws from the case's seed."""
    loss, _, gradient, fault = plan.gradients(
        weights,
        images,
        case.labels.astype(np.int32),
        case.sample_weight,
        case.label_smoothing,
        training,
        case.seed,
        0,
        1,
    )
    assert fault == ""
    return loss, gradient


def input_gradient(plan: Any, case: Case, weights: Floats, images: Floats) -> Floats:
    """The gradient of each image's own loss, N,H,W,C."""
    last = len(case.network.resolved) - 1
    labels = case.labels.astype(np.int32)
    return plan.input_gradient(
        weights, images, last, None, labels, case.label_smoothing, 1
    )


# ------------------------------------------------------- gradients by differences


def assert_slopes(
    f: Callable[[Floats], float], at: Floats, gradient: Floats, places: Floats
) -> None:
    """The gradient agrees with the differences to both sides of each place.

    Where a kink of ReLU or of a maximum lies between them the two differ, and the
    tolerance grows by just what the kink explains.
    """
    here, step = f(at), 1e-6
    for place in places:
        moved = at.copy()
        moved[place] = at[place] + step
        right = (f(moved) - here) / (moved[place] - at[place])
        moved[place] = at[place] - step
        left = (here - f(moved)) / (at[place] - moved[place])
        allowed = abs(right - left) / 2 + 2e-8 * max(1.0, abs(here))
        assert abs((left + right) / 2 - gradient[place]) <= allowed, (
            f"[{place}]: {gradient[place]}, but differences say {left} and {right}"
        )


def check_against_differences(case: Case, most: int) -> None:
    """All gradients, of at most so many weights and pixels of each, in training."""
    plan = double(case.network)
    weights = case.network.engine.flat.astype(np.float64)
    images = case.images.astype(np.float64)
    random = np.random.default_rng(case.seed)

    _, gradient = loss_and_gradient(plan, case, weights, images, training=True)
    assert_slopes(
        lambda moved: loss_and_gradient(plan, case, moved, images, True)[0],
        weights,
        gradient,
        random.permutation(case.network.parameters)[:most],
    )
    # Each image's own loss is that of a batch of one, without dropout.
    shares = case.sample_weight
    own = np.ones(len(images)) if shares is None else shares / shares.sum(dtype=float)
    factor = own if shares is not None else own / len(images)
    wanted = input_gradient(plan, case, weights, images)
    wanted = wanted * factor[:, None, None, None]

    def of_pixels(pixels: Floats) -> float:
        moved = pixels.reshape(images.shape)
        return loss_and_gradient(plan, case, weights, moved)[0]

    places = random.permutation(images.size)[:most]
    assert_slopes(of_pixels, images.ravel(), wanted.ravel(), places)


@pytest.mark.parametrize("layers", LAYERS, ids=repr)
def test_gradients_of_every_layer_agree_with_differences(layers: list[Layer]) -> None:
    head = [] if isinstance(layers[-1], Dense) else [Flatten(), Dense(4)]
    # A convolution below, so that the layer's own input gradient is passed on.
    network = Network([Conv2D(2, 2), *layers, *head], (6, 5, 2), seed=3)
    check_against_differences(make_case(network, count=3, seed=1), most=60)


# One image, a full block of 8 lanes, and one of 16: each has kernels of its own.
BLOCKS: list[Layer] = [
    *(Conv2D(6, 3, padding=1), ReLU(), Conv2D(6, 3, groups=3), Tanh(), MaxPool2D(2)),
    *(Conv2D(9, 1), Conv2D(4, 2, stride=2, padding=1), Conv2D(3, 2, dilation=2)),
    *(ReLU(), Flatten(), Dropout(0.2), Dense(17), Tanh(), Dense(4)),
]


@pytest.mark.parametrize("count", [1, 8, 9])
def test_gradients_of_blocks_agree_with_differences(count: int) -> None:
    network = Network(BLOCKS, (12, 11, 2), seed=3)
    check_against_differences(make_case(network, count, seed=1), most=25)


@settings(max_examples=40, deadline=None)
@given(cases(dropout=True, most_images=18))
def test_gradients_of_networks_agree_with_differences(case: Case) -> None:
    check_against_differences(case, most=12)


# ------------------------------------------------- the definitions, with their bounds


@settings(max_examples=50, deadline=None)
@given(cases())
def test_every_instruction_set_stays_within_the_carried_bound(case: Case) -> None:
    check_within_bounds(case)


@pytest.mark.parametrize("count", [1, 2, 8, 9, 16])
def test_every_block_stays_within_the_carried_bound(count: int) -> None:
    network = Network(BLOCKS, (12, 11, 2), seed=3)
    check_within_bounds(make_case(network, count, seed=2))


def check_within_bounds(case: Case) -> None:
    """All outputs and gradients, on every instruction set, against the definitions."""
    network, weights = case.network, case.network.engine.flat
    wanted = reference.run(
        network.resolved, network.weights, case.images, **case.targets
    )
    layers = list(range(len(network.resolved)))
    for isa in ISAS:
        plan = single(network, isa)
        outputs = plan.forward(weights, case.images, layers, 2)
        for one, output in zip(network.resolved, outputs, strict=True):
            shaped = output.reshape(len(output), *one.output_shape)
            what = f"{isa}: {one.name}"
            reference.assert_within(what, shaped, wanted.outputs[one.name])
        rows = plan.answers(weights, case.images, True, 2)
        reference.assert_within(f"{isa}: probabilities", rows, wanted.probabilities)
        loss, flat = loss_and_gradient(plan, case, weights, case.images)
        reference.assert_within(f"{isa}: loss", np.array(loss), wanted.loss)
        for name, gradient in network.engine.named(flat).items():
            what = f"{isa}: gradient of {name}"
            reference.assert_within(what, gradient, wanted.gradients[name])
        gradient = input_gradient(plan, case, weights, case.images)
        what = f"{isa}: gradient of the input"
        reference.assert_within(what, gradient, wanted.input_gradient)


@settings(max_examples=30, deadline=None)
@given(cases())
def test_double_precision_is_that_of_the_definitions(case: Case) -> None:
    network = case.network
    # Both sides round in double here.
    wanted = reference.run(
        network.resolved,
        network.weights,
        case.images,
        **case.targets,
        unit=2 * DOUBLE,
    )
    plan, weights = double(network), network.engine.flat.astype(np.float64)
    images = case.images.astype(np.float64)
    loss, flat = loss_and_gradient(plan, case, weights, images)
    reference.assert_within("loss", np.array(loss), wanted.loss)
    for name, gradient in network.engine.named(flat).items():
        reference.assert_within(name, gradient, wanted.gradients[name])
    gradient = input_gradient(plan, case, weights, images)
    reference.assert_within("input", gradient, wanted.input_gradient)


def test_the_carried_bound_is_narrow_enough_to_see_faults() -> None:
    """A ten-thousandth off one weight must show, or the bound would prove nothing."""
    layers = [Conv2D(3, 3), Tanh(), MaxPool2D(2), Flatten(), Dense(8), ReLU(), Dense(3)]
    network = Network(layers, (8, 8, 1), seed=1)
    case = make_case(network, count=20)
    wanted = reference.run(
        network.resolved, network.weights, case.images, **case.targets
    )
    weights = {name: array.copy() for name, array in network.weights.items()}
    weights["conv1.weight"][0, 0, 1, 1] *= 1 + 1e-4
    network.set_weights(weights)
    with pytest.raises(AssertionError, match="times the bound"):
        reference.assert_within(
            "logits", network.logits(case.images), wanted.outputs["dense2"]
        )


@pytest.mark.parametrize("isa", ISAS)
def test_kernels_agree_with_their_reference_twins(isa: str) -> None:
    assert _core.selftest(isa, 2024, 16) == []


# ------------------------------------------------------ neighbours, threads, and seeds


@settings(max_examples=30, deadline=None)
@given(cases(), st.sampled_from(ISAS), st.data())
def test_an_answer_does_not_depend_on_the_neighbours(
    case: Case, isa: str, data: st.DataObject
) -> None:
    """The same bits among any others, be they at most 8 or more than that."""
    plan, weights = single(case.network, isa), case.network.engine.flat
    layers = list(range(len(case.network.resolved)))
    order = np.array(data.draw(st.permutations(range(len(case.images)))))
    fewest = 1 if len(order) <= 8 else 9
    kept = order[: data.draw(st.integers(fewest, len(order)))]
    together = plan.forward(weights, case.images, layers, 2)
    apart = plan.forward(weights, np.ascontiguousarray(case.images[kept]), layers, 2)
    for one, all_rows, rows in zip(case.network.resolved, together, apart, strict=True):
        np.testing.assert_array_equal(all_rows[kept], rows, err_msg=one.name)


def train(case: Case, threads: int, seed: int = 5, batch_size: int = 23) -> bytes:
    """The weights' bits after two epochs from the network's own start."""
    given = case.network
    network = Network(given.layers, given.input_shape, seed=given.seed)
    network.fit(
        case.images,
        case.labels % network.outputs,
        epochs=2,
        batch_size=batch_size,
        optimizer=SGD(0.05, momentum=0.9),
        sample_weight=case.sample_weight,
        label_smoothing=case.label_smoothing,
        clip_norm=1.0,
        seed=seed,
        threads=threads,
    )
    return b"".join(array.tobytes() for array in network.weights.values())


@settings(max_examples=12, deadline=None)
@given(networks(dropout=True), st.integers(25, 75), st.integers(0, 99))
def test_same_bits_on_any_number_of_threads(
    network: Network, images: int, seed: int
) -> None:
    case = make_case(network, images, seed, weighted=seed % 2 == 0)
    one = train(case, threads=1)
    assert all(train(case, threads) == one for threads in (2, 3, 8))


@pytest.mark.parametrize("batch_size", range(1, 10))
def test_same_bits_of_small_batches_on_any_number_of_threads(batch_size: int) -> None:
    wide: list[Layer] = [Conv2D(16, 3, padding=1), ReLU(), Conv2D(16, 3), ReLU()]
    norms = [BatchNorm(epsilon=1e-2)] if batch_size > 1 else []
    network = Network([*wide, *norms, *BLOCKS], (18, 18, 1), seed=4)
    case = make_case(network, count=20, weighted=True)
    one = train(case, threads=1, batch_size=batch_size)
    for threads in (2, 3):
        assert train(case, threads, batch_size=batch_size) == one


def test_memory_is_handed_on_between_batches_of_any_size() -> None:
    case = make_case(Network(BLOCKS, (12, 11, 2), seed=3), count=40)
    plan = single(case.network)
    rule = update_rule(SGD(0.1))

    def step(state: _core.State, flat: Floats, batch_size: int) -> None:
        plan.train(
            *(flat, state, rule, case.images, case.labels.astype(np.int32), None),
            np.arange(40),
            batch_size=batch_size,
            first_step=0,
            learning_rates=np.full(1, 0.1),
            label_smoothing=0.0,
            clip_norm=0.0,
            seed=0,
            epoch=1,
            threads=2,
        )

    kept = _core.State(plan, 0)
    flat = case.network.engine.flat.copy()
    wanted = flat.copy()
    for batch_size in (1, 8, 40, 7, 16, 1):
        step(kept, flat, batch_size)
        step(_core.State(plan, 0), wanted, batch_size)
    np.testing.assert_array_equal(flat, wanted)


def test_the_seed_alone_decides() -> None:
    layers = [Conv2D(4, 3), ReLU(), Dropout(0.3), Flatten(), Dense(9), ReLU(), Dense(3)]
    case = make_case(Network(layers, (7, 7, 2), seed=8), count=45)
    assert train(case, threads=2) == train(case, threads=2)
    assert train(case, threads=2) != train(case, threads=2, seed=6)
    other = make_case(Network(layers, (7, 7, 2), seed=9), count=45)
    assert train(case, threads=2) != train(other, threads=2)


@settings(max_examples=20, deadline=None)
@given(cases(dropout=True))
def test_dropout_leaves_predictions_alone(case: Case) -> None:
    kept = [one for one in case.network.layers if not isinstance(one, Dropout)]
    bare = Network(kept, case.network.input_shape)
    bare.set_weights(
        dict(zip(bare.weights, case.network.weights.values(), strict=True))
    )
    wanted = bare.logits(case.images)
    np.testing.assert_array_equal(case.network.logits(case.images), wanted)


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_dropout_drops_its_share_and_keeps_the_mean(rate: float) -> None:
    """The logits are the pixels here, and each image's label is its only class."""
    pixels = 10_000
    network = Network([Dropout(rate), Flatten(), Dense(2)], (100, 100, 1))
    weights = np.zeros((2, pixels), np.float32)
    network.set_weights({"dense1.weight": weights, "dense1.bias": [0.0, 0.0]})
    images = np.ones((1, 100, 100, 1), np.float32)
    _, gradients = network.loss_and_gradients(images, [0], training=True, seed=4)
    # The gradient of a dense weight is its input times -1/2: what dropout let pass.
    passed = gradients["dense1.weight"][0] / -0.5
    assert set(np.unique(passed)) == {np.float32(0), np.float32(1 / (1 - rate))}
    deviation = np.sqrt(rate * (1 - rate) / pixels)
    assert abs((passed == 0).mean() - rate) < 4 * deviation


# --------------------------------------------------------------- NaN, and equal pixels


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    "layer", [ReLU(), LeakyReLU(), MaxPool2D(2), MaxPool2D(3, stride=1, padding=1)]
)
def test_nan_passes_through(isa: str, layer: Layer) -> None:
    """In any place of a patch, and only to the image and the patches it is in."""
    network = Network([layer], (4, 4, 1))
    nothing = np.zeros(0, np.float32)
    plan = single(network, isa)
    plain = np.random.default_rng(0).standard_normal((20, 4, 4, 1), np.float32)
    (clean,) = plan.forward(nothing, plain, [0], 1)
    window = layer.window(4, 4)
    for row, column in itertools.product(range(4), range(4)):
        images = plain.copy()
        images[17, row, column, 0] = np.nan
        (found,) = plan.forward(nothing, images, [0], 1)
        seen = np.zeros((1, 4, 4, 1))
        seen[0, row, column, 0] = 1
        if window is not None:
            padded = pad(seen, window)
            seen = patches(padded, window).max((4, 5))
        (alone,) = plan.forward(nothing, images[17:18], [0], 1)
        for image in (found[17], alone[0]):
            np.testing.assert_array_equal(np.isnan(image), seen[0] == 1)
            np.testing.assert_array_equal(image[seen[0] == 0], clean[17][seen[0] == 0])
        others = np.arange(20) != 17
        np.testing.assert_array_equal(found[others], clean[others])


@pytest.mark.parametrize("isa", ISAS)
def test_ties_go_to_the_first_in_row_major_order(isa: str) -> None:
    """Of two equal maxima in a patch of 3 x 3, wherever they are."""
    plan = single(Network([MaxPool2D(3)], (3, 3, 1)), isa)
    pairs = list(itertools.combinations(range(9), 2))
    images = np.zeros((len(pairs), 9), np.float32)
    wanted = np.zeros_like(images)
    for image, row, (first, second) in zip(images, wanted, pairs, strict=True):
        image[[first, second]] = 2
        row[first] = 1
    seeds = np.ones((len(pairs), 1, 1, 1), np.float32)
    gradient = plan.input_gradient(
        np.zeros(0, np.float32), images.reshape(-1, 3, 3, 1), 0, seeds, None, 0.0, 1
    )
    np.testing.assert_array_equal(gradient.reshape(-1, 9), wanted)
