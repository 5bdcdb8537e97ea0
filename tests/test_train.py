"""Training: same seed same bits, history, callbacks, endings, and what is refused."""

import os
import signal
import threading
import time

import numpy as np
import pytest

import striate as st
from striate.data import data_hash
from striate.engine import machine
from striate.training import run
from striate.training.settings import default_epochs

RNG = np.random.default_rng(1)
PIXELS = RNG.integers(0, 256, (150, 10, 10, 1), dtype=np.uint8)
LABELS = RNG.integers(0, 5, 150)


def network(seed=0, rate=0.5):
    layers = [st.Conv2D(5, 3), st.ReLU(), st.MaxPool2D(2), st.Conv2D(7, 2), st.Tanh()]
    layers += [st.Dropout(0.3), st.Flatten(), st.Dense(33), st.ReLU()]
    return st.Network([*layers, st.Dropout(rate), st.Dense(5)], (10, 10, 1), seed=seed)


def flat(trained):
    return np.concatenate([array.ravel() for array in trained.weights.values()])


def train(**options):
    trained = network()
    history = trained.fit(PIXELS, LABELS, **{"epochs": 2, "batch_size": 37} | options)
    return flat(trained), history


@pytest.mark.parametrize("batch_size", [1, 37, 150, 1000])
def test_same_seed_gives_the_same_bits_for_any_number_of_threads(batch_size):
    expected, history = train(batch_size=batch_size, threads=1)
    for threads in (2, 3, 8):
        weights, again = train(batch_size=batch_size, threads=threads)
        np.testing.assert_array_equal(weights, expected)
        assert again["loss"] == history["loss"]
        assert again["accuracy"] == history["accuracy"]


def wide(kind):
    """A network whose steps are long enough for threads to share a block."""
    layers = [st.Conv2D(9, 5), st.BatchNorm() if kind == "norm" else st.Tanh()]
    layers += [st.ReLU(), st.AvgPool2D(2), st.Residual([st.Conv2D(9, 3, padding=1)])]
    layers += [st.Conv2D(18, 3, groups=9, padding=1), st.ReLU(), st.Conv2D(13, 1)]
    layers += [st.Conv2D(10, 3, groups=1), st.MaxPool2D(2), st.Dropout(0.3)]
    layers += [st.Flatten(), st.Dense(61), st.ReLU(), st.Dense(5)]
    return st.Network(layers, (24, 22, 2), seed=4)


@pytest.mark.parametrize(
    ("kind", "batch_size"),
    [("plain", 1), ("plain", 16), ("plain", 40), ("norm", 2), ("norm", 17)],
)
def test_threads_that_share_a_block_give_the_same_bits(kind, batch_size):
    count = batch_size + 6  # the last batch is smaller
    random = np.random.default_rng(7)
    pixels = random.integers(0, 256, (count, 24, 22, 2), np.uint8)
    labels = random.integers(0, 5, count)

    def trained(threads):
        network = wide(kind)
        network.fit(
            pixels, labels, epochs=1, batch_size=batch_size, threads=threads, seed=3
        )
        answers = network.activations(pixels[:batch_size], threads=threads).values()
        gradient = network.input_gradient(pixels[:3], target=1, threads=threads)
        return [flat(network), gradient, *answers]

    expected = trained(1)
    for threads in (2, 3, 7):
        for one, other in zip(trained(threads), expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_how_steps_are_cut_into_calls_changes_nothing(monkeypatch):
    expected, history = train()
    for seconds in (1e-9, 100.0):
        monkeypatch.setattr(run, "_SECONDS_PER_CALL", seconds)
        weights, again = train()
        np.testing.assert_array_equal(weights, expected)
        assert again["loss"] == history["loss"]


def test_seeds_differ_in_order_and_dropout():
    first, second = train(seed=1)[0], train(seed=2)[0]
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, train(seed=0)[0])


def test_same_seed_saves_the_same_file(tmp_path):
    contents = []
    for threads in (1, 3):
        trained = network()
        trained.fit(PIXELS, LABELS, epochs=1, threads=threads)
        trained.save(tmp_path / "model.safetensors")
        contents.append((tmp_path / "model.safetensors").read_bytes())
    assert contents[0] == contents[1]


def test_every_image_is_seen_once_an_epoch_in_an_order_that_changes():
    from striate.engine.randomness import epoch_order

    orders = [epoch_order(100, 7, epoch) for epoch in (1, 2)]
    for order in orders:
        assert sorted(order) == list(range(100))
        assert not np.array_equal(order, np.arange(100))
    assert not np.array_equal(*orders)
    np.testing.assert_array_equal(epoch_order(100, 7, 1), orders[0])
    assert epoch_order(6, 0, 1).tolist() == [4, 5, 2, 3, 0, 1]  # on every machine


