"""Gradients at any layer, and by other rules for ReLU: by hand, and by definition."""

import itertools

import numpy as np
import pytest
import reference_numpy as reference
from hypothesis import given, settings
from hypothesis import strategies as hyp
from strategies import cases, make_case

import striate as st
from striate import _core
from striate.engine.lowering import lower

ISAS = _core.isas()
RULES = ("gradient", "guided", "deconvolution")


def residual():
    """A network whose second block has a convolution in each branch."""
    layers = [
        *(st.Conv2D(4, 3, padding=1), st.ReLU()),
        st.Residual([st.Conv2D(4, 3, padding=1), st.BatchNorm(), st.ReLU()]),
        st.Residual(
            [st.Conv2D(6, 3, stride=2, padding=1), st.ReLU(), st.Conv2D(6, 1)],
            shortcut=[st.Conv2D(6, 1, stride=2), st.LeakyReLU(0.1)],
        ),
        *(st.ReLU(), st.MaxPool2D(2), st.Flatten(), st.Dense(8), st.Tanh()),
        *(st.Dropout(0.3), st.Dense(4)),
    ]
    return st.Network(layers, (9, 8, 2), seed=3)


# --------------------------------------------------------------------- at any layer


def test_the_gradient_at_a_layer_is_that_of_what_comes_after_it():
    layers = [st.Conv2D(3, 3), st.ReLU(), st.MaxPool2D(2), st.Conv2D(5, 2), st.Tanh()]
    layers += [st.Flatten(), st.Dense(6), st.ReLU(), st.Dense(4)]
    net = st.Network(layers, (10, 9, 2), seed=2)
    images = make_case(net, 18).images
    for cut in range(1, 5):
        one, rest = net.resolved[cut - 1], layers[cut:]
        after = st.Network(rest, one.output_shape)
        values = list(net.weights.values())[-len(after.weights) :]
        after.set_weights(dict(zip(after.weights, values, strict=True)))
        inside = net.activations(images, one.name)
        for rule in RULES:
            np.testing.assert_array_equal(
                net.input_gradient(images, target=1, at=one.name, rule=rule),
                after.input_gradient(inside, target=1, rule=rule),
            )


def test_gradients_at_layers_agree_with_finite_differences_of_their_biases():
    """A bias is added to its whole map, so its slope is the sum of the map's."""
    net = residual()
    case = make_case(net, 5)
    plan = _core.DoublePlan(lower(net.resolved), net.engine.flat.size)
    flat, labels = net.engine.flat.astype(float), case.labels.astype(np.int32)
    images, last, step = case.images.astype(float), len(net.resolved) - 1, 1e-6

    def losses(weights):
        logits = plan.answers(weights, images, True, 1)
        return -np.log(logits[np.arange(5), labels])

    positions = st.engine.compute.named_views(net.resolved, np.arange(flat.size))
    for one in net.resolved:
        places = positions.get(f"{one.name}.bias")
        if places is None:
            continue
        at = plan.input_gradient(flat, images, last, None, labels, 0.0, 1, at=one.index)
        slopes = at.sum((1, 2))
        for channel, place in enumerate(places):
            above, below = flat.copy(), flat.copy()
            above[int(place)] += step
            below[int(place)] -= step
            wanted = (losses(above) - losses(below)) / (2 * step)
            np.testing.assert_allclose(slopes[:, channel], wanted, rtol=1e-5, atol=1e-8)


def test_the_gradient_at_the_layer_itself_is_the_seed():
    net = residual()
    images = make_case(net, 3).images
    at = net.input_gradient(images, layer="conv2", unit=(4, 5, 1), at="conv2")
    wanted = np.zeros((3, 9, 8, 4))
    wanted[:, 4, 5, 1] = 1
    np.testing.assert_array_equal(at, wanted)
    labels = np.array([3, 0, 1])
    found = net.input_gradient(images, labels=labels, at=-1)
    np.testing.assert_allclose(
        found, net.predict_proba(images) - np.eye(4)[labels], atol=1e-6
    )


def test_flat_layers_have_flat_gradients():
    net = residual()
    images = make_case(net, 17).images
    found = net.input_gradient(images, target=2, at="tanh1")
    np.testing.assert_array_equal(
        found, np.broadcast_to(net.weights["dense2.weight"][2], (17, 8))
    )
    assert net.input_gradient(images, target=2, at="flatten1").shape == (17, 24)


