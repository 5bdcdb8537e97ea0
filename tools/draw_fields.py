"""Draw receptive fields for docs/looking-inside.md, and measure what training does to them.

python tools/draw_fields.py docs/pictures
"""

import sys
from pathlib import Path

import striate as st
from striate import explain
from striate.plotting.fields import effective_figure, fields_figure
from striate.plotting.figure import write_png


def sizes(network: st.Network, images: object, layers: list[str]) -> list[float]:
    return [explain.effective_field(network, images, layer).size for layer in layers]


def main(folder: Path) -> None:
    train, test = st.load_data("digits")
    images = test.images[:100]
    networks = {
        "LeNet-5": (st.lenet5(), ["pool2"]),
        "VGG": (st.vgg((32, 32, 1)), ["conv2", "conv4", "conv5", "conv6"]),
    }
    for name, (network, layers) in networks.items():
        before = sizes(network, images, layers)
        network.fit(train.images, train.labels, epochs=30)
        after = sizes(network, images, layers)
        for layer, *both in zip(layers, before, after, strict=True):
            box = st.receptive_field(network, layer).size[0]
            print(f"{name} {layer} {box} {both[0]:.1f} {both[1]:.1f}", flush=True)
    lenet, vgg = (network for network, _ in networks.values())
    write_png(fields_figure(lenet, images[4]), folder / "fields.png")
    seen = explain.effective_field(vgg, test.images, "conv6")
    write_png(effective_figure(seen, images[4]), folder / "effective.png")
    print(seen)


main(Path(sys.argv[1]))
