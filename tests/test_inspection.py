"""Looking inside: activations, features and gradients against hand and differences."""

from functools import partial

import numpy as np
import pytest

import striate as st
from striate import _core, explain
from striate.engine.lowering import lower

RNG = np.random.default_rng(5)


def network(seed=1):
    layers = [st.Conv2D(3, 3), st.ReLU(), st.MaxPool2D(2), st.Flatten(), st.Dense(4)]
    return st.Network(layers, (8, 8, 2), seed=seed)


X = RNG.normal(size=(5, 8, 8, 2)).astype(np.float32)
Y = np.array([0, 1, 2, 3, 1])


def test_activations_of_one_layer_of_some_and_of_all():
    net = network()
    alone = net.activations(X, "relu1")
    assert alone.shape == (5, 6, 6, 3)
    np.testing.assert_array_equal(net.activations(X, 1), alone)
    np.testing.assert_array_equal(net.activations(X, -4), alone)
    some = net.activations(X, ["dense1", "relu1"])
    assert list(some) == ["dense1", "relu1"]
    every = net.activations(X)
    shapes = {name: array.shape[1:] for name, array in every.items()}
    assert shapes == {one.name: one.output_shape for one in net.resolved}
    np.testing.assert_array_equal(every["relu1"], np.maximum(every["conv1"], 0))
    np.testing.assert_array_equal(every["dense1"], net.logits(X))
    assert (every["conv1"] < 0).any()


def test_layers_may_be_an_array_but_not_none_at_all():
    net = network()
    both = net.activations(X, np.array([0, 1]))
    assert list(both) == ["conv1", "relu1"]
    np.testing.assert_array_equal(net.activations(X, np.array(1)), both["relu1"])
    for nothing in ([], (), np.array([], int)):
        with pytest.raises(
            st.UsageError, match="needs a layer at least; leave layer o"
        ):
            net.activations(X, nothing)


def test_activations_by_hand():
    net = st.Network([st.Conv2D(1, 2, stride=2), st.MaxPool2D(2)], (4, 4, 1))
    net.set_weights({"conv1.weight": np.eye(2).reshape(1, 1, 2, 2), "conv1.bias": [0]})
    image = np.array([[1, 5, 1, 7], [4, 6, 0, 8], [3, 2, 2, 3], [0, 1, 1, 4]], float)
    out = net.activations(image[None])
    assert out["conv1"][0, :, :, 0].tolist() == [[7, 9], [4, 6]]
    assert out["pool1"].ravel().tolist() == [9]


def test_flat_features_run_in_channel_row_column_order():
    net = network()
    pooled = net.activations(X, "pool1")
    expected = pooled.transpose(0, 3, 1, 2).reshape(5, -1)
    np.testing.assert_array_equal(net.features(X), expected)
    weight, bias = net.weights["dense1.weight"], net.weights["dense1.bias"]
    np.testing.assert_allclose(expected @ weight.T + bias, net.logits(X), atol=1e-5)


def test_an_image_does_not_depend_on_its_neighbours():
    net = network()
    many = np.concatenate([X, RNG.normal(size=(40, 8, 8, 2)).astype(np.float32)])
    np.testing.assert_array_equal(net.logits(many)[:9], net.logits(many[:9]))
    np.testing.assert_array_equal(net.logits(X)[:1], net.logits(X[:1]))


def test_unknown_layers_are_named_with_the_known_ones():
    net = network()
    for ask in ("conv9", 7):
        with pytest.raises(
            st.UsageError, match="conv1, relu1, pool1, flatten1, dense1"
        ):
            net.activations(X, ask)
    with pytest.raises(TypeError, match="by its name or index"):
        net.activations(X, 1.5)


def test_gradient_of_a_unit_of_the_first_convolution_is_its_kernel():
    net = network()
    gradient = net.input_gradient(X, layer="conv1", unit=(2, 4, 1))
    expected = np.zeros((8, 8, 2))
    expected[2:5, 4:7] = net.weights["conv1.weight"][1].transpose(1, 2, 0)
    assert gradient.shape == X.shape
    np.testing.assert_allclose(gradient, np.broadcast_to(expected, X.shape), atol=1e-7)