@settings(max_examples=60, deadline=None)
@given(cases(), hyp.data())
def test_gradients_at_every_layer_stay_within_the_carried_bound(case, data):
    """Of each image's own loss, by any rule, on any instruction set."""
    net, flat = case.network, case.network.engine.flat
    rule = data.draw(hyp.sampled_from(RULES))
    wanted = reference.run(
        net.resolved, net.weights, case.images, **case.targets, rule=rule
    )
    labels, last = case.labels.astype(np.int32), len(net.resolved) - 1
    for isa in ISAS:
        plan = _core.Plan(lower(net.resolved), flat.size, isa)

        def gradient(at, plan=plan):
            return plan.input_gradient(
                *(flat, case.images, last, None, labels, case.label_smoothing, 2),
                *(at, rule),
            )

        what = f"{isa}, {rule}"
        reference.assert_within(what, gradient(-1), wanted.input_gradient)
        for one in net.resolved:
            found = gradient(one.index).reshape(len(labels), *one.output_shape)
            bound = wanted.layer_gradients[one.name]
            reference.assert_within(f"{what}, at {one.name}", found, bound)


@pytest.mark.parametrize("rule", RULES)
def test_gradients_at_layers_have_the_same_bits_on_any_number_of_threads(rule):
    net = residual()
    images = make_case(net, 37).images
    for at in (None, "conv2", "conv3", "conv5", "add2", "dense1"):
        one, *others = (
            net.input_gradient(images, target=1, at=at, rule=rule, threads=threads)
            for threads in (1, 2, 5)
        )
        for other in others:
            np.testing.assert_array_equal(one, other)


# ------------------------------------------------------------------- rules for ReLU


def tiny(layer):
    """What one rectifier passes back of -2 and 3, of an input of -1, 0, 1 and each."""
    net = st.Network([layer, st.Flatten(), st.Dense(1)], (2, 3, 1))
    net.set_weights({"dense1.weight": [[-2, -2, -2, 3, 3, 3]], "dense1.bias": [0]})
    image = np.array([[-1, 0, 1], [-1, 0, 1]], np.float32)

    def back(rule):
        return net.input_gradient(image[None], target=0, rule=rule)[0, :, :, 0].tolist()

    return back


def test_what_a_relu_passes_back_by_hand():
    back = tiny(st.ReLU())
    assert back("gradient") == [[0, 0, -2], [0, 0, 3]]
    assert back("deconvolution") == [[0, 0, 0], [3, 3, 3]]
    assert back("guided") == [[0, 0, 0], [0, 0, 3]]


def test_a_leaky_relu_passes_back_its_slopes_share():
    back = tiny(st.LeakyReLU(0.5))
    assert back("gradient") == [[-1, -1, -2], [1.5, 1.5, 3]]
    assert back("deconvolution") == [[-1, -1, -1], [3, 3, 3]]
    assert back("guided") == [[-0.5, -0.5, -1], [1.5, 1.5, 3]]


def test_relu_is_the_leaky_relu_of_slope_zero_under_every_rule():
    leaky, plain = tiny(st.LeakyReLU(0)), tiny(st.ReLU())
    for rule in RULES:
        assert leaky(rule) == plain(rule)


def test_by_hand_through_convolution_and_pooling():
    """Two maps of one number each; the maximum is recorded, biases do not come back."""
    net = st.Network(
        [st.Conv2D(2, 1), st.ReLU(), st.MaxPool2D(2), st.Flatten(), st.Dense(1)],
        (2, 2, 1),
    )
    net.set_weights(
        {
            "conv1.weight": np.array([2, -1]).reshape(2, 1, 1, 1),
            "conv1.bias": [1, -9],  # 3 5 7 9, and nothing that is positive
            "dense1.weight": [[1, 4]],
            "dense1.bias": [100],
        }
    )
    image = np.array([[1, 2], [3, 4]], np.float32)[None]
    found = {
        rule: net.input_gradient(image, target=0, rule=rule)[0, :, :, 0].tolist()
        for rule in RULES
    }
    assert found["gradient"] == found["guided"] == [[0, 0], [0, 2]]
    # The second map is 0 all over: its maximum is the first, and 4 * -1 comes back.
    assert found["deconvolution"] == [[-4, 0], [0, 2]]


def test_without_rectifiers_all_rules_are_the_gradient():
    net = st.lenet5("tanh", seed=4)
    images = make_case(net, 18).images
    wanted = net.input_gradient(images, target=1)
    assert wanted.any()
    for rule in RULES[1:]:
        np.testing.assert_array_equal(
            net.input_gradient(images, target=1, rule=rule), wanted
        )


