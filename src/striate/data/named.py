"""Published data sets by name: where they are looked for, and fetched from."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError
from .dataset import Dataset
from .idx_folder import FILES, find_idx_files, load_idx_folder

if TYPE_CHECKING:
    from .download import Patience


_PUBLISHED = (60_000, 28, 28, 1), (10_000, 28, 28, 1)  # images to train and to test


@dataclass(frozen=True)
class NamedSet:
    """A data set published as four packed IDX files.

    Arguments:
        name: what the user calls it; also its folder in the cache.
        mirrors: addresses that the file names are appended to, tried in turn.
        sha256: the published sum, in hex, of each of the files `FILES` with .gz.
        classes: what the labels 0, 1, 2, ... mean.
        bare: its files may also lie in the folder STRIATE_DATA itself.
    """

    name: str
    mirrors: tuple[str, ...]
    sha256: tuple[str, str, str, str]
    classes: tuple[str, ...]
    bare: bool = False

    @property
    def downloads(self) -> Mapping[str, str]:
        """The published file names with their sums."""
        return dict(zip((f"{file}.gz" for file in FILES), self.sha256, strict=True))


MNIST = NamedSet(
    name="mnist",
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    sha256=(
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    classes=tuple("0123456789"),
    bare=True,
)

FASHION_MNIST = NamedSet(
    name="fashion-mnist",
    mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    sha256=(
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
)


def cache_folder() -> Path:
    """Where downloads are kept: striate in $XDG_CACHE_HOME, or else in ~/.cache."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if given.is_absolute():  # the XDG specification: relative ones are ignored
        return given / "striate"
    try:
        return Path.home() / ".cache" / "striate"
    except RuntimeError as error:
        raise DataError(
            "there is no home folder to keep downloads in; let XDG_CACHE_HOME name "
            "a folder, or put the data into one that STRIATE_DATA names"
        ) from error


def search_folders(wanted: NamedSet) -> tuple[Path, ...]:
    """The folders in which a data set is looked for, in order; the cache comes last."""
    folders = []
    if given := os.environ.get("STRIATE_DATA"):
        folders.append(Path(given) / wanted.name)
        if wanted.bare:
            folders.append(Path(given))
    return (*folders, cache_folder() / wanted.name)


def load_named(
    wanted: NamedSet, *, patience: Patience | None = None, quiet: bool = False
) -> tuple[Dataset, Dataset]:
    """A data set from the first folder that has all its files, else by download.

    Files found are used as they are. Raises DataError, with the search order and
    the place to put the files, when there are none and no mirror delivers.
    """
    folders = search_folders(wanted)
    cache = folders[-1]
    given = os.environ.get("STRIATE_DATA")
    if given and not os.path.isdir(given) and not quiet:
        print(f"passed over: STRIATE_DATA, {given}, is no folder", file=sys.stderr)
    for folder in folders:
        found = find_idx_files(folder)
        if len(found) == len(FILES):
            break
        if found and folder != cache:
            missing = ", ".join(file for file in FILES if file not in found)
            if not quiet:
                print(f"passed over: {folder} lacks {missing}", file=sys.stderr)
    else:
        _fetch_missing(wanted, folders, patience, quiet)
    try:
        parts = load_idx_folder(folder, wanted.name, wanted.classes)
    except DataError as error:
        if folder != cache:
            raise
        raise DataError(f"{error}; delete it, and it is downloaded again") from error
    if tuple(part.images.shape for part in parts) != _PUBLISHED and not quiet:
        print(
            f"{folder} does not hold the 60,000 and 10,000 images of 28x28 that "
            f"{wanted.name} has; it is taken for it all the same",
            file=sys.stderr,
        )
    return parts


def _fetch_missing(
    wanted: NamedSet,
    folders: tuple[Path, ...],
    patience: Patience | None,
    quiet: bool,
) -> None:
    from .download import download

    cache = folders[-1]
    found = find_idx_files(cache)
    files = {
        file: sha256
        for file, sha256 in wanted.downloads.items()
        if file.removesuffix(".gz") not in found
    }
    try:
        download(cache, files, wanted.mirrors, patience=patience, quiet=quiet)
    except DataError as error:
        searched = ", ".join(map(str, folders))
        raise DataError(
            f"{wanted.name} was not found in {searched} (searched in this order) and "
            f"could not be downloaded: {error}. Put the files "
            f"{', '.join(wanted.downloads)} into {cache}, or into a folder that you "
            "give instead of the name or that STRIATE_DATA names"
        ) from error
