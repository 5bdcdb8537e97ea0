"""The page about a network: complete, whole in one file, and safe whatever is in it."""

from __future__ import annotations

from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from command_line import last_json, run
from numpy.typing import NDArray

import striate as st
from striate import explain
from striate.accuracy import Report
from striate.data import Dataset
from striate.report import Findings, explain_page, look_inside
from striate.report.chosen import chosen_images
from striate.report.looks import classes_among

VOID = {"img", "meta", "br", "rect", "line", "path", "circle", "image", "polygon"}
VOID |= {"polyline", "wbr"}


class Page(HTMLParser):
    """A page read as browsers do, which notes what does not fit together."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(
        self, tag: str, attrs: list[tuple[str, str | None]], closed: bool = False
    ) -> None:
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        assert closed == (tag in VOID), tag
        if not closed:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs, closed=True)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data.replace("\u00a0", " ")


def check_page(text: str) -> Page:
    """A page that is valid, needs nothing from elsewhere, and can be read to people."""
    assert text.startswith("<!DOCTYPE html>")
    page = Page(text)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base")
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            address = attributes.get(name) or "data:"
            assert address.startswith("data:image/") or address[1:] in [*ids, "ata:"]
        assert "url(" not in (attributes.get("style") or "")
        if tag == "img":
            assert attributes.get("alt")
    assert "nan" not in page.text.lower().split()
    assert "url(" not in text
    assert len(text) < 10_000_000
    return page


def page_of(network: st.Network, dataset: Dataset, images: int = 3) -> Page:
    return check_page(explain_page(found(network, dataset, images)).html)


def found(network: st.Network, dataset: Dataset, images: int = 3) -> Findings:
    report = Report.of(network, dataset)
    return look_inside(network, dataset, report, images=images)


def small(
    layers: Sequence[st.layers.Layer],
    shape: tuple[int, int, int] = (6, 6, 1),
    classes: Sequence[str] = ("ant", "bee", "cat"),
    count: int = 12,
) -> tuple[st.Network, Dataset]:
    """A network trained for a moment on noise, and that noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)
    labels = np.arange(count) % len(classes)
    network = st.Network([*layers, st.Dense(len(classes))], shape)
    network.fit(pixels, np.array(classes)[labels], epochs=1)
    return network, Dataset(pixels, labels, tuple(classes), "noise")


@pytest.fixture(scope="module")
def digits(trained: tuple[Path, object]) -> tuple[st.Network, Dataset]:
    return st.load(trained[0]), st.load_data("digits")[1]


def test_the_page_tells_what_a_reader_wants_to_know(
    digits: tuple[st.Network, Dataset],
) -> None:
    findings = found(*digits, images=12)
    page = check_page(explain_page(findings).html)
    report = findings.report
    for words in (
        "What a network has learned about digits",
        "10 classes apart: 0, 1, 2, 3, 4, 5, 6, 7, 8 and 9",
        "grey pictures of 32 × 32 pixels",
        "61,706 numbers",
        f"{report.correct:,}: {100 * report.accuracy:.2f} %",
        "conv2: 16 maps of 10 × 10",
        "5 · 5 · 6 + 1 numbers",
        "together 48,120 numbers were learned here",
        "its receptive field of 14 × 14 pixels",
        "Shown are 12 of 16 maps",
        "different classes on the average; 8 drawn at random would be of 5.",
        "the strongest",
    ):
        assert words in page.text, words
    assert len(findings.examples) == 12
    assert {look.stage.name for look in findings.looks} == {
        *("conv1", "pool1", "conv2", "pool2", "dense1", "dense2", "dense3")
    }


def test_examples_are_ordinary_right_answers_and_the_worst_mistakes(
    digits: tuple[st.Network, Dataset],
) -> None:
    answers = Report.of(*digits).answers
    assert answers is not None
    chosen = chosen_images(answers, 12)
    mistakes = answers.mistakes().tolist()
    wrong = [place for place in chosen if place in mistakes]
    right = [place for place in chosen if place not in mistakes]
    assert wrong == mistakes[: len(wrong)]
    assert chosen == right + wrong
    labels = answers.labels[right].tolist()
    assert labels == sorted(set(labels))
    assert 1 <= len(wrong) <= 4
    for count in (1, 2, 5, 30, 1000):
        places = chosen_images(answers, count)
        assert len(places) == len(set(places)) <= count


