"""The settings of reading: how images are fitted and split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..arguments import Pair, both, number_or_pair
from ..errors import UsageError
from ..images.fitting import FITS, Fit
from ..images.preprocess import MAX_SIDE
from .splits import SplitRule

Color = Literal["auto", "grey", "rgb"]
COLORS: tuple[Color, ...] = ("auto", "grey", "rgb")
SHARE = 0.1  # of the images that validate, and of those that test, where not told


@dataclass(frozen=True)
class Reading:
    """How images are read, fitted and split; None is for what the data decide.

    Arguments:
        size: (height, width) in pixels that all images are brought to; one number is for
            both and stored as such a pair.
        fit: "pad" keeps the aspect and fills up with the border's colour, "crop" keeps
            it and cuts off, "stretch" gives it up.
        color: "grey", "rgb", or "auto": grey where all pixels are.
        validation: share of the training images that validates where no part is given
            to it; 0 for none. By default a tenth of folders, arrays and tables, none of
            named data sets and IDX, nor with `train_per_class`.
        test_share: share of all images that tests where no part is given; 0 for none.
            By default a tenth.
        train_per_class: so many images of each class train, or validate where a share
            for that is given, and all others test.
        group: regular expression; images whose names give the same match (its first
            group, if it has one) stay in one part. It is searched in the file's name,
            or, with a slash in it, in the path below the folder.
        strict: an image that cannot be read is an error.
        cache: keep the decoded images for the next run.
        seed: of the splits.

    Raises ValueError for values that mean nothing, TypeError for a size of no numbers.

    >>> Reading(size=24).size
    (24, 24)
    """

    size: Pair | None = None
    fit: Fit = "pad"
    color: Color = "auto"
    validation: float | None = None
    test_share: float | None = None
    train_per_class: int | None = None
    group: str | None = None
    strict: bool = False
    cache: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size is not None:
            size = both(number_or_pair("Reading", "size", self.size))
            if max(size) > MAX_SIDE:
                raise ValueError(
                    f"Reading: size can be at most {MAX_SIDE} pixels a side but is "
                    f"{self.size!r}"
                )
            object.__setattr__(self, "size", size)
        if self.fit not in FITS:
            raise ValueError(f"fit must be one of {FITS} but is {self.fit!r}")
        if self.color not in COLORS:
            raise ValueError(f"color must be one of {COLORS} but is {self.color!r}")
        if self.train_per_class and self.test_share is not None:
            raise UsageError(
                "test_share and train_per_class contradict each other: all images that "
                "do not train test; leave one of them out"
            )
        self.rule(SHARE)

    def rule(self, validation: float) -> SplitRule:
        """The rule of splits, with a default share for validation."""
        given = self.validation
        return SplitRule(
            validation=validation if given is None else given,
            test=SHARE if self.test_share is None else self.test_share,
            train_per_class=self.train_per_class,
            seed=self.seed,
        )
