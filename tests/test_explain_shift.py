"""Shifts: exact equivariance and invariance, and every figure against its definition."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from command_line import last_json, run

import striate as st
from striate.errors import DataError, ShapeError, UsageError
from striate.explain import LayerShift, ShiftResponse, moved, shift_response
from striate.explain import shift as module

ROUNDING = 1e-5  # of distances relative to that between images, whose scale is 1


def spots(count: int = 6, side: int = 16, margin: int = 6) -> np.ndarray:
    """Random pixels, 4 x 4 where `margin` of 16 is left, on zeros: float N,H,W,1."""
    random = np.random.default_rng(count)
    images = np.zeros((count, side, side, 1), np.float32)
    inner = slice(margin, side - margin)
    size = side - 2 * margin
    images[:, inner, inner] = random.random((count, size, size, 1))
    return images


def by_name(response: ShiftResponse) -> dict[str, LayerShift]:
    return {layer.name: layer for layer in response.layers}


# --- moving images ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "columns"), [(0, 0), (2, 0), (-1, 3), (0, -4), (5, 5)]
)
def test_moved_images_lose_what_leaves_and_get_background(
    rows: int, columns: int
) -> None:
    images = np.random.default_rng(0).random((3, 5, 6, 2))
    fill = np.array([7.0, 8.0])
    found = moved(images, rows, columns, fill)
    for y, x in np.ndindex(5, 6):
        inside = 0 <= y - rows < 5 and 0 <= x - columns < 6
        wanted = images[:, y - rows, x - columns] if inside else fill
        np.testing.assert_array_equal(found[:, y, x], np.broadcast_to(wanted, (3, 2)))


# --- the lecture's M4 ------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_features_of_stride_1_move_along_and_their_maximum_stays(kernel: int) -> None:
    """No unit that sees the spot is at the border, before or after."""
    layers = [st.Conv2D(3, kernel), st.ReLU(), st.Conv2D(2, 3), st.Tanh()]
    images = spots(side=24, margin=10)
    response = shift_response(
        st.Network(layers, (24, 24, 1), seed=1), images, pixels=range(4)
    )
    for layer in response.layers:
        assert layer.moved_along.max() < ROUNDING
        assert layer.maximum.max() < ROUNDING
        assert layer.change[0] == 0
        assert layer.change[1:].min() > 0.1


def test_with_stride_they_move_along_only_by_whole_steps() -> None:
    for layer in (st.Conv2D(4, 2, stride=2), st.MaxPool2D(2)):
        network = st.Network([st.Conv2D(4, 3), layer], (22, 22, 1), seed=2)
        images = spots(side=22, margin=9)
        found = shift_response(network, images, pixels=range(5)).layers[-1]
        assert found.jump == (2, 2)
        assert found.moved_along[[0, 2, 4]].max() < ROUNDING
        assert found.moved_along[[1, 3]].min() > 0.01
        assert found.maximum[[0, 2, 4]].max() < ROUNDING


def test_the_maximum_of_the_whole_map_is_invariant_and_the_answer_with_it() -> None:
    """A classifier on the maximum finds the slash wherever it stands, and only that."""
    slash = np.eye(2, dtype=np.float32)[::-1]
    images = np.zeros((2, 9, 9, 1), np.float32)
    images[0, 4:6, 4:6, 0], images[1, 4:6, 4:6, 0] = slash, slash[::-1]
    layers = [st.Conv2D(1, 2, bias=False), st.MaxPool2D(8), st.Flatten(), st.Dense(2)]
    network = st.Network(layers, (9, 9, 1))
    network.set_weights(
        {
            "conv1.weight": slash[None, None],
            "dense1.weight": [[1], [-1]],
            "dense1.bias": [-1.5, 1.5],  # above 1.5 it is a slash
        }
    )
    response = shift_response(network, images, [0, 1], pixels=range(4))
    assert response.accuracy is not None
    assert response.accuracy.tolist() == [1, 1, 1, 1]
    layers = by_name(response)
    assert layers["conv1"].maximum.tolist() == [0, 0, 0, 0]
    assert layers["pool1"].change.tolist() == [0, 0, 0, 0]
    assert layers["conv1"].change[1:].min() > 0.9


# --- against the definitions -----------------------------------------------------------


def test_distances_are_as_defined() -> None:
    network = st.Network(
        [st.Conv2D(3, 3, padding=1), st.MaxPool2D(3), st.Flatten(), st.Dense(4)],
        (12, 12, 1),
        seed=3,
    )
    images = np.random.default_rng(3).random((5, 12, 12, 1), np.float32)
    found = by_name(shift_response(network, images, pixels=[4]))
    pairs = list(combinations(range(5), 2))
    ways = [(-4, 0), (4, 0), (0, -4), (0, 4)]

    def distance(one: np.ndarray, other: np.ndarray) -> float:
        return float(np.square(one.astype(float) - other).sum())

    for name, jump in (("conv1", 1), ("pool1", 3), ("dense1", 0)):

        def features(images: np.ndarray, name: str = name) -> np.ndarray:
            return network.activations(images, name)

        before = features(images)
        scale = np.mean([distance(before[a], before[b]) for a, b in pairs])
        after = [features(moved(images, *way, np.zeros(1))) for way in ways]
        change = np.mean([distance(now, before) / 5 for now in after])
        assert found[name].change[0] == pytest.approx(np.sqrt(change / scale), rel=1e-4)
        if not jump:
            assert np.isnan(found[name].maximum[0])
            continue
        tops = before.max((1, 2))
        scale = np.mean([distance(tops[a], tops[b]) for a, b in pairs])
        change = np.mean([distance(now.max((1, 2)), tops) / 5 for now in after])
        top = found[name].maximum[0]
        assert top == pytest.approx(np.sqrt(change / scale), rel=1e-4)
        units = {1: 4, 3: 1}[jump]  # 4 pixels, or the nearest step of 3
        rest, whole = slice(units, None), slice(None, -units)
        apart = scaled = 0.0
        for now, (to, since) in zip(
            after,
            [
                (np.s_[:, whole], np.s_[:, rest]),
                (np.s_[:, rest], np.s_[:, whole]),
                (np.s_[:, :, whole], np.s_[:, :, rest]),
                (np.s_[:, :, rest], np.s_[:, :, whole]),
            ],
            strict=True,
        ):
            apart += distance(now[to], before[since]) / 5
            left = before[since]
            scaled += np.mean([distance(left[a], left[b]) for a, b in pairs])
        along = found[name].moved_along[0]
        assert along == pytest.approx(np.sqrt(apart / scaled), rel=1e-4)


@pytest.fixture(scope="module")
def digits() -> tuple[st.Network, np.ndarray, np.ndarray]:
    """A network whose input is as large as its images, and images to test it on."""
    train, test = st.load_data("digits")
    layers = [st.Conv2D(4, 5), st.ReLU(), st.MaxPool2D(4), st.Flatten(), st.Dense(10)]
    network = st.Network(layers, (28, 28, 1))
    network.fit(train.images[:400], train.labels[:400], epochs=4)
    return network, test.images[:60], test.labels[:60]


def test_answers_are_those_to_moved_pixels(
    digits: tuple[st.Network, np.ndarray, np.ndarray],
) -> None:
    """The background of the preprocessing fills in."""
    network, images, labels = digits
    assert network.preprocessing is not None
    ground = np.array([network.preprocessing.background], np.uint8)
    response = shift_response(network, images, labels, pixels=[0, 3])
    right, same = [], []
    for way in ((-3, 0), (3, 0), (0, -3), (0, 3)):
        answers = network.predict(moved(images, *way, ground))
        right.append(np.mean(answers == labels))
        same.append(np.mean(answers == network.predict(images)))
    assert response.accuracy is not None
    assert response.same_answer is not None
    assert response.accuracy.tolist() == pytest.approx(
        [network.score(images, labels), np.mean(right)]
    )
    assert response.same_answer.tolist() == pytest.approx([1, np.mean(same)])


def test_batches_do_not_matter(
    digits: tuple[st.Network, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, images, labels = digits
    whole = shift_response(network, images, labels, pixels=[2])
    monkeypatch.setattr(module, "_BATCH", 2_000_000)
    parts = shift_response(network, images, labels, pixels=[2])
    assert whole.accuracy == parts.accuracy
    for one, other in zip(whole.layers, parts.layers, strict=True):
        np.testing.assert_allclose(one.change, other.change, rtol=1e-4)
        np.testing.assert_allclose(one.maximum, other.maximum, rtol=1e-4)


def test_of_many_images_some_are_compared_and_all_answered(
    digits: tuple[st.Network, np.ndarray, np.ndarray],
) -> None:
    network, images, labels = digits
    response = shift_response(network, images, labels, pixels=[1], compared=10)
    assert (response.images, response.compared) == (60, 10)
    every = images[np.linspace(0, 59, 10).round().astype(int)]
    alone = shift_response(network, every, pixels=[1])
    np.testing.assert_allclose(alone.layers[1].change, response.layers[1].change)
    assert alone.accuracy is None


# --- what gives no figures -------------------------------------------------------------


def test_networks_without_maps_have_figures_of_their_own() -> None:
    network = st.Network([st.Flatten(), st.Dense(3)], (6, 6, 1))
    response = shift_response(network, spots(4, 6, 2), [0, 1, 2, 0], pixels=[1])
    assert [layer.name for layer in response.layers] == ["input", "dense1"]
    assert np.isnan(response.layers[1].maximum).all()
    assert response.layers[1].change[0] > 0


def test_alike_images_and_maps_of_one_unit_give_none() -> None:
    network = st.Network([st.Conv2D(2, 6), st.Conv2D(2, 1)], (6, 6, 1))
    response = shift_response(network, spots(3, 6, 2), pixels=[2])
    conv = by_name(response)["conv2"]
    assert np.isnan(conv.moved_along).all()  # nothing is left of one unit
    assert np.isfinite(conv.change).all()
    alike = shift_response(network, np.ones((3, 6, 6, 1), np.float32), pixels=[2])
    assert all(np.isnan(layer.change).all() for layer in alike.layers)
    assert alike.to_dict()["layers"][0]["change"] == [None]


def test_what_cannot_be_measured_is_refused_in_words() -> None:
    network = st.Network([st.Flatten(), st.Dense(3)], (6, 8, 1))
    images = spots(4, 8, 2)[:, 1:7]
    with pytest.raises(DataError, match="needs at least 2 of them but gets 1"):
        shift_response(network, images[:1])
    with pytest.raises(
        UsageError, match="of 0 to 5 pixels, as the network's input is 6"
    ):
        shift_response(network, images, pixels=[6])
    with pytest.raises(UsageError, match="but are none"):
        shift_response(network, images, pixels=[])
    with pytest.raises(ValueError, match="pixels must be a whole number of at least 0"):
        shift_response(network, images, pixels=[-1])
    with pytest.raises(TypeError, match="pixels must be several shifts, not 3"):
        shift_response(network, images, pixels=3)
    with pytest.raises(ShapeError, match="labels"):
        shift_response(network, images, [0, 1])
    with pytest.raises(ShapeError, match="images"):
        shift_response(network, np.zeros((4, 9, 9, 1), np.uint8))
    assert shift_response(network, images).pixels == (0, 1, 2, 3, 4, 5)


@pytest.mark.parametrize("power", [-90, 90])
def test_distances_are_relative_however_large_the_features(power: int) -> None:
    """A power of two changes no digit; its square is beyond what float32 holds."""
    network = st.Network([st.Conv2D(3, 3, bias=False)], (16, 16, 1))
    wanted = shift_response(network, spots(), pixels=[1]).layers[1]
    network.set_weights(
        {name: array * 2.0**power for name, array in network.weights.items()}
    )
    scaled = shift_response(network, spots(), pixels=[1]).layers[1]
    assert wanted.change[0] > 0
    np.testing.assert_allclose(scaled.change, wanted.change, rtol=1e-12)
    np.testing.assert_allclose(scaled.maximum, wanted.maximum, rtol=1e-12, atol=1e-12)


def test_a_network_that_gives_no_numbers_is_told() -> None:
    network = st.Network([st.Conv2D(1, 3), st.Flatten(), st.Dense(2)], (6, 6, 1))
    weights = {name: array * 0 + 1e38 for name, array in network.weights.items()}
    network.set_weights(weights)
    with pytest.raises(DataError, match="what leaves conv1 must be finite"):
        shift_response(network, spots(4, 6, 2) * 1e5)


# --- on the command line ---------------------------------------------------------------


@pytest.fixture(scope="module")
def strided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LeNet-5 with strides in place of pooling, after an epoch."""
    path = tmp_path_factory.mktemp("strided") / "strided.safetensors"
    name = ("--network", "lenet5-strided")
    assert run("train", "digits", *name, "--epochs", 1, "-o", path).exit_code == 0
    return path


