"""Peaks of maps, their places and their classes, against chance, with known answers."""

import numpy as np
import pytest

import striate as st
from striate.explain.hierarchy import (
    concentration,
    patch_centers,
    selectivity,
    unit_centers,
)
from striate.explain.patches import top_patches


@pytest.fixture(scope="module")
def network() -> st.Network:
    layers = [
        st.Conv2D(3, 3, padding=1),
        st.MaxPool2D(2),
        st.Conv2D(4, 3),
        st.Flatten(),
    ]
    return st.Network([*layers, st.Dense(5)], (12, 10, 1), seed=1)


# ----------------------------------------------------------------------------- centers


@pytest.mark.parametrize("layer", ["conv1", "pool1", "conv2"])
def test_units_have_the_middles_of_their_fields(network, layer: str) -> None:
    field = st.receptive_field(network, layer)
    boxes = [field.box(*unit, clip=False) for unit in np.ndindex(field.units)]
    middles = [((a + c - 1) / 2, (b + d - 1) / 2) for a, b, c, d in boxes]
    np.testing.assert_array_equal(unit_centers(network, layer), middles)


def test_patches_have_the_middles_of_their_units(network) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 12, 10, 1), np.uint8)
    top = top_patches(network, images, "conv2", k=3)["conv2"]
    points = patch_centers(network, top)
    assert points.shape == (4, 3, 2)
    places = unit_centers(network, "conv2").reshape(4, 3, 2)
    np.testing.assert_array_equal(points[:, :2], places[top.rows, top.columns][:, :2])
    assert np.isnan(points[:, 2]).all()  # there are only two images


def test_a_flat_layer_has_one_place(network) -> None:
    assert unit_centers(network, "dense1").tolist() == [[5.5, 4.5]]


def test_layers_there_are_not_are_told(network) -> None:
    with pytest.raises(st.UsageError, match=r"conv9.*conv1"):
        unit_centers(network, "conv9")


# ----------------------------------------------------------------------- concentration


def grid(side: int) -> np.ndarray:
    return np.indices((side, side)).reshape(2, -1).T.astype(float)


def test_points_anywhere_are_as_near_as_chance() -> None:
    random, places = np.random.default_rng(2), grid(20)
    points = places[random.integers(0, 400, (300, 9))]
    found = concentration(points, places, seed=3)
    assert abs(found.distance.mean() / found.chance.mean() - 1) < 0.03
    # p is uniform: 15 of 300 below 0.05, give or take 3.8.
    assert 3 <= (found.p_value < 0.05).sum() <= 28


def test_points_in_one_place_are_nearer_than_chance() -> None:
    random = np.random.default_rng(4)
    points = random.normal(10, 1, (5, 9, 2))
    found = concentration(points, grid(20))
    assert (found.p_value < 0.002).all()
    assert found.distance.max() < 2
    assert found.chance.min() > 5


def test_maps_that_share_their_place_have_none_of_their_own() -> None:
    random = np.random.default_rng(5)
    alike = random.normal(10, 1, (20, 9, 2))
    assert (concentration(alike, grid(20)).p_value < 0.01).all()
    assert (concentration(alike).p_value < 0.05).sum() <= 4
    apart = alike + 5 * np.arange(20)[:, None, None]
    assert (concentration(apart).p_value < 0.01).all()


def test_points_that_are_not_there_are_left_out() -> None:
    points = np.random.default_rng(6).random((3, 4, 2))
    more = np.concatenate([points, np.full((3, 2, 2), np.nan)], axis=1)
    more[1, 1:] = np.nan  # one point is left, which is no distance from itself
    found, whole = concentration(more, grid(3)), concentration(points, grid(3))
    np.testing.assert_array_equal(found.distance[[0, 2]], whole.distance[[0, 2]])
    assert np.isnan([found.distance[1], found.chance[1], found.p_value[1]]).all()
    assert np.isnan(concentration(np.full((2, 3, 2), np.nan)).p_value).all()


def test_the_same_seed_draws_the_same_points() -> None:
    points = np.random.default_rng(7).random((2, 4, 2))
    chances = [concentration(points, seed=seed, draws=20).chance for seed in (1, 1, 2)]
    np.testing.assert_array_equal(chances[0], chances[1])
    assert (chances[0] != chances[2]).all()


