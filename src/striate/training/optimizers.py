"""Optimizers: frozen settings whose update rules are PyTorch's, computed in the core.

With w the weights, g the gradient of the mean loss and r the learning rate of the step:

SGD     g += weight_decay w;  v = momentum v + g (the first time v = g);
        w -= r v,  or with nesterov  w -= r (g + momentum v)
Adam    g += weight_decay w;  m = b1 m + (1 - b1) g;  s = b2 s + (1 - b2) g g;
        w -= r (m / (1 - b1^t)) / (sqrt(s / (1 - b2^t)) + epsilon)
AdamW   w -= r weight_decay w first, then as Adam without the decay in g
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from numbers import Real
from typing import ClassVar


def _number(owner: str, name: str, value: float, *, positive: bool = False) -> None:
    """Refuse anything but a finite number >= 0 (or > 0)."""
    rule = "a finite number above 0" if positive else "a finite number of at least 0"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{owner}({name}={value!r}): {name} must be {rule}")
    if not math.isfinite(value) or value < 0 or (positive and value == 0):
        raise ValueError(f"{owner}({name}={value!r}): {name} must be {rule}")


def _share(owner: str, name: str, value: float) -> None:
    """Refuse anything but a number from 0 up to, not including, 1."""
    rule = "a number from 0 up to, not including, 1"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{owner}({name}={value!r}): {name} must be {rule}")
    if not 0 <= value < 1:
        raise ValueError(f"{owner}({name}={value!r}): {name} must be {rule}")


@dataclass(frozen=True)
class Optimizer:
    """What all optimizers share; use SGD, Adam or AdamW."""

    kind: ClassVar[str] = ""
    learning_rate: float

    @property
    def moments(self) -> int:
        """How many numbers per weight the optimizer remembers from step to step."""
        return 2

    def to_config(self) -> dict[str, object]:
        """Return the settings as plain values, for records and reports."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum and weight decay as in PyTorch.

    `learning_rate` is the highest rate of the schedule; `weight_decay` is added to the
    gradient as weight_decay times the weight. Raises ValueError for values out of range.
    Source: torch.optim.SGD (dampening 0).

    >>> SGD(0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9, nesterov=False, weight_decay=0.0)
    """

    learning_rate: float
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    kind: ClassVar[str] = "sgd"

    @property
    def moments(self) -> int:
        """One where there is momentum, else none."""
        return 1 if self.momentum else 0

    def __post_init__(self) -> None:
        _number("SGD", "learning_rate", self.learning_rate, positive=True)
        _share("SGD", "momentum", self.momentum)
        _number("SGD", "weight_decay", self.weight_decay)
        if self.nesterov and self.momentum == 0:
            raise ValueError(
                "SGD(nesterov=True) needs momentum above 0 but gets 0; "
                "add momentum=0.9 or drop nesterov"
            )


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam with bias correction; its weight decay is added to the gradient.

    `betas` are the two decay rates of the running means, `epsilon` is added to the
    root. Raises ValueError for values out of range.
    Source: Kingma and Ba, 2015; torch.optim.Adam.

    >>> Adam(learning_rate=0.002).betas
    (0.9, 0.999)
    """

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    kind: ClassVar[str] = "adam"

    def __post_init__(self) -> None:
        owner = type(self).__name__
        _number(owner, "learning_rate", self.learning_rate, positive=True)
        if not isinstance(self.betas, tuple) or len(self.betas) != 2:
            raise TypeError(
                f"{owner}(betas={self.betas!r}): betas must be a pair of numbers"
            )
        for beta in self.betas:
            _share(owner, "betas", beta)
        _number(owner, "epsilon", self.epsilon, positive=True)
        _number(owner, "weight_decay", self.weight_decay)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam whose weight decay shrinks the weights directly, not through the gradient.

    Arguments as Adam's. Raises ValueError for values out of range.
    Source: Loshchilov and Hutter, 2019; torch.optim.AdamW.

    >>> AdamW(0.001).weight_decay
    0.01
    """

    weight_decay: float = 0.01

    kind: ClassVar[str] = "adamw"
