"""Draw the pictures of docs/looking-inside.md and docs/lecture.md, from digits.

Run from anywhere, with matplotlib:  python tools/draw_pictures.py
It prints the table of effective sizes as well. What it does not draw, shift.png, is made
by the commands that stand beside it in docs/lecture.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

import striate as st
from striate import explain
from striate.drawing import draw_network
from striate.images.sheet import contact_sheet
from striate.plotting.attributions import attributions_figure
from striate.plotting.fields import effective_figure, fields_figure
from striate.plotting.figure import write_png
from striate.plotting.pooled import pooled_figure
from striate.plotting.units import filters_figure, maps_figure, patches_figure

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
COLUMNS = 10  # liked pictures in a row


def main() -> None:
    """Train LeNet-5 on digits, and a larger network, and draw what they have learned."""
    train, test = st.load_data("digits")
    network = st.lenet5()
    figure = draw_network(network, f"lenet5: {network.parameters:,} parameters")
    (PICTURES / "lenet5.svg").write_text(figure, "utf-8")
    network.fit(train.images, train.labels, epochs=20)
    draw_units(network, test.images)
    draw_deciding_pixels(network, test.images[[0, 6, 9]])
    draw_liked_pictures(network)
    draw_fields(train, test)


def draw_units(network: st.Network, images: np.ndarray) -> None:
    """Filters, the maps of an image before and after pooling, and the top patches."""
    top = explain.top_patches(network, images, "relu2")["relu2"]
    title = "a digit before pooling (relu1) and after (pool1)"
    figures = {
        "filters": filters_figure(network),
        "maps": maps_figure(network, images[0], "relu1"),
        "patches": patches_figure(top, top.crops(images), maps=range(6)),
        "pooled": pooled_figure(network, images[0], "pool1", title),
    }
    for name, figure in figures.items():
        write_png(figure, PICTURES / f"{name}.png")


def draw_deciding_pixels(network: st.Network, images: np.ndarray) -> None:
    """Some digits, and what every method says of the network's answer."""
    maps = {
        "saliency": explain.saliency(network, images),
        "gradient \N{MULTIPLICATION SIGN} input": explain.gradient_times_input(
            network, images
        ),
        "SmoothGrad": explain.smooth_gradient(network, images),
        "integrated gradients": explain.integrated_gradients(
            network, images
        ).attributions,
        "occlusion": explain.occlusion(network, images).logit_map,
    }
    figure = attributions_figure(images, maps, network.predict(images))
    figure.set_dpi(80)
    write_png(figure, PICTURES / "deciding-pixels.png")


def draw_liked_pictures(network: st.Network) -> None:
    """The pictures that classes and feature maps like best, and how much."""
    images: list[np.ndarray | None] = []
    captions: list[str] = []
    for layer in (None, "conv1", "conv2"):
        found = explain.maximize(network, layer=layer)
        rest = -len(found.units) % COLUMNS
        images += [*found.crops(), *[None] * rest]
        pairs = zip(found.units, found.activations, strict=True)
        captions += [f"{unit}: {value:.0f}" for unit, value in pairs] + [""] * rest
    page = contact_sheet(images, captions, COLUMNS, cell=70)
    page.save(PICTURES / "liked-pictures.png", optimize=True)


def draw_fields(train: st.Dataset, test: st.Dataset) -> None:
    """Boxes and effective fields, and how training changes the size of these."""
    images = test.images[:100]
    networks = {
        "LeNet-5": (st.lenet5(), ["pool2"]),
        "VGG": (st.vgg((32, 32, 1)), ["conv2", "conv4", "conv5", "conv6"]),
    }
    for name, (network, layers) in networks.items():
        before = effective_sizes(network, images, layers)
        network.fit(train.images, train.labels, epochs=30)
        after = effective_sizes(network, images, layers)
        for layer, *both in zip(layers, before, after, strict=True):
            box = st.receptive_field(network, layer).size[0]
            print(f"{name} {layer} {box} {both[0]:.1f} {both[1]:.1f}", flush=True)
    lenet, vgg = (network for network, _ in networks.values())
    write_png(fields_figure(lenet, images[4]), PICTURES / "fields.png")
    seen = explain.effective_field(vgg, test.images, "conv6")
    write_png(effective_figure(seen, images[4]), PICTURES / "effective.png")
    print(seen)


def effective_sizes(
    network: st.Network, images: np.ndarray, layers: Sequence[str]
) -> list[float]:
    """How large the effective fields of some layers are, in pixels."""
    return [explain.effective_field(network, images, layer).size for layer in layers]


if __name__ == "__main__":
    main()
