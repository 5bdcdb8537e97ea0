"""BatchNorm: what training measures, keeps and leaves alone, in plain numbers."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from strategies import Case, make_case, unsettle

from striate import (
    SGD,
    AdamW,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Network,
    ReLU,
    Residual,
    ShapeError,
    Tanh,
    TrainingError,
    UsageError,
    load,
)

SHAPE = (6, 5, 2)


def normalizing(momentum: float = 0.1, seed: int = 3) -> Network:
    """Normalises its input, a volume, and later a flat vector."""
    layers = [BatchNorm(momentum), Conv2D(3, 2), Flatten()]
    head = [Dense(6), BatchNorm(momentum), Tanh(), Dense(4)]
    return Network([*layers, *head], SHAPE, seed=seed)


def statistics(network: Network) -> dict[str, bytes]:
    return {
        name: array.tobytes()
        for name, array in network.weights.items()
        if ".running_" in name
    }


def train(case: Case, epochs: int = 1, **options: object) -> Network:
    settings = {"optimizer": SGD(0.05), "schedule": "constant", "threads": 2} | options
    case.network.fit(case.images, case.labels, epochs=epochs, **settings)
    return case.network


# ---------------------------------------------------------------------- the numbers


def test_running_statistics_are_those_of_the_batch_by_momentum() -> None:
    """Means over images, rows and columns; variances divided by one value less."""
    case = make_case(normalizing(momentum=0.3), count=21)  # a whole block and five
    network = train(case, batch_size=21)
    pixels = case.images.astype(np.float64).reshape(-1, SHAPE[2])
    found = network.weights
    wanted = 0.3 * pixels.mean(0)
    np.testing.assert_allclose(found["bn1.running_mean"], wanted, atol=1e-6)
    wanted = 0.7 + 0.3 * pixels.var(0, ddof=1)
    np.testing.assert_allclose(found["bn1.running_var"], wanted, rtol=1e-6)
    assert found["bn2.running_mean"].shape == (6,)


def test_variance_keeps_its_digits_far_from_zero() -> None:
    """float32 sums of squares would lose all of a variance of 1 beside 3000 squared."""
    network = Network([BatchNorm(1.0), Flatten(), Dense(4)], SHAPE)
    case = make_case(network, count=40)
    images = case.images + np.float32(3000)
    network.fit(images, case.labels, epochs=1, batch_size=40, optimizer=SGD(0.0001))
    pixels = images.astype(np.float64).reshape(-1, SHAPE[2])
    found = network.weights["bn1.running_var"]
    np.testing.assert_allclose(found, pixels.var(0, ddof=1), rtol=1e-5)


def test_training_sees_channels_of_mean_0_and_variance_1() -> None:
    """The gradient of the dense weights is their input times what comes from above."""
    network = Network(
        [BatchNorm(epsilon=1e-12), Flatten(), Dense(2, bias=False)], SHAPE
    )
    zeros = np.zeros((2, 60), np.float32)
    network.set_weights(dict(network.weights) | {"dense1.weight": zeros})
    images = np.random.default_rng(1).normal(5, 3, (37, *SHAPE)).astype(np.float32)
    one, sums = np.zeros(37, int), []
    for picked in range(37):  # logits are equal: every image's gradient is -1/2
        weight = np.zeros(37, np.float32)
        weight[picked] = 1
        _, found = network.loss_and_gradients(images, one, weight, training=True)
        sums.append(found["dense1.weight"][0] / -0.5)
    normal = np.array(sums).reshape(37, SHAPE[2], -1).transpose(1, 0, 2).reshape(2, -1)
    np.testing.assert_allclose(normal.mean(1), 0, atol=1e-6)
    np.testing.assert_allclose(normal.var(1), 1, rtol=1e-5)


def test_predictions_use_the_running_statistics() -> None:
    network = Network([BatchNorm(epsilon=0.5)], SHAPE)
    unsettle(network)
    images = make_images(5)
    w = {name: array.astype(np.float64) for name, array in network.weights.items()}
    scale = w["bn1.weight"] / np.sqrt(w["bn1.running_var"] + 0.5)
    wanted = (images - w["bn1.running_mean"]) * scale + w["bn1.bias"]
    np.testing.assert_allclose(network.activations(images, "bn1"), wanted, atol=2e-6)
    seen = network.input_gradient(images, layer="bn1", unit=(2, 3, 1))
    assert np.count_nonzero(seen) == len(images)
    np.testing.assert_allclose(seen[:, 2, 3, 1], scale[1], rtol=1e-6)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("count", [4, 20, 33])
def test_a_convolution_before_it_does_its_work_in_predictions(
    count: int, groups: int, bias: bool
) -> None:
    """Folded weights answer as convolution and normalisation one after the other do."""
    layers = [Conv2D(4, 3, groups=groups, bias=bias), BatchNorm()]
    network = Network(layers, SHAPE, seed=5)
    unsettle(network)
    images = make_images(count)
    apart = network.activations(images, ["conv1", "bn1"])["bn1"]
    w = {name: array.astype(np.float64) for name, array in network.weights.items()}
    scale = np.abs(w["bn1.weight"]) / np.sqrt(w["bn1.running_var"] + 1e-5)
    # Both sums have 9 products a channel, and end in what is added to them.
    sums = (
        9 * SHAPE[2] / groups * np.abs(images).max() * np.abs(w["conv1.weight"]).max()
    )
    sums += np.abs(w.get("conv1.bias", 0)) + np.abs(w["bn1.running_mean"])
    reach = (sums * scale + np.abs(w["bn1.bias"])).max()
    bound = 2 * 4 * 2.0**-24 * np.sqrt(9 * SHAPE[2] / groups + 3) * reach
    together = network.activations(images, "bn1")
    np.testing.assert_allclose(together, apart, rtol=0, atol=bound)
    assert np.ptp(apart) > 1e4 * bound
    if count > 8:  # fewer images go one by one, layer after layer
        assert together.tobytes() != apart.tobytes()


def test_dropout_before_it_changes_no_bit_of_predictions() -> None:
    with_, without = (
        Network([Conv2D(4, 3), *between, BatchNorm()], SHAPE, seed=5)
        for between in ([Dropout(0.5)], [])
    )
    for network in (with_, without):
        unsettle(network)
    images = make_images(20)
    seen = with_.activations(images, "bn1")
    np.testing.assert_array_equal(seen, without.activations(images, "bn1"))


def test_what_others_read_too_is_not_folded_into() -> None:
    """The sum needs the convolution's own output beside the normalised one."""
    layers = [Conv2D(3, 1), Residual([BatchNorm()]), Flatten(), Dense(2)]
    network = Network(layers, SHAPE)
    unsettle(network)
    images = make_images(20)
    seen = network.activations(images)
    normal = network.activations(images, ["conv1", "bn1"])["bn1"]
    np.testing.assert_array_equal(seen["bn1"], normal)
    logits = network.activations(images, "dense1")
    np.testing.assert_array_equal(logits, seen["dense1"])


