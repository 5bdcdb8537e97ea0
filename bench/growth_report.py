"""What growth.py writes: the tables in docs/performance.md, and its figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from report import table

# Readable on white and told apart by those who see few colours (Okabe and Ito).
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#888888"


@dataclass(frozen=True)
class Measured:
    """One point of a sweep: images a second, bytes, operations an image.

    Bytes are what a process took at most beyond images and weights; `block_bytes` is
    what one block of 16 images needs to be trained, as the engine plans it.
    """

    train: float
    train_one: float
    infer: float
    train_bytes: int
    infer_bytes: int
    block_bytes: int
    train_operations: int
    infer_operations: int


@dataclass(frozen=True)
class Sweep:
    """What changes, and what was measured at each of its values."""

    axis: str
    points: Mapping[int, Measured]


@dataclass(frozen=True)
class Epoch:
    """One epoch over so many images."""

    images: int
    seconds: float
    rate: float


@dataclass(frozen=True)
class Mapped:
    """`fit` over a mapped file: its bytes, images a second, and bytes of its own."""

    images: int
    file_bytes: int
    rate: float
    seconds: float
    own_bytes: int


@dataclass(frozen=True)
class Growth:
    """A whole run; `refused` is whether the limit keeps the file out of memory."""

    date: str
    processor: str
    cores: int
    striate: str
    isa: str
    usual: str
    peak: float | None
    cache: str
    sweeps: Mapping[str, Sweep]
    epochs: tuple[Epoch, ...]
    limit: int
    maps: tuple[Mapped, ...]
    refused: bool


def second_level_cache() -> str:
    """The size of a core's second-level cache, in the kernel's words."""
    file = Path("/sys/devices/system/cpu/cpu0/cache/index2/size")
    return file.read_text().strip() if file.exists() else "unknown"


def write(growth: Growth, docs: Path) -> None:
    """Replace the generated parts of docs/performance.md, and its figure."""
    page = docs / "performance.md"
    text = filled(page.read_text(), growth)
    draw(growth, docs / "pictures" / "growth.png")
    page.write_text(text)


def filled(text: str, growth: Growth) -> str:
    """The page with what was measured between its marks, and all else as it is."""
    parts = {"machine": machine(growth), "epochs": epochs(growth.epochs)}
    parts |= {name: sweep(growth, name) for name in growth.sweeps}
    parts["maps"] = maps(growth)
    return fill(text, parts)


def fill(text: str, parts: Mapping[str, str]) -> str:
    """The page with each part between the marks of its name."""
    for name, part in parts.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"the page needs one place marked for {name}")
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}{part}\n{end}{rest.partition(end)[2]}"
    return text


def machine(growth: Growth) -> str:
    """What was measured, where and when."""
    peak = ""
    if growth.peak is not None:
        peak = f", {growth.peak / 1e9:.0f} GFLOP/s of float32 multiply-adds"
    return (
        f"{growth.date}, {growth.processor}, {growth.cores} cores{peak}; second-level "
        f"cache {growth.cache} a core; Striate {growth.striate}, {growth.isa}. Where "
        f"nothing else is said: {growth.usual}."
    )


def sweep(growth: Growth, name: str) -> str:
    """The table of one sweep."""
    one = growth.sweeps[name]
    rows: list[Sequence[str]] = [
        (
            one.axis,
            "training, images/s",
            "on one thread",
            "share of the peak",
            "inference, images/s",
            "share",
            "memory to train, MB",
            "to infer",
            "a block",
        )
    ]
    for value, point in one.points.items():
        rows.append(
            (
                str(value),
                f"{point.train:,.0f}",
                f"{point.train_one:,.0f}",
                _share(point.train * point.train_operations, growth.peak),
                f"{point.infer:,.0f}",
                _share(point.infer * point.infer_operations, growth.peak),
                f"{point.train_bytes / 1e6:.1f}",
                f"{point.infer_bytes / 1e6:.1f}",
                f"{point.block_bytes / 1e6:.1f}",
            )
        )
    return "\n".join(table(rows))


def _share(operations: float, peak: float | None) -> str:
    return "" if peak is None else f"{operations / peak:.0%}"


def epochs(measured: Sequence[Epoch]) -> str:
    """The table of epochs over more and more images."""
    rows: list[Sequence[str]] = [("images", "seconds an epoch", "images/s")]
    rows += [
        (f"{one.images:,}", f"{one.seconds:.3f}", f"{one.rate:,.0f}")
        for one in measured
    ]
    return "\n".join(table(rows))


def maps(growth: Growth) -> str:
    """The table of mapped sets, and what the limit does to the same file otherwise."""
    heads = (
        "images",
        "file, MB",
        "images/s",
        "seconds of fit",
        "memory of its own, MB",
    )
    rows: list[Sequence[str]] = [heads]
    for one in growth.maps:
        rows.append(
            (
                f"{one.images:,}",
                f"{one.file_bytes / 1e6:,.0f}",
                f"{one.rate:,.0f}",
                f"{one.seconds:.1f}",
                f"{one.own_bytes / 1e6:.0f}",
            )
        )
    refused = "raises MemoryError" if growth.refused else "succeeds"
    limit = (
        f"Limit: {growth.limit / 1e6:.0f} MB. Reading the last file into memory under "
        f"the same limit {refused}."
    )
    return "\n".join([*table(rows), "", limit])


def draw(growth: Growth, file: Path) -> None:
    """Speed above, memory below, one column for each sweep."""
    import matplotlib
    from PIL import Image

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import LogLocator

    figure, axes = pyplot.subplots(
        2, len(growth.sweeps), figsize=(15, 7.2), sharex="col", layout="constrained"
    )
    for (speed, memory), one in zip(axes.T, growth.sweeps.values(), strict=True):
        values, points = list(one.points), list(one.points.values())
        speed.plot(values, [p.infer for p in points], "s-", c=GREEN, label="inference")
        speed.plot(values, [p.train for p in points], "o-", c=BLUE, label="training")
        speed.plot(
            values,
            [p.train_one for p in points],
            "o--",
            c=ORANGE,
            mfc="white",
            label="training, one thread",
        )
        if growth.peak is not None:
            limits = [growth.peak / p.train_operations for p in points]
            speed.plot(values, limits, ":", c=GREY, label="training at the peak")
        memory.plot(values, [p.train_bytes / 1e6 for p in points], "o-", c=BLUE)
        memory.plot(values, [p.infer_bytes / 1e6 for p in points], "s-", c=GREEN)
        memory.set_xlabel(one.axis)
        for axis in (speed, memory):
            axis.set_xscale("log", base=2)
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
            axis.set_xticks(values, [str(value) for value in values])
            axis.minorticks_off()
            axis.grid(color="#dddddd", lw=0.6)
        memory.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        memory.tick_params(axis="x", labelrotation=60 if len(values) > 8 else 0)
    axes[0, 0].set_ylabel("images/s")
    axes[1, 0].set_ylabel("memory beyond images and weights, MB")
    axes[0, 0].legend(fontsize=9)
    file.parent.mkdir(exist_ok=True)
    figure.savefig(file, dpi=80)
    pyplot.close(figure)
    Image.open(file).convert("RGB").quantize(64).save(file, optimize=True)
