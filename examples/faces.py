"""Recognise faces, by the protocol of Lawrence, Giles, Tsoi and Back, 1997.

    python examples/faces.py FOLDER [--json] [--splits 10] [--seed 0]

FOLDER has a folder of images for each person, such as the ORL faces: 40 people, ten
photographs each. Of every person five, drawn at random, train and the others test; that
is repeated, and the mean error is set beside the paper's. Nothing is chosen by the test
images. Each split is what `striate train FOLDER --train-per-class 5 --flip horizontal
--seed N` does. With scikit-learn two of the paper's rivals run on the same splits.

S. Lawrence, C. Giles, A. Tsoi and A. Back, "Face recognition: a convolutional
neural-network approach", IEEE Transactions on Neural Networks 8, 1997.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

import striate as st
from striate.zoo.auto import Choice, choose

TRAIN_PER_PERSON = 5
PAPER = {
    "self-organising map + convolutional network": 0.038,
    "Karhunen-Loeve transform + convolutional network": 0.053,
    "eigenfaces": 0.105,
    "multilayer perceptron": 0.40,
}
"""Errors in 1997, with five images a person to train on."""

COMPONENTS = (10, 20, 40, 80, 160)  # of the eigenfaces, to choose from
HIDDEN = 100  # units of the multilayer perceptron


def read_split(folder: str, seed: int) -> st.Data:
    """Read the images, and draw the five of each person that train."""
    reading = st.Reading(train_per_class=TRAIN_PER_PERSON, seed=seed)
    return st.read_data(folder, reading=reading, quiet=True)


def choice_for(data: st.Data, seed: int, width: int | None = None) -> Choice:
    """Choose the network that `striate train` would choose."""
    training = data.training
    shape = (*data.size, data.channels)
    return choose(shape, len(training.classes), len(training), width=width, seed=seed)


def fit(network: st.Network, data: st.Data, seed: int, **options: object) -> None:
    """Train a network on the training part."""
    network.fit(
        data.training.images,
        data.training.labels,
        seed=seed,
        preprocessing=data.preprocessing(network.input_shape),
        **options,
    )


def error_of(network: st.Network, data: st.Data) -> float:
    """Return the share of test images that a network gets wrong."""
    return 1 - network.score(data.test.images, data.test.labels)


def convolutional_network(data: st.Data, seed: int) -> float:
    """Train and test as `striate train` does."""
    choice = choice_for(data, seed)
    fit(choice.network, data, seed, **choice.fit_options(flip="horizontal"))
    return error_of(choice.network, data)


def eigenfaces(data: st.Data, seed: int) -> float:
    """Return the error of principal components and the nearest neighbour.

    M. Turk and A. Pentland, "Eigenfaces for recognition", 1991. How many components
    is chosen on the training images: each is looked up among the others.
    """
    from sklearn.decomposition import PCA

    known, unknown = pixels(data.training), pixels(data.test)
    most = min(len(known) - 1, known.shape[1])
    counts = [count for count in COMPONENTS if count < most] or [most]
    components = PCA(max(counts), svd_solver="full").fit(known)
    places, asked = components.transform(known), components.transform(unknown)

    def wrong(count: int, among: np.ndarray, labels: np.ndarray, itself: bool) -> float:
        difference = among[:, None, :count] - places[None, :, :count]
        apart = np.square(difference).sum(axis=2)
        if itself:
            np.fill_diagonal(apart, np.inf)
        nearest = apart.argmin(axis=1)
        return float((data.training.labels[nearest] != labels).mean())

    labels = data.training.labels
    best = min(counts, key=lambda count: wrong(count, places, labels, itself=True))
    return wrong(best, asked, data.test.labels, itself=False)


def multilayer_perceptron(data: st.Data, seed: int) -> float:
    """Return the error of a network of one hidden layer on standardised pixels."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    perceptron = MLPClassifier((HIDDEN,), random_state=seed, max_iter=500)
    both = make_pipeline(StandardScaler(), perceptron)
    both.fit(pixels(data.training), data.training.labels)
    return 1 - float(both.score(pixels(data.test), data.test.labels))


