"""Other classifiers on a network's features, and on raw pixels (the lecture's M8).

    pip install '.[examples]'
    python examples/features.py                                  # some minutes
    python examples/features.py signs/ --group '(.+/[0-9]+)_'

Trains scikit-learn's logistic regression, k-nearest neighbours and multilayer perceptron
on what layers of LeNet-5 make of images, and on the pixels of the same images:

- digits: the ones that come with Striate, and a network trained on the same images;
- new classes: the digits 5 to 9, and a network that has seen only 0 to 4; and the same
  with ten images of each to train the classifiers on;
- with a folder of other images, such as traffic signs: these made grey and as large as
  digits, and a network trained on digits; for comparison the same network untrained, and
  one trained on these images; and the other way round, digits and the last network.

Printed is the share of test images recognised, in per cent, mean and standard deviation
over the seeds. A seed starts networks and perceptrons and draws the ten images; of a
folder it also chooses which images test (a quarter), of digits that is always the
published part.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import striate as st

# What comes before a classifier in LeNet-5: 14x14x6 = 1,176 features, 5x5x16 = 400 (by
# default), and the 84 of the last hidden layer.
LAYERS = ("pool1", "flatten1", "relu4")
ANSWER = "the network's own answer"
UNTRAINED = "untrained network"
FEW = 10  # images of a class
SIDE = 28  # pixels of a digit
EPOCHS = 20

Table = dict[str, dict[str, float]]
"""Accuracy by what is classified, then by the classifier."""


def classifiers(seed: int) -> dict[str, Any]:
    """The classifiers; those that learn weights get inputs of mean 0 and variance 1.

    Neighbours are looked for unscaled: a pixel that is nearly always white would count as
    much as any other. The perceptron has the hidden layers of LeNet-5's head.
    """
    return {
        "logistic regression": make_pipeline(
            StandardScaler(), LogisticRegression(max_iter=3000)
        ),
        "k-NN": KNeighborsClassifier(5),
        "MLP": make_pipeline(
            StandardScaler(), MLPClassifier((120, 84), max_iter=1000, random_state=seed)
        ),
    }


@dataclass(frozen=True, eq=False)
class Task:
    """Images to train and to test classifiers on, uint8 N,28,28,1, with their labels."""

    train: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test: NDArray[np.uint8]
    test_labels: NDArray[np.int64]

    @classmethod
    def of(cls, train: st.Dataset, test: st.Dataset) -> Task:
        return cls(train.images, train.labels, test.images, test.labels)

    def only(self, classes: range) -> Task:
        """The same with the images of some classes only."""
        train = np.isin(self.train_labels, classes)
        test = np.isin(self.test_labels, classes)
        return Task(
            self.train[train],
            self.train_labels[train],
            self.test[test],
            self.test_labels[test],
        )

    def few(self, count: int, seed: int) -> Task:
        """The same with so many images of every class to train on."""
        shuffled = np.random.default_rng(seed).permutation(len(self.train))
        labels = self.train_labels[shuffled]
        taken = [shuffled[labels == one][:count] for one in np.unique(labels)]
        places = np.concatenate(taken)
        return replace(
            self, train=self.train[places], train_labels=self.train_labels[places]
        )

    def network(self, seed: int) -> st.Network:
        """LeNet-5 trained on the training images."""
        classes = np.unique(self.train_labels)
        network = st.lenet5(classes=len(classes), seed=seed)
        labels = np.searchsorted(classes, self.train_labels)
        network.fit(self.train, labels, epochs=EPOCHS, seed=seed)
        return network

    def scores(
        self, train: NDArray[Any], test: NDArray[Any], seed: int
    ) -> dict[str, float]:
        """Train every classifier on rows of numbers, and test it."""
        train, test = (rows.reshape(len(rows), -1) for rows in (train, test))
        found = {}
        with threadpool_limits(1):  # more gain nothing on matrices as small as these
            for name, one in classifiers(seed).items():
                one.fit(train, self.train_labels)
                found[name] = float(one.score(test, self.test_labels))
        return found

    def pixel_scores(self, seed: int) -> dict[str, float]:
        """The classifiers on raw pixels, from 0 to 1."""
        return self.scores(self.train / 255, self.test / 255, seed)

    def feature_scores(
        self, network: st.Network, layer: str, seed: int
    ) -> dict[str, float]:
        """The classifiers on what leaves a layer."""
        train, test = (network.features(x, layer) for x in (self.train, self.test))
        return self.scores(train, test, seed)


def rows(task: Task, networks: Mapping[str, st.Network], seed: int) -> Table:
    """The classifiers on pixels, and on the features of networks by name."""
    table = {"pixels": task.pixel_scores(seed)}
    for name, network in networks.items():
        for layer in LAYERS:
            table[f"{layer}, {name}"] = task.feature_scores(network, layer, seed)
    return table


def on_digits(seeds: range) -> Iterator[tuple[str, list[Table]]]:
    """Yield what needs no other data: each title with its table for every seed."""
    digits = Task.of(*st.load_data("digits"))
    known, new = digits.only(range(5)), digits.only(range(5, 10))
    own, others, few = [], [], []
    for seed in seeds:
        network = digits.network(seed)
        networks = {"network of digits": network, UNTRAINED: st.lenet5(seed=seed)}
        answer = {"softmax": network.score(digits.test, digits.test_labels)}
        own.append(rows(digits, networks, seed) | {ANSWER: answer})
        networks = {"network of 0 to 4": known.network(seed)}
        others.append(rows(new, networks, seed))
        few.append(rows(new.few(FEW, seed), networks, seed))
    yield "digits", own
    yield "digits 5 to 9", others
    yield f"digits 5 to 9, {FEW} of each", few


def on_folder(
    folder: str, group: str | None, seeds: range
) -> Iterator[tuple[str, list[Table]]]:
    """Yield transfer from digits to other images, and back."""
    digits = Task.of(*st.load_data("digits"))
    there, back = [], []
    for seed in seeds:
        reading = st.Reading(
            SIDE, color="grey", validation=0, test_share=0.25, group=group, seed=seed
        )
        data = st.read_data(folder, reading=reading)
        if data.test is None:
            raise st.DataError(f"{data.name} has no image to spare for testing")
        these = Task.of(data.training, data.test)
        own = these.network(seed)
        networks = {
            "network of digits": digits.network(seed),
            UNTRAINED: st.lenet5(seed=seed),
            f"network of {data.name}": own,
        }
        answer = {"softmax": own.score(these.test, these.test_labels)}
        there.append(rows(these, networks, seed) | {ANSWER: answer})
        back.append(rows(digits, {f"network of {data.name}": own}, seed))
    yield f"{data.name}, grey, {SIDE}x{SIDE}", there
    yield "digits", back


def summarised(found: list[Table]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean and standard deviation over the seeds, as shares of 1."""
    return {
        row: {
            name: {
                "mean": float(np.mean([table[row][name] for table in found])),
                "deviation": float(
                    np.std([table[row][name] for table in found], ddof=len(found) > 1)
                ),
            }
            for name in scores
        }
        for row, scores in found[0].items()
    }


