"""What a run of `striate train` came to: for people, for programs, for its report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..accuracy import Report, rejected_values
from ..data import Data, Dataset
from .choice import Chosen
from .course import Course


@dataclass(frozen=True)
class Outcome:
    """A trained network, saved at ``path``, and how it does on images held back.

    ``best_epoch`` is that of best.safetensors, where there is one.
    """

    data: Data
    chosen: Chosen
    course: Course
    path: Path
    threads: int
    best_epoch: int | None
    validation: Report | None
    test: Report | None

    @classmethod
    def of(
        cls,
        data: Data,
        chosen: Chosen,
        course: Course,
        path: Path,
        threads: int,
        best_epoch: int | None,
    ) -> Outcome:
        """Measure the network on the parts that it was not trained on."""

        def measured(part: Dataset | None) -> Report | None:
            return None if part is None else Report.of(chosen.network, part)

        return cls(
            data,
            chosen,
            course,
            path,
            threads,
            best_epoch,
            measured(data.validation),
            measured(data.test),
        )

    @property
    def reports(self) -> dict[str, tuple[Report, Dataset]]:
        """The parts that were measured, by name; the last one counts most."""
        parts = self.data.parts()
        measured = {"validation": self.validation, "test": self.test}
        return {
            name: (report, parts[name]) for name, report in measured.items() if report
        }

    def to_dict(self) -> dict[str, Any]:
        """Return what `striate train --json` prints."""
        data, test, validation = self.data, self.test, self.validation
        network = self.chosen.network
        return {
            "model": str(self.path),
            "model_bytes": self.path.stat().st_size,
            "network": self.chosen.name,
            "architecture": self.chosen.title,
            "parameters": network.parameters,
            "data": data.name,
            "train_images": len(data.training),
            "validation_images": len(data.validation or ()),
            "test_images": len(data.test or ()),
            **self.course.to_dict(),
            "best_epoch": self.best_epoch,
            "validation_accuracy": validation and validation.accuracy,
            "validation_interval": validation and validation.interval,
            "validation_untested_classes": validation and list(validation.untested),
            "test_accuracy": test and test.accuracy,
            "test_interval": test and test.interval,
            "test_untested_classes": test and list(test.untested),
            "test_rejected": test and rejected_values(test.rejections),
            "test_calibration_error": test and test.calibration_error,
            "temperature": network.temperature if validation else None,
            "seed": self.chosen.settings.seed,
            "threads": self.threads,
        }

    def __str__(self) -> str:
        lines = [
            f"{name} accuracy {report}" for name, (report, _) in self.reports.items()
        ]
        size = self.path.stat().st_size
        return "\n".join([*lines, f"model {self.path}, {size:,} bytes"])
