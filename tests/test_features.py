"""Features for other classifiers: any layer, to memory, arrays and files."""

import os
import resource
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import striate as st

RNG = np.random.default_rng(8)
IMAGES = RNG.integers(0, 256, (50, 16, 16, 1), np.uint8)


@pytest.fixture(scope="module")
def net() -> st.Network:
    return st.lenet5(input_shape=(16, 16, 1), seed=3)


def by_hand(net: st.Network, layer: str) -> np.ndarray:
    """Channel by channel, row by row, column by column."""
    values = net.activations(IMAGES, layer)
    if values.ndim == 2:
        return values
    channels = [values[..., c].reshape(len(values), -1) for c in range(values.shape[3])]
    return np.concatenate(channels, axis=1)


@pytest.mark.parametrize(
    "network",
    [
        st.lenet5(input_shape=(16, 16, 1)),
        st.resnet((16, 16, 1), width=4),
        st.mobilenet((16, 16, 1), width=4),
    ],
    ids=["lenet5", "resnet", "mobilenet"],
)
def test_any_layer_gives_rows_in_channel_row_column_order(network: st.Network) -> None:
    for one in network.resolved:
        expected = by_hand(network, one.name)
        np.testing.assert_array_equal(network.features(IMAGES, one.name), expected)
        np.testing.assert_array_equal(network.features(IMAGES, one.index), expected)


def test_features_are_what_is_classified() -> None:
    """A dense layer on them, by hand, gives the logits."""
    for build in (st.lenet5, st.vgg, st.mobilenet, st.resnet):
        network = build(input_shape=(16, 16, 1), classes=3)
        features = network.features(IMAGES)
        dense = [one for one in network.resolved if isinstance(one.layer, st.Dense)]
        weight = network.weights[f"{dense[0].name}.weight"]
        bias = network.weights[f"{dense[0].name}.bias"]
        np.testing.assert_allclose(
            features @ weight.T + bias,
            network.activations(IMAGES, dense[0].name),
            atol=1e-4,
        )


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([st.Conv2D(2, 3), st.Flatten(), st.Dense(4), st.Dense(3)], "flatten1"),
        ([st.Flatten(), st.Dropout(0.5), st.Dense(3)], "flatten1"),
        ([st.Conv2D(2, 3), st.GlobalAvgPool2D(), st.Dense(3)], "pool1"),
        # Each class has a map, and its mean is the logit.
        ([st.Conv2D(2, 3), st.ReLU(), st.Conv2D(3, 1), st.GlobalAvgPool2D()], "relu1"),
        # Nothing here classifies.
        ([st.Conv2D(2, 3), st.ReLU(), st.MaxPool2D(2)], "pool1"),
        (
            [st.Conv2D(2, 3), st.Residual([st.Conv2D(2, 1)]), st.GlobalAvgPool2D()],
            "pool1",
        ),
        ([st.MaxPool2D(2), st.Flatten()], "flatten1"),
    ],
)
def test_the_default_layer_stands_before_the_classifier(
    layers: list[st.Conv2D], expected: str
) -> None:
    network = st.Network(layers, (16, 16, 1))
    assert network.feature_layer == expected
    np.testing.assert_array_equal(
        network.features(IMAGES), network.features(IMAGES, expected)
    )


def test_a_classifier_of_the_images_themselves_has_no_default() -> None:
    network = st.Network([st.Conv2D(3, 3), st.GlobalAvgPool2D()], (16, 16, 1))
    with pytest.raises(st.UsageError, match=r"conv1 reads the images .* conv1, pool1"):
        network.features(IMAGES)
    assert network.features(IMAGES, "conv1").shape == (50, 3 * 14 * 14)


def test_a_file_an_array_and_memory_hold_the_same_bits(
    net: st.Network, tmp_path: Path
) -> None:
    expected = net.features(IMAGES, "pool1")
    assert expected.flags.owndata
    for size in (1, 16, 41, 50, 1000):
        path = tmp_path / f"{size}.npy"
        mapped = net.features(IMAGES, "pool1", out=path, batch_size=size)
        assert isinstance(mapped, np.memmap)
        assert not mapped.flags.writeable
        np.testing.assert_array_equal(mapped, expected)
        np.testing.assert_array_equal(np.load(path, allow_pickle=False), expected)
    assert net.features(IMAGES[:1], out=str(path)).shape == (1, 16)  # replaced whole
    assert sorted(os.listdir(tmp_path)) == sorted(
        f"{n}.npy" for n in (1, 16, 41, 50, 1000)
    )
    for kind in (np.float32, np.float64):
        array = np.full((50, 2 * len(expected[0])), np.nan, kind)[:, ::2]
        assert net.features(IMAGES, "pool1", out=array) is array
        np.testing.assert_array_equal(array, expected)


