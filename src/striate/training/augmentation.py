"""Augmentation: how training images are changed, anew in every epoch."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from ..arguments import real_number, shown
from ..errors import UsageError
from ..images.preprocess import Preprocessing

Level = Literal["none", "light", "default", "strong"]
Flip = Literal["none", "horizontal", "vertical", "both"]
Outside = Literal["background", "edge"]
CHOICES: dict[str, tuple[str, ...]] = {
    "level": get_args(Level),
    "flip": get_args(Flip),
    "outside": get_args(Outside),
}
"""The settings that are words, and what each may be."""

LIMITS: dict[str, tuple[float, float]] = {
    "shift": (0, 1),
    "rotation": (0, 180),
    "scale": (0, 4),
    "shear": (0, 60),
    "crop": (0, 0.9),
    "elastic": (0, 0.5),
    "elastic_sigma": (0.02, 1),
    "brightness": (0, 1),
    "contrast": (0, 1),
    "saturation": (0, 1),
    "hue": (0, 180),
    "noise": (0, 1),
    "cutout": (0, 1),
    "mixup": (0, 2),
}
"""The settings that are numbers, and what each must lie between."""

# What a setting is where neither the user nor the level says anything.
_PLAIN: dict[str, Any] = dict.fromkeys(LIMITS, 0.0) | {
    "elastic_sigma": 4 / 29,
    "flip": "none",
}
_COLOURS = ("saturation", "hue")

# Chosen on validation images: LeNet-5 on MNIST, 40 epochs, and a small network on traffic
# signs split by track. Drawings keep their values: their background is known. Nothing is
# mirrored: a mirrored 2 or arrow is another sign.
_DRAWINGS: dict[Level, dict[str, float]] = {
    "none": {},
    "light": {"shift": 0.04, "rotation": 5.0, "scale": 0.05, "shear": 3.0},
    "default": {
        "shift": 0.04,
        "rotation": 5.0,
        "scale": 0.05,
        "shear": 3.0,
        "elastic": 0.02,
    },
    "strong": {
        "shift": 0.07,
        "rotation": 10.0,
        "scale": 0.1,
        "shear": 6.0,
        "elastic": 0.02,
    },
}
_PHOTOGRAPHS: dict[Level, dict[str, float]] = {
    "none": {},
    "light": {
        "shift": 0.04,
        "rotation": 5.0,
        "scale": 0.05,
        "brightness": 0.2,
        "contrast": 0.3,
    },
    "default": {
        "shift": 0.08,
        "rotation": 10.0,
        "scale": 0.1,
        "shear": 5.0,
        "brightness": 0.3,
        "contrast": 0.4,
        "saturation": 0.2,
        "hue": 5.0,
    },
    "strong": {
        "shift": 0.1,
        "rotation": 15.0,
        "scale": 0.15,
        "shear": 8.0,
        "crop": 0.2,
        "brightness": 0.3,
        "contrast": 0.5,
        "saturation": 0.4,
        "hue": 10.0,
    },
}


@dataclass(frozen=True, repr=False)
class Augmentation:
    """How training images are changed: a level, and settings that override it.

    Every image is changed anew in every epoch, by amounts that come from the seed, the
    epoch and the image alone. Only `fit` does so: measuring, predicting and gradients
    see images as they are. Lengths are shares of the image's sides (of the shorter one
    where one number serves both), angles are in degrees. Amounts that have two
    directions are uniform from minus to plus the setting. A setting of None is as the
    level says.

    All movement together is one bilinear sampling; then colours change, noise is added,
    pixels are limited to black and white, a square is erased, and images are mixed.

    Arguments:
        level: "none", "light", "default" or "strong". For drawings these move images,
            from "default" on elastically too; for photographs they also change colours.
            "strong" is for larger networks and longer runs.
        shift: moved by up to this share of height and of width.
        rotation: degrees, to either side.
        scale: 0.1 enlarges or shrinks by up to a factor of 1.1.
        shear: degrees by which upright lines lean to either side.
        crop: enlarges a random part that lacks up to this share of each side.
        elastic: root mean square displacement along each axis, of a smooth random
            field. Simard's best for digits, alpha 34 and sigma 4 on 29 pixels, is
            0.048: his field has the root mean square alpha / (sigma sqrt(12 pi)).
        elastic_sigma: the Gaussian's sigma that would make noise as smooth as that
            field, 0.02 to 1; by default Simard's 4/29.
        flip: "none", "horizontal" (left and right swap), "vertical" or "both"; each
            happens to half of the images. No level flips. After training with left and
            right exchanged, answers are the mean of an image's and its mirror image's
            (`Network.mirrored_answers`).
        brightness: pixels times 1 - brightness to 1 + brightness, as if exposed for
            another time.
        contrast: their distance from the image's mean grey likewise.
        saturation: their distance from their own grey likewise; 3 channels only.
        hue: degrees around the colour circle; 3 channels only.
        noise: standard deviation of what is added to each pixel of each channel, a
            share of the range from black to white.
        cutout: side of a square, anywhere, that is erased to the training images' mean.
        mixup: each image is blended with another one, and so are the labels, by a share
            from the Beta distribution with both parameters this, 0 to 2. The accuracy
            while training counts the label of the larger part.
        outside: what comes into view from outside of the network's input, "background"
            or "edge", its nearest pixel; by default the background for drawings and
            the edge for photographs.

    Raises TypeError or ValueError for settings that mean nothing.
    Sources: Simard, Steinkraus and Platt 2003 (elastic); DeVries and Taylor 2017
    (cutout); Zhang, Cisse, Dauphin and Lopez-Paz 2018 (mixup); W3C Filter Effects
    (saturate, hueRotate).

    >>> Augmentation("default", flip="horizontal", rotation=0)
    Augmentation('default', rotation=0.0, flip='horizontal')
    """

    level: Level = "none"
    shift: float | None = None
    rotation: float | None = None
    scale: float | None = None
    shear: float | None = None
    crop: float | None = None
    elastic: float | None = None
    elastic_sigma: float | None = None
    flip: Flip | None = None
    brightness: float | None = None
    contrast: float | None = None
    saturation: float | None = None
    hue: float | None = None
    noise: float | None = None
    cutout: float | None = None
    mixup: float | None = None
    outside: Outside | None = None

    def __post_init__(self) -> None:
        for name in CHOICES:
            value = getattr(self, name)
            if value is not None or name == "level":
                _choice(name, value)
        for name in LIMITS:
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _number(name, value))

    def __repr__(self) -> str:
        made = [f"{name}={value!r}" for name, value in self._made().items()]
        level = [repr(self.level)] if self.level != "none" else []
        return f"Augmentation({', '.join(level + made)})"

    def settled(self, known: Preprocessing) -> Augmentation:
        """Return the same with every setting made, for images that are known so far.

        Drawings are images with a background, photographs those without
        (`Preprocessing.polarity`). Raises UsageError where colours are to change in
        images that have none.

        >>> known = Preprocessing((8, 8), (8, 8, 1), 0, "dark", (0.5,), (0.25,))
        >>> Augmentation("light", shear=0).settled(known).rotation
        5.0
        """
        photographs = known.polarity == "mixed"
        level = (_PHOTOGRAPHS if photographs else _DRAWINGS)[self.level]
        settings = _PLAIN | {"outside": "edge" if photographs else "background"} | level
        if known.channels != 3:
            settings |= dict.fromkeys(_COLOURS, 0.0)
            for name in _COLOURS:
                if getattr(self, name):
                    raise UsageError(
                        f"augmentation by {name} needs images of 3 channels but these "
                        f"have {known.channels}; leave {name} out."
                    )
        return replace(self, **settings | self._made())

    @property
    def changes(self) -> bool:
        """Whether any image is changed; ask it of settled ones."""
        made = self._made()
        return any(
            made.get(name, plain) != plain
            for name, plain in _PLAIN.items()
            if name != "elastic_sigma"
        )

    def to_config(self) -> dict[str, Any]:
        """Return the level and the settings made, as plain values."""
        return {"level": self.level, **self._made()}

    def _made(self) -> dict[str, Any]:
        names = [field.name for field in fields(self) if field.name != "level"]
        settings = {name: getattr(self, name) for name in names}
        return {name: value for name, value in settings.items() if value is not None}


def as_augmentation(value: object) -> Augmentation | None:
    """Return what `fit` was given as an Augmentation; a string is a level.

    >>> as_augmentation("light")
    Augmentation('light')
    """
    if value is None or isinstance(value, Augmentation):
        return value
    if isinstance(value, str):
        return Augmentation(value)  # type: ignore[arg-type]
    raise TypeError(
        f"augmentation must be None, one of {', '.join(CHOICES['level'])}, or an "
        f"Augmentation(...) but is {shown(value)}"
    )


def settle(
    augmentation: Augmentation | None, known: Preprocessing | None
) -> Augmentation | None:
    """Return what training does with its images, or None where it leaves them alone.

    `known` is None for float images: only pixels are augmented, else UsageError.
    """
    if augmentation is None or augmentation == Augmentation():
        return None
    if known is None:
        raise UsageError(
            "augmentation changes uint8 pixels but these images are floats; give uint8 "
            'pixels, or leave augmentation out (or "none").'
        )
    settled = augmentation.settled(known)
    return settled if settled.changes else None


def _choice(name: str, value: object) -> None:
    known = CHOICES[name]
    if not isinstance(value, str) or value not in known:
        raise ValueError(
            f"Augmentation({name}={shown(value)}): {name} must be one of "
            f"{', '.join(known)}"
        )


def _number(name: str, value: object) -> float:
    number = real_number(f"Augmentation({name}={shown(value)})", name, value)
    low, high = LIMITS[name]
    if not low <= number <= high:
        degrees = " degrees" if high > 4 else ""
        raise ValueError(
            f"Augmentation({name}={shown(value)}): {name} must be from {low:g} to "
            f"{high:g}{degrees}"
        )
    return number
