"""Training on augmented images: the same bits on any threads, losses, and the record."""

import math

import numpy as np
import pytest
from augmented import COLOUR, GREY, LABELS, known, seen, values, words

import striate as st
from striate.training.augmentation import CHOICES, LIMITS, Augmentation, settle


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
