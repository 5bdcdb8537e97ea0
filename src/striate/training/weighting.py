"""Weights that make up for classes of different sizes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..arguments import real_number, shown
from ..errors import DataError
from ..images.labels import Classes

ClassWeight = str | Mapping[str, float] | Mapping[int, float] | None
"""None, "balanced", or a weight for each class; classes left out weigh 1."""


def class_weighted(
    class_weight: ClassWeight,
    labels: NDArray[np.int32],
    weights: NDArray[np.float32] | None,
    classes: Classes,
) -> NDArray[np.float32] | None:
    """Return the weight of every image, (N,), its class counted in; None for all one.

    "balanced" gives every class the same sum of weights: an image of a class with n of
    all N images in K classes weighs N / (K n), as in scikit-learn. `weights` are the
    images' own, which are multiplied. Raises DataError for classes there are not.

    >>> class_weighted("balanced", np.array([0, 0, 0, 1]), None, ("cat", "dog"))
    array([0.6666667, 0.6666667, 0.6666667, 2.       ], dtype=float32)
    """
    if class_weight is None:
        return weights
    factors = np.ones(len(classes), np.float64)
    if isinstance(class_weight, Mapping):
        places = {name: place for place, name in enumerate(classes)}
        for name, value in class_weight.items():
            if name not in places:
                raise DataError(
                    f"class_weight names {shown(name)} but the classes are "
                    f"{shown(list(classes))}; give weights for these."
                )
            factors[places[name]] = real_number("class_weight", str(name), value)
    elif class_weight == "balanced":
        counts = np.bincount(labels, weights, minlength=len(classes))
        present = counts > 0
        factors[present] = counts.sum() / (present.sum() * counts[present])
    else:
        raise ValueError(
            "class_weight must be None, 'balanced' or a mapping of classes to weights, "
            f"not {shown(class_weight)}."
        )
    if factors.min() < 0:
        raise ValueError(f"class_weight must be at least 0, not {factors.min():g}.")
    own = factors[labels] if weights is None else factors[labels] * weights
    if not own.any():
        raise DataError(
            "class_weight leaves every image without weight; give a class that occurs "
            "a weight above 0."
        )
    return own.astype(np.float32)
