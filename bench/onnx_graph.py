"""A subject as an ONNX graph, for the tools that run these."""

from __future__ import annotations

from typing import Any

from cases import Layer, Material
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

OPSET = 17
IMAGES = "images"


def build(material: Material, batch: int | str = "N") -> ModelProto:
    """Make the graph from images, N,C,H,W, to probabilities.

    Takes any number of images at a time where `batch` is a name.
    """
    nodes, entering = [], IMAGES
    for layer in material.layers:
        held = [f"{layer.name}.{key}" for key in material.held(layer)]
        for operator, attributes in translate(layer):
            leaving = f"{layer.name}.{operator}"
            node = helper.make_node(
                operator, [entering, *held], [leaving], **attributes
            )
            nodes.append(node)
            entering = leaving
    nodes.append(helper.make_node("Softmax", [entering], ["probabilities"], axis=1))
    weights = material.weights.items()
    graph = helper.make_graph(
        nodes,
        "network",
        [_tensor(IMAGES, (batch, *material.inputs.shape[1:]))],
        [_tensor("probabilities", (batch, None))],
        [numpy_helper.from_array(value, name) for name, value in weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 8
    checker.check_model(model)
    return model


def translate(layer: Layer) -> list[tuple[str, dict[str, Any]]]:
    """ONNX's operators and attributes for a layer; weights enter the first one."""
    config, kind = layer.config, layer.config["kind"]
    if kind == "Conv2D":
        attributes = {
            "kernel_shape": _pair(config["kernel_size"]),
            "strides": _pair(config["stride"]),
            "pads": _pair(config["padding"]) * 2,
            "dilations": _pair(config["dilation"]),
            "group": config["groups"],
        }
        return [("Conv", attributes)]
    if kind == "MaxPool2D":
        attributes = {
            "kernel_shape": _pair(config["size"]),
            "strides": _pair(config["stride"] or config["size"]),
            "pads": _pair(config["padding"]) * 2,
        }
        return [("MaxPool", attributes)]
    if kind == "GlobalAvgPool2D":
        return [("GlobalAveragePool", {}), ("Flatten", {})]
    if kind == "BatchNorm":
        return [("BatchNormalization", {"epsilon": config["epsilon"]})]
    if kind == "Dense":
        return [("Gemm", {"transB": 1})]
    return [({"ReLU": "Relu", "Flatten": "Flatten"}[kind], {})]


def _pair(value: Any) -> list[int]:
    return list(value) if isinstance(value, list | tuple) else [value, value]


def _tensor(name: str, shape: tuple[Any, ...]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
