"""Fixtures shared by all tests."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from command_line import run

# Imports PyTorch, which the oracle tests alone ask for; it has no doctests.
collect_ignore = ["torch_twin.py"]


@pytest.fixture(scope="session", autouse=True)
def short_look() -> Iterator[None]:
    """How long training will take is told before it; tests need but a rough idea."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("striate.commands.choice._USUAL_LOOK", 0.02)  # seconds
        yield


@pytest.fixture
def cache_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A cache of the test's own; where in it decoded images will be."""
    home = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return home / "striate" / "decoded"


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Asks for a folder of real images below STRIATE_DATA; skips where it is absent."""
    given = os.environ.get("STRIATE_DATA")

    def folder(name: str) -> Path:
        path = Path(given or "", name)
        if not given or not path.is_dir():
            pytest.skip(f"needs {name} in the folder that STRIATE_DATA names")
        return path

    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A model of digits after three epochs, and what training it has printed."""
    path = tmp_path_factory.mktemp("trained") / "digits.safetensors"
    result = run("train", "digits", "--epochs", 3, "-o", path, "--json")
    assert result.exit_code == 0, result.stderr
    return path, result


@pytest.fixture
def model(trained: tuple[Path, Result]) -> Path:
    """The file of that model."""
    return trained[0]
