"""`striate train`: from a data set to a model file in one command."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..answers import calibrate
from ..data import Data, Reading, data_hash
from ..data.load import is_published
from ..data.splits import recorded_split
from ..engine.machine import convolution, instruction_set, thread_count
from ..errors import UsageError
from ..network import Network, load
from ..saving.files import check_destination
from ..saving.modelfile import unwritable
from .augment_options import augment_options
from .choice import network_options, read_and_choose, read_as
from .config import config_option, differences, is_repeated, recorded_options
from .console import SAVED, Console, common_options, target
from .course import follow
from .data_options import data_options
from .interrupts import Interrupts
from .options import TARGET, Number, Pairs, Recipe, WholeNumber, recipe_options
from .outcome import Outcome
from .runfolder import RunFolder, versions
from .runreport import write_report


@click.command()
@click.argument("data")
@network_options
@click.option(
    "--from",
    "earlier",
    metavar="MODEL",
    help="Go on from this model: with its classes train it further, with others keep its "
    "features. Images are read as it knows them.",
)
@click.option(
    "--minutes",
    type=Number(0),
    metavar="N",
    help="Train the best network, for the epochs, that fit into so many minutes here.",
)
@click.option(
    "--patience",
    type=WholeNumber(1),
    metavar="N",
    help="Stop after N epochs without a lower validation loss, and keep the best.",
)
@click.option(
    "--pace",
    type=Pairs(),
    hidden=True,
    help="How a run that had too little time went through its schedule; settings.json "
    "has it, so that --config does the same.",
)
@recipe_options
@augment_options
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
@data_options
def train(
    console: Console,
    /,
    data: str,
    name: str | None,
    width: int | None,
    earlier: str | None,
    minutes: float | None,
    patience: int | None,
    pace: tuple[tuple[int, int], ...] | None,
    reading: Reading,
    threads: int | None,
    output: str | None,
    run: str | None,
    fail_under: float | None,
    **options: Any,
) -> int:
    """Train a network on DATA and save it as one model file.

    DATA is a folder with a folder of images for each class, or with these in folders
    train, val and test; a CSV table with the columns path,label; arrays x_train, y_train,
    ... in an .npz file or as .npy files; four IDX files like MNIST's; or digits (built
    in), mnist or fashion-mnist (found in the folder STRIATE_DATA or in the cache, else
    downloaded). Test images only measure the result. Ctrl-C stops early and saves.

    \b
    Examples:
      striate train digits
      striate train photos/ --size 48 --run runs/photos
      striate train photos/ --minutes 5
      striate train more-photos/ --from photos-auto.safetensors
      striate train mnist --epochs 3 -o quick.safetensors
      striate train mnist --optimizer adam --validation 0.1 --run runs/adam
      striate train --config runs/adam/settings.json --run runs/again
    """
    recipe = Recipe(**options)
    _refuse_contradictions(name, earlier, minutes, recipe.epochs)
    if (
        patience is not None
        and not reading.validation
        and (reading.validation == 0 or is_published(data))
    ):
        raise _unwatched(data)
    threads = thread_count(threads)
    start, before = load(earlier) if earlier else None, None
    if start:
        before = recorded_split(start.training)
        reading = read_as(start, reading)
    loaded, chosen = read_and_choose(
        console,
        data,
        name,
        recipe,
        reading,
        width=width,
        threads=threads,
        earlier=start,
        minutes=minutes,
        check=partial(_refuse_missing_parts, fail_under=fail_under, patience=patience),
    )
    network, settings = chosen.network, chosen.settings
    folder = RunFolder(run) if run else None
    path = Path(output or f"{loaded.name}-{chosen.name}.safetensors")
    if folder and not output:
        path = folder.path / path
    _check(path)
    context = click.get_current_context()
    fingerprint = data_hash(loaded.training.images, loaded.training.labels)
    if folder or is_repeated(context):
        record = {
            "network": chosen.name,
            "data": _describe(data, loaded, fingerprint),
            "reading": asdict(reading),
            "settings": settings.to_config(),
            "seed": settings.seed,
            "threads": threads,
            "isa": instruction_set(),
            "convolution": convolution(),
            "model": str(path),
            "versions": versions(),
        }
        for words in differences(context, record):
            console.note(words)
        if folder:
            kept = recorded_options(context, **chosen.options)
            folder.write_settings(kept, record)
    for line in chosen.lines:
        console.note(line)
    console.detail(f"settings {settings}, {threads} threads")
    with Interrupts() as interrupts:
        course = follow(
            console,
            network,
            loaded.training,
            loaded.validation,
            settings,
            threads,
            folder,
            None if start else loaded.preprocessing(network.input_shape),
            patience,
            chosen.until,
            pace or (),
            fingerprint,
            interrupts,
        )
        if loaded.split:
            split = loaded.split.including(before) if before else loaded.split
            network.training = {**network.training, "split": split.to_config()}
        if loaded.validation:
            calibrate(network, loaded.validation)
        if folder and course.pace:  # what was planned is not what was done
            folder.write_settings(kept | {"pace": course.pace}, record)
        path = _save(console, network, path, unfinished=course.code != 0)
        context.meta[SAVED] = path
    best = None
    if folder:
        folder.write_augmented(network, loaded.training)
        if loaded.validation:
            best = folder.write_best(network, loaded.validation)
    outcome = Outcome.of(loaded, chosen, course, path, threads, best)
    if folder:
        folder.write_result(outcome.to_dict())
    with suppress(BrokenPipeError):  # what is left to do needs no reader
        console.result(str(outcome), outcome.to_dict())
    if folder:
        write_report(console, folder, outcome)
        console.note(f"report {folder.path / 'report.md'}")
    missed = 0
    for what, (report, _) in list(outcome.reports.items())[-1:]:
        missed = target(console, report, fail_under, what)
    return course.code or missed


def _refuse_contradictions(
    name: str | None, earlier: str | None, minutes: float | None, epochs: int | None
) -> None:
    if name and earlier:
        raise UsageError(
            "--from goes on with the network of its model, so --network means nothing; "
            "leave one of them out."
        )
    if minutes and epochs:
        raise UsageError(
            "--minutes decides how many epochs are trained; leave out --epochs."
        )


def _refuse_missing_parts(
    data: Data, fail_under: float | None, patience: int | None
) -> None:
    if fail_under is not None and not (data.test or data.validation):
        raise UsageError(
            f"--fail-under needs images to measure, but {data.name} has neither a "
            "test nor a validation part; give one of --test-share and --validation."
        )
    if patience is not None and not data.validation:
        raise _unwatched(data.name)


def _unwatched(name: str) -> UsageError:
    return UsageError(
        f"--patience watches the validation loss, but {name} has no validation part; "
        "give --validation 0.1."
    )


def _check(path: Path) -> None:
    try:
        check_destination(path)
    except OSError as error:
        raise unwritable(path, error) from error


def _describe(source: str, data: Data, fingerprint: str) -> dict[str, Any]:
    """Return what identifies the images: names, counts and hashes.

    ``fingerprint`` is that of the training part.
    """
    held_back = {"validation": data.validation, "test": data.test}
    return {
        "source": source,
        "name": data.name,
        "classes": list(data.training.classes),
        "images": {part: len(dataset) for part, dataset in data.parts().items()},
        "sha256": {"training": fingerprint}
        | {
            part: data_hash(dataset.images, dataset.labels)
            for part, dataset in held_back.items()
            if dataset
        },
    }


def _save(console: Console, network: Network, path: Path, unfinished: bool) -> Path:
    """Save the model; one that is unfinished never replaces another."""
    if unfinished and path.exists():
        path = path.with_suffix(f".unfinished{path.suffix}")
        console.note(f"the model that was there stays; this one is {path}")
    network.save(path)
    return path