@pytest.mark.parametrize(
    "layers",
    [
        [st.Flatten()],
        [st.Flatten(), st.Dense(5), st.Tanh()],
        [st.Conv2D(3, 6), st.ReLU(), st.Flatten()],
        [st.Conv2D(3, 3, stride=3), st.Sigmoid(), st.MaxPool2D(2), st.Flatten()],
        [st.Conv2D(4, 3), st.GlobalAvgPool2D()],
        [st.AvgPool2D(2), st.Flatten(), st.BatchNorm()],
        [
            st.Conv2D(4, 3, padding=1, bias=False),
            st.BatchNorm(),
            st.Residual([st.Conv2D(4, 3, padding=1), st.ReLU()]),
            st.Residual([st.ReLU()]),
            st.Flatten(),
        ],
        [
            st.Residual([st.ReLU()], shortcut=[st.BatchNorm(), st.Conv2D(1, 1)]),
            st.Residual([st.Residual([st.Conv2D(1, 1)])], shortcut=[st.Conv2D(1, 1)]),
            st.Flatten(),
        ],
        [st.Conv2D(40, 3, padding=2, dilation=2), st.ReLU(), st.Flatten()],
    ],
    ids=[
        "linear",
        "dense",
        "1x1",
        "pooled",
        "mean",
        "pooling",
        "residual",
        "branches",
        "wide",
    ],
)
def test_any_network_has_a_page(layers: list[st.layers.Layer]) -> None:
    page_of(*small(layers))


@pytest.mark.parametrize("shape", [(6, 5, 3), (9, 3, 2), (1, 1, 1)])
def test_images_of_any_shape_have_a_page(shape: tuple[int, int, int]) -> None:
    page_of(*small([st.Conv2D(3, 1), st.ReLU(), st.Flatten()], shape))


def test_one_image_and_constant_images_have_a_page() -> None:
    network, dataset = small([st.Conv2D(3, 3), st.ReLU(), st.Flatten()])
    one = Dataset(dataset.images[:1], dataset.labels[:1], dataset.classes, "one")
    assert "That cannot be told here" in page_of(network, one).text
    grey = np.full_like(dataset.images, 128)
    constant = Dataset(grey, dataset.labels, dataset.classes, "grey")
    assert "That cannot be told here" in page_of(network, constant).text


def test_a_page_without_mistakes_has_all_its_parts() -> None:
    network, dataset = small([st.Flatten()])
    right = np.array(
        [dataset.classes.index(one) for one in network.predict(dataset.images)]
    )
    page = page_of(network, Dataset(dataset.images, right, dataset.classes, "right"))
    assert "There are none: all 12 pictures were recognised." in page.text


def test_maps_that_never_fire_are_said_to() -> None:
    network, dataset = small([st.Conv2D(3, 3), st.ReLU(), st.Flatten()])
    bias = np.array([1, -1e6, 1], np.float32)
    network.set_weights(dict(network.weights) | {"conv1.bias": bias})
    page = page_of(network, dataset)
    assert "never fires for any of these pictures" in page.text
    assert "Map 1 of relu1 is dead" in page.text


def test_answers_that_are_no_numbers_are_an_error() -> None:
    network, dataset = small([st.Conv2D(3, 3), st.ReLU(), st.Flatten()])
    huge = np.full_like(network.weights["dense1.weight"], 3e38)
    huge[::2] *= -1
    network.set_weights(dict(network.weights) | {"dense1.weight": huge})
    with pytest.raises(st.DataError, match=r"images are not numbers \(NaN\), so"):
        found(network, dataset)


def test_classes_without_images_are_named() -> None:
    network, dataset = small([st.Flatten()])
    some = dataset.labels != 1
    part = Dataset(dataset.images[some], dataset.labels[some], dataset.classes, "part")
    page = page_of(network, part)
    assert "Nothing can be said of bee: the pictures show none of it." in page.text
    assert "1 of 3 classes untested" not in page.text


def test_a_page_without_mistakes_still_has_its_part_of_them() -> None:
    network, dataset = small([st.Conv2D(3, 3), st.ReLU(), st.Flatten()])
    answers = np.array(
        [dataset.classes.index(one) for one in network.predict(dataset.images)]
    )
    right = Dataset(dataset.images, answers, dataset.classes, "right")
    assert "There are none: all 12 pictures were" in page_of(network, right).text


def test_a_page_says_when_not_every_class_has_its_picture_on_top() -> None:
    words = "A picture of each of the first 20 classes; {} are tested."
    for count in (20, 21):
        names = [f"class {number}" for number in range(count)]
        page = page_of(*small([st.Flatten()], classes=names, count=count))
        assert (words.format(count) in page.text) == (count == 21)


