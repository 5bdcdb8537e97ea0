"""Grad-CAM by hand and by definition, and maps scaled to where their units look."""

import numpy as np
import pytest
from strategies import make_case

import striate as st
from striate import explain


def pooled(*layers, shape=(9, 8, 2), seed=1):
    """A network that ends in global average pooling and three classes."""
    return st.Network([*layers, st.GlobalAvgPool2D(), st.Dense(3)], shape, seed)


def test_by_hand():
    """Two maps, x and -2x, whose units have mean gradients of 3 / 4 and -1 / 4."""
    net = st.Network([st.Conv2D(2, 1), st.Flatten(), st.Dense(1)], (2, 2, 1))
    net.set_weights(
        {
            "conv1.weight": np.array([1, -2]).reshape(2, 1, 1, 1),
            "conv1.bias": [0, 0],
            "dense1.weight": [[0, 0, 0, 3, -1, 0, 0, 0]],
            "dense1.bias": [0],
        }
    )
    image = np.array([[[1, -2], [3, 4]]], np.float32)
    heat = explain.grad_cam(net, image, target=0, layer="conv1", relu=False)
    np.testing.assert_allclose(heat, image * (3 / 4 + 2 / 4), rtol=1e-6)
    cut = explain.grad_cam(net, image, target=0)
    np.testing.assert_allclose(cut, np.maximum(heat, 0))


def test_before_global_average_pooling_it_is_class_activation_mapping():
    """The weights of the class itself (Zhou and others, 2016), by the number of units."""
    net = pooled(st.Conv2D(5, 3), st.ReLU())
    case = make_case(net, 19)
    maps, weight = net.activations(case.images, "relu1"), net.weights["dense1.weight"]
    wanted = np.einsum("nhwc,nc->nhw", maps, weight[case.labels]) / (7 * 6)
    found = explain.grad_cam(net, case.images, target=case.labels, relu=False)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_weights_are_mean_gradients_at_any_layer_with_maps():
    net = pooled(
        st.Conv2D(4, 3, padding=1),
        st.Residual([st.Conv2D(4, 3, padding=1), st.ReLU()]),
        st.Residual([st.Conv2D(6, 1), st.Tanh()], shortcut=[st.Conv2D(6, 1)]),
        st.MaxPool2D(2),
    )
    images = make_case(net, 3).images
    for one in net.resolved[:-2]:
        gradient = net.input_gradient(images, target=2, at=one.name)
        maps = net.activations(images, one.name)
        wanted = (gradient.mean((1, 2), keepdims=True) * maps).sum(-1)
        found = explain.grad_cam(net, images, target=2, layer=one.name, relu=False)
        np.testing.assert_allclose(found, wanted, atol=1e-6)
        assert found.shape == (3, *one.output_shape[:2])


def test_the_last_layer_whose_maps_have_several_units_is_taken():
    images = np.zeros((1, 28, 28), np.uint8)
    assert explain.grad_cam(st.lenet5(), images, target=3).shape == (1, 5, 5)
    net = pooled(st.Conv2D(2, 3), st.ReLU(), st.Conv2D(4, (7, 6)))
    images = make_case(net, 1).images
    wanted = explain.grad_cam(net, images, target=0, layer="relu1")
    np.testing.assert_array_equal(explain.grad_cam(net, images, target=0), wanted)
    # Maps of 1 x 1 can be asked for; they say how much, but not where.
    assert explain.grad_cam(net, images, target=0, layer="conv2").shape == (1, 1, 1)


def test_without_a_target_it_explains_the_answer():
    layers = [st.Conv2D(5, 3), st.ReLU(), st.Flatten(), st.Dense(3)]
    net = st.Network(layers, (9, 8, 2), seed=1)
    images = make_case(net, 30).images
    answers = net.predict(images)
    assert len(set(answers)) > 1
    np.testing.assert_array_equal(
        explain.grad_cam(net, images), explain.grad_cam(net, images, target=answers)
    )


def test_networks_without_convolutions():
    net = st.Network([st.MaxPool2D(2), st.Flatten(), st.Dense(3)], (8, 8, 1))
    images = np.ones((1, 8, 8), np.float32)
    assert explain.grad_cam(net, images, target=0).shape == (1, 4, 4)
    for layers in (
        [st.Flatten(), st.Dense(3)],
        [st.Conv2D(2, 8), st.Flatten(), st.Dense(3)],
    ):
        net = st.Network(layers, (8, 8, 1))
        with pytest.raises(
            st.UsageError, match=r"no layer .* maps of more than one un"
        ):
            explain.grad_cam(net, images, target=0)
    with pytest.raises(st.UsageError, match=r"puts out 3 values .* that have maps are"):
        explain.grad_cam(net, images, target=0, layer="dense1")


