"""Splitting off validation images: stratified, by seed, and steady."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.data import Dataset
from striate.data.splits import split_off
from striate.errors import DataError


def dataset(counts: list[int], start: int = 0) -> Dataset:
    """So many images of every class, no two alike."""
    labels = np.repeat(np.arange(len(counts)), counts)
    numbers = np.arange(start, start + len(labels), dtype="<u4")
    images = numbers.view(np.uint8).reshape(-1, 2, 2, 1)
    names = tuple(f"class {label}" for label in range(len(counts)))
    return Dataset(images, labels, names, "made up")


def numbers(part: Dataset) -> set[int]:
    return set(np.ascontiguousarray(part.images).reshape(-1).view("<u4").tolist())


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=5).filter(lambda c: max(c) > 1),
    st.floats(0.01, 0.99),
    st.integers(0, 2**63 - 1),
)
def test_every_class_gives_its_share(
    counts: list[int], share: float, seed: int
) -> None:
    whole = dataset(counts)
    rest, taken = split_off(whole, share, seed)
    assert numbers(rest) | numbers(taken) == numbers(whole)
    assert not numbers(rest) & numbers(taken)
    given_up = np.bincount(taken.labels, minlength=len(counts))
    for count, gone in zip(counts, given_up, strict=True):
        assert abs(gone - share * count) <= 1
        assert (gone >= 1 and gone < count) or count < 2


def test_the_seed_chooses() -> None:
    whole = dataset([50, 50])
    first, same, other = (split_off(whole, 0.2, seed)[1] for seed in (0, 0, 1))
    assert numbers(first) == numbers(same)
    assert numbers(first) != numbers(other)


def test_neither_order_nor_additions_move_many_images() -> None:
    whole = dataset([200])
    _, taken = split_off(whole, 0.25)
    turned = Dataset(whole.images[::-1], whole.labels, whole.classes, "turned")
    assert numbers(split_off(turned, 0.25)[1]) == numbers(taken)
    _, more = split_off(dataset([220]), 0.25)
    assert len(numbers(taken) & numbers(more)) >= 40


def test_what_cannot_be_split_is_refused() -> None:
    with pytest.raises(DataError, match="at most one image of every class"):
        split_off(dataset([1, 1]), 0.5)
    with pytest.raises(ValueError, match="share must be above 0 and below 1 but is 1"):
        split_off(dataset([5]), 1)