def make_images(count: int) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, *SHAPE), np.float32)


# ------------------------------------------------------------------------ the weights


def test_settings_are_written_as_a_user_would() -> None:
    assert repr(BatchNorm()) == "BatchNorm()"
    assert repr(BatchNorm(0.2, epsilon=1e-3)) == "BatchNorm(0.2, epsilon=0.001)"


def test_names_shapes_and_what_counts_as_learned() -> None:
    network = normalizing()
    names = ["weight", "bias", "running_mean", "running_var"]
    assert [n for n in network.weights if n.startswith("bn")] == [
        f"bn{number}.{name}" for number in (1, 2) for name in names
    ]
    learned = {n: a.size for n, a in network.weights.items() if ".running_" not in n}
    assert network.parameters == network.summary().parameters == sum(learned.values())
    assert network.summary().weight_bytes == 4 * (network.parameters + 2 * (2 + 6))
    start = [network.weights[f"bn1.{name}"].tolist() for name in names]
    assert start == [[1, 1], [0, 0], [0, 0], [1, 1]]
    case = make_case(network, count=5)
    _, gradients = network.loss_and_gradients(case.images, case.labels)
    assert list(gradients) == list(learned)


def test_files_copies_and_set_weights_hold_the_statistics(tmp_path: Path) -> None:
    network = train(make_case(normalizing(), count=40))
    images, file = make_images(7), tmp_path / "model.safetensors"
    network.save(file)
    other = normalizing(seed=8)
    other.set_weights(network.weights)
    copies = [load(file), copy.deepcopy(network), pickle.loads(pickle.dumps(network))]
    for one in (*copies, other):
        assert statistics(one) == statistics(network)
        np.testing.assert_array_equal(one.logits(images), network.logits(images))


