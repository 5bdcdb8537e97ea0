"""Pictures of receptive fields, of any size; they need matplotlib."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate import Conv2D, Flatten, Network, ShapeError, explain, lenet5, resnet
from striate.layers import Layer
from striate.plotting.fields import MOST_FIELDS, effective_figure, fields_figure
from striate.plotting.figure import write_png

if find_spec("matplotlib") is None:
    pytest.skip("draws: pip install 'striate[plot]'", allow_module_level=True)

pytestmark = pytest.mark.plot

RANDOM = np.random.default_rng(0)


def size(picture: object, path: Path) -> tuple[int, int]:
    write_png(picture, path)  # type: ignore[arg-type]
    with Image.open(path) as image:
        return image.size


@pytest.mark.parametrize(
    ("layers", "side", "channels"),
    [
        ([Conv2D(1, 3)], (3, 3), 0),
        ([Conv2D(1, 9, padding=4), Flatten()], (4, 40), 1),
        ([Conv2D(1, 3, stride=2, padding=1)] * 3, (300, 200), 3),
        ([Conv2D(1, 3, stride=2, padding=1)] * 3, (20, 20), 2),
        ([Conv2D(1, 3, padding=1)] * 40, (32, 32), 1),
    ],
)
def test_fields_of_any_network_are_drawn(
    layers: list[Layer], side: tuple[int, int], channels: int, tmp_path: Path
) -> None:
    network = Network(layers, (*side, max(channels, 1)))
    image = None
    if channels:
        image = RANDOM.integers(0, 256, (*side, channels), np.uint8)[1:, 2:]
    figure = fields_figure(network, image, "any $1 network")
    width, height = size(figure, tmp_path / "a.png")
    assert 200 < min(width, height) <= max(width, height) < 2000
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert len(panels) == min(len(explain.layer_fields(network)), MOST_FIELDS)


def test_the_box_is_drawn_where_it_lies(tmp_path: Path) -> None:
    """A field of the right half: there the image is dark, to the left it is faint."""
    network = Network([Conv2D(1, (8, 4), stride=(8, 4))], (8, 8, 1))
    [field] = explain.layer_fields(network)
    assert field.box == (0, 4, 8, 8)
    figure = fields_figure(network, np.zeros((8, 8, 1), np.uint8))
    write_png(figure, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        pixels = np.asarray(image.convert("L"))
    middle = pixels[pixels.shape[0] // 2 + 20]
    dark, faint = (np.flatnonzero(middle == ink) for ink in (0, 191))
    assert len(dark) > 50
    assert len(faint) > 50
    assert faint.max() < dark.min()


@pytest.mark.parametrize(
    ("layers", "side"),
    [([Conv2D(1, 3)], (3, 3)), ([Conv2D(2, 5, padding=2)] * 3, (20, 90))],
)
def test_effective_fields_of_any_size_are_drawn(
    layers: list[Layer], side: tuple[int, int], tmp_path: Path
) -> None:
    network = Network(layers, (*side, 1))
    images = RANDOM.integers(0, 256, (2, *side, 1), np.uint8)
    field = explain.effective_field(network, images, -1)
    for image in (None, images[0]):
        width, height = size(effective_figure(field, image, "$x"), tmp_path / "a.png")
        assert 300 < min(width, height) <= max(width, height) < 2000


def test_one_pixel_has_no_width(tmp_path: Path) -> None:
    network = Network([Conv2D(1, 1)], (4, 4, 1))
    field = explain.effective_field(network, np.zeros((1, 4, 4), np.uint8), 0)
    assert field.deviation == (0, 0)
    size(effective_figure(field), tmp_path / "a.png")


def test_images_that_do_not_fit_into_the_input() -> None:
    with pytest.raises(ShapeError, match="images of 40x32 pixels do not fit into"):
        fields_figure(lenet5(), np.zeros((40, 32, 1), np.uint8))
    network = Network([Conv2D(1, 1)], (4, 4, 1))
    field = explain.effective_field(network, np.zeros((1, 4, 4), np.uint8), 0)
    with pytest.raises(
        ShapeError, match="at most 4x4, the network's input, but has sh"
    ):
        effective_figure(field, np.zeros((5, 4, 1), np.uint8))


def test_a_deep_network_with_branches_is_drawn(tmp_path: Path) -> None:
    assert min(size(fields_figure(resnet()), tmp_path / "a.png")) > 250
