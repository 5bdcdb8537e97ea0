"""The progress of training on a terminal, or in a log."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Self, TextIO

from .streams import columns

if TYPE_CHECKING:
    from ..training.callbacks import Progress

_REDRAW_SECONDS = 0.1


class ProgressLine:
    """A callback of `fit` that says how far training is.

    On a terminal (``live``) one line is redrawn, at most ten times a second; elsewhere
    every epoch gets a line. Used as a context manager it leaves the last state on the
    terminal, also after an error. ``stream`` takes the text; ``clock`` gives seconds.

    >>> import sys
    >>> from striate.training.callbacks import Progress
    >>> with ProgressLine(sys.stdout, live=False) as line:
    ...     line.on_steps_end(Progress(1, 6, 469, 469, 0.31, 0.91, 40_000.0, 7.5))
    ...     line.on_epoch_end(1, {"loss": 0.31, "accuracy": 0.91})
    epoch 1/6  loss 0.3100  accuracy 91.00 %  40,000 images/s  0:08 left
    """

    def __init__(
        self, stream: TextIO, live: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._live = live
        self._clock = clock
        self._drawn = -math.inf
        self._last: Progress | None = None
        self._validation: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._live and self._last is not None:
            self._draw(self._last, end="\n")

    def on_steps_end(self, info: Progress) -> None:
        """Redraw the line, unless that was done less than a tenth of a second ago."""
        self._last = info
        now = self._clock()
        if self._live and now - self._drawn >= _REDRAW_SECONDS:
            self._drawn = now
            self._draw(info)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Leave a line in a log; on a terminal only keep the validation accuracy."""
        self._validation = logs.get("val_accuracy")
        if self._last is not None and not self._live:
            line = _say(self._last, self._validation)
            print(line, file=self._stream, flush=True)

    def _draw(self, info: Progress, end: str = "") -> None:
        """Write over what stands in the terminal's line."""
        width = self._width()
        line = _say(info, self._validation, width)
        self._stream.write(f"\r{line:{width}}{end}")
        self._stream.flush()

    def _width(self) -> int:
        return columns(self._stream)


def _say(info: Progress, validation: float | None, width: float = math.inf) -> str:
    """Say how far training is, leaving out what matters least where it does not fit."""
    left = validated = ""
    if math.isfinite(info.seconds_left):
        left = f"{_duration(info.seconds_left)} left"
    if validation is not None:
        validated = f"validation {100 * validation:.2f} %"
    parts = [  # in the order of the line, with the order in which they are let in
        (0, f"epoch {info.epoch:{len(str(info.epochs))}}/{info.epochs}"),
        (4, f"loss {info.loss:.4f}"),
        (3, f"accuracy {100 * info.accuracy:.2f} %"),
        (2, validated),
        (5, f"{info.images_per_second:,.0f} images/s"),
        (1, left),
    ]
    line = ""
    let_in: set[int] = set()
    for rank in range(len(parts)):
        let_in.add(rank)
        longer = "  ".join(text for at, text in parts if at in let_in and text)
        if len(longer) <= width:
            line = longer
        else:
            let_in.remove(rank)
    return line


def _duration(seconds: float) -> str:
    """Say a time as people read clocks.

    >>> _duration(7.5), _duration(3725)
    ('0:08', '1:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