def test_variances_below_zero_are_refused() -> None:
    network = normalizing()
    weights = dict(network.weights) | {"bn1.running_var": np.array([1.0, -0.1])}
    with pytest.raises(ValueError, match=r"bn1.running_var must hold variances, none"):
        network.set_weights(weights)


def test_weight_decay_leaves_the_statistics_alone() -> None:
    """A rate and a decay that would shrink any weight to a quarter."""
    optimizer = AdamW(0.5, weight_decay=1.5)
    decayed = train(make_case(normalizing(), 30), batch_size=30, optimizer=optimizer)
    plain = train(make_case(normalizing(), 30), batch_size=30)
    assert statistics(decayed) == statistics(plain)


def test_looking_does_not_change_the_statistics() -> None:
    case = make_case(normalizing(), count=19)
    before = statistics(case.network)
    answers = [
        case.network.loss_and_gradients(case.images, case.labels, training=training)[0]
        for training in (True, False, True)
    ]
    assert answers[0] == answers[2] != answers[1]
    assert statistics(case.network) == before


def test_a_loss_that_is_not_finite_keeps_good_statistics() -> None:
    case = make_case(normalizing(), count=40)
    good = statistics(train(case, epochs=2, batch_size=10))
    images = case.images.copy()
    images[-1] = 3e38  # its square is infinite in float32
    with pytest.raises(TrainingError, match="last good weights are kept"):
        case.network.fit(images, case.labels, epochs=2, batch_size=10, schedule="step")
    assert statistics(case.network) == good


# ------------------------------------------------------------- threads and batch sizes


@pytest.mark.parametrize("count", [34, 75])
def test_same_bits_on_any_number_of_threads(count: int) -> None:
    def weights(threads: int) -> bytes:
        case = make_case(normalizing(), count)
        network = train(case, epochs=3, batch_size=33, threads=threads)
        return network.engine.flat.tobytes()

    one = weights(1)
    assert all(weights(threads) == one for threads in (2, 3, 8))


def test_one_image_a_batch_is_an_error_before_training() -> None:
    case = make_case(normalizing(), count=3)
    before = case.network.engine.flat.copy()
    with pytest.raises(UsageError, match=r"bn1 normalises .* give a larger batch_size"):
        train(case, batch_size=1)
    alone = case.images[:1], case.labels[:1]
    with pytest.raises(UsageError, match=r"at least 2 images in each.* more images"):
        case.network.fit(*alone, epochs=1)
    with pytest.raises(UsageError, match=r"give more images, or training=False"):
        case.network.loss_and_gradients(*alone, training=True)
    case.network.loss_and_gradients(*alone)
    np.testing.assert_array_equal(case.network.engine.flat, before)


def test_a_single_image_left_over_is_left_out() -> None:
    """Another one every epoch; the others train as if it had never been there."""
    case = make_case(normalizing(), count=17)
    seen: list[float] = []

    class Watch:
        def on_steps_end(self, progress: object) -> None:
            seen.append(progress.steps)  # type: ignore[attr-defined]

    train(case, batch_size=8, callbacks=[Watch()])
    assert set(seen) == {2}
    plain = Network([Flatten(), Dense(4)], SHAPE)
    seen.clear()
    train(make_case(plain, count=17), batch_size=8, callbacks=[Watch()])
    assert set(seen) == {3}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: BatchNorm(0), ValueError, "momentum must be above 0 and at most 1"),
        (lambda: BatchNorm(1.5), ValueError, "momentum .* not 1.5; it is the share"),
        (lambda: BatchNorm("0.1"), TypeError, "BatchNorm: momentum must be a number"),
        (lambda: BatchNorm(epsilon=0), ValueError, "epsilon must be from 1e-12 to 1"),
    ],
)
def test_settings_that_mean_nothing(make, error, message) -> None:
    with pytest.raises(error, match=message):
        make()


def test_memory_grows_with_the_batch() -> None:
    """Every block of a batch is kept while the others are measured."""
    layers = [Conv2D(8, 3, padding=1), BatchNorm(), ReLU(), Flatten(), Dense(4)]
    plan = Network(layers, (16, 16, 3)).engine.plan
    small, large = (plan.bytes(batch, 2, True) for batch in (64, 512))
    assert large > 7 * small
    assert plan.bytes(512, 2, False) < small


def test_missing_statistics_are_named() -> None:
    network = normalizing()
    weights = {n: a for n, a in network.weights.items() if n != "bn2.running_mean"}
    with pytest.raises(ShapeError, match=r"bn2.running_mean missing"):
        network.set_weights(weights)
