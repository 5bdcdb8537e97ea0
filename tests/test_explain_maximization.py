"""The pictures that units like best: their parts by definition, the whole on digits."""

from typing import Any

import numpy as np
import pytest

import striate as st
from striate import explain
from striate.explain.canvas import Canvas
from striate.explain.leaky import leaking
from striate.explain.transforms import Motion, Movement, Transforms

RNG = np.random.default_rng(6)
EYE = np.eye(2)


# ---------------------------------------------------------------------------- movements


@pytest.mark.parametrize("number", range(5))
def test_the_adjoint_of_a_movement_is_its_adjoint(number: int) -> None:
    motion = Transforms(0.4, 30, 0.3).draw((5, number))
    moved = Movement.of(motion, (9, 7), (0, 1, 8, 7))
    x, y = RNG.normal(size=(2, 4, 9, 7, 3)).astype(np.float32)
    forward, back = moved.apply(x).ravel(), moved.adjoint(y).ravel()
    bound = 2.0**-24 * 8 * np.abs(y.ravel()) @ np.abs(forward)
    assert abs(float(forward @ y.ravel()) - float(x.ravel() @ back)) < 8 * bound


def moved(image: np.ndarray, turned: Any, shift: tuple[float, float]) -> np.ndarray:
    return Movement.of(Motion(np.array(turned), shift), (3, 3), (0, 0, 3, 3)).apply(
        image[None, :, :, None]
    )[0, :, :, 0]


def test_movements_by_hand() -> None:
    image = np.arange(9, dtype=np.float32).reshape(3, 3)
    np.testing.assert_array_equal(moved(image, EYE, (0, 0)), image)
    down = moved(image, EYE, (-1 / 3, 0))
    np.testing.assert_allclose(down, [[0, 0, 0], [0, 1, 2], [3, 4, 5]], atol=1e-6)
    between = moved(image, EYE, (0, 1 / 6)).tolist()
    assert between == [[0.5, 1.5, 1], [3.5, 4.5, 2.5], [6.5, 7.5, 4]]
    quarter = moved(image, [[0.0, -1.0], [1.0, 0.0]], (0, 0))
    np.testing.assert_array_equal(quarter, np.rot90(image, -1))


