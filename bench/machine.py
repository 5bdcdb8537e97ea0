"""The machine: what it is, and the multiply-adds it can do."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def processor() -> str:
    """The processor's model, as it calls itself."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


INSTRUCTIONS = {"avx2": "avx2", "avx512": "avx512f"}
"""The kernel's flags for what STRIATE_ISA calls these."""


def has(isa: str) -> bool:
    """Whether the processor has an instruction set."""
    return f" {INSTRUCTIONS[isa]} " in Path("/proc/cpuinfo").read_text()


def thread_counts() -> list[int]:
    """The numbers of threads that every tool is tried with."""
    return sorted({1, max(1, cores() // 2), cores()})


class Peak:
    """The machine's own float32 multiply-add peak, on all cores at once.

    `values` are operations a second, one for each time it was measured; none without
    a C++ compiler.
    """

    def __init__(self, folder: Path) -> None:
        """Compile `peak.cpp` for this processor, into a folder."""
        self.isa: str | None = None
        self.values: list[float] = []
        self._program = folder / "peak"
        compiler = os.environ.get("CXX", "g++")
        self._known = shutil.which(compiler) is not None
        if self._known:
            source = str(Path(__file__).with_name("peak.cpp"))
            options = ["-std=c++17", "-O2", "-march=native", "-ffp-contract=fast"]
            options += ["-pthread", source, "-o", str(self._program)]
            subprocess.run([compiler, *options], check=True)

    def measure(self, seconds: float) -> None:
        """Measure once more, for so long."""
        if not self._known:
            return
        words = [str(self._program), str(cores()), str(seconds)]
        output = subprocess.run(words, check=True, capture_output=True, text=True)
        self.isa, gigaflops = output.stdout.split()
        self.values.append(float(gigaflops) * 1e9)
