"""ONNX Runtime: inference only, on floats made beforehand."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import worker
from cases import Case, Layer, Material, Weights
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper
from worker import Answers, Job

OPSET = 17


class Tool(worker.Tool):
    """A session for every number of threads, each with its own pool."""

    def version(self) -> str:
        return f"ONNX Runtime {onnxruntime.__version__}"

    def load(self, material: Material) -> None:
        self.inputs = material.inputs
        shape = material.inputs.shape[1:]
        self.model = build(material.layers, material.weights, shape)

    def answers(self, chosen: NDArray[np.int64]) -> Answers:
        outputs = self._session(1).run(None, {"images": self.inputs[chosen]})
        return Answers(outputs[0])

    def job(self, case: Case, threads: int) -> Job:
        session = self._session(threads)
        starts = range(0, len(self.inputs) - case.batch + 1, case.batch)
        batches = cycle([self.inputs[i : i + case.batch] for i in starts])

        def step() -> Any:
            return session.run(None, {"images": next(batches)})[0]

        return Job(case.batch, worker.repeat(step))

    def _session(self, threads: int) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        return onnxruntime.InferenceSession(
            self.model.SerializeToString(), options, ["CPUExecutionProvider"]
        )


def build(
    layers: tuple[Layer, ...], weights: Weights, input_shape: tuple[int, ...]
) -> ModelProto:
    """Make the ONNX graph of a subject, ending in softmax."""
    nodes, entering = [], "images"
    for layer in layers:
        operator, attributes = translate(layer.config)
        held = [name for name in weights if name.startswith(f"{layer.name}.")]
        nodes.append(
            helper.make_node(operator, [entering, *held], [layer.name], **attributes)
        )
        entering = layer.name
    nodes.append(helper.make_node("Softmax", [entering], ["probabilities"], axis=1))
    graph = helper.make_graph(
        nodes,
        "network",
        [_tensor("images", ("N", *input_shape))],
        [_tensor("probabilities", ("N", None))],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 8
    checker.check_model(model)
    return model


def translate(config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """ONNX's operator and attributes for a layer."""
    kind = config["kind"]
    if kind == "Conv2D":
        return "Conv", {
            "kernel_shape": _pair(config["kernel_size"]),
            "strides": _pair(config["stride"]),
            "pads": _pair(config["padding"]) * 2,
            "dilations": _pair(config["dilation"]),
            "group": config["groups"],
        }
    if kind == "MaxPool2D":
        return "MaxPool", {
            "kernel_shape": _pair(config["size"]),
            "strides": _pair(config["stride"] or config["size"]),
            "pads": _pair(config["padding"]) * 2,
        }
    if kind == "Dense":
        return "Gemm", {"transB": 1}
    return {"ReLU": "Relu", "Flatten": "Flatten"}[kind], {}


def _pair(value: Any) -> list[int]:
    return list(value) if isinstance(value, list | tuple) else [value, value]


def _tensor(name: str, shape: tuple[Any, ...]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
