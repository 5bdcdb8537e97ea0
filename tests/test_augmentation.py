"""Augmentation: each setting does what it says, from seed, epoch and image alone."""

import math

import numpy as np
import pytest
from augmented import COLOUR, GREY, RNG, framed, known, seen, turned, values, words

from striate.training.augmentation import CHOICES, LIMITS, Augmentation


def test_no_setting_leaves_images_as_they_are():
    np.testing.assert_array_equal(seen(GREY, "none", margin=3), framed(GREY, 3))


def test_sampling_at_the_pixels_themselves_keeps_every_bit():
    table = known(COLOUR).pixel_table()
    expected = table[np.arange(3), framed(COLOUR, 2)]
    moved = values(COLOUR, Augmentation(shift=1e-300), margin=2)
    np.testing.assert_array_equal(moved, expected)


def place(shift=(0, 0), angle=0.0, zoom=1.0, slant=0.0, mirrored=(1, 1), keep=1.0):
    """The image's movement as a product of matrices on (down, right, 1)."""
    turn = np.eye(3)
    turn[:2, :2] = [
        [math.cos(angle), -math.sin(angle)],
        [math.sin(angle), math.cos(angle)],
    ]
    shear = np.eye(3)
    shear[1, 0] = -math.tan(slant)
    scale = np.diag([zoom * mirrored[0], zoom * mirrored[1], 1])
    move = np.eye(3)
    move[:2, 2] = shift
    return np.diag([1 / keep, 1 / keep, 1]) @ move @ turn @ shear @ scale


def sampled(pixels, movement, centre, fill):
    """An image (H, W, C) moved about `centre`, bilinear, on a background."""
    height, width, _ = pixels.shape
    inverse = np.linalg.inv(movement)
    padded = np.pad(
        pixels.astype(float), ((1, 2), (1, 2), (0, 0)), constant_values=fill
    )
    result = np.empty(pixels.shape)
    for h in range(height):
        for w in range(width):
            offset = inverse @ [h - centre[0], w - centre[1], 1]
            row = min(max(offset[0] + centre[0], -1), height) + 1
            column = min(max(offset[1] + centre[1], -1), width) + 1
            i, j = int(row), int(column)
            down, right = row - i, column - j
            square = padded[i : i + 2, j : j + 2]
            sides = square[0] * (1 - down) + square[1] * down
            result[h, w] = sides[0] * (1 - right) + sides[1] * right
    return result


def movement(augmentation, image):
    """What one image draws, and where the centre of its crop goes."""
    a = augmentation
    number = {name: getattr(a, name) or 0.0 for name in LIMITS}
    keep = 1 - number["crop"] * words(image, 1)[0][2]
    down, right = turned(image, 1, 3), turned(image, 2, 0)
    spare = (1 - keep) / 2
    coins = words(image, 1)[1][1]
    return place(
        shift=(
            number["shift"] * 12 * turned(image, 0, 0) - spare * 12 * down,
            number["shift"] * 9 * turned(image, 0, 1) - spare * 9 * right,
        ),
        angle=math.radians(number["rotation"]) * turned(image, 0, 2),
        zoom=(1 + number["scale"]) ** turned(image, 0, 3),
        slant=math.radians(number["shear"]) * turned(image, 1, 0),
        mirrored=(
            -1 if a.flip in ("vertical", "both") and coins & 1 else 1,
            -1 if a.flip in ("horizontal", "both") and coins & 2 else 1,
        ),
        keep=keep,
    )


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(shift=0.5),
        Augmentation(rotation=180),
        Augmentation(scale=0.7),
        Augmentation(shear=30),
        Augmentation(crop=0.6),
        Augmentation(flip="horizontal"),
        Augmentation(flip="vertical"),
        Augmentation(flip="both"),
        Augmentation(
            shift=0.2, rotation=40, scale=0.3, shear=20, crop=0.3, flip="both"
        ),
    ],
    ids=repr,
)
@pytest.mark.parametrize("margin", [0, 3])
def test_movements_are_those_of_the_matrices(augmentation, margin):
    rule = known(COLOUR, margin)
    frames = framed(COLOUR, margin)
    centre = (rule.offset[0] + 5.5, rule.offset[1] + 4.0)
    result = values(COLOUR, augmentation, margin=margin)
    std, mean = np.array(rule.std), np.array(rule.mean)
    for image in range(20):
        expected = sampled(
            frames[image], movement(augmentation, image), centre, rule.background
        )
        pixels = (result[image] * std + mean) * 255
        # Float coordinates below 64 are right to some 2^-18 of a pixel, and neighbours
        # differ by less than 256: three roundings each way.
        np.testing.assert_allclose(pixels, expected, rtol=0, atol=6 * 256 / 2**18)


