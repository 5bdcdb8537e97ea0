"""fit: from images, labels and settings to a trained network and its record."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from ..arguments import spell
from ..engine.machine import thread_count
from ..errors import BusyError, ShapeError, TrainingError, UsageError
from ..images.inputs import InputRule, prepare, sample_weights
from ..images.labels import Classes, as_labels
from ..images.preprocess import Preprocessing
from .augmentation import Augmentation, settle
from .callbacks import Callbacks, TrainingPlan
from .evaluation import Examples
from .run import History, Run
from .settings import Settings
from .weighting import class_weighted

if TYPE_CHECKING:
    from ..network import Network


def fit(
    network: Network,
    images: object,
    labels: object,
    settings: Settings,
    *,
    validation_data: tuple[object, object] | None = None,
    sample_weight: ArrayLike | None = None,
    callbacks: Iterable[object] = (),
    threads: int | None = None,
    preprocessed: bool = False,
    preprocessing: Preprocessing | None = None,
    make_run: Callable[..., Run] = Run,
    data_sha256: str | None = None,
) -> History:
    """Train a network; `Network.fit` says what the arguments mean.

    Everything is checked before the network changes. However the run ends, the network
    is left usable and `network.training` tells what happened. `make_run` may give a run
    that goes otherwise than `Run`; `data_sha256`, where it is known, saves computing it.
    """
    from ..data.dataset import data_hash

    hooks = Callbacks(callbacks)
    team = thread_count(threads)
    engine = network.engine
    if engine.usage.own_training:
        raise BusyError(
            "fit cannot be called from a callback of fit; let it end first."
        )
    with engine.usage.changing("fit"):
        outputs = network.outputs
        rule = _learned_rule(network, images, preprocessed, preprocessing)
        inputs = prepare(images, rule, preprocessed=preprocessed)
        indices, classes = as_labels(
            labels, inputs.count, network.classes, outputs=outputs
        )
        known = rule.preprocessing if inputs.array.dtype == np.uint8 else None
        settings = replace(settings, augmentation=settle(settings.augmentation, known))
        weights = sample_weights(sample_weight, inputs.count)
        weights = class_weighted(settings.class_weight, indices, weights, classes)
        examples = Examples(inputs, indices, weights)
        validation = _validation(validation_data, rule, classes, preprocessed)
        run = make_run(engine, examples, validation, settings, team)
        if data_sha256 is None:
            data_sha256 = data_hash(inputs.array, np.asarray(labels))
        record = _Record(network, run, inputs.array, data_sha256)
        network.stop_training = False
        network.learned(rule.preprocessing, classes, _mirrors(settings.augmentation))
        info = TrainingPlan(
            images=examples.count,
            validation_images=validation.count if validation else 0,
            epochs=settings.epochs,
            batch_size=run.batch_size,
            steps_per_epoch=run.steps,
            threads=team,
            isa=engine.plan.isa,
        )
        try:
            record.write("begun")
            hooks.on_train_begin(network, info)
            run.go(hooks, lambda: network.stop_training)
            record.write("stopped" if network.stop_training else "completed")
        except KeyboardInterrupt:
            record.write("interrupted")
            raise
        except TrainingError:
            record.write("not finite")
            raise
        except BaseException:
            record.write("failed")
            raise
    return run.history


def _mirrors(augmentation: Augmentation | None) -> bool:
    """Whether left and right are exchanged in training."""
    return augmentation is not None and augmentation.flip in ("horizontal", "both")


def _learned_rule(
    network: Network,
    images: object,
    preprocessed: bool,
    given: Preprocessing | None,
) -> InputRule:
    """What the network will know about images once it has seen these."""
    if network.parameters == 0:
        raise UsageError(
            "this network has no weights to train; add a Conv2D or a Dense layer."
        )
    known = network.input_rule
    if known.preprocessing is not None:
        if given not in (None, known.preprocessing):
            raise UsageError(
                "preprocessing cannot change once a network is trained; leave it out, "
                "or train a new network."
            )
        return known
    shape = known.input_shape
    if given is not None:
        if given.input_shape != shape:
            raise ShapeError(
                f"preprocessing is for an input of {spell(given.input_shape)} but the "
                f"network's is {spell(shape)}; measure it with that input_shape."
            )
        return InputRule(shape, given, floats=False)
    fresh = InputRule(shape, None, floats=False)
    array = prepare(images, fresh, preprocessed=preprocessed).array
    if array.dtype != np.uint8:
        return InputRule(shape, None, floats=True)
    pixels = array.astype(np.uint8, copy=False)
    return InputRule(shape, Preprocessing.measure(pixels, shape), floats=False)


def _validation(
    data: tuple[object, object] | None,
    rule: InputRule,
    classes: Classes,
    preprocessed: bool,
) -> Examples | None:
    if data is None:
        return None
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise UsageError(
            "validation_data must be a pair (images, labels), not "
            f"{type(data).__name__}."
        )
    images = prepare(data[0], rule, preprocessed=preprocessed, what="validation images")
    indices, _ = as_labels(
        data[1], images.count, classes, outputs=len(classes), what="validation labels"
    )
    return Examples(images, indices)


class _Record:
    """Keeps `network.training`: what anyone needs to repeat the run.

    No times and no number of threads: the same seed gives the same model file.
    """

    def __init__(
        self, network: Network, run: Run, images: NDArray[Any], data_sha256: str
    ) -> None:
        self._network = network
        self._run = run
        before = network.training
        earlier = sum(_epochs(before, name) for name in ("earlier_epochs", "epochs"))
        self._fixed = {
            "versions": {"striate": _core.version, "numpy": np.__version__},
            "isa": network.engine.plan.isa,
            "seed": run.settings.seed,
            "settings": run.settings.to_config(),
            "images": len(images),
            "input": "pixels" if images.dtype == np.uint8 else "floats",
            "data_sha256": data_sha256,
            "earlier_epochs": earlier,
        }

    def write(self, ending: str) -> None:
        """Set the record to what has happened so far."""
        history = {
            name: list(values)
            for name, values in self._run.history.items()
            if name not in ("seconds", "images_per_second")
        }
        self._network.training = {
            **self._fixed,
            "epochs": len(history.get("loss", [])),
            "pace": [list(change) for change in self._run.pace.changes],
            "ending": ending,
            "history": history,
        }


def _epochs(training: dict[str, Any], name: str) -> int:
    """A number of epochs in a record, which may come from any file: 0 for no number."""
    number = training.get(name)
    return number if type(number) is int and number > 0 else 0
