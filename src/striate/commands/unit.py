"""What one unit sees, of the input and of an image file: `striate summary --unit`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..arguments import spell
from ..errors import UsageError
from ..images.imagefile import read_image
from ..network import Network
from ..receptive import ReceptiveField, receptive_field
from ..resolve import find_layer
from .streams import printable

FORM = re.compile(r"(?P<layer>[^:]+)(:(?P<row>[0-9]{1,8}),(?P<column>[0-9]{1,8}))?")


@dataclass(frozen=True)
class UnitField:
    """One unit's receptive field; `file_box` is what an image file has of it."""

    layer: str
    unit: tuple[int, int]
    field: ReceptiveField
    file: str | None = None
    file_size: tuple[int, int] = (0, 0)
    file_box: tuple[int, int, int, int] = (0, 0, 0, 0)

    @classmethod
    def of(cls, network: Network, unit: str, file: str | None) -> UnitField:
        """Find what "conv2:4,4" sees; "conv2" is the unit in the middle of its map.

        Raises UsageError for what names no layer, and where there is a file but the
        network does not know how files become its input; ShapeError for units there
        are not; DataError for files that are no image.
        """
        match = FORM.fullmatch(unit)
        if match is None:
            raise UsageError(
                f"--unit names a layer and a place in its map, such as conv2:4,4 for row "
                f"4 and column 4, or a layer alone; not {printable(unit)}."
            )
        layer = find_layer(network.resolved, match["layer"]).name
        field = receptive_field(network, layer)
        place = field.units[0] // 2, field.units[1] // 2
        if match["row"] is not None:
            place = int(match["row"]), int(match["column"])
        box = field.box(*place)
        if file is None:
            return cls(layer, place, field)
        if network.preprocessing is None:
            raise UsageError(
                "--image shows what a trained model sees of a file, but this network was "
                "not trained on uint8 images and does not know how files become its input."
            )
        image = read_image(file)
        size = image.height, image.width
        shown = network.preprocessing.file_box(box, size)
        return cls(layer, place, field, file, size, shown)

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers as JSON can hold them; boxes are half-open."""
        center = [
            first + unit * jump
            for first, unit, jump in zip(
                self.field.center, self.unit, self.field.jump, strict=True
            )
        ]
        values: dict[str, Any] = {
            "layer": self.layer,
            "unit": list(self.unit),
            "size": list(self.field.size),
            "center": center,
            "box": list(self.field.box(*self.unit)),
            "whole": list(self.field.box(*self.unit, clip=False)),
            "pixels": int(self.field.pixels(*self.unit).sum()),
        }
        if self.file is not None:
            values |= {
                "file": self.file,
                "file_size": list(self.file_size),
                "file_box": list(self.file_box),
            }
        return values

    def __str__(self) -> str:
        top, left, bottom, right = box = self.field.box(*self.unit)
        whole, seen = spell(self.field.size), spell((bottom - top, right - left))
        name = f"{self.layer} ({self.unit[0]}, {self.unit[1]})"
        source = f"the {spell(self.field.input_size)} input"
        if top == bottom:
            return f"{name} sees nothing of {source}, only padding around it"
        part = "" if seen == whole else f", of which {seen} are in the image"
        lines = [f"{name} sees {whole} pixels of {source}{part}: {_words(box)}"]
        reaching = int(self.field.pixels(*self.unit).sum())
        if reaching < (bottom - top) * (right - left):
            lines.append(f"only {reaching:,} pixels in this box reach it")
        if self.file is not None:
            name = f"{printable(self.file)}, {spell(self.file_size)} pixels"
            if self.file_box == (0, 0, 0, 0):
                lines.append(f"nothing of {name}: only the background around it")
            else:
                lines.append(f"in {name}: {_words(self.file_box)}")
        return "\n".join(lines)


def _words(box: tuple[int, int, int, int]) -> str:
    top, left, bottom, right = box
    return f"rows {top} to {bottom - 1}, columns {left} to {right - 1}"
