"""ONNX Runtime: inference only, on floats made beforehand."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np
import onnx_graph
import onnxruntime
import worker
from cases import Case, Material
from numpy.typing import NDArray
from worker import Answers, Job


class Tool(worker.Tool):
    """One session a subject, with its own pool of threads."""

    def version(self) -> str:
        return f"ONNX Runtime {onnxruntime.__version__}"

    def load(self, name: str, material: Material) -> None:
        self.inputs = material.inputs
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        self.session = onnxruntime.InferenceSession(
            onnx_graph.build(material).SerializeToString(),
            options,
            ["CPUExecutionProvider"],
        )

    def answers(self, count: int) -> Answers:
        return Answers(self._run(self.inputs[:count]))

    def job(self, case: Case) -> Job:
        starts = range(0, len(self.inputs) - case.batch + 1, case.batch)
        batches = cycle([self.inputs[i : i + case.batch] for i in starts])
        return Job(case.batch, worker.repeat(lambda: self._run(next(batches))))

    def _run(self, images: NDArray[np.float32]) -> Any:
        return self.session.run(None, {onnx_graph.IMAGES: images})[0]
