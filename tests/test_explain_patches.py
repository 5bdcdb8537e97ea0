"""Top patches against brute force, and what they are cut from."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image
from strategies import networks

import striate as st
from striate import explain

RNG = np.random.default_rng(11)


def by_brute_force(activations: np.ndarray, k: int) -> list[list[tuple]]:
    """For every map (value, image, row, column) of its best images, by the rule's words."""
    if activations.ndim == 2:
        activations = activations[:, None, None, :]
    count, _, width, channels = activations.shape
    ranked = []
    for channel in range(channels):
        best = []
        for image in range(count):
            numbers = activations[image, ..., channel].ravel().tolist()
            numbers = [-math.inf if math.isnan(one) else one for one in numbers]
            largest = max(numbers)
            if largest > -math.inf:
                row, column = divmod(numbers.index(largest), width)
                best.append((largest, image, row, column))
        ranked.append(sorted(best, key=lambda one: (-one[0], one[1]))[:k])
    return ranked


def as_rows(top: explain.TopPatches) -> list[list[tuple]]:
    """The same of what was found; what is not there must say so throughout."""
    there = top.images >= 0
    for empty in (top.rows, top.columns, top.images):
        assert (empty[~there] == -1).all()
    assert np.isnan(top.values[~there]).all()
    assert not top.boxes[~there].any()
    columns = zip(
        top.values[there].tolist(),
        top.images[there].tolist(),
        top.rows[there].tolist(),
        top.columns[there].tolist(),
        strict=True,
    )
    rows: list[list[tuple]] = [[] for _ in top.images]
    for place, one in zip(np.argwhere(there)[:, 0], columns, strict=True):
        rows[place].append(one)
    return rows


@settings(max_examples=60, deadline=None)
@given(some.data())
def test_of_any_network_the_same_patches_as_by_brute_force(
    data: some.DataObject,
) -> None:
    net = data.draw(networks())
    count = data.draw(some.integers(1, 21))
    k = data.draw(some.integers(1, 6))
    seed = data.draw(some.integers(0, 99))
    images = np.random.default_rng(seed).normal(size=(count, *net.input_shape))
    if data.draw(some.booleans()):
        images = images.round()  # ties
    images = images.astype(np.float32)
    size = data.draw(some.sampled_from([None, 1, 9]))
    found = explain.top_patches(net, images, k=k, batch_size=size)
    assert list(found) == [one.name for one in net.resolved]
    for name, activations in net.activations(images).items():
        top = found[name]
        assert as_rows(top) == by_brute_force(activations, k)
        field = st.receptive_field(net, name)
        for place in np.argwhere(top.images >= 0):
            row, column = top.rows[*place], top.columns[*place]
            assert tuple(top.boxes[*place]) == field.box(int(row), int(column))


def test_ties_are_decided_by_the_image_then_row_by_row() -> None:
    net = st.Network([st.Conv2D(1, 1, bias=False), st.ReLU()], (3, 4, 1))
    net.set_weights({"conv1.weight": np.ones((1, 1, 1, 1))})
    images = np.zeros((30, 3, 4), np.float32)
    images[[5, 9, 20], 1, 2:] = 1
    images[20, 2, 0] = 2
    top = explain.top_patches(net, images, "relu1", 5, batch_size=10)["relu1"]
    assert top.images.tolist() == [[20, 5, 9, 0, 1]]
    assert top.values.tolist() == [[2, 1, 1, 0, 0]]
    assert top.rows.tolist() == [[2, 1, 1, 0, 0]]
    assert top.columns.tolist() == [[0, 2, 2, 0, 0]]


