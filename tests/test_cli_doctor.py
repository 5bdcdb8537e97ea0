"""`striate doctor`: what this machine offers."""

import re
from pathlib import Path

import numpy as np
import pytest
from command_line import last_json, run

from striate.commands import doctor


@pytest.fixture(autouse=True)
def quick_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CASES", 3)


def test_doctor_finds_this_machine_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STRIATE_ISA", raising=False)
    monkeypatch.delenv("STRIATE_CONVOLUTION", raising=False)
    result = run("doctor", "--json", XDG_CACHE_HOME=str(tmp_path), STRIATE_THREADS="3")
    values = last_json(result)
    assert result.exit_code == 0
    assert values["isa"] == values["isas"][0]
    assert values["isas"][-1] == "reference"
    assert values["threads"] == 3
    assert values["hardware_threads"] >= 1
    assert values["cache"] == str(tmp_path / "striate")
    assert values["data"]["digits"] == "built in"
    assert values["selftest"]["failures"] == []
    assert values["versions"]["numpy"] == np.__version__
    assert values["convolution"] == "auto"
    people = run("doctor", STRIATE_ISA="reference", STRIATE_CONVOLUTION="direct").stdout
    assert re.search(r"^convolution +direct \(", people, re.MULTILINE)
    assert re.search(r"^instructions +reference \(also here: ", people, re.MULTILINE)
    assert re.search(r"^self-test +no failures in \d+ cases$", people, re.MULTILINE)


def test_doctor_says_where_data_lie(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "fashion-mnist"
    folder.mkdir(parents=True)
    for part, kind in (("train", "images"), ("train", "labels"), ("t10k", "images")):
        (folder / f"{part}-{kind}-idx{3 if kind == 'images' else 1}-ubyte").touch()
    environment = {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "STRIATE_DATA": str(tmp_path / "data"),
    }
    assert last_json(run("doctor", "--json", **environment))["data"] == {
        "digits": "built in",
        "mnist": None,
        "fashion-mnist": None,
    }
    (folder / "t10k-labels-idx1-ubyte.gz").touch()
    found = last_json(run("doctor", "--json", **environment))["data"]
    assert found["fashion-mnist"] == str(folder)
