"""The progress of training: lines for logs, a bar for terminals."""

import contextlib
import io
from typing import Any

import pytest

from striate.commands.progress import ProgressLine
from striate.training.callbacks import Progress


class Screen(io.StringIO):
    """Counts how often something is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def write(self, text: str) -> int:
        self.writes += bool(text.strip())
        return super().write(text)


def progress(epoch: int, step: int, **changes: Any) -> Progress:
    values = {"loss": 0.5, "accuracy": 0.87654, "images_per_second": 41_234.0}
    return Progress(epoch, 12, step, 10, **(values | {"seconds_left": 83.0} | changes))


def test_a_log_gets_one_line_an_epoch() -> None:
    log = Screen()
    with ProgressLine(log, live=False) as line:
        for epoch in (1, 2):
            for step in range(1, 11):
                line.on_steps_end(progress(epoch, step))
            line.on_epoch_end(epoch, {"val_accuracy": 0.8 + epoch / 100})
    assert log.getvalue() == (
        "epoch  1/12  loss 0.5000  accuracy 87.65 %  validation 81.00 %  "
        "41,234 images/s  1:23 left\n"
        "epoch  2/12  loss 0.5000  accuracy 87.65 %  validation 82.00 %  "
        "41,234 images/s  1:23 left\n"
    )


def test_a_terminal_is_redrawn_ten_times_a_second_at_most() -> None:
    now = 0.0
    screen = Screen()
    line = ProgressLine(screen, live=True, clock=lambda: now)
    for step in range(1, 1001):  # a second of a thousand reports, an epoch a tenth
        now = step / 1000
        line.on_steps_end(progress(1 + step // 101, 1 + step % 10))
        if step % 100 == 0:
            line.on_epoch_end(step // 100, {"val_accuracy": 0.9})
    assert 9 <= screen.writes <= 10
    assert "\n" not in screen.getvalue()


def test_a_terminal_shows_one_line_and_keeps_its_last_state() -> None:
    screen = Screen()
    times = iter([0.0, 1.0, 1.01])
    with ProgressLine(screen, live=True, clock=lambda: next(times)) as line:
        line.on_steps_end(progress(6, 10))
        line.on_epoch_end(6, {"val_accuracy": 0.875})
        line.on_steps_end(progress(12, 5))
        line.on_steps_end(progress(12, 10, seconds_left=0.0))
    first, second, last = screen.getvalue().split("\r")[1:]
    assert first.rstrip() == (
        "epoch  6/12  loss 0.5000  accuracy 87.65 %  41,234 images/s  1:23 left"
    )
    assert "validation 87.50 %" in second
    assert last.rstrip() == (
        "epoch 12/12  loss 0.5000  accuracy 87.65 %  validation 87.50 %  0:00 left"
    )
    assert len(last) == 80  # 79 columns of a stream without a width, and the new line


@pytest.mark.parametrize(
    ("columns", "validation", "shown"),
    [
        (
            120,
            0.875,
            (
                "epoch  1/12  loss 0.5000  accuracy 87.65 %  validation 87.50 %  "
                "41,234 images/s  1:23 left"
            ),
        ),
        (61, 0.875, "epoch  1/12  accuracy 87.65 %  validation 87.50 %  1:23 left"),
        (60, None, "epoch  1/12  loss 0.5000  accuracy 87.65 %  1:23 left"),
        (40, 0.875, "epoch  1/12  loss 0.5000  1:23 left"),
        (25, None, "epoch  1/12  1:23 left"),
        (15, None, "epoch  1/12"),
        (5, None, ""),
    ],
)
def test_what_matters_least_is_left_out_where_it_does_not_fit(
    columns: int,
    validation: float | None,
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ProgressLine, "_width", lambda _: columns - 1)
    screen = Screen()
    with ProgressLine(screen, live=True) as line:
        line.on_epoch_end(0, {} if validation is None else {"val_accuracy": validation})
        line.on_steps_end(progress(1, 10))
    assert screen.getvalue() == 2 * f"\r{shown:{columns - 1}}" + "\n"


def test_the_line_ends_after_an_error_too() -> None:
    screen = Screen()
    line = ProgressLine(screen, live=True)
    with contextlib.suppress(KeyboardInterrupt), line:
        line.on_steps_end(progress(1, 4))
        raise KeyboardInterrupt
    assert screen.getvalue().split("\r")[-1].endswith("\n")
    assert "epoch  1/12" in screen.getvalue()


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "0:00 left"), (59.7, "1:00 left"), (7_322.0, "2:02:02 left")],
)
def test_times_read_as_on_a_clock(seconds: float, shown: str) -> None:
    log = Screen()
    line = ProgressLine(log, live=False)
    line.on_steps_end(progress(1, 10, seconds_left=seconds))
    line.on_epoch_end(1, {"loss": 0.25, "accuracy": 0.9})
    assert log.getvalue().endswith(f"images/s  {shown}\n")


def test_a_time_not_known_yet_is_left_out() -> None:
    log = Screen()
    line = ProgressLine(log, live=False)
    line.on_steps_end(progress(1, 10, seconds_left=float("inf")))
    line.on_epoch_end(1, {"loss": 0.25, "accuracy": 0.9})
    assert log.getvalue().endswith("41,234 images/s\n")
