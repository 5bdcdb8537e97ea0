"""Times told beforehand: measured on a copy, which leaves no trace."""

import numpy as np

import striate as st
from striate.training.settings import Settings
from striate.training.speed import training_speed


def test_measuring_the_speed_changes_nothing():
    train, _ = st.load_data("digits")
    network = st.lenet5()
    before = network.weights["conv1.weight"].copy()
    settings = Settings.for_images(
        len(train), epochs=3, batch_size=None, optimizer=None
    )
    speed = training_speed(network, train.images, train.labels, settings, seconds=0.05)
    assert speed > 0
    np.testing.assert_array_equal(network.weights["conv1.weight"], before)
    assert network.preprocessing is None
    assert network.training == {}
