"""Pictures of shifts and of pooling; they need matplotlib."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from command_line import last_json, run
from PIL import Image

import striate as st
from striate.errors import UsageError
from striate.explain import shift_response
from striate.plotting.figure import write_png
from striate.plotting.pooled import pooled_figure
from striate.plotting.shift import shift_figure

if find_spec("matplotlib") is None:
    pytest.skip("draws: pip install 'striate[plot]'", allow_module_level=True)

pytestmark = pytest.mark.plot


def test_two_networks_are_drawn_beside_each_other(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 1), np.uint8)
    layers = [st.Conv2D(2, 3), st.Flatten(), st.Dense(2)]
    networks = (st.Network(layers, (16, 16, 1), seed=seed) for seed in (0, 1))
    labels = [0, 1, 0, 1]
    responses = {
        name: shift_response(network, images, labels)
        for name, network in zip(("a$_b$", "x" * 90), networks, strict=True)
    }
    figure = shift_figure(responses, "shifts of $digits$")
    assert len(figure.axes) == 8
    right, change, along, maximum = figure.axes[:4]
    assert len(right.lines) == 2
    # input, conv1 and dense1, of which only two are maps; and the line at 1.
    assert [len(axes.lines) for axes in (change, along, maximum)] == [4, 3, 3]
    write_png(figure, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.width > 1000


def test_a_deep_network_without_labels_is_drawn(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 12, 12, 1), np.uint8)
    network = st.Network([st.Conv2D(1, 3, padding=1)] * 30, (12, 12, 1))
    figure = shift_figure({"deep": shift_response(network, images, pixels=[0, 1])})
    assert len(figure.axes[1].lines) == 13
    write_png(figure, tmp_path / "a.png")


def test_shift_draws_on_request(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "shift.png"
    arguments = ("shift", model, "digits", "--pixels", 1, "--compared", 9)
    values = last_json(run(*arguments, "--plot", path, "--json"))
    assert values["picture"] == str(path)
    with Image.open(path) as image:
        assert image.format == "PNG"
    refused = run(*arguments, "--plot", tmp_path / "none" / "a.png")
    assert refused.exit_code == 3
    assert "picture" in refused.stderr


@pytest.mark.parametrize("layer", ["pool1", "pool2"])
def test_maps_are_drawn_above_what_pooling_makes_of_them(
    layer: str, tmp_path: Path
) -> None:
    network = st.lenet5()
    image = np.random.default_rng(0).integers(0, 256, (28, 28, 1), np.uint8)
    figure = pooled_figure(network, image, layer, "$a_b")
    one = next(one for one in network.resolved if one.name == layer)
    count = min(one.output_shape[2], 8)
    drawn = [axes.images[0] for axes in figure.axes]
    assert len(drawn) == 2 * count
    for before, after in zip(drawn[:count], drawn[count:], strict=True):
        large, small = before.get_array(), after.get_array()
        assert large.shape == one.input_shape[:2]
        pooled = large.reshape(len(small), 2, len(small), 2).max((1, 3))
        np.testing.assert_array_equal(small, pooled)
        assert before.get_clim() == after.get_clim()
    write_png(figure, tmp_path / "a.png")


def test_pooling_of_the_image_itself_is_drawn_too() -> None:
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    figure = pooled_figure(st.Network([st.AvgPool2D(2)], (4, 4, 1)), image)
    large, small = (axes.images[0].get_array() for axes in figure.axes)
    np.testing.assert_allclose(large * 255, image[:, :, 0], rtol=1e-6)
    assert small.shape == (2, 2)


def test_another_layer_is_refused() -> None:
    image = np.zeros((28, 28, 1), np.uint8)
    with pytest.raises(
        UsageError, match=r"conv1 is Conv2D\(6, 5\); the pooling layers are"
    ):
        pooled_figure(st.lenet5(), image, "conv1")
    with pytest.raises(UsageError, match="the pooling layers are none"):
        pooled_figure(st.Network([st.ReLU()], (28, 28, 1)), image, 0)
