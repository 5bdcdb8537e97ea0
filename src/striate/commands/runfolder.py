"""The run folder: what is needed to understand a training run later, and repeat it."""

from __future__ import annotations

import copy
import csv
import io
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from ..answers import calibrate
from ..errors import DataError, UsageError
from ..saving.files import replace_file
from ..training.stopping import BestWeights

if TYPE_CHECKING:
    from ..data import Dataset
    from ..network import Network
    from ..training.callbacks import TrainingPlan


AUGMENTED = "augmented.png"


class RunFolder:
    """A folder with settings.json, history.csv, result.json, report.md and pictures.

    Where validation images told a better epoch than the last, best.safetensors is its
    network, beside the model.

    Given to `fit` as a callback it writes history.csv after every epoch, so that a run
    that ends early leaves its history too. Raises UsageError where the folder holds a
    run already, DataError where it cannot be written.

    >>> import tempfile
    >>> run = RunFolder(Path(tempfile.mkdtemp()) / "first")
    >>> run.on_epoch_end(1, {"loss": 0.5, "accuracy": 0.75})
    >>> (run.path / "history.csv").read_text().split()
    ['epoch,loss,accuracy', '1,0.5,0.75']
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._rows: list[dict[str, float]] = []
        self._best: BestWeights | None = None
        if any((self.path / name).exists() for name in ("history.csv", "result.json")):
            raise UsageError(
                f"{self.path} holds a run already; name another folder, or remove it."
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def on_train_begin(self, network: Network, info: TrainingPlan) -> None:
        """Watch for the best epoch, where there are validation images to tell it."""
        if info.validation_images:
            self._best = BestWeights()
            self._best.on_train_begin(network, info)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Write history.csv anew, one row an epoch."""
        if self._best:
            self._best.on_epoch_end(epoch, logs)
        self._rows.append({"epoch": epoch, **logs})
        table = io.StringIO(newline="")
        names = list(dict.fromkeys(name for row in self._rows for name in row))
        writer = csv.DictWriter(table, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        self._write("history.csv", table.getvalue())

    def write_settings(
        self, options: Mapping[str, Any], record: Mapping[str, Any]
    ) -> None:
        """Write settings.json: everything that decides how the run comes out.

        ``options`` is what `striate train --config` takes; ``record`` what became of
        them, with the data's hashes, for people and programs to read.
        """
        self._write_json("settings.json", {"options": options, "record": record})

    def write_best(self, network: Network, validation: Dataset) -> int | None:
        """Write best.safetensors: the network at the epoch of the least validation loss.

        Returns that epoch; None, and writes nothing, where the network is like that
        already. ``validation`` calibrates it.
        """
        if self._best is None or self._best.epoch is None:
            return None
        weights = self._best.weights
        if all(
            np.array_equal(weights[name], network.weights[name]) for name in weights
        ):
            return None
        best = copy.deepcopy(network)
        best.set_weights(weights)
        best.training = {**network.training, "best_epoch": self._best.epoch}
        calibrate(best, validation)
        best.save(self.path / "best.safetensors")
        return self._best.epoch

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write result.json: what `striate train --json` prints."""
        self._write_json("result.json", result)

    def write_report(self, text: str) -> None:
        """Write report.md: the run on one page."""
        self._write("report.md", text)

    def write_augmented(self, network: Network, training: Dataset) -> None:
        """Write augmented.png: training images as the network was shown them, if so."""
        from .augmented_sheet import augmented_sheet

        page = augmented_sheet(network, training)
        if page is not None:
            self._write(AUGMENTED, page)

    def _write_json(self, name: str, values: Mapping[str, Any]) -> None:
        self._write(name, json.dumps(values, indent=2) + "\n")

    def _write(self, name: str, content: str | bytes) -> None:
        if isinstance(content, str):
            content = content.encode()
        try:
            replace_file(self.path / name, content)
        except OSError as error:
            raise _unwritable(self.path / name, error) from error


def versions() -> dict[str, str]:
    """Return the versions of Striate and of what it computes with.

    >>> sorted(versions())
    ['numpy', 'pillow', 'python', 'striate']
    """
    import PIL

    return {
        "striate": _core.version,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pillow": PIL.__version__,
    }


def _unwritable(path: Path, error: OSError) -> DataError:
    return DataError(
        f"The run folder cannot be written: {path}: {error.strerror or error}; name a "
        f"folder that may be written and has room."
    )
