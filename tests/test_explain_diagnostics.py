"""Diagnoses: networks made ill on purpose, and healthy ones."""

import numpy as np
import pytest

import striate as st
from striate import explain
from striate.explain.diagnostics import SAMPLE
from striate.explain.statistics import MapStatistics

RNG = np.random.default_rng(8)
IMAGES = RNG.normal(size=(60, 8, 8)).astype(np.float32)


def network(activation: st.resolve.Layer, maps: int = 4) -> st.Network:
    layers = [st.Conv2D(maps, 3), activation, st.MaxPool2D(2), st.Flatten()]
    layers += [st.Dense(6), activation, st.Dense(3)]
    net = st.Network(layers, (8, 8, 1), seed=2)
    kernels = np.random.default_rng(maps).normal(size=(maps, 1, 3, 3))
    changed(net, "conv1.weight", ..., kernels)
    middle = np.median(net.activations(IMAGES, "dense1"), axis=0)
    return changed(net, "dense1.bias", ..., -middle)  # no unit is dead by chance


def changed(net: st.Network, name: str, place: object, value: object) -> st.Network:
    weights = {key: array.copy() for key, array in net.weights.items()}
    weights[name][place] = value
    net.set_weights(weights)
    return net


def found(net: st.Network, images: np.ndarray = IMAGES, **more) -> list[tuple]:
    findings = explain.diagnose(net, images, **more).findings
    return [(one.kind, one.layer, one.maps) for one in findings]


def test_a_healthy_network_is_said_to_be_so() -> None:
    train, test = st.load_data("digits")
    layers = [st.Conv2D(6, 5), st.ReLU(), st.MaxPool2D(2), st.Flatten(), st.Dense(10)]
    net = st.Network(layers, (28, 28, 1))
    net.fit(train.images, train.labels, epochs=5)
    diagnosis = explain.diagnose(net, test.images, test.labels)
    assert diagnosis.healthy
    assert str(diagnosis) == (
        "relu1, dense1 over 359 images: nothing is wrong. Every map changes with the "
        "image, no two do the same, none is saturated, no two classes share their "
        "features."
    )


def test_dead_maps_and_dead_units() -> None:
    net = network(st.ReLU())
    changed(net, "conv1.bias", 2, -99)
    changed(net, "dense1.bias", 5, -99)
    assert found(net) == [("dead", "relu1", (2,)), ("dead", "relu2", (5,))]
    assert "map 2 of relu1 is dead: it is never above 0" in str(
        explain.diagnose(net, IMAGES)
    )


def test_below_zero_a_leaky_relu_is_not_dead_but_linear() -> None:
    leaky = changed(network(st.LeakyReLU()), "conv1.bias", 2, -99)
    assert leaky.activations(IMAGES, "leakyrelu1")[..., 2].max() < 0
    assert found(leaky) == []
    assert found(changed(leaky, "conv1.weight", 2, 0)) == [
        ("constant", "leakyrelu1", (2,))
    ]


def test_constant_maps() -> None:
    net = changed(network(st.Tanh()), "conv1.weight", 1, 0)
    changed(net, "conv1.bias", 1, 0.5)
    (one,) = explain.diagnose(net, IMAGES).findings
    assert (one.kind, one.layer, one.maps) == ("constant", "tanh1", (1,))
    assert one.number == pytest.approx(np.tanh(0.5))
    assert one.sentence == "map 1 of tanh1 is constant: 0.462 for every image."


