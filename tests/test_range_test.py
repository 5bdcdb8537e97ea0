"""The learning-rate range test, in Python and as `striate lr-find`."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run

import striate as st
from striate.commands import lr_find
from striate.training import run as training_run
from striate.training.range_test import RangeTest, range_test
from striate.training.settings import Settings

RNG = np.random.default_rng(5)
LABELS = RNG.integers(0, 4, 400)
# Four patterns under noise: something that a dense layer learns at once.
PATTERNS = RNG.integers(0, 128, (4, 6, 6, 1))
PIXELS = (PATTERNS[LABELS] + RNG.integers(0, 64, (400, 6, 6, 1))).astype(np.uint8)
SETTINGS = Settings(epochs=3, batch_size=50, optimizer=st.SGD(0.1), seed=3)


def network() -> st.Network:
    layers = [st.Flatten(), st.Dense(20), st.ReLU(), st.Dropout(0.2), st.Dense(4)]
    return st.Network(layers, (6, 6, 1), seed=1)


def measure(**options: Any) -> RangeTest:
    return range_test(network(), PIXELS, LABELS, SETTINGS, **{"steps": 60} | options)


def test_rates_rise_exponentially_and_the_loss_falls_then_rises() -> None:
    test = measure(lowest=1e-4, highest=1e3)
    assert test.diverged
    assert 20 < len(test.rates) == len(test.losses) < 60
    np.testing.assert_allclose(
        test.rates, np.geomspace(1e-4, 1e3, 60)[: len(test.rates)]
    )
    assert test.smoothed[0] > 1.2  # about log 4, knowing nothing
    assert test.smoothed.min() < 0.7
    lowest = test.rates[test.smoothed.argmin()]
    assert test.suggestion == pytest.approx(lowest / 3)


def test_the_suggested_rate_trains() -> None:
    trained = network()
    optimizer = st.SGD(measure().suggestion)
    trained.fit(PIXELS, LABELS, epochs=5, batch_size=50, optimizer=optimizer)
    assert trained.score(PIXELS, LABELS) > 0.9


def test_the_network_and_its_record_stay_as_they_were() -> None:
    given = network()
    before = {name: array.copy() for name, array in given.weights.items()}
    range_test(given, PIXELS, LABELS, SETTINGS, steps=20)
    for name, array in given.weights.items():
        np.testing.assert_array_equal(array, before[name])
    assert (given.classes, given.preprocessing, given.training) == (None, None, {})


def test_losses_are_the_same_for_any_threads_and_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = measure(threads=1, highest=1e3)
    for threads, seconds in ((2, 0.1), (3, 1e-9), (1, 100.0)):
        monkeypatch.setattr(training_run, "_SECONDS_PER_CALL", seconds)
        again = measure(threads=threads, highest=1e3)
        np.testing.assert_array_equal(again.losses, expected.losses)
        assert again.diverged == expected.diverged


def test_its_first_steps_are_those_of_fit() -> None:
    """One epoch at a rate that hardly rises is one epoch of fit."""
    rate = 0.05
    test = measure(lowest=rate, highest=rate * (1 + 1e-12), steps=20)
    optimizer = st.SGD(rate)
    options = {"batch_size": 50, "optimizer": optimizer, "schedule": "constant"}
    history = network().fit(PIXELS, LABELS, epochs=2, seed=3, **options)
    # The rates differ by less than a unit of float32, so may some last bits.
    assert test.losses[:8].mean() == pytest.approx(history["loss"][0], rel=1e-5)
    assert test.losses[8:16].mean() == pytest.approx(history["loss"][1], rel=1e-5)


def test_a_loss_that_is_not_finite_ends_the_test() -> None:
    test = measure(lowest=1e-3, highest=1e38)
    assert test.diverged
    assert np.isfinite(test.losses).all()
    bad = np.full((10, 6, 6, 1), 3e38, np.float32)
    with pytest.raises(st.TrainingError, match="is not finite any more in epoch 1"):
        range_test(network(), bad, LABELS[:10], SETTINGS)


def test_without_a_fall_there_is_no_suggestion() -> None:
    assert measure(lowest=1e-9, highest=1e-8).suggestion is None


def test_smoothing_is_the_mean_around_each_step() -> None:
    losses = RNG.random(30)
    test = RangeTest(np.geomspace(1e-3, 1, 30), losses, False, window=5)
    for place, smoothed in enumerate(test.smoothed):
        around = losses[max(0, place - 2) : place + 3]
        assert smoothed == pytest.approx(around.mean())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lowest": 0.0}, "lowest and highest must be learning rates above 0"),
        ({"lowest": 1.0, "highest": 1.0}, "the highest above the lowest"),
        ({"highest": float("inf")}, "but they are 1e-05 and inf"),
        ({"steps": 19}, "steps must be at least 20 but is 19"),
    ],
)
def test_wrong_bounds_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure(**options)


# --- striate lr-find ------------------------------------------------------------------


def test_lr_find_suggests_a_rate() -> None:
    result = run("lr-find", "digits", "--seed", 1)
    assert result.exit_code == 0, result.stderr
    first, *rows, suggested = result.stdout.splitlines()
    assert first.split() == ["learning", "rate", "loss"]
    assert all(re.fullmatch(r" +\S+ +\d+\.\d{3}", row) for row in rows[:10])
    rate = float(suggested.removeprefix("suggested: --learning-rate "))
    assert 0.003 < rate < 0.3
    values = json.loads(run("lr-find", "digits", "--seed", 1, "--json").stdout)
    assert values["suggestion"] == pytest.approx(rate, rel=0.05)
    lowest = next(row.split() for row in rows if row.startswith("lowest: "))
    assert float(lowest[3]) == pytest.approx(3 * rate, rel=0.1)
    assert any(row.split() == [lowest[3], lowest[1]] for row in rows)
    assert f"default: {values['default']:g}" in rows
    assert len(values["rates"]) == len(values["losses"]) == values["steps"]
    assert values["rates"][0] == pytest.approx(1e-5)
    assert (values["network"], values["data"], values["seed"]) == (
        "lenet5",
        "digits",
        1,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--lowest", 1, "--highest", 0.1], 2, "--lowest 1 is not below --highest 0.1"),
        (["--steps", 5], 2, "5 is not at least 20"),
        (["--epochs", 5], 2, "No such option"),
        (["--optimizer", "adam", "--momentum", 0.5], 2, "belong to --optimizer sgd"),
    ],
)
def test_lr_find_refuses_in_words(
    arguments: list[object], code: int, message: str
) -> None:
    result = run("lr-find", "digits", *arguments)
    assert result.exit_code == code
    assert message in result.stderr


def test_a_picture_needs_matplotlib_and_a_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lr_find, "available", lambda: False)
    result = run("lr-find", "digits", "-o", tmp_path / "a.png")
    assert result.exit_code == 2
    assert "pip install 'striate[plot]'; or leave out -o" in result.stderr
    monkeypatch.setattr(lr_find, "available", lambda: True)
    result = run("lr-find", "digits", "-o", tmp_path / "no" / "a.png")
    assert result.exit_code == 3
    assert f"cannot be written as {tmp_path / 'no'}" in result.stderr
