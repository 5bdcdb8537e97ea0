"""The commands that the README and the guides show are run, in the order they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
INSTALLING = re.compile(r"pip install|venv")


def shell_blocks(guide: Path) -> list[str]:
    """The commands of a guide but those that install, which were run before."""
    blocks = re.findall(
        r"^```sh\n(.*?)^```", guide.read_text(), re.DOTALL | re.MULTILINE
    )
    return [block for block in blocks if not INSTALLING.search(block)]


@pytest.mark.parametrize(
    "guide", ["README.md", "docs/your-images.md", "docs/features.md"]
)
def test_the_commands_of_a_guide_run(guide: str, tmp_path: Path) -> None:
    blocks = shell_blocks(ROOT / guide)
    assert blocks
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    environment = {
        **os.environ,
        "PATH": path,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    for block in blocks:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            check=False,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}"
