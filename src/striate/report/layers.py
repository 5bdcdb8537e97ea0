"""Layer by layer: what a unit sees, what was learned, and what makes it fire."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..colors import SECOND
from ..errors import UsageError
from ..explain import TopPatches, filter_pictures, map_pictures
from ..explain.pixels import Pixels
from ..layers import (
    AvgPool2D,
    Conv2D,
    Dense,
    GlobalAvgPool2D,
    Layer,
    MaxPool2D,
    ReLU,
)
from ..markup import Markup, element, joined, leaf
from .findings import PATCHES, Findings
from .looks import Look, classes_among, learns
from .pictures import at_most, on_picture, picture, uri
from .room import Room
from .words import breakable, named, size

_STORED, _SHOWN = 64, 58  # longest side of a patch in the file, and on the page
_FILTER = 24  # weights a side up to which a filter can be made out


def layers_section(findings: Findings, room: Room) -> Markup:
    """All volumes in their order; where room is short, the last ones have less."""
    detailed = [look for look in findings.looks if look.patches is not None]
    others = [look for look in findings.looks if look.patches is None]
    articles: dict[str, Markup] = {}
    lacking: dict[str, list[str]] = {}
    for look in (*detailed, *others):
        lack, articles[look.stage.name] = next(
            version for version in _versions(findings, look) if room.takes(version[1])
        )
        if lack:
            lacking.setdefault(lack, []).append(look.stage.name)
    words = (
        "Under each layer stand its feature maps. Beside every map are the places, in all "
        f"the pictures tested, at which it answers most strongly (the best {PATCHES} "
        "pictures, one place in each), cut out as one unit sees them. What these patches "
        "have in common is what the map looks for. Below each stands what the picture "
        "really shows: early maps do not care, late ones do. Where one name stands below "
        "many of them, they may look alike because they are pictures of one thing."
    )
    learning = [look for look in findings.looks if learns(look.stage)]
    shown = [look.stage.name for look in learning if look.patches is not None]
    if 0 < len(shown) < len(learning):
        words += (
            f" Of {len(learning):,} layers that learn, {len(shown)} are shown in this "
            f"way: {named(shown)}. Others can be chosen when this page is made (--layers)."
        )
    colours = (
        "Beside a map's name stands its filter: what is bright in it adds to the answer, "
        "what is dark takes away. From the second layer on a picture in colours follows: "
        "what in the first patch fires the map, orange where bright pixels do and "
        "blue where dark ones do."
    )
    note = Markup("")
    if lacking:
        room.left_out.append(_left_out(room, lacking))
        note = element("p", room.left_out[-1], class_="note")
    return element(
        "section",
        element("h2", "Layer by layer"),
        element("p", words),
        element("p", colours) if any(look.fired for look in findings.looks) else "",
        note,
        *(articles[look.stage.name] for look in findings.looks),
        id="layers",
    )


def _versions(findings: Findings, look: Look) -> Iterator[tuple[str, Markup]]:
    """What is told of a layer, at full length and then with less, and what it lacks."""
    title, frames, told = (
        _title(look),
        _field_pictures(findings, look),
        _told(findings, look),
    )
    words = element("div", *(element("p", text) for text in told))
    name = f"layer-{look.stage.name}"
    parts = title, element("div", *frames, words, class_="beside")
    if look.patches is not None:
        yield "", element("article", *parts, _maps(findings, look), id=name)
    lack = "" if look.patches is None else "the maps"
    yield lack, element("article", *parts, _before_and_after(look), id=name)
    yield "all pictures", element("article", title, words, id=name)
    yield "all that is told", Markup("")


def _left_out(room: Room, lacking: dict[str, list[str]]) -> str:
    """What the section lacks, and how it can be seen, in words."""
    parts = [f"{lack} of {named(names)}" for lack, names in lacking.items()]
    return (
        f"Left out, since with it this page would be larger than {room.size}: "
        f"{'; '.join(parts)}. With some layers alone there is room for more, such as "
        f"--layers {next(iter(lacking.values()))[0]} when the page is made."
    )


def _title(look: Look) -> Markup:
    stage = look.stage
    what = "units" if len(stage.shape) == 1 else "maps"
    title = f"{stage.name}: {stage.shape[-1]:,} {what}"
    if what == "maps":
        title += f" of {size(stage.shape[:2])}"
    return element("h3", title)


def _told(findings: Findings, look: Look) -> Iterator[str]:
    """What the layer does, what it learned and what it sees, in words."""
    stage = look.stage
    one = stage.layers[0]
    making = one.layer
    yield from _shortcut(findings, look)
    yield " ".join(filter(None, [_does(making, look), *_changes(look)]))
    if isinstance(making, Conv2D):
        kernel = one.weights[0].shape
        each = f"{kernel[2]} · {kernel[3]} · {kernel[1]}"
        bias = " + 1" if making.bias else ""
        yield (
            f"Each filter consists of {each}{bias} numbers, one for each pixel of its "
            f"patch in each sheet below{' and its bias' if bias else ''}. "
            f"Together {one.parameters:,} numbers were learned here."
        )
    elif isinstance(making, Dense):
        yield (
            f"Each unit has a weight for each of the {one.input_shape[0]:,} numbers that "
            f"reach it: together {one.parameters:,} numbers were learned here."
        )
    field, whole = look.seen.size, look.seen.input_size
    if field == whole:
        share = "all of the picture"
    elif field[0] >= whole[0] and field[1] >= whole[1]:
        share = f"more than the whole picture of {size(whole)}"
    else:
        share = f"out of the picture's {size(whole)}"
    yield (
        f"The frame is what one unit sees: its receptive field of {size(field)} pixels, "
        f"{share}."
    )
    if look.effective is not None and look.before.making is None:
        yield (
            "These pixels do not all count alike: the picture beside it is the darker, "
            "the more a pixel changes the unit, on the average."
        )


def _shortcut(findings: Findings, look: Look) -> Iterator[str]:
    """Where a layer on a shortcut leads to."""
    index = look.stage.layers[0].index
    for one in findings.network.resolved:
        if len(one.inputs) > 1 and one.inputs[0] < index < one.index:
            ends = (
                other.stage.name
                for other in findings.looks
                if one.inputs[0] in (layer.index for layer in other.stage.layers)
            )
            main = next(ends, "the picture")
            yield f"This is on a shortcut: {one.name} adds what it makes to {main}."
            return


def _does(layer: Layer, look: Look) -> str:
    before = size(look.before.shape)
    if isinstance(layer, Conv2D):
        kind = look.stage.operation
        if layer.groups > 1:
            return (
                f"A {kind}: each filter looks at some of the sheets of {before} alone."
            )
        return f"A {kind}: each filter slides over the {before} before it."
    if isinstance(layer, Dense):
        return f"Fully connected: each unit weighs all of the {before} before it."
    if isinstance(layer, MaxPool2D):
        return (
            f"{look.stage.operation.capitalize()} keeps the largest number of every "
            "patch, map by map: the maps get smaller and lose details, and show "
            "the same picture still."
        )
    if isinstance(layer, AvgPool2D | GlobalAvgPool2D):
        return f"{look.stage.operation.capitalize()} keeps the mean, map by map."
    if layer.branches:
        return "The sum of two ways through the network."
    return f"{look.stage.operation.capitalize()}."


_EXPLAINED = {
    "ReLU": "ReLU sets what is negative to 0: a unit fires or it is silent",
    "BatchNorm": "Normalisation keeps every map's numbers in a usual range",
    "Tanh": "Tanh squeezes the answers between -1 and 1",
    "ScaledTanh": "Scaled tanh squeezes the answers between -1.7 and 1.7",
    "Sigmoid": "A sigmoid squeezes the answers between 0 and 1",
    "LeakyReLU": "Leaky ReLU makes what is negative small",
    "Residual": "By a residual connection what entered the block is added",
    "Dropout": "Dropout left out some numbers at random in training",
    "Flatten": "Then all maps are laid out as one row of numbers",
}


def _changes(look: Look) -> Iterator[str]:
    for one in look.stage.changing:
        if words := _EXPLAINED.get(type(one.layer).__name__):
            yield f"{words} ({one.name})."


def _field_pictures(findings: Findings, look: Look) -> Iterator[Markup]:
    """An example with the field of the unit in the middle, and what of it counts."""
    field = size(look.seen.size)
    label = f"a picture, and on it a frame of {field} pixels"
    example = findings.examples[0].pixels
    yield _framed(look, at_most(example, 160), label, f"one unit sees {field}")
    if look.effective is not None:
        shares = look.effective / look.effective.max()
        pixels = np.rint(255 * (1 - 0.85 * shares)).astype(np.uint8)
        label = f"how much each of {field} pixels counts"
        yield _framed(look, at_most(pixels, 160), label, "how much each counts")


def _framed(look: Look, pixels: Pixels, label: str, caption: str) -> Markup:
    """A picture of the input's size with a frame around what a unit sees, to scale."""
    height, width = look.seen.input_size
    rows, columns = look.seen.units
    top, left, bottom, right = look.seen.box(rows // 2, columns // 2, clip=False)
    # Of a field larger than the picture only what lies in it can be drawn.
    top, left = max(0, top), max(0, left)
    bottom, right = min(height, bottom), min(width, right)
    thick = max(height, width) / 60
    frame = leaf(
        "rect",
        x=f"{left + thick / 2:.2f}",
        y=f"{top + thick / 2:.2f}",
        width=f"{max(right - left - thick, thick / 2):.2f}",
        height=f"{max(bottom - top - thick, thick / 2):.2f}",
        fill="none",
        stroke=SECOND,
        stroke_width=f"{thick:.2f}",
    )
    image = leaf(
        "image",
        href=uri(pixels),
        width=width,
        height=height,
        style="image-rendering:pixelated",
    )
    drawing = element(
        "svg",
        element("title", label),
        image,
        frame,
        viewBox=f"0 0 {width} {height}",
        role="img",
        class_="field",
    )
    return element("figure", drawing, element("figcaption", caption))


def _maps(findings: Findings, look: Look) -> Markup:
    """Every shown map: its filter and its best patches."""
    patches = look.patches
    assert patches is not None
    notes = " ".join(_notes(findings, look, patches))
    note = element("p", notes, class_="note") if notes else ""
    filters = _filters(findings, look)
    crops = patches.crops(findings.dataset.images)
    # One scale for all patches of a layer: those at the border are smaller.
    whole = min(max(look.seen.size), max(look.seen.input_size))
    cards = []
    for number in look.maps.tolist():
        figures = [
            _patch(findings, int(image), crop, _SHOWN / whole)
            for image, crop in zip(patches.images[number], crops[number], strict=False)
        ]
        if not _fires(look, number):
            figures = [element("p", "never fires for any of these pictures")]
        name = element("b", _map_name(findings, look, number))
        fired = _fired(look, number, crops[number], _SHOWN / whole)
        label = element("div", name, filters.get(number, ""), fired, class_="map")
        best = element("div", *figures, class_="patches")
        cards.append(element("div", label, best, class_="card"))
    return joined([note, element("div", *cards, class_="cards")])


def _notes(findings: Findings, look: Look, patches: TopPatches) -> Iterator[str]:
    """Which maps are shown, and how many things they show."""
    total, shown = look.stage.shape[-1], len(look.maps)
    what = "unit" if len(look.stage.shape) == 1 else "map"
    if shown < total:
        yield (
            f"Shown are {shown} of {total:,} {what}s: those that answer most strongly "
            f"(by the mean of their best {PATCHES}), the strongest first."
        )
    firing = [number for number in look.maps.tolist() if _fires(look, number)]
    if firing and len(findings.dataset) > PATCHES:  # else all show the same pictures
        classes, chance = classes_among(patches, firing, findings.dataset.labels)
        yield (
            f"The {PATCHES} pictures of a {what} are of {classes:.1f} different classes "
            f"on the average; {PATCHES} drawn at random would be of {chance:.1f}."
        )


def _filters(findings: Findings, look: Look) -> dict[int, Markup]:
    """The pictures of a layer's filters, where they are small enough to be made out."""
    if look.stage.kind == "dense" and look.before.making is not None:
        return {}  # a weight for each unit of many maps is nothing to look at
    try:
        pictures = filter_pictures(findings.network, look.stage.name)
    except UsageError:  # a sum has none
        return {}
    if max(pictures.shape[1:3]) > _FILTER:
        return {}
    scale = 50 if max(pictures.shape[1:3]) <= 8 else 84
    return {
        number: picture(pictures[number], f"filter {number}", scale)
        for number in look.maps.tolist()
    }


def _map_name(findings: Findings, look: Look, number: int) -> str:
    """What a map is called: those of the last layer are classes."""
    classes = findings.network.classes
    if look.stage.last == findings.network.resolved[-1].name and classes is not None:
        return str(classes[number])
    return f"{'unit' if len(look.stage.shape) == 1 else 'map'} {number}"


def _fired(look: Look, number: int, crops: list[Pixels], scale: float) -> Markup | str:
    """The first patch with what of it fires the map."""
    patches, values = look.patches, look.fired.get(number)
    if patches is None or values is None:
        return ""
    top, left, bottom, right = patches.boxes[number, 0].tolist()
    pixels = on_picture(crops[0], values[top:bottom, left:right], root=True)
    alt = f"what fires map {number} in the first patch"
    return picture(at_most(pixels, _STORED), alt, max(8.0, scale * max(pixels.shape)))


def _fires(look: Look, number: int) -> bool:
    """Whether a map was ever more than silent, where a ReLU can silence it."""
    patches = look.patches
    silenced = any(isinstance(one.layer, ReLU) for one in look.stage.layers)
    return patches is None or not silenced or bool(patches.values[number, 0] > 0)


def _patch(findings: Findings, image: int, crop: Pixels, scale: float) -> Markup:
    name = findings.name(image)
    longest = max(8.0, scale * max(crop.shape[:2]))
    return element(
        "figure",
        picture(at_most(crop, _STORED), f"patch of a picture of {name}", longest),
        element("figcaption", breakable(name), title=name),
    )


def _before_and_after(look: Look) -> Markup:
    """One map before and after a pooling, where this is one."""
    if look.pooled is None:
        return Markup("")
    number, *both = look.pooled
    figures = []
    for when, values in zip(("before", "after"), both, strict=True):
        pixels = map_pictures(values[..., np.newaxis])[0]
        shown = picture(at_most(pixels, 96), f"map {number} {when} pooling", 96)
        caption = f"map {number} {when}, {size(values.shape)}"
        figures.append(element("figure", shown, element("figcaption", caption)))
    return element("div", *figures, class_="row")
