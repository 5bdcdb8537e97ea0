"""Long runs with default settings: what the README promises of accuracy."""

import numpy as np
import pytest

import striate as st

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "target"), [("digits", 0.98), ("mnist", 0.992)], ids=["digits", "mnist"]
)
def test_default_settings_reach_their_accuracy_over_five_seeds(name, target, request):
    if name != "digits":
        request.getfixturevalue("real_data")(name)
    train, test = st.load_data(name)
    accuracies = []
    for seed in range(5):
        network = st.lenet5(seed=seed)
        network.fit(train.images, train.labels, seed=seed)
        accuracies.append(network.score(test.images, test.labels))
    print(
        f"{name}: {100 * np.mean(accuracies):.2f} ± {100 * np.std(accuracies, ddof=1):.2f} %"
    )
    assert np.mean(accuracies) >= target
