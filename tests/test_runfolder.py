"""The run folder: its settings.json repeats the run; the best network is kept."""

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner
from command_line import run

from striate import Dense, Flatten, Network, cli, load
from striate.commands import pictures
from striate.commands.config import config_option, recorded_options
from striate.commands.runfolder import RunFolder
from striate.data import Dataset


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "available", lambda: False)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "first"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "available", lambda: False)
        result = run(
            *("train", "digits", "--epochs", 1, "--seed", 7, "--validation", 0.2),
            *("--nesterov", "--batch-size", 50, "--clip-norm", 0.5, "--run", folder),
        )
    assert result.exit_code == 0, result.stderr
    return folder


def options_of(folder: Path) -> dict[str, Any]:
    values = json.loads((folder / "settings.json").read_text())
    assert list(values) == ["options", "record"]
    options: dict[str, Any] = values["options"]
    return options


def test_a_run_is_repeated_bit_for_bit(first: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    result = run("train", "--config", first / "settings.json", "--run", again)
    assert result.exit_code == 0, result.stderr
    assert "differ" not in result.stderr
    model = "digits-lenet5.safetensors"
    assert (again / model).read_bytes() == (first / model).read_bytes()
    assert options_of(again) == options_of(first)
    repeated = json.loads((again / "settings.json").read_text())["record"]
    original = json.loads((first / "settings.json").read_text())["record"]
    assert repeated.pop("model") != original.pop("model")
    assert repeated == original


def test_the_file_has_every_option_by_its_name(first: Path) -> None:
    options = options_of(first)
    given = {"data": "digits", "epochs": 1, "seed": 7, "validation": 0.2}
    given |= {"network": "lenet5", "nesterov": True, "batch_size": 50, "clip_norm": 0.5}
    assert given.items() <= options.items()
    named = {
        max(one.opts, key=len).lstrip("-").replace("-", "_")
        for one in cli.train.train.params
    }
    here = {"config", "help", "json", "quiet", "verbose", "output", "run"}
    assert set(options) == named - here


def test_what_is_given_counts_more_and_differences_are_told(
    first: Path, tmp_path: Path
) -> None:
    config = ("--config", first / "settings.json")
    other = tmp_path / "other"
    result = run("train", *config, "--seed", 8, "--no-nesterov", "--run", other)
    assert result.exit_code == 0, result.stderr
    assert "the images differ from the run in --config" in result.stderr  # by the seed
    assert "instruction set" not in result.stderr
    changed = options_of(first) | {"seed": 8, "nesterov": False}
    assert options_of(other) == changed
    weights = [
        load(one / "digits-lenet5.safetensors").weights for one in (first, other)
    ]
    assert any(
        not np.array_equal(weights[0][name], weights[1][name]) for name in weights[0]
    )


def test_the_chosen_number_of_epochs_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("striate.commands.options.default_epochs", lambda images: 1)
    assert run("train", "digits", "--run", tmp_path / "a").exit_code == 0
    assert options_of(tmp_path / "a")["epochs"] == 1


def test_the_best_epoch_is_kept_beside_the_last(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 6, 6, 1), dtype=np.uint8)
    labels = np.arange(60) % 3
    wrong = Dataset(pixels, labels[::-1].copy(), ("0", "1", "2"), "wrong")
    network, folder = Network([Flatten(), Dense(3)], (6, 6, 1)), RunFolder(tmp_path)
    history = network.fit(  # what is learned makes the validation loss worse
        pixels,
        labels,
        epochs=6,
        validation_data=(pixels, wrong.labels),
        callbacks=[folder],
    )
    lowest = int(np.argmin(history["val_loss"])) + 1
    assert folder.write_best(network, wrong) == lowest < 6
    best = load(tmp_path / "best.safetensors")
    loss, _ = best.loss_and_gradients(pixels, wrong.labels)
    assert loss == pytest.approx(history["val_loss"][lowest - 1], rel=1e-5)
    assert best.training["best_epoch"] == lowest
    assert best.temperature != network.temperature == 1.0

    network.set_weights(best.weights)
    (tmp_path / "best.safetensors").unlink()
    assert folder.write_best(network, wrong) is None  # it is the best already
    assert not (tmp_path / "best.safetensors").exists()


def test_the_best_epoch_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunFolder, "write_best", lambda self, network, validation: 1)
    arguments = ["train", "digits", "--epochs", 2, "--validation", 0.2, "--json"]
    result = run(*arguments, "--run", tmp_path / "a")
    assert json.loads(result.stdout)["best_epoch"] == 1
    page = (tmp_path / "a" / "report.md").read_text()
    assert "Validation loss was lowest in epoch 1: best.safetensors is" in page


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "settings.json is not JSON"),
        ("[1]", 'has no "options"; give the settings.json of a run folder'),
        ('{"epochs": 3}', 'has no "options"'),
        (
            '{"options": {"epoch": 3}}',
            "'epoch' is no option that train takes from a file; these are data,",
        ),
        ('{"options": {"run": "a"}}', "'run' is no option that train takes"),
        ('{"options": {"epochs": {"a": 1}}}', "epochs must be one value or a list"),
        (
            '{"options": {"data": "digits", "epochs": 1.5}}',
            "'1.5' is not a whole number",
        ),
        (
            '{"options": {"data": "digits", "epochs": true}}',
            "'True' is not a whole number",
        ),
        ('{"options": {"data": "digits", "epochs": [1]}}', "is not a whole number"),
        (
            '{"options": {"data": "digits", "learning_rate": 1e999}}',
            "inf is not above 0",
        ),
        ('{"options": {"data": "digits", "network": 5}}', "'5' is not one of 'auto'"),
        ('{"options": {"epochs": 1}}', "Missing argument 'DATA'"),
    ],
)
def test_files_that_are_no_settings_are_refused(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "settings.json"
    path.write_text(content)
    result = run("train", "--config", path)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert [one.name for one in tmp_path.iterdir()] == ["settings.json"]


def test_a_file_that_is_not_there_is_told() -> None:
    result = run("train", "--config", "nowhere.json")
    assert result.exit_code == 2
    assert "nowhere.json cannot be read: No such file or directory" in result.stderr


def test_any_kind_of_option_comes_back_as_it_was(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []

    @click.command()
    @click.argument("data")
    @click.option("--pair", type=(int, float))
    @click.option("--many", multiple=True)
    @click.option("--flag/--no-flag", default=None)
    @click.option("--deep-name", "short", type=click.Choice(["a", "b"]), default="a")
    @config_option
    def verb(**options: Any) -> None:
        context = click.get_current_context()
        content = {"options": recorded_options(context)}
        (tmp_path / "options.json").write_text(json.dumps(content))
        seen.append(options)

    given = ["here", "--pair", "1", "0.5", "--many", "x", "--many", "y", "--no-flag"]
    for arguments in (given, ["--config", str(tmp_path / "options.json")]):
        result = CliRunner().invoke(verb, [*arguments])
        assert result.exit_code == 0, result.output
    assert seen[0] == seen[1]
    assert seen[0]["pair"] == (1, 0.5)
    assert seen[0]["many"] == ("x", "y")
    assert seen[0]["flag"] is False
