"""The summary of a network: one row a layer, for terminals, notebooks and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .arguments import spell
from .receptive import all_fields, middle
from .resolve import ResolvedLayer, Shape

HEADINGS = (
    *("name", "layer", "output"),
    *("parameters", "multiply-adds", "receptive field", "jump"),
)
"""Titles of the columns: the first three hold words, the others numbers."""

WORDS = 3


@dataclass(frozen=True)
class Row:
    """One layer: what it is, what leaves it, what it costs and what it sees.

    `inputs` are the layers it reads; `statistics` counts numbers that are measured while
    training, not learned. `receptive_field` is the size of what a unit sees; `jump`,
    `start` and `center` are those of `ReceptiveField`.
    """

    name: str
    kind: str
    call: str
    inputs: tuple[str, ...]
    output_shape: Shape
    parameters: int
    statistics: int
    multiply_adds: int
    receptive_field: tuple[int, int]
    jump: tuple[int, int]
    start: tuple[int, int]
    center: tuple[float, float]


@dataclass(frozen=True)
class Summary:
    """A network's layers and totals; printing it gives a table.

    Multiply-adds are per image and count the products of convolutions and dense
    layers. A layer that does not read the one above says which it reads, and the sum of
    a Residual which layers it adds. The receptive field is height x width in pixels, `jump` the step in pixels
    from one unit's field to its neighbour's; all units of a flat layer see the same.

    >>> from striate.layers import Conv2D, Dense, Flatten, ReLU, resolve
    >>> stack = [Conv2D(6, 5, stride=2), ReLU(), Flatten(), Dense(10)]
    >>> print(Summary.of(resolve(stack, (32, 32, 1))))
    name      layer                   output   parameters  multiply-adds  receptive...
    ---...
    input                             32x32x1
    conv1     Conv2D(6, 5, stride=2)  14x14x6         156         29,400       5x5  2
    relu1     ReLU()                  14x14x6                                  5x5  2
    flatten1  Flatten()               1176                                   31x31
    dense1    Dense(10)               10           11,770         11,760     31x31
    ---...
    total                                          11,926         41,160
    47,704 bytes of float32 weights
    """

    input_shape: Shape
    rows: tuple[Row, ...]

    @classmethod
    def of(cls, resolved: Sequence[ResolvedLayer]) -> Summary:
        """Summarize what `resolve` returned."""
        seen = all_fields(resolved)
        names = {-1: "input"} | {one.index: one.name for one in resolved}
        rows = []
        for one, (size, jump, start) in zip(resolved, seen, strict=True):
            inputs = tuple(names[index] for index in one.inputs)
            rows.append(
                Row(
                    name=one.name,
                    kind=type(one.layer).__name__,
                    call=_call(one, inputs),
                    inputs=inputs,
                    output_shape=one.output_shape,
                    parameters=one.parameters,
                    statistics=one.statistics,
                    multiply_adds=one.multiply_adds,
                    receptive_field=size,
                    jump=jump,
                    start=start,
                    center=middle(size, start),
                )
            )
        return cls(resolved[0].input_shape, tuple(rows))

    @property
    def parameters(self) -> int:
        """How many numbers the network learns."""
        return sum(row.parameters for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        """Products of convolutions and dense layers for one image."""
        return sum(row.multiply_adds for row in self.rows)

    @property
    def weight_bytes(self) -> int:
        """Bytes all numbers of the layers take in memory and in a model file."""
        return 4 * (self.parameters + sum(row.statistics for row in self.rows))

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON can hold it: input_shape, layers and totals."""
        layers = [
            {
                key: list(value) if isinstance(value, tuple) else value
                for key, value in asdict(row).items()
            }
            for row in self.rows
        ]
        totals = {
            "layers": len(self.rows),
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "weight_bytes": self.weight_bytes,
        }
        return {
            "input_shape": list(self.input_shape),
            "layers": layers,
            "totals": totals,
        }

    def __str__(self) -> str:
        cells = [HEADINGS, *self._cells(), self._total()]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(_aligned(row, widths)).rstrip() for row in cells]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        weights = f"{self.weight_bytes:,} bytes of float32 weights"
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], weights])

    def _repr_html_(self) -> str:
        """Return the table as notebooks show it."""
        head = _html_row("th", HEADINGS)
        body = "".join(_html_row("td", row) for row in self._cells())
        foot = _html_row("th", self._total())
        return (
            f"<table><thead>{head}</thead><tbody>{body}</tbody>"
            f"<tfoot>{foot}</tfoot></table>"
        )

    def _cells(self) -> list[tuple[str, ...]]:
        first = ("input", "", spell(self.input_shape), "", "", "", "")
        return [first, *map(_row_cells, self.rows)]

    def _total(self) -> tuple[str, ...]:
        totals = (f"{self.parameters:,}", f"{self.multiply_adds:,}")
        return ("total", "", "", *totals, "", "")


def _call(one: ResolvedLayer, inputs: Sequence[str]) -> str:
    """The layer as it is written, and what it reads if that is not the layer above."""
    if len(inputs) > 1:
        return " + ".join(inputs)
    above = one.inputs == (one.index - 1,)
    return repr(one.layer) if above else f"{one.layer!r} of {inputs[0]}"


def _row_cells(row: Row) -> tuple[str, ...]:
    down, right = row.jump
    return (
        row.name,
        row.call,
        spell(row.output_shape),
        f"{row.parameters:,}" if row.parameters else "",
        f"{row.multiply_adds:,}" if row.multiply_adds else "",
        spell(row.receptive_field),
        # All units of a flat layer see the same box: there is no step between them.
        "" if down == 0 else str(down) if down == right else spell(row.jump),
    )


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.ljust(width) if column < WORDS else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]


def _html_row(tag: str, cells: Sequence[str]) -> str:
    from html import escape

    return "<tr>{}</tr>".format(
        "".join(
            f'<{tag} style="text-align:{"left" if column < WORDS else "right"}">'
            f"{escape(cell)}</{tag}>"
            for column, cell in enumerate(cells)
        )
    )
