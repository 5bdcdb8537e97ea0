"""Data: the parts of a data set, by what they are for."""

from __future__ import annotations

from dataclasses import dataclass

from ..images.fitting import Fit
from ..images.preprocess import Preprocessing
from .dataset import Dataset
from .listing import PARTS
from .splits import Split
from .survey import Survey


@dataclass(frozen=True, eq=False)
class Data:
    """The images of a run, by what they are for, and how they came to be so.

    Arguments:
        training, validation, test: the parts; None where there is none.
        fit, ground: how files of other sizes are fitted, and what transparent ones are
            laid on (None: the images were not read from files).
        survey: what was found, and what the user should know about it.
        split: what the model remembers of a split by content; None where it was given.
        names: what each image is called, those of training first, then validation,
            then test; empty for named data sets and IDX.
    """

    training: Dataset
    validation: Dataset | None
    test: Dataset | None
    survey: Survey
    fit: Fit = "pad"
    ground: int | None = None
    split: Split | None = None
    names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the data are called."""
        return self.training.name or "data"

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of all images."""
        height, width = self.training.images.shape[1:3]
        return height, width

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for RGB."""
        channels: int = self.training.images.shape[3]
        return channels

    def parts(self) -> dict[str, Dataset]:
        """The parts there are, by name."""
        parts = dict(
            zip(PARTS, (self.training, self.validation, self.test), strict=True)
        )
        return {name: part for name, part in parts.items() if part is not None}

    def preprocessing(self, input_shape: tuple[int, int, int]) -> Preprocessing:
        """How files become what a network of this input takes, as these images did."""
        return Preprocessing.measure(
            self.training.images, input_shape, fit=self.fit, ground=self.ground
        )

    def part_names(self, part: str) -> tuple[str, ...]:
        """What the images of a part are called, in their order."""
        first = 0
        for name, dataset in self.parts().items():
            if name == part:
                return self.names[first : first + len(dataset)]
            first += len(dataset)
        return ()
