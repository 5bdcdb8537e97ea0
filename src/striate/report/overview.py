"""The beginning of the page: what the network is, how well it does, and its drawing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..data.listing import counted
from ..drawing import draw_network
from ..explain import input_pixels
from ..markup import Markup, element, joined
from .findings import Findings
from .pictures import picture, uri
from .room import Room
from .words import breakable, named, percent, size

_MOST_PICTURES = 20


def header(findings: Findings) -> Markup:
    """The headline: what it is, what it looks at, and how often it is right."""
    report, dataset, network = findings.report, findings.dataset, findings.network
    low, high = report.interval
    channels = network.input_shape[2]
    kind = "a convolutional network" if convolutions(findings) else "a network"
    colors = {1: "grey pictures", 3: "colour pictures"}.get(
        channels, f"pictures of {channels} channels"
    )
    known = [str(name) for name in report.classes]
    paragraphs = [
        element(
            "p",
            f"This page looks inside {kind} that was trained to tell "
            f"{counted(len(known), 'class')} apart: {named(known)}. It takes {colors} "
            f"of {size(network.input_shape[:2])} pixels, and consists of "
            f"{counted(len(network.resolved), 'layer')} with {network.parameters:,} "
            "numbers, its parameters, all of which it found by itself from examples.",
            class_="lead",
        ),
        element(
            "p",
            f"Of {counted(report.images, 'picture')} of ",
            element("b", dataset.name),
            " that it was tested on it recognises ",
            element("b", f"{report.correct:,}: {percent(report.accuracy)}"),
            f". With so many pictures that is certain within limits: 95 % sure, its true "
            f"rate lies between {percent(low)} and {percent(high)}.",
            class_="lead",
        ),
    ]
    if report.untested:
        names = named([str(name) for name in report.untested])
        paragraphs.append(
            element(
                "p",
                f"Nothing can be said of {names}: the pictures show none of "
                f"{'it' if len(report.untested) == 1 else 'them'}.",
                class_="note",
            )
        )
    return element(
        "header",
        element("p", "Seen from inside", class_="kicker"),
        element("h1", f"What a network has learned about {dataset.name}"),
        *paragraphs,
        _first_pictures(findings),
    )


def network_section(findings: Findings, room: Room) -> Markup:
    """The network as one picture, and as a table."""
    example = findings.examples[0]
    drawing = Markup(
        draw_network(
            findings.network,
            "The network, drawn as volumes",
            picture=uri(example.pixels),
        )
    )
    table = Markup(findings.network.summary()._repr_html_())
    parts = {
        "striate draw": joined(
            [
                element("p", *_how_to_read(findings)),
                wide(drawing, "Drawing of the network"),
            ]
        ),
        "striate summary": element(
            "details",
            element("summary", "All layers as a table"),
            wide(table, "Table of the layers"),
        ),
    }
    shown = [part for part in parts.values() if room.takes(part)]
    for verb, part in parts.items():
        if part not in shown:
            what = "drawing" if verb == "striate draw" else "table"
            sentence = (
                f"The {what} of the network is left out, since with it this page would be "
                f"larger than {room.size}; `{verb}` gives it."
            )
            room.left_out.append(sentence)
            shown.append(element("p", sentence, class_="note"))
    return element(
        "section", element("h2", "The network at a glance"), *shown, id="network"
    )


def _how_to_read(findings: Findings) -> Iterator[str]:
    yield "From left to right a picture passes through the network. "
    if convolutions(findings):
        yield (
            "Every stack of sheets is a volume: its sheets are feature maps, each the "
            "answer of one filter at all places of the picture. The small red frame is "
            "the patch that one unit of the next volume looks at. "
        )
    if any(stage.kind == "dense" for stage in findings.stages):
        yield (
            "The slanted bars are layers in which every unit weighs all that comes "
            "before. "
        )
    if findings.arcs:
        yield "Arcs lead around some layers; at their end both ways are added. "
    yield f"At the end stand {size(findings.stages[-1].shape)} numbers, one a class."


def convolutions(findings: Findings) -> bool:
    """Whether anything slides over the picture in this network."""
    return any(stage.kind == "conv" for stage in findings.stages)


def wide(content: Markup, label: str) -> Markup:
    """Let what is wider than the page be moved to and fro, by touch or by keys."""
    return element(
        "div", content, class_="wide", tabindex=0, role="group", aria_label=label
    )


def _first_pictures(findings: Findings) -> Markup:
    """A picture of each class, so that everybody knows what this is about."""
    every = np.unique(findings.dataset.labels, return_index=True)[1]
    firsts = every[:_MOST_PICTURES]
    images = input_pixels(findings.network, findings.dataset.images[firsts])
    strip = element(
        "div",
        *(
            element(
                "figure",
                picture(pixels, f"an example of {findings.name(place)}", 56),
                element("figcaption", breakable(findings.name(place))),
            )
            for place, pixels in zip(firsts, images, strict=True)
        ),
        class_="strip",
    )
    if len(every) == len(firsts):
        return strip
    note = f"A picture of each of the first {len(firsts)} classes; {len(every)} are tested."
    return joined([strip, element("p", note, class_="note")])