def test_duplicates_by_what_they_put_out_and_by_their_weights() -> None:
    net = network(st.ReLU())
    kernel, bias = net.weights["conv1.weight"][0], net.weights["conv1.bias"][0]
    changed(net, "conv1.weight", 3, 2 * kernel)
    changed(net, "conv1.bias", 3, 2 * bias)
    (one,) = explain.diagnose(net, IMAGES).findings
    assert (one.kind, one.layer, one.maps) == ("duplicate", "relu1", (0, 3))
    assert one.number == pytest.approx(1)
    assert one.sentence == (
        "maps 0 and 3 of relu1 do the same: what they put out correlates by 1.00, their "
        "weights have a cosine of 1.00."
    )
    # The same kernel that fires far less often puts out something else.
    values = net.activations(IMAGES, "conv1")[..., 3]
    changed(net, "conv1.bias", 3, -np.quantile(values, 0.98) + 2 * bias)
    (one,) = explain.diagnose(net, IMAGES).findings
    assert one.number == pytest.approx(1)
    assert "are alike" in one.sentence


def test_opposites_repeat_each_other_but_for_two_logits() -> None:
    net = network(st.Tanh())
    for name in ("conv1.weight", "conv1.bias"):
        changed(net, name, 3, -net.weights[name][1])
    (one,) = explain.diagnose(net, IMAGES).findings
    assert one.maps == (1, 3)
    assert one.number == pytest.approx(-1)
    assert "do the opposite" in one.sentence
    net = st.Network([st.Flatten(), st.Dense(2)], (8, 8, 1))
    changed(net, "dense1.weight", 1, -net.weights["dense1.weight"][0])
    assert explain.diagnose(net, IMAGES).healthy


@pytest.mark.parametrize("activation", [st.Tanh(), st.ScaledTanh(), st.Sigmoid()])
def test_saturated_units(activation: st.resolve.Layer) -> None:
    net = network(activation)
    for name in ("dense1.weight", "dense1.bias"):
        changed(net, name, 4, 1e4 * net.weights[name][4])
    (one,) = explain.diagnose(net, IMAGES).findings
    assert (one.kind, one.maps) == ("saturated", (4,))
    values = net.activations(IMAGES, one.layer)[:, 4].astype(float)
    if isinstance(activation, st.Sigmoid):
        slopes = values * (1 - values) * 4
    else:
        slopes = 1 - (values / np.abs(values).max()) ** 2
    assert one.number == pytest.approx((slopes < 0.1).mean())


def test_numbers_that_are_none_are_named() -> None:
    net = network(st.ReLU())
    changed(net, "conv1.weight", 1, 3e38)
    kinds = {finding[:2] for finding in found(net)}
    assert ("not finite", "relu1") in kinds
    assert ("not finite", "dense2") in kinds
    labels = np.arange(60) % 3
    text = str(explain.diagnose(net, IMAGES, labels))
    assert "map 1 of relu1 is not a finite number everywhere" in text


def test_classes_with_infinite_features_are_left_out_of_the_pairs() -> None:
    net = network(st.ReLU())
    changed(net, "dense1.weight", 0, 3e38)
    diagnosis = explain.diagnose(net, IMAGES, np.arange(60) % 3)
    assert ("not finite", "relu2") in {one[:2] for one in found(net)}
    assert diagnosis.pairs == ()


