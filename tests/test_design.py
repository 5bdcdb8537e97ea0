"""Networks that see all of an object: how deep they are, and that they truly see it."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from command_line import last_json, run

import striate as st
from striate.errors import ShapeError, UsageError
from striate.layers import MaxPool2D
from striate.receptive import depth_to_see
from striate.saving.architecture import read_architecture
from striate.zoo.design import KINDS, Design, design

# --- how deep they are -----------------------------------------------------------------


def test_the_lectures_question_in_reverse() -> None:
    """M2 and M3: 300 pixels take 150 layers, or 9 of 2 x 2 with stride 2."""
    depths = {kind: design(kind, 300).depth for kind in KINDS}
    assert depths["plain"] == 150
    assert depths["patches"] == 9
    sizes = {kind: design(kind, 300).field.size[0] for kind in KINDS}
    assert sizes == {
        "plain": 1 + 150 * 2,
        "dilated": 1 + 2 * (2**8 - 1),
        "strided": 1 + 2 * (2**8 - 1),
        "patches": 2**9,
        "pooled": 1 + 3 * (2**7 - 1),
    }


@pytest.mark.parametrize("side", [2, 3, 4, 5, 8, 9, 31, 32, 33, 48, 100])
@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_they_are_as_shallow_as_can_be(side: int, kernel: int) -> None:
    """The smallest N for which the closed form of what N layers see is enough."""
    more = kernel - 1
    halvings = math.ceil(math.log2((side - 1) / more + 1))
    assert design("plain", side, kernel).depth == math.ceil((side - 1) / more)
    assert design("dilated", side, kernel).depth == halvings
    assert design("strided", side, kernel).depth == halvings
    assert design("patches", side, kernel).depth == math.ceil(math.log2(side))
    pooled = math.ceil(math.log2((side - 1) / kernel + 1))
    assert design("pooled", side, kernel).depth == pooled


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", [2, 5, 7, 11, 16, 21, 30, 38])
@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_one_unit_truly_sees_the_whole_object(
    kind: str, side: int, kernel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One pixel on zeros, in any corner of the object, reaches one and the same unit.

    With weights of 1 what it reaches is positive, and all else exactly 0 but for the
    rounding of minimal filtering.
    """
    monkeypatch.setenv("STRIATE_CONVOLUTION", "direct")
    drawn = design(kind, side, kernel, width=1, growth=1)
    network = st.Network(drawn.layers, drawn.input_shape)
    network.set_weights(
        {
            name: np.ones_like(array) if name.endswith(("weight", "var")) else array * 0
            for name, array in network.weights.items()
        }
    )
    images = np.zeros((4, *drawn.input_shape), np.float32)
    top, left = ((room - side) // 2 for room in drawn.input_shape[:2])
    for image, (row, column) in zip(images, np.ndindex(2, 2), strict=True):
        image[top + row * (side - 1), left + column * (side - 1)] = 1
    reached = network.activations(images, network.resolved[-3].name)[..., 0] > 0
    assert reached.all(axis=0).any()


def test_objects_and_kernels_need_not_be_square() -> None:
    """The lecture's four layers of 1 x 3 kernels, which see 1 x 9."""
    drawn = design("plain", (1, 9), (1, 3))
    assert (drawn.depth, drawn.field.size) == (4, (1, 9))
    for kind in KINDS:
        drawn = design(kind, (6, 40))
        assert all(map(int.__ge__, drawn.field.size, (6, 40)))
        # The short side is not made smaller than it has to be.
        assert drawn.field.jump[0] <= drawn.field.jump[1]


def test_an_input_that_is_given_is_kept_and_gets_more_layers() -> None:
    assert design("strided", 300).input_shape == (320, 320, 3)
    deeper = design("strided", 300, input_shape=(300, 300, 1))
    assert (deeper.depth, deeper.input_shape) == (9, (300, 300, 1))
    assert design("pooled", 48, input_shape=(64, 50, 3)).input_shape == (64, 50, 3)


@pytest.mark.parametrize(("side", "kernel"), [(256, 256), (300, 300), (256, 86)])
def test_an_input_is_found_where_fields_are_hardly_larger_than_the_object(
    side: int, kernel: int
) -> None:
    found = design("strided", side, kernel)
    assert found.field.size == (side, side)
    assert side <= found.input_shape[0] <= side + 2 * found.field.jump[0]


def test_what_is_seen_anywhere() -> None:
    """Fields of size s that lie j apart: any s - j + 1 neighbours are in one of them."""
    assert design("plain", 30).anywhere == design("plain", 30).field.size
    assert design("patches", 30).anywhere == (1, 1)
    pooled = design("pooled", 30)
    size, jump = pooled.field.size[0], pooled.field.jump[0]
    starts = [pooled.field.start[0] + unit * jump for unit in range(3)]
    for places, enough in ((pooled.anywhere[0], True), (pooled.anywhere[0] + 1, False)):
        whole = [
            any(start <= first and first + places <= start + size for start in starts)
            for first in range(starts[0], starts[1] + 1)
        ]
        assert all(whole) == enough


def test_channels_grow_where_the_map_gets_smaller() -> None:
    def filters(drawn: Design) -> list[int]:
        convolutions = [one for one in drawn.resolved if one.window and one.weights]
        return [one.output_shape[-1] for one in convolutions]

    assert filters(design("pooled", 48, width=8)) == [8, 16, 32, 64, 128]
    assert filters(design("strided", 48, width=8, growth=1)) == [8] * 5
    assert filters(design("dilated", 48, width=8)) == [8] * 5
    assert filters(design("patches", 300, width=64))[-1] == 128  # and no more
    assert filters(design("pooled", 20, width=200)) == [200] * 3


def test_memory_is_what_the_engine_takes() -> None:
    drawn = design("pooled", 24)
    plan = st.Network(drawn.layers, drawn.input_shape).engine.plan
    assert drawn.memory == (plan.bytes(1, 1, False), plan.bytes(32, 1, True))
    assert design("plain", 24).memory[1] > drawn.memory[1]


@pytest.mark.parametrize("kind", KINDS)
def test_each_of_them_learns(kind: str) -> None:
    """Where bright squares are, told from where they are not, after a few steps."""
    random = np.random.default_rng(0)
    images = random.integers(0, 80, (64, 12, 12, 1), np.uint8)
    labels = np.arange(64) % 2
    images[labels == 1, 3:9, 3:9] += 150
    drawn = design(kind, 12, input_shape=(12, 12, 1), classes=2, width=4)
    network = st.Network(drawn.layers, drawn.input_shape)
    network.fit(images, labels, epochs=10, batch_size=16)
    assert network.score(images, labels) == 1


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "message"),
    [
        (("plain", 300, 1), {}, ValueError, "kernels of 1x1 never see more than one"),
        (("pooled", 30, (1, 3)), {}, ValueError, "one pixel of the height"),
        (("plain", 1), {}, ValueError, "sees an object of one pixel; give a larger"),
        (("plain", 0), {}, ValueError, "object_size must be a whole number of at leas"),
        (("plain", "big"), {}, TypeError, "object_size must be a whole number"),
        (
            ("plain", 5000),
            {},
            ValueError,
            "at most 4096 pixels a side but is 5000x5000",
        ),
        (
            ("plain", 4000, 2),
            {},
            ShapeError,
            "3,999 layers of 2x2, each with BatchNorm",
        ),
        (("plain", 9), {"width": 0}, ValueError, "width must be a whole number of at"),
        (("plain", 9), {"growth": 9}, ValueError, "growth must be from 1 to 4, not 9"),
        (("plain", 9), {"classes": 0}, ValueError, "units must be a whole number"),
        (("round", 9), {}, UsageError, "no kind 'round'; the kinds are plain, dilated"),
        (
            ("pooled", 300),
            {"input_shape": (299, 300, 3)},
            ShapeError,
            "an input of 299x300 pixels does not hold an object of 300x300",
        ),
    ],
)
def test_what_means_nothing_is_refused_in_words(
    arguments: tuple, settings: dict, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        design(*arguments, **settings)


# --- on the command line ---------------------------------------------------------------


def test_the_answer_stands_above_the_table() -> None:
    result = run("design", "--object", 300, "--kernel", 3)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(
        "150 layers of 3x3 with stride 1 see 301x301 pixels, all of an object of 300x300"
    )
    rows = {line.split()[0]: line for line in result.stdout.splitlines() if line}
    assert rows.keys() >= KINDS.keys()
    assert " 382x382 " in rows["pooled"]


def test_the_answer_as_json() -> None:
    values = last_json(run("design", "--object", 300, "--json"))
    assert values["layers_of_stride_1"] == 150
    assert values["designs"].keys() == KINDS.keys()
    pooled = values["designs"]["pooled"]
    drawn = design("pooled", 300)
    assert pooled["layers"] == 7
    assert pooled["receptive_field"] == [382, 382]
    assert pooled["parameters"] == drawn.parameters
    assert pooled["multiply_adds"] == drawn.multiply_adds
    assert (pooled["predicting_bytes"], pooled["training_bytes"]) == drawn.memory
    assert values["written"] is None


def test_what_cannot_be_built_is_told_and_left_out() -> None:
    """The lecture's count is answered all the same."""
    result = run("design", "--object", 4000, "--kernel", 2, "--json")
    values = last_json(result)
    assert values["layers_of_stride_1"] == 3999
    assert values["designs"].keys() == {"dilated", "strided", "pooled"}
    assert values["designs"]["strided"]["layers"] == 12
    assert "plain is left out: 3,999 layers of 2x2" in result.stderr


def test_kernels_of_2_are_not_shown_twice() -> None:
    values = last_json(run("design", "--object", 30, "--kernel", 2, "--json"))
    assert values["designs"].keys() == KINDS.keys() - {"patches"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--object", 0), 2, "has a side not from 1 to 65536"),
        (("--object", "wide"), 2, "is not a size, such as 32 or 48x64"),
        (("--object", 10**30), 2, "has a side not from 1 to 65536"),
        (("--object", 9999), 2, "at most 4096 pixels a side"),
        (("--object", 1), 2, "sees an object of one pixel"),
        (("--object", 300, "--kernel", 1), 2, "never see more than one pixel"),
        (("--object", 300, "--kernel", 0), 2, "has a side not from 1"),
        (
            ("--object", 300, "--input", "200x200x3"),
            3,
            "does not hold an object of 300",
        ),
        (
            ("--object", 300, "--input", "300x300"),
            2,
            "is not an input, such as 300x300",
        ),
        (("--object", 30, "--width", 10**9), 2, "at most 4096"),
        (("--object", 30, "--classes", 10**30), 2, "units can be at most"),
        (("--object", 30, "--kind", "round"), 2, "'round' is not one of"),
        (("--object", 30, "-o", "net.txt"), 2, "call the file net.json"),
        (("--object", 30, "-o", "no/such/net.json"), 3, "there is no folder"),
        ((), 2, "--object"),
    ],
)
def test_impossible_requests(arguments: tuple, code: int, message: str) -> None:
    result = run("design", *arguments)
    assert result.exit_code == code
    assert message in " ".join(result.stderr.split())


