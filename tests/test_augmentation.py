"""Augmentation: each setting does what it says, from seed, epoch and image alone."""

import math

import numpy as np
import pytest

import striate as st
from striate import _core
from striate.engine.lowering import augmentation_rule
from striate.images.inputs import InputRule, prepare
from striate.training.augmentation import CHOICES, LIMITS, Augmentation, settle

RNG = np.random.default_rng(11)
# Smooth enough for interpolation to say something, rough enough to tell pixels apart.
GREY = RNG.integers(0, 256, (20, 12, 9, 1), dtype=np.uint8)
COLOUR = RNG.integers(60, 200, (20, 12, 9, 3), dtype=np.uint8)
LABELS = np.arange(20) % 4


def known(images, margin=0, polarity="dark"):
    height, width, channels = images.shape[1:]
    measured = st.Preprocessing.measure(
        images, (height + margin, width + margin, channels)
    )
    settings = measured.to_config() | {"polarity": polarity}
    return st.Preprocessing.from_config(settings)


def seen(images, augmentation, seed=0, epoch=1, indices=None, margin=0, **options):
    rule = known(images, margin, **options)
    return st.augmented_images(
        images, rule, augmentation, seed=seed, epoch=epoch, indices=indices
    )


def values(images, augmentation, seed=0, epoch=1, margin=0):
    """What the network is given, unrounded."""
    rule = known(images, margin)
    source = prepare(images, InputRule(rule.input_shape, rule, floats=False)).source
    settled = augmentation_rule(augmentation.settled(rule))
    return _core.augmented(source, settled, seed, epoch, np.arange(len(images)))


def words(image, slot, seed=0, epoch=1):
    """The four numbers in 0 ... 1 that an image draws at a slot, and their bits."""
    position = 2 * (image << 24 | slot)
    pairs = _core.random_bits(seed, 2**63 | epoch, position, 2).tolist()
    bits = [word for pair in pairs for word in (pair >> 32, pair & 0xFFFFFFFF)]
    return [(word + 0.5) / 2**32 for word in bits], bits


def turned(image, slot, number):
    """The same as one number in -1 ... 1."""
    return 2 * words(image, slot)[0][number] - 1


def framed(images, margin):
    """Images centred on their background, as the network gets them."""
    rule = known(images, margin)
    top, left = rule.offset
    around = ((0, 0), (top, margin - top), (left, margin - left), (0, 0))
    return np.pad(images, around, constant_values=rule.background)


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


# Training.


def network(seed=0):
    layers = [
        st.Conv2D(5, 3),
        st.ReLU(),
        st.MaxPool2D(2),
        st.Flatten(),
        st.Dropout(0.2),
    ]
    return st.Network([*layers, st.Dense(4)], (12, 9, 3), seed=seed)


def flat(trained):
    return np.concatenate([array.ravel() for array in trained.weights.values()])


def trained(augmentation, **options):
    one = network()
    images, labels = np.tile(COLOUR, (5, 1, 1, 1)), np.tile(LABELS, 5)
    settings = {"epochs": 2, "batch_size": 37} | options
    history = one.fit(images, labels, augmentation=augmentation, **settings)
    return one, history


def test_training_has_the_same_bits_on_any_number_of_threads():
    strong = Augmentation("strong", elastic=0.05, mixup=0.4, flip="both")
    one, history = trained(strong, threads=1)
    for threads in (2, 3, 8):
        other, again = trained(strong, threads=threads)
        np.testing.assert_array_equal(flat(other), flat(one))
        assert again["loss"] == history["loss"]
        assert again["accuracy"] == history["accuracy"]
    assert not np.array_equal(flat(trained(None)[0]), flat(one))


def test_levels_can_be_named_and_none_is_none():
    plain = flat(trained(None)[0])
    for none in ("none", Augmentation(), Augmentation(rotation=0)):
        np.testing.assert_array_equal(flat(trained(none)[0]), plain)
    strong = flat(trained(Augmentation("strong"))[0])
    np.testing.assert_array_equal(flat(trained("strong")[0]), strong)