def printed(title: str, table: dict[str, dict[str, dict[str, float]]]) -> str:
    """A table as text; what stands alone in its row stands under its own name."""
    columns = list(next(iter(table.values())))
    lines = [f"{title:36}" + "".join(f"{name:>22}" for name in columns)]
    for row, scores in table.items():
        cells = [
            f"{100 * one['mean']:.1f} ± {100 * one['deviation']:.1f}"
            for one in scores.values()
        ]
        lines.append(f"{row:36}" + "".join(f"{cell:>22}" for cell in cells))
    return "\n".join(lines)


def main() -> None:
    """Run the experiments and print their tables."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n\n")[0],
        epilog="Without FOLDER: digits. With it: transfer from digits to its images.",
    )
    parser.add_argument("folder", nargs="?", metavar="FOLDER")
    parser.add_argument("--group", help="keeps images together, as in striate train")
    parser.add_argument("--seeds", type=int, default=5, metavar="N")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    if chosen.seeds < 1:
        parser.error("--seeds must be at least 1")
    if chosen.group and not chosen.folder:
        parser.error("--group belongs to a FOLDER")
    started, results, seeds = time.monotonic(), {}, range(chosen.seeds)
    if chosen.folder:
        experiments = on_folder(chosen.folder, chosen.group, seeds)
    else:
        experiments = on_digits(seeds)
    try:
        for title, found in experiments:
            results[title] = summarised(found)
            if not chosen.json:
                print(printed(title, results[title]), end="\n\n", flush=True)
    except st.StriateError as error:
        parser.exit(3, f"Error: {error}\n")
    seconds = round(time.monotonic() - started, 1)
    if chosen.json:
        values = {"seeds": chosen.seeds, "seconds": seconds, "accuracy": results}
        print(json.dumps(values))
    else:
        print(f"{chosen.seeds} seeds, {seconds:.0f} s")


if __name__ == "__main__":
    main()
