"""Reports: accuracy, its interval, the worst classes, confusion."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.accuracy import Report, wilson_interval
from striate.data import Dataset
from striate.errors import DataError
from striate.layers import Dense, Flatten
from striate.network import Network


@pytest.mark.parametrize(
    ("correct", "images", "low", "high"),
    [  # Newcombe, 1998, Statistics in Medicine 17, table I, to four decimals
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_wilsons(
    correct: int, images: int, low: float, high: float
) -> None:
    assert wilson_interval(correct, images) == pytest.approx((low, high), abs=5e-5)


@given(
    st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
)
def test_the_interval_solves_its_equation(counts: tuple[int, int]) -> None:
    correct, images = counts
    share = correct / images
    low, high = wilson_interval(correct, images)
    assert 0 <= low <= share <= high <= 1
    for bound in (low, high):
        deviation = math.sqrt(bound * (1 - bound) / images)
        assert abs(share - bound) == pytest.approx(1.959964 * deviation, abs=1e-7)


@pytest.mark.parametrize("counts", [(0, 0), (-1, 5), (6, 5)])
def test_impossible_counts_have_no_interval(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="correct must be from 0 to images"):
        wilson_interval(*counts)


REPORT = Report.measure(
    [0, 0, 0, 1, 1, 2, 2, 2, 2],
    [0, 0, 1, 1, 1, 0, 2, 1, 1],
    ("ant", "bee", "cat", "dog"),
)


def test_the_confusion_counts_true_against_answered() -> None:
    assert REPORT.confusion.tolist() == [
        [2, 1, 0, 0],
        [0, 2, 0, 0],
        [1, 2, 1, 0],
        [0, 0, 0, 0],
    ]
    assert (REPORT.images, REPORT.correct) == (9, 5)
    assert REPORT.accuracy == 5 / 9


def test_the_worst_classes_come_worst_first_and_never_faultless() -> None:
    assert [result.name for result in REPORT.worst()] == ["cat", "ant"]
    assert [result.name for result in REPORT.worst(1)] == ["cat"]
    assert REPORT.confused_with("cat") == ("bee", 2)
    assert REPORT.confused_with("bee") is None


def test_a_report_reads_well() -> None:
    assert str(REPORT) == (
        "55.56 % of 9 images (95 % interval 26.67 to 81.12 %); "
        "1 of 4 classes untested\n"
        "worst classes: cat (1 of 4 right, 2 taken for bee), "
        "ant (2 of 3 right, 1 taken for bee)"
    )
    faultless = Report.measure([0], [0], ("ant",))
    assert str(faultless) == "100.00 % of 1 image (95 % interval 20.65 to 100.00 %)"


def test_json_has_every_class_and_null_where_there_is_none() -> None:
    values = json.loads(json.dumps(REPORT.to_dict()))
    assert values["accuracy"] == 5 / 9
    assert values["images"] == 9
    assert values["per_class"][0] == {
        "class": "ant",
        "images": 3,
        "correct": 2,
        "accuracy": 2 / 3,
    }
    assert values["per_class"][3]["accuracy"] is None
    assert values["confusion"] == REPORT.confusion.tolist()
    assert values["untested_classes"] == ["dog"]


def test_classes_are_matched_by_name() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1)).astype(np.uint8)
    network = Network([Flatten(), Dense(3)], (8, 8, 1), seed=1)
    network.classes = ("cat", "ant", "bee")
    data = Dataset(pixels, np.arange(30) % 2, ("ant", "bee", "eel"), "pets")
    report = Report.of(network, data)
    assert report.classes == ("cat", "ant", "bee")
    assert report.confusion.sum(axis=1).tolist() == [0, 15, 15]
    named = np.array(data.classes)[data.labels]
    assert report.accuracy == pytest.approx(network.score(pixels, named))
    strange = Dataset(pixels, np.full(30, 2), data.classes, "pets")
    with pytest.raises(
        DataError, match="pets has a class that the model does not know: eel; it knows"
    ):
        Report.of(network, strange)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1))
def test_sums_agree(pairs: list[tuple[int, int]]) -> None:
    labels, answers = np.array(pairs).T
    report = Report.measure(labels, answers, tuple(range(5)))
    assert report.images == len(pairs)
    assert report.accuracy == pytest.approx(np.mean(labels == answers))
    assert sum(result.correct for result in report.per_class) == report.correct
    assert [result.images for result in report.per_class] == np.bincount(
        labels, minlength=5
    ).tolist()


@pytest.mark.parametrize(
    ("labels", "answers", "message"),
    [
        ([], [], "at least one"),
        ([0], [0, 1], "2 answers and 1 labels"),
        ([2], [0], "must be from 0 to 1"),
        ([0], [-1], "must be from 0 to 1"),
    ],
)
def test_what_cannot_be_counted_is_refused(
    labels: list[int], answers: list[int], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        Report.measure(labels, answers, ("ant", "bee"))
