"""Which image trains, validates and tests: by content, steady, and never both."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.data.groups import group_keys, with_groups
from striate.data.listing import Listing
from striate.data.splits import (
    TEST,
    TRAINING,
    VALIDATION,
    Split,
    SplitRule,
    assign,
    places,
)
from striate.errors import DataError, UsageError


def listing(labels, names=None, **more):
    labels = np.asarray(labels, np.int64)
    classes = tuple(f"class {label}" for label in range(labels.max() + 1))
    names = names or [f"{label}/{i}.png" for i, label in enumerate(labels)]
    return Listing("made up", names, names, labels, classes, **more)


def keys(count, start=0):
    """Hashes of so many contents, all different."""
    rng = np.random.default_rng(start)
    return rng.integers(0, 2**64, count, np.uint64)


LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(sorted)
SHARES = st.floats(0, 0.95)
SEEDS = st.integers(0, 2**63 - 1)


@given(LABELS, SHARES, SHARES, SEEDS)
def test_every_class_trains_and_adding_images_moves_none(
    labels, test, validation, seed
):
    labels = np.unique(labels, return_inverse=True)[1]
    rule = SplitRule(validation, test, seed=seed)
    known = keys(2 * len(labels), seed % 100)
    before = assign(listing(labels), known[: len(labels)], rule)
    trained = np.bincount(labels[before == TRAINING], minlength=labels.max() + 1)
    assert trained.min() >= 1
    assert test or TEST not in before
    assert validation or VALIDATION not in before
    twice = np.concatenate([labels, labels])
    after = assign(listing(twice), known, rule)[: len(labels)]
    # Only what had no other choice may move: a class whose images all would have gone
    # keeps the highest, and a part that would have stayed empty got the lowest.
    moved = before != after
    assert np.count_nonzero(moved) <= 2 * (labels.max() + 2)
    if len(labels) > 1 and test:
        place = places(known[: len(labels)], seed, "test")
        went = (before == TEST) & (place < test)
        assert (after[went] == TEST).all()


def test_shares_are_kept_on_average_and_chosen_by_the_seed():
    labels = np.arange(20_000) % 2
    known = keys(20_000)
    codes = assign(listing(labels), known, SplitRule(0.2, 0.1))
    for code, share in ((TEST, 0.1), (VALIDATION, 0.9 * 0.2)):
        spread = np.sqrt(share * (1 - share) / len(labels))
        assert abs((codes == code).mean() - share) < 5 * spread
    other = assign(listing(labels), known, SplitRule(0.2, 0.1, seed=1))
    assert (codes != other).any()
    again = assign(listing(labels), known, SplitRule(0.2, 0.1))
    np.testing.assert_array_equal(codes, again)


def test_what_has_one_key_stays_together_also_across_classes():
    labels = np.repeat([0, 1], 50)
    known = np.tile(keys(25), 4)
    codes = assign(listing(labels), known, SplitRule(0.3, 0.3)).reshape(4, 25)
    assert (codes == codes[0]).all()
    assert set(codes.ravel()) == {TRAINING, VALIDATION, TEST}


def test_given_parts_stay():
    parts = ["training"] * 20 + ["test"] * 5
    codes = assign(
        listing(np.arange(25) % 2, parts=parts), keys(25), SplitRule(0.2, 0.5)
    )
    assert (codes[20:] == TEST).all()
    assert TEST not in codes[:20]
    assert VALIDATION in codes[:20]


def test_small_sets_get_every_part_they_can():
    for seed in range(50):
        codes = assign(
            listing([0, 0, 0, 1, 1, 1]), keys(6), SplitRule(0.1, 0.1, seed=seed)
        )
        assert {TRAINING, VALIDATION, TEST} == set(codes)
    codes = assign(listing([0, 1]), keys(2), SplitRule(0.5, 0.5))
    assert set(codes) == {TRAINING}


@given(st.integers(1, 5), SEEDS)
def test_so_many_of_every_class_train(count, seed):
    labels = np.repeat([0, 1, 2], [5, 6, 9])
    rule = SplitRule(validation=0, train_per_class=count, seed=seed)
    codes = assign(listing(labels), keys(20), rule)
    assert np.bincount(labels[codes == TRAINING]).tolist() == [count] * 3
    assert set(codes) == {TRAINING, TEST}
    rule = replace(rule, validation=0.5)
    assert VALIDATION not in assign(listing(labels), keys(20), rule)[codes == TEST]


def test_draws_of_different_seeds_differ():
    labels = np.repeat(np.arange(4), 10)
    draws = {
        assign(
            listing(labels), keys(40), SplitRule(0, train_per_class=5, seed=seed)
        ).tobytes()
        for seed in range(20)
    }
    assert len(draws) == 20


def test_too_few_images_to_draw():
    few = listing([0] * 5 + [1] * 3)
    with pytest.raises(DataError, match="'class 1' has 3 images but 4 of every class"):
        assign(few, keys(8), SplitRule(train_per_class=4))
    even = listing([0, 0, 1, 1])
    with pytest.raises(DataError, match="every class has 2 images and all of them"):
        assign(even, keys(4), SplitRule(train_per_class=2))


# --- groups


NAMES = ["stop/0001_1.png", "stop/0001_2.png", "yield/0001_1.png", "yield/x.png"]


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [
        ("^([0-9]+)_", ["0001", "0001", "0001", ""]),
        ("^[0-9]+_", ["0001_", "0001_", "0001_", ""]),
        ("(.*/[0-9]+)_", ["stop/0001", "stop/0001", "yield/0001", ""]),
        ("^(s)?.", ["", "", "", ""]),
    ],
)
def test_a_pattern_names_groups(pattern, groups):
    found = listing([0, 0, 1, 1], NAMES)
    if not any(groups):
        with pytest.raises(UsageError, match="matches no name"):
            with_groups(found, pattern)
        return
    found = with_groups(found, pattern)
    assert list(found.groups) == groups
    assert "does not match 1 name ('yield/x.png')" in found.notes[0]
    mixed = f"each group of --group {pattern!r} has images of up to 2 classes; if"
    assert [mixed in note for note in found.notes[1:]] == [True] * ("/" not in pattern)
    known = group_keys(found.groups, keys(4))
    assert known[0] == known[1]
    assert known[3] == keys(4)[3]


def test_patterns_that_mean_nothing():
    with pytest.raises(UsageError, match=r"'\(' is no regular expression: missing"):
        with_groups(listing([0, 0, 1, 1], NAMES), "(")
    with pytest.raises(
        UsageError, match=r"matches no name in made up, such as 'stop/0"
    ):
        with_groups(listing([0, 0, 1, 1], NAMES), "day[0-9]")
    with pytest.raises(
        UsageError,
        match="whole path, which begins with the folder of a class or part, ",
    ):
        with_groups(listing([0, 0, 1, 1], NAMES), "/(stop|yield)/[0-9]+_")


# --- what the model remembers


def test_the_record_survives_and_knows_what_was_seen():
    known, groups = keys(12), keys(12, 1)
    codes = np.repeat([TRAINING, VALIDATION, TEST], 4)
    split = Split.of(SplitRule(0.2, 0.3, seed=5), "(.)", known, groups, codes)
    again = Split.from_config(split.to_config())
    assert again.rule == split.rule
    assert again.group == "(.)"
    fresh = keys(12, 2)
    np.testing.assert_array_equal(again.seen(known, fresh), codes != TEST)
    np.testing.assert_array_equal(again.seen(fresh, groups), codes != TEST)
    assert not again.seen(fresh, fresh).any()


@pytest.mark.parametrize(
    "damage",
    [
        {"training": "?"},
        {"training": 5},
        {"groups": "AAAA"},
        {"seed": "x"},
        {"test_share": 7},
        {"test_share": "0.1"},
        {"train_per_class": "x"},
        {"group": 4},
    ],
)
def test_a_damaged_record_is_refused(damage):
    split = Split.of(SplitRule(), None, keys(3), keys(0), np.array([0, 1, 2]))
    with pytest.raises(ValueError, match="this is no record of a split"):
        Split.from_config(split.to_config() | damage)
    for other in (None, [], {}, {"seed": 1}):
        with pytest.raises(ValueError, match="no record of a split"):
            Split.from_config(other)