def test_a_quarter_turn_is_exact():
    square = RNG.integers(0, 256, (30, 9, 9, 1), dtype=np.uint8)
    sides = {image: turned(image, 0, 2) for image in range(30)}
    for image in [image for image, side in sides.items() if abs(side) > 0.5][:5]:
        quarter = Augmentation(rotation=90 / abs(sides[image]))
        [result] = seen(square, quarter, indices=[image])
        # A positive angle turns against the clock, as on paper.
        direction = 1 if sides[image] > 0 else -1
        np.testing.assert_array_equal(result, np.rot90(square[image], direction))


def test_about_half_of_the_images_are_mirrored():
    images = np.arange(5, dtype=np.uint8).reshape(1, 1, 5, 1).repeat(400, 0)
    result = seen(images, Augmentation(flip="horizontal"))[:, 0, :, 0]
    mirrored = (result == [4, 3, 2, 1, 0]).all(1)
    assert (mirrored | (result == np.arange(5)).all(1)).all()
    assert abs(mirrored.mean() - 0.5) < 4 * 0.5 / math.sqrt(400)


def test_beyond_the_image_is_background_or_the_edge():
    images = np.full((40, 6, 6, 1), 200, np.uint8)
    images[:, :, -1] = 90  # an edge that differs from the background
    for outside in ("background", "edge"):
        shifted = seen(images, Augmentation(shift=0.9, outside=outside))
        # Where an image went to the left, its right side came from outside.
        left = np.array([turned(image, 0, 1) * 0.9 * 6 < -2 for image in range(40)])
        assert left.sum() > 5
        value = 90 if outside == "edge" else 200
        assert (shifted[left][:, :, -1] == value).all()


def test_drawings_have_a_background_and_photographs_an_edge():
    for polarity, outside in (("dark", "background"), ("mixed", "edge")):
        settled = Augmentation("light").settled(known(GREY, polarity=polarity))
        assert settled.outside == outside


def toned(pixels, image, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0):
    """An image's colours changed by W3C's saturate and hueRotate, and by hand."""
    channels = pixels.shape[2]
    luma = np.array([0.213, 0.715, 0.072] if channels == 3 else [1.0])
    turn = [[-0.213, -0.715, 0.928], [0.143, 0.140, -0.283], [-0.787, 0.715, 0.072]]
    turn = np.array(turn) if channels == 3 else 0.0
    exposure = 1 + brightness * turned(image, 2, 1)
    steepness = 1 + contrast * turned(image, 2, 2)
    vividness = 1 + saturation * turned(image, 2, 3)
    angle = math.radians(hue) * turned(image, 3, 0)
    matrix = luma + vividness * (
        math.cos(angle) * (np.eye(channels) - luma) + math.sin(angle) * turn
    )
    mean = exposure * (pixels @ luma).mean()
    return np.clip(mean + steepness * (exposure * pixels @ matrix.T - mean), 0, 255)


@pytest.mark.parametrize(
    "settings",
    [
        {"brightness": 0.6},
        {"contrast": 0.9},
        {"saturation": 0.8},
        {"hue": 120},
        {"brightness": 0.3, "contrast": 0.4, "saturation": 0.7, "hue": 60},
    ],
    ids=str,
)
def test_colours_change_by_so_many_pixels(settings):
    for images in (COLOUR, GREY):
        if images is GREY and settings.keys() & {"saturation", "hue"}:
            continue
        result = seen(images, Augmentation(**settings))
        for image in range(20):
            expected = toned(images[image], image, **settings)
            # Rounding to whole pixels is half of one, and floats err by far less.
            np.testing.assert_allclose(result[image], expected, rtol=0, atol=0.501)


def test_grey_has_no_hue():
    grey = np.arange(0, 252, 28, dtype=np.uint8).reshape(1, 3, 3, 1).repeat(3, 3)
    result = seen(grey, Augmentation(hue=180, saturation=1))
    np.testing.assert_array_equal(result, grey)