def test_memory_holds_a_batch_however_many_images_there_are(
    net: st.Network, tmp_path: Path
) -> None:
    """40 MB of features and 2.6 MB of images go by in pieces of 256 kB."""
    np.save(tmp_path / "images.npy", np.tile(IMAGES, (200, 1, 1, 1)))
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    net.features(
        images[:20], "conv1", out=tmp_path / "few.npy"
    )  # imports what it needs
    tracemalloc.start()
    try:
        mapped = net.features(
            images, "conv1", out=tmp_path / "features.npy", batch_size=64
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert mapped.nbytes > 30e6
    assert peak < 2e6
    np.testing.assert_array_equal(mapped[9950:], net.features(IMAGES, "conv1"))


def test_what_is_no_layer_is_told_with_the_known_ones(net: st.Network) -> None:
    for ask in ("conv9", 99):
        with pytest.raises(st.UsageError, match="conv1, relu1, pool1, conv2"):
            net.features(IMAGES, ask)
    with pytest.raises(TypeError, match="by its name or index"):
        net.features(IMAGES, ["conv1", "conv2"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batch_size must be a whole number"):
        net.features(IMAGES, batch_size=0)


def test_images_that_do_not_fit_are_told_and_nothing_is_written(
    net: st.Network, tmp_path: Path
) -> None:
    out = tmp_path / "features.npy"
    for images, text in (
        (IMAGES[0], "one image H,W,C"),
        (np.zeros((2, 20, 20, 1), np.uint8), "do not fit into the network's input"),
        (np.zeros((2, 16, 16, 3), np.uint8), "in colour"),
        (np.zeros((0, 16, 16, 1), np.uint8), "hold nothing"),
        (np.full((2, 16, 16, 1), np.nan, np.float32), "must be finite"),
        (np.uint8(5), "a single number"),
        (None, "must be an array"),
    ):
        with pytest.raises((st.ShapeError, st.DataError), match=text):
            net.features(images, out=out)
    assert not os.listdir(tmp_path)


def test_what_features_cannot_be_put_into_is_told(
    net: st.Network, tmp_path: Path
) -> None:
    for out in (tmp_path / "features.npz", "features", tmp_path):
        with pytest.raises(st.UsageError, match=r"file that ends in \.npy, not"):
            net.features(IMAGES, out=out)
    with pytest.raises(
        st.DataError, match=r"cannot be written as .*there is no folder"
    ):
        net.features(IMAGES, out=tmp_path / "none" / "features.npy")
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(st.DataError, match="that is a folder"):
        net.features(IMAGES, out=tmp_path / "folder.npy")
    with pytest.raises(st.ShapeError, match=r"must be of shape 50x16, .* but is 16x50"):
        net.features(IMAGES, out=np.empty((16, 50), np.float32))
    with pytest.raises(st.UsageError, match=r"float32 or float64 .* but is float16"):
        net.features(IMAGES, out=np.empty((50, 16), np.float16))
    fixed = np.zeros((50, 16), np.float32)
    fixed.flags.writeable = False
    with pytest.raises(st.UsageError, match="is float32 and read-only"):
        net.features(IMAGES, out=fixed)
    with pytest.raises(
        TypeError, match=r"path of a file that ends in \.npy, or an arr"
    ):
        net.features(IMAGES, out=[[0.0]])  # type: ignore[arg-type]


def test_an_interruption_leaves_the_old_file(
    net: st.Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "features.npy"
    before = np.array(net.features(IMAGES[:3], out=out))
    forward, calls = net.engine.forward, []

    def interrupted(*arguments: object, **options: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return forward(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(net.engine, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        net.features(IMAGES, out=out, batch_size=16)
    np.testing.assert_array_equal(np.load(out), before)
    assert os.listdir(tmp_path) == ["features.npy"]


def test_a_file_without_room_is_told_and_leaves_nothing(
    net: st.Network, tmp_path: Path
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(st.DataError, match=r"cannot be written as .*has room"):
            net.features(IMAGES, "conv1", out=tmp_path / "features.npy", batch_size=9)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not os.listdir(tmp_path)


def test_features_beyond_memory_are_refused_with_the_way_out(
    net: st.Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.broadcast_to(IMAGES[:1], (10_000, 16, 16, 1))
    monkeypatch.setattr("striate.engine.machine.available_memory", lambda: 2**25)
    with pytest.raises(st.UsageError, match=r'864 features .* give out="features.npy"'):
        net.features(images, "conv1", batch_size=16)
