"""The command line as its users meet it: what it prints, writes and returns."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from striate import cli
from striate.commands import doctor, options, pictures
from striate.data import load_data
from striate.network import load


def run(*arguments: object, stdin: bytes | None = None, **environment: str) -> Result:
    """Run a command line in this process; a traceback is never an answer."""
    result = CliRunner().invoke(
        cli.main, [str(one) for one in arguments], input=stdin, env=environment
    )
    assert "Traceback" not in result.stderr
    return result


def last_json(result: Result) -> dict[str, Any]:
    values = json.loads(result.stdout.splitlines()[-1])
    assert isinstance(values, dict)
    return values


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    path = tmp_path_factory.mktemp("trained") / "digits.safetensors"
    result = run("train", "digits", "--epochs", 3, "-o", path, "--json")
    assert result.exit_code == 0, result.stderr
    return path, result


@pytest.fixture
def model(trained: tuple[Path, Result]) -> Path:
    return trained[0]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with digits 4 and 9, dark and bright, one of them below a folder."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "below").mkdir()
    (folder / ".hidden").mkdir()
    pixels = load_data("digits")[1].images[:2, ..., 0]
    Image.fromarray(pixels[0]).save(folder / "four.png")
    Image.fromarray(255 - pixels[0]).save(folder / "four-on-paper.png")
    Image.fromarray(pixels[1]).save(folder / "below" / "nine.PNG")
    Image.fromarray(pixels[1]).save(folder / ".hidden" / "nine.png")
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture(autouse=True)
def quick_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CASES", 3)


# --- train ---------------------------------------------------------------------------


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
    assert re.fullmatch("[0-9a-f]{64}", settings["data"]["sha256"]["training"])
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "Missing argument 'DATA'"),
        (["train", "digits", "--epochs", "0"], "0 is not at least 1"),
        (["train", "digits", "--epochs", "many"], "'many' is not a whole number"),
        (
            ["train", "digits", "--network", "alexnet"],
            "'alexnet' is not one of 'auto'",
        ),
        (["train", "digits", "--learning-rate", "0"], "0 is not above 0"),
        (["train", "digits", "--learning-rate", "nan"], "nan is not above 0"),
        (["train", "digits", "--learning-rate", "inf"], "inf is not above 0"),
        (["train", "digits", "--learning-rate", "fast"], "'fast' is not a number"),
        (["train", "digits", "--momentum", "1"], "1 is not at least 0 and below 1"),
        (["train", "digits", "--validation", "1"], "1 is not at least 0 and below 1"),
        (
            ["train", "digits", "--fail-under", "98"],
            "98 is not at least 0 and at most 1",
        ),
        (["train", "digits", "--clip-norm", "0"], "0 is not above 0"),
        (
            ["train", "digits", "--label-smoothing", "1"],
            "1 is not at least 0 and below",
        ),
        (["train", "digits", "--seed", "-1"], "-1 is not at least 0 and at most"),
        (["train", "digits", "--threads", "0"], "0 is not at least 1 and at most 1024"),
        (
            ["train", "digits", "--schedule", "linear"],
            "'linear' is not one of 'constant'",
        ),
        (
            ["train", "digits", "--optimizer", "adam", "--momentum", "0.5"],
            "--momentum and --nesterov belong to --optimizer sgd",
        ),
        (
            ["train", "digits", "--nesterov", "--momentum", "0"],
            "needs momentum above 0",
        ),
        (["train", "digits", "-q", "-v"], "-q and -v contradict each other"),
        (["predict", "model"], "Missing argument 'FILE...'"),
        (["predict", "model", "a.png", "--top", "0"], "0 is not at least 1"),
        (["drain"], "No such command 'drain'"),
        (["--wrong"], "No such option"),
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nowhere"], "there is no data set or folder 'nowhere'"),
        (["train", "."], ". has no class folders with images"),
        (
            ["train", "digits", "-o", "no/m"],
            "cannot be saved as no/m: there is no folder",
        ),
        (["train", "digits", "-o", "."], "cannot be saved as .: that is a folder"),
        (["train", "digits", "--run", "file"], "run folder cannot be written: file"),
        (["test", "none", "digits"], "There is no model file none"),
        (["test", "file", "digits"], "file is not a whole model file"),
        (
            ["summary", "lenet6"],
            "There is no model file lenet6, and no network of that name; give the path",
        ),
        (["predict", "file", "a.png"], "file is not a whole model file"),
    ],
)
def test_problems_with_data_end_with_3(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("neither a model nor a folder")
    result = run(*arguments)
    assert result.exit_code == 3
    assert message in result.stderr
    assert result.stdout == ""
    assert os.listdir() == ["file"]


# --- test ----------------------------------------------------------------------------


def test_test_measures_a_saved_model(trained: tuple[Path, Result]) -> None:
    path, training = trained
    values = last_json(run("test", path, "digits", "--json"))
    assert values["accuracy"] == last_json(training)["test_accuracy"]
    assert values["images"] == 359
    confusion = np.array(values["confusion"])
    assert confusion.shape == (10, 10)
    assert confusion.trace() / confusion.sum() == values["accuracy"]
    for row, result in zip(confusion, values["per_class"], strict=True):
        assert row.sum() == result["images"]
        assert result["accuracy"] == result["correct"] / result["images"]
    network, test = load(path), load_data("digits")[1]
    assert values["accuracy"] == network.score(test.images, test.labels)
    people = run("test", path, "digits").stdout
    assert people.startswith(
        f"test accuracy {100 * values['accuracy']:.2f} % of 359 images"
    )


def test_test_knows_targets(model: Path) -> None:
    assert run("test", model, "digits", "--fail-under", 0.1).exit_code == 0
    assert run("test", model, "digits", "--fail-under", 1).exit_code == 4


# --- predict -------------------------------------------------------------------------


def test_predict_answers_as_the_network_does(model: Path, images: Path) -> None:
    result = run("predict", model, images / "four.png", "--json")
    values = last_json(result)
    pixels = np.asarray(Image.open(images / "four.png"))[None]
    network = load(model)
    expected = network.predict_proba(pixels)[0]
    assert values["file"] == str(images / "four.png")
    assert values["label"] == network.predict(pixels)[0]
    assert list(values["probabilities"].values()) == pytest.approx(expected, abs=1e-6)
    assert list(values["probabilities"]) == [str(name) for name in network.classes]
    assert values["probability"] == max(values["probabilities"].values())


def test_predict_turns_bright_backgrounds_and_says_so(
    model: Path, images: Path
) -> None:
    paper = images / "four-on-paper.png"
    dark = last_json(run("predict", model, images / "four.png", "--json"))
    turned = run("predict", model, paper, "--json")
    assert last_json(turned)["probabilities"] == dark["probabilities"]
    assert f"{paper}: its background is bright" in turned.stderr
    assert "inverted" in turned.stderr
    kept = run("predict", model, paper, "--json", "--no-invert")
    assert last_json(kept)["probabilities"] != dark["probabilities"]
    assert "kept as it is" in kept.stderr
    forced = run("predict", model, paper, "--json", "--invert")
    assert last_json(forced)["probabilities"] == dark["probabilities"]
    assert run("predict", model, paper, "-q").stderr == ""


def test_predict_reads_well(model: Path, images: Path) -> None:
    path = images / "four.png"
    line = run("predict", model, path).stdout
    assert re.fullmatch(rf"\d  [ \d]\d\d?\.\d %  {path}\n", line)
    top = run("predict", model, path, "--top", 3).stdout
    assert top.count(" % ") == 3
    assert top.startswith(line.split(" %")[0])
    listed = last_json(run("predict", model, path, "--top", 2, "--json"))
    shares = list(listed["probabilities"].values())
    assert len(shares) == 2
    assert shares[0] == listed["probability"] >= shares[1]


def test_predict_needs_the_name_of_a_file(model: Path) -> None:
    result = run("predict", model, "")
    assert result.exit_code == 3
    assert "Error: a file name is empty; give the path of an image" in result.stderr


def test_names_cannot_steer_the_terminal(
    model: Path, images: Path, tmp_path: Path
) -> None:
    network = load(model)
    network.classes = [f"\x1b[2J{digit}\x9b" for digit in range(10)]
    network.save(tmp_path / "m")
    file = tmp_path / "\x1b]0;title\x07\r.png"
    file.write_bytes((images / "four-on-paper.png").read_bytes())
    predicted = run("predict", tmp_path / "m", file)
    tested = run("test", tmp_path / "m", "digits")
    missing = run("predict", tmp_path / "m", "\x1bc.png")
    assert r"\x1b[2J4\x9b" in predicted.stdout
    assert r"\x1b]0;title\x07\r.png" in predicted.stdout
    assert r"\x1b]0;title\x07\r.png: its background is bright" in predicted.stderr
    assert r"\x1bc.png" in missing.stderr
    for words in (predicted.output, tested.output, missing.output):
        assert not set(words) & {"\x1b", "\x9b", "\x07", "\r"}


def test_predict_walks_folders_in_order(model: Path, images: Path) -> None:
    result = run("predict", model, images, "--json")
    files = [json.loads(line)["file"] for line in result.stdout.splitlines()]
    assert [os.path.relpath(file, images) for file in files] == [
        "four-on-paper.png",
        "four.png",
        "below/nine.PNG",
    ]
    assert "1 files that are no images passed over" in result.stderr


def test_predict_reads_standard_input(model: Path, images: Path) -> None:
    content = (images / "four.png").read_bytes()
    piped = last_json(run("predict", model, "-", "--json", stdin=content))
    named = last_json(run("predict", model, images / "four.png", "--json"))
    assert piped == named | {"file": "-"}
    empty = run("predict", model, "-", stdin=b"")
    assert empty.exit_code == 3
    assert "is empty" in empty.stderr


def test_predict_does_the_others_when_a_file_fails(
    model: Path, images: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes((images / "four.png").read_bytes()[:60])
    empty = tmp_path / "nothing"
    empty.mkdir()
    good = images / "four.png"
    result = run("predict", model, broken, good, tmp_path / "none.png", empty, "--json")
    assert result.exit_code == 3
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [sorted(answer) for answer in answers] == [
        ["error", "file"],
        ["file", "label", "probabilities", "probability", "rejected"],
        ["error", "file"],
        ["error", "file"],
    ]
    assert "broken.png" in answers[0]["error"]
    assert "none.png cannot be read: No such file" in answers[2]["error"]
    assert "has no image files in it" in answers[3]["error"]
    people = run("predict", model, broken, good)
    assert people.exit_code == 3
    assert people.stdout.endswith(f"{good}\n")
    assert people.stdout.count("\n") == 1
    assert "broken.png" in people.stderr


# --- summary, doctor, and what all verbs share ---------------------------------------


def test_summary_shows_networks_and_models(model: Path) -> None:
    table = run("summary", "lenet5").stdout
    assert "61,706" in table
    assert "416,520" in table
    assert run("summary", model).stdout == table
    values = last_json(run("summary", model, "--json"))
    assert values["totals"]["parameters"] == 61_706
    assert values["totals"]["multiply_adds"] == 416_520
    conv = values["layers"][3]
    assert {
        "name",
        "kind",
        "output_shape",
        "parameters",
        "multiply_adds",
    } <= conv.keys()
    assert (conv["name"], conv["output_shape"]) == ("conv2", [10, 10, 16])
    assert (conv["receptive_field"], conv["jump"]) == ([14, 14], [2, 2])


def test_doctor_finds_this_machine_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STRIATE_ISA", raising=False)
    result = run("doctor", "--json", XDG_CACHE_HOME=str(tmp_path), STRIATE_THREADS="3")
    values = last_json(result)
    assert result.exit_code == 0
    assert values["isa"] == values["isas"][0]
    assert values["isas"][-1] == "reference"
    assert values["threads"] == 3
    assert values["hardware_threads"] >= 1
    assert values["cache"] == str(tmp_path / "striate")
    assert values["data"]["digits"] == "built in"
    assert values["selftest"]["failures"] == []
    assert values["versions"]["numpy"] == np.__version__
    people = run("doctor", STRIATE_ISA="reference").stdout
    assert re.search(r"^instructions +reference \(also here: ", people, re.MULTILINE)
    assert re.search(r"^self-test +no failures in \d+ cases$", people, re.MULTILINE)


def test_doctor_says_where_data_lie(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "fashion-mnist"
    folder.mkdir(parents=True)
    for part, kind in (("train", "images"), ("train", "labels"), ("t10k", "images")):
        (folder / f"{part}-{kind}-idx{3 if kind == 'images' else 1}-ubyte").touch()
    environment = {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "STRIATE_DATA": str(tmp_path / "data"),
    }
    assert last_json(run("doctor", "--json", **environment))["data"] == {
        "digits": "built in",
        "mnist": None,
        "fashion-mnist": None,
    }
    (folder / "t10k-labels-idx1-ubyte.gz").touch()
    found = last_json(run("doctor", "--json", **environment))["data"]
    assert found["fashion-mnist"] == str(folder)


@pytest.mark.parametrize("verb", ["doctor", "train"])
def test_a_wrong_environment_is_wrong_usage(verb: str, tmp_path: Path) -> None:
    more = [] if verb == "doctor" else ["digits", "-o", tmp_path / "m"]
    for variable in ("STRIATE_ISA", "STRIATE_THREADS"):
        result = run(verb, *more, **{variable: "sixteen"})
        assert result.exit_code == 2
        assert "sixteen" in result.stderr


@pytest.mark.parametrize("verb", ["train", "test", "predict", "summary", "doctor"])
def test_every_verb_has_help_and_the_common_options(verb: str) -> None:
    result = run(verb, "--help")
    assert result.exit_code == 0
    for option in ("--json", "-q, --quiet", "-v, --verbose"):
        assert option in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 88
    assert run(verb, "-h").stdout == result.stdout
    assert f"  {verb} " in run("--help").stdout


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


def test_faults_of_our_own_are_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: str) -> None:
        raise RuntimeError("wires crossed")

    monkeypatch.setattr("striate.commands.summary.load", fail)
    result = run("summary", os.curdir)
    assert result.exit_code == 1
    assert "Error: RuntimeError: wires crossed" in result.stderr
    verbose = CliRunner().invoke(cli.main, ["summary", os.curdir, "-v"])
    assert verbose.exit_code == 1
    assert "Traceback" in verbose.stderr


def test_colour_is_left_out_where_it_is_not_wanted() -> None:
    wrong = ["summary", "none"]
    assert "\x1b[" in CliRunner().invoke(cli.main, wrong, color=True).stderr
    plain = CliRunner().invoke(cli.main, wrong, color=True, env={"NO_COLOR": "1"})
    assert "\x1b[" not in plain.stderr


# --- as a process of its own ---------------------------------------------------------


# Python heeds Ctrl-C only where its parent did not have it ignored, as shells do for
# what runs in the background.
AS_IN_A_TERMINAL = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("striate", run_name="__main__", alter_sys=True)
"""


def start(*arguments: object, cwd: Path | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
    )


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


def test_the_module_runs_and_tells_its_version() -> None:
    with start("-m", "striate", "--version") as process:
        stdout, stderr = process.communicate(timeout=20)
    assert re.fullmatch(r"striate, version \d+\.\d+\.\d+\n", stdout)
    assert (process.returncode, stderr) == (0, "")


def test_a_reader_that_leaves_early_is_no_error_of_ours() -> None:
    with start("-m", "striate", "summary", "lenet5") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        process.wait(timeout=20)


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
