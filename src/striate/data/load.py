"""One door to all data: a name or a path becomes a training and a test part."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import DataError
from .dataset import Dataset
from .digits import load_digits
from .idx_folder import load_idx_folder
from .named import FASHION_MNIST, MNIST, load_named

NAMED = {wanted.name: wanted for wanted in (MNIST, FASHION_MNIST)}
NAMES = ("digits", *NAMED)


def load_data(
    data: str | os.PathLike[str], *, quiet: bool = False
) -> tuple[Dataset, Dataset]:
    """Load a data set: (training part, test part).

    Arguments:
        data: "digits" (built in), "mnist" or "fashion-mnist", or the path of a folder
            that holds four IDX files named as MNIST's are, with or without .gz. The
            named ones are looked for in the folder that the environment variable
            STRIATE_DATA names, then in the user's cache, and else downloaded there.
        quiet: say nothing on stderr while looking and downloading.

    Raises DataError when there is no such data set, or it is damaged, or it can't be
    downloaded. A folder called as a data set is reached by "./mnist".

    Sources: E. Alpaydin and C. Kaynak 1998 (digits); Y. LeCun, C. Cortes and
    C. Burges 1998 (MNIST); H. Xiao, K. Rasul and R. Vollgraf 2017 (Fashion-MNIST).

    >>> train, test = load_data("digits")
    >>> train.images.shape, test.labels[:5].tolist()
    ((1438, 28, 28, 1), [4, 9, 4, 9, 4])
    """
    if data == "digits":
        return load_digits()
    if isinstance(data, str) and data in NAMED:
        return load_named(NAMED[data], quiet=quiet)
    path = Path(data)
    if path.is_dir():
        return load_idx_folder(path, path.resolve().name)
    names = ", ".join(NAMES)
    if path.exists():
        raise DataError(
            f"{path} is a file, but data must be a folder with four IDX files, "
            f"or one of the names {names}"
        )
    raise DataError(
        f"there is no data set or folder {str(path)!r}; give the path of a folder "
        f"with four IDX files, or one of the names {names}"
    )
