"""Learning-rate schedules: the rate of any step of a run, known before it begins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SCHEDULES = ("constant", "step", "cosine", "one-cycle")

_WARM_UP_SHARE = 0.3  # of the steps, spent rising to the base rate
_START_DIVISOR = 25.0  # a one-cycle run starts at base / 25 ...
_END_DIVISOR = 1e4  # ... and ends at a ten-thousandth of that


def learning_rates(
    schedule: str, base: float, step: NDArray[np.float64], total: int
) -> NDArray[np.float64]:
    """Return the learning rate of some steps of a run, float64 of their shape.

    Steps count from 0 to below `total`, T, and may lie between whole ones. `base` is the
    highest rate of the run. The schedules are
    "constant": base throughout;
    "step": base, then a tenth from half of the run on and a hundredth from three
    quarters on (PyTorch's MultiStepLR with milestones ceil(T/2) and ceil(3T/4));
    "cosine": base (1 + cos(pi t / T)) / 2 (CosineAnnealingLR stepped per batch);
    "one-cycle": from base / 25 up to base in the first 0.3 T steps and down to
    base / 250,000, both along half a cosine (OneCycleLR with its defaults, but the
    momentum is not cycled, and a run of a single step takes base itself).
    Raises ValueError for an unknown schedule. Source: Smith and Topin, 2018, for
    one-cycle; Loshchilov and Hutter, 2017, for cosine.

    >>> learning_rates("step", 0.1, np.array([2.0, 3.0]), total=4).round(4)
    array([0.01 , 0.001])
    """
    if schedule not in SCHEDULES:
        raise ValueError(
            f"schedule must be one of {', '.join(SCHEDULES)} but is {schedule!r}"
        )
    if schedule == "cosine":
        return base * (1 + np.cos(np.pi * step / total)) / 2
    if schedule == "step":
        return base * 0.1 ** ((2 * step >= total).astype(int) + (4 * step >= 3 * total))
    if schedule == "constant" or total <= 1:
        return np.full_like(step, base)
    start = base / _START_DIVISOR
    peak = _WARM_UP_SHARE * total - 1
    # Where the peak lies before the first step (fewer than four steps) there is no
    # rise; 1 then only stands in for a divisor that is not used.
    rising = _half_cosine(start, base, step / (peak if peak > 0 else 1))
    falling = _half_cosine(
        base, start / _END_DIVISOR, (step - peak) / (total - 1 - peak)
    )
    return np.where(step <= peak, rising, falling)


def _half_cosine(
    start: float, end: float, share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Go from start to end along half a cosine, as `share` goes from 0 to 1."""
    return end + (start - end) / 2 * (1 + np.cos(np.pi * share))
