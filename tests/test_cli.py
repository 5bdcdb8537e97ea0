"""The command line as a whole: help, errors, exit codes, and as a process of its own."""

import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from command_line import run, start

from striate import cli
from striate.commands import doctor


@pytest.fixture(autouse=True)
def quick_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CASES", 3)


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


@pytest.mark.parametrize("verb", ["doctor", "train"])
def test_a_wrong_environment_is_wrong_usage(verb: str, tmp_path: Path) -> None:
    more = [] if verb == "doctor" else ["digits", "-o", tmp_path / "m"]
    for variable in ("STRIATE_ISA", "STRIATE_CONVOLUTION", "STRIATE_THREADS"):
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


def test_the_list_of_verbs_says_whole_sentences() -> None:
    verbs = run("--help").stdout.partition("Commands:")[2]
    assert "train " in verbs
    assert "..." not in verbs


def test_faults_of_our_own_are_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: str) -> None:
        raise RuntimeError("wires crossed")

    monkeypatch.setattr("striate.commands.model_or_network.load", fail)
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
