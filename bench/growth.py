"""Measure how cost grows, and write it into docs/performance.md, with its figure.

    python bench/growth.py             # a few minutes
    python bench/growth.py --json      # prints what it measured and writes nothing

Every measurement has a process of its own, so that its memory is that of nothing else.
Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

import growth_report
import networks
import numpy as np
from cases import LEARNING_RATE, MOMENTUM, operations
from growth_report import Epoch, Growth, Mapped, Measured, Sweep
from machine import Peak, cores, processor

import striate
from striate.engine.machine import instruction_set

SECONDS = 0.6  # of every measurement, after a first round
EPOCH = 1e10  # operations, so that what an epoch costs beside its steps is nothing
MOST_STEPS = 500
PEAK_SECONDS = 0.2


@dataclass(frozen=True)
class Point:
    """A network, and how many images it takes at a time."""

    build: str  # the name of a function in networks.py
    arguments: tuple[tuple[str, int], ...]
    batch: int

    def network(self) -> striate.Network:
        """Make the network."""
        network: striate.Network = getattr(networks, self.build)(**dict(self.arguments))
        return network


USUAL, BATCH = {"channels": 16, "side": 32, "depth": 4}, 32


def plain(**arguments: int) -> Point:
    """A plain network, with one thing that is not as usual."""
    return Point("plain", tuple((USUAL | arguments).items()), BATCH)


SWEEPS: Mapping[str, tuple[str, dict[int, Point]]] = {
    "batch": (
        "images at a time, LeNet-5",
        {2**k: Point("lenet5", (), 2**k) for k in range(13)},
    ),
    "channels": (
        "channels of every layer",
        {n: plain(channels=n) for n in (4, 8, 16, 32, 64, 128)},
    ),
    "side": (
        "height and width of the image",
        {n: plain(side=n) for n in (16, 24, 32, 48, 64, 96, 128, 224)},
    ),
    "depth": ("convolutions", {n: plain(depth=n) for n in (1, 2, 4, 8, 16, 32)}),
}

COUNTS = (5_000, 10_000, 20_000, 40_000, 80_000)
LIMIT = 256 * 2**20  # bytes that a process may take for itself, RLIMIT_DATA
MAPPED = (20_000, 80_000, 320_000)  # images of 32 x 32 x 3; the last are 0.98 GB

Result = TypeVar("Result")


def alone(work: Callable[..., Result], *arguments: object) -> Result:
    """Call a function in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def images_of(network: striate.Network, count: int) -> tuple[Any, Any]:
    """Noise, and labels."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (count, *network.input_shape), np.uint8)
    return pixels, random.integers(0, network.outputs, count)


def fit(
    network: striate.Network, pixels: Any, labels: Any, **options: Any
) -> list[float]:
    """Train; return the images a second of every epoch."""
    history = network.fit(
        pixels,
        labels,
        optimizer=striate.SGD(LEARNING_RATE, momentum=MOMENTUM),
        schedule="constant",
        **options,
    )
    return history["images_per_second"]


def training(point: Point, threads: int) -> tuple[float, int]:
    """Images a second, and bytes that training takes besides images and weights."""
    network = point.network()
    costs = [layer.multiply_adds for layer in network.resolved]
    steps = int(EPOCH / operations(costs, "train") / point.batch)
    pixels, labels = images_of(network, point.batch * min(max(2, steps), MOST_STEPS))
    options = {"batch_size": point.batch, "threads": threads}
    before = reset_peak()
    first = fit(network, pixels, labels, epochs=1, **options)[0]
    epochs = max(2, round(SECONDS * first / len(pixels)))
    rates = fit(network, pixels, labels, epochs=epochs, **options)
    return median(rates), status("VmHWM") - before


def inference(point: Point, threads: int) -> tuple[float, int]:
    """Images a second, and bytes that answering takes besides images and weights."""
    network = point.network()
    pixels, _ = images_of(network, point.batch)
    before = reset_peak()
    network.predict_proba(pixels, threads=threads)
    rates: list[float] = []
    spent = 0.0
    while spent < SECONDS or len(rates) < 3:
        began = perf_counter()
        network.predict_proba(pixels, threads=threads)
        rates.append(len(pixels) / (perf_counter() - began))
        spent += len(pixels) / rates[-1]
    return median(rates), status("VmHWM") - before


def measure(point: Point) -> Measured:
    """All that is measured of a point."""
    network = point.network()
    costs = [layer.multiply_adds for layer in network.resolved]
    train, train_bytes = alone(training, point, cores())
    train_one, _ = alone(training, point, 1)
    infer, infer_bytes = alone(inference, point, cores())
    return Measured(
        train,
        train_one,
        infer,
        train_bytes,
        infer_bytes,
        network.engine.plan.bytes(16, 1, True),
        operations(costs, "train"),
        operations(costs, "inference"),
    )


def epoch(count: int) -> Epoch:
    """One epoch of LeNet-5 over so many images."""
    network = networks.lenet5()
    pixels, labels = images_of(network, count)
    fit(network, pixels[:1280], labels[:1280], epochs=1, batch_size=128)
    rates = fit(network, pixels, labels, epochs=3, batch_size=128)
    return Epoch(count, count / median(rates), median(rates))


def mapped(file: Path, count: int, side: int = 32) -> Mapped:
    """One epoch over so many images of a mapped file, within LIMIT."""
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
    pixels = np.memmap(file, np.uint8, "r", shape=(count, side, side, 3))
    labels = np.random.default_rng(0).integers(0, 10, count)
    own = Largest("RssAnon")
    began = perf_counter()
    network = striate.lenet5(input_shape=(side, side, 3))
    rate = fit(network, pixels, labels, epochs=1, batch_size=128, callbacks=[own])[0]
    return Mapped(count, pixels.nbytes, rate, perf_counter() - began, own.value)


def fits(file: Path) -> bool:
    """Whether the file can be read into memory within LIMIT."""
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
    try:
        np.fromfile(file, np.uint8)
    except MemoryError:
        return False
    return True


class Largest:
    """A callback that watches a figure of this process, in bytes."""

    def __init__(self, name: str) -> None:
        self.name, self.value = name, 0

    def on_steps_end(self, progress: object) -> None:
        self.value = max(self.value, status(self.name))


def status(name: str) -> int:
    """A figure of this process, in bytes, as the kernel tells it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def reset_peak() -> int:
    """Let VmHWM start anew; return the bytes resident now."""
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def write_images(file: Path, count: int) -> None:
    """Write noise, a little at a time."""
    random = np.random.default_rng(0)
    with file.open("wb") as opened:
        for _ in range(count // 10_000):
            opened.write(random.bytes(10_000 * 32 * 32 * 3))


def say(text: str) -> None:
    """Tell how far the run is."""
    print(text, file=sys.stderr, flush=True)


def run() -> Growth:
    """Measure everything."""
    sweeps = {}
    with tempfile.TemporaryDirectory() as folder:
        peak = Peak(Path(folder))
        for name, (axis, points) in SWEEPS.items():
            measured = {}
            for value, point in points.items():
                say(f"{name} {value}")
                peak.measure(PEAK_SECONDS)
                measured[value] = measure(point)
            sweeps[name] = Sweep(axis, measured)
        say("epochs, and images on disk")
        epochs = tuple(alone(epoch, count) for count in COUNTS)
        file = Path(folder) / "images"
        write_images(file, max(MAPPED))
        maps = tuple(alone(mapped, file, count) for count in MAPPED)
        refused = not alone(fits, file)
    return Growth(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        processor=processor(),
        cores=cores(),
        striate=striate.__version__,
        isa=instruction_set(),
        usual=(
            f"{USUAL['depth']} convolutions of {USUAL['channels']} channels, images of "
            f"{USUAL['side']} x {USUAL['side']} x 3, {BATCH} at a time"
        ),
        peak=max(peak.values, default=None),
        cache=growth_report.second_level_cache(),
        sweeps=sweeps,
        epochs=epochs,
        limit=LIMIT,
        maps=maps,
        refused=refused,
    )


def report(
    about: str, run: Callable[[], Any], write: Callable[[Any, Path], None]
) -> None:
    """Measure and write into the documents, or print, as the command line asks."""
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print, write nothing")
    options = parser.parse_args()
    measured = run()
    if options.json:
        print(json.dumps(asdict(measured), indent=2))
    else:
        write(measured, Path(__file__).parent.parent / "docs")


if __name__ == "__main__":
    report(__doc__, run, growth_report.write)
