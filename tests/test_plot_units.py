"""Figures of filters, feature maps and patches, of any number; they need matplotlib."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import striate as st
from striate import explain

if find_spec("matplotlib") is None:
    pytest.skip("draws: pip install 'striate[plot]'", allow_module_level=True)

from striate.plotting.figure import write_png
from striate.plotting.units import filters_figure, maps_figure, patches_figure

pytestmark = pytest.mark.plot

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, 16, 16, 3), np.uint8)


def words(figure: object, path: Path) -> list[str]:
    """All that is written in a figure, which must be of a size that can be looked at."""
    write_png(figure, path / "a.png")
    with Image.open(path / "a.png") as picture:
        assert 500 < picture.width < 2400
        assert 100 < picture.height < 2400
    (axes,) = figure.axes
    return [text.get_text() for text in axes.texts]


def network(filters: int) -> st.Network:
    layers = [st.Conv2D(filters, 3, padding=1), st.ReLU(), st.GlobalAvgPool2D()]
    return st.Network([*layers, st.Dense(2)], (16, 16, 3))


@pytest.mark.parametrize("filters", [1, 6, 65, 512])
def test_figures_of_any_number_say_what_they_leave_out(
    filters: int, tmp_path: Path
) -> None:
    net = network(filters)
    left = f"64 of its {filters} " if filters > 64 else f"{filters} "
    said = words(filters_figure(net), tmp_path)
    assert said[0].startswith(f"conv1: {left}filter")
    assert ("left out" in said[0]) == (filters > 64)
    assert said[0].endswith("of 3x3x3")
    assert "each sees 3x3 pixels" in said[1]
    assert len(said) == 2 + min(filters, 64)
    said = words(maps_figure(net, IMAGES[0], "relu1"), tmp_path)
    assert said[0].startswith(f"relu1: {left}map")
    assert len(said) == 3 + min(filters, 64)
    top = explain.top_patches(net, IMAGES, "relu1")["relu1"]
    said = words(patches_figure(top, top.crops(IMAGES)), tmp_path)
    assert ("12 of its" in said[0]) == (filters > 12)
    box = top.boxes[0, 0]
    assert said[3] == (
        f"{top.values[0, 0]:.3g}  #{top.images[0, 0]}\n"
        f"[{box[0]}:{box[2]}, {box[1]}:{box[3]}]"
    )


def test_patches_of_chosen_maps_from_files(tmp_path: Path) -> None:
    net = network(20)
    net.fit(IMAGES, np.arange(12) % 2, epochs=1)
    files = [tmp_path / f"{place}.png" for place in range(12)]
    for path, image in zip(files, IMAGES, strict=True):
        Image.fromarray(image).resize((48, 48)).save(path)
    top = explain.top_patches(net, IMAGES, "conv1", k=3)["conv1"]
    figure = patches_figure(top, top.crops_from_files(files), maps=[17, 3])
    assert "17" in words(figure, tmp_path)
    assert len(figure.axes[0].images) == 6


def test_units_alone_and_maps_that_are_no_numbers(tmp_path: Path) -> None:
    net = network(3)
    assert words(maps_figure(net, IMAGES[0], "dense1"), tmp_path)[0].startswith(
        "dense1: 2 units, from "
    )
    with pytest.raises(st.UsageError, match="dense1 has no filters"):
        filters_figure(net, "dense1")
    weights = {name: np.full(array.shape, 3e38) for name, array in net.weights.items()}
    net.set_weights(weights)
    said = words(maps_figure(net, IMAGES[0], "conv1"), tmp_path)
    assert "no finite number is drawn as 0" in said[1]
    top = explain.top_patches(net, IMAGES[:1])["dense1"]
    words(patches_figure(top, top.crops(IMAGES)), tmp_path)


def test_patches_that_show_nothing_of_their_image_leave_their_cell_empty(
    tmp_path: Path,
) -> None:
    net = st.Network([st.Conv2D(1, 1, padding=1)], (2, 2, 1))
    net.set_weights({"conv1.weight": -np.ones((1, 1, 1, 1)), "conv1.bias": [0]})
    images = np.full((2, 2, 2), 255, np.uint8)
    top = explain.top_patches(net, images)["conv1"]
    figure = patches_figure(top, top.crops(images))
    words(figure, tmp_path)
    assert not figure.axes[0].images