def test_shift_tells_two_models_beside_each_other(model: Path, strided: Path) -> None:
    arguments = ("shift", model, "digits", "--beside", strided, "--pixels", 2)
    values = last_json(run(*arguments, "--compared", 50, "--json"))
    other = values["beside"]
    assert (values["model"], other["model"]) == (str(model), str(strided))
    test = st.load_data("digits")[1]
    for path, found in ((model, values), (strided, other)):
        assert found["pixels"] == [0, 1, 2]
        score = st.load(path).score(test.images, test.labels)
        assert found["accuracy"][0] == pytest.approx(score)
        assert found["same_answer"][0] == 1
        assert found["accuracy"][2] < score
    names = {layer["name"]: layer for layer in values["layers"]}
    assert names["pool1"]["jump"] == [2, 2]
    assert "pool1" not in {layer["name"] for layer in other["layers"]}
    text = run(*arguments, "--compared", 50).stdout
    assert f"{model}: 359 images moved up, down, left or right (means of all)" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["pool1", "2", "0.00"] in [row[:3] for row in rows]
    assert ["pixels", "0", "1", "2"] in rows


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--pixels", 32), 2, "moves all out of the input of MODEL, which is 32x32"),
        (("--pixels", 0), 2, "is not at least 1"),
        (("--compared", 1), 2, "is not at least 2"),
        (("--compared", 10**9), 2, "at most 268435456"),
        (("--plot", "MODEL"), 2, "is what is read here"),
        (("--beside", "MODEL"), 2, "is MODEL itself"),
        (("--beside", "none.safetensors"), 3, "There is no model file none"),
    ],
)
def test_shift_refuses_what_means_nothing(
    arguments: tuple, code: int, message: str, model: Path
) -> None:
    given = [model if one == "MODEL" else one for one in arguments]
    result = run("shift", model, "digits", *given)
    assert result.exit_code == code
    words = " ".join(result.stderr.split())
    assert message in words.replace(str(model), "MODEL")
