"""How large the page may become, and what is left out where it would be larger."""

from __future__ import annotations

from ..errors import DataError
from ..markup import Markup

MOST_BYTES = 10_000_000
"""Bytes from which on mail servers begin to refuse an attachment."""

_SENTENCES = 16_000
"""Bytes kept for what introduces the parts and says what is left out of them."""


class Room:
    """The bytes of a page that are left, given away in the order of importance."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.left = limit - _SENTENCES
        self.left_out: list[str] = []
        """What there was no room for, and how it can be seen: a sentence each."""

    @property
    def size(self) -> str:
        """The limit in words.

        >>> Room(10_000_000).size, Room(2_500_000).size
        ('10 MB', '2.5 MB')
        """
        return f"{self.limit / 1e6:g} MB"

    def takes(self, part: Markup) -> bool:
        """Whether there is room for a part, which then is taken up."""
        size = len(part.encode())
        if size > self.left:
            return False
        self.left -= size
        return True

    def must_take(self, part: Markup) -> Markup:
        """Take up what no page can do without; DataError where that is too large."""
        if not self.takes(part):
            raise DataError(
                f"A page below {self.size} has no room even for its words; give the "
                "classes shorter names."
            )
        return part
