"""Which network for which images: by their size and number, and told why."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..arguments import spell
from ..layers import Conv2D
from ..network import Network
from ..receptive import receptive_field
from ..training.augmentation import Augmentation, Level
from .modern import vgg

WIDTHS = (64, 48, 32, 24, 16, 12, 8)
"""Channels of the first stage, widest first; the first that is quick enough is taken."""

LABEL_SMOOTHING = 0.1
"""Share of every label spread over all classes, in training a chosen network."""

_FEWEST_EPOCHS, _MOST_EPOCHS = 8, 200
_MANY_EPOCHS = 10  # from which on images may be changed by more than little
_PATIENT = 2  # times as often as by default, where the user gives the time
# Operations of a multiply-add in training: two each forward and for two gradients.
_OPERATIONS = 6
# What a run may cost, so that two processor cores need seconds for hundreds of images
# and a few minutes for any number.
_OPERATIONS_AN_IMAGE, _MOST_OPERATIONS = 6e9, 1.5e13


@dataclass(frozen=True)
class Choice:
    """A network chosen for a set of images, and for how many epochs it is trained."""

    network: Network
    width: int
    epochs: int

    def fit_options(self, **augmentation: Any) -> dict[str, Any]:
        """Return the arguments of `Network.fit` with which it is trained well.

        Epochs, smoothed labels and changed images; `augmentation` overrides settings of
        the last, such as flip="horizontal" for faces. `striate train` does the same.

        >>> choice = choose((16, 16, 1), classes=3, images=12)
        >>> choice.fit_options(flip="horizontal")
        {'epochs': 200, 'label_smoothing': 0.1,
         'augmentation': Augmentation('default', flip='horizontal')}
        """
        level = auto_augmentation(self.epochs)
        return {
            "epochs": self.epochs,
            "label_smoothing": LABEL_SMOOTHING,
            "augmentation": Augmentation(**{"level": level, **augmentation}),
        }

    @property
    def title(self) -> str:
        """Which network it is."""
        return f"vgg of width {self.width}"

    @property
    def why(self) -> str:
        """Say in a line why it is as it is."""
        network = self.network
        fields = [
            receptive_field(network, one.index)
            for one in network.resolved
            if isinstance(one.layer, Conv2D)
        ]
        return (
            f"{self.title}, {len({field.jump for field in fields})} stages: the last "
            f"convolution sees {spell(fields[-1].size)} pixels, the whole "
            f"{spell(network.input_shape[:2])} of the image"
        )

    def reason(self, images: int, images_per_second: float) -> str:
        """Say in two lines what was chosen and why, and how long it will take."""
        network = self.network
        seconds = self.epochs * images / images_per_second
        return (
            f"{self.why}\n{network.parameters:,} parameters, "
            f"{network.summary().multiply_adds:,} multiply-adds an image; "
            f"{self.epochs} {'epoch' if self.epochs == 1 else 'epochs'} of {images:,} "
            f"images take about {_duration(seconds)}"
        )


def auto_epochs(images: int) -> int:
    """Return for how many epochs a chosen network is trained on so many images.

    Fewer images are seen more often: 2,800 / sqrt(images), from 8 to 200.

    >>> auto_epochs(200), auto_epochs(1_300), auto_epochs(60_000)
    (198, 78, 11)
    """
    wished = round(2_800 / math.sqrt(max(images, 1)))
    return max(_FEWEST_EPOCHS, min(_MOST_EPOCHS, wished))


def auto_augmentation(epochs: int) -> Level:
    """Return how much images are changed in training a chosen network.

    >>> auto_augmentation(78), auto_augmentation(8)
    ('default', 'light')
    """
    return "default" if epochs >= _MANY_EPOCHS else "light"


def choose(
    input_shape: tuple[int, int, int],
    classes: int,
    images: int,
    *,
    width: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
) -> Choice:
    """Return the network for `images` training images, by rules alone.

    `vgg`, as deep as its last convolution needs to see the whole image, and as wide as
    a few minutes of two processor cores allow, for the epochs of `auto_epochs`; `width`
    and `epochs` may be given. Raises ShapeError for images of less than 8 pixels a side.

    >>> choice = choose((48, 48, 3), classes=10, images=1_300)
    >>> choice.width, choice.epochs
    (8, 78)
    """
    usual = auto_epochs(images)
    if width is not None:
        network = vgg(input_shape, classes, width=width, seed=seed)
        return Choice(network, width, epochs or usual)
    allowed = min(_OPERATIONS_AN_IMAGE * images, _MOST_OPERATIONS)

    def quick_enough(network: Network) -> bool:
        cost = _OPERATIONS * network.summary().multiply_adds
        return cost * images * usual <= allowed

    return _widest(input_shape, classes, seed, epochs or usual, quick_enough)


def choose_within(
    seconds: float,
    speed: Callable[[Network], float],
    input_shape: tuple[int, int, int],
    classes: int,
    images: int,
    *,
    seed: int = 0,
) -> Choice:
    """Return the widest network that can be trained well within so many seconds.

    `speed` measures the images per second that a network trains here: first the
    narrowest one, from which follows what the others reach at least. Wider ones do more
    multiply-adds a second, so the next one is measured too, and so on while they fit.
    """
    epochs = _PATIENT * auto_epochs(images)
    narrow = vgg(input_shape, classes, width=WIDTHS[-1], seed=seed)
    rate = speed(narrow) * narrow.summary().multiply_adds

    def quick_enough(network: Network) -> bool:
        return images * epochs * network.summary().multiply_adds <= rate * seconds

    choice = _widest(input_shape, classes, seed, epochs, quick_enough)
    for width in reversed(WIDTHS[: WIDTHS.index(choice.width)]):
        network = vgg(input_shape, classes, width=width, seed=seed)
        if images * epochs > speed(network) * seconds:
            break
        choice = Choice(network, width, epochs)
    return choice


def epochs_within(seconds: float, images_per_second: float, images: int) -> int:
    """Return how many epochs fit into a time, at least one.

    >>> epochs_within(60.0, 10_000.0, 50_000)
    12
    """
    return max(1, int(seconds * images_per_second / images))


def _widest(
    input_shape: tuple[int, int, int],
    classes: int,
    seed: int,
    epochs: int,
    quick_enough: Callable[[Network], bool],
) -> Choice:
    for width in WIDTHS:
        network = vgg(input_shape, classes, width=width, seed=seed)
        if quick_enough(network) or width == WIDTHS[-1]:
            break
    return Choice(network, width, epochs)


def _duration(seconds: float) -> str:
    """Say a time as people round it.

    >>> _duration(23.4), _duration(200)
    ('23 s', '3.3 minutes')
    """
    if seconds < 1:
        return "a second"
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} minutes"
