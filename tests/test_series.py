"""Frames of one film on both sides of a split: suspected from names, and only then."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from striate import cli
from striate.data import Reading, read_data
from striate.data.series import Series, find_series

RNG = np.random.default_rng(0)


def suspected(names: Iterable[str], pixels: np.ndarray | None = None) -> Series | None:
    """What is suspected of files in class folders, split without regard to films."""
    listed = sorted(names)
    classes = sorted({name.split("/")[0] for name in listed})
    labels = np.array([classes.index(name.split("/")[0]) for name in listed])
    if pixels is None:
        pixels = RNG.integers(0, 256, (len(listed), 4, 4, 1), np.uint8)
    codes = RNG.permutation(np.arange(len(listed)) % 3)
    return find_series(listed, labels, codes, pixels)


def named(pattern: str, *ranges: range, classes: str = "ab") -> list[str]:
    """Names of all classes (field c) and of all numbers in the ranges."""
    grids = np.array(np.meshgrid(*ranges, indexing="ij")).reshape(len(ranges), -1).T
    return [pattern.format(*row, c=one) for one in classes for row in grids.tolist()]


@pytest.mark.parametrize(
    ("names", "pattern", "groups"),
    [
        # tracks whose numbers begin anew in every class, as of traffic signs
        (named("{c}/{:05}_{:05}.png", range(9), range(0, 30, 3)), "(.+/[0-9]+)_", 18),
        (named("{c}/{c}{:03}_{:02}.jpg", range(9), range(6)), "^(.+)_[0-9]", 18),
        (
            named("{c}/person{}-{c}day{}-{:04}.jpg", range(3), range(2), range(1, 9)),
            "^(.+)-[0-9]",
            12,
        ),
        (named("{c}/film{}{c}/{:04}.png", range(4), range(50)), "(.+)/", 8),
        (
            named("{c}/{c}take{}frame{:03}left.png", range(4), range(50)),
            "^(.*[^0-9])[0-9]+[^0-9/]*[.]",
            8,
        ),
        # ten copies of each image, changed a little
        (named("{c}/{c}{}.rot{}.png", range(30), range(10)), None, 60),
    ],
)
def test_frames_of_films_are_suspected(
    names: list[str], pattern: str | None, groups: int
) -> None:
    found = suspected(names)
    assert found is not None
    assert found.groups == groups
    assert found.torn > 0.9 * groups
    if pattern:
        assert found.pattern == pattern


def test_a_film_may_show_several_classes() -> None:
    names = [
        f"{'ab'[frame // 10]}/film{film}_{frame:03}.png"
        for film in range(8)
        for frame in range(20)
    ]
    found = suspected(names)
    assert found is not None
    assert (found.pattern, found.groups) == ("^(.+)_[0-9]", 8)


@pytest.mark.parametrize(
    "names",
    [
        named("{c}/{}.png", range(400)),
        named("{c}/{:05}.png", range(400)),
        named("{c}/{c}_{:05}.png", range(400)),
        named("{c}/img_{:04}.png", range(1, 400)),
        named("{c}/IMG_{}.jpg", range(1234, 1600)),
        named("s{c}/{}.pgm", range(1, 11), classes="abcdefghij"),
        named("{c}/{:05}_7.png", range(400)),  # number and label
        named("{c}/cat ({}).jpg", range(1, 400)),
        named("{c}/P{:02}/P{:02}.png", range(20), range(1)),
        # two cameras; shards of a flat counter; days and times
        [*named("{c}/IMG_{}.jpg", range(90)), *named("{c}/DSC_{}.jpg", range(90))],
        [f"{c}/{n // 100:02}/{n:06}.png" for c in "ab" for n in range(1000)],
        [
            f"{c}/PXL_2024{day:04}_{time}.jpg"
            for c in "ab"
            for day in range(101, 131)
            for time in RNG.integers(80_000, 190_000, 5)
        ],
        # words that were searched for, with a sparse counter each
        [
            f"{c}/{word}_s_{n:06}.png"
            for c in "ab"
            for word in ("dog", "puppy", "hound", "pug")
            for n in RNG.integers(0, 2000, 200)
        ],
        [f"{c}/{RNG.bytes(8).hex()}.jpg" for c in "ab" for _ in range(400)],
        ["a/cat.png", "a/dog.png", "b/9.png"],
        [f"images[{n}]" for n in range(100)],
    ],
)
def test_other_names_are_not(names: list[str]) -> None:
    assert suspected(names) is None


def test_pixels_tell_where_numbers_go_on_or_have_gaps() -> None:
    names = [f"{c}/person{n // 5}_{c}_{n}.jpg" for c in "ab" for n in range(100)]
    noise = RNG.integers(0, 30, (200, 4, 4, 1), np.uint8)
    persons = RNG.integers(0, 226, (40, 4, 4, 1), np.uint8)
    order = np.argsort(np.argsort(names))  # as they are listed
    pixels = np.empty_like(noise)
    pixels[order] = noise + persons[np.arange(200) // 5]
    found = suspected(names, pixels)
    assert found is not None
    assert (found.pattern, found.groups) == ("^(.+)_[0-9]", 40)
    assert suspected(names) is None


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for number in range(120):
        folder = tmp_path / "films" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        image = RNG.integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(image).save(
            folder / f"{number // 20:02}_{number % 20 // 2:02}.png"
        )
    return tmp_path / "films"


def test_the_pattern_can_be_pasted_and_mends_it(films: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        cli.main, ["data", str(films), "-o", str(tmp_path / "sheet.png")]
    )
    words = " ".join(result.stdout.split())
    match = re.search(
        r"names such as 00_00.png and 00_01.png look like frames of one film or track, "
        r"and \d+ of 12 such series have images in more than one part.* keep each "
        r"together with --group '(\S+)' \(12 groups\)",
        words,
    )
    assert match is not None
    told = read_data(films, reading=Reading(group=match[1]))
    assert "by 12 groups" in told.survey.choices[-1]
    assert told.survey.series is None


def test_json_has_the_pattern_and_training_tells_it(
    films: Path, tmp_path: Path
) -> None:
    run = CliRunner().invoke
    sheet = str(tmp_path / "sheet.png")
    told = json.loads(run(cli.main, ["data", str(films), "-o", sheet, "--json"]).stdout)
    assert told["series"]["pattern"] == "(.+/[0-9]+)_"
    assert told["series"]["groups"] == 12
    command = ["train", str(films), "--epochs", "1", "--width", "2"]
    model = str(tmp_path / "m.safetensors")
    result = run(cli.main, [*command, "-o", model, "--train-per-class", "30"])
    words = " ".join(result.stderr.split())
    assert "--group '(.+/[0-9]+)_' (12 groups), without --train-per-class" in words


def test_parts_that_were_given_are_the_users_own(films: Path, tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        (tmp_path / "parted").mkdir(exist_ok=True)
        (tmp_path / "parted" / part).symlink_to(films)
    assert read_data(tmp_path / "parted").survey.series is None
