"""The page that tells people what a network has learned: `striate explain`."""

from .findings import Findings, look_inside
from .page import Page, explain_page

__all__ = ["Findings", "Page", "explain_page", "look_inside"]