def test_movements_follow_their_key_and_stay_within_their_limits() -> None:
    limits = Transforms(0.2, 10, 0.1)
    drawn = [limits.draw((1, step)) for step in range(300)]
    shifts = np.array([one.shift for one in drawn])
    assert 0.18 < np.abs(shifts).max() <= 0.2
    scales = np.array([np.sqrt(np.linalg.det(one.turned)) for one in drawn])
    assert 1 / 1.1 <= scales.min() < 0.93
    assert 1.07 < scales.max() <= 1.1
    assert limits.draw((1, 2)).shift == drawn[2].shift != limits.draw((2, 2)).shift
    still = limits.draw((1, 2), strength=0)
    assert still.shift == (0, 0)
    np.testing.assert_array_equal(still.turned, EYE)
    for wrong in ({"shift": -1}, {"rotation": 200}, {"scale": 1}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be from 0 to"):
            Transforms(**wrong)


# ------------------------------------------------------------------------------- canvas


@pytest.mark.parametrize("channels", [1, 3])
def test_the_way_back_from_the_input_to_the_fields_is_the_gradient(
    channels: int,
) -> None:
    known = st.Preprocessing(
        (7, 6), (9, 8, channels), 0, "dark", (0.3,) * channels, (0.2,) * channels
    )
    masks = (RNG.random((2, 7, 6, 1)) < 0.7).astype(np.float32)
    canvas = Canvas(known, masks, smoothness=1.0, sight=(7, 6))
    fields, direction = RNG.normal(size=(2, 2, 7, 6, channels)).astype(np.float32)
    weights = RNG.normal(size=(2, 9, 8, channels)).astype(np.float32)

    def number(step: float) -> float:
        pictures, _ = canvas.paint(fields + np.float32(step) * direction)
        return float((canvas.values(pictures) * weights).sum(dtype=np.float64))

    _, slopes = canvas.paint(fields)
    found = canvas.paint_adjoint(canvas.values_adjoint(weights), slopes)
    step = 1e-2
    difference = (number(step) - number(-step)) / (2 * step)
    assert float((found * direction).sum()) == pytest.approx(difference, rel=2e-3)


def test_pictures_are_the_mean_colour_where_they_are_not_free() -> None:
    known = st.Preprocessing((4, 4), (6, 6, 3), 9, "dark", (0.1, 0.5, 0.7), (1.0,) * 3)
    masks = np.zeros((1, 4, 4, 1), np.float32)
    masks[:, :2] = 1
    fields = 5 * RNG.normal(size=(1, 4, 4, 3)).astype(np.float32)
    canvas = Canvas(known, masks, 1.0, (4, 4))
    pictures, slopes = canvas.paint(fields)
    np.testing.assert_allclose(pictures[0, 2:], np.broadcast_to(known.mean, (2, 4, 3)))
    assert not slopes[0, 2:].any()
    assert (pictures[0, :2].std(axis=(0, 1)) > 0).all()
    values = canvas.values(pictures)
    np.testing.assert_allclose(values[0, 3:5, 1:5], 0, atol=1e-7)
    np.testing.assert_array_equal(known.pixels(values[0, 0]), 9)


# --------------------------------------------------------------------------- on a network


@pytest.fixture(scope="module")
def digits() -> tuple[st.Network, np.ndarray]:
    train, test = st.load_data("digits")
    net = st.lenet5(seed=1)
    net.fit(train.images, train.labels, epochs=8)
    return net, np.concatenate([train.images, test.images])


def test_pictures_of_classes_are_liked_better_than_any_image(
    digits: tuple[st.Network, np.ndarray],
) -> None:
    net, images = digits
    best = explain.maximize(net, threads=2)
    assert best.units == tuple(range(10))
    assert (best.activations > net.logits(images).max(axis=0)).all()
    np.testing.assert_array_equal(net.predict(best.pixels), range(10))
    logits = net.logits(best.pixels)
    np.testing.assert_allclose(best.activations, np.diag(logits), rtol=1e-5)
    assert [one.shape for one in best.crops()] == [(28, 28, 1)] * 10


@pytest.mark.parametrize("layer", ["conv1", "relu1", "conv2", "pool2"])
def test_pictures_of_feature_maps_are_liked_better_than_any_patch(
    layer: str, digits: tuple[st.Network, np.ndarray]
) -> None:
    """Not only in the middle of the map, where they are looked for, but anywhere."""
    net, images = digits
    best = explain.maximize(net, layer=layer)
    maps = net.activations(images, layer)
    liked = maps.max(axis=(0, 1, 2))
    assert best.units == tuple(range(maps.shape[3]))
    assert (best.activations >= liked).all()
    assert (best.activations[liked > 0] > liked[liked > 0]).all()
    row, column = maps.shape[1] // 2, maps.shape[2] // 2
    found = net.activations(best.pixels, layer)[:, row, column]
    np.testing.assert_allclose(best.activations, np.diag(found), rtol=1e-5, atol=1e-6)
    box = st.receptive_field(net, layer).box(row, column)
    assert (best.boxes == box).all()
    top, left, bottom, right = box
    assert {one.shape[:2] for one in best.crops()} == {(bottom - top, right - left)}
    assert net.preprocessing is not None
    mean = round(255 * net.preprocessing.mean[0])
    outside = best.pixels.copy()
    outside[:, top - 2 : bottom - 2, left - 2 : right - 2] = mean
    assert (outside == mean).all()


def test_a_picture_depends_on_its_seed_alone(
    digits: tuple[st.Network, np.ndarray],
) -> None:
    net, _ = digits
    asked: dict[str, Any] = {"layer": "conv2", "steps": 12}
    three = explain.maximize(net, channel=[4, 9, 4], threads=1, **asked)
    alone = explain.maximize(net, channel=9, threads=2, **asked)
    np.testing.assert_array_equal(three.pixels[1:2], alone.pixels)
    np.testing.assert_array_equal(three.pixels[0], three.pixels[2])
    other = explain.maximize(net, channel=9, seed=1, **asked)
    assert not np.array_equal(other.pixels, alone.pixels)


def test_pictures_in_colour_are_reached_too_and_depend_on_nothing_else() -> None:
    images = RNG.integers(0, 256, (60, 9, 8, 3), dtype=np.uint8)
    layers = [st.Conv2D(4, 3), st.BatchNorm(), st.ReLU(), st.Flatten(), st.Dense(3)]
    net = st.Network(layers, (11, 10, 3), seed=3)
    net.fit(images, RNG.integers(0, 3, 60), epochs=2)
    every = explain.maximize(net, threads=1)
    assert every.pixels.shape == (3, 9, 8, 3)
    assert (every.activations > net.logits(images).max(axis=0)).all()
    alone = explain.maximize(net, target=[2], threads=2)
    np.testing.assert_array_equal(alone.pixels[0], every.pixels[2])


def test_units_classes_and_means_are_asked_by_their_names(
    digits: tuple[st.Network, np.ndarray],
) -> None:
    net, images = digits
    for unit, units in (((2, 3, 1), 1), ([(2, 3, 1), (0, 9, 15)], 2)):
        best = explain.maximize(net, layer="conv2", unit=unit, steps=48)
        assert len(best.units) == units
        assert best.units[0] == (2, 3, 1)
        liked = net.activations(images, "conv2")[:, 2, 3, 1].max()
        assert best.activations[0] > liked
        box = st.receptive_field(net, "conv2").box(2, 3)
        assert tuple(best.boxes[0]) == box
    best = explain.maximize(net, layer="relu1", channel=2, of="mean", steps=48)
    means = net.activations(images, "relu1")[..., 2].mean(axis=(1, 2))
    assert best.units == (2,)
    assert best.activations[0] > means.max()
    assert tuple(best.boxes[0]) == (0, 0, 32, 32)
    best = explain.maximize(net, layer="relu3", steps=16)
    assert best.units == tuple(range(120))
    assert explain.maximize(net, layer=-1, unit=3, steps=2).units == (3,)
    assert explain.maximize(net, target=3, steps=2).layer == "dense3"


# ---------------------------------------------------------------------------- bad input


def small(*layers: Any) -> st.Network:
    return st.Network([*layers, st.Flatten(), st.Dense(3)], (6, 6, 1), seed=2)


def test_contradictions_and_what_there_is_not_are_refused() -> None:
    net = small(st.Conv2D(4, 3), st.ReLU())
    for wrong in (
        {"target": 1, "layer": "conv1"},
        {"unit": 3},
        {"channel": 0},
        {"layer": "conv1", "unit": (0, 0, 0), "channel": 0},
    ):
        with pytest.raises(st.UsageError, match="maximize takes classes"):
            explain.maximize(net, **wrong)
    with pytest.raises(st.UsageError, match="the layers are conv1, relu1, flatten1"):
        explain.maximize(net, layer="conv2")
    with pytest.raises(st.UsageError, match="no feature maps but 3 numbers"):
        explain.maximize(net, layer="dense1", channel=0)
    with pytest.raises(st.ShapeError, match=r"no channel 4 in conv1, which has 4"):
        explain.maximize(net, layer="conv1", channel=4)
    with pytest.raises(st.ShapeError, match="no unit"):
        explain.maximize(net, layer="conv1", unit=(4, 0, 0))
    with pytest.raises(st.ShapeError, match="is named by"):
        explain.maximize(net, layer="conv1", unit=[(0, 0, 0), (1, 2)])
    for empty in ({"unit": []}, {"channel": []}):
        with pytest.raises(st.UsageError, match="at least one"):
            explain.maximize(net, layer="conv1", **empty)
    for target in (3, [0, 5, 9]):
        with pytest.raises(st.DataError, match="the classes are 0, 1, 2"):
            explain.maximize(net, target=target)
    with pytest.raises(ValueError, match="of must be 'center' or 'mean'"):
        explain.maximize(net, layer="conv1", of="all")  # type: ignore[arg-type]
    for wrong in ({"smoothness": -1}, {"decay": -0.5}, {"steps": 0}):
        with pytest.raises(ValueError, match="must be"):
            explain.maximize(net, **wrong)
    for wrong in ({"smoothness": 11}, {"decay": 1e9}):
        with pytest.raises(ValueError, match="must be from 0 to 1"):
            explain.maximize(net, **wrong)
    for wrong in ({"transforms": False}, {"limits": (1,)}, {"limits": 3}):
        with pytest.raises(TypeError, match=r"maximize: .* must be .*, not "):
            explain.maximize(net, **wrong)
    net.fit(np.zeros((3, 6, 6), np.uint8), [0, 1, 2], epochs=1)
    with pytest.raises(st.UsageError, match=r"trained on pixels .* leave out limits"):
        explain.maximize(net, limits=(0, 1))


def test_networks_of_float_arrays_have_to_be_told_what_black_and_white_are() -> None:
    net = small(st.Conv2D(4, 3))
    images = RNG.normal(size=(6, 6, 6, 1)).astype(np.float32)
    net.fit(images, [0, 1, 2, 0, 1, 2], epochs=1)
    with pytest.raises(st.UsageError, match=r"give limits=\(black, white\)"):
        explain.maximize(net)
    with pytest.raises(ValueError, match="the lower first"):
        explain.maximize(net, limits=(1, 0))
    best = explain.maximize(net, limits=(-2, 2), steps=40)
    values = best.pixels / np.float32(255) * 4 - 2
    found = np.diag(net.logits(values.astype(np.float32)))
    np.testing.assert_allclose(best.activations, found, atol=1e-4)


def test_silent_units_are_looked_for_and_dead_ones_stay_silent() -> None:
    net = small(st.Conv2D(2, 3), st.ReLU(), st.MaxPool2D(2))
    weights = {name: array.copy() for name, array in net.weights.items()}
    kernel = weights["conv1.weight"][0, 0]
    weights["conv1.bias"][:] = -0.7 * kernel[kernel > 0].sum(), -1e3
    net.set_weights(weights)
    best = explain.maximize(net, layer="pool1")
    assert best.activations[0] > 0
    assert best.activations[1] == 0


def test_a_leaking_network_is_the_same_where_nothing_is_silent() -> None:
    net = st.resnet((16, 16, 1), classes=3, width=4)
    twin = leaking(net)
    shapes = [one.output_shape for one in net.resolved]
    assert [one.output_shape for one in twin.resolved] == shapes
    assert not any(isinstance(one.layer, st.ReLU) for one in twin.resolved)
    images = RNG.integers(0, 256, (3, 16, 16, 1), dtype=np.uint8)
    first = next(one.name for one in net.resolved if isinstance(one.layer, st.ReLU))
    index = [one.name for one in net.resolved].index(first)
    before, after = net.activations(images, index), twin.activations(images, index)
    np.testing.assert_array_equal(np.maximum(after, 0), before)
    assert (after < 0).any()
    net.set_weights({name: 0 * array for name, array in net.weights.items()})
    assert not twin.activations(images, 0).any()  # the weights are shared


def test_maps_of_one_unit_and_networks_without_convolutions() -> None:
    spot = small(st.Conv2D(3, 6), st.ReLU())
    assert explain.maximize(spot, layer="relu1", steps=4).pixels.shape == (3, 6, 6, 1)
    flat = st.Network([st.Flatten(), st.Dense(3)], (1, 1, 1))
    assert explain.maximize(flat, steps=4).pixels.shape == (3, 1, 1, 1)
    padded = st.Network([st.Conv2D(1, 1, padding=3)], (2, 2, 1))
    best = explain.maximize(
        padded, layer=0, unit=(0, 0, 0), steps=2
    )  # sees padding only
    assert best.crops()[0].size == 0


def test_a_map_whose_rim_sees_padding_alone_is_free_where_it_sees_pixels() -> None:
    net = small(st.Conv2D(1, 2, padding=3))
    assert st.receptive_field(net, 0).box(0, 0) == (0, 0, 0, 0)
    best = explain.maximize(net, layer=0, of="mean", steps=8)
    assert best.boxes.tolist() == [[0, 0, 6, 6]]
    assert np.ptp(best.pixels) > 0


@pytest.mark.parametrize("power", [-80, 60, 80])
def test_pictures_depend_on_what_units_prefer_not_on_how_large_they_are(
    power: int,
) -> None:
    """A power of two changes no digit of a gradient, however large or small."""
    net, scaled = (small(st.Conv2D(4, 3), st.Tanh()) for _ in range(2))
    weights = dict(net.weights)
    weights["dense1.weight"] = weights["dense1.weight"] * np.float32(2.0**power)
    scaled.set_weights(weights)
    pictures = [explain.maximize(one, steps=8).pixels for one in (net, scaled)]
    np.testing.assert_array_equal(*pictures)


def test_numbers_beyond_all_bounds_have_no_best_picture() -> None:
    net = small(st.Conv2D(4, 3), st.Dropout(0.5), st.Conv2D(4, 3))
    net.set_weights({name: np.full(w.shape, 1e30) for name, w in net.weights.items()})
    with pytest.raises(st.DataError, match="NaN or infinite for some"):
        explain.maximize(net)
