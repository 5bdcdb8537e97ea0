"""Images, and beside each which of its pixels decided, by any number of methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..colors import FIRST, GRID, SECOND
from ..errors import DataError, ShapeError
from ..images.fitting import centred
from .figure import new_figure, safe_name
from .pixels import draw_pixels

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

MOST_IMAGES = 24
MOST_MAPS = 12
INK = 0.4  # how dark the image is behind its map, at most
OUTLIERS = 99.5  # per cent of a map's pixels that its colors tell apart


def attributions_figure(
    images: NDArray[np.uint8],
    maps: Mapping[str, ArrayLike],
    labels: Sequence[object] = (),
    title: str = "",
    meaning: tuple[str, str] = ("against the class", "for the class"),
) -> Figure:
    """Draw images, a row each, and beside each its map by every method.

    Blue is below 0 and orange above it, white is 0, and every map has a scale of its
    own: its largest magnitude, but for 0.5 % outliers, has full colour. Where a map says
    little the image shows through. Values of several channels are added up.

    Arguments:
        images: uint8 N,h,w,C, N from 1 to 24; where they are smaller than the maps
            they are centred in them, as in a network's input.
        maps: what every method is called, and what it found: N,H,W or N,H,W,C of any
            H and W.
        labels: what stands beside each image, N or none.
        meaning: in words, what is below 0 and what is above.

    Raises UsageError without matplotlib, ShapeError or DataError for maps that do not
    fit the images or are not finite.
    """
    flat = {name: _one_number_a_pixel(name, found) for name, found in maps.items()}
    _check(images, flat)
    count, height, width = images.shape[:3]
    size = (
        max([height, *(one.shape[1] for one in flat.values())]),
        max([width, *(one.shape[2] for one in flat.values())]),
    )
    side = 1.6 if len(flat) < 7 else 1.3  # inches of an image's longer side
    tall, wide = (side * one / max(size) for one in size)
    columns = 1 + len(flat)
    beside = 0.09 * max([0, *(len(safe_name(label)) for label in labels)])
    wide = max(wide, 0.8)
    inches = count * (tall + 0.1) + (1.2 if title else 1.0)
    figure = new_figure(max(columns * (wide + 0.1) + beside + 0.2, 4.2), inches)
    # Of headings in two lines the upper one would touch the edge.
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - 0.1 / inches))
    if title:
        figure.suptitle(title, fontsize="medium", parse_math=False)
    grid = figure.subplots(count, columns, squeeze=False)
    colors = _colors()
    for row, image in enumerate(images):
        shade = _shade(image, size)
        _bare(grid[row, 0], size)
        draw_pixels(grid[row, 0], image, _extent(image.shape, size))
        for axes, found in zip(grid[row, 1:], flat.values(), strict=True):
            _bare(axes, size)
            _draw_map(axes, found[row], shade, colors)
        if len(labels):
            grid[row, 0].set_ylabel(
                safe_name(labels[row]),
                rotation=0,
                ha="right",
                va="center",
                fontsize="small",
                parse_math=False,
            )
    for axes, name in zip(grid[0], ["image", *flat], strict=True):
        axes.set_title(_folded(name), fontsize="small", parse_math=False)
    if flat:
        _legend(figure, grid, colors, meaning)
    return figure


def _one_number_a_pixel(name: str, found: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(found, np.float64)
    if array.ndim == 4:
        array = array.sum(axis=3)
    if array.ndim != 3 or 0 in array.shape:
        raise ShapeError(
            f"the map {name!r} must be N,H,W or N,H,W,C but has shape "
            f"{np.asarray(found).shape}."
        )
    if not np.isfinite(array).all():
        raise DataError(f"the map {name!r} holds NaN or infinity and cannot be drawn.")
    return array


def _check(images: NDArray[np.uint8], maps: Mapping[str, NDArray[Any]]) -> None:
    if images.ndim != 4 or images.dtype != np.uint8:
        raise ShapeError(
            f"images must be uint8 N,H,W,C but are {images.dtype} of shape "
            f"{images.shape}."
        )
    if not 1 <= len(images) <= MOST_IMAGES or len(maps) > MOST_MAPS:
        raise ShapeError(
            f"a picture shows 1 to {MOST_IMAGES} images with at most {MOST_MAPS} maps, "
            f"but there are {len(images)} with {len(maps)}; draw fewer at once."
        )
    for name, found in maps.items():
        if len(found) != len(images):
            raise ShapeError(
                f"the map {name!r} is of {len(found)} images, but {len(images)} are "
                "given; draw those that belong together."
            )


def _bare(axes: Any, size: tuple[int, int]) -> None:
    """An empty frame of the input's size; what an image leaves of it is grey."""
    axes.set_xlim(-0.5, size[1] - 0.5)
    axes.set_ylim(size[0] - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.set_facecolor(GRID)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(GRID)


def _extent(
    shape: tuple[int, ...], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    top, left = centred(shape, size)
    return left - 0.5, left + shape[1] - 0.5, top + shape[0] - 0.5, top - 0.5


def _draw_map(
    axes: Any, found: NDArray[np.float64], shade: NDArray[Any], colors: Colormap
) -> None:
    limit = np.percentile(np.abs(found), OUTLIERS) or np.abs(found).max() or 1.0
    strength = _enlarged(np.clip(found / limit, -1, 1), shade.shape)
    ink = INK * shade * (1 - np.abs(strength))  # colors that say much stay as they are
    painted = colors(strength / 2 + 0.5)[..., :3] * (1 - ink[:, :, None])
    axes.imshow(painted, interpolation="nearest")


def _enlarged(found: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """A coarse map, such as a convolution's, with a number for every pixel of the input."""
    rows, columns = (
        np.arange(side) * own // side
        for side, own in zip(shape, found.shape, strict=True)
    )
    enlarged: NDArray[Any] = found[rows[:, None], columns]
    return enlarged


def _shade(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[Any]:
    """How much ink of the image lies behind its maps, 0 to 1: what is not background."""
    grey = image.mean(axis=2)
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ink = np.abs(grey - np.median(border))
    shade = np.zeros(size)
    top, left = centred(grey.shape, size)
    shade[top : top + len(grey), left : left + grey.shape[1]] = ink / max(ink.max(), 1)
    return shade


def _colors() -> Colormap:
    """From blue over white to orange: two hues that no colour-blindness confuses."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("against-for", [FIRST, "white", SECOND])


def _folded(name: str) -> str:
    """A heading of two words or more in two lines, as its column is narrow."""
    words = safe_name(name, 40).split(" ")
    if len(words) < 2:
        return words[0]
    cuts = range(1, len(words))
    best = min(
        cuts,
        key=lambda cut: max(map(len, (" ".join(words[:cut]), " ".join(words[cut:])))),
    )
    return " ".join(words[:best]) + "\n" + " ".join(words[best:])


def _legend(
    figure: Figure, grid: Any, colors: Colormap, meaning: tuple[str, str]
) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    room = grid.shape[1] > 3
    middle = "0 (every map has a scale of its own)" if room else "0"
    bar = figure.colorbar(
        ScalarMappable(Normalize(-1, 1), colors),
        ax=grid.ravel().tolist(),
        orientation="horizontal",
        fraction=0.05,
        aspect=60,
        pad=0.02,
        ticks=[-1, 0, 1],
    )
    bar.ax.set_xticklabels([meaning[0], middle, meaning[1]], fontsize="small")
    bar.ax.tick_params(length=0)
    bar.outline.set_color(GRID)
    labels = bar.ax.get_xticklabels()
    labels[0].set_horizontalalignment("left")
    labels[-1].set_horizontalalignment("right")
