"""Numbers beyond all bounds explain nothing."""

from __future__ import annotations

import numpy as np

from ..engine.weights import Doubles, Floats
from ..errors import DataError


def check_finite(numbers: Floats | Doubles, what: str) -> None:
    """Refuse to explain, with DataError, a network whose numbers are not finite."""
    if not np.isfinite(numbers).all():
        raise DataError(
            f"{what} must be finite to be explained but is NaN or infinite for some "
            "image; train the network anew, with a smaller learning rate, or give other "
            "images."
        )
