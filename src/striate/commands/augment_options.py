"""The options that change training images, and the augmentation they ask for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from ..training.augmentation import CHOICES, LIMITS, Augmentation
from .options import Number

_HELP = {
    "shift": "Move by up to this share of height and width.",
    "rotation": "Turn by up to so many degrees.",
    "scale": "Enlarge or shrink by up to a factor of 1 + X.",
    "shear": "Lean by up to so many degrees.",
    "crop": "Enlarge a part that lacks up to this share of each side.",
    "elastic": "Bend by this share of the side (root mean square).",
    "elastic_sigma": "Smoothness of the bending, a share of the side.",
    "brightness": "Multiply pixels by 1 - X to 1 + X.",
    "contrast": "Likewise their distance from the mean of the image.",
    "saturation": "Likewise the distance of colours from grey.",
    "hue": "Turn colours by up to so many degrees.",
    "noise": "Add noise of this standard deviation, a share of the range.",
    "cutout": "Erase a square of this share of the side.",
    "mixup": "Blend pairs by shares from Beta(X, X).",
}


_OPTIONS = (
    click.option(
        "--augment",
        type=click.Choice(CHOICES["level"]),
        help="Change training images anew in every epoch, by a level for drawings or "
        "for photographs, as the data are. No level mirrors.  [default: default with "
        "--network auto, light below 10 epochs; else none]",
    ),
    click.option(
        "--flip",
        type=click.Choice(CHOICES["flip"]),
        help="Mirror half of the images; only where a mirrored one is of the same "
        "class. This and all below override the level.",
    ),
    *(
        click.option(
            f"--{name.replace('_', '-')}",
            type=Number(low, high, "[]"),
            metavar="X",
            help=_HELP[name],
        )
        for name, (low, high) in LIMITS.items()
    ),
    click.option(
        "--outside",
        type=click.Choice(CHOICES["outside"]),
        help="What comes into view beyond the image.  [default: background for "
        "drawings, edge for photographs]",
    ),
)
_NAMES = ("augment", "flip", *LIMITS, "outside")


def augment_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options of augmentation; it gets those given as `augmentation`."""

    @functools.wraps(verb)
    def with_augmentation(*arguments: Any, **options: Any) -> Any:
        settings = {name: options.pop(name) for name in _NAMES}
        settings = {
            name: value for name, value in settings.items() if value is not None
        }
        if "augment" in settings:
            settings["level"] = settings.pop("augment")
        Augmentation(**settings)  # what means nothing is told now
        return verb(*arguments, augmentation=settings, **options)

    for option in reversed(_OPTIONS):
        with_augmentation = option(with_augmentation)
    return with_augmentation
