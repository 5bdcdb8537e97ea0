"""The model file: weights in safetensors, everything else as JSON in its metadata.

A file is eight bytes of header length, a JSON header, then the numbers of every weight
one after another (https://github.com/huggingface/safetensors). Architecture, classes,
preprocessing and training record stand as one JSON text under the header's metadata
key "striate", with a SHA-256 over all of it and the weights.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from ..errors import ModelFileError
from .files import replace_file

VERSION = 1
KEY = "striate"
LONGEST_HEADER = 16 * 2**20  # bytes; LeNet-5 needs about 3,000

Weights = dict[str, npt.NDArray[np.float32]]


def save_model(
    path: str | os.PathLike[str],
    weights: Mapping[str, npt.NDArray[np.float32]],
    metadata: Mapping[str, Any],
) -> None:
    """Write one model file, whole or not at all.

    ``weights`` maps names to float32 arrays of one to four axes; ``metadata`` is made of
    what JSON knows and holds format, version, architecture, classes, preprocessing and
    training. Raises ModelFileError where the file cannot be written, and leaves an older
    file of that name as it was.

    >>> import tempfile
    >>> file = os.path.join(tempfile.mkdtemp(), "a.safetensors")
    >>> about = {"format": "striate", "version": 1, "classes": None, "training": {},
    ...          "architecture": {"input_shape": [1, 1, 1], "layers": []},
    ...          "preprocessing": None}
    >>> save_model(file, {"w": np.ones(2, np.float32)}, about)
    >>> load_model(file)[0]
    {'w': array([1., 1.], dtype=float32)}
    """
    from safetensors.numpy import save

    arrays = {name: np.asarray(array, order="C") for name, array in weights.items()}
    for name, array in arrays.items():
        if array.dtype != np.float32 or not 1 <= array.ndim <= 4 or not array.size:
            raise ValueError(
                f"weight {name!r} must be a float32 array of 1 to 4 axes with numbers in "
                f"it, not {array.dtype} of shape {array.shape}"
            )
    signed = {**metadata, "sha256": _fingerprint(arrays, metadata)}
    content = save(arrays, metadata={KEY: json.dumps(signed, allow_nan=False)})
    try:
        replace_file(path, content)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(
    path: str | os.PathLike[str], error: OSError, what: str = "model"
) -> ModelFileError:
    """Say in words why a model, or another file, cannot be saved."""
    return ModelFileError(
        f"The {what} cannot be saved as {os.fspath(path)}: {_reason(error)}; name a file "
        f"in a folder that exists, may be written and has room."
    )


def load_model(path: str | os.PathLike[str]) -> tuple[Weights, dict[str, Any]]:
    """Read a model file into its weights (own memory, float32) and its metadata.

    Nothing the file says is believed before it is checked against the file's size, so
    no file can crash the process or make it take more than a few times its own size.
    Raises ModelFileError for whatever is not a whole, readable model file.
    """
    name = os.fspath(path)
    try:
        size = _size(path)
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 10 or not 2 <= length <= min(size - 8, LONGEST_HEADER):
                raise _damaged(name, "it does not begin with the length of a header")
            header = json_object(file.read(length), f"{name}: the header")
            metadata = _metadata(name, header.pop("__metadata__", None))
            layout = _layout(name, header, size - 8 - length)
            data = file.read(size - 8 - length)
        weights = {
            key: np.frombuffer(data, "<f4", math.prod(shape), begin)
            .astype(np.float32)
            .reshape(shape)
            for key, (begin, shape) in layout.items()
        }
        if metadata.pop("sha256", None) != _fingerprint(weights, metadata):
            raise _damaged(name, "its content is not what was saved (SHA-256 differs)")
    except ModelFileError:
        raise
    except FileNotFoundError:
        raise ModelFileError(
            f"There is no model file {name}; check the path, or train a model with "
            f"`striate train`."
        ) from None
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise ModelFileError(f"{name} cannot be read: {_reason(error)}.") from error
    return weights, metadata


def _size(path: str | os.PathLike[str]) -> int:
    """Return a file's size in bytes; pipes and devices would be read without end."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise ModelFileError(
            f"{os.fspath(path)} is {kind}; give the path of a model file."
        )
    return status.st_size