def test_points_of_another_shape_are_refused() -> None:
    with pytest.raises(st.ShapeError, match=r"points of shape \(C, k, 2\).*gets 3x2"):
        concentration(np.zeros((3, 2)))
    with pytest.raises(st.ShapeError, match=r"places of shape \(P, 2\) but gets 4"):
        concentration(np.zeros((3, 2, 2)), np.zeros(4))


# ------------------------------------------------------------------------- selectivity


def test_shares_of_variance_are_those_of_the_definition() -> None:
    random = np.random.default_rng(8)
    labels = random.permutation(np.repeat(["ann", "bob", "cy"], [4, 6, 10]))
    values = 100 + random.standard_normal((20, 7)) + (labels == "bob")[:, None]
    found = selectivity(values, labels)
    within = sum(
        np.square(own - own.mean(0)).sum(0)
        for own in (values[labels == name] for name in ("ann", "bob", "cy"))
    )
    total = np.square(values - values.mean(0)).sum(0)
    np.testing.assert_allclose(found.explained, 1 - within / total, rtol=1e-9)


def test_distance_is_that_of_the_favourite_from_all_others() -> None:
    random = np.random.default_rng(9)
    labels = np.repeat([3, 5, 8], 10)
    values = random.standard_normal((30, 4))
    values[labels == 5] += 4
    found = selectivity(values, labels)
    assert found.favourite.tolist() == [5] * 4
    own, others = values[labels == 5], values[labels != 5]
    squares = sum(np.square(one - one.mean(0)).sum(0) for one in (own, others))
    expected = (own.mean(0) - others.mean(0)) / np.sqrt(squares / 28)
    np.testing.assert_allclose(found.distance, expected, rtol=1e-9)
    assert (found.distance > 4 * found.chance_distance).all()


def test_of_values_without_classes_as_much_is_explained_as_by_chance() -> None:
    random = np.random.default_rng(10)
    labels = np.repeat(np.arange(10), 5)
    found = selectivity(random.standard_normal((50, 200)), labels)
    chance = 9 / 49  # (K - 1) / (N - 1)
    np.testing.assert_allclose(found.chance, chance, atol=0.02)
    assert abs(found.explained.mean() - chance) < 0.02
    assert 2 <= (found.p_value < 0.05).sum() <= 22  # 10 of 200, give or take 3.1


def test_values_of_one_class_alone_are_explained_beyond_chance() -> None:
    labels = np.repeat(np.arange(10), 5)
    values = (labels == 4)[:, None] + np.random.default_rng(11).normal(0, 0.1, (50, 3))
    found = selectivity(values, labels)
    assert (found.explained > 0.8).all()
    assert found.p_value.tolist() == [1 / 201] * 3
    assert found.favourite.tolist() == [4] * 3


@pytest.mark.parametrize("power", [-700, 700])
def test_classes_explain_the_same_of_numbers_of_any_size(power: int) -> None:
    labels = np.repeat(np.arange(4), 5)
    values = labels[:, None] + np.random.default_rng(5).normal(0, 1, (20, 3))
    found, scaled = (
        selectivity(some, labels) for some in (values, np.ldexp(values, power))
    )
    for name in ("explained", "chance", "p_value", "distance", "chance_distance"):
        assert np.array_equal(getattr(found, name), getattr(scaled, name))


def test_a_map_that_never_changes_explains_nothing() -> None:
    values = np.stack([np.full(6, 0.1), np.arange(6.0)], axis=1)
    found = selectivity(values, [0, 0, 0, 1, 1, 1])
    for one in (found.explained, found.chance, found.p_value, found.distance):
        assert np.isnan(one).tolist() == [True, False]


def test_values_and_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(st.ShapeError, match=r"\(N, C\) and N labels"):
        selectivity(np.zeros((3, 2)), [0, 1])
    with pytest.raises(st.ShapeError, match="two classes at least"):
        selectivity(np.zeros((3, 2)), [1, 1, 1])
    with pytest.raises(ValueError, match="finite"):
        selectivity(np.full((2, 1), np.nan), [0, 1])
