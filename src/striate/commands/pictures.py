"""The pictures of a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..plotting.figure import NEEDED, available, write_png
from .console import Console

if TYPE_CHECKING:
    from pathlib import Path

    from ..data import Dataset
    from .report import Report


def draw_pictures(
    console: Console,
    folder: Path,
    history: Mapping[str, Sequence[float]],
    part: str,
    report: Report,
    dataset: Dataset,
) -> dict[str, str]:
    """Draw curves, confusion matrix and worst mistakes; return file names by subject.

    ``report`` is of ``dataset``, the ``part`` of the data called so. What there is
    nothing of (epochs, mistakes) is not drawn; without matplotlib that is said and
    nothing is drawn.
    """
    if not available():
        console.note(f"no pictures are drawn: {NEEDED}")
        return {}
    from ..plotting.confusion import confusion_figure
    from ..plotting.curves import training_curves
    from ..plotting.mistakes import MOST_IMAGES, mistakes_sheet

    assert report.answers is not None
    figures = {}
    if history:
        figures["curves"] = training_curves(history)
    title = f"{report.images:,} {part} images"
    figures["confusion"] = confusion_figure(report.confusion, report.classes, title)
    wrong = report.answers.mistakes()
    if len(wrong):
        shown = wrong[:MOST_IMAGES]
        answers = report.answers
        count = f"{len(wrong)} mistakes" if len(wrong) > 1 else "the only mistake"
        if len(shown) < len(wrong):
            count = f"the {len(shown)} most confident of {count}"
        figures["mistakes"] = mistakes_sheet(
            dataset.images[shown],
            [report.classes[index] for index in answers.labels[shown]],
            [report.classes[index] for index in answers.answered[shown]],
            answers.confidence[shown].tolist(),
            f"{count} on {title}: true class → answer, probability",
        )
    for name, figure in figures.items():
        write_png(figure, folder / f"{name}.png")
    return {name: f"{name}.png" for name in figures}
