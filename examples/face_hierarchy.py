"""Edges, parts, whole faces? Measure what each layer of a face network is for.

    python examples/face_hierarchy.py FOLDER [--splits 5] [-o PICTURES] [--json]

FOLDER is that of faces.py, whose networks are trained anew. All figures are of the test
images, and stand beside chance and beside the same network with the weights it began
with. Places are those of the ORL faces, which fill their pictures alike. What was found
is in docs/faces.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from faces import choice_for, error_of, fit, percent, read_split, whole_number

import striate as st
from striate.explain import (
    TopPatches,
    concentration,
    edge_fits,
    fit_gabors,
    orientation_spread,
    patch_centers,
    selectivity,
    top_patches,
    unit_centers,
)
from striate.plotting import figure as plotting

PATCHES = 9  # of each map that are looked at, every one of another person
SURE = 0.05  # p value below which a map counts as more than chance
MOSTLY = 2 / 3  # of a map's patches have to be in one part of the face

# Boxes as shares of the picture: top, left, bottom, right. What is in none of them is
# skin inside of FACE, and else the outline: hair, ears, chin and what is behind.
PARTS = {
    "eyes": (0.32, 0.15, 0.54, 0.85),  # and brows
    "nose": (0.54, 0.35, 0.68, 0.65),
    "mouth": (0.68, 0.28, 0.84, 0.72),
}
FACE = (0.15, 0.12, 0.92, 0.88)
REGIONS = (*PARTS, "skin", "outline")

TRAINED, BEGUN = "trained", "as it began"
PLAIN = {"pixels seen": ".0f", "maps": ".0f", "distance": ".1f", "d'": ".1f"}
"""The figures that are no shares, and their format."""

TABLES = {
    "where the top patches of a map lie": (
        "pixels seen",
        "maps",
        "distance",
        "a place of its own",
        "mostly in one part",
    ),
    "in which region the top patches lie": REGIONS,
    "who is in the picture": (
        "explained by the person",
        "d'",
        "for one person alone",
        "error of nearest neighbours",
    ),
}
"""The figures by what they are about."""

CHANCE = " by chance"

Layers = dict[str, dict[str, float]]
"""Figures by layer and name."""

Spreads = dict[str, dict[str, tuple[float, float]]]
"""Their means and standard deviations over the splits."""


# ------------------------------------------------------------------------- networks


def as_it_began(network: st.Network, data: st.Data) -> st.Network:
    """Return a network with the weights with which this one began.

    Its normalisation has seen the training images, without which maps would be active
    everywhere or nowhere: it is trained at a rate too low to change a weight.
    """
    twin = st.Network(network.layers, network.input_shape, network.seed)
    still = st.SGD(1e-12, momentum=0, weight_decay=0)
    fit(twin, data, network.seed, epochs=10, optimizer=still, schedule="constant")
    return twin


def with_kernels(network: st.Network, kernel: int) -> st.Network:
    """Return the same network, with kernels of another size in its first layer."""
    first, *others = network.layers
    larger = st.Conv2D(first.filters, kernel, first.stride, kernel // 2, bias=False)
    return st.Network([larger, *others], network.input_shape, network.seed)


def first_filters(network: st.Network) -> np.ndarray:
    """Return the filters of the first convolution, (C, H, W)."""
    return network.weights["conv1.weight"].mean(axis=1)


# ----------------------------------------------------------------- what layers are for


def region_of(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return which of REGIONS points (..., 2) lie in, as its number."""
    share = (points + 0.5) / size

    def inside(box: tuple[float, float, float, float]) -> np.ndarray:
        return ((share >= box[:2]) & (share < box[2:])).all(axis=-1)

    found = np.where(inside(FACE), REGIONS.index("skin"), REGIONS.index("outline"))
    for name, box in PARTS.items():
        found[inside(box)] = REGIONS.index(name)
    return found


