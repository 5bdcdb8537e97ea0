"""The settings of a training run, checked once before anything is computed."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from numbers import Real
from typing import Any

from ..arguments import shown
from ..engine.randomness import check_seed
from .augmentation import Augmentation
from .optimizers import SGD, Optimizer
from .schedules import SCHEDULES
from .weighting import ClassWeight

# Presentations of an image after which small networks gain little more, and the bounds
# that keep a run on few images long enough and one on many images worth its while.
_PRESENTATIONS = 480_000
_FEWEST_EPOCHS, _MOST_EPOCHS = 5, 80
# Below so many images, steps of 128 would be too few to learn from.
_FEW_IMAGES = 10_000


def default_epochs(images: int) -> int:
    """Return how many epochs `fit` trains for when it is not told.

    About 480,000 presentations of an image, but at least 5 and at most 80 epochs.

    >>> default_epochs(60_000), default_epochs(1_438)
    (8, 80)
    """
    return max(
        _FEWEST_EPOCHS, min(_MOST_EPOCHS, round(_PRESENTATIONS / max(images, 1)))
    )


def default_batch_size(images: int) -> int:
    """Return how many images `fit` takes a step when it is not told.

    >>> default_batch_size(60_000), default_batch_size(1_438)
    (128, 32)
    """
    return 32 if images < _FEW_IMAGES else 128


def default_optimizer(batch_size: int, normalized: bool = False) -> SGD:
    """Return the optimizer `fit` uses when it is not given one.

    The learning rate goes with the batch (Goyal et al. 2017), up to 0.1 at 128 images;
    networks with batch normalisation (`normalized`) bear twice as much.

    >>> default_optimizer(32).learning_rate, default_optimizer(32, True).learning_rate
    (0.025, 0.05)
    """
    rate = 0.1 * min(batch_size, 128) / 128
    if normalized:
        return SGD(2 * rate, momentum=0.9, weight_decay=5e-4)
    return SGD(rate, momentum=0.9, weight_decay=1e-3)


@dataclass(frozen=True)
class Settings:
    """How to train; the arguments of `Network.fit` that are not data."""

    epochs: int
    batch_size: int
    optimizer: Optimizer
    schedule: str = "one-cycle"
    seed: int = 0
    label_smoothing: float = 0.0
    clip_norm: float | None = None
    class_weight: ClassWeight = None
    augmentation: Augmentation | None = None
    ema_decay: float | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            object.__setattr__(self, name, _count(name, getattr(self, name)))
        object.__setattr__(self, "seed", check_seed(self.seed))
        if not isinstance(self.optimizer, Optimizer):
            raise TypeError(
                "optimizer must be SGD(...), Adam(...) or AdamW(...) but is "
                f"{self.optimizer!r}"
            )
        if self.schedule not in SCHEDULES:
            raise ValueError(
                f"schedule must be one of {', '.join(SCHEDULES)} but is "
                f"{self.schedule!r}"
            )
        check_label_smoothing(self.label_smoothing)
        clip = self.clip_norm
        if clip is not None and not (_is_number(clip) and 0 < clip < math.inf):
            raise ValueError(
                f"clip_norm must be a finite number above 0 or None but is {clip!r}"
            )

        decay = self.ema_decay
        if decay is not None and not (_is_number(decay) and 0 < decay < 1):
            raise ValueError(
                f"ema_decay must be a number above 0 and below 1 or None but is {decay!r}"
            )

    @classmethod
    def for_images(
        cls,
        images: int,
        *,
        epochs: int | None,
        batch_size: int | None,
        optimizer: Optimizer | None,
        normalized: bool = False,
        **others: Any,
    ) -> Settings:
        """Return settings for so many training images; None is for the default."""
        if batch_size is None:
            batch_size = default_batch_size(images)
        batch = _count("batch_size", batch_size)
        return cls(
            epochs=default_epochs(images) if epochs is None else epochs,
            batch_size=batch,
            optimizer=optimizer or default_optimizer(batch, normalized),
            **others,
        )

    def to_config(self) -> dict[str, Any]:
        """Return the settings as plain values, for the training record."""
        return {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "optimizer": self.optimizer.to_config(),
            "schedule": self.schedule,
            "label_smoothing": float(self.label_smoothing),
            "clip_norm": None if self.clip_norm is None else float(self.clip_norm),
            "class_weight": _plain(self.class_weight),
            "augmentation": self.augmentation and self.augmentation.to_config(),
            "ema_decay": None if self.ema_decay is None else float(self.ema_decay),
        }


def check_label_smoothing(value: float) -> float:
    """Return the share of a label spread over all classes, 0 up to, not including, 1."""
    if not (_is_number(value) and 0 <= value < 1):
        raise ValueError(
            "label_smoothing must be a number from 0 up to, not including, 1 but is "
            f"{value!r}"
        )
    return float(value)


MOST = 10**12
"""The largest number of epochs, and of images a step."""


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number but is {shown(value)}")
    number = operator.index(value)
    if not 1 <= number <= MOST:
        raise ValueError(
            f"{name} must be at least 1 and at most {MOST:,} but is {shown(value)}"
        )
    return number


def _plain(class_weight: ClassWeight) -> object:
    """Return class weights as JSON can hold them."""
    if class_weight is None or isinstance(class_weight, str):
        return class_weight
    return {str(name): float(value) for name, value in class_weight.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