def _metadata(name: str, entries: Any) -> dict[str, Any]:
    """Check the JSON text under the key "striate" down to the types of its parts."""
    text = entries.get(KEY) if isinstance(entries, dict) else None
    if not isinstance(text, str):
        raise ModelFileError(
            f"{name} is a safetensors file but not one of Striate's: it has no metadata "
            f'"{KEY}" with the architecture; only models that Striate saved can load.'
        )
    metadata = json_object(text, f"{name}: the metadata")
    version = metadata.get("version")
    if metadata.get("format") != "striate" or type(version) is not int or version < 1:
        raise _damaged(name, "its metadata names no format and version")
    if version > VERSION:
        raise ModelFileError(
            f"{name} has format version {version}, but this Striate reads up to "
            f"{VERSION}; install a newer Striate."
        )
    architecture = metadata.get("architecture")
    if not isinstance(architecture, dict):
        architecture = {}
    shape, layers = architecture.get("input_shape"), architecture.get("layers")
    classes = metadata.get("classes")
    sound = {
        "architecture.input_shape": _naturals(shape) and len(shape) == 3,
        "architecture.layers": isinstance(layers, list)
        and all(isinstance(layer, dict) for layer in layers),
        "classes": classes is None
        or (isinstance(classes, list) and all(type(c) in (int, str) for c in classes)),
        "preprocessing": isinstance(metadata.get("preprocessing"), dict | None),
        "training": isinstance(metadata.get("training"), dict),
    }
    for part, fine in sound.items():
        if not fine or part.split(".")[0] not in metadata:
            raise _damaged(name, f"its metadata has no valid {part}")
    return metadata


def _layout(
    name: str, header: Mapping[str, Any], size: int
) -> dict[str, tuple[int, list[int]]]:
    """Return where each weight begins and its shape; together they fill ``size`` bytes."""
    spans: list[tuple[int, int, str, list[int]]] = []
    for key, entry in header.items():
        fields = entry if isinstance(entry, dict) else {}
        shape, offsets = fields.get("shape"), fields.get("data_offsets")
        if fields.get("dtype") != "F32":
            raise _damaged(name, f"{key!r:.60} is not made of float32 (F32) numbers")
        if not _naturals(shape) or not 1 <= len(shape) <= 4:
            raise _damaged(name, f"{key!r:.60} has no shape of 1 to 4 positive numbers")
        if not isinstance(offsets, list) or [type(o) for o in offsets] != [int, int]:
            raise _damaged(name, f"{key!r:.60} has no pair of offsets")
        spans.append((offsets[0], offsets[1], key, shape))
    position = 0
    for begin, end, key, shape in sorted(spans, key=lambda span: span[:2]):
        if begin != position or end > size or end - begin != 4 * math.prod(shape):
            raise _damaged(name, f"{key!r:.60} does not lie where its shape says")
        position = end
    if position != size:
        raise _damaged(name, f"{size - position:,} of its bytes belong to no weight")
    return {key: (begin, shape) for begin, _, key, shape in spans}


def _naturals(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(v) is int and v > 0 for v in value)


def json_object(
    text: str | bytes,
    subject: str,
    remedy: str = "this is no model file or a damaged one",
) -> dict[str, Any]:
    """Parse a JSON object; a name that stands twice and NaN are refused."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a name stands twice")
        return dict(pairs)

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON number")

    try:
        value = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
        if not isinstance(value, dict):
            raise TypeError(f"{type(value).__name__} in place of an object")
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelFileError(
            f"{subject} is not a JSON object ({_reason(error)}); {remedy}."
        ) from None
    return value


def _fingerprint(
    weights: Mapping[str, npt.NDArray[np.float32]], metadata: Mapping[str, Any]
) -> str:
    """Hash metadata and weights; independent of the order in which the file has them."""
    names = sorted(weights)
    facts = [metadata, [[name, weights[name].shape] for name in names]]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in names:
        digest.update(weights[name].astype("<f4", copy=False).tobytes())
    return digest.hexdigest()


def _damaged(name: str, fault: str) -> ModelFileError:
    return ModelFileError(
        f"{name} is not a whole model file: {fault}; copy it anew or train again."
    )


def _reason(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[
        :200
    ]
