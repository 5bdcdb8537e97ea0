"""Images beside the maps of which pixels decided."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import striate as st
from striate.colors import FIRST, SECOND
from striate.plotting.attributions import attributions_figure
from striate.plotting.figure import write_png

if find_spec("matplotlib") is None:
    pytest.skip("draws: pip install 'striate[plot]'", allow_module_level=True)

pytestmark = pytest.mark.plot
RNG = np.random.default_rng(2)


def drawn(picture: Any, path: Path) -> np.ndarray:
    write_png(picture, path)
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize(("count", "maps"), [(1, 0), (1, 1), (3, 5), (1, 12), (24, 1)])
def test_any_number_of_images_and_maps_is_drawn(
    channels: int, count: int, maps: int, tmp_path: Path
) -> None:
    images = RNG.integers(0, 256, (count, 12, 20, channels), dtype=np.uint8)
    found = {
        f"a method of $name_{number}": RNG.normal(size=(count, 14, 24, channels))
        for number in range(maps)
    }
    labels = [f"class {index}" for index in range(count)]
    picture = attributions_figure(images, found, labels, "$1 for all")
    pixels = drawn(picture, tmp_path / "a.png")
    assert 200 < min(pixels.shape[:2]) <= max(pixels.shape[:2]) < 6000
    assert len(picture.axes) == count * (1 + maps) + (maps > 0)
    if maps:
        words = [label.get_text() for label in picture.axes[-1].get_xticklabels()]
        assert words[::2] == ["against the class", "for the class"]
        assert words[1].startswith("0")


def test_orange_is_for_blue_against_and_white_neither() -> None:
    from matplotlib.colors import to_rgb

    images = np.zeros((1, 3, 3, 1), np.uint8)
    found = np.zeros((1, 3, 3, 2))
    found[0, 0, 0] = 1, 3
    found[0, 2, 2] = -5, 1
    picture = attributions_figure(images, {"a": found})
    painted = picture.axes[1].images[0].get_array()
    for place, colour in ((0, to_rgb(SECOND)), (2, to_rgb(FIRST)), (1, (1, 1, 1))):
        np.testing.assert_allclose(painted[place, place], colour, atol=0.02)


def test_maps_that_find_nothing_and_coarse_ones_are_drawn() -> None:
    images = RNG.integers(0, 256, (2, 12, 12, 1), dtype=np.uint8)
    coarse = np.arange(18.0).reshape(2, 3, 3)
    maps = {"nothing": np.zeros((2, 16, 16)), "coarse": coarse}
    picture = attributions_figure(images, maps)
    nothing, small = (axes.images[0].get_array() for axes in picture.axes[1:3])
    assert nothing.shape == small.shape == (16, 16, 3)
    assert np.ptp(nothing[0, 0]) < 0.02
    assert len(np.unique(small[:5, :, 2])) >= 3


def test_maps_that_do_not_fit_are_refused() -> None:
    images = np.zeros((2, 8, 8, 1), np.uint8)
    with pytest.raises(st.ShapeError, match="the map 'a' is of 1 images, but 2 are"):
        attributions_figure(images, {"a": np.zeros((1, 8, 8))})
    with pytest.raises(st.ShapeError, match="'a' must be N,H,W or N,H,W,C"):
        attributions_figure(images, {"a": np.zeros((2, 8))})
    with pytest.raises(st.DataError, match="'a' holds NaN or infinity"):
        attributions_figure(images, {"a": np.full((2, 8, 8), np.nan)})
    with pytest.raises(st.ShapeError, match="images must be uint8"):
        attributions_figure(images.astype(float), {})  # type: ignore[arg-type]
    with pytest.raises(st.ShapeError, match="1 to 24 images"):
        attributions_figure(np.zeros((25, 8, 8, 1), np.uint8), {})
