"""An architecture, a network without its weights, as files hold it.

A JSON file of one is `{"input_shape": [height, width, channels], "layers": [...]}`, each
layer as `to_config` gives it. Model files have the same in their metadata.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from ..arguments import shown, spell
from ..errors import ModelFileError, ShapeError
from ..layers import Dense, Layer, layer_from_config
from ..resolve import resolve
from .files import replace_file
from .modelfile import LONGEST_HEADER, json_object, load_model, unwritable

if TYPE_CHECKING:
    from ..network import Network

_PARTS = ("input_shape", "layers")


@dataclass(frozen=True)
class Architecture:
    """The layers of a network, and the (height, width, channels) of its input.

    >>> from striate.layers import Conv2D
    >>> Architecture((Conv2D(2, 3),), (8, 8, 1)).to_config()["input_shape"]
    [8, 8, 1]
    """

    layers: tuple[Layer, ...]
    input_shape: tuple[int, int, int]

    def to_config(self) -> dict[str, Any]:
        """Return it as JSON can hold it; `from_config` reverses it."""
        return {
            "input_shape": list(self.input_shape),
            "layers": [layer.to_config() for layer in self.layers],
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the architecture that a file describes, which may hold anything.

        Raises ValueError or TypeError, saying what is wrong with it.
        """
        layers, shape = config.get("layers"), config.get("input_shape")
        if not isinstance(layers, list) or not isinstance(shape, list):
            raise TypeError('"layers" and "input_shape" must be lists.')
        known = tuple(layer_from_config(layer) for layer in layers)
        return cls(known, resolve(known, shape)[0].input_shape)  # type: ignore[arg-type]

    def network(
        self,
        images: tuple[int, int, int] | None = None,
        classes: int | None = None,
        seed: int = 0,
    ) -> Network:
        """Return the network, untrained, as it is or for other images and classes.

        Its input keeps its size, in which smaller `images` (height, width, channels) are
        centred, and gets their channels; its last Dense layer gets a unit for each of
        `classes`. Raises ShapeError where that makes no network for them.
        """
        from ..network import Network

        height, width, channels = self.input_shape
        if images is not None:
            channels = images[2]
            if images[0] > height or images[1] > width:
                raise ShapeError(
                    f"the network is made for an input of {height}x{width} pixels but "
                    f"the images are of {spell(images[:2])}; make them smaller "
                    "(--size), or take a network for larger ones."
                )
        layers = list(self.layers)
        if classes is not None and isinstance(layers[-1], Dense):
            layers[-1] = replace(layers[-1], units=classes)
        network = Network(layers, (height, width, channels), seed)
        outputs = network.resolved[-1].output_shape
        if classes is not None and outputs != (classes,):
            raise ShapeError(
                f"{classes} classes need a network that ends in as many numbers, but "
                f"this one ends in {spell(outputs)}; end it with Flatten() and Dense."
            )
        return network


def write_architecture(
    path: str | os.PathLike[str], architecture: Architecture
) -> None:
    """Write a JSON file, whole or not at all; ModelFileError where that cannot be.

    >>> import tempfile
    >>> from striate.layers import Conv2D
    >>> path = os.path.join(tempfile.mkdtemp(), "net.json")
    >>> write_architecture(path, Architecture((Conv2D(2, 3),), (8, 8, 1)))
    >>> read_architecture(path)
    Architecture(layers=(Conv2D(2, 3),), input_shape=(8, 8, 1))
    """
    parts = architecture.to_config()
    # A layer a line: such files are read and changed by hand.
    layers = ",\n    ".join(map(json.dumps, parts["layers"]))
    text = (
        f'{{\n  "input_shape": {json.dumps(parts["input_shape"])},\n'
        f'  "layers": [\n    {layers}\n  ]\n}}\n'
    )
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise unwritable(path, error, "architecture") from error


def read_architecture(path: str | os.PathLike[str]) -> Architecture:
    """Read a JSON file, or the architecture of a model file, which has another suffix.

    Raises ModelFileError for whatever holds no architecture whose layers fit together.
    """
    name = os.fspath(path)
    try:
        if name.lower().endswith(".json"):
            config = _json_file(name)
        else:
            config = load_model(path)[1]["architecture"]
        return Architecture.from_config(config)
    except ModelFileError:
        raise
    except OSError as error:
        raise ModelFileError(
            f"{name} cannot be read: {error.strerror or error}; give the file of an "
            "architecture, such as `striate design -o net.json` writes."
        ) from error
    except (TypeError, ValueError, RecursionError, MemoryError) as error:
        raise ModelFileError(
            f"{name} is no usable architecture: {str(error)[:400]}"
        ) from error


def _json_file(name: str) -> dict[str, Any]:
    if not os.path.isfile(name):
        raise ModelFileError(f"There is no file {name}; check the path.")
    with open(name, "rb") as file:
        content = file.read(LONGEST_HEADER + 1)
    if len(content) > LONGEST_HEADER:
        raise ModelFileError(f"{name} is too long for the JSON of an architecture.")
    config = json_object(content, name, "mend it, or let `striate design` write one")
    if set(config) != set(_PARTS):
        found = ", ".join(map(shown, config)) or "nothing"
        raise ModelFileError(
            f'{name} is no architecture: it must hold "input_shape" and "layers" but '
            f"holds {found}; `striate design -o net.json` writes one."
        )
    return config
