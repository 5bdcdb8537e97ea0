"""Which network `striate train` trains, with which settings, and why."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..arguments import spell
from ..data import Data, Reading, read_data
from ..data.load import is_published
from ..data.reading import Color
from ..data.splits import recorded_split
from ..errors import DataError, UsageError
from ..network import Network
from ..saving.architecture import read_architecture
from ..training.settings import Settings
from ..training.speed import training_speed
from ..zoo import NETWORKS, input_shape_for
from ..zoo.auto import choose, choose_within, epochs_within
from .console import Console
from .data_options import say_what_was_read
from .options import Recipe, WholeNumber

Verb = TypeVar("Verb", bound=Callable[..., Any])

AUTO = "auto"
TUNED = "fine-tuned"
"""What a network is called that goes on from an earlier model."""

WITHOUT_WIDTH = ("lenet5", "lenet5-1998", "lenet5-strided")
"""The networks whose channels are as their papers have them."""

if TYPE_CHECKING:
    NameType = click.ParamType[str]
else:  # generic to type checkers only, before click 8.4
    NameType = click.ParamType

_COLORS: Mapping[int, Color] = {1: "grey", 3: "rgb"}
_LOOK, _SHORTEST_LOOK, _LONGEST_LOOK = 0.02, 0.1, 5.0
"""Share of --minutes, and seconds at least and at most, to see how fast a network is."""
_USUAL_LOOK = 0.5  # seconds, where the time decides nothing
_KEPT_BACK = 0.03  # of --minutes, for what comes after training: saving, measuring
_SLACK = 0.05  # of the time to train in, so that not every delay changes the plan
_MEASURING = 1 / 3  # of the time to train on an image: forward, but no two gradients


class NetworkName(NameType):
    """A network's name, or the path of a file with an architecture."""

    name = "network"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the name or the path, or fail where it is neither."""
        if not is_known(value) and not os.path.exists(value):
            known = ", ".join(map(repr, (AUTO, *NETWORKS)))
            self.fail(
                f"{value!r} is not one of {known}, nor a file with an architecture.",
                param,
                ctx,
            )
        return str(value)


def is_known(name: str) -> bool:
    """Whether this is a network's name; all others are files with an architecture."""
    return name in (AUTO, *NETWORKS)


def network_options(verb: Verb) -> Verb:
    """Give a verb --network (as ``name``, None for the default) and --width."""
    name = click.option(
        "--network",
        "name",
        type=NetworkName(),
        metavar="NETWORK",
        help=f"What to train: {', '.join((AUTO, *NETWORKS))}, or a file with an "
        "architecture, of `striate design` or a model; `striate summary NETWORK DATA` "
        "shows it, auto chooses by the images.  [default: auto; lenet5 for named data "
        "sets and IDX]",
    )
    return name(width_option(verb))


def width_option(verb: Verb) -> Verb:
    """Give a verb --width."""
    return click.option(
        "--width",
        type=WholeNumber(1),
        metavar="N",
        help="Channels of the first stage, for auto, vgg, mobilenet and resnet.  "
        "[default: 16; auto: by the images]",
    )(verb)


def default_network(data: str) -> str:
    """Return the network for data where the user names none."""
    return "lenet5" if is_published(data) else AUTO


@dataclass(frozen=True)
class Chosen:
    """A network to be trained, its name, and how.

    ``title`` tells what a name such as auto came to; ``lines`` say why; ``options`` are
    those of the command line that choose the same again, without asking how fast the
    machine is. ``until`` is when training has to end, by `time.monotonic`.
    """

    network: Network
    name: str
    title: str
    settings: Settings
    lines: tuple[str, ...]
    options: Mapping[str, object]
    until: float | None


def read_and_choose(
    console: Console,
    data: str,
    name: str | None,
    recipe: Recipe,
    reading: Reading,
    *,
    width: int | None,
    threads: int,
    earlier: Network | None = None,
    minutes: float | None = None,
    check: Callable[[Data], None] | None = None,
) -> tuple[Data, Chosen]:
    """Read data, say what they are, ``check`` them, and choose what to train on them.

    A recipe that contradicts itself is told before anything is read.
    """
    recipe.build_optimizer(1)
    name = name or default_network(data)
    reading = read_for(name, data, reading)
    loaded = read_data(data, reading=reading, quiet=console.quiet)
    say_what_was_read(console, loaded)
    if check:
        check(loaded)
    chosen = choose_network(
        loaded,
        name,
        recipe,
        width=width,
        earlier=earlier,
        minutes=minutes,
        threads=threads,
    )
    return loaded, chosen