def test_a_patch_is_what_the_filter_saw() -> None:
    """Its kernel, laid on the patch alone, gives the activation again."""
    net = st.lenet5()
    images = RNG.integers(0, 256, (40, 28, 28), np.uint8)
    top = explain.top_patches(net, images, "conv1", k=4)["conv1"]
    kernels, bias = net.weights["conv1.weight"], net.weights["conv1.bias"]
    for at, patches in enumerate(top.crops(images)):
        assert [patch.shape for patch in patches] == [(5, 5, 1)] * 4
        answers = [
            (patch[..., 0] / 255 * kernels[at, 0]).sum() + bias[at] for patch in patches
        ]
        np.testing.assert_allclose(answers, top.values[at], rtol=1e-5, atol=1e-6)


def test_patches_of_inverted_images_are_those_of_their_negatives() -> None:
    net = st.lenet5()
    images = RNG.integers(0, 256, (20, 28, 28), np.uint8)
    top = explain.top_patches(net, images, "relu1", k=3, invert=True)["relu1"]
    negative = explain.top_patches(net, 255 - images, "relu1", k=3)["relu1"]
    for name in ("values", "images", "boxes"):
        np.testing.assert_array_equal(getattr(top, name), getattr(negative, name))
    pairs = zip(top.crops(images), negative.crops(255 - images), strict=True)
    for patches, expected in pairs:
        assert all(map(np.array_equal, patches, expected))


def test_patches_of_prepared_images_are_those_of_their_pixels() -> None:
    pixels = RNG.integers(0, 256, (24, 8, 8, 3), np.uint8)
    layers = [st.Conv2D(4, 3, padding=1), st.ReLU(), st.Flatten(), st.Dense(2)]
    net = st.Network(layers, (10, 10, 3))
    net.fit(pixels, np.arange(24) % 2, epochs=1)
    known = net.preprocessing
    assert known is not None
    shown = explain.input_pixels(net, pixels)
    assert shown.shape == (24, 10, 10, 3)
    assert (shown[:, 1:9, 1:9] == pixels).all()
    assert (shown[:, 0] == known.background).all()
    table = known.pixel_table()
    values = np.stack([table[c][shown[..., c]] for c in range(3)], axis=-1)
    of_pixels = explain.top_patches(net, pixels, ["relu1", "dense1"])
    of_values = explain.top_patches(net, values, ["relu1", "dense1"], preprocessed=True)
    for name, top in of_pixels.items():
        other = of_values[name]
        assert (top.images == other.images).all()
        assert (top.boxes == other.boxes).all()
        for mine, theirs in zip(top.crops(pixels), other.crops(values), strict=True):
            for one, same in zip(mine, theirs, strict=True):
                np.testing.assert_array_equal(one, same)
    sizes = {patch.shape for row in of_pixels["relu1"].crops(pixels) for patch in row}
    assert sizes <= {(h, w, 3) for h in (2, 3) for w in (2, 3)}


def test_patches_are_cut_from_the_files_that_were_read(tmp_path: Path) -> None:
    """Files twice as large give four times the pixels of the same places."""
    pixels = RNG.integers(0, 256, (12, 16, 16), np.uint8)
    net = st.Network([st.Conv2D(3, 5), st.Flatten(), st.Dense(2)], (20, 20, 1))
    net.fit(pixels, np.arange(12) % 2, epochs=1)
    files = [tmp_path / f"{place}.png" for place in range(12)]
    for path, image in zip(files, pixels, strict=True):
        Image.fromarray(image.repeat(2, 0).repeat(2, 1)).save(path)
    top = explain.top_patches(net, pixels, "conv1", 3)["conv1"]
    inner = top.crops(pixels)
    for row, fine_row in zip(inner, top.crops_from_files(files), strict=True):
        for patch, fine in zip(row, fine_row, strict=True):
            coarse = fine[::2, ::2]
            height, width = coarse.shape[:2]
            assert height <= patch.shape[0]
            assert width <= patch.shape[1]
            found = np.lib.stride_tricks.sliding_window_view(
                patch[..., 0], (height, width)
            )
            assert (found == coarse[..., 0]).all(axis=(2, 3)).any()
    files[int(top.images[0, 0])].unlink()
    with pytest.raises(st.DataError, match="cannot be read"):
        top.crops_from_files(files)
    with pytest.raises(st.DataError, match="patches of conv1 come from files up to"):
        top.crops_from_files(files[:1])