def shares_by_hand(count, alpha):
    """Jöhnk's method on the numbers that each image draws."""
    partners, shares = [], []
    for image in range(count):
        bits = words(image, 4)[1]
        partners.append((bits[0] << 32 | bits[1]) % count)
        for trial in range(64):
            one, two = (u ** (1 / alpha) for u in words(image, 64 + trial)[0][:2])
            if one + two <= 1:
                break
        shares.append(min(one, two) / (one + two))
    return np.array(partners), np.array(shares)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_mixup_blends_images_and_their_losses(alpha, smoothing):
    mixing = Augmentation(mixup=alpha)
    partners, shares = shares_by_hand(20, alpha)
    rule = known(COLOUR)
    plain = rule.pixel_table()[np.arange(3), COLOUR]
    part = shares[:, None, None, None]
    blended = values(COLOUR, mixing)
    expected = plain + part * (plain[partners] - plain)
    np.testing.assert_allclose(blended, expected, rtol=0, atol=1e-5)

    one = st.Network([st.Flatten(), st.Dense(4)], (12, 9, 3))
    options = {"epochs": 1, "batch_size": 20, "optimizer": st.SGD(1e-30)}
    history = one.fit(
        COLOUR, LABELS, augmentation=mixing, label_smoothing=smoothing, **options
    )
    logits = one.logits(blended, preprocessed=True).astype(float)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    eye = np.eye(4)
    target = (1 - shares)[:, None] * eye[LABELS] + shares[:, None] * eye[
        LABELS[partners]
    ]
    target = (1 - smoothing) * target + smoothing / 4
    loss = -(target * log_p).sum(1).mean()
    assert history["loss"] == [pytest.approx(loss, rel=1e-5)]
    # The accuracy counts the label of the larger part.
    assert history["accuracy"] == [(logits.argmax(1) == LABELS).mean()]


def test_mixup_takes_nothing_from_images_that_do_not_count():
    weights = np.ones(20)
    weights[10:] = 0
    absurd = COLOUR.copy()
    absurd[10:] = 255 - absurd[10:]
    results = []
    for images in (COLOUR, absurd):
        one = network()
        one._preprocessing = known(COLOUR)
        one.fit(
            images, LABELS, 2, sample_weight=weights, augmentation=Augmentation(mixup=1)
        )
        results.append(flat(one))
    np.testing.assert_array_equal(*results)


def test_only_training_images_are_augmented():
    one, history = trained("strong", validation_data=(COLOUR, LABELS))
    assert history["val_accuracy"][-1] == one.score(COLOUR, LABELS)


def test_training_with_augmentation_learns():
    train, test = st.load_data("digits")
    one = st.lenet5()
    one.fit(train.images, train.labels, 8, augmentation="default")
    # Ten classes: far from the tenth that guessing gets.
    assert one.score(test.images, test.labels) > 0.9


def test_the_record_says_what_was_done():
    one, _ = trained(Augmentation("light", rotation=7, mixup=np.float32(0.25)))
    record = one.training["settings"]["augmentation"]
    assert record["level"] == "light"
    assert record["rotation"] == 7.0
    assert record["mixup"] == 0.25
    assert record["flip"] == "none"
    assert set(record) == {*CHOICES, *LIMITS}
    np.testing.assert_array_equal(
        flat(trained(Augmentation(**record))[0]), flat(one)
    )  # and can be given again
    assert trained(None)[0].training["settings"]["augmentation"] is None


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


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Augmentation("hard"), ValueError, "level must be one of none, light"),
        (lambda: Augmentation(None), ValueError, r"level=None\): level must be one of"),
        (
            lambda: Augmentation(flip=True),
            ValueError,
            "none, horizontal, vertical, both",
        ),
        (lambda: Augmentation(outside="sky"), ValueError, "one of background, edge"),
        (lambda: Augmentation(rotation=200), ValueError, "from 0 to 180 degrees"),
        (
            lambda: Augmentation(rotation=-1),
            ValueError,
            r"rotation=-1\): rotation must",
        ),
        (lambda: Augmentation(shift=1.5), ValueError, "shift must be from 0 to 1"),
        (lambda: Augmentation(mixup=3), ValueError, "mixup must be from 0 to 2"),
        (lambda: Augmentation(elastic_sigma=0), ValueError, "from 0.02 to 1"),
        (lambda: Augmentation(noise=math.nan), ValueError, "noise must be finite"),
        (lambda: Augmentation(hue="5"), TypeError, "hue must be a number, not '5'"),
        (lambda: Augmentation(scale=True), TypeError, "scale must be a number"),
        (lambda: trained(0.5), TypeError, "None, one of none, light, default, strong"),
        (lambda: trained("harder"), ValueError, "level must be one of"),
        (
            lambda: st.Network([st.Flatten(), st.Dense(4)], (12, 9, 1)).fit(
                GREY, LABELS, augmentation=Augmentation(hue=5)
            ),
            st.UsageError,
            "by hue needs images of 3 channels but these have 1; leave hue out",
        ),
        (
            lambda: network().fit(COLOUR / 255.0, LABELS, augmentation="light"),
            st.UsageError,
            "augmentation changes uint8 pixels but these images are floats",
        ),
        (
            lambda: seen(GREY, "light", indices=[20]),
            st.DataError,
            "indices must be from 0 to 19",
        ),
        (
            lambda: st.augmented_images(GREY / 255, known(GREY), "light"),
            st.DataError,
            "are float64 but this network was trained on uint8",
        ),
    ],
)
def test_what_means_nothing_is_refused_in_words(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_floats_train_without_augmentation():
    one = network()
    one.fit(COLOUR / 255.0, LABELS, 1, augmentation="none")
    assert settle(Augmentation(), None) is None
