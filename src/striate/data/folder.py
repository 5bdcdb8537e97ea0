"""Folders of image files: a folder for each class, in parts or not."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DataError
from .listing import SPELLINGS, Listing, Part, counted, few, listed


@functools.cache
def image_suffixes() -> frozenset[str]:
    """The endings, in small letters, of the file formats that Pillow reads."""
    from PIL import Image

    Image.preinit()  # the common formats first: Pillow tries them in this order
    known = Image.registered_extensions()
    return frozenset(suffix for suffix, kind in known.items() if kind in Image.OPEN)


@dataclass
class _Found:
    """The images met so far, and what was passed over."""

    root: Path
    files: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    loose: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)

    def add_classes(self, folder: Path, part: Part | None) -> None:
        """Take every folder in `folder` as a class, with all images below it."""
        prefix = len(os.path.join(self.root, ""))
        for entry in _visible(folder):
            if not entry.is_dir():
                if self._is_image(entry.name):
                    self.loose.append(entry.name)
                continue
            before = len(self.files)
            for path in _files_below(entry.path, ()):
                if self._is_image(path):
                    self.files.append(path)
                    self.names.append(path[prefix:].replace(os.sep, "/"))
            count = len(self.files) - before
            self.classes += [_readable(entry.name)] * count
            if part is not None:
                self.parts += [part] * count
            if not count:
                self.empty.append(_readable(entry.path[prefix:]))

    def _is_image(self, name: str) -> bool:
        suffix = os.path.splitext(name)[1].lower()
        if suffix in image_suffixes():
            return True
        self.others[suffix or "no ending"] += 1
        return False

    def notes(self) -> Iterator[str]:
        """What was passed over."""
        if self.empty:
            yield (
                f"{counted(len(self.empty), 'folder')} without an image "
                f"({few(self.empty)}) passed over: no class"
            )
        if self.loose:
            yield (
                f"{counted(len(self.loose), 'image')} outside any class folder "
                f"({few(self.loose)}) passed over"
            )
        if self.others:
            kinds = ", ".join(
                f"{suffix} {count:,}" for suffix, count in self.others.most_common(5)
            )
            total = counted(sum(self.others.values()), "file")
            yield f"{total} passed over, no images by their ending ({kinds})"


def list_folder(root: Path, name: str) -> Listing:
    """The images of `root`/class/... or of `root`/{train,val,test}/class/...

    All images below a class folder belong to it. Parts may be called train or training,
    val, valid or validation, test or testing, in any case. Hidden files are left out;
    symbolic links are followed.

    Raises DataError where there is no image, no class or no training part.
    """
    found = _Found(root)
    folders = [entry.name for entry in _visible(root) if entry.is_dir()]
    parts = _part_folders(root, folders)
    notes = []
    if parts:
        for part, folder in parts.items():
            before = len(found.files)
            found.add_classes(root / folder, part)
            if len(found.files) == before:
                _refuse_empty_part(root / folder, found)
        beside = [one for one in folders if one not in parts.values()]
        if beside:
            notes.append(
                f"{few(beside)} beside the folders {few(list(parts.values()))} passed "
                "over: no part of the data"
            )
    else:
        found.add_classes(root, None)
    if not found.files:
        raise DataError(
            f"{root} has no class folders with images; put the images of each class "
            "into a folder of its own, named as the class, or list them in a CSV file "
            "with the columns path,label"
        )
    return listed(
        name,
        found.files,
        found.names,
        found.classes,
        parts=found.parts,
        notes=(*notes, *found.notes()),
    )


def _part_folders(root: Path, folders: list[str]) -> dict[Part, str]:
    """The folder of every part, if the folders are parts and not classes."""
    parts: dict[Part, str] = {}
    for folder in folders:
        part = SPELLINGS.get(folder.strip().lower())
        if part is None:
            continue
        if part in parts:
            raise DataError(
                f"{root} has two folders for its {part} part, {parts[part]!r} and "
                f"{folder!r}; bring their classes together in one of them"
            )
        parts[part] = folder
    if not parts or (len(parts) == 1 and len(folders) > 1):
        return {}  # one among others is a class: trains beside cars
    if "training" not in parts:
        raise DataError(
            f"{root} has {few(list(parts.values()))} but no folder train to train on; "
            "add it, or put the class folders into the data folder itself"
        )
    return parts


def _refuse_empty_part(folder: Path, found: _Found) -> None:
    if found.loose:
        raise DataError(
            f"{folder} holds images but no class folders; put the images of each class "
            "into a folder of its own, named as the class"
        )
    raise DataError(
        f"{folder} has no images; fill it, or remove it and a part is split off"
    )


def _files_below(folder: str, above: tuple[str, ...]) -> Iterator[str]:
    """The visible files in a folder and below, sorted; links that lead back are not
    followed."""
    here = os.path.realpath(folder)
    if here in above:
        return
    for entry in _visible(folder):
        if entry.is_dir():
            yield from _files_below(entry.path, (*above, here))
        else:
            yield entry.path


def _visible(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            shown = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read: {error.strerror or error}; mend its permissions "
            "or take it out"
        ) from error
    return sorted(shown, key=lambda entry: entry.name)


def _readable(name: str) -> str:
    """A file name as text that can be written anywhere, whatever its bytes."""
    return os.fsencode(name).decode("utf-8", "replace")
