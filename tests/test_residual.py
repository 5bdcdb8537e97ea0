"""Residual: branches in their places, their sum, and what its units see."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import make_case, residuals

from striate import (
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool2D,
    MaxPool2D,
    ModelFileError,
    Network,
    ReLU,
    Residual,
    ShapeError,
    Sigmoid,
    Tanh,
    load,
    receptive_field,
)
from striate.layers import Layer, layer_from_config, resolve
from striate.receptive import depth_to_see
from striate.saving.modelfile import load_model, save_model

BLOCK = Residual(
    [Conv2D(4, 3, stride=2, padding=1), ReLU(), Conv2D(4, 3, padding=1)],
    shortcut=[Conv2D(4, 1, stride=2), BatchNorm()],
)
LAYERS = [Conv2D(3, 3, padding=1), ReLU(), BLOCK, ReLU(), GlobalAvgPool2D(), Dense(3)]


# --------------------------------------------------------------- what it is made of


def test_branches_are_counted_on_and_the_sum_comes_last() -> None:
    resolved = resolve(LAYERS, (9, 8, 2))
    names = [one.name for one in resolved]
    assert names == [
        *("conv1", "relu1", "conv2", "relu2", "conv3", "conv4", "bn1", "add1"),
        *("relu3", "pool1", "dense1"),
    ]
    inputs = {one.name: one.inputs for one in resolved}
    assert inputs["conv1"] == (-1,)
    assert inputs["conv2"] == inputs["conv4"] == (1,)
    assert inputs["add1"] == (names.index("conv3"), names.index("bn1"))
    assert resolved[7].output_shape == (5, 4, 4) == BLOCK.output_shape((9, 8, 3))


def test_networks_keep_the_layers_as_they_were_given(tmp_path: Path) -> None:
    network = Network(LAYERS, (9, 8, 2), seed=2)
    network.save(tmp_path / "a.safetensors")
    for one in (load(tmp_path / "a.safetensors"), pickle.loads(pickle.dumps(network))):
        assert one.layers == network.layers == tuple(LAYERS)
        assert one.weights.keys() == network.weights.keys()
        images = np.ones((2, 9, 8, 2), np.float32)
        np.testing.assert_array_equal(one.logits(images), network.logits(images))
    namespace = {layer.__name__: layer for layer in (Network, Residual, Conv2D, ReLU)}
    namespace |= {
        layer.__name__: layer for layer in (BatchNorm, GlobalAvgPool2D, Dense)
    }
    assert eval(repr(network), namespace).layers == network.layers
    assert layer_from_config(BLOCK.to_config()) == BLOCK


def test_the_table_tells_what_is_read_and_summed() -> None:
    summary = Network(LAYERS, (9, 8, 2)).summary()
    rows = {row.name: row for row in summary.rows}
    assert rows["conv4"].call == "Conv2D(4, 1, stride=2) of relu1"
    assert rows["add1"].call == "conv3 + bn1"
    assert rows["add1"].kind == "Residual"
    assert summary.to_dict()["layers"][7]["inputs"] == ["conv3", "bn1"]
    assert "add1    conv3 + bn1 " in str(summary)


# ------------------------------------------------------------------------ the sum


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_sum_is_that_of_the_branches_as_networks_of_their_own(
    data: st.DataObject,
) -> None:
    block = data.draw(residuals(channels=2))
    network = Network([block], (7, 6, 2), seed=1)
    images = np.random.default_rng(0).standard_normal((19, 7, 6, 2), np.float32)
    main = Network(block.layers, (7, 6, 2))
    names = list(network.weights)
    split = len(main.weights)
    main.set_weights(
        dict(
            zip(main.weights, (network.weights[n] for n in names[:split]), strict=True)
        )
    )
    wanted = main.activations(images, -1)
    if block.shortcut:
        short = Network(block.shortcut, (7, 6, 2))
        rest = (network.weights[name] for name in names[split:])
        short.set_weights(dict(zip(short.weights, rest, strict=True)))
        wanted = wanted + short.activations(images, -1)
    else:
        wanted = wanted + images
    np.testing.assert_array_equal(network.activations(images, -1), wanted)


def test_every_layer_of_a_branch_can_be_looked_at() -> None:
    """Gradients of a unit inside of a branch leave the other branch out."""
    network = Network(LAYERS, (9, 8, 2), seed=2)
    images = make_case(network, count=18).images
    maps = network.activations(images)
    assert list(maps) == [one.name for one in network.resolved]
    np.testing.assert_allclose(maps["add1"], maps["conv3"] + maps["bn1"], atol=1e-6)
    for name in ("relu2", "conv4", "bn1", "add1"):
        seen = network.input_gradient(images, layer=name, unit=(2, 1, 3))
        moved = images + 1e-2 * seen
        gain = network.activations(moved, name) - maps[name]
        wanted = 1e-2 * (seen**2).sum((1, 2, 3))
        # Kinks of ReLU and the second order: the first order is most of it.
        np.testing.assert_allclose(gain[:, 2, 1, 3].mean(), wanted.mean(), rtol=0.1)
    assert network.features(images).shape == (18, 4)


def test_a_block_may_come_first_and_hold_blocks() -> None:
    inner = Residual([Dense(6), Tanh()])
    layers: list[Layer] = [
        Residual([AvgPool2D(1)]),  # twice the image
        Flatten(),
        Residual([inner, Sigmoid(), inner], shortcut=[inner]),
    ]
    network = Network(layers, (3, 2, 1))
    images = np.random.default_rng(1).standard_normal((5, 3, 2, 1)).astype(np.float32)
    maps = network.activations(images)
    np.testing.assert_array_equal(maps["add1"], 2 * images)
    seen = network.input_gradient(images, layer="add1", unit=(2, 1, 0))
    assert set(np.unique(seen)) == {0, 2}
    names = [one.name for one in network.resolved if one.name.startswith("add")]
    assert names == ["add1", "add2", "add3", "add4", "add5"]


# ---------------------------------------------------------------------- what it sees


@pytest.mark.parametrize(
    ("layers", "size", "jump"),
    [
        ([Residual([Conv2D(1, 3, padding=1)])], 3, 1),
        ([Residual([Conv2D(1, 3, padding=1), Conv2D(1, 3, padding=1)])] * 2, 9, 1),
        # The shortcut sees more than the layers, and further to one side.
        ([Residual([Conv2D(2, 1)], [Conv2D(2, 4, padding="same")])], 4, 1),
        ([Residual([MaxPool2D(2)], [Conv2D(1, 3, stride=2, padding=1)])], 3, 2),
        (
            [
                Residual(
                    [Conv2D(1, 3, stride=2, padding=1), Conv2D(1, 3, padding=1)],
                    [Conv2D(1, 1, stride=2)],
                ),
                Residual([Conv2D(1, 3, padding=1)]),
            ],
            11,
            2,
        ),
    ],
)
def test_fields_are_the_union_of_the_branches(
    layers: list[Layer], size: int, jump: int
) -> None:
    """As the formula says, and as gradients of units do."""
    network = Network(layers, (16, 16, 1), seed=4)
    field = receptive_field(network, -1)
    assert (field.size, field.jump) == ((size, size), (jump, jump))
    images = np.random.default_rng(2).standard_normal((1, 16, 16, 1), np.float32)
    rows, columns = field.units
    for unit in ((0, 0), (rows // 2, columns // 3), (rows - 1, columns - 1)):
        seen = np.zeros((16, 16), bool)
        for seed in range(3):  # a max pooling passes on one pixel of a patch at a time
            other = Network(layers, (16, 16, 1), seed=seed)
            shift = images + np.float32(seed)
            for flip in (shift, -shift, shift[:, ::-1], shift[:, :, ::-1]):
                gradient = other.input_gradient(
                    np.ascontiguousarray(flip), layer=-1, unit=(*unit, 0)
                )
                seen |= gradient[0, :, :, 0] != 0
        places = np.argwhere(seen)
        top, left, bottom, right = field.box(*unit)
        assert (places.min(0).tolist(), (places.max(0) + 1).tolist()) == (
            [top, left],
            [bottom, right],
        )


def test_blocks_can_be_stacked_until_they_see_an_object() -> None:
    block = Residual([Conv2D(8, 3, padding=1), ReLU(), Conv2D(8, 3, padding=1)])
    assert depth_to_see(33, block) == 8  # 4 pixels more each
    down = Residual([Conv2D(8, 2, stride=2)], shortcut=[Conv2D(8, 1, stride=2)])
    assert depth_to_see(300, down) == 9


# ------------------------------------------------------------------ errors in words


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [Residual([Conv2D(8, 3, stride=2, padding=1)])],
            r"at layer 2 \(add1\) needs the same shape .* 5x4x8 and 9x8x2; .* stride=2",
        ),
        ([Residual([Conv2D(8, 3, padding=1)])], r"shortcut=\[Conv2D\(8, 1\)\]"),
        ([Residual([Conv2D(2, 3)])], r"gets 7x6x2 and 9x8x2; pad its layers"),
        (
            [Residual([MaxPool2D((2, 1))])],
            "so that the size stays, or give a shortcut that ends in 4x8x2",
        ),
        ([Residual([Flatten(), Dense(4)])], r"shortcut=\[Flatten\(\), Dense\(4\)\]"),
        ([Flatten(), Residual([Dense(4)])], r"gets 4 and 144; .*=\[Dense\(4\)\]"),
        ([Residual([Conv2D(2, 30)])], r"Conv2D\(2, 30\) at layer 1 \(conv1\) needs"),
        (
            [Residual([Conv2D(2, 3, stride=4)], [Conv2D(2, 1, stride=(5, 4))])],
            r"units lie at the same places but gets steps of 4x4 and 5x4 pixels; give",
        ),
    ],
)
def test_branches_that_do_not_fit(layers: list[Layer], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        Network(layers, (9, 8, 2))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Residual([]), ValueError, "Residual: layers must hold at least one"),
        (lambda: Residual(ReLU()), TypeError, "layers must be a list of layers"),
        (lambda: Residual([ReLU]), TypeError, r"write ReLU\(...\)"),
        (lambda: Residual([ReLU()], shortcut=["x"]), TypeError, "the string 'x', not"),
        (
            lambda: layer_from_config({"kind": "Residual", "layers": [{"kind": "x"}]}),
            ValueError,
            "described by its kind, one of Conv2D",
        ),
        (
            lambda: layer_from_config({"kind": "Residual", "layers": 3}),
            ValueError,
            "Not a valid Residual",
        ),
    ],
)
def test_settings_that_mean_nothing(make, error, message) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("depth", "message"),
    [(17, "up to 16 deep, not 17; put them one"), (400, "maximum recursion depth")],
)
def test_files_nested_too_deep_are_no_models(
    tmp_path: Path, depth: int, message: str
) -> None:
    path = tmp_path / "deep.safetensors"
    Network([Flatten(), Dense(2)], (2, 2, 1)).save(path)
    weights, metadata = load_model(path)
    nested: dict[str, object] = {"kind": "ReLU"}
    for _ in range(depth):
        nested = {"kind": "Residual", "layers": [nested], "shortcut": []}
    metadata["architecture"]["layers"].insert(0, nested)
    save_model(path, weights, metadata)
    with pytest.raises(ModelFileError, match=f"is no usable model: .*{message}"):
        load(path)