def pixels(part: st.Dataset) -> np.ndarray:
    """Return images as rows of numbers from 0 to 1."""
    return part.images.reshape(len(part), -1) / 255


OURS = "convolutional network"
RIVALS: dict[str, Callable[[st.Data, int], float]] = {
    "eigenfaces": eigenfaces,
    "multilayer perceptron": multilayer_perceptron,
}


def measure(folder: str, splits: int, seed: int) -> dict[str, object]:
    """Train and test on every split, saying so, and return all that was found."""
    methods = {OURS: convolutional_network}
    if find_spec("sklearn") is None:
        print(
            "note: eigenfaces and the multilayer perceptron are left out, for they need "
            "scikit-learn: pip install scikit-learn",
            file=sys.stderr,
        )
    else:
        methods |= RIVALS
    errors: dict[str, list[float]] = {name: [] for name in methods}
    seconds = []
    for number in range(splits):
        began = time.perf_counter()
        data = read_split(folder, seed + number)
        if not number:
            describe(data)
        for name, method in methods.items():
            errors[name].append(method(data, seed + number))
            if name == OURS:
                seconds.append(time.perf_counter() - began)
        ours, *others = (f"{name} {percent(errors[name][-1])}" for name in errors)
        line = f"split {number + 1} of {splits}: {ours} in {seconds[-1]:.1f} s"
        print("; ".join([line, *others]), flush=True)
    ours = errors.pop(OURS)
    return {
        **spread(ours),
        "splits": splits,
        "seconds": round(float(np.mean(seconds)), 3),
        "errors": ours,
        "seconds_of_each": [round(one, 3) for one in seconds],
        "seed": seed,
        "others": {name: spread(found) for name, found in errors.items()},
        "paper": PAPER,
    }


def describe(data: st.Data) -> None:
    """Say what was read, and where the protocol asks for something else."""
    training, test = data.training, data.test
    print(
        f"{len(training.classes)} people, {len(training)} images to train, {len(test)} "
        f"to test, {data.size[0]}x{data.size[1]} pixels; errors are of the test images",
        flush=True,
    )
    for note in data.survey.notes:
        print(f"note: {note}", file=sys.stderr)


def spread(errors: list[float]) -> dict[str, float]:
    """Return mean and standard deviation over the splits, 0 for a single one."""
    deviation = float(np.std(errors, ddof=1)) if len(errors) > 1 else 0.0
    return {"mean_error": float(np.mean(errors)), "deviation": deviation}


def table(found: dict[str, object]) -> str:
    """Return the errors here and in 1997 as a table."""
    here = {OURS: found, **found["others"]}
    rows = [("mean error ± deviation here", f"over {found['splits']} splits")]
    rows += [
        (name, f"{percent(one['mean_error'])} ± {percent(one['deviation'])}")
        for name, one in here.items()
    ]
    rows += [("", ""), ("in 1997", "")]
    rows += [(name, percent(error)) for name, error in PAPER.items()]
    return "\n".join(f"{name:50}{value}".rstrip() for name, value in rows)


def percent(share: float) -> str:
    """Write a share as per cent."""
    return f"{100 * share:.2f} %"


def whole_number(least: int) -> Callable[[str], int]:
    """Return what reads a whole number of at least so much from the command line."""

    def read(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"must be at least {least} but is {text}")
        return int(text)

    read.__name__ = "whole number"  # as argparse calls it where it is none
    return read


def main() -> None:
    """Read the command line, measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", help="a folder of images for each person in it")
    parser.add_argument(
        "--splits", type=whole_number(1), default=10, help="how often to draw [10]"
    )
    parser.add_argument(
        "--seed", type=whole_number(0), default=0, help="of the first split [0]"
    )
    parser.add_argument("--json", action="store_true", help="end in a line of JSON")
    options = parser.parse_args()
    try:
        found = measure(options.folder, options.splits, options.seed)
    except st.StriateError as error:
        sys.exit(f"Error: {error}")
    print(f"\n{table(found)}")
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
