"""Which classes are taken for which, and the pictures that were."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..colors import FIRST, SECOND, rgb
from ..data.listing import counted
from ..explain import input_pixels
from ..markup import Markup, element, joined
from .findings import Findings
from .overview import wide
from .pictures import at_most, picture
from .room import Room
from .words import percent

_MOST_CLASSES = 24  # whose confusions are a table; of more only the pairs are told
_PAIRS, _PICTURES = 9, 8  # confusions that are shown, and pictures of each
_STORED, _SHOWN = 96, 66


def mistakes_section(findings: Findings, room: Room) -> Markup:
    """The confusions, most frequent first, with the pictures that were taken wrongly."""
    report = findings.report
    wrong = report.images - report.correct
    if not wrong:
        words = (
            f"There are none: all {counted(report.images, 'picture')} were recognised."
        )
        return element(
            "section", element("h2", "Mistakes"), element("p", words), id="mistakes"
        )
    pairs = confused_pairs(report.confusion)
    cards = []
    for true, answer in pairs[:_PAIRS]:
        card = _pair(findings, true, answer)
        if not room.takes(card):
            break
        cards.append(card)
    words = (
        f"{counted(wrong, 'picture')} of {report.images:,} got a wrong answer. "
        "Of each kind those of which the network was surest stand first."
    )
    if len(pairs) > len(cards):
        words += (
            f" Shown are the {len(cards)} most frequent of {len(pairs):,} confusions."
        )
    if len(cards) < min(len(pairs), _PAIRS):
        room.left_out.append(
            f"{len(cards)} of {len(pairs):,} confusions are shown, since with more this page "
            f"would be larger than {room.size}; `striate test --json` counts all."
        )
    return element(
        "section",
        element("h2", "Mistakes"),
        element("p", words),
        element("div", *cards, class_="cards"),
        *(part for part in _table(findings) if room.takes(part)),
        id="mistakes",
    )


def confused_pairs(confusion: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return (true class, answer) of all confusions, the most frequent first.

    >>> confused_pairs(np.array([[5, 1, 0], [0, 5, 0], [0, 3, 5]]))
    [(2, 1), (0, 1)]
    """
    wrong = confusion - np.diag(np.diagonal(confusion))
    order = np.argsort(-wrong, axis=None, kind="stable")[: np.count_nonzero(wrong)]
    rows, columns = np.unravel_index(order, wrong.shape)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def _pair(findings: Findings, true: int, answer: int) -> Markup:
    answers, classes = findings.answers, findings.report.classes
    wrong = answers.mistakes()
    places = wrong[
        (answers.labels[wrong] == true) & (answers.answered[wrong] == answer)
    ]
    images = input_pixels(findings.network, findings.dataset.images[places[:_PICTURES]])
    title = f"{classes[true]} taken for {classes[answer]}"
    figures = [
        element(
            "figure",
            picture(at_most(pixels, _STORED), f"{title}, picture {place}", _SHOWN),
            element("figcaption", f"{percent(answers.confidence[place], 0)} sure"),
        )
        for place, pixels in zip(places.tolist(), images, strict=False)
    ]
    more = len(places) - len(figures)
    rest = [element("p", f"and {more:,} more", class_="note")] if more else []
    label = (
        element("b", title),
        " once" if len(places) == 1 else f" {len(places):,} times",
    )
    return element(
        "div",
        element("p", *label),
        element("div", *figures, *rest, class_="patches"),
        class_="card",
    )


def _table(findings: Findings) -> Iterator[Markup]:
    """The confusion matrix: rows the true class, columns the answer."""
    confusion, classes = findings.report.confusion, findings.report.classes
    if len(classes) > _MOST_CLASSES:
        return
    totals = np.maximum(confusion.sum(axis=1), 1)
    head = element(
        "tr",
        element("td", "shown ↓ answered →"),
        *(element("th", name, scope="col") for name in classes),
    )
    rows = []
    for row, name in enumerate(classes):
        cells = [
            _cell(int(count), count / totals[row], row == column)
            for column, count in enumerate(confusion[row])
        ]
        rows.append(element("tr", element("th", name, scope="row"), *cells))
    table = element(
        "table", element("thead", head), element("tbody", *rows), class_="confusion"
    )
    words = (
        "Each row is a class, each column an answer. Right answers stand on the "
        "diagonal; the darker a cell, the larger its share of the row."
    )
    yield joined(
        [
            element("h3", "All answers"),
            element("p", words),
            wide(table, "Table of all answers"),
        ]
    )


def _cell(count: int, share: float, right: bool) -> Markup:
    if not count:
        return element("td", "·", class_="none")
    strength = 0.15 + 0.45 * float(np.sqrt(share))
    color = ", ".join(map(str, rgb(FIRST if right else SECOND)))
    return element(
        "td", f"{count:,}", style=f"background: rgba({color}, {strength:.2f})"
    )
