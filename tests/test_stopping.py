"""Callbacks that keep the best weights and stop early, and weights for classes."""

import numpy as np
import pytest

import striate as st
from striate.training.weighting import class_weighted

RNG = np.random.default_rng(3)
PIXELS = RNG.integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
LABELS = np.repeat([0, 1, 2], [40, 15, 5])


def network():
    return st.Network([st.Flatten(), st.Dense(3)], (8, 8, 1))


def fit(trained, **options):
    held = (PIXELS[::2], LABELS[::2])
    return trained.fit(
        PIXELS, LABELS, **{"epochs": 12, "validation_data": held} | options
    )


@pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy", "loss", "accuracy"])
def test_best_weights_are_those_of_the_best_epoch(monitor):
    best, weights = st.BestWeights(monitor), []

    class Watcher:
        def on_epoch_end(self, epoch, logs):
            weights.append(trained.weights["dense1.weight"].copy())

    trained = network()
    history = fit(trained, callbacks=[best, Watcher()])
    pick = np.argmax if "accuracy" in monitor else np.argmin
    assert best.epoch == pick(history[monitor]) + 1
    assert best.value == history[monitor][best.epoch - 1]
    np.testing.assert_array_equal(
        best.weights["dense1.weight"], weights[best.epoch - 1]
    )


def test_early_stopping_stops_and_gives_the_best_weights_back():
    trained, stopping = network(), st.EarlyStopping(patience=2)
    held = (PIXELS[::2], LABELS[::-2])  # wrong labels: what is learned makes it worse
    history = fit(trained, validation_data=held, callbacks=[stopping], epochs=50)
    assert len(history["loss"]) == stopping.epoch + 2 < 50
    assert trained.training["ending"] == "stopped"
    loss, _ = trained.loss_and_gradients(*held)
    assert loss == pytest.approx(min(history["val_loss"]), rel=1e-5)


def test_early_stopping_can_leave_the_last_weights():
    trained = network()
    stopping = st.EarlyStopping(patience=2, restore_best=False)
    held = (PIXELS[::2], LABELS[::-2])
    history = fit(trained, validation_data=held, callbacks=[stopping], epochs=50)
    loss, _ = trained.loss_and_gradients(*held)
    assert min(history["val_loss"]) < history["val_loss"][-1]
    assert loss == pytest.approx(history["val_loss"][-1], rel=1e-5)


def test_watching_validation_needs_validation_images():
    message = (
        r"EarlyStopping watches val_loss, but there are no validation images; give"
    )
    with pytest.raises(st.UsageError, match=message):
        fit(network(), validation_data=None, callbacks=[st.EarlyStopping()])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patience": 0}, "patience must be a whole number of at least 1, not 0"),
        ({"monitor": "val_acc"}, "monitor must be one of val_loss, .*, not 'val_acc'"),
    ],
)
def test_early_stopping_refuses_in_words(arguments, message):
    with pytest.raises(ValueError, match=message):
        st.EarlyStopping(**arguments)


def test_balanced_weights_give_every_class_the_same_sum():
    weights = class_weighted("balanced", LABELS, None, (0, 1, 2))
    sums = np.bincount(LABELS, weights)
    np.testing.assert_allclose(sums, 20, rtol=1e-6)
    own = RNG.random(60).astype(np.float32)
    both = np.bincount(LABELS, class_weighted("balanced", LABELS, own, (0, 1, 2)))
    np.testing.assert_allclose(both, both.mean(), rtol=1e-5)


def test_balanced_training_is_training_with_those_sample_weights():
    balanced, weighted = network(), network()
    fit(balanced, class_weight="balanced")
    sample_weight = class_weighted("balanced", LABELS, None, (0, 1, 2))
    fit(weighted, sample_weight=sample_weight)
    for name, array in balanced.weights.items():
        np.testing.assert_array_equal(array, weighted.weights[name])
    assert balanced.training["settings"]["class_weight"] == "balanced"


def test_a_class_without_images_does_not_disturb_the_balance():
    weights = class_weighted("balanced", np.array([0, 0, 2]), None, (0, 1, 2))
    np.testing.assert_allclose(weights, [0.75, 0.75, 1.5])


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ("equal", "class_weight must be None, 'balanced' or a mapping"),
        ({"cat": 2}, "class_weight names 'cat' but the classes are"),
        ({0: -1}, "class_weight must be at least 0, not -1"),
        ({0: 0, 1: 0, 2: 0}, "class_weight leaves every image without weight"),
        ({0: "much"}, "class_weight: 0 must be a number, not 'much'"),
    ],
)
def test_class_weights_are_refused_in_words(class_weight, message):
    with pytest.raises((ValueError, TypeError), match=message):
        fit(network(), class_weight=class_weight)
