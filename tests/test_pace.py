"""A run that may take only so long: fewer epochs where it turns out to be slow."""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as some

import striate as st
from striate import cli
from striate.training import run
from striate.training.fit import fit
from striate.training.pace import Pace
from striate.training.run import Run
from striate.training.settings import Settings

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (64, 6, 6, 1), dtype=np.uint8)
LABELS = np.arange(64) % 3
SETTINGS = Settings(epochs=20, batch_size=16, optimizer=st.SGD(0.1))
LONG = replace(SETTINGS, epochs=1, batch_size=1)
END = 0.1 / 25 / 1e4  # of the one-cycle schedule


class Clock:
    """Stands in for the module time of a run; each of its 80 steps takes so long."""

    def __init__(self, *seconds: float) -> None:
        self.now, self.seconds, self.done = 0.0, list(seconds), 0

    def perf_counter(self) -> float:
        return self.now


def trained(
    monkeypatch: pytest.MonkeyPatch,
    clock: Clock,
    seconds: float | None,
    changes: Sequence[tuple[int, int]] = (),
) -> tuple[st.Network, dict[str, list[float]]]:
    network = st.Network([st.Flatten(), st.Dense(3)], (6, 6, 1))
    rates: list[float] = []

    class Timed(Run):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, seconds=seconds, pace_changes=changes)

        def _train(self, *arguments: Any) -> Any:
            for rate in self._rates:
                rates.append(float(rate))
                clock.now += clock.seconds[min(clock.done, len(clock.seconds) - 1)]
                clock.done += 1
            return super()._train(*arguments)

    monkeypatch.setattr(run, "time", clock)
    history = fit(network, PIXELS, LABELS, SETTINGS, make_run=Timed)
    return network, {**history, "rates": rates}


def test_a_machine_that_slows_down_keeps_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(*[1.0] * 33, 3.0)  # in the ninth of twenty epochs
    network, history = trained(monkeypatch, clock, seconds=82.0)
    assert clock.now <= 82.0
    rates = history["rates"]
    assert 33 < len(rates) < 80
    assert rates[-1] == pytest.approx(END)  # the schedule came to its end
    planned = trained(monkeypatch, Clock(1.0), seconds=None)[1]["rates"]
    assert len(planned) == 80
    assert rates[:36] == planned[:36]  # what was done before is as it was planned
    assert np.all(np.diff(rates[33:]) < 0)
    record = network.training
    assert record["epochs"] == -(-len(rates) // 4) == len(history["loss"])
    assert record["settings"]["epochs"] == 20
    assert record["pace"][0][0] == 36
    assert record["pace"][-1][1] == len(rates)
    # By its record it can be repeated, bit for bit, on a machine of any speed.
    again, _ = trained(monkeypatch, Clock(0.1), None, record["pace"])
    assert again.training == record
    assert_same_weights(again, network)


def test_one_long_epoch_keeps_the_time_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "SETTINGS", LONG)
    clock = Clock(*[1.0] * 20, 4.0)
    _, history = trained(monkeypatch, clock, seconds=70.0)
    assert clock.now <= 70.0
    assert 20 < len(history["rates"]) < 64
    assert len(history["loss"]) == 1
    assert history["rates"][-1] == pytest.approx(END)


def assert_same_weights(one: st.Network, other: st.Network) -> None:
    for name, weights in one.weights.items():
        np.testing.assert_array_equal(weights, other.weights[name])


def test_time_enough_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    free, _ = trained(monkeypatch, Clock(1.0), seconds=None)
    timed, _ = trained(monkeypatch, Clock(1.0), seconds=80.5)
    assert timed.training["pace"] == []
    assert timed.training == free.training
    assert_same_weights(timed, free)


def test_a_short_delay_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(*[5.0] * 4, 0.5)
    network, history = trained(monkeypatch, clock, seconds=100.0)
    assert network.training["pace"][0][1] < 80
    assert len(history["rates"]) == 80
    assert history["learning_rate"][-1] == pytest.approx(END)


@given(
    some.integers(2, 200),
    some.integers(1, 50),
    some.floats(0.1, 100),
    some.lists(some.floats(0.01, 10), min_size=200, max_size=200),
)
def test_the_schedule_is_gone_through_once_whatever_happens(
    planned: int, together: int, seconds: float, taken: list[float]
) -> None:
    pace, elapsed, done = Pace(planned, seconds), 0.0, 0
    places: list[float] = []
    while done < pace.steps:
        count = min(together, pace.steps_to_look(done))
        places += pace.positions(done, count).tolist()
        elapsed += sum(taken[done : done + count])
        done += count
        pace.look(done, elapsed)
    assert len(places) == done <= planned
    assert places[0] == 0
    assert np.all(np.diff(places) >= 0)
    assert places[-1] == pytest.approx(planned - 1)


def test_the_command_says_so_and_records_what_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Pace.look

    def slow(self: Pace, done: int, elapsed: float) -> None:
        if self._seconds is not None and done <= 100:  # as if half the time were gone
            self._seconds = 2.0 * elapsed if done == 100 else 1e9
            plain(self, done, elapsed)

    monkeypatch.setattr(Pace, "look", slow)
    monkeypatch.setattr("striate.commands.choice.epochs_within", lambda *_: 9)
    folder = tmp_path / "run"
    command = ["train", "digits", "--minutes", "0.2", "--run", str(folder)]
    result = CliRunner().invoke(cli.main, command)
    assert result.exit_code == 0, result.stderr
    values = json.loads((folder / "result.json").read_text())
    assert values["planned_epochs"] == 9
    words = re.search(
        r"the time was too short for the 9 epochs planned: \d\.?\d* were trained, and "
        "the schedule was gone through faster from epoch 3 on",
        " ".join(result.stderr.split()),
    )
    assert words is not None
    assert words[0] in (folder / "report.md").read_text()
    options = json.loads((folder / "settings.json").read_text())["options"]
    assert options["epochs"] == 9
    assert options["pace"][0][0] == 100
    # The plan is part of the record, so the run can be repeated on any machine.
    monkeypatch.undo()
    config = ["train", "--config", str(folder / "settings.json")]
    again = CliRunner().invoke(cli.main, [*config, "--run", str(tmp_path / "again")])
    assert again.exit_code == 0, again.stderr
    name = "digits-lenet5.safetensors"
    first, second = ((one / name).read_bytes() for one in (folder, tmp_path / "again"))
    assert first == second


def test_a_pace_is_pairs() -> None:
    result = CliRunner().invoke(cli.main, ["train", "digits", "--pace", "9-15"])
    assert result.exit_code == 2
    assert "is not pairs such as 9:15,12:14" in result.stderr
