"""The options of `striate train`, and how they become the settings of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import UsageError
from ..network import Network
from ..training.augmentation import Augmentation
from ..training.optimizers import SGD, Adam, AdamW, Optimizer
from ..training.schedules import SCHEDULES
from ..training.settings import (
    MOST,
    Settings,
    default_batch_size,
    default_epochs,
    default_optimizer,
)
from ..zoo.auto import LABEL_SMOOTHING, auto_augmentation

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
}
DEFAULTS = default_optimizer(128)

Verb = TypeVar("Verb", bound=Callable[..., Any])


if TYPE_CHECKING:
    ParamType = click.ParamType[float]
    PairsType = click.ParamType[tuple[tuple[int, int], ...]]
else:  # generic to type checkers only, before click 8.4
    ParamType = PairsType = click.ParamType


class Number(ParamType):
    """A finite number between two bounds; ``ends`` says which belong, as in "[)"."""

    name = "number"
    kind: type[float] = float

    def __init__(self, low: float, high: float = math.inf, ends: str = "()") -> None:
        self.low, self.high, self.ends = low, high, ends

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or fail with the rule it breaks."""
        try:
            number = self.kind(value)
        except (TypeError, ValueError):
            self.fail(f"{value!r} is not a {self.name}.", param, ctx)
        enough = number > self.low or (self.ends[0] == "[" and number == self.low)
        little = number < self.high or (self.ends[1] == "]" and number == self.high)
        if not (enough and little):
            rule = f"{'at least' if self.ends[0] == '[' else 'above'} {self.low:g}"
            if self.high < math.inf:
                end = "at most" if self.ends[1] == "]" else "below"
                rule += f" and {end} {self.high}"
            self.fail(f"{value} is not {rule}.", param, ctx)
        return number


class WholeNumber(Number):
    """A whole number of at least ``low``, and of at most ``high``."""

    name = "whole number"
    kind = int

    def __init__(self, low: int, high: float = math.inf) -> None:
        super().__init__(low, high, "[]")


class Pairs(PairsType):
    """Pairs of whole numbers, such as 9:15,12:14, or as a settings.json has them."""

    name = "pairs"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[tuple[int, int], ...]:
        """Return the pairs, or fail where they are none."""
        if isinstance(value, str):
            value = [pair.split(":") for pair in value.split(",")]
        try:
            return tuple((int(first), int(second)) for first, second in value)
        except (TypeError, ValueError):
            self.fail(f"{value!r} is not pairs such as 9:15,12:14.", param, ctx)


COUNT = WholeNumber(1, MOST)
SHARE = Number(0, 1)
TARGET = Number(0, 1, "[]")


@dataclass(frozen=True)
class Recipe:
    """What the user said about how to train; None where he said nothing."""

    epochs: int | None
    batch_size: int | None
    optimizer: str
    learning_rate: float | None
    momentum: float | None
    nesterov: bool
    weight_decay: float | None
    clip_norm: float | None
    schedule: str
    label_smoothing: float | None
    seed: int
    augmentation: Mapping[str, Any]
    class_weight: str | None
    ema_decay: float | None

    def build_optimizer(self, batch_size: int, normalized: bool = False) -> Optimizer:
        """Return the optimizer; UsageError where options do not belong to it."""
        defaults = default_optimizer(batch_size, normalized)
        given: dict[str, float | bool] = {
            name: value
            for name in ("learning_rate", "momentum", "weight_decay")
            if (value := getattr(self, name)) is not None
        }
        if self.optimizer == "sgd":
            given = {
                "learning_rate": defaults.learning_rate,
                "momentum": defaults.momentum,
                "weight_decay": defaults.weight_decay,
                **given,
                "nesterov": self.nesterov,
            }
        elif self.momentum is not None or self.nesterov:
            raise UsageError(
                f"--momentum and --nesterov belong to --optimizer sgd; leave them out "
                f"with {self.optimizer}."
            )
        try:
            return OPTIMIZERS[self.optimizer](**given)
        except ValueError as error:
            raise UsageError(str(error)) from error

    def settle(
        self,
        images: int,
        network: Network,
        *,
        chosen: bool = False,
        epochs: int | None = None,
    ) -> Settings:
        """Return the settings for so many training images and a network.

        One that was ``chosen`` by the data is trained with what goes with it, where the
        user says nothing else: changed images, and labels that are smoothed.
        """
        batch_size = self.batch_size or default_batch_size(images)
        normalized = network.engine.normalizes is not None
        epochs = epochs or self.epochs or default_epochs(images)
        smoothing = self.label_smoothing
        if smoothing is None:
            smoothing = LABEL_SMOOTHING if chosen else 0.0
        level = auto_augmentation(epochs) if chosen else "none"
        return Settings(
            epochs=epochs,
            batch_size=batch_size,
            optimizer=self.build_optimizer(batch_size, normalized),
            schedule=self.schedule,
            seed=self.seed,
            label_smoothing=smoothing,
            clip_norm=self.clip_norm,
            class_weight=self.class_weight,
            ema_decay=self.ema_decay,
            augmentation=Augmentation(**{"level": level, **self.augmentation}),
        )