def folded(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Lay the right half of the picture on the left: both eyes are one part."""
    middle = (size[1] - 1) / 2
    return np.stack([points[..., 0], np.abs(points[..., 1] - middle)], axis=-1)


def one_a_person(ranked: TopPatches, people: np.ndarray) -> TopPatches:
    """Keep of all images, ranked by a map, the best ones of different people.

    A person's photographs are much alike, and would be one finding told five times.
    What is 0 behind a ReLU is no finding at all.
    """
    count = min(PATCHES, len(np.unique(people)))
    firsts = [np.unique(people[row], return_index=True)[1] for row in ranked.images]
    ranks = np.sort(firsts, axis=1)[:, :count]
    kept = {
        name: np.take_along_axis(getattr(ranked, name), ranks, axis=1)
        for name in ("values", "images", "rows", "columns")
    }
    kept["images"][kept["values"] <= 0] = -1
    boxes = np.take_along_axis(ranked.boxes, ranks[:, :, None], axis=1)
    return replace(ranked, boxes=boxes, **kept)


def ranked_images(network: st.Network, data: st.Data) -> dict[str, TopPatches]:
    """Rank all test images by each map of what leaves the convolutions' ReLUs."""
    layers = [one.name for one in network.resolved if isinstance(one.layer, st.ReLU)]
    return top_patches(network, data.test.images, layers, k=len(data.test))


def layers_of(network: st.Network, data: st.Data) -> Layers:
    """Measure what every layer is for, on the test images."""
    people, size = data.test.labels, data.size
    found = {}
    for layer, ranked in ranked_images(network, data).items():
        points = patch_centers(network, one_a_person(ranked, people))
        there = np.isfinite(points[:, :, 0])
        units = unit_centers(network, layer)
        near = concentration(folded(points, size), folded(units, size))
        own = concentration(folded(points, size))
        regions = np.where(there, region_of(points, size), -1)
        counts = np.array([(regions == place).sum(1) for place in range(len(REGIONS))])
        by_chance = np.bincount(region_of(units, size), minlength=len(REGIONS))
        mostly = counts[: len(PARTS)].max(axis=0) >= MOSTLY * there.sum(axis=1)
        maxima = np.empty(ranked.values.shape[::-1])
        maxima[ranked.images.T, np.arange(len(points))] = ranked.values.T
        told = selectivity(maxima, people)
        best = people[ranked.images[:, : np.bincount(people).min()]]
        alive = there.any(axis=1)
        found[layer] = {
            "pixels seen": max(st.receptive_field(network, layer).size),
            "maps": len(points),
            "dead": 1 - alive.mean(),
            "distance": np.nanmean(near.distance),
            "distance" + CHANCE: np.nanmean(near.chance),
            "a place of its own": (own.p_value[alive] < SURE).mean(),
            **dict(zip(REGIONS, counts.sum(axis=1) / there.sum(), strict=True)),
            **{
                name + CHANCE: share / len(units)
                for name, share in zip(REGIONS, by_chance, strict=True)
            },
            "mostly in one part": mostly[alive].mean(),
            "mostly in one part" + CHANCE: mostly_by_chance(by_chance / len(units)),
            "explained by the person": np.nanmean(told.explained),
            "explained by the person" + CHANCE: np.nanmean(told.chance),
            "d'": np.nanmean(told.distance),
            "d'" + CHANCE: np.nanmean(told.chance_distance),
            "for one person alone": (best == best[:, :1]).all(axis=1).mean(),
            "error of nearest neighbours": nearest_neighbour(network, layer, data),
        }
    return found


def mostly_by_chance(shares: np.ndarray) -> float:
    """Return how often as many of nine units drawn at random lie in one part."""
    drawn = np.random.default_rng(0).multinomial(PATCHES, shares, 100_000)
    return float((drawn[:, : len(PARTS)].max(axis=1) >= MOSTLY * PATCHES).mean())


def told_by_grey(data: st.Data) -> float:
    """Return how much of what pictures differ in mean grey the person explains."""
    greys = data.test.images.mean(axis=(1, 2))
    return float(selectivity(greys, data.test.labels).explained.mean())


def nearest_neighbour(network: st.Network, layer: str, data: st.Data) -> float:
    """Return the error of looking test images up among those of training, by a layer."""
    known, asked = (
        network.activations(part.images, layer).reshape(len(part), -1)
        for part in (data.training, data.test)
    )
    apart = np.square(known).sum(axis=1) - 2 * asked @ known.T
    nearest = data.training.labels[apart.argmin(axis=1)]
    return float((nearest != data.test.labels).mean())


# ------------------------------------------------------------------ what filters are


def smooth_noise(filters: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return noise whose weights agree with their neighbours as those of filters do.

    Gabor functions are smooth: what they explain of smooth filters is no merit yet.
    """
    count, height, width = filters.shape
    room = (2 * height, 2 * width)  # so that no place is its own neighbour

    def products(maps: np.ndarray) -> np.ndarray:
        """Sums of products of values some rows and columns apart, over all maps."""
        power = np.square(np.abs(np.fft.fft2(maps, room))).sum(axis=0)
        return np.fft.ifft2(power).real

    pairs = np.maximum(products(np.ones_like(filters)), 0.5)
    centred = filters - filters.mean(axis=(1, 2), keepdims=True)
    agreement = products(centred / centred.std(axis=(1, 2), keepdims=True)) / pairs
    rows, columns = np.indices((height, width)).reshape(2, -1)
    down, right = rows[:, None] - rows, columns[:, None] - columns
    values, vectors = np.linalg.eigh(agreement[down, right])
    drawn = random.standard_normal((count, height * width))
    drawn = drawn * np.sqrt(np.maximum(values, 0)) @ vectors.T
    return drawn.reshape(filters.shape)


def filters_found(filters: dict[str, np.ndarray], seed: int) -> dict[str, object]:
    """Fit edges and Gabor functions to filters, and to the same weights shuffled."""
    random = np.random.default_rng(seed)
    trained = filters[TRAINED]
    flat = random.permuted(trained.reshape(len(trained), -1), axis=1)
    filters = filters | {
        "trained, weights shuffled": flat.reshape(trained.shape),
        "noise as smooth as trained": smooth_noise(trained, random),
        "noise": random.standard_normal(trained.shape),
    }
    found = {}
    for name, one in filters.items():
        fits = edge_fits(one) if one.shape[1] < 5 else fit_gabors(one)
        spread = orientation_spread(fits.orientation)
        found[name] = {
            "filters": len(one),
            "explained": float(fits.explained.mean()),
            "deviation": float(fits.explained.std()),
            "least": float(fits.explained.min()),
            "orientations": spread.counts.tolist(),
            "resultant": spread.resultant,
            "p_value": spread.p_value,
        }
    return found


# --------------------------------------------------------------------------- all of it


def measure(options: argparse.Namespace) -> dict[str, object]:
    """Train on every split, measure, and return all that was found."""
    layers: dict[str, list[Layers]] = {TRAINED: [], BEGUN: []}
    filters: dict[int, dict[str, list[np.ndarray]]] = {}
    errors: dict[int, list[float]] = {}
    greys = []
    for number in range(options.seed, options.seed + options.splits):
        data = read_split(options.folder, number)
        greys.append(told_by_grey(data))
        choice = choice_for(data, number, options.width)
        recipe = choice.fit_options(flip="horizontal")
        networks = {first_filters(choice.network).shape[1]: choice.network}
        networks.setdefault(
            options.kernel, with_kernels(choice.network, options.kernel)
        )
        for side, network in networks.items():
            begun = as_it_began(network, data)
            fit(network, data, number, **recipe)
            errors.setdefault(side, []).append(error_of(network, data))
            both = filters.setdefault(side, {TRAINED: [], BEGUN: []})
            both[TRAINED].append(first_filters(network))
            both[BEGUN].append(first_filters(begun))
            if network is choice.network:
                layers[TRAINED].append(layers_of(network, data))
                layers[BEGUN].append(layers_of(begun, data))
                if options.output:
                    draw_places(network, data, options.output)
        if options.output:
            draw_filters(networks[options.kernel], options.output)
        said = (
            f"{percent(found[-1])} ({side}x{side})" for side, found in errors.items()
        )
        done = number - options.seed + 1
        print(f"split {done} of {options.splits}: {', '.join(said)} wrong", flush=True)
    return {
        "splits": options.splits,
        "errors": errors,
        "explained of the mean grey": float(np.mean(greys)),
        "layers": {name: over_splits(found) for name, found in layers.items()},
        "filters": {
            side: filters_found(
                {name: np.concatenate(parts) for name, parts in both.items()}, side
            )
            for side, both in filters.items()
        },
    }


def over_splits(found: Sequence[Layers]) -> Spreads:
    """Return mean and standard deviation of every figure of every layer."""
    several = len(found) > 1
    return {
        layer: {
            name: (
                float(np.mean(values)),
                float(np.std(values, ddof=1)) if several else 0.0,
            )
            for name in figures
            for values in [[one[layer][name] for one in found]]
        }
        for layer, figures in found[0].items()
    }


def layer_tables(layers: dict[str, Spreads]) -> str:
    """Return what was found of layers, as tables in Markdown."""
    names = list(layers[TRAINED])
    lines = []
    for title, figures in TABLES.items():
        lines += ["", f"| {title} | {' | '.join(names)} |"]
        lines += ["|---" * (1 + len(names)) + "|"]
        for figure in figures:
            rows = {figure: (TRAINED, figure)}
            if figure not in ("pixels seen", "maps"):
                rows[f"… {BEGUN}"] = BEGUN, figure
            if figure + CHANCE in layers[TRAINED][names[0]]:
                rows[f"…{CHANCE}"] = TRAINED, figure + CHANCE
            for words, (network, key) in rows.items():
                cells = [cell(key, *layers[network][name][key]) for name in names]
                lines.append(f"| {words} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(name: str, mean: float, deviation: float) -> str:
    """Write a figure with its deviation, shares as per cent."""
    plain = PLAIN.get(name.removesuffix(CHANCE))
    form, factor, unit = (plain, 1, "") if plain else (".0f", 100, " %")
    text = f"{factor * mean:{form}}"
    spread = f"{factor * deviation:{form}}"
    same = not deviation or name.endswith(CHANCE)
    return text + unit if same else f"{text} ± {spread}{unit}"


def filter_table(found: dict[str, dict[str, float]]) -> str:
    """Return what was found of filters, as a table in Markdown."""
    lines = [
        "| filters | n | explained | least | orientations | R | p |",
        "|---" * 7 + "|",
    ]
    for name, one in found.items():
        explained = f"{100 * one['explained']:.0f} ± {100 * one['deviation']:.0f} %"
        counts = " ".join(map(str, one["orientations"]))
        p_value = f"{one['p_value']:.2g}" if one["p_value"] > 0.001 else "≤ 0.001"
        lines.append(
            f"| {name} | {one['filters']} | {explained} | {100 * one['least']:.0f} % | "
            f"{counts} | {one['resultant']:.2f} | {p_value} |"
        )
    return "\n".join(lines)


# --------------------------------------------------------------------------- pictures


def draw_places(network: st.Network, data: st.Data, folder: Path) -> None:
    """Draw where each layer's top patches lie, on the mean of the test faces."""
    found = ranked_images(network, data)
    height, width = data.size
    figure = plotting.new_figure(2.4 * len(found), 3.4)
    grid = figure.subplots(1, len(found), squeeze=False)
    for axes, (layer, ranked) in zip(grid.flat, found.items(), strict=True):
        points = patch_centers(network, one_a_person(ranked, data.test.labels))
        axes.imshow(data.test.images.mean(axis=(0, 3)), cmap="gray")
        for top, left, bottom, right in (*PARTS.values(), FACE):
            rows = height * np.array([top, top, bottom, bottom, top]) - 0.5
            columns = width * np.array([left, right, right, left, left]) - 0.5
            axes.plot(columns, rows, color="white", linewidth=0.7)
        # Middles of coarse maps lie on top of each other: move them a little apart.
        moved = points + np.random.default_rng(0).uniform(-0.6, 0.6, points.shape)
        for own in moved:
            axes.plot(own[:, 1], own[:, 0], "o", markersize=2.5)
        axes.set_title(f"{layer}: {len(points)} maps", fontsize="small")
        axes.set_axis_off()
    plotting.write_png(figure, folder / "places.png")


def draw_filters(network: st.Network, folder: Path) -> None:
    """Draw the first layer's filters above the Gabor functions nearest to them."""
    filters = first_filters(network)
    fits = fit_gabors(filters)
    figure = plotting.new_figure(1.2 * len(filters), 2.8)
    grid = figure.subplots(2, len(filters), squeeze=False)
    for column, (own, fitted) in enumerate(zip(filters, fits.fitted, strict=True)):
        limit = np.abs(own).max()
        for axes, one in zip(grid[:, column], (own, fitted), strict=True):
            axes.imshow(one, cmap="gray", vmin=-limit, vmax=limit)
            axes.set_axis_off()
        title = f"{fits.orientation[column]:.0f}°, {100 * fits.explained[column]:.0f} %"
        grid[1, column].set_title(title, fontsize="small")
    plotting.write_png(figure, folder / "filters.png")


def main() -> None:
    """Read the command line, measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", help="a folder of images for each person in it")
    parser.add_argument(
        "--splits", type=whole_number(1), default=5, help="how often to draw [5]"
    )
    parser.add_argument(
        "--seed", type=whole_number(0), default=0, help="of the first split [0]"
    )
    parser.add_argument(
        "--width", type=whole_number(1), help="maps of the first layer [by the images]"
    )
    parser.add_argument(
        "--kernel",
        type=whole_number(5),
        default=7,
        help="side of the larger kernels that Gabor functions are fitted to [7]",
    )
    parser.add_argument(
        "-o", dest="output", type=Path, help="a folder for pictures (of your faces)"
    )
    parser.add_argument("--json", action="store_true", help="end in a line of JSON")
    options = parser.parse_args()
    if not options.kernel % 2:
        parser.error(f"--kernel must be odd, to have a middle, but is {options.kernel}")
    try:
        if options.output:
            plotting.new_figure(1, 1)  # says now what is missing for pictures
            options.output.mkdir(parents=True, exist_ok=True)
        found = measure(options)
    except (st.StriateError, OSError) as error:
        sys.exit(f"Error: {error}")
    print(layer_tables(found["layers"]))
    grey = percent(found["explained of the mean grey"])
    print(f"\nexplained by the person of a picture's mean grey: {grey}")
    for side, filters in found["filters"].items():
        kind = "edges" if side < 5 else "Gabor functions"
        print(f"\n{kind}, filters of {side}x{side}\n\n{filter_table(filters)}")
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
