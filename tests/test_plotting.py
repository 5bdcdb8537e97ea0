"""Pictures, drawn for every number of classes and images; they need matplotlib."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from striate import cli
from striate.plotting.confusion import MOST_CLASSES, confusion_figure, most_confused
from striate.plotting.curves import training_curves
from striate.plotting.figure import write_png
from striate.plotting.mistakes import mistakes_sheet
from striate.plotting.rates import rates_figure
from striate.training.range_test import RangeTest

if find_spec("matplotlib") is None:
    pytest.skip("draws: pip install 'striate[plot]'", allow_module_level=True)

pytestmark = pytest.mark.plot

STRANGE = ["a_b$c", "$\\frac$", "two\nlines", "日本語", "", "\udcff", "x" * 200, 7]
RNG = np.random.default_rng(0)


def drawn(picture: Any, path: Path) -> np.ndarray:
    """The pixels of a figure that was written, red, green and blue."""
    write_png(picture, path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("classes", [1, 2, 10, 24, 25, 200])
def test_a_confusion_matrix_of_any_size_is_legible(
    classes: int, tmp_path: Path
) -> None:
    confusion = RNG.integers(0, 3, (classes, classes)).astype(np.int64)
    names = [*STRANGE, *(f"class {index}" for index in range(classes))][:classes]
    picture = confusion_figure(confusion, names, "200 test images")
    pixels = drawn(picture, tmp_path / "a.png")
    assert 300 < min(pixels.shape[:2]) <= max(pixels.shape[:2]) < 2000
    (axes,) = picture.axes
    numbers = sum(int(text.get_text()) for text in axes.texts)
    shown = most_confused(confusion)
    assert numbers == confusion[shown].sum()  # none is left out of its row
    assert ("most confused of" in axes.get_title()) == (classes > MOST_CLASSES)


def test_mistakes_are_drawn_pixel_by_pixel(tmp_path: Path) -> None:
    images = np.zeros((1, 8, 8, 3), np.uint8)
    images[0, :, ::2] = (255, 0, 0)
    pixels = drawn(mistakes_sheet(images, ["a"], ["b"], [0.9]), tmp_path / "a.png")
    pure = [(255, 0, 0), (0, 0, 0)]
    inside = pixels[pixels.shape[0] // 2 + 20]
    colors = {tuple(one) for one in inside.tolist()} - {(255, 255, 255)}
    assert set(pure) <= colors
    assert sum(tuple(one) in pure for one in inside.tolist()) > 0.9 * 120


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("count", "side"), [(1, 5), (7, 40), (24, 300)])
def test_mistakes_of_any_size_and_kind_are_drawn(
    channels: int, count: int, side: int, tmp_path: Path
) -> None:
    images = RNG.integers(0, 256, (count, side, 2 * side, channels), dtype=np.uint8)
    names = [*STRANGE, *range(count)][:count]
    files = [f"{name}.png" for name in names]
    picture = mistakes_sheet(
        images, names, names[::-1], [0.5] * count, "on $1,0 images", files
    )
    assert drawn(picture, tmp_path / "a.png").shape[1] > 300
    titles = [axes.get_title() for axes in picture.axes if axes.images]
    assert len(titles) == count
    assert all(title.endswith(", 50 %") for title in titles)
    below = [text.get_text() for axes in picture.axes for text in axes.texts]
    assert len(below) == count
    assert all(text.endswith(".png") for text in below)


@pytest.mark.parametrize("epochs", [1, 2, 80])
@pytest.mark.parametrize("validation", [False, True])
def test_curves_of_any_length_are_drawn(
    epochs: int, validation: bool, tmp_path: Path
) -> None:
    names = ["loss", "accuracy", "learning_rate"]
    names += ["val_loss", "val_accuracy"] if validation else []
    history = {name: np.linspace(1, 0, epochs).tolist() for name in names}
    picture = training_curves(history, "digits")
    assert drawn(picture, tmp_path / "a.png").shape[1] > 1000
    loss, accuracy, rate = picture.axes
    assert [len(axes.lines) for axes in (loss, accuracy)] == [1 + validation] * 2
    assert loss.lines[0].get_ydata().tolist() == history["loss"]
    assert len(rate.lines) == 1


def test_a_range_test_is_drawn_with_its_suggestion(tmp_path: Path) -> None:
    rates = np.geomspace(1e-4, 1, 60)
    losses = 2 - np.exp(-((np.log10(rates) + 1) ** 2)) + 5 * (rates > 0.5)
    test = RangeTest(rates, losses, True, 5)
    picture = rates_figure(test, "digits")
    assert drawn(picture, tmp_path / "a.png").shape[1] > 600
    labels = [text.get_text() for text in picture.axes[0].get_legend().get_texts()]
    assert labels[-1] == f"suggested: {test.suggestion:.2g}"
    flat = RangeTest(rates, np.full(60, 2.0), False, 5)
    drawn(rates_figure(flat), tmp_path / "b.png")


def test_drawing_leaves_no_global_state() -> None:
    """In a process of its own: others may have imported pyplot."""
    program = (
        "import sys, io, tempfile, os, striate\n"
        "assert 'matplotlib' not in sys.modules\n"
        "from striate.plotting.curves import training_curves\n"
        "from striate.plotting.figure import write_png\n"
        "path = os.path.join(tempfile.mkdtemp(), 'a.png')\n"
        "write_png(training_curves({'loss': [1.0], 'accuracy': [0.5]}), path)\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "a run"
    arguments = ["train", "digits", "--epochs", "3", "--validation", "0.2", "--run"]
    result = CliRunner().invoke(cli.main, [*arguments, str(folder), "-q"])
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    return folder


def test_the_run_folder_has_a_page_with_pictures(finished: Path) -> None:
    page = (finished / "report.md").read_text()
    shown = re.findall(r"!\[.+\]\((.+)\)", page)
    assert shown == ["curves.png", "confusion.png", "mistakes.png"]
    assert {one.name for one in finished.glob("*.png")} == set(shown)
    for heading in ("What was trained", "How far its", "Its mistakes", "How to use it"):
        assert f"\n## {heading}" in page
    assert "- Network: lenet5, 61,706 parameters, 416,520 multiply-adds an" in page
    assert "| optimizer | SGD, momentum 0.9 |" in page
    assert "Settings(" not in page
    assert re.search(r"\| validation, last epoch \| \d\.\d{4} \| \S+ % \|", page)
    assert re.search(r"Calibrated on the validation part: temperature \d+\.\d\d", page)
    assert re.search(r"\| (4|5)\.\d\d % \| \S+ % \| 0\.\d{3} \|", page)
    assert f"striate train --config '{finished / 'settings.json'}'" in page
    assert len(page.splitlines()) < 90


def test_lr_find_draws(tmp_path: Path) -> None:
    path = tmp_path / "rates.png"
    arguments = ["lr-find", "digits", "--steps", "40", "-o", str(path)]
    result = CliRunner().invoke(cli.main, arguments)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.endswith(f"picture {path}\n")
    with Image.open(path) as image:
        assert image.width > 600
