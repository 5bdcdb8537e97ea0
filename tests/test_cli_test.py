"""`striate test`: what a saved model is measured to be."""

from pathlib import Path

import numpy as np
from click.testing import Result
from command_line import last_json, run

from striate.data import load_data
from striate.network import load


def test_test_measures_a_saved_model(trained: tuple[Path, Result]) -> None:
    path, training = trained
    values = last_json(run("test", path, "digits", "--json"))
    assert values["accuracy"] == last_json(training)["test_accuracy"]
    assert values["images"] == 359
    confusion = np.array(values["confusion"])
    assert confusion.shape == (10, 10)
    assert confusion.trace() / confusion.sum() == values["accuracy"]
    for row, result in zip(confusion, values["per_class"], strict=True):
        assert row.sum() == result["images"]
        assert result["accuracy"] == result["correct"] / result["images"]
    network, test = load(path), load_data("digits")[1]
    assert values["accuracy"] == network.score(test.images, test.labels)
    people = run("test", path, "digits").stdout
    assert people.startswith(
        f"test accuracy {100 * values['accuracy']:.2f} % of 359 images"
    )


def test_test_knows_targets(model: Path) -> None:
    assert run("test", model, "digits", "--fail-under", 0.1).exit_code == 0
    assert run("test", model, "digits", "--fail-under", 1).exit_code == 4
