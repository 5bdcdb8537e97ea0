"""What units see: receptive fields on an image, and how much of them counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import spell
from ..colors import FIRST, SECOND, THIRD
from ..errors import ShapeError
from ..explain.effective import EffectiveField
from ..explain.fields import Box, layer_fields
from ..explain.pixels import input_pixels
from ..images.fitting import centred
from ..spread import spread
from .figure import new_figure, plain_axes, safe_name
from .pixels import draw_pixels, interpolation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..network import Network

MOST_FIELDS = 24
_COLUMNS = 6
_FAINT = 0.25  # of an image's ink that is left where it is only a background


def fields_figure(
    network: Network, image: NDArray[np.uint8] | None = None, title: str = ""
) -> Figure:
    """Draw what every layer's middle unit sees, to scale: one panel a field.

    The box is outlined and the image faint around it; a field that reaches into padding
    goes on as a dashed line. Layers that see the same share a panel; of more than 24
    fields 24 are shown, at even steps of depth. `image`, H,W,C, is one that the network
    takes. Raises UsageError without matplotlib, ShapeError or DataError for images that
    do not fit.
    """
    fields = layer_fields(network)
    if len(fields) > MOST_FIELDS:
        title = f"{title}{': ' if title else ''}{MOST_FIELDS} of {len(fields)} fields"
        fields = spread(fields, MOST_FIELDS)
    input_size = network.input_shape[:2]
    if image is not None:
        image = input_pixels(network, image[np.newaxis])[0]
    columns = min(_COLUMNS, len(fields))
    rows = math.ceil(len(fields) / columns)
    height, width = input_size
    tall = min(max(height / width, 0.5), 2.0)  # a panel against its width
    figure = new_figure(max(1.9 * columns, 4), rows * (1.7 * tall + 0.55) + 0.3)
    figure.set_layout_engine("constrained", h_pad=0.08)
    if title:
        figure.suptitle(title, fontsize="medium", parse_math=False)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, field in zip(grid.flat, fields, strict=False):
        if image is not None:
            _show(axes, input_size, image, _FAINT)
            _show(axes, input_size, image, 1.0, field.box)
        _outline(axes, (0, 0, height, width), THIRD, 0.6, "-")
        _outline(axes, field.box, SECOND, 1.6, "-")
        if field.whole != field.box:
            _outline(axes, field.whole, SECOND, 0.9, (0, (2, 2)))
        _limits(axes, input_size, margin=0.12)
        step = f", step {_both(field.jump)}" if any(field.jump) else ""
        axes.set_title(
            f"{_names(field.layers)}\n{spell(field.size)}{step}",
            fontsize="small",
            parse_math=False,
        )
    return figure


def effective_figure(
    field: EffectiveField, image: NDArray[np.uint8] | None = None, title: str = ""
) -> Figure:
    """Draw an effective receptive field beside the box of all that the unit can see.

    On the left the mean absolute gradient, the darker the more a pixel counts (on a
    square-root scale), the box in blue and an ellipse of two standard deviations; on
    the right the same summed down and across, with the Gaussian of the same mean and
    deviation dashed. `image`, uint8 H,W,C, is drawn faintly behind. Raises UsageError
    without matplotlib.
    """
    from matplotlib.patches import Ellipse

    height, width = field.gradient.shape
    tall = min(max(height / width, 0.5), 2.0)
    figure = new_figure(9.2, max(3.6, 3.9 * tall))
    heading = f"{title}{': ' if title else ''}{safe_name(field.layer)}"
    of = "these" if field.box == field.whole else "those in the image"
    figure.suptitle(
        f"{heading} sees {spell(_size(field.whole))} pixels; 95 % of its gradient is in "
        f"{100 * field.share(0.95):.0f} % of {of}",
        fontsize="medium",
        parse_math=False,
    )
    picture, curves = figure.subplots(1, 2, width_ratios=(1, 1.1))
    if image is not None:
        _show(picture, (height, width), image, _FAINT)
    _heat(picture, field.gradient)
    _outline(picture, (0, 0, height, width), THIRD, 0.6, "-")
    _outline(picture, field.box, FIRST, 1.6, "-")
    (row, column), (down, across) = field.center, field.deviation
    picture.add_patch(
        Ellipse(
            (column + 0.5, row + 0.5),
            4 * across,
            4 * down,
            fill=False,
            edgecolor="black",
            linewidth=1.0,
            linestyle=(0, (2, 2)),
        )
    )
    _limits(picture, (height, width), margin=0.03)
    picture.tick_params(labelsize="small")
    _profiles(curves, field)
    return figure


def _profiles(axes: Axes, field: EffectiveField) -> None:
    """The gradient along both axes, counted from the middle of the field."""
    words, ends = ("down", "across"), []
    for axis, color in ((0, FIRST), (1, SECOND)):
        along = field.gradient.sum(axis=1 - axis)
        along = along / along.sum()
        start, end = field.box[axis], field.box[axis + 2]
        middle = (start + end - 1) / 2
        places = np.arange(len(along)) - middle
        axes.plot(places, along, color=color, linewidth=1.6, label=words[axis])
        mean, deviation = field.center[axis] - middle, field.deviation[axis]
        if deviation > 0:
            fine = np.linspace(places[0], places[-1], 400)
            bell = np.exp(-(((fine - mean) / deviation) ** 2) / 2)
            bell /= deviation * math.sqrt(2 * math.pi)
            axes.plot(fine, bell, color=color, linewidth=1.0, linestyle=(0, (3, 2)))
        reach = (end - start) / 2
        for edge in (-reach, reach):
            axes.axvline(edge, color=color, linewidth=0.8, alpha=0.6)
        ends.append(reach)
    axes.set_xlim(-1.4 * max(ends), 1.4 * max(ends))
    axes.set_xlabel("pixels from the middle of the box (its edges: thin lines)")
    axes.set_ylabel("share of the gradient")
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize="small")
    axes.plot([], [], color=THIRD, linestyle=(0, (3, 2)), label="Gaussian")
    axes.legend(frameon=False, fontsize="small")
    plain_axes(axes)


def _heat(axes: Axes, gradient: NDArray[np.float64]) -> None:
    """One colour, the more opaque the larger the gradient."""
    from matplotlib.colors import to_rgb

    height, width = gradient.shape
    shade = np.empty((height, width, 4))
    shade[..., :3] = to_rgb(SECOND)
    shade[..., 3] = np.sqrt(gradient / gradient.max())
    axes.imshow(
        shade, extent=(0, width, height, 0), interpolation=interpolation(gradient.shape)
    )


def _show(
    axes: Axes,
    input_size: tuple[int, int],
    image: NDArray[np.uint8],
    ink: float,
    box: Box | None = None,
) -> None:
    """Draw an image, or a box of it, at its place in the input, with so much of its ink."""
    if image.ndim != 3 or any(
        given > room for given, room in zip(image.shape, input_size, strict=False)
    ):
        raise ShapeError(
            f"image must be pixels H,W,C of at most {spell(input_size)}, the network's "
            f"input, but has shape {spell(image.shape)}."
        )
    height, width = image.shape[:2]
    top, left = centred((height, width), input_size)
    extent = left, left + width, top + height, top
    drawn = draw_pixels(axes, _faint(image, ink), extent)
    if box is not None:
        from matplotlib.patches import Rectangle

        high, wide = _size(box)
        clip = Rectangle((box[1], box[0]), wide, high, transform=axes.transData)
        drawn.set_clip_path(clip)


def _faint(image: NDArray[np.uint8], ink: float) -> NDArray[np.uint8]:
    return (255 - ink * (255 - image.astype(np.float64))).round().astype(np.uint8)


def _outline(axes: Axes, box: Box, color: str, width: float, style: Any) -> None:
    from matplotlib.patches import Rectangle

    high, wide = _size(box)
    if high and wide:
        axes.add_patch(
            Rectangle(
                (box[1], box[0]),
                wide,
                high,
                fill=False,
                edgecolor=color,
                linewidth=width,
                linestyle=style,
            )
        )


def _limits(axes: Axes, input_size: tuple[int, int], margin: float) -> None:
    """Show the input, with some of the padding around it."""
    height, width = input_size
    room = margin * max(height, width)
    axes.set_xlim(-room, width + room)
    axes.set_ylim(height + room, -room)
    axes.set_aspect("equal")


def _size(box: Box) -> tuple[int, int]:
    top, left, bottom, right = box
    return bottom - top, right - left


def _both(jump: tuple[int, int]) -> str:
    return str(jump[0]) if jump[0] == jump[1] else spell(jump)


def _names(layers: Sequence[str]) -> str:
    """The first and the last of layers that see the same, if they are many."""
    if len(layers) > 2:
        return safe_name(f"{layers[0]} … {layers[-1]}", 24)
    return safe_name(", ".join(layers), 24)
