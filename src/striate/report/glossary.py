"""The words of the page, explained once, as the lecture uses them."""

from __future__ import annotations

from ..markup import Markup, element

_TERMS = {
    "Volume": "A picture or what a layer makes of it: height × width × channels. A "
    "colour picture has three channels: red, green and blue.",
    "Filter (kernel)": "A small volume of numbers. At every place it is multiplied with "
    "the patch below it, number by number, and all is added up, with one more number, "
    "the bias: one patch gives one answer.",
    "Feature map": "The answers of one filter at all places: a new picture, which is "
    "bright where the filter's feature is found.",
    "Unit (neuron)": "One number of a map. It fires when it is large.",
    "Convolution": "A layer of filters that slide over the picture.",
    "Pooling": "Of every patch of a map only the largest number is kept, or the mean. "
    "The map gets smaller and says no longer just where something was, only that it was "
    "about there.",
    "Receptive field": "The pixels of the picture that a unit can see. It grows from "
    "layer to layer.",
    "Full connection (dense layer)": "Every unit weighs all the numbers before it.",
    "Parameters (weights)": "The numbers of all filters and dense layers. Training "
    "changes them step by step, so that the answers get better.",
    "95 % interval": "With few test pictures the share of right answers depends on luck. "
    "The interval holds the shares that are consistent with what was counted.",
}


def glossary_section() -> Markup:
    """A list of terms."""
    entries = [
        part
        for term, meaning in _TERMS.items()
        for part in (element("dt", term), element("dd", meaning))
    ]
    return element(
        "section", element("h2", "Words"), element("dl", *entries), id="words"
    )
