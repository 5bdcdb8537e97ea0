"""Draw the pictures of docs/lecture.md: python tools/lecture_pictures.py

They show digits of the data set that comes with Striate. Needs matplotlib.
"""

from __future__ import annotations

from pathlib import Path

import striate as st
from striate.plotting.figure import write_png
from striate.plotting.pooled import pooled_figure

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"


def main() -> None:
    """Train LeNet-5 on the digits, and draw the maps of one of them."""
    train, test = st.load_data("digits")
    network = st.lenet5()
    network.fit(train.images, train.labels)
    figure = pooled_figure(
        network,
        test.images[0],
        "pool1",
        "a digit before pooling (relu1) and after (pool1)",
    )
    write_png(figure, PICTURES / "pooled.png")


if __name__ == "__main__":
    main()
