"""Draw the pictures of docs/looking-inside.md, from digits: what a network looks at.

Run from the repository's root, with matplotlib:  python tools/draw_explanations.py
"""

from pathlib import Path

import numpy as np

import striate as st
from striate import explain
from striate.images.sheet import contact_sheet
from striate.plotting.attributions import attributions_figure
from striate.plotting.figure import write_png

PICTURES = Path("docs/pictures")
COLUMNS = 10


def main() -> None:
    """Train LeNet-5 on digits and write both pictures."""
    train, test = st.load_data("digits")
    net = st.lenet5(seed=0)
    net.fit(train.images, train.labels, epochs=20)
    draw_deciding_pixels(net, test.images[[0, 6, 9]])
    draw_liked_pictures(net)


def draw_deciding_pixels(net: st.Network, images: np.ndarray) -> None:
    """Some digits, and what every method says of the network's answer."""
    maps = {
        "saliency": explain.saliency(net, images),
        "gradient \N{MULTIPLICATION SIGN} input": explain.gradient_times_input(
            net, images
        ),
        "SmoothGrad": explain.smooth_gradient(net, images),
        "integrated gradients": explain.integrated_gradients(net, images).attributions,
        "occlusion": explain.occlusion(net, images).logit_map,
    }
    figure = attributions_figure(images, maps, net.predict(images))
    figure.set_dpi(80)
    write_png(figure, PICTURES / "deciding-pixels.png")


def draw_liked_pictures(net: st.Network) -> None:
    """The pictures that classes and feature maps like best, and how much."""
    found = [
        explain.maximize(net),
        explain.maximize(net, layer="conv1"),
        explain.maximize(net, layer="conv2"),
    ]
    images: list[np.ndarray | None] = []
    captions: list[str] = []
    for one in found:
        rest = -len(one.units) % COLUMNS
        images += [*one.crops(), *[None] * rest]
        pairs = zip(one.units, one.activations, strict=True)
        captions += [f"{unit}: {value:.0f}" for unit, value in pairs] + [""] * rest
    page = contact_sheet(images, captions, COLUMNS, cell=70)
    page.save(PICTURES / "liked-pictures.png", optimize=True)


if __name__ == "__main__":
    main()
