"""Striate: small convolutional networks on the CPU, in seconds, seen from inside."""

import sys
from typing import TYPE_CHECKING

# `python -m striate` imports this package before it runs anything of it.
if sys.argv[:1] == ["-m"] and ("-m", "striate") in zip(
    sys.orig_argv, sys.orig_argv[1:], strict=False
):
    from striate_start import heed

    heed()

from ._core import version as __version__
from .errors import (
    BusyError,
    DataError,
    ModelFileError,
    ShapeError,
    StriateError,
    TrainingError,
    UsageError,
)
from .images.preprocess import Preprocessing
from .layers import (
    AvgPool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Residual,
    ScaledTanh,
    Sigmoid,
    Tanh,
)
from .network import Network, load
from .receptive import ReceptiveField, receptive_field
from .training.augmentation import Augmentation
from .training.optimizers import SGD, Adam, AdamW
from .training.stopping import BestWeights, EarlyStopping
from .zoo import lenet5, mobilenet, resnet, vgg

if TYPE_CHECKING:
    from .data import Data, Dataset, Reading, load_data, read_data
    from .training.augmented import augmented_images

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Augmentation",
    "AvgPool2D",
    "BatchNorm",
    "BestWeights",
    "BusyError",
    "Conv2D",
    "Data",
    "DataError",
    "Dataset",
    "Dense",
    "Dropout",
    "EarlyStopping",
    "Flatten",
    "GlobalAvgPool2D",
    "LeakyReLU",
    "MaxPool2D",
    "ModelFileError",
    "Network",
    "Preprocessing",
    "ReLU",
    "Reading",
    "ReceptiveField",
    "Residual",
    "ScaledTanh",
    "ShapeError",
    "Sigmoid",
    "StriateError",
    "Tanh",
    "TrainingError",
    "UsageError",
    "__version__",
    "augmented_images",
    "lenet5",
    "load",
    "load_data",
    "mobilenet",
    "read_data",
    "receptive_field",
    "resnet",
    "vgg",
]


def __getattr__(name: str) -> object:
    # Predicting needs none of these: their ten milliseconds are spent when they are used.
    if name == "augmented_images":
        from .training.augmented import augmented_images

        return augmented_images
    if name in ("Data", "Dataset", "Reading", "load_data", "read_data"):
        from . import data

        return getattr(data, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