def test_gradient_lies_within_the_receptive_field():
    net = network()
    gradient = net.input_gradient(X, layer="pool1", unit=(1, 2, 0))
    top, left, bottom, right = st.receptive_field(net, "pool1").box(1, 2)
    assert np.abs(gradient[:, top:bottom, left:right]).max() > 0
    gradient[:, top:bottom, left:right] = 0
    assert not gradient.any()


def test_gradients_of_logits_and_of_losses_agree():
    net = network()
    logits = [net.input_gradient(X, target=k) for k in range(4)]
    unit = net.input_gradient(X, layer="dense1", unit=2)
    np.testing.assert_allclose(unit, logits[2], atol=1e-7)
    mixed = net.input_gradient(X, target=Y)
    np.testing.assert_allclose(mixed[3], logits[3][3], atol=1e-7)
    error = net.predict_proba(X) - np.eye(4)[Y]
    expected = sum(error[:, k, None, None, None] * logits[k] for k in range(4))
    np.testing.assert_allclose(net.input_gradient(X, labels=Y), expected, atol=1e-6)


def test_targets_may_be_class_names():
    net = network()
    expected = net.input_gradient(X, target=1)
    net.classes = ("ant", "bee", "cat", "dog")
    np.testing.assert_array_equal(net.input_gradient(X, target="bee"), expected)
    with pytest.raises(st.DataError, match="classes are 'ant', 'bee'"):
        net.input_gradient(X, target="cow")


@pytest.mark.parametrize("target", [[10, 20, 30, 40], ["d", "a", "c", "b"]])
def test_targets_are_nothing_to_learn_classes_from(target):
    """As labels they would stand for 0 to 3, by their rising order."""
    net, images = network(), X[:1].repeat(4, axis=0)
    for ask in (net.input_gradient, partial(explain.saliency, net)):
        with pytest.raises(
            st.DataError, match=r"target\[\d\] is .* classes are 0, 1, 2"
        ):
            ask(images, target=target)
        with pytest.raises(st.DataError, match="target cannot be read as one array"):
            ask(images, target=[[1], [1, 2]])


def test_gradients_of_nothing_or_of_two_things_are_refused():
    net = network()
    for wrong in ({}, {"layer": 0}, {"unit": 3}, {"target": 1, "labels": Y}):
        with pytest.raises(st.UsageError, match="exactly one thing"):
            net.input_gradient(X, **wrong)
    for unit in ((6, 0, 0), (-1, 0, 0)):
        with pytest.raises(st.ShapeError, match=r"no unit .* in conv1"):
            net.input_gradient(X, layer="conv1", unit=unit)
    for unit in (3, (1, 2), "abc", (0.5, 0, 0)):
        with pytest.raises(st.ShapeError, match=r"named by \(row, column, channel\)"):
            net.input_gradient(X, layer="conv1", unit=unit)


def test_loss_and_gradients_by_hand():
    net = st.Network([st.Flatten(), st.Dense(2)], (1, 2, 1))
    net.set_weights({"dense1.weight": [[1, -2], [0.5, 3]], "dense1.bias": [0.25, -1]})
    x = np.array([[3.0, 1.0], [-1.0, 2.0]], np.float32)
    odds = np.exp([[1.25, 3.5], [-4.75, 4.5]])
    p = odds / odds.sum(1, keepdims=True)
    for weights in (np.ones(2), np.array([3.0, 1.0])):
        loss, gradients = net.loss_and_gradients(x.reshape(2, 1, 2), [0, 1], weights)
        share = weights / weights.sum()
        assert loss == pytest.approx(-share @ np.log([p[0, 0], p[1, 1]]), rel=1e-6)
        error = (p - np.eye(2)) * share[:, None]
        np.testing.assert_allclose(gradients["dense1.weight"], error.T @ x, rtol=1e-5)
        np.testing.assert_allclose(gradients["dense1.bias"], error.sum(0), rtol=1e-5)


def test_a_loss_beyond_all_numbers_has_no_gradient():
    net = network()
    net.set_weights({name: np.full(w.shape, 1e30) for name, w in net.weights.items()})
    loss, gradients = net.loss_and_gradients(X, Y)
    assert not np.isfinite(loss)
    assert all(np.isnan(gradient).all() for gradient in gradients.values())


