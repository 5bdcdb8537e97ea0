"""Gabor functions and edges fitted to filters: found where they are, and only there."""

import numpy as np
import pytest

from striate import ShapeError
from striate.explain.gabor import _bounds, _gabors, _starts, fit_gabors
from striate.explain.orientation import edge_fits, orientation_spread


def gabor(
    height: int,
    width: int,
    angle: float,
    *,
    frequency: float = 0.2,
    phase: float = 0.0,
    spread: tuple[float, float] = (1.6, 2.4),
) -> np.ndarray:
    """A Gabor function whose crests lie at `angle` degrees, counter-clockwise."""
    rows, columns = np.mgrid[:height, :width]
    right, up = columns - (width - 1) / 2, (height - 1) / 2 - rows
    radians = np.radians(angle)
    along = right * np.cos(radians) + up * np.sin(radians)
    across = -right * np.sin(radians) + up * np.cos(radians)
    wave = np.cos(2 * np.pi * frequency * across + np.radians(phase))
    return wave * np.exp(-0.5 * ((across / spread[0]) ** 2 + (along / spread[1]) ** 2))


def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Degrees between orientations, of which 0 and 180 are the same."""
    return np.abs((one - other + 90) % 180 - 90)


@pytest.mark.parametrize("shape", [(7, 7), (9, 11)])
@pytest.mark.parametrize("phase", [0, 90, 40])
def test_a_gabor_function_is_found_again(shape: tuple[int, int], phase: float) -> None:
    angles = np.arange(0, 180, 17.0)
    fits = fit_gabors([gabor(*shape, angle, phase=phase) for angle in angles])
    assert fits.explained.min() > 0.9999
    assert apart(fits.orientation, angles).max() < 0.5
    np.testing.assert_allclose(fits.frequency, 0.2, atol=0.005)
    np.testing.assert_allclose(fits.phase, phase, atol=2)
    middle = (np.array(shape) - 1) / 2
    np.testing.assert_allclose(fits.center - middle, 0, atol=0.05)
    np.testing.assert_allclose(fits.spread, [[1.6, 2.4]] * len(angles), rtol=0.05)


def test_what_is_explained_is_that_of_the_fitted_functions() -> None:
    filters = np.random.default_rng(0).standard_normal((5, 7, 7))
    fits = fit_gabors(filters)
    error = np.square(filters - fits.fitted).sum((1, 2))
    variance = np.square(filters - filters.mean((1, 2), keepdims=True)).sum((1, 2))
    np.testing.assert_allclose(fits.explained, 1 - error / variance, rtol=1e-9)


@pytest.mark.parametrize(("side", "low", "high"), [(5, 0.42, 0.55), (9, 0.19, 0.23)])
def test_noise_is_explained_in_part_and_the_less_the_larger_it_is(
    side: int, low: float, high: float
) -> None:
    # Of 5 x 5 it is 0.485, of 9 x 9 0.21, and deviates among forty by 0.016 and 0.006.
    noise = np.random.default_rng(1).standard_normal((40, side, side))
    assert low < fit_gabors(noise).explained.mean() < high


def test_noise_on_a_gabor_function_is_not_explained() -> None:
    random = np.random.default_rng(2)
    angles = np.arange(0, 180, 15.0)
    clean = np.stack([gabor(9, 9, angle, phase=90) for angle in angles])
    noisy = clean + clean.std() * random.standard_normal(clean.shape)
    fits = fit_gabors(noisy)
    assert 0.4 < fits.explained.mean() < 0.75  # half of the variance is noise
    assert apart(fits.orientation, angles).max() < 15


@pytest.mark.parametrize("factor", [1e-300, 1e-12, -3.0, 1e12, -1e300])
def test_the_scale_and_sign_of_a_filter_do_not_matter(factor: float) -> None:
    filters = np.random.default_rng(3).standard_normal((4, 5, 5))
    fits, scaled = fit_gabors(filters), fit_gabors(factor * filters)
    np.testing.assert_allclose(scaled.explained, fits.explained, atol=1e-6)
    np.testing.assert_allclose(scaled.fitted / factor, fits.fitted, atol=1e-3)
    edges, edges_scaled = edge_fits(filters), edge_fits(factor * filters)
    np.testing.assert_allclose(edges_scaled.explained, edges.explained, atol=1e-12)


def test_a_constant_filter_has_nothing_to_explain() -> None:
    filters = np.stack([np.zeros((5, 5)), np.full((5, 5), 0.3), gabor(5, 5, 30)])
    for fits in (fit_gabors(filters), edge_fits(filters)):
        assert np.isnan(fits.explained).tolist() == [True, True, False]


def test_the_slopes_of_a_gabor_function_are_its_differences() -> None:
    point = np.array([[3.1, 2.7, 0.4, 0.7, 0.9, 0.17, 0.8, -0.6]])
    slopes = _gabors(point, 7, 6)[1][0]
    step = 1e-6
    for place, slope in enumerate(slopes):
        nudge = step * np.eye(8)[place]
        up, down = (_gabors(point + sign * nudge, 7, 6)[0][0] for sign in (1, -1))
        np.testing.assert_allclose((up - down) / (2 * step), slope, atol=1e-8)


@pytest.mark.parametrize("fit", [fit_gabors, edge_fits])
def test_filters_that_are_none_are_refused(fit) -> None:
    with pytest.raises(ShapeError, match=r"filters of shape \(C, H, W\)"):
        fit(np.zeros((2, 1, 5, 5)))
    with pytest.raises(ShapeError, match=r"filters of shape \(C, H, W\)"):
        fit(np.zeros((0, 5, 5)))
    with pytest.raises(ValueError, match="must be finite"):
        fit(np.full((1, 5, 5), np.nan))


def test_filters_with_hardly_more_numbers_than_the_function_are_refused() -> None:
    with pytest.raises(ShapeError, match="at least 5x5 but gets 3x3; edge_fits serves"):
        fit_gabors(np.ones((4, 3, 3)))
    with pytest.raises(ShapeError, match="at least 2x2 but gets 1x3"):
        edge_fits(np.ones((4, 1, 3)))


# ------------------------------------------------------------------------------- edges


@pytest.mark.parametrize("shape", [(3, 3), (5, 4)])
def test_a_plane_is_an_edge_and_is_found_whole(shape: tuple[int, int]) -> None:
    angles = np.arange(0, 180, 22.5)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    planes = [
        7 - columns * np.sin(np.radians(angle)) - rows * np.cos(np.radians(angle))
        for angle in angles
    ]
    fits = edge_fits(planes)
    np.testing.assert_allclose(fits.explained, 1)
    assert apart(fits.orientation, angles).max() < 1e-6


def test_of_noise_as_much_is_an_edge_as_chance_says() -> None:
    noise = np.random.default_rng(4).standard_normal((4000, 3, 3))
    fits = edge_fits(noise)
    assert fits.chance == 0.25
    # The share is Beta(1, 3): standard deviation 0.19, of the mean of 4000 0.003.
    assert abs(fits.explained.mean() - 0.25) < 0.012


# ------------------------------------------------------------------ how they are spread


def test_orientations_without_a_favourite_pass_rayleighs_test() -> None:
    random = np.random.default_rng(5)
    found = [orientation_spread(random.uniform(0, 180, 20)).p_value for _ in range(400)]
    # p is uniform: below 0.05 in 5 of 100, give or take 1.1.
    assert 0.015 < np.mean(np.array(found) < 0.05) < 0.085


def test_orientations_around_one_are_one_sided_and_counted() -> None:
    degrees = [170, 175, 5, 0, 179, 2, 10, 174]
    spread = orientation_spread(degrees, parts=4)
    assert spread.counts.tolist() == [8, 0, 0, 0]
    assert spread.resultant > 0.95
    assert spread.p_value < 0.001


def test_a_spread_of_nothing_is_refused() -> None:
    with pytest.raises(ShapeError, match="at least one"):
        orientation_spread([])
    with pytest.raises(ValueError, match="must be finite"):
        orientation_spread([1.0, np.nan])


# ------------------------------------------------------------------------------ oracle


@pytest.mark.oracle
def test_scipy_finds_no_better_functions() -> None:
    """From the same starts, within the same bounds, on noise, which is the hardest."""
    optimize = pytest.importorskip("scipy.optimize")
    noise = np.random.default_rng(6).standard_normal((6, 7, 7))
    targets = noise.reshape(6, -1)
    starts, (low, high) = _starts(targets, 7, 7), _bounds(7, 7)
    ours = np.square(noise - fit_gabors(noise).fitted).sum((1, 2))
    for target, own_starts, error in zip(targets, starts, ours, strict=True):
        best = min(
            2
            * optimize.least_squares(
                lambda point, target=target: _gabors(point[None], 7, 7)[0][0] - target,
                np.clip(start, low + 1e-9, high - 1e-9),
                lambda point: _gabors(point[None], 7, 7)[1][0].T,
                (low, high),
                x_scale="jac",
            ).cost
            for start in own_starts
        )
        assert error <= best + 0.01 * np.square(target).sum()
