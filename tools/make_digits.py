"""Make src/striate/data/digits.npz from scikit-learn's copy of the UCI digits.

Run `python tools/make_digits.py` with scikit-learn installed; the file is the same
on every run. What it is and where it comes from: src/striate/data/DIGITS.md.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

TARGET = Path(__file__).parents[1] / "src" / "striate" / "data" / "digits.npz"


def main() -> None:
    digits = load_digits()
    levels = digits.images.astype(np.uint8)
    labels = digits.target.astype(np.uint8)
    assert levels.shape == (1797, 8, 8)
    assert np.array_equal(levels, digits.images)
    assert levels.max() == 16
    np.savez_compressed(TARGET, levels=levels, labels=labels)
    print(f"{TARGET}: {len(levels)} digits in {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
