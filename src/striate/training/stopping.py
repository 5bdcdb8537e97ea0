"""Callbacks that watch the validation part: keep the best weights, stop early."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..arguments import shown, truth, whole_number
from ..errors import UsageError

if TYPE_CHECKING:
    from ..network import Network
    from .callbacks import TrainingPlan

_HIGHER_IS_BETTER = {"accuracy", "val_accuracy"}
_MONITORS = ("val_loss", "val_accuracy", "loss", "accuracy")


class BestWeights:
    """A callback of `fit` that remembers the weights of the best epoch so far.

    `monitor` is an entry of the history: "val_loss" (the default), "val_accuracy",
    "loss" or "accuracy". Of equally good epochs the first counts. After training
    `epoch`, `value` and `weights` tell the best (None and empty before there is one).
    Raises UsageError when training begins without the validation data it watches.

    >>> best = BestWeights("val_accuracy")
    >>> best.epoch, best.value
    (None, None)
    """

    def __init__(self, monitor: str = "val_loss") -> None:
        if monitor not in _MONITORS:
            raise ValueError(
                f"{type(self).__name__}: monitor must be one of "
                f"{', '.join(_MONITORS)}, not {shown(monitor)}."
            )
        self.monitor = monitor
        self.epoch: int | None = None
        self.value: float | None = None
        self.weights: dict[str, NDArray[np.float32]] = {}
        self._network: Network | None = None

    def on_train_begin(self, network: Network, info: TrainingPlan) -> None:
        """Forget earlier runs."""
        if self.monitor.startswith("val_") and not info.validation_images:
            raise UsageError(
                f"{type(self).__name__} watches {self.monitor}, but there are no "
                "validation images; give fit validation_data, or watch 'loss'."
            )
        self._network, self.epoch, self.value, self.weights = network, None, None, {}

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Keep the weights where this epoch is the best yet."""
        value = logs[self.monitor]
        if self.value is None or self._better(value, self.value):
            assert self._network is not None
            self.epoch, self.value = epoch, value
            self.weights = {
                name: array.copy() for name, array in self._network.weights.items()
            }

    def _better(self, value: float, than: float) -> bool:
        if math.isnan(than):
            return not math.isnan(value)
        return value > than if self.monitor in _HIGHER_IS_BETTER else value < than


class EarlyStopping(BestWeights):
    """A callback of `fit` that ends training when it no longer gets better.

    Training stops after `patience` epochs without a better `monitor`, and the network
    gets the best epoch's weights back, also at the regular end, unless
    `restore_best=False`. Source: Prechelt, "Early stopping - but when?", 1998.

    >>> import striate as st
    >>> train, test = st.load_data("digits")
    >>> network, stopping = st.lenet5(), EarlyStopping(patience=2)
    >>> history = network.fit(train.images[:900], train.labels[:900], epochs=3,
    ...     validation_data=(train.images[900:], train.labels[900:]),
    ...     callbacks=[stopping])
    >>> min(history["val_loss"]) == stopping.value
    True
    """

    def __init__(
        self,
        patience: int = 5,
        monitor: str = "val_loss",
        restore_best: bool = True,
    ) -> None:
        super().__init__(monitor)
        self.patience = whole_number("EarlyStopping", "patience", patience)
        self.restore_best = truth("EarlyStopping", "restore_best", restore_best)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Keep the best weights, or stop where they are too long ago."""
        super().on_epoch_end(epoch, logs)
        assert self.epoch is not None
        if epoch - self.epoch >= self.patience:
            assert self._network is not None
            self._network.stop_training = True

    def on_train_end(self, logs: Mapping[str, float]) -> None:
        """Give the network its best weights back."""
        if self.restore_best and self._network is not None and self.weights:
            self._network.set_weights(self.weights)