def test_a_design_is_written_trained_and_looked_at(tmp_path: Path) -> None:
    net, model = tmp_path / "net.json", tmp_path / "m.safetensors"
    shape = ("--object", 20, "--input", "28x28x1", "--width", 4)
    result = run("design", *shape, "-o", net)
    assert f"pooled is written: striate train DATA --network {net}" in result.stdout
    drawn = design("pooled", 20, input_shape=(28, 28, 1), width=4)
    assert read_architecture(net).layers == drawn.layers
    trained = run(
        *("train", "digits", "--network", net, "--epochs", 4, "-o", model, "--json")
    )
    assert trained.exit_code == 0, trained.stderr
    assert last_json(trained)["network"] == "net"
    assert last_json(trained)["test_accuracy"] > 0.8
    assert st.load(model).layers == drawn.layers
    assert run("summary", net).stdout == run("summary", model).stdout


def test_another_kind_can_be_written(tmp_path: Path) -> None:
    net = tmp_path / "net.json"
    run("design", "--object", 20, "--kind", "strided", "-o", net)
    layers = read_architecture(net).layers
    assert not any(isinstance(layer, MaxPool2D) for layer in layers)
    assert json.loads(net.read_text())["layers"][0]["stride"] == 2
    assert depth_to_see(20, layers[0]) == 4
