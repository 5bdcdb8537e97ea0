"""What a network's layers are for, in numbers held against chance.

Where feature maps peak, whether that is one place, and whether they tell classes apart:
the lecture's M9, a hierarchy from edges over parts to whole objects, as something that
can turn out to be false.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arguments import spell, whole_number
from ..engine.randomness import check_seed
from ..engine.weights import Doubles
from ..errors import ShapeError
from ..network import Network
from ..receptive import receptive_field
from .patches import TopPatches
from .statistics import of_unit_size

Places = NDArray[np.intp]


def patch_centers(network: Network, patches: TopPatches) -> Doubles:
    """Return where the top patches of a layer's C maps have their middles, (C, k, 2).

    Row and column in pixels of the network's input, the first pixel's own middle being
    0; NaN where there are fewer images. What padding covers counts as well, so middles of
    neighbours are always a jump apart. Raises UsageError where the network lacks the
    layer.
    """
    points = _centers(network, patches.layer, patches.rows, patches.columns)
    points[patches.images < 0] = np.nan
    return points


def unit_centers(network: Network, layer: str | int) -> Doubles:
    """Return where all units of a layer's map could have theirs, (units, 2).

    Raises UsageError, naming the layers there are, for one there is not.

    >>> from striate import Conv2D, MaxPool2D
    >>> unit_centers(Network([Conv2D(1, 3, padding=1), MaxPool2D(2)], (2, 4, 1)), 1)
    array([[0.5, 0.5],
           [0.5, 2.5]])
    """
    rows, columns = np.indices(receptive_field(network, layer).units).reshape(2, -1)
    return _centers(network, layer, rows, columns)


def _centers(
    network: Network, layer: str | int, rows: Places, columns: Places
) -> Doubles:
    field = receptive_field(network, layer)
    places = np.stack([rows, columns], axis=-1)
    centers: Doubles = np.array(field.center) + places * np.array(field.jump)
    return centers


@dataclass(frozen=True, eq=False)
class Concentration:
    """How near to each other the points of each of C maps lie, against chance."""

    distance: Doubles
    """(C,) mean distance of a map's points to their centre; NaN below two points."""
    chance: Doubles
    """(C,) the mean of that for as many points drawn at random."""
    p_value: Doubles
    """(C,) how often random points lie as near to each other; NaN below two points."""