def test_label_smoothing_spreads_the_label_over_all_classes():
    net = network()
    logs = np.log(net.predict_proba(X).astype(float))
    aims = 0.7 * np.eye(4)[Y] + 0.3 / 4
    loss, _ = net.loss_and_gradients(X, Y, label_smoothing=0.3)
    assert loss == pytest.approx(-(aims * logs).sum(1).mean(), rel=1e-5)
    with pytest.raises(ValueError, match="label_smoothing must be"):
        net.loss_and_gradients(X, Y, label_smoothing=-0.1)


def test_dropout_is_active_only_in_training_and_follows_its_seed():
    layers = [st.Conv2D(3, 3), st.Dropout(0.5), st.Flatten(), st.Dense(4)]
    net = st.Network(layers, (8, 8, 2))
    without = st.Network([layers[0], *layers[2:]], (8, 8, 2))
    without.set_weights(net.weights)
    assert net.loss_and_gradients(X, Y)[0] == without.loss_and_gradients(X, Y)[0]
    losses = [net.loss_and_gradients(X, Y, training=True, seed=s)[0] for s in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]
    assert losses[0] != net.loss_and_gradients(X, Y)[0]


WHOLE = {
    "lenet": [
        *(st.Conv2D(2, 3), st.ReLU(), st.MaxPool2D(2), st.Conv2D(3, 2), st.Tanh()),
        *(st.Flatten(), st.Dense(5), st.Sigmoid(), st.Dense(4)),
    ],
    "odd": [
        *(st.Conv2D(4, (3, 2), stride=(2, 1), padding="same", groups=2),),
        *(st.LeakyReLU(0.1), st.AvgPool2D(3, stride=2, padding=1)),
        *(st.Conv2D(2, 2, dilation=2, padding=1, bias=False), st.ScaledTanh()),
        *(st.MaxPool2D(2, stride=1, padding=1), st.Flatten(), st.Dense(4, bias=False)),
    ],
    "dropout": [
        *(st.Conv2D(3, 3), st.Dropout(0.4), st.Tanh(), st.Flatten()),
        *(st.Dropout(0.2), st.Dense(4)),
    ],
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_networks_against_finite_differences_in_double(name):
    net = st.Network(WHOLE[name], (8, 8, 2), seed=3)
    weights = np.concatenate([a.ravel() for a in net.weights.values()]).astype(float)
    plan = _core.DoublePlan(lower(net.resolved), weights.size)
    x, labels = X.astype(float), Y.astype(np.int32)
    sample_weight = np.array([1, 2, 0.5, 1, 3], np.float32)
    training = name == "dropout"

    def loss(weights, x=x):
        return plan.gradients(
            weights, x, labels, sample_weight, 0.1, training, 7, 0, 2
        )[0]

    gradient = plan.gradients(
        weights, x, labels, sample_weight, 0.1, training, 7, 0, 2
    )[2]
    step = 1e-6
    differences = np.empty_like(weights)
    for i in range(weights.size):
        moved = weights.copy()
        moved[i] = weights[i] + step
        above = loss(moved)
        moved[i] = weights[i] - step
        differences[i] = (above - loss(moved)) / (2 * step)
    np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=1e-8)

    # The network's own answer is the same in float32.
    value, named = net.loss_and_gradients(
        X, Y, sample_weight, training=training, label_smoothing=0.1, seed=7
    )
    assert value == pytest.approx(loss(weights), rel=1e-5)
    single = np.concatenate([array.ravel() for array in named.values()])
    np.testing.assert_allclose(single, gradient, rtol=1e-4, atol=1e-6)
    if training:
        return
    inputs = net.input_gradient(X, labels=Y)
    places = RNG.integers(0, X[0].size, 20)
    for place in places:
        moved = x[:1].copy()
        moved.flat[place] += step
        above = plan.answers(weights, moved, True, 1)
        moved.flat[place] -= 2 * step
        below = plan.answers(weights, moved, True, 1)
        slope = -(np.log(above) - np.log(below)).ravel()[Y[0]] / (2 * step)
        assert inputs[0].flat[place] == pytest.approx(slope, rel=1e-3, abs=1e-6)
