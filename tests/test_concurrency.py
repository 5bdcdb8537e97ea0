"""Threads, forks and process pools: it works, or it is an error in words."""

import multiprocessing
import os
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

import striate as st

RNG = np.random.default_rng(2)
PIXELS = RNG.integers(0, 256, (90, 8, 8, 1), dtype=np.uint8)
LABELS = RNG.integers(0, 3, 90)
SETTINGS = {"epochs": 4, "batch_size": 20, "threads": 2}


def network(seed=0):
    layers = [st.Conv2D(4, 3), st.ReLU(), st.Dropout(0.2), st.Flatten(), st.Dense(3)]
    return st.Network(layers, (8, 8, 1), seed=seed)


def fitted(seed=0):
    trained = network(seed)
    trained.fit(PIXELS, LABELS, **SETTINGS)
    return trained


class Pause:
    """Holds training inside a callback until it is let go."""

    def __init__(self):
        self.paused, self.go = threading.Event(), threading.Event()

    def on_steps_end(self, progress):
        self.paused.set()
        assert self.go.wait(30)


@pytest.fixture
def in_training():
    """A network that another thread is training, just now between two steps."""
    trained, pause = network(), Pause()
    thread = threading.Thread(
        target=lambda: trained.fit(PIXELS, LABELS, callbacks=[pause], **SETTINGS)
    )
    thread.start()
    assert pause.paused.wait(30)
    yield trained
    pause.go.set()
    thread.join(30)
    assert not thread.is_alive()
    np.testing.assert_array_equal(trained.logits(PIXELS), fitted().logits(PIXELS))


def test_using_a_network_in_training_is_an_error_in_words(in_training, tmp_path):
    uses = [
        lambda: in_training.predict(PIXELS),
        lambda: in_training.activations(PIXELS, "conv1"),
        lambda: in_training.input_gradient(PIXELS, target=0),
        lambda: in_training.loss_and_gradients(PIXELS, LABELS),
        lambda: in_training.save(tmp_path / "model.safetensors"),
    ]
    for use in uses:
        with pytest.raises(st.BusyError, match="being trained by another thread"):
            use()
    for change in (
        lambda: in_training.fit(PIXELS, LABELS),
        lambda: in_training.set_weights(network().weights),
    ):
        with pytest.raises(st.BusyError, match="needs the network for itself"):
            change()
    assert not (tmp_path / "model.safetensors").exists()


def test_fit_does_not_start_while_another_thread_reads():
    trained = network()
    with trained.engine.usage.reading(), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(trained.fit, PIXELS, LABELS)
        with pytest.raises(st.BusyError, match=r"fit needs .* being read by another"):
            answer.result()
    trained.fit(PIXELS, LABELS, **SETTINGS)


def test_many_threads_predict_on_one_network():
    trained = fitted()
    expected = trained.predict_proba(PIXELS)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: trained.predict_proba(PIXELS), range(40)))
    for answer in answers:
        np.testing.assert_array_equal(answer, expected)


def test_two_networks_train_in_two_threads():
    expected = [fitted(seed).logits(PIXELS) for seed in (1, 2)]
    with ThreadPoolExecutor(2) as pool:
        trained = list(pool.map(fitted, (1, 2)))
    for one, logits in zip(trained, expected, strict=True):
        np.testing.assert_array_equal(one.logits(PIXELS), logits)


def in_child(check):
    """Run `check` in a forked child; what it returns must be true."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if check() else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_forked_child_computes_as_its_parent():
    trained = fitted()
    expected = trained.logits(PIXELS)
    in_child(lambda: np.array_equal(trained.logits(PIXELS), expected))
    in_child(lambda: np.array_equal(fitted().logits(PIXELS), expected))


def test_a_child_forked_while_another_thread_trains_can_use_the_network(in_training):
    in_child(lambda: np.isfinite(in_training.logits(PIXELS)).all())
    in_child(lambda: len(in_training.fit(PIXELS, LABELS, epochs=1)["loss"]) == 1)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_process_pool_predicts(start):
    trained = fitted()
    expected = trained.predict(PIXELS)
    context = multiprocessing.get_context(start)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        parts = list(pool.map(trained.predict, np.array_split(PIXELS, 3)))
    np.testing.assert_array_equal(np.concatenate(parts), expected)


ENDING = """
import threading, time
import numpy as np
import striate as st

pixels = np.zeros((2000, 28, 28, 1), np.uint8)
labels = np.arange(2000) % 10
network = st.lenet5()
computing = threading.Event()

def work():
    while True:
        {call}
        computing.set()

for _ in range({threads}):
    threading.Thread(target=work, daemon=True).start()
assert computing.wait(60)
time.sleep({wait})
"""


@pytest.mark.parametrize(
    ("call", "threads", "wait"),
    [
        ("network.fit(pixels, labels, epochs=1, threads=2)", 1, 0.0),
        ("network.fit(pixels, labels, epochs=1, threads=2)", 1, 0.04),
        ("network.logits(pixels, threads=2)", 3, 0.0),
        ("st.lenet5().input_gradient(pixels, target=0, threads=2)", 3, 0.04),
    ],
)
def test_python_ends_quietly_while_daemon_threads_compute(call, threads, wait):
    code = ENDING.format(call=call, threads=threads, wait=wait)
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
