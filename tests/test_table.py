"""The summary table, and LeNet-5 in it."""

from __future__ import annotations

import json
import time
from html.parser import HTMLParser
from typing import Any

from striate.layers import Conv2D, Dense, Flatten, resolve
from striate.receptive import receptive_field
from striate.table import Summary
from striate.zoo import lenet5

LENET5_TABLE = """\
name      layer          output    parameters  multiply-adds  receptive field  jump
-----------------------------------------------------------------------------------
input                    32x32x1
conv1     Conv2D(6, 5)   28x28x6          156        117,600              5x5     1
relu1     ReLU()         28x28x6                                          5x5     1
pool1     MaxPool2D(2)   14x14x6                                          6x6     2
conv2     Conv2D(16, 5)  10x10x16       2,416        240,000            14x14     2
relu2     ReLU()         10x10x16                                       14x14     2
pool2     MaxPool2D(2)   5x5x16                                         16x16     4
flatten1  Flatten()      400                                            32x32
dense1    Dense(120)     120           48,120         48,000            32x32
relu3     ReLU()         120                                            32x32
dense2    Dense(84)      84            10,164         10,080            32x32
relu4     ReLU()         84                                             32x32
dense3    Dense(10)      10               850            840            32x32
-----------------------------------------------------------------------------------
total                                  61,706        416,520
246,824 bytes of float32 weights"""


def test_a_deep_network_is_summarized_in_one_walk() -> None:
    deep = resolve([Conv2D(1, 3, padding=1)] * 4000 + [Flatten()], (3, 3, 1))
    began = time.perf_counter()
    rows = Summary.of(deep).rows
    assert time.perf_counter() - began < 1  # 16 million steps would take many
    assert [row.receptive_field for row in rows[:2]] == [(3, 3), (5, 5)]
    assert rows[-2].receptive_field == (8001, 8001)
    assert (rows[-1].receptive_field, rows[-1].jump) == ((8003, 8003), (0, 0))
    for row in (rows[1], rows[-1]):
        field = receptive_field(deep, row.name)
        assert (row.receptive_field, row.jump) == (field.size, field.jump)


def test_m7_lenet5_as_a_table() -> None:
    text = str(lenet5().summary())
    assert text == LENET5_TABLE
    assert max(map(len, text.splitlines())) <= 88


def test_m7_lenet5_as_json() -> None:
    summary = json.loads(json.dumps(lenet5().summary().to_dict()))
    assert summary["input_shape"] == [32, 32, 1]
    assert summary["totals"] == {
        "layers": 12,
        "parameters": 61_706,
        "multiply_adds": 416_520,
        "weight_bytes": 246_824,
    }
    assert summary["layers"][3] == {
        "name": "conv2",
        "kind": "Conv2D",
        "call": "Conv2D(16, 5)",
        "inputs": ["pool1"],
        "output_shape": [10, 10, 16],
        "parameters": 2_416,
        "statistics": 0,
        "multiply_adds": 240_000,
        "receptive_field": [14, 14],
        "jump": [2, 2],
        "start": [0, 0],
        "center": [6.5, 6.5],
    }


def test_unequal_axes_are_written_out() -> None:
    resolved = resolve([Conv2D(4, (5, 3), stride=(1, 2))], (32, 32, 3))
    row = str(Summary.of(resolved)).splitlines()[3]
    assert row.split()[-5:] == ["28x15x4", "184", "75,600", "5x3", "1x2"]


class Cells(HTMLParser):
    """Collects the text of every table cell and the balance of tags."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.rows[-1][-1] += data


def test_notebooks_show_the_same_cells() -> None:
    resolved = resolve([Conv2D(4, 5, padding="same"), Flatten(), Dense(2)], (9, 9, 1))
    summary = Summary.of(resolved)
    markup = summary._repr_html_()
    assert "padding=&#x27;same&#x27;" in markup
    parser = Cells()
    parser.feed(markup)
    assert not parser.open
    assert {len(row) for row in parser.rows} == {7}
    shown = [" ".join(filter(None, row)).split() for row in parser.rows]
    lines = str(summary).splitlines()
    written = [line.split() for line in lines[:-1] if not line.startswith("-")]
    assert shown == written