def test_numbers_that_are_none_never_count() -> None:
    """Weights this large overflow: inf - inf is NaN."""
    net = st.Network([st.Conv2D(2, 1), st.Conv2D(2, 1)], (3, 3, 1))
    large = np.array([3e38, -3e38], np.float32)
    net.set_weights(
        {
            "conv1.weight": large.reshape(2, 1, 1, 1),
            "conv1.bias": [0, 0],
            "conv2.weight": np.array([[1, 1], [0, 0]]).reshape(2, 2, 1, 1),
            "conv2.bias": [0, 7],
        }
    )
    images = np.full((11, 3, 3), 2.0, np.float32)
    images[4, 1, 1] = 0
    for batch_size in (None, 2):
        found = explain.top_patches(net, images, k=2, batch_size=batch_size)
        for name, activations in net.activations(images).items():
            assert as_rows(found[name]) == by_brute_force(activations, 2)
    assert found["conv2"].images[0].tolist() == [4, -1]
    assert [len(row) for row in found["conv2"].crops(images)] == [1, 1]


def test_sets_of_one_image_and_of_constant_ones() -> None:
    net = st.lenet5()
    for images in (np.zeros((1, 28, 28), np.uint8), np.full((3, 28, 28), 9, np.uint8)):
        found = explain.top_patches(net, images)
        count = len(images)
        for top in found.values():
            assert (top.images[:, :count] == np.arange(count)).all()
            assert (top.images[:, count:] == -1).all()
            assert all(len(row) == count for row in top.crops(images))


def test_a_network_without_convolutions_has_units() -> None:
    net = st.Network([st.Flatten(), st.Dense(3)], (4, 5, 1))
    images = RNG.integers(0, 256, (20, 4, 5), np.uint8)
    found = explain.top_patches(net, images, k=2)
    assert found["flatten1"].images.shape == (20, 2)
    logits = net.logits(images)
    assert found["dense1"].images[:, 0].tolist() == logits.argmax(axis=0).tolist()
    for row, first in zip(
        found["dense1"].crops(images), found["dense1"].images[:, 0], strict=True
    ):
        np.testing.assert_array_equal(row[0][..., 0], images[first])


def test_what_padding_alone_reaches_has_an_empty_patch() -> None:
    net = st.Network([st.Conv2D(1, 1, padding=1)], (2, 2, 1))
    net.set_weights({"conv1.weight": -np.ones((1, 1, 1, 1)), "conv1.bias": [0]})
    images = np.ones((1, 2, 2), np.float32)
    top = explain.top_patches(net, images, k=1)["conv1"]
    assert top.values.tolist() == [[0]]
    assert top.boxes.tolist() == [[[0, 0, 0, 0]]]
    assert top.crops(images)[0][0].shape == (0, 0, 1)


def test_mistakes_are_told_in_words() -> None:
    net = st.lenet5()
    images = RNG.integers(0, 256, (9, 28, 28), np.uint8)
    with pytest.raises(st.UsageError, match="no layer 'conv9'; the layers are conv1"):
        explain.top_patches(net, images, "conv9")
    with pytest.raises(ValueError, match="k must be a whole number of at least 1"):
        explain.top_patches(net, images, k=0)
    with pytest.raises(st.ShapeError, match="do not fit into the network's input"):
        explain.top_patches(net, np.zeros((9, 40, 40), np.uint8))
    top = explain.top_patches(net, images)["conv1"]
    with pytest.raises(st.DataError, match="come from images up to number 8, counted"):
        top.crops(images[:8])
    with pytest.raises(st.DataError, match="it was not trained on uint8 images"):
        top.crops_from_files(["a.png"] * 9)
