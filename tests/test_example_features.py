"""examples/features.py runs, and shows what it says."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "features.py"


def results(*arguments: object) -> dict[str, Any]:
    """The JSON object that the example prints."""
    command = [sys.executable, "-W", "error", EXAMPLE, *arguments, "--json"]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(values, dict)
    return values


@pytest.mark.oracle
def test_classifiers_on_features_of_digits() -> None:
    pytest.importorskip("sklearn", reason="pip install '.[examples]'")
    values = results("--seeds", 1)
    own = values["accuracy"]["digits"]
    on_pixels, on_features = (
        own[row]["logistic regression"]["mean"]
        for row in ("pixels", "flatten1, network of digits")
    )
    assert on_pixels < on_features
    assert own["the network's own answer"]["softmax"]["mean"] > 0.97


@pytest.mark.oracle
def test_classifiers_on_features_of_signs_by_a_network_of_digits(
    real_data: Callable[[str], Path],
) -> None:
    pytest.importorskip("sklearn", reason="pip install '.[examples]'")
    signs = real_data("gtsrb-small")
    values = results(signs, "--group", "(.+/[0-9]+)_", "--seeds", 1)
    signs_table, digits_table = values["accuracy"].values()
    neighbours = [
        signs_table[row]["k-NN"]["mean"]
        for row in (
            "pixels",
            "flatten1, network of digits",
            "relu4, network of gtsrb-small",
        )
    ]
    assert 0.1 < neighbours[0] < neighbours[1] < neighbours[2]
    assert digits_table["pool1, network of gtsrb-small"]["k-NN"]["mean"] > 0.95
