"""Fixtures shared by all tests."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

# Imports PyTorch, which the oracle tests alone ask for; it has no doctests.
collect_ignore = ["torch_twin.py"]


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
