"""The page as a whole: one file that needs no other."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from .. import __version__
from ..colors import FIRST, SECOND
from ..markup import Markup, element, leaf
from .examples import examples_section
from .findings import Findings
from .glossary import glossary_section
from .layers import layers_section
from .mistakes import mistakes_section
from .overview import header, network_section
from .room import MOST_BYTES, Room

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Browsers then fetch nothing, whatever stood in a name."""

_PARTS = {
    "network": "The network",
    "layers": "Layer by layer",
    "health": "Health",
    "mistakes": "Mistakes",
    "pictures": "Picture by picture",
    "words": "Words",
}


@dataclass(frozen=True)
class Page:
    """The page, and what there was no room for on it: a sentence each."""

    html: str
    left_out: tuple[str, ...]


def explain_page(findings: Findings, limit: int = MOST_BYTES) -> Page:
    """Return the page as HTML, with all pictures inside of it.

    It has at most `limit` bytes. Where that is too few, single pictures are left out,
    after these layers from the last one on, and after these mistakes; the page says so.
    Raises DataError where there is no room for the words.
    """
    room = Room(limit)
    # The order in which parts are made is the order in which there is room for them.
    head, top, foot = (
        room.must_take(part)
        for part in (_head(findings), header(findings), _footer(findings))
    )
    health, words = map(room.must_take, (_health_section(findings), glossary_section()))
    network = network_section(findings, room)
    mistakes = mistakes_section(findings, room)
    layers = layers_section(findings, room)
    pictures = examples_section(findings, room)
    parts = {
        "network": network,
        "layers": layers,
        "health": health,
        "mistakes": mistakes,
        "pictures": pictures,
        "words": words,
    }
    nav = element(
        "nav",
        *(element("a", name, href=f"#{part}") for part, name in _PARTS.items()),
        aria_label="Parts of this page",
    )
    main = element("main", *(parts[name] for name in _PARTS))
    body = element("body", top, nav, main, foot)
    html = f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"
    return Page(html, tuple(room.left_out))


def _head(findings: Findings) -> Markup:
    colors = f":root {{ --first: {FIRST}; --second: {SECOND}; }}\n"
    style = files(__package__).joinpath("style.css").read_text("utf-8")
    return element(
        "head",
        leaf("meta", charset="utf-8"),
        leaf("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        leaf("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"What a network has learned about {findings.dataset.name}"),
        element("style", Markup(colors + style)),
    )


def _health_section(findings: Findings) -> Markup:
    """What the diagnosis says."""
    diagnosis = findings.diagnosis
    if isinstance(diagnosis, str):
        found = element("p", f"That cannot be told here: {diagnosis}")
    elif diagnosis.healthy:
        found = element("p", "Nothing of that kind was found.")
    else:
        lines = [line[2:] for line in str(diagnosis).splitlines() if line[:2] == "- "]
        said = (f"{line[:1].upper()}{line[1:]}" for line in lines)
        found = element("ul", *(element("li", line) for line in said))
    return element(
        "section",
        element("h2", "Health"),
        element(
            "p",
            "A network can be right and yet waste part of itself: maps that never "
            "change, two that do the same, units driven to their limits, classes that "
            "look alike to it.",
        ),
        found,
        id="health",
    )


def _footer(findings: Findings) -> Markup:
    seed = findings.network.training.get("seed")
    trained = f", trained with seed {seed}" if seed is not None else ""
    return element(
        "footer",
        element(
            "p",
            f"Made by striate explain, Striate {__version__}{trained}. This file needs "
            "no network: all pictures are inside.",
        ),
    )
