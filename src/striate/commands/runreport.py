"""report.md: one page on what was trained, how it went, and how to use it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..accuracy import Report
from ..arguments import spell
from ..data.listing import few
from ..plotting.mistakes import MOST_IMAGES
from .console import Console, percent
from .outcome import Outcome
from .pictures import draw_pictures
from .runfolder import AUGMENTED, RunFolder, versions
from .settings_table import settings_rows

# What Markdown takes for marks: an underscore only where it is not inside a word.
_MARKS = re.compile(r"[\\`*{}\[\]<>#|~$&]|(?<![^\W_])_|_(?![^\W_])")
_WORST = 8  # classes that the page lists


def write_report(console: Console, folder: RunFolder, outcome: Outcome) -> None:
    """Write report.md and its pictures, of the part that counts most, into a folder."""
    epochs = outcome.course.epochs
    measures = dict.fromkeys(name for logs in epochs for name in logs)
    history = {name: [logs[name] for logs in epochs] for name in measures}
    told = list(outcome.reports.items())[-1:]
    names = [name for part, _ in told for name in outcome.data.part_names(part)]
    pictures = draw_pictures(console, folder.path, history, told, names)
    if (folder.path / AUGMENTED).exists():
        pictures["augmented"] = AUGMENTED
    folder.write_report(str(RunReport(folder.path, outcome, history, pictures)))


@dataclass(frozen=True)
class RunReport:
    """What the page is written from.

    ``history`` are the lists of `fit`, ``pictures`` file names in the run ``folder``.
    """

    folder: Path
    outcome: Outcome
    history: Mapping[str, Sequence[float]]
    pictures: Mapping[str, str]

    @property
    def result(self) -> dict[str, Any]:
        """What result.json says."""
        return self.outcome.to_dict()

    @property
    def reports(self) -> Mapping[str, Report]:
        """How the network does on the data's parts, by name: the last one is told."""
        return {name: report for name, (report, _) in self.outcome.reports.items()}

    def __str__(self) -> str:
        """Return the page as Markdown."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        result = self.result
        yield from (f"# {plain(result['data'])}: {plain(result['architecture'])}", "")
        told = list(self.reports.items())[-1:]
        for part, report in told:
            low, high = map(percent, report.interval)
            share = f"{percent(report.accuracy)} of {report.images:,} {part} images"
            untested = ""
            if report.untested:
                names = plain(few(list(report.untested)))
                untested = f"; {report.untested_share}: {names}"
            interval = f"(95 % interval {low} to {high}){untested}."
            yield from (f"**{share} right** {interval}", "")
        yield from self._training()
        for _, report in told:
            yield from self._confidence(report)
            yield from self._mistakes(report)
        yield from self._use()

    def _training(self) -> Iterator[str]:
        result = self.result
        counts = [
            f"{result[f'{part}_images']:,} images to {verb}"
            for part, verb in (
                ("train", "train"),
                ("validation", "validate"),
                ("test", "test"),
            )
            if result[f"{part}_images"]
        ]
        speed = result["images_per_second"]
        course = f"{result['epochs']} epochs in {result['train_seconds']:.1f} s"
        course += f", {speed:,.0f} images/s" if speed else ""
        course += f" on {result['threads']} threads ({result['isa']})"
        course += "" if result["finished"] else "; it ended early"
        if shortened := self.outcome.course.shortened:
            course += f"; {shortened}"
        network = self.outcome.chosen.network
        size = (
            f"{network.parameters:,} parameters, "
            f"{network.summary().multiply_adds:,} multiply-adds an image of "
            f"{spell(network.input_shape)}"
        )
        settings = settings_rows(network.training)
        yield from (
            "## What was trained, and how it went",
            "",
            f"- Data: {plain(result['data'])}, {', '.join(counts)}.",
            f"- Network: {plain(result['architecture'])}, {size}.",
            f"- Why: {plain('; '.join(self.outcome.chosen.lines))}.",
            *(f"- Images: {plain(line)}" for line in self.outcome.data.survey.choices),
            *(f"- Note: {plain(line)}" for line in self.outcome.data.survey.notes),
            f"- Course: {course}.",
            "",
            "| setting | |",
            "|---|---|",
            *(f"| {name} | {plain(value)} |" for name, value in settings),
            "",
        )
        if self.history.get("loss"):
            yield "| | loss | accuracy |"
            yield "|---|---:|---:|"
            for name, prefix in (("training", ""), ("validation", "val_")):
                if values := self.history.get(f"{prefix}loss"):
                    share = percent(self.history[f"{prefix}accuracy"][-1])
                    yield f"| {name}, last epoch | {values[-1]:.4f} | {share} |"
            yield ""
        if best := self.result["best_epoch"]:
            yield (
                f"Validation loss was lowest in epoch {best}: best.safetensors is the "
                f"network of that epoch, the model that of the last, which is mostly the better "
                "one: the learning rate has come to its end."
            )
            yield ""
        yield from self._picture("curves", "loss, accuracy and learning rate by epoch")
        yield from self._picture("augmented", "training images as they were changed")

    def _confidence(self, report: Report) -> Iterator[str]:
        result = self.result
        yield from ("## How far its probabilities can be trusted", "")
        if "validation" in self.reports:
            yield (
                f"Calibrated on the validation part: temperature "
                f"{result['temperature']:.2f}."
            )
        else:
            yield (
                "Not calibrated, for want of a validation part; `--validation 0.1` makes "
                "one."
            )
        if report.calibration_error is not None:
            yield (
                f"On average they are {percent(report.calibration_error)} away from the "
                f"share of right answers (expected calibration error)."
            )
        yield ""
        yield "| least confident rejected | right among the others | `--reject` |"
        yield "|---:|---:|---:|"
        for one in report.rejections:
            gone = 1 - one.images / report.images
            below = one.below if one.share else ""
            yield f"| {percent(gone)} | {percent(one.accuracy)} | {below} |"
        yield ""

    def _mistakes(self, report: Report) -> Iterator[str]:
        yield from ("## Its mistakes", "")
        worst = report.worst(_WORST)
        if not worst:
            yield from ("None.", "")
            return
        yield "| worst classes | images | right | most often taken for |"
        yield "|---|---:|---:|---|"
        for one in worst:
            confused = report.confused_with(one.name)
            taken = f"{plain(confused[0])} ({confused[1]})" if confused else ""
            right = percent(one.accuracy or 0.0)
            yield f"| {plain(one.name)} | {one.images} | {right} | {taken} |"
        yield ""
        yield from self._picture("confusion", "confusion matrix")
        yield from self._picture("mistakes", "the most confident mistakes")
        yield from self._wrong_answers(report)

    def _wrong_answers(self, report: Report) -> Iterator[str]:
        """The most confident mistakes by their files, in the order of the picture."""
        part = list(self.reports)[-1]
        names = self.outcome.data.part_names(part)
        answers = report.answers
        if answers is None or not names:
            return
        yield "| most confident mistakes | class | taken for | probability |"
        yield "|---|---|---|---:|"
        for place in answers.mistakes()[:MOST_IMAGES].tolist():
            classes = (answers.labels[place], answers.answered[place])
            true, answered = (plain(report.classes[one]) for one in classes)
            sure = percent(float(answers.confidence[place]))
            yield f"| {plain(names[place])} | {true} | {answered} | {sure} |"
        yield ""

    def _use(self) -> Iterator[str]:
        name = shlex.quote(_encodable(self.result["model"]))
        settings = shlex.quote(_encodable(self.folder / "settings.json"))
        reject = "".join(
            f" --reject {report.rejections[1].below}"
            for report in list(self.reports.values())[-1:]
        )
        yield from (
            "## How to use it",
            "",
            f"    striate predict {name} photo.png{reject}",
            f"    striate train --config {settings} --run again",
            "",
            f"Made with {', '.join(' '.join(one) for one in versions().items())}.",
            "",
        )

    def _picture(self, name: str, text: str) -> Iterator[str]:
        if name in self.pictures:
            yield from (f"![{text}]({self.pictures[name]})", "")


def plain(name: object) -> str:
    """Return a name as Markdown that shows it as it is, on one line.

    >>> plain("a|b*c"), plain("film_7/_1.png")
    ('a\\\\|b\\\\*c', 'film_7/\\\\_1.png')
    """
    return _MARKS.sub(r"\\\g<0>", " ".join(_encodable(name).split()))


def _encodable(name: object) -> str:
    return str(name).encode(errors="replace").decode()
