"""What the verbs that take MODEL and DATA say where one does not fit the other."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import run
from PIL import Image

import striate as st
from striate.data.idx_folder import FILES

VERBS = ("test", "explain", "shift", "features")


def write_idx_folder(folder: Path, shape: tuple[int, ...]) -> Path:
    """A data set in MNIST's files, of images of this shape."""
    folder.mkdir()
    sizes = {"images": (20, *shape), "labels": (20,)}
    for name in FILES:
        size = sizes["images" if "images" in name else "labels"]
        header = bytes([0, 0, 8, len(size)])
        header += b"".join(side.to_bytes(4, "big") for side in size)
        (folder / name).write_bytes(header + bytes(int(np.prod(size))))
    return folder


def refused(verb: str, *arguments: object) -> str:
    """The words with which a verb refuses data, and nothing before them."""
    result = run(verb, *arguments)
    assert (result.exit_code, result.stdout) == (3, ""), result.stderr
    assert result.stderr.startswith("Error: ")
    return result.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_published_images_of_another_size_are_told(
    verb: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_idx_folder(tmp_path / "small", (20, 24))
    words = refused(verb, model, "small").replace(str(model), "MODEL")
    assert "small has images of 20x24x1 (grey), but MODEL takes 28x28x1 (grey)" in words
    assert "or image files in a folder, which are fitted" in words


@pytest.mark.parametrize("verb", VERBS)
def test_published_images_of_other_channels_are_told(verb: str, tmp_path: Path) -> None:
    network = st.Network([st.Flatten(), st.Dense(2)], (28, 28, 3))
    network.fit(np.zeros((4, 28, 28, 3), np.uint8), ["0", "1"] * 2, epochs=1)
    path = tmp_path / "colour.safetensors"
    network.save(path)
    words = refused(verb, path, "digits")
    assert "digits has images of 28x28x1 (grey), but" in words
    assert "takes 28x28x3 (colour); give it" in words


@pytest.mark.parametrize("verb", ["test", "explain", "shift"])
def test_classes_that_a_model_does_not_know_are_told_before_all_else(
    verb: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features need no classes, so they are taken of any."""
    monkeypatch.chdir(tmp_path)
    for name in ("7", *(f"kind {number:02}" for number in range(12))):
        (tmp_path / "kinds" / name).mkdir(parents=True)
        Image.new("L", (28, 28), len(name)).save(tmp_path / "kinds" / name / "1.png")
    words = refused(verb, model, "kinds")
    assert "kinds has 12 classes that" in words
    assert "does not know: kind 00, kind 01," in words
    assert "kind 09 and 2 more; it knows 10 classes: 0, 1, 2" in words
    shutil.rmtree(tmp_path / "kinds" / "kind 11")
    assert run("features", model, "kinds", "-o", "f.npz").exit_code == 0


@pytest.mark.parametrize("verb", VERBS)
def test_several_models_in_place_of_one_are_told(verb: str, model: Path) -> None:
    for more in ([], ["digits"], ["third.safetensors", "digits"]):
        result = run(verb, "best.safetensors", model, *more)
        assert result.exit_code == 2
        count = 2 + ("third.safetensors" in more)
        assert f"{count} model files are given, best.safetensors and" in result.stderr
        assert "looks at one: give MODEL, then DATA" in " ".join(result.stderr.split())


@pytest.mark.parametrize("verb", VERBS)
def test_what_stands_behind_the_data_is_refused(verb: str, model: Path) -> None:
    result = run(verb, model, "digits", "more")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "unexpected extra argument" in result.stderr
