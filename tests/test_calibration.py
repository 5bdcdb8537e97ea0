"""Calibration: temperatures against a fine search, bounds, and what travels with one."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate import DataError, Dense, Flatten, ModelFileError, Network, ShapeError, load
from striate.saving.metadata import from_metadata, to_metadata
from striate.training.calibration import (
    COLDEST,
    HOTTEST,
    expected_calibration_error,
    temperature,
)

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (60, 6, 6, 1), dtype=np.uint8)
LABELS = RNG.integers(0, 3, 60)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def sampled(images: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn with exactly their probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (images, classes))
    sums = softmax(logits).cumsum(axis=1)
    labels = (rng.random((images, 1)) > sums).sum(axis=1)
    return logits, np.minimum(labels, classes - 1)


def smoothed_loss(logits: np.ndarray, labels: np.ndarray, divisor: float) -> float:
    """The mean cross-entropy that `temperature` minimises, written out."""
    rows, share = np.arange(len(logits)), 1 / (len(logits) + 2)
    shifted = (logits - logits.max(axis=1, keepdims=True)) / divisor
    losses = np.log(np.exp(shifted).sum(axis=1, keepdims=True)) - shifted
    others = logits.copy()
    others[rows, labels] = -np.inf
    rival = others.argmax(axis=1)
    own = (1 - share) * losses[rows, labels]
    return float((own + share * losses[rows, rival]).mean())


@pytest.mark.parametrize("factor", [0.25, 1.0, 3.0])
def test_overconfidence_by_a_factor_is_taken_back(factor: float) -> None:
    logits, labels = sampled(20_000, 5, seed=1)
    # The estimate's deviation is about 1 / sqrt(N * mean variance of the logits), 0.005
    # here; four of them.
    assert temperature(factor * logits, labels) == pytest.approx(factor, rel=0.02)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 40), st.integers(2, 12), st.integers(0, 10**6), st.floats(0.1, 5.0)
)
def test_no_other_temperature_fits_better(
    images: int, classes: int, seed: int, factor: float
) -> None:
    logits, labels = sampled(images, classes, seed)
    found = temperature(factor * logits, labels)
    assert COLDEST <= found <= HOTTEST
    best = smoothed_loss(factor * logits, labels, found)
    for other in np.geomspace(COLDEST, HOTTEST, 200):
        assert best <= smoothed_loss(factor * logits, labels, float(other)) + 1e-12


@pytest.mark.parametrize("images", [1, 5, 1000])
def test_faultless_answers_follow_the_rule_of_succession(images: int) -> None:
    found = temperature([[9.0, 2.0]] * images, [0] * images)
    share = softmax(np.array([[9.0, 2.0]]) / found)[0, 0]
    assert share == pytest.approx((images + 1) / (images + 2), rel=1e-6)


def test_a_temperature_stays_within_its_bounds() -> None:
    assert temperature([[5.0, -5.0]] * 8, [1] * 8) == HOTTEST
    assert temperature([[1e-6, 0.0]] * 8, [0] * 8) == COLDEST
    assert temperature([[3.0, 3.0]] * 8, [0] * 8) == 1.0
    assert temperature([[3.0]], [0]) == 1.0
    assert COLDEST <= temperature([[3e38, -3e38], [0.0, 1.0]], [1, 1]) <= HOTTEST


@pytest.mark.parametrize(
    ("logits", "labels", "error", "message"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), ShapeError, "N and K at least 1"),
        (np.zeros(3), [0], ShapeError, r"shapes \(3,\) and \(1,\)"),
        (np.zeros((2, 3)), [0], ShapeError, r"shapes \(2, 3\) and \(1,\)"),
        (np.zeros((1, 3)), [3], DataError, "from 0 to 2 but go from 3 to 3"),
        (np.zeros((1, 3)), [0.0], DataError, "labels class indices"),
        (np.full((1, 3), np.nan), [0], DataError, "must be finite numbers"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(
    logits: object, labels: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        temperature(logits, labels)


def test_the_calibration_error_is_the_distance_of_words_and_deeds() -> None:
    sure = np.array([[1.0, 0.0]] * 4)
    assert expected_calibration_error(sure, [0, 0, 0, 1]) == pytest.approx(0.25)
    two = np.array([[0.8, 0.2]] * 5 + [[0.4, 0.6]] * 5)  # two ranges, each exact
    labels = [0] * 4 + [1] + [1] * 3 + [0] * 2
    assert expected_calibration_error(two, labels) == pytest.approx(0)
    logits, drawn = sampled(5_000, 4, seed=3)
    before = expected_calibration_error(softmax(4 * logits), drawn)
    found = temperature(4 * logits, drawn)
    assert expected_calibration_error(softmax(4 * logits / found), drawn) < before / 5
    with pytest.raises(ValueError, match="bins must be at least 1 but is 0"):
        expected_calibration_error(sure, [0] * 4, bins=0)


# --- the network's temperature ---------------------------------------------------------


@pytest.fixture
def network() -> Network:
    trained = Network([Flatten(), Dense(3)], (6, 6, 1), seed=1)
    trained.fit(PIXELS, LABELS, epochs=3)
    return trained


def test_calibration_changes_probabilities_and_no_answer(network: Network) -> None:
    assert network.temperature == 1.0
    plain, answers = network.predict_proba(PIXELS), network.predict(PIXELS)
    found = network.calibrate(PIXELS, LABELS)
    assert found == network.temperature != 1.0
    rows = network.predict_proba(PIXELS)
    expected = softmax(network.logits(PIXELS).astype(np.float64) / found)
    # float32: the quotient is off by half a unit, the exponential by a few.
    spread = np.abs(network.logits(PIXELS) / found).max()
    np.testing.assert_allclose(rows, expected, rtol=(spread + 20) * 2.0**-23)
    np.testing.assert_array_equal(rows.argmax(axis=1), plain.argmax(axis=1))
    np.testing.assert_array_equal(network.predict(PIXELS), answers)
    network.temperature = 1.0
    np.testing.assert_array_equal(network.predict_proba(PIXELS), plain)


def test_the_temperature_travels(network: Network, tmp_path) -> None:
    network.calibrate(PIXELS, LABELS)
    network.save(tmp_path / "m.safetensors")
    expected = network.predict_proba(PIXELS)
    for other in (
        load(tmp_path / "m.safetensors"),
        copy.deepcopy(network),
        pickle.loads(pickle.dumps(network)),
    ):
        assert other.temperature == network.temperature
        np.testing.assert_array_equal(other.predict_proba(PIXELS), expected)


def test_new_weights_are_not_calibrated(network: Network) -> None:
    network.temperature = 3.0
    network.set_weights(dict(network.weights))
    assert network.temperature == 1.0
    network.temperature = 3.0
    network.fit(PIXELS, LABELS, epochs=1)
    assert network.temperature == 1.0


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (0, ValueError, "from 0.05 to 20 but is 0"),
        (float("nan"), ValueError, "from 0.05 to 20 but is nan"),
        (10**400, ValueError, "from 0.05 to 20 but is 1000"),
        (True, TypeError, "must be a number but is True"),
        ("hot", TypeError, "must be a number but is 'hot'"),
    ],
)
def test_a_temperature_is_a_number_in_its_bounds(
    network: Network, value: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        network.temperature = value
    metadata = to_metadata(network.__getstate__()) | {"temperature": value}
    with pytest.raises(ModelFileError, match=f"m is no usable model: .*{message}"):
        from_metadata("m", dict(network.weights), metadata)


def test_files_without_a_temperature_load(network: Network) -> None:
    metadata = to_metadata(network.__getstate__())
    del metadata["temperature"]
    state = from_metadata("m", dict(network.weights), metadata)
    assert state["temperature"] == 1.0