_COURSE_OPTIONS = (
    click.option(
        "--epochs",
        type=COUNT,
        metavar="N",
        help="Times every image is seen.  [default: by the number of images: "
        f"{default_epochs(60_000)} for MNIST, {default_epochs(1_438)} for digits]",
    ),
    click.option(
        "--learning-rate",
        type=Number(0),
        metavar="X",
        help="Highest learning rate of the run.  "
        f"[default: {DEFAULTS.learning_rate:g} at 128 images a step and less with "
        "fewer; adam and adamw: "
        f"{Adam().learning_rate:g}]",
    ),
    click.option(
        "--schedule",
        type=click.Choice(SCHEDULES),
        default="one-cycle",
        show_default=True,
        help="How the learning rate goes over the run.",
    ),
)

_STEP_OPTIONS = (
    click.option(
        "--batch-size",
        type=COUNT,
        metavar="N",
        help="Images per step.  [default: 128, or 32 below 10,000 images]",
    ),
    click.option(
        "--optimizer",
        type=click.Choice(tuple(OPTIMIZERS)),
        default="sgd",
        show_default=True,
        help="Rule by which gradients change the weights.",
    ),
    click.option(
        "--momentum",
        type=Number(0, 1, "[)"),
        metavar="X",
        help=f"Momentum of sgd, below 1.  [default: {DEFAULTS.momentum:g}]",
    ),
    click.option(
        "--nesterov/--no-nesterov",
        default=DEFAULTS.nesterov,
        show_default=True,
        help="Nesterov's form of the momentum of sgd.",
    ),
    click.option(
        "--weight-decay",
        type=Number(0, ends="[)"),
        metavar="X",
        help="Pull of all weights towards 0.  "
        f"[default: {DEFAULTS.weight_decay:g}; adam: {Adam().weight_decay:g}; "
        f"adamw: {AdamW().weight_decay:g}]",
    ),
    click.option(
        "--clip-norm",
        type=Number(0),
        metavar="X",
        help="Shorten gradients that are longer than this.  [default: never]",
    ),
    click.option(
        "--label-smoothing",
        type=Number(0, 1, "[)"),
        metavar="X",
        help="Share of every label spread over all classes.  "
        f"[default: {LABEL_SMOOTHING:g} with --network auto, else 0]",
    ),
    click.option(
        "--class-weight",
        type=click.Choice(("balanced",)),
        help="Let every class count alike, however many images it has.",
    ),
    click.option(
        "--ema-decay",
        type=Number(0, 1),
        metavar="X",
        help="Keep an exponential moving average of the weights, such as 0.999 a step.",
    ),
    click.option(
        "--seed",
        type=WholeNumber(0, 2**63 - 1),
        metavar="N",
        default=0,
        show_default=True,
        help="Same seed, same model, on any number of threads.",
    ),
)


def recipe_options(verb: Verb) -> Verb:
    """Give a verb the options of a recipe, in the order of the lists above."""
    for option in reversed(_COURSE_OPTIONS + _STEP_OPTIONS):
        verb = option(verb)
    return verb


def step_options(verb: Verb) -> Verb:
    """Give a verb only the options that say how each step is made."""
    for option in reversed(_STEP_OPTIONS):
        verb = option(verb)
    return verb
