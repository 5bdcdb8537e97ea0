"""Blocks whose branches are added: the one layer that is made of layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .arguments import spell, store
from .resolve import Layer, Shape, check_layers

DEEPEST = 16
"""Blocks in blocks; keeps all that walks through them far from Python's own limit."""


@dataclass(frozen=True, repr=False)
class Residual(Layer):
    """The sum of what `layers` make of the input and of what `shortcut` makes of it.

    Without a shortcut the input itself is added, which must have the shape that leaves
    the layers (He, Zhang, Ren and Sun, "Deep residual learning for image recognition",
    2016). In a network both branches' layers are counted on and named as all others,
    those of the shortcut last, followed by the sum: add1.

    >>> from striate.layers import Conv2D, ReLU, resolve
    >>> block = Residual([Conv2D(8, 3, padding=1), ReLU()], shortcut=[Conv2D(8, 1)])
    >>> [one.name for one in resolve([block, ReLU()], (16, 16, 3))]
    ['conv1', 'relu1', 'conv2', 'add1', 'relu2']
    """

    kind: ClassVar[str] = "add"
    layers: Sequence[Layer]
    shortcut: Sequence[Layer] = ()

    def __post_init__(self) -> None:
        for name in ("layers", "shortcut"):
            value = getattr(self, name)
            empty = isinstance(value, list | tuple) and not value
            if empty and name == "layers":
                raise ValueError(
                    "Residual: layers must hold at least one layer, not none; without "
                    "any the input would be added to itself."
                )
            store(self, name, () if empty else tuple(check_layers(value)))
        if self.depth > DEEPEST:
            raise ValueError(
                f"Residual: blocks may lie in one another up to {DEEPEST} deep, not "
                f"{self.depth}; put them one after the other."
            )

    @property
    def depth(self) -> int:
        """How many blocks lie in one another, this one counted."""
        layers = (layer for branch in self.branches for layer in branch)
        return 1 + max(
            (layer.depth for layer in layers if isinstance(layer, Residual)), default=0
        )

    @property
    def branches(self) -> tuple[tuple[Layer, ...], ...]:
        return tuple(self.layers), tuple(self.shortcut)

    def joining_problem(self, shape: Shape, ends: Sequence[Shape]) -> str | None:
        main, short = ends
        if main == short:
            return None
        return (
            f"needs the same shape from its layers and its shortcut but gets "
            f"{spell(main)} and {spell(short)}; {_projection(shape, main)}"
        )

    def output_shape(self, shape: Shape) -> Shape:
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return shape

    def to_config(self) -> dict[str, Any]:
        return {"kind": "Residual"} | {
            name: [layer.to_config() for layer in branch]
            for name, branch in zip(("layers", "shortcut"), self.branches, strict=True)
        }

    def __repr__(self) -> str:
        shortcut = f", shortcut={list(self.shortcut)}" if self.shortcut else ""
        return f"Residual({list(self.layers)}{shortcut})"


def _projection(shape: Shape, wanted: Shape) -> str:
    """Say which shortcut brings `shape` to the shape that is wanted."""
    if len(wanted) == 1:
        flatten = "Flatten(), " if len(shape) == 3 else ""
        return f"give shortcut=[{flatten}Dense({wanted[0]})]"
    if len(shape) == 1:
        return "leave Flatten() to what follows"
    strides = []
    for given, length in zip(shape[:2], wanted[:2], strict=True):
        fitting = (s for s in range(1, given + 1) if (given - 1) // s + 1 == length)
        strides.append(next(fitting, None))
    if None in strides:
        return (
            "pad its layers so that the size stays, or give a shortcut that ends in "
            f"{spell(wanted)}"
        )
    down, right = strides
    stride = (
        ""
        if strides == [1, 1]
        else f", stride={down if down == right else (down, right)}"
    )
    return f"give shortcut=[Conv2D({wanted[2]}, 1{stride})]"