def test_classes_that_share_their_features() -> None:
    """Two are dark on the right, one on the left; units see one side each."""
    layers = [st.Flatten(), st.Dense(2), st.ReLU(), st.Dense(3)]
    net = st.Network(layers, (8, 8, 1))
    sides = np.tile(np.arange(8) < 4, (8, 1)).ravel()
    changed(net, "dense1.weight", ..., [sides, ~sides])
    net.classes = ("bay", "hill", "cove")
    labels = np.arange(30) % 3
    shades = np.where(np.isin(labels, [0, 2])[:, None], sides, ~sides) * 200
    images = (shades + RNG.integers(0, 50, (30, 64))).astype(np.uint8)
    images = images.reshape(30, 8, 8)
    names = [net.classes[one] for one in labels]
    diagnosis = explain.diagnose(net, images, names)
    features = net.activations(images, "relu1")
    means = np.stack([features[labels == one].mean(axis=0) for one in range(3)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    answers = net.predict(images)
    assert len(diagnosis.pairs) == 3
    for pair in diagnosis.pairs:
        one, other = pair.classes
        assert pair.cosine == pytest.approx(means[one] @ means[other], rel=1e-5)
        wrong = [
            int(((labels == a) & (answers == net.classes[b])).sum())
            for a, b in ((one, other), (other, one))
        ]
        assert list(pair.confusions) == wrong
    assert diagnosis.pairs[0].names == ("bay", "cove")
    (shared,) = [one for one in diagnosis.findings if one.kind == "shared"]
    assert shared.maps == (0, 2)
    assert "classes bay and cove share their features: their means at relu1" in (
        shared.sentence
    )


def test_batches_do_not_matter() -> None:
    net = network(st.ReLU(), maps=9)
    changed(net, "conv1.bias", 2, -99)
    labels = np.arange(60) % 3
    whole = explain.diagnose(net, IMAGES, labels)
    for batch_size in (1, 7, 16):
        some = explain.diagnose(net, IMAGES, labels, batch_size=batch_size)
        assert [one.sentence for one in some.findings] == [
            one.sentence for one in whole.findings
        ]


@pytest.mark.parametrize("batch", [3, 50])
def test_correlations_are_those_of_all_values_or_of_an_even_sample(batch: int) -> None:
    maps = (RNG.normal(size=(50, 6, 7, 5)) + 1000).astype(np.float32)
    maps[..., 1] += 3 * maps[..., 0]
    maps[..., 4] = 7
    for sample in (10**6, 300):
        found = MapStatistics(maps.shape[1:], len(maps), sample)
        for start in range(0, 50, batch):
            found.add(maps[start : start + batch], -np.inf, np.inf, 1)
        chosen = maps.reshape(-1, 5)[:: found.step].astype(float)
        assert found.sampled == len(chosen) <= sample
        assert len({place % 42 for place in range(0, 2100, found.step)}) > 35
        expected = np.corrcoef(chosen[:, :4].T)
        np.testing.assert_allclose(found.correlation[:4, :4], expected, atol=1e-9)
        assert not found.correlation[4].any()
        np.testing.assert_array_equal(found.lowest, maps.min(axis=(0, 1, 2)))
        np.testing.assert_array_equal(found.highest, maps.max(axis=(0, 1, 2)))
    assert SAMPLE >= 10**5


def test_of_many_findings_the_first_are_told() -> None:
    net = network(st.ReLU(), maps=12)
    changed(net, "conv1.bias", ..., -99)
    told = str(explain.diagnose(net, IMAGES)).splitlines()
    dead = [line for line in told if "relu1" in line and "dead" in line]
    assert len(dead) == 4
    assert "- and so on: 12 dead in relu1 in all." in told


def test_images_that_never_change_are_refused() -> None:
    net = network(st.ReLU())
    with pytest.raises(st.DataError, match="but there is only one"):
        explain.diagnose(net, IMAGES[:1])
    with pytest.raises(st.DataError, match="but all 20 are the same"):
        explain.diagnose(net, np.full((20, 8, 8), 7, np.uint8))


def test_networks_of_every_kind() -> None:
    with pytest.raises(st.UsageError, match="this network has none of these"):
        explain.diagnose(st.Network([st.MaxPool2D(2)], (8, 8, 1)), IMAGES)
    without = st.Network([st.Conv2D(3, 3), st.GlobalAvgPool2D()], (8, 8, 1))
    diagnosis = explain.diagnose(without, IMAGES, np.arange(60) % 3)
    assert diagnosis.layers == ("conv1",)
    assert diagnosis.pairs == ()
    residual = st.resnet((16, 16, 1), classes=4)
    images = RNG.integers(0, 256, (20, 16, 16), np.uint8)
    assert "add1" not in explain.diagnose(residual, images).layers
    with pytest.raises(st.ShapeError, match="labels must be one integer or string"):
        explain.diagnose(network(st.ReLU()), IMAGES, [0, 1])