def test_where_no_gradient_is_negative_guided_is_the_gradient():
    net = st.lenet5(seed=4)
    images = make_case(net, 18).images
    positive = {
        name: abs(w) if name.endswith("weight") else w
        for name, w in net.weights.items()
    }
    net.set_weights(positive)
    wanted = net.input_gradient(images, target=1)
    np.testing.assert_array_equal(
        net.input_gradient(images, target=1, rule="guided"), wanted
    )
    # Where no input is negative either, so is deconvolution.
    bright = abs(images)
    net.set_weights(positive | {n: abs(w) for n, w in positive.items()})
    np.testing.assert_array_equal(
        net.input_gradient(bright, target=1, rule="deconvolution"),
        net.input_gradient(bright, target=1),
    )


def test_rules_leave_training_and_other_gradients_alone():
    net = residual()
    case = make_case(net, 20)
    before = net.loss_and_gradients(case.images, case.labels)
    wanted = net.input_gradient(case.images, target=0)
    net.input_gradient(case.images, target=0, rule="deconvolution")
    after = net.loss_and_gradients(case.images, case.labels)
    assert before[0] == after[0]
    for name, gradient in before[1].items():
        np.testing.assert_array_equal(after[1][name], gradient)
    np.testing.assert_array_equal(net.input_gradient(case.images, target=0), wanted)


# ------------------------------------------------------------------ units by image


def test_every_image_may_have_a_unit_of_its_own():
    net = residual()
    images = make_case(net, 3).images
    units = np.array([(0, 1, 2), (8, 7, 0), (3, 3, 3)])
    found = net.input_gradient(images, layer="conv2", unit=units)
    for image, unit, gradient in zip(images, units, found, strict=True):
        alone = net.input_gradient(image[None], layer="conv2", unit=tuple(unit))
        np.testing.assert_array_equal(gradient, alone[0])
    numbers = net.input_gradient(images, layer="dense1", unit=[5, 0, 7])
    np.testing.assert_array_equal(
        numbers, net.input_gradient(images, layer="dense1", unit=[[5], [0], [7]])
    )
    np.testing.assert_array_equal(
        numbers[2:], net.input_gradient(images[2:], layer="dense1", unit=7)
    )


# ----------------------------------------------------------------------- bad input


def test_layers_that_a_number_does_not_depend_on_are_refused():
    net = residual()
    images = make_case(net, 2).images
    names = "conv1, relu1, conv2, bn1, relu2, add1, conv3, relu3, conv4"
    for at in ("conv5", "relu4", "dense1"):
        with pytest.raises(st.UsageError, match=f"no gradient at {at}, .* of {names}"):
            net.input_gradient(images, layer="conv4", unit=(0, 0, 0), at=at)
    with pytest.raises(st.UsageError, match="There is no layer 'conv9'; the layers ar"):
        net.input_gradient(images, target=0, at="conv9")
    with pytest.raises(ValueError, match="rule must be one of gradient, guided, deco"):
        net.input_gradient(images, target=0, rule="relu")  # type: ignore[arg-type]


def test_the_core_refuses_to_go_where_no_gradient_goes():
    net = residual()
    plan, flat = net.engine.plan, net.engine.flat
    index = {one.name: one.index for one in net.resolved}
    images = make_case(net, 2).images
    seeds = np.ones((2, 5, 4, 6), np.float32)
    for layer, at in itertools.product(["conv4"], ["conv5", "add2"]):
        with pytest.raises(ValueError, match="no gradient reaches"):
            plan.input_gradient(
                flat, images, index[layer], seeds, None, 0.0, 1, index[at]
            )


def test_units_that_do_not_fit_the_images_are_refused():
    net = residual()
    images = make_case(net, 3).images
    for layer, unit in {
        "conv2": [(0, 0, 0), (1, 1, 1)],
        "dense1": [1, 2],
        "conv3": [(0, 0, 0), (1, 1), (2, 2, 2)],
    }.items():
        with pytest.raises(st.ShapeError, match="one for each of the 3, not"):
            net.input_gradient(images, layer=layer, unit=unit)
    units = [(0, 0, 0), (9, 0, 0), (1, 1, 1)]
    with pytest.raises(st.ShapeError, match=r"no unit \(9, 0, 0\) in conv2"):
        net.input_gradient(images, layer="conv2", unit=units)
    with pytest.raises(st.ShapeError, match="no unit 8 in dense1"):
        net.input_gradient(images, layer="dense1", unit=[1, 8, 2])
