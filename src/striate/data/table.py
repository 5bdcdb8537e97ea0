"""A CSV file that lists images: path,label and perhaps split and group."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import DataError
from .listing import SPELLINGS, Listing, Part, listed

COLUMNS = ("path", "label", "split", "group")


def list_table(file: Path, name: str) -> Listing:
    """The images that a table names; paths are relative to the table's folder.

    The first line names the columns: path and label, and where they are known split
    (train, val or test, in their spellings) and group (what must stay together). Others
    are passed over. Columns are parted by comma, semicolon or tab.

    Raises DataError naming the line that is wrong.
    """
    files: list[str] = []
    names: list[str] = []
    classes: list[str] = []
    parts: list[Part] = []
    groups: list[str] = []
    for place, row in _rows(file):
        if not row["path"] or not row["label"]:
            lacking = "path" if not row["path"] else "label"
            raise DataError(f"{place} has no {lacking}; fill it in or remove the line")
        names.append(row["path"])
        files.append(os.path.join(file.parent, row["path"]))
        classes.append(row["label"])
        if "split" in row:
            part = SPELLINGS.get(row["split"].lower())
            if part is None:
                raise DataError(
                    f"{place} has the split {row['split']!r}; write train, val or test, "
                    "or leave the column out"
                )
            parts.append(part)
        if "group" in row:
            groups.append(row["group"])
    if parts and "training" not in parts:
        raise DataError(f"{file} has no line with the split train, nothing to train on")
    return listed(name, files, names, classes, parts=parts, groups=groups)


def _rows(file: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Where each row stands, for messages, and its known columns."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            first = lines.readline()
            if not first.strip():
                raise DataError(f"{file} is empty; its first line must be path,label")
            delimiter = max(",;\t", key=first.count)
            titles = next(csv.reader([first], delimiter=delimiter))
            header = [title.strip().lower() for title in titles]
            _check_header(file, header)
            reader = csv.reader(lines, delimiter=delimiter)
            for row in reader:
                if not any(row):
                    continue
                place = f"{file}, line {reader.line_num + 1},"
                if len(row) != len(header):
                    raise DataError(
                        f"{place} has {len(row)} columns but the first line "
                        f"{len(header)}; put text with a {delimiter!r} into quotes"
                    )
                values = dict(zip(header, row, strict=True))
                yield (
                    place,
                    {key: values[key].strip() for key in COLUMNS if key in values},
                )
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{file} is no table in UTF-8 ({error}); save it as CSV in UTF-8"
        ) from error


def _check_header(file: Path, header: list[str]) -> None:
    for title in COLUMNS[:2]:
        if title not in header:
            raise DataError(
                f"{file} must have the columns path and label (and may have split and "
                f"group) but its first line is {','.join(header)!r:.80}"
            )
    doubled = [title for title in COLUMNS if header.count(title) > 1]
    if doubled:
        raise DataError(f"{file} has the column {doubled[0]} twice; remove one")
