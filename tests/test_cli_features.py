"""`striate features`: an archive of any layer's features, for any classifier."""

import os
import signal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from command_line import last_json, run
from PIL import Image

import striate as st

RNG = np.random.default_rng(11)


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def write_images(
    folder: Path, classes: dict[str, list[str]], channels: int = 1
) -> Path:
    """Noise of 20 x 24 pixels for each file of each class."""
    shape = (20, 24) if channels == 1 else (20, 24, channels)
    for name, files in classes.items():
        (folder / name).mkdir(parents=True)
        for file in files:
            pixels = RNG.integers(0, 256, shape, np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{file}.png")
    return folder


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of films of three frames each, and a model trained on some of them."""
    root = tmp_path_factory.mktemp("films")
    names = [f"{film:02}_{frame}" for film in range(12) for frame in range(3)]
    folder = write_images(root / "films", {"cat": names, "dog": names})
    model = root / "films.safetensors"
    trained = run(
        *("train", folder, "--network", "lenet5", "--size", 20, "--epochs", 1),
        *("--group", "(.+/[0-9]+)_", "--validation", 0.2, "--test-share", 0.25),
        *("-o", model, "--json"),
    )
    assert trained.exit_code == 0, trained.stderr
    return folder, model


def test_numpy_alone_reads_features_labels_names_and_parts(
    model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "features.npz"
    said = run("features", model, "digits", "-o", out)
    assert said.exit_code == 0, said.stderr
    found = arrays(out)
    net, (train, test) = st.load(model), st.load_data("digits")
    images = np.concatenate([train.images, test.images])
    np.testing.assert_array_equal(found["features"], net.features(images))
    np.testing.assert_array_equal(found["labels"], [*train.labels, *test.labels])
    assert found["classes"].tolist() == list(train.classes)
    assert found["classes"].dtype.kind == "U"
    assert np.unique(found["parts"], return_counts=True)[1].tolist() == [359, 1438]
    assert found["names"][[0, -1]].tolist() == ["training[0]", "test[358]"]
    assert (str(found["layer"]), found["shape"].tolist()) == ("flatten1", [400])
    assert "1,797 images (training 1,438, test 359), 400 features each" in said.stdout
    assert f"features {out}, 3" in said.stdout
    load, select, fit = said.stdout.splitlines()[-3:]
    assert load == f"  data = np.load({str(out)!r})"
    assert select == '  train = data["parts"] == "training"'
    assert '.fit(data["features"][train], data["labels"][train])' in fit


def test_json_tells_what_was_written_and_bytes_repeat(
    model: Path, tmp_path: Path
) -> None:
    contents = []
    for name in ("a.npz", "b.npz"):
        out = tmp_path / name
        options = ("--layer", "pool1", "--part", "test", "--json")
        values = last_json(run("features", model, "digits", "-o", out, *options))
        contents.append(out.read_bytes())
    assert contents[0] == contents[1]
    assert values == {
        "model": str(model),
        "data": "digits",
        "file": str(out),
        "bytes": len(contents[0]),
        "layer": "pool1",
        "shape": [14, 14, 6],
        "images": 359,
        "features": 1176,
        "not_finite": 0,
        "parts": {"test": 359},
        "classes": list("0123456789"),
    }
    volumes = st.load(model).activations(st.load_data("digits")[1].images, "pool1")
    rows = arrays(out)["features"].reshape(359, 6, 14, 14).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(rows, volumes)


def test_parts_are_what_the_model_has_learned_from(
    films: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, model = films
    monkeypatch.chdir(tmp_path)
    values = last_json(run("features", model, folder, "--json"))
    assert values["file"] == "films-flatten1.npz"
    found = arrays(tmp_path / "films-flatten1.npz")
    split = st.Reading(
        size=20, validation=0.2, test_share=0.25, group="(.+/[0-9]+)_", cache=False
    )
    data = st.read_data(folder, reading=split)
    net = st.load(model)
    for part, images in data.parts().items():
        there = found["parts"] == part
        order = np.argsort(found["names"][there])
        names = data.part_names(part)
        assert found["names"][there][order].tolist() == sorted(names)
        expected = net.features(images.images)[np.argsort(names)]
        np.testing.assert_array_equal(found["features"][there][order], expected)
        labels = images.labels[np.argsort(names)]
        np.testing.assert_array_equal(found["labels"][there][order], labels)
        assert values["parts"][part] == len(images)


def test_a_new_frame_of_a_film_that_was_trained_on_is_no_test(
    films: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, model = films
    run("features", model, folder, "-o", tmp_path / "all.npz")
    found = arrays(tmp_path / "all.npz")
    known = found["names"][found["parts"] == "training"][0].removesuffix("_0.png")
    names = {Path(known).parts[0]: [Path(known).name + "_9"], "owl": ["x", "y"]}
    new = write_images(tmp_path / "new", names)
    assert run("features", model, new, "-o", tmp_path / "new.npz").exit_code == 0
    found = arrays(tmp_path / "new.npz")
    parts = dict(zip(found["names"].tolist(), found["parts"].tolist(), strict=True))
    assert parts == {f"{known}_9.png": "training"} | dict.fromkeys(
        ("owl/x.png", "owl/y.png"), "test"
    )


def test_images_of_other_classes_sizes_and_colours_are_fitted(
    model: Path, tmp_path: Path
) -> None:
    """Features carry over to what a network was not made for."""
    signs = write_images(tmp_path / "signs", {"stop": ["a", "b"], "go": ["c"]}, 3)
    said = run("features", model, signs, "-o", tmp_path / "signs.npz")
    assert said.exit_code == 0, said.stderr
    assert "all 3 images are in the part test" in said.stderr
    found = arrays(tmp_path / "signs.npz")
    assert found["features"].shape == (3, 400)
    assert found["classes"][found["labels"]].tolist() == ["go", "stop", "stop"]
    net = st.load(model)
    [pixels, _] = net.preprocessing.load_image(signs / "go" / "c.png", invert=False)
    few = net.features(np.repeat(pixels[None], 9, 0))  # as among more than 8
    np.testing.assert_allclose(found["features"][0], few[0], atol=1e-4)


def test_one_image_is_a_data_set_too(model: Path, tmp_path: Path) -> None:
    lone = write_images(tmp_path / "lone", {"only": ["one"]})
    said = run("features", model, lone, "-o", tmp_path / "lone.npz")
    assert said.exit_code == 0, said.stderr
    assert arrays(tmp_path / "lone.npz")["features"].shape == (1, 400)
    assert "1 image (test 1)" in said.stdout


def test_given_parts_are_kept(model: Path, tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        write_images(tmp_path / "given" / part, {"a": ["1"], "b": ["2", part]})
    out = tmp_path / "given.npz"
    values = last_json(run("features", model, tmp_path / "given", "-o", out, "--json"))
    assert values["parts"] == {"training": 3, "validation": 3, "test": 3}
    part = ("--part", "validation")
    run("features", model, tmp_path / "given", "-o", out, *part)
    assert arrays(out)["names"].tolist() == [
        f"val/{name}.png" for name in ("a/1", "b/2", "b/val")
    ]


def test_mistakes_are_told_before_anything_is_computed(
    model: Path, tmp_path: Path
) -> None:
    def told(code: int, *arguments: object) -> str:
        result = run("features", *arguments)
        assert result.exit_code == code, result.stderr
        assert result.stdout == ""
        return result.stderr

    out = tmp_path / "features.npz"
    assert "There is no layer 'conv9'; the layers are conv1, relu1" in told(
        2, model, "digits", "-o", out, "--layer", "conv9"
    )
    assert "file that ends in .npz, not 'features.npy'" in told(
        2, model, "digits", "-o", "features.npy"
    )
    assert "there is no folder" in told(
        3, model, "digits", "-o", tmp_path / "none" / "features.npz"
    )
    assert "digits has only training (1,438 images), test (359 images)" in told(
        3, model, "digits", "-o", out, "--part", "validation"
    )
    assert "there is no data set or folder" in told(3, model, "nothing", "-o", out)
    assert "no model file" in told(3, "none.safetensors", "digits", "-o", out)
    with TemporaryDirectory() as folder:
        data = Path(folder) / "data.npz"
        data.write_bytes(b"the only copy")
        assert "is what is read here" in told(2, model, data, "-o", data)
        assert data.read_bytes() == b"the only copy"
    assert not os.listdir(tmp_path)


def test_images_that_cannot_be_read_are_left_out_and_told(
    model: Path, tmp_path: Path
) -> None:
    folder = write_images(tmp_path / "folder", {"a": ["1", "2"]})
    (folder / "a" / "1.png").write_bytes(b"no image")
    out = tmp_path / "features.npz"
    result = run("features", model, folder, "-o", out)
    assert result.exit_code == 0, result.stderr
    assert "1 of 2 images cannot be read and is left out" in result.stderr
    assert arrays(out)["names"].tolist() == ["a/2.png"]
    out.unlink()
    (folder / "a" / "2.png").write_bytes(b"nor this")
    result = run("features", model, folder, "-o", out)
    assert result.exit_code == 3
    assert "folder has no image that can be read: " in result.stderr
    assert not out.exists()


def test_models_that_the_data_do_not_fit_say_how(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (4, 32, 32, 3), np.uint8)
    coloured = st.lenet5(input_shape=(32, 32, 3), classes=2)
    coloured.fit(pixels, [0, 1, 0, 1], epochs=1)
    coloured.save(tmp_path / "coloured.safetensors")
    out = ("-o", tmp_path / "features.npz")
    result = run("features", tmp_path / "coloured.safetensors", "digits", *out)
    assert result.exit_code == 3
    assert "digits has images of 28x28x1 (grey), but" in result.stderr
    assert "takes 32x32x3" in result.stderr
    floats = st.lenet5(classes=2)
    floats.fit(pixels[..., :1].astype(np.float32), [0, 1, 0, 1], epochs=1)
    floats.save(tmp_path / "floats.safetensors")
    folder = write_images(tmp_path / "folder", {"a": ["1"]})
    for data in (folder, "digits"):
        result = run("features", tmp_path / "floats.safetensors", data, *out)
        assert result.exit_code == 3
        assert "trained on" in result.stderr
    assert not (tmp_path / "features.npz").exists()


def test_features_that_are_no_numbers_are_told(model: Path, tmp_path: Path) -> None:
    net = st.load(model)
    net.set_weights({name: np.full(w.shape, 1e30) for name, w in net.weights.items()})
    net.save(tmp_path / "huge.safetensors")
    out = tmp_path / "features.npz"
    result = run("features", tmp_path / "huge.safetensors", "digits", "-o", out)
    assert result.exit_code == 0
    assert "features of 1,797 images are not all finite numbers" in result.stderr
    assert not np.isfinite(arrays(out)["features"]).all(axis=1).any()


def test_ctrl_c_leaves_the_old_archive(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "features.npz"
    assert run("features", model, "digits", "-o", out, "--part", "test").exit_code == 0
    before = out.read_bytes()
    forward = st.Network.activation_batches

    def pressed(*arguments: Any, **options: Any) -> Any:
        for batch in forward(*arguments, **{**options, "batch_size": 100}):
            yield batch
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(st.Network, "activation_batches", pressed)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        result = run("features", model, "digits", "-o", out)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert result.exit_code == 130
    assert "interrupted" in result.stderr
    assert out.read_bytes() == before
    assert os.listdir(tmp_path) == ["features.npz"]
