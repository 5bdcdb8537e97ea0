"""A network's state as a model file holds it, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..arguments import spell, truth
from ..engine.randomness import check_seed
from ..engine.weights import Floats, checked_weights, flattened
from ..errors import ModelFileError
from ..images.preprocess import Preprocessing
from ..resolve import resolve
from ..stack import checked_classes
from ..training.calibration import checked_temperature
from .architecture import Architecture


def to_metadata(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return all of a network's state but the weights, in what JSON knows."""
    from .modelfile import VERSION

    classes, known = state["classes"], state["preprocessing"]
    return {
        "format": "striate",
        "version": VERSION,
        "architecture": {
            **Architecture(state["layers"], state["input_shape"]).to_config(),
            "seed": state["seed"],
        },
        "classes": None if classes is None else list(classes),
        "preprocessing": None if known is None else known.to_config(),
        "temperature": state["temperature"],
        "mirrored_answers": state["mirrored_answers"],
        "training": state["training"],
    }


def from_metadata(
    name: str, weights: Mapping[str, Floats], metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the state that a file's weights and metadata describe.

    The file may say anything: nothing is allocated before the weights it truly holds
    are those its architecture asks for. Raises ModelFileError naming the file.
    """
    classes, known = metadata["classes"], metadata["preprocessing"]
    try:
        architecture = Architecture.from_config(metadata["architecture"])
        layers, shape = architecture.layers, architecture.input_shape
        resolved = resolve(layers, shape)
        preprocessing = None if known is None else Preprocessing.from_config(known)
        if preprocessing is not None and preprocessing.input_shape != shape:
            raise ValueError(
                f"its preprocessing is for an input of {preprocessing.input_shape}, "
                f"its layers for one of {shape}."
            )
        if classes is not None:
            outputs = resolved[-1].output_shape
            if len(outputs) != 1:
                raise ValueError(
                    f"it names classes, but its last layer puts out {spell(outputs)}."
                )
            classes = checked_classes(classes, outputs[0])
        temperature = checked_temperature(metadata.get("temperature", 1.0))
        both = metadata.get("mirrored_answers", False)
        mirrored = truth("the model", "mirrored_answers", both)
        arrays = checked_weights(resolved, weights)
        seed = check_seed(metadata["architecture"].get("seed", 0))
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelFileError(
            f"{name} is no usable model: {error} Save it anew from the network."
        ) from error
    return {
        "layers": layers,
        "input_shape": shape,
        "seed": seed,
        "flat": flattened(resolved, arrays),
        "classes": classes,
        "preprocessing": preprocessing,
        "temperature": temperature,
        "mirrored_answers": mirrored,
        "training": metadata["training"],
    }