def test_unknown_layers_and_classes_and_networks_without_classes():
    net = pooled(st.Conv2D(2, 3))
    images = make_case(net, 1).images
    with pytest.raises(
        st.UsageError, match="There is no layer 'conv2'; the layers are"
    ):
        explain.grad_cam(net, images, target=0, layer="conv2")
    with pytest.raises(st.DataError, match="target"):
        explain.grad_cam(net, images, target=3)
    maps = st.Network([st.Conv2D(2, 3)], (9, 8, 2))
    with pytest.raises(st.ShapeError, match="classes need a network that ends in one"):
        explain.grad_cam(maps, images, target=0)


def test_networks_whose_numbers_are_not_finite():
    net = pooled(st.Conv2D(2, 3), st.ReLU())
    images = make_case(net, 2).images
    net.set_weights({name: np.full(w.shape, 1e30) for name, w in net.weights.items()})
    with pytest.raises(
        st.DataError, match="the heat map of relu1 must be finite to be"
    ):
        explain.grad_cam(net, images, target=0)


def test_an_image_of_one_colour_has_a_heat_map_of_one_value():
    net = pooled(st.Conv2D(4, 3), st.ReLU(), shape=(8, 8, 1))
    heat = explain.grad_cam(net, np.full((1, 8, 8), 200, np.uint8), target=1)
    assert np.isfinite(heat).all()
    np.testing.assert_allclose(heat, heat[0, 0, 0], rtol=1e-6)


# ------------------------------------------------------------------------- scaling


@pytest.mark.parametrize(
    "layers",
    [
        [st.Conv2D(1, 5), st.MaxPool2D(2), st.Conv2D(1, 5), st.MaxPool2D(2)],
        [st.Conv2D(1, 3, padding=1, stride=2), st.Conv2D(1, 3, padding=1, stride=2)],
        [st.Conv2D(1, (3, 2), stride=(3, 1), padding="same"), st.AvgPool2D((1, 4))],
        [st.Conv2D(1, 3, dilation=3)],
        [st.Residual([st.Conv2D(1, 3, padding=1)]), st.MaxPool2D(3)],
    ],
    ids=repr,
)
def test_a_units_value_stands_in_the_middle_of_what_it_sees(layers):
    net = st.Network(layers, (26, 24, 1))
    field = st.receptive_field(net, -1)
    rows, columns = field.units
    for unit in ((1, 1), (rows - 2, columns // 2)):
        one = np.zeros((1, rows, columns), np.float32)
        one[0, *unit] = 1
        scaled = explain.scale_to_input(net, one)
        assert scaled.shape == (1, 26, 24)
        assert scaled.min() == 0
        top, left, bottom, right = field.box(*unit, clip=False)
        places = np.argwhere(scaled[0] == scaled.max())
        wanted = (top + bottom - 1) / 2, (left + right - 1) / 2
        np.testing.assert_allclose(places.mean(0), wanted)


def test_what_is_linear_between_the_centres_stays_so_and_ends_with_them():
    net = st.Network([st.Conv2D(2, 5), st.AvgPool2D(2)], (16, 16, 1))
    centres = 2.5 + 2 * np.arange(6)  # 5 pixels, then 2 units of them, 2 apart
    maps = np.broadcast_to(centres[:, None, None], (3, 6, 6, 2))
    scaled = explain.scale_to_input(net, maps, "pool1")
    assert scaled.shape == (3, 16, 16, 2)
    wanted = np.arange(16).clip(2.5, 12.5)[:, None, None]
    np.testing.assert_allclose(scaled, np.broadcast_to(wanted, scaled.shape), rtol=1e-6)


def test_maps_of_one_unit_cover_the_image():
    net = pooled(st.Conv2D(4, (9, 8)))
    scaled = explain.scale_to_input(net, [[[7]]], "conv1")
    np.testing.assert_array_equal(scaled, np.full((1, 9, 8), 7))


def test_maps_of_another_layer_are_refused():
    net = st.lenet5()
    with pytest.raises(
        st.ShapeError, match=r"maps of pool2 are N,5,5 .* \(1, 10, 10\)"
    ):
        explain.scale_to_input(net, np.zeros((1, 10, 10)))
    with pytest.raises(st.ShapeError, match=r"maps of relu2 are N,10,10 .* \(10, 10\)"):
        explain.scale_to_input(net, np.zeros((10, 10)), "relu2")
    with pytest.raises(st.DataError, match="maps cannot be read as one array"):
        explain.scale_to_input(net, [[1], [1, 2]], "relu2")
    with pytest.raises(
        st.UsageError, match="dense1 puts out 120 values that have no pl"
    ):
        explain.scale_to_input(net, np.zeros((1, 1, 1)), "dense1")
