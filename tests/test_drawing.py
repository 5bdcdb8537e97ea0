"""Networks drawn as volumes: valid, complete, to scale, and legible."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import last_json, run
from hypothesis import given, settings
from strategies import networks

from striate import (
    AvgPool2D,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool2D,
    MaxPool2D,
    Network,
    ReLU,
    Residual,
    lenet5,
    mobilenet,
    resnet,
    vgg,
)
from striate.drawing import draw_network
from striate.drawing.layout import LETTER, WIDEST_LETTER
from striate.drawing.stages import stages_of
from striate.layers import resolve

SVG = "{http://www.w3.org/2000/svg}"
Box = tuple[float, float, float, float]

ZOO = {
    "lenet5": lenet5(),
    "faces": vgg((112, 92, 1), 40),
    "vgg": vgg(),
    "wide": vgg((64, 64, 3), width=64),
    "mobilenet": mobilenet(),
    "resnet": resnet(),
    "large resnet": resnet((200, 300, 3), 1000, width=32),
}


def parsed(network: Network) -> ET.Element:
    return ET.fromstring(draw_network(network))


def numbers(element: ET.Element, *names: str) -> list[float]:
    return [float(element.get(name, "nan")) for name in names]


def words(drawing: ET.Element) -> Iterator[tuple[str, Box]]:
    """Every text with the box it takes at most, as the layout reckons."""
    for text in drawing.iter(f"{SVG}text"):
        x, y = numbers(text, "x", "y")
        width = WIDEST_LETTER * LETTER * len(text.text or "")
        left = x if text.get("text-anchor") == "start" else x - width / 2
        yield text.text or "", (left, y - 0.8 * LETTER, left + width, y + 0.2 * LETTER)


def sheets(drawing: ET.Element) -> list[Box]:
    """The maps of all volumes, without the paper and the patches."""
    boxes = []
    for rect in drawing.iter(f"{SVG}rect"):
        x, y, width, height = numbers(rect, "x", "y", "width", "height")
        if rect.get("fill") != "none" and "x" in rect.attrib:
            boxes.append((x, y, x + width, y + height))
    return boxes


def overlap(one: Box, other: Box) -> bool:
    apart = one[2] <= other[0] or other[2] <= one[0]
    return not (apart or one[3] <= other[1] or other[3] <= one[1])


def check_legible(drawing: ET.Element) -> None:
    """No words on words or on volumes, and nothing beyond the paper."""
    _, _, width, height = map(float, drawing.get("viewBox", "").split())
    said, drawn = list(words(drawing)), sheets(drawing)
    for (one, box), (other, beside) in itertools.combinations(said, 2):
        assert not overlap(box, beside), (one, other)
    for text, box in said:
        assert not any(overlap(box, sheet) for sheet in drawn), text
    for left, top, right, bottom in [*drawn, *(box for _, box in said)]:
        assert min(left, top) >= 0
        assert right <= width
        assert bottom <= height


@pytest.mark.parametrize("name", ZOO)
def test_every_network_of_the_zoo_is_legible(name: str) -> None:
    drawing = parsed(ZOO[name])
    check_legible(drawing)
    shown = [text for text, _ in words(drawing)]
    for stage in stages_of(ZOO[name].resolved)[0]:
        assert stage.name in shown
        assert stage.size in shown


@given(networks(dropout=True))
@settings(max_examples=60, deadline=None)
def test_any_network_is_legible(network: Network) -> None:
    check_legible(parsed(network))


def test_lenet5_is_drawn_as_its_figure() -> None:
    drawing = parsed(lenet5())
    shown = [text.replace("\u00a0", " ") for text, _ in words(drawing)]
    assert shown[:2] == ["input", "32 × 32"]
    assert shown[2:6] == ["conv1", "6 @ 28 × 28", "5 × 5", "convolution"]
    assert shown[6:10] == ["pool1", "6 @ 14 × 14", "2 × 2 max", "pooling"]
    assert shown[-4:] == ["dense3", "10", "full", "connection"]
    assert len(sheets(drawing)) == 1 + 6 + 6 + 16 + 16
    # The frame on the input is as much of its side as 5 of 32 pixels.
    (frame, *_) = [
        rect for rect in drawing.iter(f"{SVG}rect") if rect.get("fill") == "none"
    ]
    left, _, right, _ = sheets(drawing)[0]
    (width,) = numbers(frame, "width")
    assert width / (right - left) == pytest.approx(5 / 32, abs=0.1 / (right - left) * 2)


def test_a_drawing_says_in_words_what_it_shows() -> None:
    drawing = ET.fromstring(draw_network(resnet(), "<b> & \x00"))
    assert drawing.get("role") == "img"
    title, told = list(drawing)[:2]
    assert (title.tag, title.text) == (f"{SVG}title", "<b> & \ufffd")
    assert told.tag == f"{SVG}desc"
    assert "3 × 3 convolution makes conv1, 32x32x16" in (told.text or "")
    assert "is added to conv5 by 1 × 1 convolution, stride 2" in (told.text or "")


def test_a_drawing_needs_nothing_from_elsewhere() -> None:
    drawing = ET.fromstring(draw_network(lenet5(), picture="data:image/png;base64,AA"))
    (image,) = drawing.iter(f"{SVG}image")
    assert image.get("href") == "data:image/png;base64,AA"
    for element in drawing.iter():
        assert element is image or not {"href", "src"} & element.attrib.keys()
        assert element.tag not in (f"{SVG}script", f"{SVG}style", f"{SVG}use")


def test_every_shortcut_is_an_arc_that_ends_in_a_sum() -> None:
    network = resnet()
    sums = [one for one in network.resolved if len(one.inputs) > 1]
    circles = [
        one for one in parsed(network).iter(f"{SVG}circle") if one.get("r") == "5"
    ]
    assert len(circles) == len(sums) > 0


def test_what_changes_no_shape_has_no_volume() -> None:
    stages, _ = stages_of(vgg().resolved)
    assert [stage.kind for stage in stages[:4]] == ["", "conv", "conv", "pool"]
    assert [one.name for one in stages[1].layers] == ["conv1", "bn1", "relu1"]
    assert (stages[1].name, stages[1].last) == ("conv1", "relu1")
    last_pool = stages[-2]
    assert [one.name for one in last_pool.layers][-2:] == ["flatten1", "dropout1"]
    assert last_pool.last == last_pool.name  # what follows is no volume any more


def test_blocks_in_blocks_lie_under_higher_arcs() -> None:
    inner = Residual([Conv2D(4, 3, padding=1), ReLU(), Conv2D(4, 3, padding=1)])
    outer = Residual([inner, ReLU()], shortcut=[Conv2D(4, 1), ReLU()])
    stages, arcs = stages_of(resolve([Conv2D(4, 1), outer, Flatten()], (8, 8, 1)))
    assert [stage.name for stage in stages] == [
        "input",
        "conv1",
        "conv2",
        "conv3",
        "flatten1",
    ]
    assert [(arc.source, arc.target, arc.level) for arc in arcs] == [
        (1, 3, 0),
        (1, 3, 1),
    ]
    assert [arc.operation for arc in arcs] == ["", "1 × 1 convolution"]


def test_a_block_without_volumes_of_its_own_shows_its_sum() -> None:
    stages, arcs = stages_of(resolve([Residual([ReLU()]), Flatten()], (4, 4, 1)))
    assert [stage.name for stage in stages] == ["input", "add1", "flatten1"]
    assert [(arc.source, arc.target) for arc in arcs] == [(0, 1)]


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (Conv2D(8, (3, 5), stride=2), "3 × 5 convolution, stride 2"),
        (Conv2D(4, 3, groups=4), "3 × 3 depthwise convolution"),
        (Conv2D(4, 3, groups=2), "3 × 3 convolution, 2 groups"),
        (Conv2D(4, 3, dilation=(2, 1)), "3 × 3 convolution, dilation 2 × 1"),
        (MaxPool2D(3, stride=2), "3 × 3 max pooling, stride 2"),
        (AvgPool2D(2), "2 × 2 average pooling"),
        (GlobalAvgPool2D(), "mean of every map"),
        (Flatten(), "one long vector"),
    ],
)
def test_operations_in_words(layer: Conv2D, said: str) -> None:
    stages, _ = stages_of(resolve([layer], (12, 12, 4)))
    assert stages[-1].operation == said


def test_very_deep_and_very_wide_networks_stay_small() -> None:
    block = Residual([Conv2D(2, 3, padding=1), ReLU(), Conv2D(2, 3, padding=1)])
    deep = Network([Conv2D(2, 3), *[block] * 150, Flatten(), Dense(2)], (12, 12, 1))
    check_legible(parsed(deep))
    wide = Network([Conv2D(4096, 3), GlobalAvgPool2D(), Dense(1000)], (5, 5, 3))
    assert len(draw_network(wide)) < 20_000
    assert "Of more than 16 maps not every one is drawn." in draw_network(wide)


def test_draw_writes_networks_and_models(model: Path, tmp_path: Path) -> None:
    result = run("draw", "lenet5", "-o", tmp_path / "net.svg")
    assert result.exit_code == 0, result.stderr
    drawing = ET.parse(tmp_path / "net.svg").getroot()
    assert (drawing[0].text, drawing.tag) == ("lenet5: 61,706 parameters", f"{SVG}svg")
    values = last_json(run("draw", model, "-o", tmp_path / "model.svg", "--json"))
    assert values["parameters"] == 61_706
    assert values["bytes"] == (tmp_path / "model.svg").stat().st_size


def test_a_drawing_is_called_after_its_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("design", "--object", 12, "-o", "net.json").exit_code == 0
    assert run("draw", "net.json").stdout.startswith("figure net.svg, ")


def test_draw_names_the_file_by_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("draw", "vgg", "digits", "--width", 8).exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["vgg.svg"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["lenet6"], 3, "There is no model file lenet6, and no network of that name"),
        (
            ["lenet5", "-o", "no/net.svg"],
            3,
            "cannot be written as no/net.svg: there is",
        ),
        (["lenet5", "-o", "."], 3, "cannot be written as .: that is a folder"),
        (["MODEL", "-o", "MODEL"], 2, "is what is read here"),
        (["auto"], 2, "it needs DATA: striate draw auto photos/"),
        (["lenet5", "--width", "3"], 2, "--width belongs to networks made of stages"),
    ],
)
def test_what_cannot_be_drawn_is_said_and_leaves_nothing(
    arguments: list[str],
    code: int,
    message: str,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("draw", *(model if one == "MODEL" else one for one in arguments))
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert not list(tmp_path.iterdir())
