"""Optimizers and schedules: arguments, and numbers against their definitions."""

import math

import numpy as np
import pytest

import striate as st
from striate.training.pace import Pace
from striate.training.schedules import SCHEDULES, learning_rates

RNG = np.random.default_rng(3)
X = RNG.normal(size=(6, 1, 3, 1)).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1, 1])


def network():
    return st.Network([st.Flatten(), st.Dense(3)], (1, 3, 1), seed=4)


def gradient_by_hand(w, b):
    x = X.reshape(6, 3).astype(float)
    odds = np.exp(x @ w.T + b)
    error = odds / odds.sum(1, keepdims=True)
    error[np.arange(6), Y] -= 1
    return np.concatenate([(error.T @ x / 6).ravel(), error.mean(0)])


def trained_by_hand(step, steps, clip_norm=math.inf):
    """Run `step(w, g, t)` on the flat weights of the same network, in float64."""
    w = np.concatenate([a.ravel() for a in network().weights.values()]).astype(float)
    for t in range(1, steps + 1):
        g = gradient_by_hand(w[:9].reshape(3, 3), w[9:])
        g *= min(1, clip_norm / np.linalg.norm(g))
        w = step(w, g, t)
    return w


def sgd(rate, momentum, nesterov, decay):
    velocity = 0.0

    def step(w, g, t):
        nonlocal velocity
        g = g + decay * w
        velocity = momentum * velocity + g
        return w - rate * (g + momentum * velocity if nesterov else velocity)

    return step


def adam(rate, betas, epsilon, decay, decoupled):
    first = second = 0.0

    def step(w, g, t):
        nonlocal first, second
        if decoupled:
            w = w - rate * decay * w
        else:
            g = g + decay * w
        first = betas[0] * first + (1 - betas[0]) * g
        second = betas[1] * second + (1 - betas[1]) * g * g
        mean, power = first / (1 - betas[0] ** t), second / (1 - betas[1] ** t)
        return w - rate * mean / (np.sqrt(power) + epsilon)

    return step


def definition(optimizer):
    o = optimizer
    if isinstance(o, st.SGD):
        return sgd(o.learning_rate, o.momentum, o.nesterov, o.weight_decay)
    decoupled = isinstance(o, st.AdamW)
    return adam(o.learning_rate, o.betas, o.epsilon, o.weight_decay, decoupled)


@pytest.mark.parametrize(
    "optimizer",
    [
        st.SGD(0.5),
        st.SGD(0.2, momentum=0.9),
        st.SGD(0.2, momentum=0.9, nesterov=True, weight_decay=0.1),
        st.Adam(0.05),
        st.Adam(0.05, betas=(0.8, 0.99), epsilon=1e-3, weight_decay=0.1),
        st.AdamW(0.05, weight_decay=0.2),
    ],
    ids=repr,
)
@pytest.mark.parametrize("clip_norm", [None, 0.05])
def test_steps_are_those_of_the_definition(optimizer, clip_norm):
    trained = network()
    settings = {"epochs": 5, "batch_size": 6, "schedule": "constant"}
    trained.fit(X, Y, optimizer=optimizer, clip_norm=clip_norm, **settings)
    flat = np.concatenate([array.ravel() for array in trained.weights.values()])
    expected = trained_by_hand(definition(optimizer), 5, clip_norm or math.inf)
    np.testing.assert_allclose(flat, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: st.SGD(0), ValueError, r"SGD\(learning_rate=0\): .*above 0"),
        (lambda: st.SGD(-1.0), ValueError, "finite number above 0"),
        (lambda: st.SGD("0.1"), TypeError, "learning_rate must be"),
        (lambda: st.SGD(True), TypeError, "learning_rate must be"),
        (lambda: st.SGD(math.inf), ValueError, "finite"),
        (lambda: st.SGD(0.1, momentum=1.0), ValueError, "not including, 1"),
        (lambda: st.SGD(0.1, weight_decay=-1), ValueError, "at least 0"),
        (lambda: st.SGD(0.1, nesterov=True), ValueError, "add momentum=0.9"),
        (lambda: st.Adam(betas=(0.9, 1.0)), ValueError, r"Adam\(betas=1.0\)"),
        (lambda: st.Adam(betas=0.9), TypeError, "pair of numbers"),
        (lambda: st.Adam(epsilon=0), ValueError, "epsilon must be"),
        (lambda: st.AdamW(0.1, weight_decay=math.nan), ValueError, r"AdamW\(weight_d"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_numbers_of_numpy_are_numbers():
    assert st.SGD(np.float32(0.5)).learning_rate == 0.5


def whole_run(schedule, base, steps, epochs):
    """The learning rate of every step of a run."""
    pace = Pace(steps * epochs)
    rates = [
        learning_rates(schedule, base, pace.positions(first, steps), pace.planned)
        for first in range(0, steps * epochs, steps)
    ]
    return np.concatenate(rates)


def test_schedules_have_a_rate_for_every_step():
    for schedule in SCHEDULES:
        rates = whole_run(schedule, 0.1, 7, 3)
        assert rates.shape == (21,)
        assert rates.max() <= 0.1
        assert rates.min() > 0
        for few in (1, 2, 3, 4):
            assert np.isfinite(whole_run(schedule, 0.1, few, 1)).all()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_epochs_are_parts_of_one_run(schedule):
    parts = whole_run(schedule, 0.1, 7, 5)
    np.testing.assert_array_equal(parts, whole_run(schedule, 0.1, 35, 1))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_run_may_have_more_steps_than_memory_holds(schedule):
    pace = Pace(10**12 * 469)
    places = pace.positions(pace.planned - 469, 469)
    rates = learning_rates(schedule, 0.1, places, pace.planned)
    assert rates.shape == (469,)
    assert 0 <= rates[-1] <= rates[0] <= 0.1


def test_constant_and_step():
    np.testing.assert_array_equal(whole_run("constant", 0.3, 2, 2), [0.3] * 4)
    expected = [1.0] * 4 + [0.1] * 2 + [0.01] * 2
    np.testing.assert_allclose(whole_run("step", 1.0, 4, 2), expected)


def test_cosine_goes_half_way_in_the_middle():
    rates = whole_run("cosine", 0.4, 10, 2)
    assert rates[0] == 0.4
    assert rates[10] == pytest.approx(0.2)
    assert (np.diff(rates) < 0).all()


def test_one_cycle_rises_for_three_tenths_and_falls_to_nearly_nothing():
    rates = whole_run("one-cycle", 1.0, 50, 2)
    assert rates[0] == pytest.approx(1 / 25)
    assert rates.argmax() == 29
    assert rates[29] == 1.0
    assert rates[-1] == pytest.approx(1 / 250_000)
    assert whole_run("one-cycle", 0.7, 1, 1).tolist() == [0.7]


def test_unknown_schedules_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="one of constant, step, cosine, one-cycle"):
        learning_rates("linear", 0.1, np.zeros(1), 1)
