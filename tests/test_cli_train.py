"""`striate train` as its users meet it: what it prints, writes and returns."""

import csv
import io
import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from command_line import last_json, run, start
from PIL import Image

from striate.commands import options, pictures
from striate.data import load_data
from striate.network import load


def test_train_ends_with_one_json_object(trained: tuple[Path, Result]) -> None:
    path, result = trained
    values = last_json(result)
    assert result.stdout.count("\n") == 1
    assert values["model"] == str(path)
    assert values["model_bytes"] == path.stat().st_size
    assert values["network"] == "lenet5"
    assert values["parameters"] == 61_706
    assert (values["train_images"], values["test_images"]) == (1438, 359)
    assert (values["epochs"], values["seed"], values["finished"]) == (3, 0, True)
    assert values["threads"] >= 1
    assert isinstance(values["isa"], str)
    assert values["train_seconds"] > 0
    assert values["images_per_second"] > 0
    assert values["validation_accuracy"] is None
    low, high = values["test_interval"]
    assert 0.3 < low < values["test_accuracy"] < high <= 1


def test_train_says_what_it_does_on_stderr(trained: tuple[Path, Result]) -> None:
    words = trained[1].stderr
    assert (
        "data digits: 1,438 images to train, 359 to test; 28x28x1, 10 classes" in words
    )
    assert "network lenet5: 61,706 parameters" in words
    lines = [line for line in words.splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    assert re.search(r"loss \d\.\d{4}  accuracy \d+\.\d\d %  [\d,]+ images/s", lines[0])
    assert "\r" not in words
    assert "\x1b" not in words


def test_train_reports_to_people(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    result = run("train", "digits", "--epochs", 1, "-q", "-o", path)
    assert result.exit_code == 0
    assert result.stderr == ""
    first, *others = result.stdout.splitlines()
    assert re.fullmatch(
        r"test accuracy \S+ % of 359 images \(95 % interval \S+ to \S+ %\)", first
    )
    assert re.fullmatch(
        r"worst classes: (\d \(\d+ of \d+ right, \d+ taken for \d\)(, )?){3}", others[0]
    )
    assert others[-1] == f"model {path}, {path.stat().st_size:,} bytes"


def test_names_and_epochs_are_chosen_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(options, "default_epochs", lambda images: images - 1437)
    result = run("train", "digits", "--network", "lenet5-1998", "--json", "-v")
    assert (
        "epochs 1 (chosen by the number of images; --epochs changes it)"
        in result.stderr
    )
    assert "optimizer=SGD(" in result.stderr
    assert last_json(result)["model"] == "digits-lenet5-1998.safetensors"
    assert [path.name for path in tmp_path.iterdir()] == [
        "digits-lenet5-1998.safetensors"
    ]


def test_options_reach_the_training_record(tmp_path: Path) -> None:
    path = tmp_path / "m"
    result = run(
        *("train", "digits", "--epochs", 1, "-o", path, "--optimizer", "adamw"),
        *("--learning-rate", 0.002, "--weight-decay", 0.05, "--clip-norm", 2),
        *("--schedule", "cosine", "--label-smoothing", 0.1, "--batch-size", 64),
        *("--seed", 5, "--threads", 1, "--json"),
    )
    assert result.exit_code == 0, result.stderr
    assert (last_json(result)["seed"], last_json(result)["threads"]) == (5, 1)
    record = json.dumps(load(path).training)
    for part in ('"adamw"', "0.002", "0.05", '"cosine"', "0.1", "64", '"seed": 5'):
        assert part in record


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    for name, seed, threads in (("a", 1, 1), ("b", 1, 2), ("c", 2, 2)):
        seeds = ("--seed", seed, "--threads", threads)
        result = run("train", "digits", "--epochs", 1, *seeds, "-o", tmp_path / name)
        assert result.exit_code == 0
    first, same, other = (load(tmp_path / name).weights for name in "abc")
    assert all(np.array_equal(first[name], same[name]) for name in first)
    assert not all(np.array_equal(first[name], other[name]) for name in first)


def test_validation_images_come_from_the_training_images(tmp_path: Path) -> None:
    arguments = ("train", "digits", "--epochs", 1, "--validation", 0.2)
    result = run(*arguments, "-o", tmp_path / "m", "--json")
    values = last_json(result)
    assert values["train_images"] + values["validation_images"] == 1438
    assert values["validation_images"] == pytest.approx(0.2 * 1438, abs=5)
    assert values["test_images"] == 359
    assert 0 < values["validation_accuracy"] < 1
    assert "validation " in result.stderr
    assert "validation accuracy" in run(*arguments, "-o", tmp_path / "m").stdout


def test_a_run_folder_tells_the_whole_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "available", lambda: False)
    folder = tmp_path / "runs" / "first"
    arguments = (
        "train",
        "digits",
        "--epochs",
        2,
        "--seed",
        3,
        "--run",
        folder,
        "--json",
    )
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in folder.iterdir()) == [
        "digits-lenet5.safetensors",
        "history.csv",
        "report.md",
        "result.json",
        "settings.json",
    ]
    rows = list(csv.DictReader(io.StringIO((folder / "history.csv").read_text())))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])
    settings = json.loads((folder / "settings.json").read_text())["record"]
    assert settings["settings"]["epochs"] == 2
    assert settings["seed"] == 3
    assert settings["versions"]["numpy"] == np.__version__
    assert settings["data"]["images"] == {"training": 1438, "test": 359}
    training = load(folder / "digits-lenet5.safetensors").training
    assert re.fullmatch("[0-9a-f]{64}", training["data_sha256"])
    assert settings["data"]["sha256"]["training"] == training["data_sha256"]
    assert json.loads((folder / "result.json").read_text()) == last_json(result)

    again = run(*arguments)
    assert again.exit_code == 2
    assert f"{folder} holds a run already; name another folder" in again.stderr


