"""How training went: loss, accuracy and learning rate over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..colors import FIRST, SECOND, THIRD
from .figure import new_figure, plain_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def training_curves(history: Mapping[str, Sequence[float]], title: str = "") -> Figure:
    """Draw the history of `fit` as curves over the epochs.

    Loss on a logarithmic scale and accuracy, each while training (solid) and on the
    validation images (dashed), and the learning rate at the end of each epoch. Raises
    UsageError without matplotlib.
    """
    from matplotlib.ticker import PercentFormatter

    figure = new_figure(10, 3.4)
    if title:
        figure.suptitle(title, fontsize="medium", parse_math=False)
    loss, accuracy, rate = figure.subplots(1, 3, width_ratios=(1, 1, 0.75))
    _pair(loss, history, "loss", "loss (cross-entropy)")
    losses = [*history.get("loss", ()), *history.get("val_loss", ())]
    if losses and min(losses) > 0:
        loss.set_yscale("log")
    _pair(accuracy, history, "accuracy", "accuracy")
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    accuracy.set_ylim(top=min(1.01, accuracy.get_ylim()[1]))  # there is no 104 %
    _curve(rate, history.get("learning_rate", ()), THIRD, "-", "")
    rate.set_title("learning rate", fontsize="medium")
    rate.set_ylim(bottom=0)
    return figure


def _pair(
    axes: Axes, history: Mapping[str, Sequence[float]], name: str, title: str
) -> None:
    _curve(axes, history.get(name, ()), FIRST, "-", "training")
    if held := history.get(f"val_{name}"):
        _curve(axes, held, SECOND, "--", "validation")
        axes.legend(frameon=False)
    axes.set_title(title, fontsize="medium")


def _curve(
    axes: Axes, values: Sequence[float], color: str, style: str, label: str
) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs = range(1, len(values) + 1)
    marker = "o" if len(values) <= 12 else ""
    axes.plot(epochs, values, style, marker=marker, markersize=4, color=color)
    axes.lines[-1].set_label(label)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    plain_axes(axes)
