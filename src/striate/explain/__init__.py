"""What a trained network has learned, and which pixels decide its answers."""

from .diagnosis import ClassPair, Diagnosis, Finding
from .diagnostics import diagnose
from .filters import filter_pictures, map_pictures
from .patches import TopPatches, top_patches
from .pixels import input_pixels

__all__ = [
    "ClassPair",
    "Diagnosis",
    "Finding",
    "TopPatches",
    "diagnose",
    "filter_pictures",
    "input_pixels",
    "map_pictures",
    "top_patches",
]
