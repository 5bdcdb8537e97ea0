"""Single pictures: what each layer fires on, and which pixels decided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..markup import Markup, element
from .chosen import MAPS, Example
from .findings import Findings
from .pictures import at_most, on_picture, picture
from .room import Room
from .words import percent, size

_STORED, _SHOWN = 132, 132  # longest side of a picture in the file, and on the page
_MAP_SHOWN = 44  # likewise, of a map

_METHODS = {
    "integrated gradients": "Pixel by pixel: how much each one spoke for the answer "
    "(orange) or against it (blue), added up on the way from an empty picture to this "
    "one.",
    "occlusion": "A patch of background is laid over each place in turn. Where that makes "
    "the network less sure, it is orange; where surer, blue.",
    "Grad-CAM": "The region in which the maps of a late layer speak for the answer; "
    "without colour where none of them does.",
}
_CALLED = {
    "integrated gradients": "pixels",
    "occlusion": "hiding",
    "Grad-CAM": "region",
}


def examples_section(findings: Findings, room: Room) -> Markup:
    """All examples that there is room for, the right ones first."""
    ways = [
        part
        for name in findings.examples[0].decided
        for part in (
            element("dt", f"{_CALLED[name]} ({name})"),
            element("dd", _METHODS[name]),
        )
    ]
    shown = {}
    for example in _by_importance(findings.examples):
        article = _example(example)
        if not room.takes(article):
            break
        shown[example.place] = article
    words = (
        "Below stand the maps that fired most strongly, layer by layer: bright where "
        f"they fire, the strongest {MAPS} of each."
    )
    total = len(findings.examples)
    if len(shown) < total:
        sentence = (
            f"Shown are {len(shown):,} of {total:,} single pictures, since with more "
            f"this page would be larger than {room.size}."
        )
        words += f" {sentence}"
        room.left_out.append(
            f"{sentence} With some layers alone, such as --layers "
            f"{findings.looks[0].stage.name}, each takes less room."
        )
    return element(
        "section",
        element("h2", "Picture by picture"),
        element(
            "p",
            "Which pixels made the network say what it said? Several methods ask in "
            "different ways; where they agree, one may believe them.",
        ),
        element("dl", *ways),
        element("p", words),
        *(shown[one.place] for one in findings.examples if one.place in shown),
        id="pictures",
    )


def _by_importance(examples: Sequence[Example]) -> list[Example]:
    """Right answers and mistakes in turn, so that of both some are kept."""
    ranked = [
        (number / len(group), example)
        for group in (
            [one for one in examples if one.right],
            [one for one in examples if not one.right],
        )
        for number, example in enumerate(group)
    ]
    return [example for _, example in sorted(ranked, key=lambda one: one[0])]


def _example(example: Example) -> Markup:
    verdict = "recognised" if example.right else f"taken for {example.answer}"
    bars = [
        element(
            "li",
            element("span", f"{name}: {percent(share, 1)}"),
            element("span", "", class_="bar", style=f"width: {100 * share:.1f}%"),
        )
        for name, share in example.probabilities
    ]
    figures = [
        element(
            "figure",
            picture(
                at_most(example.pixels, _STORED), f"a picture of {example.true}", _SHOWN
            ),
            element("figcaption", "the picture"),
        ),
        *_decided(example),
    ]
    return element(
        "article",
        element("h3", f"{example.true}, {verdict}"),
        element("div", *figures, element("ul", *bars, class_="bars"), class_="row"),
        *_fired(example),
        class_="example" if example.right else "example wrong",
    )


def _decided(example: Example) -> Iterator[Markup]:
    spoke = {
        f"{_CALLED[name]} for {example.answer}": found
        for name, found in example.decided.items()
    }
    if example.against is not None:
        spoke[f"pixels for {example.true}"] = example.against
    for caption, found in spoke.items():
        single = caption.startswith("pixels")
        pixels = at_most(on_picture(example.pixels, found, root=single), _STORED)
        yield element(
            "figure",
            picture(pixels, f"{caption}, laid over the picture", _SHOWN),
            element("figcaption", caption),
        )


def _fired(example: Example) -> Iterator[Markup]:
    """The strongest maps of every layer, on one scale in each."""
    for name, maps in example.maps.items():
        figures = [
            element(
                "figure",
                picture(pixels, f"map {number} of {name}", _MAP_SHOWN),
                element("figcaption", number),
            )
            for number, pixels in zip(maps.numbers, maps.pictures, strict=True)
        ]
        label = element("b", name), f" {size(maps.size)}"
        yield element(
            "div", element("div", *label, class_="map"), *figures, class_="row"
        )
