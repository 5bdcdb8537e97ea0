"""`striate summary`: networks and models as tables."""

from pathlib import Path

import numpy as np
import pytest
from command_line import last_json, run
from PIL import Image


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


def test_a_unit_tells_what_it_sees(model: Path, tmp_path: Path) -> None:
    told = run("summary", "lenet5", "--unit", "conv2:4,4").stdout
    assert told == (
        "conv2 (4, 4) sees 14x14 pixels of the 32x32 input: rows 8 to 21, columns 8 to "
        "21\n"
    )
    photo = tmp_path / "photo.png"
    Image.fromarray(np.zeros((280, 140), np.uint8)).save(photo)
    asked = ("summary", model, "--unit", "conv2:4,4", "--image", photo)
    assert run(*asked).stdout.splitlines()[1] == (
        f"in {photo}, 280x140 pixels: rows 60 to 199, columns 0 to 129"
    )
    assert last_json(run(*asked, "--json")) == {
        "layer": "conv2",
        "unit": [4, 4],
        "size": [14, 14],
        "center": [14.5, 14.5],
        "box": [8, 8, 22, 22],
        "whole": [8, 8, 22, 22],
        "pixels": 196,
        "file": str(photo),
        "file_size": [280, 140],
        "file_box": [60, 0, 200, 130],
    }
    edge = run("summary", model, "--unit", "conv1:0,0", "--image", photo).stdout
    assert edge.splitlines()[1].startswith("nothing of ")
    assert "only the background around it" in edge
    middle = run("summary", "vgg", "--unit", "conv1").stdout
    assert middle.startswith("conv1 (16, 16) sees 3x3 pixels of the 32x32 input")
    padded = run("summary", "vgg", "--unit", "conv2:0,31").stdout
    assert "5x5 pixels of the 32x32 input, of which 3x3 are in the image" in padded


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--unit", "conv9"), 2, "no layer 'conv9'; the layers are conv1, relu1"),
        (
            ("--unit", "conv2:4"),
            2,
            "such as conv2:4,4 for row 4 and column 4, or a lay",
        ),
        (
            ("--unit", "conv2:40,4"),
            3,
            "no unit (40, 4) in a map of 10x10; rows go from",
        ),
        (("--unit", "conv2:99999999,4"), 3, "no unit (99999999, 4) in a map of 10x10"),
        (("--unit", "conv2:999999999,4"), 2, "a place in its map, such as conv2:4,4"),
        (("--image", "a.png"), 2, "say which: --unit conv2:4,4"),
        (("--unit", "conv2", "--image", "a.png"), 2, "not trained on uint8 images"),
    ],
)
def test_units_and_files_that_cannot_be_told(
    options: tuple[str, ...], code: int, message: str
) -> None:
    result = run("summary", "lenet5", *options)
    assert result.exit_code == code
    assert message in " ".join(result.stderr.split())


def test_files_that_are_none(model: Path) -> None:
    result = run("summary", model, "--unit", "conv2", "--image", "nothing.png")
    assert result.exit_code == 3
    assert "nothing.png cannot be read: No such file" in result.stderr
