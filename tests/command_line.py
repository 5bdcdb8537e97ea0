"""Command lines run by tests: in this process, or as one of their own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from striate import cli


def run(*arguments: object, stdin: bytes | None = None, **environment: str) -> Result:
    """Run a command line in this process; a traceback is never an answer."""
    result = CliRunner().invoke(
        cli.main, [str(one) for one in arguments], input=stdin, env=environment
    )
    assert "Traceback" not in result.stderr
    return result


def last_json(result: Result) -> dict[str, Any]:
    values = json.loads(result.stdout.splitlines()[-1])
    assert isinstance(values, dict)
    return values


def start(*arguments: object, cwd: Path | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
    )
