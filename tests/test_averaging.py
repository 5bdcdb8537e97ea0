"""The moving average of the weights: what it is, and when the network has it."""

import numpy as np
import pytest

import striate as st

RNG = np.random.default_rng(5)
PIXELS = RNG.integers(0, 256, (96, 8, 8, 1), dtype=np.uint8)
LABELS = RNG.integers(0, 3, 96)


def network():
    layers = [st.Conv2D(4, 3, bias=False), st.BatchNorm(), st.ReLU(), st.Flatten()]
    return st.Network([*layers, st.Dense(3)], (8, 8, 1), seed=2)


def flat(trained):
    return np.concatenate([array.ravel() for array in trained.weights.values()])


class Weights:
    def __init__(self):
        self.steps, self.epochs = [], []

    def on_train_begin(self, network, info):
        self.network = network

    def on_steps_end(self, progress):
        self.steps.append(flat(self.network))

    def on_epoch_end(self, epoch, logs):
        self.epochs.append(flat(self.network))


def fit(trained, **options):
    seen = Weights()
    held = (PIXELS[:32], LABELS[:32])
    history = trained.fit(
        *(PIXELS, LABELS),
        **{"epochs": 4, "batch_size": 96, "callbacks": [seen], "validation_data": held}
        | options,
    )
    return history, seen


def test_the_network_ends_with_the_average_of_its_weights():
    trained = network()
    average = flat(trained).astype(np.float64)
    history, seen = fit(trained, ema_decay=0.5)  # one step an epoch
    for step, weights in enumerate(seen.steps):
        decay = min(0.5, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * weights
        # Rounded to float32 at every step: half a unit in the last place each.
        np.testing.assert_allclose(seen.epochs[step], average, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(flat(trained), seen.epochs[-1])
    loss, _ = trained.loss_and_gradients(PIXELS[:32], LABELS[:32])
    assert history["val_loss"][-1] == pytest.approx(loss, rel=1e-6)


def test_the_average_changes_nothing_of_the_training():
    _, plain = fit(network())
    _, averaged = fit(network(), ema_decay=0.9)
    np.testing.assert_array_equal(plain.steps, averaged.steps)


def test_averaged_weights_are_the_same_bits_for_any_number_of_threads():
    results = []
    for threads in (1, 2, 3, 8):
        trained = network()
        fit(trained, ema_decay=0.9, batch_size=17, threads=threads)
        results.append(flat(trained))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_a_run_that_is_stopped_ends_with_the_average():
    class Stop:
        def on_steps_end(self, progress):
            raise KeyboardInterrupt

    trained = network()
    with pytest.raises(KeyboardInterrupt):
        fit(trained, ema_decay=0.9, callbacks=[Stop()])
    plain = network()
    plain.fit(PIXELS, LABELS, epochs=4, batch_size=96, callbacks=[_StopAfterOne()])
    # After one step a tenth of the way is left to go: decay 0.1.
    expected = 0.1 * flat(network()) + 0.9 * flat(plain)
    np.testing.assert_allclose(flat(trained), expected, rtol=1e-6, atol=1e-6)


class _StopAfterOne:
    def on_train_begin(self, network, info):
        self.network = network

    def on_steps_end(self, progress):
        self.network.stop_training = True


def test_early_stopping_gives_averaged_weights_back():
    trained, stopping = network(), st.EarlyStopping(patience=3)
    history, _ = fit(trained, ema_decay=0.9, callbacks=[stopping])
    best = int(np.argmin(history["val_loss"]))
    loss, _ = trained.loss_and_gradients(PIXELS[:32], LABELS[:32])
    assert loss == pytest.approx(history["val_loss"][best], rel=1e-6)


@pytest.mark.parametrize("decay", [0, 1, 2, "much"])
def test_a_decay_that_means_nothing_is_refused(decay):
    with pytest.raises(
        ValueError, match="ema_decay must be a number above 0 and below"
    ):
        fit(network(), ema_decay=decay)
