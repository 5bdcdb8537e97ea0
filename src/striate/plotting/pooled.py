"""What pooling makes of maps: each beside the one it came from (M5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arguments import spell
from ..errors import UsageError
from ..pooling import AvgPool2D, MaxPool2D
from ..resolve import find_layer
from .figure import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..network import Network

_MOST_MAPS = 8


def pooled_figure(
    network: Network, image: object, layer: str | int = "pool1", title: str = ""
) -> Figure:
    """Draw the maps that enter a pooling layer above those that leave it.

    All are drawn as large, pixel by pixel, dark where they are low; a map and what
    became of it share their shades. Of more than 8 maps the first ones are drawn.

    Arguments:
        image: one, H,W,C, or 1,H,W,C, as `Network.activations` takes them.
        layer: a MaxPool2D or AvgPool2D, by name or index.

    Raises UsageError for another layer, and without matplotlib.
    """
    one = find_layer(network.resolved, layer)
    if not isinstance(one.layer, MaxPool2D | AvgPool2D):
        known = [
            other.name
            for other in network.resolved
            if isinstance(other.layer, MaxPool2D | AvgPool2D)
        ]
        raise UsageError(
            f"pooled_figure shows what a pooling layer does, but {one.name} is "
            f"{one.layer!r}; the pooling layers are {', '.join(known) or 'none'}."
        )
    pixels = np.asarray(image)
    pixels = pixels[None] if pixels.ndim == 3 else pixels
    source = one.inputs[0]
    after = network.activations(pixels, one.index)[0]
    if source < 0:
        before = network.prepared(pixels)[0]
    else:
        before = network.activations(pixels, source)[0]
    count = min(_MOST_MAPS, after.shape[2])
    figure = new_figure(1.5 * count + 0.6, 3.6)
    if title:
        figure.suptitle(title, fontsize="medium", parse_math=False)
    rows = figure.subplots(2, count, squeeze=False)
    for row, maps in zip(rows, (before, after), strict=True):
        for channel, axes in enumerate(row):
            low, high = before[..., channel].min(), before[..., channel].max()
            axes.imshow(maps[..., channel], cmap="gray", vmin=low, vmax=high)
            axes.set_xticks([])
            axes.set_yticks([])
        row[0].set_ylabel(spell(maps.shape[:2]), fontsize="medium")
    return figure