def test_a_target_not_met_ends_with_4(tmp_path: Path) -> None:
    result = run(
        *("train", "digits", "--epochs", 1, "-o", tmp_path / "m", "--fail-under", 1)
    )
    assert result.exit_code == 4
    assert "is below the target of 100.00 %" in result.stderr
    assert (tmp_path / "m").exists()


def test_a_loss_that_is_not_finite_ends_with_1_and_good_weights(tmp_path: Path) -> None:
    path = tmp_path / "m"
    arguments = ("train", "digits", "--epochs", 2, "-o", path, "--json")
    result = run(*arguments, "--learning-rate", 1e30, "--schedule", "constant")
    assert result.exit_code == 1
    assert "is not finite any more in epoch 1" in result.stderr
    assert "lower learning_rate" in result.stderr
    assert last_json(result)["finished"] is False
    assert all(np.isfinite(weight).all() for weight in load(path).weights.values())


def test_the_help_of_train_shows_defaults() -> None:
    text = " ".join(run("train", "--help").stdout.split())
    for default in (
        "128",
        "sgd",
        "one-cycle",
        "[default: DATA-",
        "8 for MNIST",
    ):
        assert default in text


# --- Ctrl-C ---------------------------------------------------------------------------


# Python heeds Ctrl-C only where its parent did not have it ignored, as shells do for
# what runs in the background.
AS_IN_A_TERMINAL = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("striate", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A training run that has told of its first epoch and would go on for hours."""
    arguments = ("train", "digits", "--epochs", 10**4, "-o", "m.safetensors", "--json")
    with start("-c", AS_IN_A_TERMINAL, *arguments, cwd=tmp_path) as process:
        try:
            assert process.stderr is not None
            while not process.stderr.readline().startswith("epoch "):
                assert process.poll() is None
            yield process
        finally:
            process.kill()


def interrupt(process: subprocess.Popen[str]) -> tuple[dict[str, Any], str]:
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    assert time.monotonic() - began < 5
    assert process.returncode == 130
    assert "Traceback" not in stderr
    values = json.loads(stdout)
    assert isinstance(values, dict)
    return values, stderr


def test_ctrl_c_saves_reports_and_ends_with_130(
    endless: subprocess.Popen[str], tmp_path: Path
) -> None:
    values, words = interrupt(endless)
    assert re.search(r"Interrupted in epoch \d+ of 10000, near step \d+ of 45", words)
    assert values["finished"] is False
    assert values["epochs"] >= 1
    assert values["model"] == "m.safetensors"
    test = load_data("digits")[1]
    score = load(tmp_path / "m.safetensors").score(test.images, test.labels)
    assert score == values["test_accuracy"]


def test_an_unfinished_model_replaces_no_other(
    endless: subprocess.Popen[str], tmp_path: Path
) -> None:
    (tmp_path / "m.safetensors").write_text("finished before")
    values, words = interrupt(endless)
    assert values["model"] == "m.unfinished.safetensors"
    assert "the model that was there stays" in words
    assert (tmp_path / "m.safetensors").read_text() == "finished before"
    load(tmp_path / "m.unfinished.safetensors")


def test_augmentation_is_a_level_and_settings_that_override_it(tmp_path):
    model = tmp_path / "model.safetensors"
    options = ["--augment", "light", "--rotation", "3", "--flip", "horizontal"]
    result = run(
        "train",
        "digits",
        "--epochs",
        1,
        *options,
        "-o",
        model,
        "--run",
        tmp_path / "run",
    )
    assert result.exit_code == 0
    done = load(model).training["settings"]["augmentation"]
    assert (done["level"], done["rotation"], done["flip"]) == ("light", 3, "horizontal")
    assert done["shift"] > 0
    with Image.open(tmp_path / "run" / "augmented.png") as page:
        assert page.width > 2 * 96  # ten digits, each as it is and in one epoch
        assert page.height > 10 * 96
    again = tmp_path / "again.safetensors"
    result = run("train", "--config", tmp_path / "run" / "settings.json", "-o", again)
    assert result.exit_code == 0
    assert again.read_bytes() == model.read_bytes()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--augment", "wild"], "'wild' is not one of 'none', 'light'"),
        (["--rotation", "300"], "300 is not at least 0 and at most 180"),
        (["--mixup", "much"], "'much' is not a number"),
        (["--hue", "5"], "by hue needs images of 3 channels but these have 1"),
    ],
)
def test_augmentation_that_means_nothing_is_wrong_usage(options, text, tmp_path):
    model = tmp_path / "model.safetensors"
    result = run("train", "digits", "--epochs", 1, "-o", model, *options)
    assert result.exit_code == 2
    assert text in result.stderr
    assert not model.exists()