def test_noise_has_its_standard_deviation_and_differs_everywhere():
    images = np.full((40, 20, 20, 3), 128, np.uint8)
    images[0] = 100  # so that the standard deviation of the set is not 0
    rule = known(images)
    result = values(images, Augmentation(noise=0.05))
    noise = result * np.array(rule.std) + np.array(rule.mean) - images / 255
    count = noise.size
    assert abs(noise.mean()) < 4 * 0.05 / math.sqrt(count)
    # The sum of four uniform numbers has a kurtosis of 2.7: so much varies the square.
    assert abs(noise.var() / 0.05**2 - 1) < 4 * math.sqrt(1.7 / count)
    flat = noise.reshape(40 * 400, 3)
    assert abs(np.corrcoef(flat.T)[np.triu_indices(3, 1)]).max() < 4 / math.sqrt(16000)
    again = values(images, Augmentation(noise=0.05), epoch=2)
    assert not np.isclose(again, result, atol=1e-4).all((1, 2, 3)).any()


def test_cutout_erases_one_square_to_the_mean():
    images = RNG.integers(0, 256, (50, 16, 12, 1), dtype=np.uint8)
    images[images == round(images.mean())] = 0
    mean = round(known(images).mean[0] * 255)
    erased = seen(images, Augmentation(cutout=0.5)) != images
    result = seen(images, Augmentation(cutout=0.5))
    assert (result[erased] == mean).all()
    sizes = []
    for one in erased[..., 0]:
        rows, columns = np.nonzero(one.any(1))[0], np.nonzero(one.any(0))[0]
        sizes.append((np.ptp(rows) + 1, np.ptp(columns) + 1))
        assert one.sum() == sizes[-1][0] * sizes[-1][1]  # a whole rectangle
    assert max(sizes) == (6, 6)  # half of 12, less where it leaves the image
    assert min(min(size) for size in sizes) >= 3


def test_elastic_displacement_has_its_root_mean_square_and_is_smooth():
    # On a ramp of 8 a pixel, the change of value over 8 is the displacement.
    ramp = np.arange(32, dtype=np.uint8) * 8
    images = np.tile(ramp, (300, 32, 1)).reshape(300, 32, 32, 1)
    rule = known(images)
    for image_set, axis in ((images, 2), (images.transpose(0, 2, 1, 3).copy(), 1)):
        result = values(image_set, Augmentation(elastic=0.03))
        pixels = (result * np.array(rule.std) + np.array(rule.mean)) * 255
        moved = ((pixels - image_set) / 8)[:, 8:-8, 8:-8, 0]
        # Some 9 independent places in the middle of each of 300 images.
        assert abs(np.mean(moved**2) / 0.96**2 - 1) < 4 * math.sqrt(2 / (9 * 300))
        # A Gaussian of sigma 4.41 pixels: neighbours differ by rms / (sigma sqrt 2).
        steps = np.diff(moved, axis=axis)
        expected = 0.96 / (math.sqrt(2) * 32 * 4 / 29)
        assert math.sqrt(np.mean(steps**2)) == pytest.approx(expected, rel=0.1)


def test_an_image_depends_on_seed_epoch_and_itself_alone():
    strong = Augmentation("strong", mixup=0.4)
    for images in (GREY, COLOUR):
        whole = seen(images, strong, polarity="mixed")
        for indices in ([7], [19, 3, 3, 0], np.arange(17)):
            part = seen(images, strong, indices=indices, polarity="mixed")
            np.testing.assert_array_equal(part, whole[indices])
        for other in ({"seed": 1}, {"epoch": 2}):
            changed = seen(images, strong, polarity="mixed", **other) != whole
            assert changed.any((1, 2, 3)).all()


def test_one_setting_changes_nothing_of_the_others():
    light = seen(GREY, Augmentation(rotation=20))
    both = seen(GREY, Augmentation(rotation=20, cutout=0.3))
    assert (both == light).mean() > 0.85
    assert (both != light).any()


def test_no_level_mirrors():
    for level in CHOICES["level"]:
        for polarity in ("dark", "bright", "mixed"):
            settled = Augmentation(level).settled(known(COLOUR, polarity=polarity))
            assert settled.flip == "none"


def test_colours_of_drawings_stay():
    settled = Augmentation("strong").settled(known(COLOUR, polarity="bright"))
    assert settled.brightness == settled.contrast == settled.hue == 0
    settled = Augmentation("strong").settled(known(GREY, polarity="mixed"))
    assert settled.brightness > 0
    assert settled.hue == settled.saturation == 0


def test_repr_is_a_constructor_call():
    for one in (
        Augmentation(),
        Augmentation("strong", flip="both"),
        Augmentation("light").settled(known(GREY)),
    ):
        assert eval(repr(one)) == one
