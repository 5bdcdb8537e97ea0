"""Draw the pictures of docs/looking-inside.md: what fires the units of LeNet-5 on digits.

python tools/draw_units.py docs/pictures
"""

import sys
from pathlib import Path

import striate as st
from striate import explain
from striate.plotting.figure import write_png
from striate.plotting.units import filters_figure, maps_figure, patches_figure


def main(folder: Path) -> None:
    train, test = st.load_data("digits")
    network = st.lenet5()
    network.fit(train.images, train.labels, epochs=20)
    top = explain.top_patches(network, test.images, "relu2")["relu2"]
    figures = {
        "filters": filters_figure(network),
        "maps": maps_figure(network, test.images[0], "relu1"),
        "patches": patches_figure(top, top.crops(test.images), maps=range(6)),
    }
    for name, figure in figures.items():
        write_png(figure, folder / f"{name}.png")


main(Path(sys.argv[1]))
