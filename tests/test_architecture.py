"""Architectures in files: written by hand, by `striate design`, or part of a model."""

import json
from pathlib import Path

import pytest
from command_line import last_json, run

import striate as st
from striate.errors import ModelFileError, ShapeError
from striate.layers import Conv2D, Dense, Flatten, GlobalAvgPool2D, ReLU, Residual
from striate.saving.architecture import (
    Architecture,
    read_architecture,
    write_architecture,
)

LAYERS = (
    Conv2D(4, 3, padding="same"),
    Residual([Conv2D(4, (3, 1), padding=(1, 0)), ReLU()]),
    GlobalAvgPool2D(),
    Dense(10),
)
SMALL = Architecture(LAYERS, (28, 28, 1))


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "small.json"
    write_architecture(path, SMALL)
    return path


def test_what_is_written_is_read_back(net: Path) -> None:
    assert read_architecture(net) == SMALL
    lines = net.read_text().splitlines()
    assert len(lines) == len(LAYERS) + 5  # a layer a line, to be changed by hand


def test_a_model_file_has_the_same_in_its_metadata(net: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    st.Network(LAYERS, (28, 28, 1)).save(path)
    assert read_architecture(path) == SMALL == read_architecture(net)


def test_it_becomes_a_network_for_the_images_there_are() -> None:
    """Smaller ones are centred; channels and classes are theirs."""
    network = SMALL.network((20, 26, 3), 7, seed=3)
    assert network.input_shape == (28, 28, 3)
    assert network.resolved[-1].output_shape == (7,)
    assert network.seed == 3
    assert network.layers[:-1] == LAYERS[:-1]
    assert SMALL.network().layers == LAYERS


def test_images_and_classes_it_cannot_take_are_told() -> None:
    with pytest.raises(
        ShapeError, match="input of 28x28 pixels but the images are of 3"
    ):
        SMALL.network((30, 28, 1), 10)
    with pytest.raises(
        ShapeError, match="7 classes need a network that ends in as many"
    ):
        Architecture((Flatten(),), (2, 2, 1)).network((2, 2, 1), 7)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not a JSON object"),
        ("[1, 2]", "is not a JSON object .list in place of an object.; mend it"),
        ('{"layers": [], "layers": []}', "a name stands twice"),
        ('{"layers": []}', 'must hold "input_shape" and "layers" but holds .layers'),
        ('{"input_shape": [8, 8, 1], "layers": []}', "needs at least one layer"),
        ('{"input_shape": [8, 8, 1], "layers": 5}', "must be lists"),
        ('{"input_shape": 5, "layers": []}', "must be lists"),
        (
            '{"input_shape": [8, 8], "layers": [{"kind": "ReLU"}]}',
            "input_shape must be",
        ),
        ('{"input_shape": [8, 8, 0.5], "layers": [{"kind": "ReLU"}]}', "whole number"),
        (
            '{"input_shape": [8, 8, 1], "layers": [{"kind": "Relu"}]}',
            "by its kind, one",
        ),
        (
            '{"input_shape": [8, 8, 1], "layers": [{"kind": "Dense", "units": 3}]}',
            r"Dense\(3\) at layer 1 \(dense1\) needs a flat input",
        ),
        (
            '{"input_shape": [8, 8, 1], "layers": [{"kind": "Dense", "unit": 3}]}',
            "Dense has no setting 'unit'",
        ),
        ("[" * 100_000, "is not a JSON object"),
    ],
)
def test_files_that_hold_none_are_told_why(
    content: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "net.json"
    path.write_text(content)
    with pytest.raises(ModelFileError, match=message):
        read_architecture(path)
    result = run("train", "digits", "--network", path)
    assert result.exit_code == 3
    assert "net.json" in result.stderr


def test_paths_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="There is no file"):
        read_architecture(tmp_path / "none.json")
    with pytest.raises(ModelFileError, match="architecture cannot be saved"):
        write_architecture(tmp_path / "none" / "net.json", SMALL)
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(ModelFileError, match="There is no file"):
        read_architecture(tmp_path / "folder.json")
    result = run("train", "digits", "--network", tmp_path / "none.json")
    assert result.exit_code == 2
    words = " ".join(result.stderr.split())
    assert "is not one of 'auto', 'lenet5', 'lenet5-1998'" in words
    assert "nor a file with an architecture" in words


# --- as --network ----------------------------------------------------------------------


def test_verbs_that_train_take_it(net: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    trained = run("train", "digits", "--network", net, "--epochs", 1, "-o", path, "-v")
    assert trained.exit_code == 0, trained.stderr
    assert "network small: " in trained.stderr
    network = st.load(path)
    assert network.layers == LAYERS
    # The same from the model file, with weights of its own.
    again = tmp_path / "again.safetensors"
    run("train", "digits", "--network", path, "--epochs", 1, "-o", again, "--seed", 1)
    assert st.load(again).layers == LAYERS
    assert (
        st.load(again).weights["conv1.weight"] != network.weights["conv1.weight"]
    ).any()
    found = last_json(
        run("lr-find", "digits", "--network", net, "--steps", 20, "--json")
    )
    assert found["network"] == "small"


def test_a_run_with_it_is_repeated_by_its_settings(net: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    run("train", "digits", "--network", net, "--epochs", 1, "--run", first)
    settings = json.loads((first / "settings.json").read_text())
    assert settings["options"]["network"] == str(net)
    repeated = run("train", "--config", first / "settings.json", "--run", second)
    assert repeated.exit_code == 0, repeated.stderr
    one, other = (next(run.glob("digits-small.safetensors")) for run in (first, second))
    assert one.read_bytes() == other.read_bytes()


def test_images_are_read_at_its_size_and_in_its_colours(tmp_path: Path) -> None:
    from PIL import Image

    for name, color in (("red", (200, 0, 0)), ("blue", (0, 0, 200))):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for number in range(12):
            Image.new("RGB", (30 + number, 24), color).save(folder / f"{number}.png")
    net, photos = tmp_path / "net.json", tmp_path / "photos"
    write_architecture(net, Architecture((Flatten(), Dense(2)), (10, 12, 1)))
    shown = last_json(run("summary", net, photos, "--json"))
    assert shown["input_shape"] == [10, 12, 1]
    shown = last_json(run("summary", net, photos, "--color", "rgb", "--json"))
    assert shown["input_shape"] == [10, 12, 3]
    result = run("summary", net, photos, "--size", 16)
    assert result.exit_code == 3
    assert "made for an input of 10x12 pixels" in " ".join(result.stderr.split())


def test_options_that_do_not_go_with_it(net: Path) -> None:
    for verb in (("train", "digits", "--network", net), ("summary", net)):
        result = run(*verb, "--width", 8)
        assert result.exit_code == 2
        assert "says how wide its layers are; leave out --width" in " ".join(
            result.stderr.split()
        )
    result = run("summary", "none.json")
    assert result.exit_code == 3
    assert "There is no file none.json" in result.stderr
