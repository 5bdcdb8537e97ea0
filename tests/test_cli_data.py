"""The command line on folders of images: data, train, test, predict."""

import re
from pathlib import Path

import numpy as np
import pytest
from command_line import last_json, run
from PIL import Image

from striate.network import load

TRACKS = "(.+/[0-9]+)_"


@pytest.fixture(autouse=True)
def own_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    """Bars that lie and bars that stand, 60 each, six frames of each track."""
    rng = np.random.default_rng(0)
    for number in range(120):
        image = rng.integers(0, 60, (20, 24, 3), np.uint8)
        place = rng.integers(4, 16)
        if number % 2:
            image[:, place : place + 3] += 150
        else:
            image[place : place + 3] += 150
        folder = tmp_path / "bars" / ("standing" if number % 2 else "lying")
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{number // 12:03}_{number // 2 % 6}.png"
        Image.fromarray(image).save(folder / name)
    return tmp_path / "bars"


def test_a_folder_is_trained_tested_and_used(bars: Path) -> None:
    result = run("train", bars, "--epochs", 12, "-o", "m.safetensors", "--json")
    assert result.exit_code == 0, result.stderr
    values = last_json(result)
    counts = [values[f"{part}_images"] for part in ("train", "validation", "test")]
    assert sum(counts) == 120
    assert min(counts) > 0
    assert values["test_accuracy"] >= 0.9
    assert (
        f"data bars: {counts[0]} images to train, {counts[1]} to val" in result.stderr
    )
    assert "  size 20x24, as all images have" in result.stderr
    assert (
        f"10 % of all images test (here {counts[2]} of 120), by content and seed 0"
        in result.stderr
    )
    assert f"(here {counts[1]} of {counts[0] + counts[1]}), by" in result.stderr

    measured = run("test", "m.safetensors", bars, "--json")
    assert last_json(measured)["images"] == counts[2]
    assert last_json(measured)["accuracy"] == values["test_accuracy"]
    learned = counts[0] + counts[1]
    assert (
        f"{counts[2]} of 120 images measured; the model has learned from the other "
        f"{learned}" in measured.stderr
    )
    network = load("m.safetensors")
    assert network.input_shape == (20, 24, 3)
    (answer,) = network.predict_files([bars / "lying" / "000_0.png"])
    assert answer.label == "lying"


def test_new_files_are_tested_and_old_ones_not(bars: Path) -> None:
    run("train", bars, "--epochs", 1, "-o", "m.safetensors", "--test-share", 0)
    assert "took part in its training" in run("test", "m.safetensors", bars).stderr
    image = Image.open(bars / "lying" / "000_0.png").transpose(1)
    image.save(bars / "lying" / "new.png")
    measured = run("test", "m.safetensors", bars)
    assert "1 of 121 images measured" in measured.stderr
    (bars / "lying" / "new.png").write_bytes(b"broken")
    measured = run("test", "m.safetensors", bars)
    assert measured.exit_code == 3


def test_groups_stay_together_and_are_remembered(bars: Path) -> None:
    group = "^([0-9]+)_"
    run("train", bars, "--epochs", 1, "-o", "m.safetensors", "--group", group)
    measured = last_json(run("test", "m.safetensors", bars, "--json"))
    assert measured["images"] % 12 == 0  # whole tracks of both classes
    known = [path for path in bars.glob("lying/*") if path.name.startswith("000")]
    Image.open(known[0]).transpose(1).save(bars / "lying" / "000_9.png")
    again = last_json(run("test", "m.safetensors", bars, "--json"))
    assert again["images"] in (measured["images"], measured["images"] + 1)


def test_names_without_a_group_are_tested_unless_learned(
    bars: Path, tmp_path: Path
) -> None:
    group = ("--group", "^([0-9]+)_", "--test-share", 0)
    run("train", bars, "--epochs", 1, "-o", "m.safetensors", *group)
    fresh = tmp_path / "fresh"
    for number, path in enumerate(sorted(bars.glob("*/*"))[::10]):
        (fresh / path.parent.name).mkdir(parents=True, exist_ok=True)
        copy = fresh / path.parent.name / f"holiday{number}.png"
        copy.write_bytes(path.read_bytes())
    result = run("test", "m.safetensors", fresh)
    assert "all 12 images took part in its training\n" in result.stderr
    for number, path in enumerate(sorted(fresh.glob("*/*"))[:9]):
        name = f"000_new{number}.png" if number < 4 else path.name
        Image.open(path).transpose(1).save(path.with_name(name))
    result = run("test", "m.safetensors", fresh, "--json")
    assert last_json(result)["images"] == 5
    assert (
        "5 of 16 images measured; 4 left out: their group was trained on; the model "
        "has learned from the other 7" in result.stderr
    )
    copies = sorted(fresh.glob("*/holiday*"))
    for path in (*copies[:4], *copies[9:]):  # those that were learned
        path.unlink()
    result = run("test", "m.safetensors", fresh)
    assert "5 of 9 images measured; 4 left out: their group" in result.stderr
    assert "learned" not in result.stderr


def test_a_drawn_split(bars: Path) -> None:
    command = ["train", bars, "--epochs", 1, "--json", "-o", "m.safetensors"]
    values = last_json(run(*command, "--train-per-class", 5))
    assert values["train_images"] == 10
    assert values["validation_images"] == 0
    assert values["test_images"] == 110
    values = last_json(run(*command, "--train-per-class", 50, "--validation", 0.2))
    assert values["train_images"] + values["validation_images"] == 100
    assert values["validation_images"] > 0


def test_without_a_test_part_the_validation_part_is_measured(bars: Path) -> None:
    command = ["train", bars, "--epochs", 1, "-o", "m.safetensors", "--test-share", 0]
    result = run(*command, "--fail-under", 1.0, "--learning-rate", 1e-9)
    assert "test accuracy" not in result.stdout
    assert "validation accuracy" in result.stdout
    assert result.exit_code == 4
    assert "the validation accuracy of" in result.stderr
    result = run(*command, "--validation", 0, "--fail-under", 0.5)
    assert result.exit_code == 2
    assert "neither a test nor a validation part" in result.stderr
    assert run(*command, "--validation", 0).stdout.startswith("model m.safetensors")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--size", "4"], 3, "vgg needs images of at least 8x8 pixels but gets 4x4"),
        (["--size", "big"], 2, "'big' is not a size, such as 32 or 48x64"),
        (["--size", "0x5"], 2, "has a side not from 1 to 65536"),
        (["--fit", "bend"], 2, "'bend' is not one of 'pad', 'crop', 'stretch'"),
        (["--test-share", "1"], 2, "1 is not at least 0 and below 1"),
        (["--group", "("], 2, "is no regular expression"),
        (["--train-per-class", "80"], 3, "has 60 images but 80 of every class"),
        (["--train-per-class", "5", "--group", "^(.)"], 2, "would tear groups apart"),
        (["--train-per-class", "5", "--test-share", ".1"], 2, "contradict each other"),
    ],
)
def test_options_that_do_not_go(
    bars: Path, options: list[str], code: int, message: str
) -> None:
    result = run("train", bars, *options)
    assert result.exit_code == code, result.stderr
    assert message in result.stderr
    assert list(Path().iterdir()) == []


