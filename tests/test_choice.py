"""Which network `striate train` trains: chosen by the images, the time, or a model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run
from PIL import Image

import striate as st
from striate.training.augmentation import Augmentation
from striate.zoo.auto import auto_epochs, choose, choose_within, epochs_within


def done(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    values = json.loads(result.stdout.splitlines()[-1])
    assert isinstance(values, dict)
    return values


@pytest.fixture(scope="module")
def strokes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Slashes and backslashes, 12 x 12, forty of each."""
    random = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("strokes")
    for name, stroke in (("slash", np.eye(6)[::-1]), ("backslash", np.eye(6))):
        (root / name).mkdir()
        for number in range(40):
            pixels = random.integers(0, 60, (12, 12), dtype=np.uint8)
            top, left = random.integers(0, 7, 2)
            pixels[top : top + 6, left : left + 6] += (180 * stroke).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def model(strokes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    done("train", strokes, "--epochs", 3, "--width", 4, "-o", path)
    return path


# --- by the images ---------------------------------------------------------------------


def test_a_folder_gets_a_network_chosen_by_its_images(
    strokes: Path, tmp_path: Path
) -> None:
    result = run("train", strokes, "--epochs", 2, "-o", tmp_path / "m.safetensors")
    assert result.exit_code == 0, result.stderr
    words = result.stderr
    assert "2 stages: the last convolution sees 14x14 pixels, the whole 12x12" in words
    assert "2 epochs of 6" in words
    network = st.load(tmp_path / "m.safetensors")
    assert network.input_shape == (12, 12, 1)
    settings = network.training["settings"]
    assert settings["label_smoothing"] == 0.1
    assert settings["optimizer"]["learning_rate"] == 0.05
    assert settings["augmentation"]["level"] == "light"  # of two epochs


def test_the_same_can_be_trained_in_python(strokes: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    options = ("--train-per-class", 5, "--flip", "horizontal", "--seed", 3)
    done("train", strokes, *options, "--epochs", 12, "-o", path)
    data = st.read_data(strokes, reading=st.Reading(train_per_class=5, seed=3))
    images, labels = data.training.images, data.training.labels
    choice = choose((*data.size, data.channels), 2, len(images), epochs=12, seed=3)
    network = choice.network
    network.fit(
        images,
        labels,
        seed=3,
        preprocessing=data.preprocessing(network.input_shape),
        **choice.fit_options(flip="horizontal"),
    )
    saved = st.load(path)
    for name, array in saved.weights.items():
        np.testing.assert_array_equal(network.weights[name], array)
    assert network.training["settings"] == saved.training["settings"]
    assert network.mirrored_answers == saved.mirrored_answers


def test_a_known_data_set_gets_lenet5_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    assert done("train", "digits", "--epochs", 1, "-o", path)["network"] == "lenet5"
    settings = st.load(path).training["settings"]
    assert settings["label_smoothing"] == 0
    assert (
        settings["augmentation"] is None or settings["augmentation"]["level"] == "none"
    )


def test_more_images_get_narrower_networks_and_fewer_epochs() -> None:
    few, many = (choose((32, 32, 3), 10, images) for images in (2_000, 50_000))
    assert few.width > many.width
    assert few.epochs > many.epochs == auto_epochs(50_000)
    # What epochs the user wants does not change which network it is.
    assert choose((32, 32, 3), 10, 2_000, epochs=1).width == few.width


def test_width_can_be_given(strokes: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    for name in ("auto", "resnet"):
        done(
            "train", strokes, "--network", name, "--width", 5, "--epochs", 1, "-o", path
        )
        assert st.load(path).weights["conv1.weight"].shape == (5, 1, 3, 3)
    result = run("train", "digits", "--width", 5)
    assert result.exit_code == 2
    assert "--width belongs to networks made of stages, not to lenet5" in result.stderr


def test_summary_shows_what_would_be_trained(strokes: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    for network, options in (("auto", ()), ("auto", ("--width", 5)), ("resnet", ())):
        choose = ("--network", network, *options)
        done("train", strokes, *choose, "--epochs", 1, "-o", path)
        shown = run("summary", network, strokes, *options)
        assert shown.exit_code == 0, shown.stderr
        assert shown.stdout == run("summary", path).stdout
    assert (
        "the last convolution sees 14x14 pixels"
        in run("summary", "auto", strokes).stderr
    )
    wide = done("summary", "vgg", "--width", 32)["totals"]["parameters"]
    assert wide == st.vgg(width=32).parameters
    small = done("summary", "vgg", strokes, "--size", 8)["layers"][0]
    assert small["output_shape"][:2] == [8, 8]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["auto"], "auto chooses by the images, so it needs DATA"),
        (["lenet5", "--width", "3"], "--width belongs to networks made of stages"),
        (["MODEL", "digits"], "is a model, whose size is settled; leave out DATA"),
        (["MODEL", "--width", "3"], "is a model, whose size is settled"),
    ],
)
def test_summary_refuses_what_means_nothing(
    arguments: list[str], message: str, model: Path
) -> None:
    given = [str(model) if one == "MODEL" else one for one in arguments]
    result = run("summary", *given)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


# --- by the time -----------------------------------------------------------------------


def test_the_widest_network_that_fits_into_the_time_is_taken() -> None:
    def speed(network: st.Network) -> float:
        return 1e9 / network.summary().multiply_adds

    widths = [
        choose_within(seconds, speed, (28, 28, 1), 10, 10_000).width
        for seconds in (1, 1_000, 5_000, 1e6)
    ]
    assert widths == sorted(widths)
    assert widths[0] == 8
    assert widths[-1] == 64
    assert epochs_within(10.0, 500.0, 1_000) == 5
    assert epochs_within(0.1, 1.0, 1_000) == 1


def test_wider_networks_may_be_faster_than_the_narrowest_promises() -> None:
    looks = []

    def speed(network: st.Network) -> float:
        cost = network.summary().multiply_adds
        looks.append(cost)
        return 50.0 / cost**0.5  # four times the work takes twice the time

    narrow, shown = choose((28, 28, 1), 10, 10_000, width=8).network, 2 * 28 * 10_000
    seconds = 2.1 * shown / speed(narrow)
    looks.clear()
    assert choose_within(seconds, speed, (28, 28, 1), 10, 10_000).width == 16
    assert looks == sorted(set(looks))  # each once, from narrow to wide


def test_minutes_are_kept_and_the_run_can_be_repeated(
    strokes: Path, tmp_path: Path
) -> None:
    values = done("train", strokes, "--minutes", 0.01, "--run", tmp_path / "a")
    assert values["train_seconds"] < 10  # of 0.6 wished for, on a busy machine
    again = done(
        "train", "--config", tmp_path / "a/settings.json", "--run", tmp_path / "b"
    )
    assert again["epochs"] == values["epochs"]
    name = f"{strokes.name}-auto.safetensors"
    first, second = (tmp_path / folder / name for folder in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_minutes_decide_the_epochs_of_a_network_that_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    command = ("train", "digits", "--minutes", 0.01, "-o", path)
    result = run(*command)
    assert result.exit_code == 0
    assert "(as fit into the time; --epochs changes it)" in result.stderr
    assert run(*command, "--epochs", 2).exit_code == 2


# --- from a model ----------------------------------------------------------------------


def test_training_goes_on_from_a_model(
    strokes: Path, model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "more.safetensors"
    values = done("train", strokes, "--from", model, "--epochs", 2, "-o", path)
    assert values["network"] == "fine-tuned"
    more, before = st.load(path), st.load(model)
    assert more.training["earlier_epochs"] == 3
    assert more.preprocessing == before.preprocessing
    assert more.classes == before.classes == ("backslash", "slash")


def test_other_classes_get_a_new_last_layer(
    strokes: Path, model: Path, tmp_path: Path
) -> None:
    for name in ("backslash", "slash", "third"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(10):
            source = strokes / name.replace("third", "slash") / f"{number}.png"
            image = Image.open(source)
            if name == "third":
                image = Image.fromarray(255 - np.asarray(image))
            image.resize((24, 24)).save(tmp_path / "data" / name / f"{number}.png")
    path = tmp_path / "more.safetensors"
    done("train", tmp_path / "data", "--from", model, "--epochs", 1, "-o", path)
    network = st.load(path)
    assert network.classes == ("backslash", "slash", "third")
    assert network.input_shape == (12, 12, 1)  # images of 24 x 24 are read as 12 x 12


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--network", "vgg"], 2, "--from goes on with the network of its model, so"),
        (
            ["--size", "20"],
            2,
            "takes grey images of 12x12; leave out --size and --color",
        ),
        (["--color", "rgb"], 2, "takes grey images of 12x12"),
    ],
)
def test_what_contradicts_a_model_is_refused(
    strokes: Path, model: Path, options: list[str], code: int, message: str
) -> None:
    result = run("train", strokes, "--from", model, *options)
    assert result.exit_code == code
    assert message in " ".join(result.stderr.split())


def test_a_model_of_floats_cannot_be_gone_on_from(
    strokes: Path, tmp_path: Path
) -> None:
    network = st.Network([st.Flatten(), st.Dense(2)], (12, 12, 1))
    network.fit(np.zeros((4, 12, 12)), [0, 1, 0, 1], epochs=1)
    network.save(tmp_path / "floats.safetensors")
    result = run("train", strokes, "--from", tmp_path / "floats.safetensors")
    assert result.exit_code == 3
    assert (
        "the model in --from was not trained on uint8 images; train one"
        in result.stderr
    )


def test_what_the_earlier_model_was_not_to_see_stays_unseen(
    strokes: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    rule = ("--seed", 3, "--group", "([0-9]+)", "--test-share", 0.3)
    before = done("train", strokes, *rule, "--epochs", 1, "--width", 2, "-o", first)
    after = done("train", strokes, "--from", first, "--epochs", 1, "-o", second)
    assert after["test_images"] == before["test_images"]
    kept = [st.load(path).training["split"] for path in (first, second)]
    assert kept[0] == kept[1]
    # With a larger test part, what the first has learned is not tested all the same.
    wider = ("--test-share", 0.6)
    after = done("train", strokes, "--from", first, *wider, "--epochs", 1, "-o", second)
    assert after["test_images"] > before["test_images"]
    tested = [done("test", path, strokes)["images"] for path in (first, second)]
    assert tested[0] == tested[1]


# --- other options ---------------------------------------------------------------------


def test_patience_stops_early_and_needs_validation_images(
    strokes: Path, tmp_path: Path
) -> None:
    path = tmp_path / "m.safetensors"
    command = ("train", strokes, "--width", 2, "--patience", 1, "-o", path)
    assert done(*command, "--epochs", 60)["epochs"] < 60
    result = run(*command, "--validation", 0)
    assert result.exit_code == 2
    assert "--patience watches the validation loss, but" in result.stderr
    assert "data strokes" not in result.stderr  # it was told before reading
    result = run("train", "digits", "--patience", 2)
    assert result.exit_code == 2
    assert "but digits has no validation part; give --validation" in result.stderr


def test_options_of_training_reach_it(strokes: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    options = ("--class-weight", "balanced", "--ema-decay", 0.9, "--flip", "horizontal")
    done("train", strokes, "--width", 2, "--epochs", 1, *options, "-o", path)
    network = st.load(path)
    settings = network.training["settings"]
    assert settings["class_weight"] == "balanced"
    assert settings["ema_decay"] == 0.9
    assert Augmentation(**settings["augmentation"]).flip == "horizontal"
    assert network.mirrored_answers
