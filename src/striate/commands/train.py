"""`striate train`: from a data set to a model file in one command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..data import Dataset, data_hash, load_data
from ..data.splits import split_off
from ..engine.machine import thread_count
from ..network import Network
from ..saving.files import check_destination
from ..saving.modelfile import unwritable
from ..zoo import NETWORKS
from .answers import calibrate
from .config import config_option, differences, is_repeated, recorded_options
from .console import Console, common_options, instruction_set, target
from .course import follow
from .options import SHARE, TARGET, Recipe, WholeNumber, recipe_options
from .report import Report, rejected_values
from .runfolder import RunFolder, versions
from .runreport import write_report


@dataclass(frozen=True)
class Data:
    """The images of a run, by what they are for."""

    training: Dataset
    validation: Dataset | None
    test: Dataset

    @property
    def name(self) -> str:
        """What the data are called."""
        return self.training.name or "data"

    def parts(self) -> dict[str, Dataset]:
        """Return the parts there are by name."""
        parts = {"training": self.training, "validation": self.validation}
        parts["test"] = self.test
        return {name: part for name, part in parts.items() if part is not None}


@click.command()
@click.argument("data")
@click.option(
    "--network",
    "name",
    type=click.Choice(tuple(NETWORKS)),
    default="lenet5",
    show_default=True,
    help="What to train; `striate summary NETWORK` shows it.",
)
@recipe_options
@click.option(
    "--validation",
    "share",
    type=SHARE,
    metavar="SHARE",
    help="Share of the training images, such as 0.1, kept apart to try settings on.  "
    "[default: none]",
)
@click.option(
    "--threads",
    type=WholeNumber(1, 1024),
    metavar="N",
    help="Threads to compute with.  [default: the processors there are]",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Model file to write.  [default: DATA-NETWORK.safetensors]",
)
@click.option(
    "--run",
    metavar="DIR",
    help="Folder for the model, history.csv, settings.json, result.json, report.md and "
    "pictures.",
)
@click.option(
    "--fail-under",
    type=TARGET,
    metavar="SHARE",
    help="Exit with 4 when the test accuracy is below this, such as 0.98.",
)
@config_option
@common_options
def train(
    console: Console,
    /,
    data: str,
    name: str,
    share: float | None,
    threads: int | None,
    output: str | None,
    run: str | None,
    fail_under: float | None,
    **options: Any,
) -> int:
    """Train a network on DATA and save it as one model file.

    DATA is digits (built in), mnist or fashion-mnist (found in the folder STRIATE_DATA
    or in the cache, else downloaded), or a folder with four IDX files like MNIST's.
    Test images only measure the result. Ctrl-C stops early and saves.

    \b
    Examples:
      striate train digits
      striate train mnist --epochs 3 -o quick.safetensors
      striate train mnist --optimizer adam --validation 0.1 --run runs/adam
      striate train --config runs/adam/settings.json --run runs/again
    """
    recipe = Recipe(**options)
    recipe.build_optimizer(1)  # contradictions are told before anything is loaded
    threads = thread_count(threads)
    loaded = _load(console, data, share, recipe.seed)
    settings = recipe.settle(len(loaded.training))
    network = NETWORKS[name](classes=len(loaded.training.classes), seed=recipe.seed)
    folder = RunFolder(run) if run else None
    path = Path(output or f"{loaded.name}-{name}.safetensors")
    if folder and not output:
        path = folder.path / path
    _check(path)
    context = click.get_current_context()
    if folder or is_repeated(context):
        record = (
            {"network": name, "data": _describe(data, loaded), "validation": share}
            | {"settings": settings.to_config(), "seed": settings.seed}
            | {"threads": threads, "isa": instruction_set(), "model": str(path)}
            | {"versions": versions()}
        )
        for words in differences(context, record):
            console.note(words)
        if folder:
            options = recorded_options(context, epochs=settings.epochs)
            folder.write_settings(options, record)
    console.note(f"network {name}: {network.parameters:,} parameters")
    chosen = " (chosen by the number of images; --epochs changes it)"
    console.note(f"epochs {settings.epochs}{'' if recipe.epochs else chosen}")
    console.detail(f"settings {settings}, {threads} threads")
    course = follow(
        console, network, loaded.training, loaded.validation, settings, threads, folder
    )
    if loaded.validation:
        calibrate(network, loaded.validation)
    path = _save(console, network, path, unfinished=course.code != 0)
    best = None
    if folder and loaded.validation:
        best = folder.write_best(network, loaded.validation)
    test = Report.of(network, loaded.test)
    validation = loaded.validation and Report.of(network, loaded.validation)
    result = {
        "model": str(path),
        "model_bytes": path.stat().st_size,
        "network": name,
        "parameters": network.parameters,
        "data": loaded.name,
        "train_images": len(loaded.training),
        "validation_images": len(loaded.validation or ()),
        "test_images": len(loaded.test),
        **course.to_dict(),
        "best_epoch": best,
        "validation_accuracy": validation and validation.accuracy,
        "validation_interval": validation and validation.interval,
        "test_accuracy": test.accuracy,
        "test_interval": test.interval,
        "test_rejected": rejected_values(test.rejections),
        "test_calibration_error": test.calibration_error,
        "temperature": network.temperature if validation else None,
        "seed": settings.seed,
        "threads": threads,
    }
    if folder:
        folder.write_result(result)
    lines = [f"validation accuracy {validation}"] if validation else []
    lines += [f"test accuracy {test}", f"model {path}, {result['model_bytes']:,} bytes"]
    console.result("\n".join(lines), result)
    if folder:
        told = {"validation": validation, "test": test}
        reports = {
            part: (report, loaded.parts()[part])
            for part, report in told.items()
            if report
        }
        write_report(console, folder, result, course.epochs, settings, reports)
        console.note(f"report {folder.path / 'report.md'}")
    return course.code or target(console, test, fail_under)


def _load(console: Console, data: str, share: float | None, seed: int) -> Data:
    training, test = load_data(data, quiet=console.quiet)
    validation = None
    if share is not None:
        training, validation = split_off(training, share, seed)
    height, width, channels = training.images.shape[1:]
    counts = f"{len(training):,} images to train, "
    if validation:
        counts += f"{len(validation):,} to validate, "
    console.note(
        f"data {training.name}: {counts}{len(test):,} to test; "
        f"{height}x{width}x{channels}, {len(training.classes)} classes"
    )
    return Data(training, validation, test)


def _check(path: Path) -> None:
    try:
        check_destination(path)
    except OSError as error:
        raise unwritable(path, error) from error


def _describe(source: str, data: Data) -> dict[str, Any]:
    """Return what identifies the images: names, counts and hashes."""
    return {
        "source": source,
        "name": data.name,
        "classes": list(data.training.classes),
        "images": {part: len(dataset) for part, dataset in data.parts().items()},
        "sha256": {
            part: data_hash(dataset.images, dataset.labels)
            for part, dataset in data.parts().items()
        },
    }


def _save(console: Console, network: Network, path: Path, unfinished: bool) -> Path:
    """Save the model; one that is unfinished never replaces another."""
    if unfinished and path.exists():
        path = path.with_suffix(f".unfinished{path.suffix}")
        console.note(f"the model that was there stays; this one is {path}")
    network.save(path)
    return path
