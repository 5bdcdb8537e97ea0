"""Which pixels decide: against networks whose answers are known, and by definition."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import striate as st
from striate import explain
from striate.engine.randomness import normal
from striate.explain import question

RNG = np.random.default_rng(3)
X = RNG.normal(size=(5, 8, 8, 2)).astype(np.float32)
# Of float32, for means of some ten products.
CLOSE: dict[str, Any] = {"rtol": 64 * 2.0**-24, "atol": 1e-6}


def network(seed: int = 1) -> st.Network:
    layers = [st.Conv2D(3, 3), st.ReLU(), st.MaxPool2D(2), st.Flatten(), st.Dense(4)]
    return st.Network(layers, (8, 8, 2), seed=seed)


def linear(bias: bool = False) -> st.Network:
    layers = [
        *(st.Conv2D(3, 3, bias=bias), st.AvgPool2D(2), st.Flatten()),
        st.Dense(4, bias=bias),
    ]
    return st.Network(layers, (8, 8, 2), seed=2)


METHODS: dict[str, Callable[..., Any]] = {
    "saliency": explain.saliency,
    "gradient_times_input": explain.gradient_times_input,
    "smooth_gradient": lambda *given, **asked: explain.smooth_gradient(
        *given, samples=7, **asked
    ),
    "integrated_gradients": lambda *given, **asked: (
        explain.integrated_gradients(*given, steps=9, **asked).attributions
    ),
}


# ------------------------------------------------------- networks that are known exactly


def test_of_a_linear_network_without_bias_all_methods_are_known() -> None:
    net = linear()
    # What one class is made of: its answers to images of one pixel each.
    pixels = np.eye(128, dtype=np.float32).reshape(128, 8, 8, 2)
    share = net.logits(pixels)[:, 2].reshape(8, 8, 2)
    for found in (
        explain.saliency(net, X, target=2),
        explain.smooth_gradient(net, X, target=2, samples=5),
    ):
        np.testing.assert_allclose(found, np.broadcast_to(share, X.shape), **CLOSE)
    times = explain.gradient_times_input(net, X, target=2)
    np.testing.assert_allclose(times, share * X, **CLOSE)
    integrated = explain.integrated_gradients(
        net, X, target=2, baseline=np.zeros_like(X[:1]), steps=3
    )
    np.testing.assert_allclose(integrated.attributions, times, **CLOSE)
    sums = times.sum(axis=(1, 2, 3))
    np.testing.assert_allclose(sums, net.logits(X)[:, 2], **CLOSE)


def test_completeness_of_a_linear_network_holds_for_any_baseline_and_step() -> None:
    net = linear(bias=True)
    base = RNG.normal(size=X.shape).astype(np.float32)
    found = explain.integrated_gradients(net, X, target=1, baseline=base, steps=1)
    np.testing.assert_allclose(found.residual, 0, atol=1e-5)
    np.testing.assert_array_equal(found.outputs, net.logits(X)[:, 1])
    np.testing.assert_array_equal(found.baseline_outputs, net.logits(base)[:, 1])


@pytest.mark.parametrize("steps", [8, 64])
@pytest.mark.parametrize("seed", range(4))
def test_completeness_holds_as_nearly_as_jumps_of_the_gradient_allow(
    seed: int, steps: int
) -> None:
    """Koksma's inequality: a mean of n midpoints misses by at most variation / 2 n."""
    net = network(seed)
    base = np.zeros_like(X[:1])
    found = explain.integrated_gradients(net, X, target=3, baseline=base, steps=steps)
    fine = 4096
    for image, residual in zip(X, found.residual, strict=True):
        places = (np.arange(fine, dtype=np.float32) + 0.5) / fine
        line = places[:, None, None, None] * image
        slopes = (net.input_gradient(line, target=3) * image).sum(axis=(1, 2, 3))
        variation = np.abs(np.diff(slopes)).sum()
        assert abs(residual) <= variation / (2 * steps) + 1e-5
        assert variation > 0.01  # else this would say nothing


def test_smooth_networks_are_complete_to_rounding() -> None:
    net = st.Network([st.Conv2D(4, 3), st.Tanh(), st.Flatten(), st.Dense(3)], (8, 8, 2))
    found = explain.integrated_gradients(net, X, steps=512)
    np.testing.assert_allclose(found.residual, 0, atol=1e-4)


