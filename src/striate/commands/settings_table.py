"""The settings of a training run in words, for people who read its report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_OPTIMIZERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}


def settings_rows(training: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield name and value of what a network's training record says of its settings.

    >>> import numpy as np
    >>> import striate as st
    >>> network = st.Network([st.Flatten(), st.Dense(2)], (4, 4, 1))
    >>> _ = network.fit(np.zeros((4, 4, 4), np.uint8), [0, 1, 0, 1], epochs=3)
    >>> dict(settings_rows(network.training))["optimizer"]
    'SGD, momentum 0.9'
    """
    settings = training["settings"]
    rule = settings["optimizer"]
    words = [_OPTIMIZERS[rule["kind"]]]
    if rule.get("momentum"):
        words.append(f"momentum {rule['momentum']:g}")
    if rule.get("nesterov"):
        words.append("Nesterov's form")
    if "betas" in rule:
        words.append(f"betas {rule['betas'][0]:g} and {rule['betas'][1]:g}")
    yield "epochs", f"{settings['epochs']}"
    yield "images a step", f"{settings['batch_size']}"
    yield "optimizer", ", ".join(words)
    yield "highest learning rate", f"{rule['learning_rate']:g}"
    yield "schedule", settings["schedule"]
    yield "weight decay", _or(rule["weight_decay"], "none")
    yield "label smoothing", _or(settings["label_smoothing"], "none")
    yield "longest gradient", _or(settings["clip_norm"], "any")
    yield "class weights", _class_weights(settings["class_weight"])
    decay = settings["ema_decay"]
    yield "averaged weights", f"decay {decay:g} a step" if decay else "none"
    yield "changed images", _augmentation(settings["augmentation"])
    yield "seed", f"{training['seed']}"


def _or(number: float | None, nothing: str) -> str:
    return f"{number:g}" if number else nothing


def _class_weights(given: str | Mapping[str, float] | None) -> str:
    if isinstance(given, Mapping):
        return ", ".join(f"{name} {weight:g}" for name, weight in given.items())
    return given or "none"


def _augmentation(settings: Mapping[str, Any] | None) -> str:
    """The settings that change anything, as the options of the command line call them."""
    if settings is None:
        return "none"
    amounts = [
        f"{name} {value:g}"
        for name, value in settings.items()
        if not isinstance(value, str) and value and name != "elastic_sigma"
    ]
    flip = settings.get("flip", "none")
    amounts += [f"flip {flip}"] if flip != "none" else []
    level = settings["level"]
    return f"{level}: {', '.join(amounts)}" if amounts else level