def test_history_has_one_entry_an_epoch():
    _, history = train(validation_data=(PIXELS[:20], LABELS[:20]), epochs=3)
    names = ["loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]
    assert list(history) == [*names, "seconds", "images_per_second"]
    assert all(len(values) == 3 for values in history.values())
    assert all(
        isinstance(value, float) for values in history.values() for value in values
    )
    assert "val_loss" not in train()[1]


def test_validation_measures_what_score_and_loss_say():
    trained = network()
    data = (PIXELS[:50], LABELS[:50])
    history = trained.fit(PIXELS, LABELS, epochs=2, validation_data=data)
    assert history["val_accuracy"][-1] == trained.score(*data)
    loss, _ = trained.loss_and_gradients(*data)
    assert history["val_loss"][-1] == pytest.approx(loss, rel=1e-6)


def test_validation_does_not_influence_training():
    plain, _ = train()
    watched, _ = train(validation_data=(PIXELS[:50], LABELS[:50]))
    np.testing.assert_array_equal(plain, watched)


def test_loss_of_an_epoch_is_the_mean_over_its_images():
    trained = st.Network([st.Flatten(), st.Dense(5)], (10, 10, 1))
    weights = RNG.random(150)
    for sample_weight in (None, weights):
        expected, _ = trained.loss_and_gradients(PIXELS, LABELS, sample_weight)
        other = st.Network([st.Flatten(), st.Dense(5)], (10, 10, 1))
        other.fit(PIXELS, LABELS, epochs=1, optimizer=st.SGD(1e-12))
        expected, _ = other.loss_and_gradients(PIXELS, LABELS, sample_weight)
        history = other.fit(
            PIXELS,
            LABELS,
            epochs=1,
            batch_size=37,
            optimizer=st.SGD(1e-12),
            sample_weight=sample_weight,
        )
        assert history["loss"][0] == pytest.approx(expected, rel=1e-5)


def test_images_of_weight_zero_do_not_count():
    kept = np.arange(150) < 60
    one, other = network(rate=0.0), network(rate=0.0)
    layers = [st.Conv2D(5, 3), st.Flatten(), st.Dense(5)]
    one, other = (st.Network(layers, (10, 10, 1)) for _ in range(2))
    prepared = (PIXELS / 255).astype(np.float32)
    settings = {"epochs": 3, "batch_size": 150, "optimizer": st.SGD(0.1)}
    one.fit(prepared, LABELS, sample_weight=kept.astype(float), **settings)
    other.fit(prepared[kept], LABELS[kept], **settings)
    np.testing.assert_allclose(flat(one), flat(other), atol=2e-6)


def test_default_epochs_follow_the_number_of_images():
    assert default_epochs(1) == default_epochs(1_438) > default_epochs(20_000)
    assert default_epochs(60_000) >= default_epochs(10**7) >= 1
    few = network()
    assert len(few.fit(PIXELS[:2], LABELS[:2])["loss"]) == default_epochs(2)


def test_a_run_of_more_steps_than_memory_holds_can_begin():
    few = network()

    class Stop:
        def on_epoch_end(self, epoch, logs):
            few.stop_training = epoch == 2

    history = few.fit(PIXELS, LABELS, epochs=10**12, callbacks=[Stop()])
    assert history["learning_rate"][1] >= history["learning_rate"][0] > 0


@pytest.mark.parametrize(
    ("epochs", "error", "message"),
    [
        (True, TypeError, "epochs must be a whole number but is True"),
        (1.5, TypeError, r"epochs must be a whole number but is 1\.5"),
        (0, ValueError, "epochs must be at least 1 and at most .* but is 0"),
        (10**400, ValueError, r"at most 1,000,000,000,000 but is 1000000000.* \.\.\."),
    ],
)
def test_epochs_that_are_no_number_of_them_are_refused(epochs, error, message):
    with pytest.raises(error, match=message):
        network().fit(PIXELS, LABELS, epochs=epochs)


@pytest.mark.parametrize("callbacks", [3, None])
def test_callbacks_must_be_a_list(callbacks):
    with pytest.raises(TypeError, match=f"list of objects, not {callbacks}; give "):
        network().fit(PIXELS, LABELS, callbacks=callbacks)


class Recorder:
    """Keeps every call of every hook."""

    def __init__(self):
        self.calls = []

    def on_train_begin(self, network, info):
        self.network, self.info = network, info

    def on_steps_end(self, progress):
        self.calls.append(progress)

    def on_epoch_end(self, epoch, logs):
        self.calls.append((epoch, dict(logs)))

    def on_train_end(self, logs):
        self.calls.append(dict(logs))


def test_callbacks_are_told_everything(monkeypatch):
    monkeypatch.setattr(run, "_SECONDS_PER_CALL", 1e-9)
    recorder = Recorder()
    trained = network()
    history = trained.fit(
        PIXELS, LABELS, epochs=2, batch_size=40, callbacks=[recorder], threads=1
    )
    info = recorder.info
    assert recorder.network is trained
    assert (info.images, info.epochs, info.batch_size) == (150, 2, 40)
    assert (info.steps_per_epoch, info.threads, info.validation_images) == (4, 1, 0)
    epoch = [*range(1, 5), "epoch"]
    kinds = [getattr(call, "step", "epoch") for call in recorder.calls[:-1]]
    assert kinds == epoch * 2
    last = recorder.calls[-3]
    assert (last.epoch, last.epochs, last.step, last.steps) == (2, 2, 4, 4)
    assert last.seconds_left == 0
    assert last.loss == history["loss"][-1]
    assert recorder.calls[4][0] == 1
    assert recorder.calls[-2] == (2, {name: v[-1] for name, v in history.items()})
    assert recorder.calls[-1] == recorder.calls[-2][1]


def test_callbacks_without_any_hook_are_refused():
    with pytest.raises(TypeError, match="at least one of the methods on_train_begin"):
        train(callbacks=[print])


def test_a_callback_can_stop_training_and_use_the_network():
    class Stop:
        def on_train_begin(self, network, info):
            self.network = network

        def on_epoch_end(self, epoch, logs):
            self.score = self.network.score(PIXELS, LABELS)
            self.network.stop_training = epoch == 2

    stop = Stop()
    trained = network()
    history = trained.fit(PIXELS, LABELS, epochs=9, callbacks=[stop])
    assert len(history["loss"]) == 2
    assert stop.score == trained.score(PIXELS, LABELS)
    assert (trained.training["ending"], trained.training["epochs"]) == ("stopped", 2)
    assert len(trained.fit(PIXELS, LABELS, epochs=3)["loss"]) == 3


def test_fit_within_fit_is_refused():
    class Nested:
        def on_train_begin(self, network, info):
            network.fit(PIXELS, LABELS, epochs=1)

    with pytest.raises(st.BusyError, match="from a callback of fit"):
        train(callbacks=[Nested()])


def test_the_record_tells_how_to_repeat_the_run():
    trained = network(seed=3)
    assert trained.training == {}
    settings = {"optimizer": st.Adam(0.01), "schedule": "cosine", "batch_size": 50}
    history = trained.fit(PIXELS, LABELS, epochs=2, seed=9, **settings)
    record = trained.training
    assert record["seed"] == 9
    assert record["settings"]["optimizer"]["kind"] == "adam"
    assert record["settings"]["schedule"] == "cosine"
    assert (record["images"], record["epochs"], record["ending"]) == (
        150,
        2,
        "completed",
    )
    assert record["history"]["loss"] == history["loss"]
    assert record["data_sha256"] == data_hash(PIXELS, LABELS)
    assert record["versions"]["striate"] == st.__version__
    trained.fit(PIXELS, LABELS, epochs=1)
    assert trained.training["earlier_epochs"] == 2


@pytest.mark.parametrize("rate", [1e20, 1e37])
def test_a_loss_that_is_not_finite_ends_training_with_good_weights(tmp_path, rate):
    trained = network()
    trained.fit(PIXELS, LABELS, epochs=1)
    with pytest.raises(
        st.TrainingError, match=r"epoch 1 of 3, step \d+ of 3.*clip_norm"
    ):
        trained.fit(
            PIXELS,
            LABELS,
            epochs=3,
            batch_size=50,
            optimizer=st.SGD(rate, momentum=0.9),
            schedule="constant",
        )
    loss, _ = trained.loss_and_gradients(PIXELS, LABELS)
    assert loss < 5
    assert trained.training["ending"] == "not finite"
    trained.save(tmp_path / "model.safetensors")
    st.load(tmp_path / "model.safetensors")


def test_an_error_in_a_callback_leaves_the_network_usable():
    class Fails:
        def on_epoch_end(self, epoch, logs):
            raise OSError("disk full")

    trained = network()
    with pytest.raises(OSError, match="disk full"):
        trained.fit(PIXELS, LABELS, epochs=3, callbacks=[Fails()])
    assert (trained.training["ending"], trained.training["epochs"]) == ("failed", 1)
    assert trained.predict(PIXELS).shape == (150,)
    trained.fit(PIXELS, LABELS, epochs=1)


def test_control_c_ends_training_soon_and_leaves_whole_steps(tmp_path):
    pixels = np.broadcast_to(PIXELS[:1], (20_000, 10, 10, 1))
    trained = network()
    pressed = []

    def press():
        pressed.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    class Press:
        def on_train_begin(self, network, info):
            threading.Timer(0.15, press).start()

    with pytest.raises(KeyboardInterrupt):
        trained.fit(
            pixels,
            np.zeros(20_000, int),
            epochs=10_000,
            callbacks=[Press()],
            batch_size=20_000,
        )
    assert time.monotonic() - pressed[0] < 1.0
    assert trained.training["ending"] == "interrupted"
    assert np.isfinite(flat(trained)).all()
    assert trained.predict(PIXELS).shape == (150,)
    trained.save(tmp_path / "model.safetensors")
    assert st.load(tmp_path / "model.safetensors").training == trained.training


def test_nothing_changes_when_arguments_are_wrong():
    trained = network()
    before = flat(trained).copy()
    faults = [
        ({"epochs": 0}, ValueError, "epochs must be"),
        ({"epochs": 1.5}, TypeError, "epochs must be a whole number"),
        ({"batch_size": 0}, ValueError, "batch_size must be"),
        ({"optimizer": "sgd"}, TypeError, "optimizer must be SGD"),
        ({"schedule": "linear"}, ValueError, "schedule must be one of"),
        ({"label_smoothing": 1.0}, ValueError, "label_smoothing must be"),
        ({"clip_norm": 0.0}, ValueError, "clip_norm must be"),
        ({"seed": -1}, ValueError, "seed must be"),
        ({"threads": 0}, ValueError, "threads must be"),
        ({"sample_weight": np.ones(3)}, st.ShapeError, "one number an image"),
        ({"sample_weight": np.zeros(150)}, st.DataError, "not 0 for all"),
        ({"sample_weight": np.full(150, -1)}, st.DataError, "at least 0"),
        ({"validation_data": PIXELS}, st.UsageError, r"pair \(images, labels\)"),
        ({"validation_data": (PIXELS, LABELS[:9])}, st.ShapeError, "validation labels"),
        ({"validation_data": (PIXELS[:, 1:], LABELS)}, st.ShapeError, "validation im"),
    ]
    for change, error, text in faults:
        with pytest.raises(error, match=text):
            trained.fit(PIXELS, LABELS, **{"epochs": 1} | change)
    with pytest.raises(st.ShapeError, match="149 for 150 images"):
        trained.fit(PIXELS, LABELS[1:], epochs=1)
    with pytest.raises(st.DataError, match="tells 5 apart"):
        trained.fit(PIXELS, [f"class {i % 7}" for i in range(150)], epochs=1)
    np.testing.assert_array_equal(flat(trained), before)
    assert trained.preprocessing is None
    assert trained.classes is None
    assert trained.training == {}


def test_more_memory_than_there_is_is_refused_beforehand(monkeypatch):
    monkeypatch.setattr(machine, "available_memory", lambda: 100_000)
    monkeypatch.setattr(machine, "_NEGLIGIBLE", 0)
    with pytest.raises(
        st.UsageError, match=r"batch_size=150.*only 100 kB are available"
    ):
        train(batch_size=150, threads=8)


def test_label_smoothing_and_clipping_reach_the_core():
    plain, _ = train()
    for change in ({"label_smoothing": 0.2}, {"clip_norm": 0.01}):
        assert not np.array_equal(train(**change)[0], plain)


def test_memory_is_refused_for_changed_images_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        "striate.training.run.check_memory", lambda amount, *_: asked.append(amount)
    )
    pixels = np.zeros((4, 100, 100, 3), np.uint8)
    for level in (None, "light"):
        network = st.Network([st.GlobalAvgPool2D(), st.Dense(2)], (100, 100, 3))
        network.fit(pixels, [0, 1, 0, 1], epochs=1, threads=3, augmentation=level)
    # of 3 threads, each a frame of 16 images of floats
    assert asked[1] - asked[0] >= 3 * 16 * 103 * 103 * 3 * 4
