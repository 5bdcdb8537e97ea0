"""Occlusion maps, against one image and one patch after the other."""

import numpy as np
import pytest

import striate as st
from striate import explain
from striate.explain import question

RNG = np.random.default_rng(4)
X = RNG.normal(size=(5, 9, 7, 2)).astype(np.float32)


def network() -> st.Network:
    layers = [st.Conv2D(3, 3), st.ReLU(), st.Flatten(), st.Dense(4)]
    return st.Network(layers, (9, 7, 2), seed=1)


@pytest.mark.parametrize(
    ("patch", "stride"), [(3, 2), ((4, 2), (3, 1)), (1, 1), ((9, 7), 7), (2, 2)]
)
def test_drops_are_what_hiding_each_place_takes(
    patch: int | tuple[int, int], stride: int | tuple[int, int]
) -> None:
    net = network()
    found = explain.occlusion(net, X, target=2, patch=patch, stride=stride)
    high, wide = found.patch
    sums, counts = np.zeros((2, 9, 7)), np.zeros((9, 7))
    before = net.logits(X)[:, 2], net.predict_proba(X)[:, 2]
    for i, row in enumerate(found.rows):
        for j, column in enumerate(found.columns):
            hidden = X.copy()
            place = slice(row, row + high), slice(column, column + wide)
            hidden[:, *place] = 0
            logit = before[0] - net.logits(hidden)[:, 2]
            probability = before[1] - net.predict_proba(hidden)[:, 2]
            np.testing.assert_allclose(found.logit_drops[:, i, j], logit, atol=1e-5)
            np.testing.assert_allclose(
                found.probability_drops[:, i, j], probability, atol=1e-6
            )
            sums[0][place] += logit[0]
            sums[1][place] += probability[0]
            counts[place] += 1
    assert counts.min() >= 1  # no pixel is left out, whatever the stride
    np.testing.assert_allclose(found.logit_map[0], sums[0] / counts, atol=1e-5)
    np.testing.assert_allclose(found.probability_map[0], sums[1] / counts, atol=1e-6)


def test_of_a_linear_network_a_drop_is_the_sum_of_what_is_hidden() -> None:
    net = st.Network([st.Flatten(), st.Dense(4)], (9, 7, 2), seed=2)
    shares = explain.gradient_times_input(net, X, target=1).sum(axis=3)
    found = explain.occlusion(net, X, target=1, patch=1, stride=1)
    np.testing.assert_allclose(found.logit_drops, shares, atol=1e-5)
    np.testing.assert_allclose(found.logit_map, shares, atol=1e-5)


def test_patches_have_the_background_or_the_mean_colour() -> None:
    train, test = st.load_data("digits")
    net = st.lenet5()
    net.fit(train.images, train.labels, epochs=2)
    images = test.images[:4]
    corner = images.copy()
    assert net.preprocessing is not None
    corner[:, :6, :6] = net.preprocessing.background
    classes = net.predict(images)
    drop = (net.logits(images) - net.logits(corner))[np.arange(4), classes]
    found = explain.occlusion(net, images)
    assert found.patch == (8, 8)
    assert found.rows.tolist() == list(range(0, 25, 2))
    np.testing.assert_allclose(found.logit_drops[:, 0, 0], drop, atol=1e-4)
    mean = explain.occlusion(net, images, fill="mean")
    prepared = net.prepared(images)
    prepared[:, :8, :8] = 0
    hidden = net.logits(prepared, preprocessed=True)
    drop = (net.logits(images) - hidden)[np.arange(4), classes]
    np.testing.assert_allclose(mean.logit_drops[:, 0, 0], drop, atol=1e-4)


def test_probabilities_are_those_that_the_network_gives() -> None:
    net = network()
    net.temperature, whole = 3.0, network().predict_proba(X)
    found = explain.occlusion(net, X, target=0, patch=(9, 7))
    nothing = net.predict_proba(np.zeros_like(X))
    drop = net.predict_proba(X)[:, 0] - nothing[:, 0]
    np.testing.assert_allclose(found.probability_drops[:, 0, 0], drop, atol=1e-6)
    assert not np.allclose(net.predict_proba(X), whole)


def test_maps_depend_neither_on_other_images_nor_on_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = network()
    many = np.concatenate([X, RNG.normal(size=(30, 9, 7, 2)).astype(np.float32)])
    found = explain.occlusion(net, many, target=1, threads=1)
    fewer = explain.occlusion(net, many[:20], target=1, threads=2)
    np.testing.assert_array_equal(fewer.logit_map, found.logit_map[:20])
    monkeypatch.setattr(question, "TOGETHER", 11 * (126 + 4))
    again = explain.occlusion(net, many, target=1)
    np.testing.assert_array_equal(again.probability_map, found.probability_map)


def test_patches_that_do_not_fit_are_refused() -> None:
    net = network()
    with pytest.raises(st.ShapeError, match=r"patch of 9x8 does not fit .* 9x7"):
        explain.occlusion(net, X, patch=(9, 8))
    with pytest.raises(st.UsageError, match="stride of 3x3 leaves pixels out between"):
        explain.occlusion(net, X, patch=2, stride=3)
    with pytest.raises(ValueError, match="patch must be a whole number of at least 1"):
        explain.occlusion(net, X, patch=0)
    with pytest.raises(ValueError, match="'background' or 'mean', not 'grey'"):
        explain.occlusion(net, X, fill="grey")  # type: ignore[arg-type]


def test_small_inputs_and_numbers_beyond_all_bounds() -> None:
    dot = st.Network([st.Flatten(), st.Dense(3)], (1, 1, 1))
    found = explain.occlusion(dot, np.zeros((1, 1, 1), np.uint8))
    assert found.probability_map.tolist() == [[[0]]]
    net = network()
    net.set_weights({name: np.full(w.shape, 1e30) for name, w in net.weights.items()})
    with pytest.raises(st.DataError, match="must be finite to be explained"):
        explain.occlusion(net, np.abs(X), target=0)
