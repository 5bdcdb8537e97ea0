"""`striate predict`: answers for files, folders and standard input."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import last_json, run
from PIL import Image

from striate.data import load_data
from striate.network import load


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
