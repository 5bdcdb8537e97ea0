"""Images that occur twice are found, others are left alone."""

import io
import tracemalloc

import numpy as np
from PIL import Image

from striate.data import Reading, load_data, read_data
from striate.data.duplicates import fingerprints, near_pairs


def photograph(seed, side=48):
    """Smooth colours, as in a photograph out of focus."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(image)


def saved_anew(pixels, kind, **options):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind, **options)
    return np.asarray(Image.open(content).convert("RGB"))


def test_copies_saved_anew_or_made_brighter_by_a_little_are_found():
    whole = [photograph(seed) for seed in range(50)]
    copies = [
        saved_anew(whole[3], "JPEG", quality=75),
        saved_anew(whole[7], "WEBP", quality=80),
        np.minimum(whole[9], 250) + np.uint8(5),
    ]
    pairs = near_pairs(np.stack(whole + copies))
    assert pairs.tolist() == [[3, 50], [7, 51], [9, 52]]


def test_different_drawings_are_no_copies():
    parts = load_data("digits")
    images = np.concatenate([part.images for part in parts])
    pairs = near_pairs(images)
    # Of some 1.6 million pairs of digits only those that the eye cannot tell apart
    assert len(pairs) <= 12
    difference = images[pairs[:, 0]].astype(int) - images[pairs[:, 1]]
    assert np.sqrt(np.square(difference).mean(axis=(1, 2, 3))).max() <= 16


def test_images_that_are_all_alike_give_few_pairs_each():
    assert len(near_pairs(np.zeros((5000, 16, 16, 1), np.uint8))) < 5000 * 24


def test_fingerprints_are_of_64_bits_for_any_size():
    for size in ((1, 1), (3, 200), (9, 8), (64, 48)):
        images = np.random.default_rng(0).integers(0, 256, (5, *size, 3), np.uint8)
        assert fingerprints(images).shape == (5,)
    bars = np.zeros((1, 8, 9, 1), np.uint8)
    bars[0, :, ::2] = 200  # each second pixel is brighter than its left neighbour
    assert fingerprints(bars).view(np.uint8).tolist() == [0b01010101] * 8


def test_memory_stays_small():
    images = np.random.default_rng(0).integers(0, 256, (200, 200, 200, 3), np.uint8)
    tracemalloc.start()
    near_pairs(images)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < images.nbytes / 2


def test_copies_are_reported_by_part_and_label(tmp_path):
    def put(name, pixels):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)

    for number in range(8):
        put(f"train/{'ab'[number % 2]}/{number}.png", photograph(number))
        put(f"test/{'ab'[number % 2]}/{number}.png", photograph(100 + number))
    put("test/a/leak.png", photograph(2))
    put("train/b/other.png", photograph(4))
    put("test/a/near.png", saved_anew(photograph(6), "JPEG", quality=75))
    put("train/b/near.png", saved_anew(photograph(0), "JPEG", quality=75))
    data = read_data(tmp_path, reading=Reading(cache=False, validation=0))
    found = data.survey.duplicates
    assert found.copies == 2
    assert found.across == (("train/a/2.png", "test/a/leak.png"),)
    assert found.labels == (("train/a/4.png", "train/b/other.png"),)
    assert found.near_across == (("train/a/6.png", "test/a/near.png"),)
    assert found.near_labels == (("train/a/0.png", "train/b/near.png"),)
    said = "\n".join(data.survey.notes)
    assert "the same image occurs under two labels in 1 case (train/a/4.png and" in said
    assert "the same image occurs in two parts in 1 case (train/a/2.png and" in said
    assert "nearly same image occurs in two parts, which makes the accuracy" in said
    assert "nearly same image occurs under two labels in 1 case" in said


def test_copies_land_on_one_side(tmp_path):
    for number in range(60):
        for copy in range(2):
            path = tmp_path / "ab"[number % 2] / f"{number}-{copy}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(photograph(number, 12)).save(path)
    data = read_data(tmp_path, reading=Reading(cache=False))
    assert data.survey.duplicates.copies == 60
    assert data.survey.duplicates.across == ()
