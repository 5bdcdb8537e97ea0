"""From the start of a process to a trained model: wall time, memory, time to accuracy.

    python bench/end_to_end.py         # prints JSON; compare.py runs it in its turn

A process of its own, as small as can be: the peak memory that the kernel tells of a
process is at least that of the process which started it.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

RUNS, SEEDS = 3, 5
ACCURACY = 0.99
TO_ACCURACY = (
    *("--epochs", "2", "--batch-size", "32", "--learning-rate", "0.04"),
    *("--label-smoothing", "0.1"),
)
"""Options of `striate train mnist` that reach the accuracy soonest."""

FILES = {"x": "images-idx3-ubyte.gz", "y": "labels-idx1-ubyte.gz"}
PARTS = {"train": "train", "val": "t10k"}  # of Striate's arrays, by MNIST's


@dataclass(frozen=True)
class Process:
    """A process that trained on MNIST: seconds, bytes, share of the test images."""

    seconds: float
    training_seconds: float
    peak_bytes: int
    accuracy: float


@dataclass(frozen=True)
class EndToEnd:
    """Runs of `striate train mnist`, of PyTorch likewise, and of Striate to accuracy.

    `to_accuracy` are seconds of training, one for each seed; None where an accuracy of
    `accuracy` was never measured.
    """

    striate: tuple[Process, ...]
    torch: tuple[Process, ...]
    accuracy: float
    options: tuple[str, ...]
    to_accuracy: tuple[float | None, ...]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EndToEnd:
        """Take what the script prints."""
        striate, torch = (
            tuple(Process(**one) for one in data[name]) for name in ("striate", "torch")
        )
        return cls(
            striate,
            torch,
            accuracy=data["accuracy"],
            options=tuple(data["options"]),
            to_accuracy=tuple(data["to_accuracy"]),
        )


def mnist() -> Path | None:
    """MNIST's folder below the one that STRIATE_DATA names, if there is one."""
    folder = Path(os.environ.get("STRIATE_DATA", ""), "mnist")
    return folder if folder.is_dir() and "STRIATE_DATA" in os.environ else None


def measure() -> EndToEnd:
    """Run everything as a process of its own, by MNIST in STRIATE_DATA."""
    folder = mnist()
    if folder is None:
        raise SystemExit("there is no folder mnist in the one that STRIATE_DATA names")
    striate, torch = [], []
    with tempfile.TemporaryDirectory() as place:
        for _ in range(RUNS):
            process, epochs = train_striate(Path(place))
            striate.append(process)
            if find_spec("torch"):
                torch.append(train_torch(folder, epochs, Path(place)))
        arrays = Path(place, "arrays")
        write_arrays(folder, arrays)
        to_accuracy = [
            seconds_to_accuracy(arrays, seed, Path(place)) for seed in range(SEEDS)
        ]
    return EndToEnd(
        tuple(striate), tuple(torch), ACCURACY, TO_ACCURACY, tuple(to_accuracy)
    )


def train_striate(place: Path) -> tuple[Process, int]:
    """Run the command with default settings; also return its number of epochs."""
    words = [command(), "train", "mnist", "--quiet", "--json"]
    output, seconds, peak = run(words, place)
    outcome = json.loads(output)
    images = outcome["train_images"] * outcome["epochs"]
    training = images / outcome["images_per_second"]
    process = Process(seconds, training, peak, outcome["test_accuracy"])
    return process, outcome["epochs"]


def train_torch(folder: Path, epochs: int, place: Path) -> Process:
    """Run the script that trains the same network on the same images."""
    script = Path(__file__).resolve().with_name("mnist_torch.py")
    words = [sys.executable, str(script), str(folder.resolve()), str(epochs)]
    output, seconds, peak = run(words, place)
    outcome = json.loads(output)
    return Process(seconds, outcome["training_seconds"], peak, outcome["accuracy"])


def seconds_to_accuracy(arrays: Path, seed: int, place: Path) -> float | None:
    """Train with the test images as validation images; measuring is not counted."""
    folder = place / f"seed{seed}"
    words = [command(), "train", str(arrays), "--network", "lenet5", *TO_ACCURACY]
    run([*words, "--seed", str(seed), "--run", str(folder), "--quiet"], place)
    seconds = 0.0
    with (folder / "history.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            seconds += float(row["seconds"])
            if float(row["val_accuracy"]) >= ACCURACY:
                return seconds
    return None


def write_arrays(folder: Path, arrays: Path) -> None:
    """MNIST as .npy files whose validation images are its test images."""
    import numpy as np

    arrays.mkdir()
    for part, name in PARTS.items():
        for axis, ending in FILES.items():
            data = gzip.decompress((folder / f"{name}-{ending}").read_bytes())
            start = 4 + 4 * data[3]  # data[3]: how many dimensions there are
            shape = np.frombuffer(data[4:start], ">i4")
            values = np.frombuffer(data, np.uint8, offset=start).reshape(shape)
            np.save(arrays / f"{axis}_{part}.npy", values)


def command() -> str:
    """The installed command of this Python."""
    found = shutil.which("striate", path=str(Path(sys.executable).parent))
    if found is None:
        raise SystemExit("the striate command is not installed beside this Python")
    return found


def run(words: list[str], place: Path) -> tuple[str, float, int]:
    """Run a program; return what it prints, wall seconds and peak resident bytes."""
    with tempfile.TemporaryFile("w+") as output:
        began = time.perf_counter()
        process = subprocess.Popen(words, cwd=place, stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(words)} failed with {process.returncode}")
        output.seek(0)
        return output.read(), seconds, usage.ru_maxrss * 1024


if __name__ == "__main__":
    print(json.dumps(asdict(measure())))
