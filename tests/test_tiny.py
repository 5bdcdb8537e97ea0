"""Within seconds: does the whole promise hold?"""

import subprocess
import sys

import numpy as np

import striate as st


def test_train_save_load_and_predict_the_same(tmp_path):
    train, test = st.load_data("digits")
    network = st.lenet5()
    history = network.fit(
        train.images, train.labels, epochs=8, batch_size=64, threads=2
    )
    assert history["loss"][-1] < history["loss"][0] / 5
    assert network.score(test.images, test.labels) > 0.9

    network.save(tmp_path / "digits.safetensors")
    loaded = st.load(tmp_path / "digits.safetensors")
    assert loaded.classes == network.classes == tuple(range(10))
    assert loaded.preprocessing == network.preprocessing
    assert loaded.training == network.training
    np.testing.assert_array_equal(
        loaded.predict_proba(test.images), network.predict_proba(test.images)
    )


def test_image_files_are_read_as_the_network_needs_them(tmp_path):
    from PIL import Image

    train, test = st.load_data("digits")
    network = st.lenet5()
    network.fit(train.images, train.labels, epochs=8, batch_size=64)
    picture = Image.fromarray(test.images[0, :, :, 0])
    picture.resize((90, 90)).save(tmp_path / "large.png")
    picture.point(lambda value: 255 - value).save(tmp_path / "inverted.png")
    picture.save(tmp_path / "same.png")
    names = [tmp_path / f"{name}.png" for name in ("same", "inverted", "large")]

    same, inverted, large = network.predict_files(names)
    probabilities = network.predict_proba(test.images[:1])[0]
    assert same.label == network.predict(test.images[:1])[0]
    assert list(same.probabilities.values()) == probabilities.tolist()
    assert same.note is None
    assert inverted.probabilities == same.probabilities
    assert "inverted" in inverted.note
    assert large.label == same.label


def test_importing_loads_nothing_that_predicting_does_not_need():
    heavy = ["PIL", "click", "tqdm", "safetensors", "json", "gzip", "urllib.request"]
    code = "import sys, striate; print([m for m in sys.argv[1:] if m in sys.modules])"
    command = [
        sys.executable,
        "-c",
        code,
        *heavy,
        "striate.data",
        "striate.training.fit",
    ]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    assert answer.stdout == "[]\n"


def test_every_public_name_is_there():
    assert all(getattr(st, name) is not None for name in st.__all__)
    assert dir(st) == sorted(st.__all__)
    assert st.__version__.count(".") == 2