def test_how_many_classes_the_best_pictures_of_maps_are_of() -> None:
    network, _ = small([st.Flatten()], (1, 1, 3))
    pixels = np.zeros((40, 1, 1, 3), np.uint8)
    pixels[:10, ..., 0] = 255
    pixels[::4, ..., 1] = 255
    top = explain.top_patches(network, pixels, "flatten1", k=8)["flatten1"]
    labels = np.repeat(np.arange(4), 10)
    drawn = np.random.default_rng(0)
    chance = [
        len(np.unique(labels[drawn.choice(40, 8, replace=False)])) for _ in range(4_000)
    ]
    for maps, classes in (([0], 1), ([1], 3), ([0, 1], 2)):
        found, by_chance = classes_among(top, maps, labels)
        assert found == classes
        # four standard errors of the mean of so many draws, which are 1 to 4
        assert by_chance == pytest.approx(np.mean(chance), abs=4 * 0.5 / 4_000**0.5)


def test_names_cannot_break_out_of_the_page() -> None:
    evil = ["<script>alert(1)</script>", '" onload="alert(2)', "a\u202eb\x00&amp;"]
    network, dataset = small([st.Conv2D(3, 3), st.Flatten()], classes=evil)
    named = Dataset(dataset.images, dataset.labels, dataset.classes, "</title><b>'")
    text = explain_page(found(network, named)).html
    page = check_page(text)
    assert "<script" not in text
    assert evil[0] in page.text
    assert evil[1] in page.text
    assert "a\ufffdb\ufffd&amp;" in page.text
    assert "learned about </title><b>'" in page.text


def test_many_classes_and_large_colour_images_stay_in_bounds() -> None:
    names = [f"class {number}" for number in range(60)]
    layers = [
        st.Conv2D(8, 5, stride=2),
        st.ReLU(),
        st.Conv2D(24, 3, stride=2),
        st.ReLU(),
    ]
    network, dataset = small([*layers, st.Flatten()], (64, 64, 3), names, count=120)
    page = page_of(network, dataset, images=24)
    assert "Shown are the 9 most frequent of" in page.text
    assert not [
        1 for tag, attributes in page.tags if attributes.get("class") == "confusion"
    ]


def test_the_same_page_for_any_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, dataset = small([st.Conv2D(3, 3), st.ReLU(), st.Flatten()])
    pages = []
    for threads in ("1", "3"):
        monkeypatch.setenv("STRIATE_THREADS", threads)
        pages.append(explain_page(found(network, dataset)))
    assert pages[0] == pages[1]


def test_explain_writes_a_page(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    result = run("explain", model, "digits", "-o", path, "--images", 4)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"page {path}, ")
    assert "finding in 359 images what makes each map fire" in result.stderr
    check_page(path.read_text("utf-8"))
    values = last_json(
        run("explain", model, "digits", "-o", path, "--images", 4, "--json", "-q")
    )
    assert values["bytes"] == path.stat().st_size
    assert values["images"] == 359
    assert len(values["shown"]) == 4
    assert all(isinstance(sentence, str) for sentence in values["findings"])
    assert values["left_out"] == []


@pytest.fixture(scope="module")
def wide() -> Findings:
    """What is found in many maps and with many single pictures of noise."""
    block = [st.Conv2D(16, 3, padding=1), st.ReLU()]
    network, dataset = small([*block * 4, st.Flatten()], (24, 24, 3), count=64)
    return found(network, dataset, images=1000)


def test_a_page_stays_below_its_limit_and_keeps_what_matters_most(
    wide: Findings,
) -> None:
    whole = explain_page(wide)
    assert whole.left_out == ()
    size = len(whole.html.encode())
    counts = []
    for share in (0.95, 0.5, 0.2, 0.1):
        limit = int(share * size)
        page = explain_page(wide, limit)
        assert len(page.html.encode()) <= limit
        read = check_page(page.html)
        ids = {attributes.get("id") for _, attributes in read.tags}
        assert {"network", "layers", "mistakes", "layer-conv1"} <= ids
        counts.append(
            sum(attributes.get("class") == "card" for _, attributes in read.tags)
        )
        assert "Shown are" in page.left_out[-1]
        assert f"of {len(wide.examples)} single pictures" in page.left_out[-1]
        assert page.left_out[-1].split(" With some layers")[0] in read.text
    assert counts == sorted(counts, reverse=True)
    # With the least room single pictures go first, then layers, from the last one on.
    assert "the maps of" in page.left_out[-2]
    assert "conv4" in page.left_out[-2]
    assert "conv1" not in page.left_out[-2].split(". With some")[0]
    assert page.left_out[-2] in read.text