def test_the_gradient_is_what_differences_say() -> None:
    net = st.Network([st.Conv2D(4, 3), st.Tanh(), st.Flatten(), st.Dense(3)], (8, 8, 2))
    direction = RNG.normal(size=X.shape).astype(np.float32)
    step = 1e-2
    above, below = (net.logits(X + sign * step * direction) for sign in (1, -1))
    classes = net.predict(X)
    rows = np.arange(len(X))
    slope = ((above - below) / (2 * step))[rows, classes]
    found = (explain.saliency(net, X) * direction).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(found, slope, rtol=2e-3, atol=2e-3)  # step**2 and 2**-24


# ------------------------------------------------------------------------ by definition


def test_by_default_the_class_that_is_answered_is_explained() -> None:
    net = network()
    answers = net.predict(X)
    for method in METHODS.values():
        np.testing.assert_array_equal(method(net, X), method(net, X, target=answers))
    net.classes = ("ant", "bee", "cat", "dog")
    named = explain.saliency(net, X, target="bee")
    np.testing.assert_array_equal(named, net.input_gradient(X, target="bee"))


def test_any_unit_can_be_explained() -> None:
    net = network()
    asked: dict[str, Any] = {"layer": "conv1", "unit": (2, 4, 1)}
    found = explain.saliency(net, X, **asked)
    np.testing.assert_array_equal(found, net.input_gradient(X, **asked))
    found = explain.integrated_gradients(net, X, **asked)
    np.testing.assert_array_equal(
        found.outputs, net.activations(X, "conv1")[:, 2, 4, 1]
    )
    np.testing.assert_allclose(found.residual, 0, atol=1e-5)
    top, left, bottom, right = st.receptive_field(net, "conv1").box(2, 4)
    assert found.attributions[:, top:bottom, left:right].any()
    found.attributions[:, top:bottom, left:right] = 0
    assert not found.attributions.any()


def test_smooth_gradients_are_means_over_noisy_images() -> None:
    net = network()
    total = np.zeros(X.shape)
    ranges = X.max(axis=(1, 2, 3)) - X.min(axis=(1, 2, 3))
    for sample in range(6):
        noise = normal(128, (11, sample)).reshape(8, 8, 2)
        noisy = X + np.float32(0.2) * ranges[:, None, None, None] * noise
        total += net.input_gradient(noisy, target=0)
    found = explain.smooth_gradient(net, X, samples=6, noise=0.2, seed=11, target=0)
    np.testing.assert_allclose(found, total / 6, rtol=1e-6)
    still = explain.smooth_gradient(net, X, samples=6, noise=0, target=0)
    np.testing.assert_allclose(still, net.input_gradient(X, target=0), rtol=1e-6)


def test_noise_has_mean_0_and_variance_1() -> None:
    many = normal(100_000, (1, 2))
    assert abs(many.mean()) < 5 / np.sqrt(100_000)
    assert abs(many.var() - 1) < 5 * np.sqrt(2 / 100_000)
    assert abs((np.abs(many) < 1).mean() - 0.6827) < 0.01
    assert not np.array_equal(many[:9], normal(9, (1, 3)))
    np.testing.assert_array_equal(many[:9], normal(9, (1, 2)))


@pytest.mark.parametrize("name", METHODS)
def test_an_image_depends_neither_on_others_nor_on_threads(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, method = network(), METHODS[name]
    many = np.concatenate([X, RNG.normal(size=(30, 8, 8, 2)).astype(np.float32)])
    found = method(net, many, target=1, threads=1)
    np.testing.assert_array_equal(method(net, X, target=1, threads=3), found[:5])
    monkeypatch.setattr(question, "TOGETHER", 3 * (128 + 4))
    np.testing.assert_array_equal(method(net, many, target=1, threads=2), found)


def test_the_largest_magnitude_stands_for_all_channels() -> None:
    gradient = np.array([[[[1, -5, 2], [0, 0, 0]]]], np.float32)
    assert explain.largest_magnitude(gradient).tolist() == [[[5, 0]]]


# ------------------------------------------------------------------------------- pixels


@pytest.fixture(scope="module")
def digits() -> tuple[st.Network, np.ndarray]:
    train, test = st.load_data("digits")
    net = st.lenet5(seed=1)
    net.fit(train.images, train.labels, epochs=3)
    return net, test.images


def test_pixels_are_prepared_as_the_network_does(
    digits: tuple[st.Network, np.ndarray],
) -> None:
    net, images = digits
    values = net.prepared(images)
    assert values.shape == (len(images), 32, 32, 1)
    np.testing.assert_array_equal(
        net.logits(values, preprocessed=True), net.logits(images)
    )
    turned = net.prepared(images, invert=True)
    np.testing.assert_array_equal(
        net.logits(turned, preprocessed=True), net.logits(images, invert=True)
    )
    assert net.preprocessing is not None
    np.testing.assert_array_equal(
        net.preprocessing.pixels(values[:, 2:30, 2:30]), images
    )
    np.testing.assert_array_equal(
        net.prepared(X[..., :1].repeat(4, 1).repeat(4, 2), preprocessed=True).shape,
        (5, 32, 32, 1),
    )


def test_any_pixel_comes_back_from_what_it_becomes() -> None:
    known = st.Preprocessing(
        (16, 16), (20, 17, 3), 9, "dark", (0.1, 0.5, 0.7), (0.3, 1.0, 1e-3)
    )
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, 3)
    values = known.values(pixels)
    assert (known.pixels(values[0, 0, 0]) == 9).all()
    np.testing.assert_array_equal(known.pixels(values[:, 2:18, 0:16]), pixels)


