"""A run that may take only so long: fewer epochs where it turns out to be slow."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

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
END = 0.1 / 25 / 1e4  # of the one-cycle schedule


class Clock:
    """Stands in for the module time of a run, and takes so long for each epoch."""

    def __init__(self, *seconds: float) -> None:
        self.now, self.seconds = 0.0, list(seconds)

    def perf_counter(self) -> float:
        return self.now

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        self.now += self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]


def trained(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, seconds: float | None
) -> tuple[st.Network, dict[str, list[float]]]:
    monkeypatch.setattr(run, "time", clock)
    network = st.Network([st.Flatten(), st.Dense(3)], (6, 6, 1))
    make = partial(Run, seconds=seconds)
    history = fit(network, PIXELS, LABELS, SETTINGS, callbacks=[clock], make_run=make)
    return network, history


def test_a_machine_that_slows_down_keeps_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(*[1.0] * 8, 3.0)
    network, history = trained(monkeypatch, clock, seconds=21.0)
    assert clock.now <= 21.0
    rates = history["learning_rate"]
    assert 8 < len(rates) < 20
    assert rates[-1] == pytest.approx(END)  # the schedule came to its end
    planned = trained(monkeypatch, Clock(1.0), seconds=None)[1]["learning_rate"]
    assert rates[:9] == planned[:9]  # what was done before is as it was planned
    assert np.all(np.diff(rates[8:]) < 0)
    record = network.training
    assert record["epochs"] == len(rates)
    assert record["settings"]["epochs"] == 20
    assert record["pace"][0][0] == 9
    assert record["pace"][-1][1] == len(rates)


def test_time_enough_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    free, _ = trained(monkeypatch, Clock(1.0), seconds=None)
    timed, _ = trained(monkeypatch, Clock(1.0), seconds=20.5)
    assert timed.training["pace"] == []
    assert timed.training == free.training
    assert all(
        np.array_equal(timed.weights[name], free.weights[name]) for name in free.weights
    )


def test_a_short_delay_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(5.0, 0.5)
    network, history = trained(monkeypatch, clock, seconds=25.0)
    assert network.training["pace"][0][1] < 20
    assert len(history["loss"]) == 20
    assert history["learning_rate"][-1] == pytest.approx(END)


@given(
    some.integers(1, 30),
    some.integers(2, 9),
    some.floats(0.1, 100),
    some.lists(some.floats(0.01, 10), min_size=30, max_size=30),
)
def test_the_schedule_is_gone_through_once_whatever_happens(
    epochs: int, steps: int, seconds: float, taken: list[float]
) -> None:
    pace, elapsed, epoch = Pace(epochs, steps, seconds), 0.0, 0
    places: list[float] = []
    while epoch < pace.epochs:
        epoch += 1
        places += pace.positions(epoch).tolist()
        elapsed += taken[epoch - 1]
        pace.epoch_ended(epoch, elapsed)
    assert len(places) == epoch * steps <= epochs * steps
    assert places[0] == 0
    assert places[-1] == pytest.approx(epochs * steps - 1)
    assert np.all(np.diff(places) > 0)


def test_the_command_says_so_and_records_what_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = Pace.epoch_ended

    def slow(self: Pace, epoch: int, elapsed: float) -> None:
        if self._seconds is not None:  # as if half of the time were gone
            self._seconds = 2.0 * elapsed if epoch == 2 else self._seconds
            change(self, epoch, elapsed)

    monkeypatch.setattr(Pace, "epoch_ended", slow)
    monkeypatch.setattr("striate.commands.choice.epochs_within", lambda *_: 9)
    folder = tmp_path / "run"
    command = ["train", "digits", "--minutes", "1", "--run", str(folder)]
    result = CliRunner().invoke(cli.main, command)
    assert result.exit_code == 0, result.stderr
    values = json.loads((folder / "result.json").read_text())
    done = values["epochs"]
    assert 2 < done < values["planned_epochs"] == 9
    words = f"{done} epochs were trained of the 9 planned, and the schedule was gone"
    assert words in " ".join(result.stderr.split())
    assert words in (folder / "report.md").read_text()
    options = json.loads((folder / "settings.json").read_text())["options"]
    assert (options["epochs"], options["pace"][0]) == (9, [2, values["epochs"]])
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
