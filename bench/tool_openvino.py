"""OpenVINO: inference only, on floats made beforehand."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import onnx_graph
import openvino
import worker
from cases import Case, Material
from worker import Answers, Job


class Tool(worker.Tool):
    """One compiled model a case, for its number of images at a time."""

    def version(self) -> str:
        return f"OpenVINO {openvino.__version__.partition('-')[0]}"

    def load(self, name: str, material: Material) -> None:
        self.material, self.inputs = material, material.inputs

    def answers(self, count: int) -> Answers:
        return Answers(self._compiled(count)(self.inputs[:count])[0])

    def job(self, case: Case) -> Job:
        compiled = self._compiled(case.batch)
        starts = range(0, len(self.inputs) - case.batch + 1, case.batch)
        batches = cycle([self.inputs[i : i + case.batch] for i in starts])
        return Job(case.batch, worker.repeat(lambda: compiled(next(batches))[0]))

    def _compiled(self, batch: int) -> Any:
        core = openvino.Core()
        graph = onnx_graph.build(self.material, batch).SerializeToString()
        settings = {
            "PERFORMANCE_HINT": "LATENCY",  # all threads on one call
            "INFERENCE_NUM_THREADS": self.threads,
            # Where the processor has bfloat16, that is the default.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        return core.compile_model(core.read_model(graph), "CPU", settings)