def test_integration_begins_at_the_background(
    digits: tuple[st.Network, np.ndarray],
) -> None:
    net, images = digits
    found = explain.integrated_gradients(net, images[:20])
    assert net.preprocessing is not None
    ground = np.full_like(images[:1], net.preprocessing.background)
    same = explain.integrated_gradients(net, images[:20], baseline=ground)
    np.testing.assert_array_equal(found.attributions, same.attributions)
    rows, classes = np.arange(20), net.predict(images[:20])
    np.testing.assert_array_equal(found.outputs, net.logits(images[:20])[rows, classes])
    np.testing.assert_allclose(
        found.baseline_outputs, net.logits(ground)[0, classes], rtol=1e-5, atol=1e-5
    )
    # Where the image is background nothing is moved.
    still = net.prepared(images[:20]) == net.prepared(ground)
    assert still.mean() > 0.3
    assert not found.attributions[still].any()


# ---------------------------------------------------------------------------- bad input


def test_contradictions_and_what_there_is_not_are_refused() -> None:
    net = network()
    for wrong in (
        {"unit": (0, 0, 0)},
        {"layer": "conv1"},
        {"target": 1, "layer": "conv1", "unit": (0, 0, 0)},
    ):
        with pytest.raises(st.UsageError, match="by default the class the network"):
            explain.saliency(net, X, **wrong)
    with pytest.raises(st.UsageError, match="the layers are conv1, relu1, pool1"):
        explain.saliency(net, X, layer="conv7", unit=0)
    with pytest.raises(st.ShapeError, match="no unit"):
        explain.saliency(net, X, layer="conv1", unit=(9, 0, 0))
    with pytest.raises(st.DataError, match="target"):
        explain.saliency(net, X, target=4)
    with pytest.raises(st.ShapeError, match="target must be one"):
        explain.saliency(net, X, target=[1, 2])
    with pytest.raises(
        st.ShapeError, match="baseline must be one image or one for eac"
    ):
        explain.integrated_gradients(net, X, baseline=X[:2])
    with pytest.raises(
        ValueError, match="samples must be a whole number of at least 1"
    ):
        explain.smooth_gradient(net, X, samples=0)
    with pytest.raises(ValueError, match="noise must be at least 0"):
        explain.smooth_gradient(net, X, noise=-0.1)
    with pytest.raises(ValueError, match="steps must be a whole number of at least 1"):
        explain.integrated_gradients(net, X, steps=0)
    maps = st.Network([st.Conv2D(2, 3)], (8, 8, 2))
    with pytest.raises(st.ShapeError, match="classes need a network that ends in one"):
        explain.saliency(maps, X)
    assert explain.saliency(maps, X, layer=0, unit=(0, 0, 0)).any()


@pytest.mark.parametrize("name", METHODS)
def test_numbers_beyond_all_bounds_are_not_explained(name: str) -> None:
    net = network()
    net.set_weights({name: np.full(w.shape, 1e30) for name, w in net.weights.items()})
    with pytest.raises(st.DataError, match="must be finite to be explained"):
        METHODS[name](net, np.abs(X), target=1)


@pytest.mark.parametrize("name", METHODS)
def test_constant_images_single_images_and_small_networks(name: str) -> None:
    method = METHODS[name]
    flat = st.Network([st.Flatten(), st.Dense(3)], (1, 1, 1))
    assert method(flat, np.zeros((1, 1, 1), np.uint8)).shape == (1, 1, 1, 1)
    grey = np.full((1, 8, 8, 2), 0.5, np.float32)
    assert np.isfinite(method(network(), grey)).all()
    spot = st.Network(
        [st.Conv2D(3, 8), st.ReLU(), st.Flatten(), st.Dense(2)], (8, 8, 2)
    )
    assert method(spot, X[:1], layer="conv1", unit=(0, 0, 2)).shape == (1, 8, 8, 2)