def test_of_single_pictures_right_ones_and_mistakes_are_kept(wide: Findings) -> None:
    rights = sum(one.right for one in wide.examples)
    assert 0 < rights < len(wide.examples)
    page = explain_page(wide, int(0.85 * len(explain_page(wide).html)))
    kinds = [
        attributes["class"]
        for _, attributes in check_page(page.html).tags
        if (attributes.get("class") or "").startswith("example")
    ]
    assert len(kinds) < len(wide.examples)
    assert {*kinds} == {"example", "example wrong"}


def test_a_page_without_room_for_words_is_an_error(wide: Findings) -> None:
    with pytest.raises(
        st.DataError, match=r"A page below 0\.02 MB has no room even for"
    ):
        explain_page(wide, 20_000)


def test_layers_on_shortcuts_are_shown_like_others() -> None:
    """A projection has its filters, patches and field, and so has the sum."""
    block = st.Residual(
        [st.Conv2D(4, 3, padding=1), st.ReLU(), st.Conv2D(4, 3, padding=1)],
        shortcut=[st.Conv2D(4, 1), st.BatchNorm()],
    )
    network, dataset = small([st.Conv2D(3, 3), block, st.ReLU(), st.Flatten()])
    findings = found(network, dataset)
    looks = {look.stage.name: look for look in findings.looks}
    assert [*looks] == ["conv1", "conv2", "conv3", "conv4", "add1", "dense1"]
    projection = looks["conv4"]
    assert projection.before.name == "conv1"
    assert projection.seen.size == (3, 3)
    assert projection.patches is not None
    assert projection.patches.layer == "bn1"
    assert [one.name for one in looks["add1"].stage.layers][:2] == ["add1", "relu2"]
    page = check_page(explain_page(findings).html)
    assert "conv4: 4 maps of 4 × 4" in page.text
    assert "This is on a shortcut: add1 adds what it makes to conv3." in page.text


def test_layers_can_be_chosen() -> None:
    layers = [*[st.Conv2D(3, 3, padding=1), st.ReLU()] * 12, st.MaxPool2D(2)]
    network, dataset = small([*layers, st.Flatten()])
    words = check_page(explain_page(found(network, dataset)).html).text
    assert "Of 13 layers that learn, 10 are shown in this way: conv1, conv2," in words
    report = Report.of(network, dataset)
    findings = look_inside(
        network, dataset, report, images=2, layers=["relu2", "conv11", "pool1"]
    )
    detailed = [look.stage.name for look in findings.looks if look.patches]
    assert detailed == ["conv2", "conv11", "pool1"]
    assert [*findings.examples[0].maps] == detailed
    check_page(explain_page(findings).html)
    with pytest.raises(st.UsageError, match="no layer 'conv13'; the layers are conv1"):
        look_inside(network, dataset, report, layers=["conv13"])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none", "digits"], 3, "There is no model file none"),
        (["MODEL", "nowhere"], 3, "nowhere"),
        (
            ["MODEL", "digits", "-o", "no/r.html"],
            3,
            "page cannot be written as no/r.html",
        ),
        (["MODEL", "digits", "-o", "."], 3, "cannot be written as .: that is a folder"),
        (["MODEL", "digits", "-o", "MODEL"], 2, "is what is read here"),
        (["MODEL", "digits", "--images", "0"], 2, "0 is not at least 1"),
        (["MODEL", "digits", "--images", f"{10**9}"], 2, "at most 1000"),
        (["MODEL", "digits", "--layers", "conv1,conv7"], 2, "no layer 'conv7'; the"),
        (["MODEL", "colour"], 3, "does not know: ant, bee; it knows 10 classes: 0, 1"),
    ],
)
def test_what_cannot_be_explained_is_said_and_leaves_nothing(
    arguments: list[str],
    code: int,
    message: str,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "colour")
    before = sorted(tmp_path.iterdir())
    given = [str(model) if one == "MODEL" else one for one in arguments]
    result = run("explain", *given)
    assert (result.exit_code, result.stdout) == (code, ""), result.stderr
    assert message in result.stderr
    assert sorted(tmp_path.iterdir()) == before


def write_images(folder: Path) -> None:
    """A folder of two classes that no model of digits knows."""
    from PIL import Image

    pixels: NDArray[np.uint8]
    for name in ("ant", "bee"):
        (folder / name).mkdir(parents=True)
        for number in range(2):
            pixels = np.full((9, 9, 3), 40 * number + len(name), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
