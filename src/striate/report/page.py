"""The page as a whole: one file that needs no other."""

from __future__ import annotations

from importlib.resources import files

from .. import __version__
from ..markup import Markup, element, leaf
from .examples import examples_section
from .findings import Findings
from .glossary import glossary_section
from .layers import layers_section
from .mistakes import mistakes_section
from .overview import header, network_section

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


def explain_page(findings: Findings) -> str:
    """Return the page as HTML, with all pictures inside of it."""
    title = f"What a network has learned about {findings.dataset.name}"
    head = element(
        "head",
        leaf("meta", charset="utf-8"),
        leaf("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        leaf("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element(
            "style", Markup(files(__package__).joinpath("style.css").read_text("utf-8"))
        ),
    )
    body = element(
        "body",
        header(findings),
        element(
            "nav",
            *(element("a", name, href=f"#{part}") for part, name in _PARTS.items()),
            aria_label="Parts of this page",
        ),
        element(
            "main",
            network_section(findings),
            layers_section(findings),
            _health_section(findings),
            mistakes_section(findings),
            examples_section(findings),
            glossary_section(),
        ),
        _footer(findings),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


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
