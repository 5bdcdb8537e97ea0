"""The pictures of a run folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..plotting.figure import NEEDED, available, write_png
from .console import Console

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from ..accuracy import Report
    from ..data import Dataset


def draw_pictures(
    console: Console,
    folder: Path,
    history: Mapping[str, Sequence[float]],
    reports: Iterable[tuple[str, tuple[Report, Dataset]]],
    names: Sequence[str] = (),
) -> dict[str, str]:
    """Draw curves, confusion matrix and worst mistakes; return file names by subject.

    ``reports`` has at most one part of the data by name, ``names`` its files. What there is nothing of
    (epochs, mistakes) is not drawn; without matplotlib that is said and nothing is.
    """
    if not available():
        console.note(f"no pictures are drawn: {NEEDED}")
        return {}
    from ..plotting.curves import training_curves

    figures = {"curves": training_curves(history)} if history else {}
    for part, (report, dataset) in reports:
        figures |= _report_figures(
            f"{report.images:,} {part} images", report, dataset, names
        )
    for name, figure in figures.items():
        write_png(figure, folder / f"{name}.png")
    return {name: f"{name}.png" for name in figures}


def _report_figures(
    title: str, report: Report, dataset: Dataset, names: Sequence[str]
) -> dict[str, Figure]:
    from ..plotting.confusion import confusion_figure
    from ..plotting.mistakes import MOST_IMAGES, mistakes_sheet

    figures = {"confusion": confusion_figure(report.confusion, report.classes, title)}
    answers = report.answers
    wrong = answers.mistakes() if answers else ()
    if answers and len(wrong):
        shown = wrong[:MOST_IMAGES]
        count = f"{len(wrong)} mistakes" if len(wrong) > 1 else "the only mistake"
        if len(shown) < len(wrong):
            count = f"the {len(shown)} most confident of {count}"
        figures["mistakes"] = mistakes_sheet(
            dataset.images[shown],
            [report.classes[index] for index in answers.labels[shown]],
            [report.classes[index] for index in answers.answered[shown]],
            answers.confidence[shown].tolist(),
            title=f"{count} on {title}: true class → answer, probability",
            names=[names[place].rsplit("/", 1)[-1] for place in shown if names],
        )
    return figures