def concentration(
    points: ArrayLike,
    places: ArrayLike | None = None,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Concentration:
    """Compare how the points of maps, (C, k, 2), lie together with random ones.

    Random points are drawn, each as likely, from `places` (P, 2), such as
    `unit_centers`: then chance is a map that may peak anywhere. By default they are
    drawn from the points of all maps together: then it is a map that peaks where any
    other does, and what is more than chance is a place of its own. Points that are
    not there are NaN. Raises ShapeError for other shapes.

    >>> there = np.zeros((1, 5, 2)), np.full((1, 5, 2), 9.0)
    >>> found = concentration(np.concatenate(there))
    >>> found.distance, (found.p_value < 0.1).tolist()
    (array([0., 0.]), [True, True])
    """
    draws = whole_number("concentration", "draws", draws, minimum=1)
    given = np.asarray(points, np.float64)
    if given.ndim != 3 or given.shape[2] != 2:
        raise ShapeError(
            "concentration needs points of shape (C, k, 2), k rows and columns for each "
            f"map, but gets {spell(given.shape)}."
        )
    pool = given.reshape(-1, 2) if places is None else np.asarray(places, np.float64)
    if pool.ndim != 2 or pool.shape[1] != 2:
        raise ShapeError(
            f"concentration needs places of shape (P, 2) but gets {spell(pool.shape)}."
        )
    pool = pool[np.isfinite(pool).all(axis=1)]
    there: NDArray[np.bool_] = np.isfinite(given.sum(axis=2))
    enough = there.sum(axis=1) >= 2
    distance, chance, p_value = np.full((3, len(given)), np.nan)
    if not len(pool):
        return Concentration(distance, chance, p_value)
    random = np.random.default_rng(check_seed(seed))
    for place in np.flatnonzero(enough).tolist():
        own = given[place, there[place]]
        distance[place] = _spread(own)
        drawn = _spread(pool[random.integers(0, len(pool), (draws, len(own)))])
        chance[place] = drawn.mean()
        as_near = (drawn <= distance[place] * (1 + 1e-12)).sum()
        p_value[place] = (1 + as_near) / (1 + draws)  # the points are one draw
    return Concentration(distance, chance, p_value)


def _spread(points: Doubles) -> Doubles:
    """Mean distance to the centre of points (..., k, 2)."""
    apart = points - points.mean(axis=-2, keepdims=True)
    mean: Doubles = np.hypot(apart[..., 0], apart[..., 1]).mean(axis=-1)
    return mean


@dataclass(frozen=True, eq=False)
class Selectivity:
    """How well each of C numbers tells the classes of images apart, against chance."""

    explained: Doubles
    """(C,) share of the variance over images that their class explains, 0 to 1 (eta
    squared); NaN where nothing varies."""
    chance: Doubles
    """(C,) the mean of that with labels shuffled."""
    p_value: Doubles
    """(C,) how often as much is explained with labels shuffled; NaN as above."""
    favourite: NDArray[Any]
    """(C,) the label of the class with the largest mean."""
    distance: Doubles
    """(C,) d': by how much the favourite's mean is above that of all others, in
    standard deviations within the two."""
    chance_distance: Doubles
    """(C,) the mean of that with labels shuffled, of what is then the favourite."""


def selectivity(
    values: ArrayLike, labels: ArrayLike, *, draws: int = 200, seed: int = 0
) -> Selectivity:
    """Compare what classes explain of values (N, C) with what shuffled labels do.

    `labels` are N integers or strings. Values may be the largest activations of maps,
    for images that were not trained on. Raises ShapeError where shapes do not fit
    together or there are fewer than two classes, ValueError where values are not
    finite.
    Source: R. Fisher, "Statistical Methods for Research Workers", 1925, for eta squared.

    >>> found = selectivity([[1.0, 1], [1, 2], [3, 1], [3, 2]], ["a", "a", "b", "b"])
    >>> found.explained, found.favourite
    (array([1., 0.]), array(['b', 'a'], dtype='<U1'))
    """
    draws = whole_number("selectivity", "draws", draws, minimum=1)
    given, names = np.asarray(values, np.float64), np.asarray(labels)
    if given.ndim != 2 or names.shape != given.shape[:1]:
        raise ShapeError(
            "selectivity needs values of shape (N, C) and N labels but gets "
            f"{given.shape} and {names.shape}."
        )
    if not np.isfinite(given).all():
        raise ValueError("selectivity: the values must be finite numbers.")
    classes, own = np.unique(names, return_inverse=True)
    if len(classes) < 2:
        raise ShapeError(
            f"selectivity needs two classes at least but the {len(names)} labels have "
            f"{len(classes)}."
        )
    given, _ = of_unit_size(given, axis=0)  # all that is told are ratios
    # A sum over a class is a product with its indicator, whatever the order of labels.
    members = np.eye(len(classes))[own]
    centred = np.where(np.ptp(given, axis=0) > 0, given - given.mean(axis=0), 0.0)
    random = np.random.default_rng(check_seed(seed))
    explained, favourite, distance = _told_apart(centred, members)
    beaten, chance, chance_distance = np.zeros((3, given.shape[1]))
    for _ in range(draws):
        drawn, _, drawn_distance = _told_apart(centred, random.permutation(members))
        beaten += drawn >= explained - 1e-12
        chance += drawn / draws
        chance_distance += drawn_distance / draws
    p_value = np.where(np.isnan(explained), np.nan, (1 + beaten) / (1 + draws))
    return Selectivity(
        explained, chance, p_value, classes[favourite], distance, chance_distance
    )


def _told_apart(centred: Doubles, members: Doubles) -> tuple[Doubles, Places, Doubles]:
    """Return eta squared, the favourite class and its d' for values of mean 0."""
    count, sizes = len(centred), members.sum(axis=0)[:, None]
    sums, squares = members.T @ centred, members.T @ np.square(centred)
    total = squares.sum(axis=0)
    total[total == 0] = np.nan
    means = sums / sizes
    explained = (sums * means).sum(axis=0) / total
    favourite = means.argmax(axis=0)
    at = favourite, np.arange(centred.shape[1])
    size, mean = sizes[favourite, 0], means[at]
    others = -sums[at] / (count - size)  # all sums together are 0
    within = total - size * mean**2 - (count - size) * others**2
    deviation = np.sqrt(np.maximum(within, 0) / max(count - 2, 1))
    with np.errstate(divide="ignore"):
        distance = (mean - others) / deviation
    return explained, favourite, distance
