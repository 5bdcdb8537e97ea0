"""`striate data`: what a data set consists of, and what training would do with it."""

from __future__ import annotations

import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from ..data import Data, Reading, read_data
from ..data.listing import counted
from ..images.sheet import contact_sheet
from ..saving.files import replace_file, writing
from ..spread import spread
from .console import Console, common_options
from .data_options import data_options
from .options import WholeNumber

LONGEST_TABLE = 40  # classes; of more the smallest and the largest are shown
ENDS = 10  # of these so many each
A_ROW, MOST_IMAGES = 8, 400  # images of a class on the sheet, and of all


@click.command()
@click.argument("data")
@click.option(
    "--seed",
    type=WholeNumber(0, 2**63 - 1),
    metavar="N",
    default=0,
    show_default=True,
    help="Chooses the split, as in training.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Contact sheet to write, as PNG.  [default: DATA-sheet.png]",
)
@common_options
@data_options
def data(
    console: Console, /, data: str, reading: Reading, seed: int, output: str | None
) -> int:
    """Tell what DATA holds before training on it.

    Counts, sizes, colours, classes and problems; what `striate train` would do with it
    under the same options; and a contact sheet of a few images of every class, as the
    network would get them.

    \b
    Examples:
      striate data photos/
      striate data photos/ --size 48 --group '^([0-9]+)_' -o sheet.png
    """
    loaded = read_data(data, reading=reading, quiet=console.quiet)
    path = Path(output or f"{loaded.name}-sheet.png")
    _write_sheet(loaded, path)
    values = _values(loaded) | {"sheet": str(path)}
    console.result(f"{_text(loaded, console.verbose)}\n\ncontact sheet {path}", values)
    return 0


def _counts(loaded: Data) -> dict[str, dict[str, int]]:
    """How many images of every class each part has."""
    classes = loaded.training.classes
    parts = {
        name: np.bincount(part.labels, minlength=len(classes)).tolist()
        for name, part in loaded.parts().items()
    }
    return {
        name: {part: counts[place] for part, counts in parts.items()}
        for place, name in enumerate(classes)
    }


def _text(loaded: Data, verbose: bool) -> str:
    survey, counts = loaded.survey, _counts(loaded)
    images = sum(len(part) for part in loaded.parts().values())
    color = "in colour" if survey.color else "grey"
    total = f"{counted(images, 'image')} in {counted(len(counts), 'class')}"
    lines = [
        f"{loaded.name}: {total}; {survey.kind}, {color}, {survey.sizes}",
        "",
        *_table(counts, list(loaded.parts())),
    ]
    if survey.choices:
        lines += ["", "Training would take", *(f"  {one}" for one in survey.choices)]
    if survey.notes:
        lines += ["", "To look at", *(f"  {one}" for one in survey.notes)]
    else:
        lines += ["", "No problems found."]
    if verbose and survey.unreadable:
        lines += ["", "Unreadable", *(f"  {one}" for one in survey.unreadable)]
    return "\n".join(lines)


def _table(counts: dict[str, dict[str, int]], parts: list[str]) -> list[str]:
    """Classes and their images in columns; of many classes the two ends."""
    totals = {part: sum(row[part] for row in counts.values()) for part in parts}
    rows = list(counts.items())
    gap = len(rows)
    if len(rows) > LONGEST_TABLE:
        rows.sort(key=lambda row: sum(row[1].values()))
        gap, rows = ENDS, rows[:ENDS] + rows[-ENDS:]
    width = max(len("all classes"), *(len(name) for name, _ in rows))

    def line(name: str, values: list[object]) -> str:
        cells = "".join(
            f"{value:>{len(part) + 2},}" if isinstance(value, int) else f"  {value}"
            for part, value in zip(parts, values, strict=True)
        )
        return f"  {name:{width}}{cells}"

    shown = [line(name, list(row.values())) for name, row in rows]
    if gap < len(rows):
        shown.insert(gap, f"  ... {len(counts) - len(rows):,} classes between ...")
    return [
        line("class", list(parts)),
        *shown,
        line("all classes", list(totals.values())),
    ]


def _values(loaded: Data) -> dict[str, Any]:
    """All of it in what JSON knows."""
    survey = loaded.survey
    return {
        "name": loaded.name,
        "images": {name: len(part) for name, part in loaded.parts().items()},
        "classes": _counts(loaded),
        "kind": survey.kind,
        "color": survey.color,
        "sizes": asdict(survey.sizes),
        "size": list(loaded.size),
        "channels": loaded.channels,
        "fit": loaded.fit,
        "choices": list(survey.choices),
        "notes": list(survey.notes),
        "unreadable": list(survey.unreadable),
        "duplicates": asdict(survey.duplicates),
        "series": survey.series and asdict(survey.series),
    }


def _write_sheet(loaded: Data, path: Path) -> None:
    """A row of images for every class, or, of many classes, an image of each."""
    classes = loaded.training.classes[:MOST_IMAGES]
    counts = _counts(loaded)
    largest = max(sum(row.values()) for row in counts.values())
    each = max(1, min(A_ROW, largest, MOST_IMAGES // len(classes)))
    images: list[NDArray[np.uint8] | None] = []
    captions: list[str] = []
    for label, name in enumerate(classes):
        found = [
            part.images[place]
            for part in loaded.parts().values()
            for place in spread(np.flatnonzero(part.labels == label).tolist(), each)
        ][:each]
        total = counted(sum(counts[name].values()), "image")
        images += found
        captions += [f"{name}: {total}" if each > 1 else name] * bool(found)
        captions += [""] * (len(found) - 1)
        if each > 1 and len(found) < each:  # the next class begins a new row
            images += [None] * (each - len(found))
            captions += [""] * (each - len(found))
    title = (
        f"{loaded.name}: {counted(sum(map(len, loaded.parts().values())), 'image')}, "
        f"{counted(len(counts), 'class')}"
    )
    page = contact_sheet(images, captions, each if each > 1 else 20, title=title)
    content = io.BytesIO()
    page.save(content, "PNG")
    with writing("contact sheet", path):
        replace_file(path, content.getvalue())