def test_classes_without_a_test_image_stand_beside_the_accuracy(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    for number in range(30):  # twenty of one class, two of each of five others
        folder = tmp_path / "few" / f"class{max(0, (number - 18) // 2)}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    result = run("train", tmp_path / "few", "--epochs", 1, "--run", "r", "--json")
    values = last_json(result)
    untested = values["test_untested_classes"]
    assert untested
    share = f"{len(untested)} of 6 classes untested"
    assert f"has no image of '{untested[0]}'" in result.stderr
    assert "; a larger --test-share gives it more" in result.stderr
    page = Path("r/report.md").read_text()
    assert f"{share}: '{untested[0]}'" in page
    assert page.startswith("# few: vgg of width ")
    mistakes = re.findall(r"\| (class\d/\d+.png) \| (class\d) \| class\d \|", page)
    assert len(mistakes) == values["test_images"] * (1 - values["test_accuracy"])
    assert all(name.startswith(true) for name, true in mistakes)
    model = values["model"]
    first = run("test", model, tmp_path / "few").stdout.splitlines()[0]
    assert first.endswith(f"%); {share}")
    told = last_json(run("test", model, tmp_path / "few", "--json"))
    assert told["untested_classes"] == untested


def test_strict(bars: Path) -> None:
    (bars / "lying" / "bad.png").write_bytes(b"broken")
    result = run("data", bars, "--strict")
    assert result.exit_code == 3
    assert "bad.png is not an image file" in result.stderr
    result = run("data", bars, "-v")
    assert result.exit_code == 0
    assert "1 of 121 images cannot be read and is left out: " in result.stdout


def test_data_tells_what_training_would_do(bars: Path) -> None:
    options = ("--size", "16", "--fit", "crop", "--no-cache", "--group", TRACKS)
    result = run("data", bars, *options)
    assert result.exit_code == 0, result.stderr
    words = result.stdout
    assert words.startswith(
        "bars: 120 images in 2 classes; photographs, in colour, 20x24"
    )
    assert "size 16x16 (as asked), made from 20x24; cropped: " in words
    assert "No problems found." in words
    assert words.endswith("contact sheet bars-sheet.png\n")
    table = {
        cells[0]: list(map(int, cells[-3:]))
        for line in words.splitlines()[2:6]
        if (cells := line.split())[0] != "class"
    }
    assert sum(table["lying"]) == sum(table["standing"]) == 60
    assert table["all"] == [
        sum(two) for two in zip(table["lying"], table["standing"], strict=True)
    ]
    with Image.open("bars-sheet.png") as sheet:
        assert sheet.width > 8 * 96


def test_data_as_json_agrees_with_training(bars: Path) -> None:
    options = ("--json", "--seed", 0, "--group", TRACKS)
    told = last_json(run("data", bars, *options, "-o", "sheet.png"))
    command = ["train", bars, "--epochs", 1, *options]
    values = last_json(run(*command))
    assert told["images"] == {
        "training": values["train_images"],
        "validation": values["validation_images"],
        "test": values["test_images"],
    }
    assert told["size"] == [20, 24]
    assert told["kind"] == "photographs"
    assert told["classes"].keys() == {"lying", "standing"}
    assert told["unreadable"] == told["notes"] == []


def test_data_of_many_classes(tmp_path: Path) -> None:
    for number in range(120):
        folder = tmp_path / "many" / f"kind {number}"
        folder.mkdir(parents=True)
        image = np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(image).save(folder / "a.bmp")
    result = run("data", tmp_path / "many", "-o", "sheet.png", "--no-cache")
    assert result.exit_code == 0, result.stderr
    assert "... 100 classes between ..." in result.stdout
    assert len(result.stdout.splitlines()) < 50


def test_a_sheet_that_cannot_be_written(bars: Path) -> None:
    result = run("data", bars, "-o", "no/sheet.png")
    assert result.exit_code == 3
    assert "The contact sheet cannot be written as no/sheet.png" in result.stderr


def test_published_sets_are_told_too() -> None:
    words = run("data", "digits").stdout
    assert words.startswith("digits: 1,797 images in 10 classes; drawings, grey, 28x28")
    result = run("data", "digits", "--size", 20)
    assert result.exit_code == 2
    assert "--size is for folders, tables and arrays of images" in result.stderr
