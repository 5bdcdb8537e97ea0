"""HTML and SVG as text, element by element, with everything escaped that is put in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

# What XML does not allow, and what turns the direction of writing around it; names of
# classes and files may come from anybody.
_UNFIT = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069"
    r"\ud800-\udfff\ufffe\uffff]"
)


class Markup(str):
    """Text that is markup already, and is not escaped again."""

    __slots__ = ()


def escaped(content: object) -> Markup:
    """Return what stands for ``content`` in HTML and in XML.

    >>> escaped("<script>"), escaped(Markup("<b>yes</b>"))
    ('&lt;script&gt;', '<b>yes</b>')
    """
    if isinstance(content, Markup):
        return content
    return Markup(escape(_UNFIT.sub("\ufffd", str(content))))


def joined(parts: Iterable[object]) -> Markup:
    """Put parts behind each other, each escaped unless it is markup."""
    return Markup("".join(map(escaped, parts)))


def element(tag: str, *content: object, **attributes: object) -> Markup:
    """Return an element with its content.

    In names of attributes `_` stands for `-`, but for one at the end (`class_`).
    Attributes that are None are left out, numbers rounded to a tenth.

    >>> element("p", "1 < 2, ", element("b", "yes"), class_="note")
    '<p class="note">1 &lt; 2, <b>yes</b></p>'
    """
    return Markup(f"<{tag}{_spelled(attributes)}>{joined(content)}</{tag}>")


def leaf(tag: str, **attributes: object) -> Markup:
    """Return an element that has no content, such as `img` or `rect`.

    >>> leaf("line", x1=0, x2=1 / 3, stroke_width=2)
    '<line x1="0" x2="0.3" stroke-width="2"/>'
    """
    return Markup(f"<{tag}{_spelled(attributes)}/>")


def _spelled(attributes: dict[str, object]) -> str:
    return "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escaped(_number(value))}"'
        for name, value in attributes.items()
        if value is not None
    )


def _number(value: object) -> object:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value