def choose_network(
    data: Data,
    name: str,
    recipe: Recipe,
    *,
    width: int | None,
    earlier: Network | None,
    minutes: float | None,
    threads: int,
) -> Chosen:
    """Return the network called ``name`` for these data, or the one to go on from.

    ``width`` is the channels of its first stage. With ``minutes`` the time decides for
    how many epochs it is trained and, where nothing else does, how wide it is.
    """
    training = data.training
    count, classes = len(training), len(training.classes)
    automatic = name == AUTO and earlier is None
    look, until = _USUAL_LOOK, None
    if minutes is not None:
        until = time.monotonic() + 60 * minutes * (1 - _KEPT_BACK)
        look = min(max(_LOOK * 60 * minutes, _SHORTEST_LOOK), _LONGEST_LOOK)
    measured = count + _MEASURING * len(data.validation or ())  # in an epoch

    def settle(network: Network, epochs: int | None) -> Settings:
        return recipe.settle(count, network, chosen=automatic, epochs=epochs)

    def speed(network: Network, seconds: float = look) -> float:
        """Images of the training part that are done with in a second."""
        settings = settle(network, epochs=None)
        images, labels = training.images, training.labels
        return (count / measured) * training_speed(
            network, images, labels, settings, threads=threads, seconds=seconds
        )

    def fitting(rate: float) -> int:
        """The epochs that fit into what is left of the time."""
        assert until is not None
        left = max(0.0, until - time.monotonic())
        return epochs_within(left * (1 - _SLACK), rate, count)

    epochs, given = recipe.epochs, name
    if automatic:
        shape = (*data.size, data.channels)
        if until is not None and width is None:
            seconds = (until - time.monotonic()) * (1 - _SLACK)
            short = partial(speed, seconds=look / 4)  # widths are far apart
            choice = choose_within(
                seconds, short, shape, classes, count, seed=recipe.seed
            )
        else:
            choice = choose(
                shape,
                classes,
                count,
                width=width,
                epochs=recipe.epochs,
                seed=recipe.seed,
            )
        network, epochs = choice.network, choice.epochs
        rate = speed(network)
        if until is not None:
            epochs = fitting(rate)
        lines = replace(choice, epochs=epochs).reason(count, rate).splitlines()
        options: dict[str, object] = {"name": AUTO, "width": choice.width}
        title = choice.title
    else:
        if earlier is not None:
            network, name = going_on(earlier, data, recipe.seed), TUNED
        else:
            shape = (*data.size, data.channels)
            network = network_for(name, width, shape, classes, recipe.seed)
            name = name if is_known(name) else Path(name).stem
        if until is not None:
            epochs = fitting(speed(network))
        title = name if width is None else f"{name} of width {width}"
        about = f"network {title}: {network.parameters:,} parameters"
        if earlier is not None and network is not earlier:
            about += f"; the last layer is new, for {classes} classes"
        lines = [about]
        options = {} if earlier else {"name": given, "width": width}
    settings = settle(network, epochs)
    if not automatic:
        lines.append(_epochs_line(settings.epochs, recipe.epochs, minutes))
    options |= {"epochs": settings.epochs, "minutes": None}
    return Chosen(network, name, title, settings, tuple(lines), options, until)


def read_for(name: str, data: str, reading: Reading) -> Reading:
    """Return how data are read for a network.

    For a file's architecture images have its size and its colours, where the user says
    nothing else; those of published data have their own.
    """
    if is_known(name) or is_published(data):
        return reading
    *size, channels = read_architecture(name).input_shape
    return replace(
        reading,
        size=reading.size or (size[0], size[1]),
        color=_COLORS.get(channels, "auto")
        if reading.color == "auto"
        else reading.color,
    )


def network_for(
    name: str,
    width: int | None,
    images: tuple[int, int, int] | None = None,
    classes: int | None = None,
    seed: int = 0,
) -> Network:
    """Return a network of the zoo, or of a file with an architecture.

    It is made for images (height, width, channels) of so many classes, where these are
    given. Raises UsageError for the width of a network that has none, ModelFileError
    for what is no architecture, ShapeError for images it does not take.
    """
    if not is_known(name):
        if width is not None:
            raise UsageError(
                f"{name} says how wide its layers are; leave out --width, or let "
                "`striate design --width` make another."
            )
        return read_architecture(name).network(images, classes, seed)
    made_for: dict[str, Any] = {"seed": seed}
    if images is not None:
        made_for["input_shape"] = input_shape_for(images)
    if classes is not None:
        made_for["classes"] = classes
    if width is None:
        return NETWORKS[name](**made_for)
    if name in WITHOUT_WIDTH:
        raise UsageError(
            f"--width belongs to networks made of stages, not to {name}; leave it out."
        )
    return NETWORKS[name](width=width, **made_for)


def _epochs_line(epochs: int, given: int | None, minutes: float | None) -> str:
    if given:
        return f"epochs {epochs}"
    why = "as fit into the time" if minutes else "chosen by the number of images"
    return f"epochs {epochs} ({why}; --epochs changes it)"


def read_as(earlier: Network, reading: Reading) -> Reading:
    """Return how images are read for a network to go on with: as it knows them.

    The rule of its split is kept, where nothing else is asked for, so that images it
    was not to see are not seen now either.
    Raises UsageError where the reading asks for something else, DataError where the
    network was not trained on pixels.
    """
    known = earlier.preprocessing
    if known is None:
        raise DataError(
            "the model in --from was not trained on uint8 images; train one with "
            "`striate train`, or go on in Python with Network.fit."
        )
    if known.channels not in _COLORS:
        raise DataError(
            f"the model in --from takes {known.channels} channels, which image files do "
            "not have; go on in Python with Network.fit."
        )
    color = _COLORS[known.channels]
    if reading.size not in (None, known.image_size) or reading.color not in (
        "auto",
        color,
    ):
        raise UsageError(
            f"the model in --from takes {color} images of {spell(known.image_size)}; "
            "leave out --size and --color, or train without --from."
        )
    split = recorded_split(earlier.training)
    if split is not None:
        kept = split.rule
        asked = reading.group, reading.validation, reading.test_share
        reading = replace(
            reading,
            seed=kept.seed,
            group=asked[0] or split.group,
            validation=kept.validation if asked[1] is None else asked[1],
            test_share=kept.test if asked[2] is None else asked[2],
        )
    return replace(reading, size=known.image_size, color=color, fit=known.fit)


def going_on(earlier: Network, data: Data, seed: int) -> Network:
    """Return an earlier network, for the classes of these data.

    With the same classes it is itself; with others its features are kept and the last
    layer is new.
    """
    classes = data.training.classes
    if tuple(map(str, earlier.classes or ())) == classes:
        return earlier
    return earlier.with_classes(classes, seed)
