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
    for name in ("logistic regression", "MLP"):
        assert own["pixels"][name]["mean"] < own["flatten1"][name]["mean"]
    assert own["the network's own answer"]["softmax"]["mean"] > 0.97


@pytest.mark.oracle
def test_classifiers_on_features_of_signs_by_a_network_of_digits(
    real_data: Callable[[str], Path],
) -> None:
    pytest.importorskip("sklearn", reason="pip install '.[examples]'")
    signs = real_data("gtsrb-small")
    values = results(signs, "--group", "(.+/[0-9]+)_", "--seeds", 1)
    [table] = values["accuracy"].values()
    assert all(0.3 < one["mean"] <= 1 for row in table.values() for one in row.values())
