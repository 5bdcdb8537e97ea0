"""Answers one by one: mistakes, rejection, and `unknown` on the command line."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from striate import Dense, Flatten, Network, cli
from striate.accuracy import Report
from striate.answers import Answers, calibrate
from striate.data import Dataset

PIXELS = np.random.default_rng(2).integers(0, 256, (40, 5, 5, 1), dtype=np.uint8)
DATA = Dataset(PIXELS, np.arange(40) % 2, ("ant", "bee"), "pets")


def answers_of(confidence: list[float], right: list[bool]) -> Answers:
    first = np.array(confidence, np.float32)
    labels = np.where(right, 0, 1).astype(np.int64)
    return Answers(np.column_stack([first, 1 - first]), labels)


@pytest.fixture(scope="module")
def network() -> Network:
    """A network whose classes stand in another order than those of the data."""
    trained = Network([Flatten(), Dense(3)], (5, 5, 1), seed=4)
    trained.classes = ("bee", "ant", "cat")
    trained.fit(PIXELS, np.array(DATA.classes)[DATA.labels], epochs=2)
    return trained


def test_the_least_confident_tenth_is_rejected() -> None:
    confidence = [0.5 + step / 100 for step in range(20)]
    answers = answers_of(confidence, [False, False, *[True] * 17, False])
    none, five, ten = answers.rejections()
    assert (none.share, none.images, none.correct) == (0.0, 20, 17)
    assert none.accuracy == 17 / 20
    assert (five.images, five.correct) == (19, 17)
    assert (ten.images, ten.correct) == (18, 17)
    assert ten.threshold == pytest.approx(0.52)
    assert ten.below in ("0.519", "0.520")  # 0.52 is no float32


@given(
    st.lists(
        st.tuples(st.sampled_from([0.5, 0.6, 0.7, 0.9, 1.0]), st.booleans()), min_size=1
    )
)
def test_a_threshold_rejects_what_the_report_says(
    pairs: list[tuple[float, bool]],
) -> None:
    answers = answers_of([one for one, _ in pairs], [right for _, right in pairs])
    for one in answers.rejections():
        kept = answers.confidence >= one.threshold
        assert one.images == kept.sum() >= (1 - one.share) * len(pairs)
        assert one.correct == (kept & answers.right).sum()


def test_mistakes_come_most_confident_first() -> None:
    answers = answers_of([0.6, 0.9, 0.7, 0.9, 0.8], [False, True, False, False, False])
    assert answers.mistakes().tolist() == [3, 4, 2, 0]
    assert answers_of([0.9], [True]).mistakes().tolist() == []


def test_a_report_tells_rejection_and_calibration(network: Network) -> None:
    report = Report.of(network, DATA)
    values = json.loads(json.dumps(report.to_dict()))
    assert [one["share"] for one in values["rejected"]] == [0.0, 0.05, 0.1]
    assert values["rejected"][0]["accuracy"] == report.accuracy
    assert values["rejected"][2]["images"] == 36
    assert 0 <= values["calibration_error"] <= 1
    last = str(report).splitlines()[-1]
    assert last.startswith("least confident rejected: ")
    assert "% at 5 % rejected (below 0." in last
    counted = Report.measure([0, 1], [0, 0], ("ant", "bee"))
    assert counted.rejections == ()
    assert counted.to_dict()["calibration_error"] is None


def test_calibration_matches_classes_by_name(network: Network) -> None:
    calibrate(network, DATA)
    named = np.array(DATA.classes)[DATA.labels]
    found = network.temperature
    assert found == network.calibrate(PIXELS, named)
    numbered = Dataset(PIXELS, DATA.labels, ("0", "1"), "numbers")
    other = Network([Flatten(), Dense(2)], (5, 5, 1))
    other.fit(PIXELS, DATA.labels, epochs=1)
    calibrate(other, numbered)
    assert other.temperature == other.calibrate(PIXELS, DATA.labels)


# --- predict --------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path, network: Network) -> tuple[Path, list[str], list[float]]:
    """A model, two images, and the probability of its answer to each."""
    network.save(tmp_path / "m")
    names = [str(tmp_path / f"{index}.png") for index in (0, 1)]
    for name, image in zip(names, PIXELS, strict=False):
        Image.fromarray(image[..., 0]).save(name)
    rows = network.predict_files(names, invert=False)
    return tmp_path / "m", names, [one.probability for one in rows]


def test_answers_below_a_probability_are_rejected(
    network: Network, files: tuple[Path, list[str], list[float]]
) -> None:
    _, names, shares = files
    between = float(np.mean(shares))
    assert shares[0] != shares[1]
    for reject in (0.0, between, 1.0):
        found = network.predict_files(names, invert=False, reject=reject)
        assert [one.rejected for one in found] == [one < reject for one in shares]
    plain = network.predict_files(names, invert=False)
    assert [one.label for one in plain] == [one.label for one in found]
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(
            ValueError, match="reject must be a probability from 0 to 1"
        ):
            network.predict_files(names, reject=wrong)


def test_predict_answers_unknown(files: tuple[Path, list[str], list[float]]) -> None:
    model, names, shares = files
    between = float(np.mean(shares))
    arguments = ["predict", str(model), *names, "--no-invert", "--reject", str(between)]
    lines = CliRunner().invoke(cli.main, arguments).stdout.splitlines()
    assert [one.startswith("unknown  ") for one in lines] == [
        s < between for s in shares
    ]
    assert all(name in line for name, line in zip(names, lines, strict=True))
    starts = {line.index(name) for name, line in zip(names, lines, strict=True)}
    assert len(starts) == 1  # names stand one below the other
    unknown = next(line for line in lines if line.startswith("unknown"))
    assert re.search(r"\d\.png  \(perhaps (ant|bee|cat) \d+\.\d %\)$", unknown)
    result = CliRunner().invoke(cli.main, [*arguments, "--json"])
    values = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["rejected"] for one in values] == [s < between for s in shares]
    assert all(one["label"] in ("ant", "bee", "cat") for one in values)
    wrong = CliRunner().invoke(cli.main, [*arguments[:-1], "95"])
    assert wrong.exit_code == 2
    assert "95 is not at least 0 and at most 1" in wrong.stderr
