"""Contact sheets: what lies where on the page."""

import numpy as np
import pytest

from striate.errors import ShapeError
from striate.images.sheet import CAPTION, GAP, MARGIN, contact_sheet


def square(side, level, channels=1):
    return np.full((side, side, channels), level, np.uint8)


def test_small_images_are_enlarged_by_whole_factors_and_lie_in_reading_order():
    checks = np.kron([[0, 255], [255, 0]], np.ones((10, 10))).astype(np.uint8)
    sheet = contact_sheet(
        [checks[..., None], square(20, 90), square(20, 30, 3)], ["", "", ""], 2, 45
    )
    page = np.asarray(sheet)
    assert page.shape == (2 * MARGIN + 2 * 45 + GAP, 2 * MARGIN + 2 * 45 + GAP, 3)
    first = page[MARGIN + 2 : MARGIN + 42, MARGIN + 2 : MARGIN + 42, 0]
    np.testing.assert_array_equal(first, np.kron(checks, np.ones((2, 2))))
    assert page[MARGIN + 20, MARGIN + 45 + GAP + 20].tolist() == [90] * 3
    assert page[MARGIN + 45 + GAP + 20, MARGIN + 20].tolist() == [30] * 3


def test_large_images_are_made_smaller_and_keep_their_aspect():
    page = np.asarray(contact_sheet([np.zeros((50, 200, 3), np.uint8)], [""], 1, 40))
    dark = np.argwhere(page[..., 0] < 10)
    assert (dark.max(0) - dark.min(0) + 1).tolist() == [10, 40]


def test_captions_run_on_over_empty_ones_and_stop_at_the_next():
    def ink(captions):
        images = [square(40, 255)] * 3
        page = np.asarray(contact_sheet(images, captions, 3, 40)).astype(int)
        words = page[MARGIN + 41 : MARGIN + 40 + CAPTION, :, 0] < 128
        return np.flatnonzero(words.any(axis=0))

    long = "a caption much wider than its cell"
    assert ink([long, "", ""]).max() > MARGIN + 2 * (40 + GAP)
    assert not (set(range(MARGIN + 40, MARGIN + 40 + GAP)) & set(ink([long, "b", ""])))


def test_an_empty_cell_stays_white():
    page = np.asarray(contact_sheet([square(40, 0), None], ["", ""], 2, 40))
    assert (page[:, MARGIN + 40 + 2 :] == 255).all()


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="gets 0 images, 0 captions, columns=2"):
        contact_sheet([], [], 2)
    with pytest.raises(ValueError, match="1 images, 0 captions"):
        contact_sheet([square(3, 0)], [], 2)
    with pytest.raises(ShapeError, match="H,W,3 but one is 4x4x2"):
        contact_sheet([np.zeros((4, 4, 2), np.uint8)], [""], 1)
