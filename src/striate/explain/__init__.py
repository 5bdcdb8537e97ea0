"""What a trained network has learned, and which pixels decide its answers."""

from .diagnosis import ClassPair, Diagnosis, Finding
from .diagnostics import diagnose
from .filters import filter_pictures, map_pictures
from .gabor import GaborFits, fit_gabors
from .hierarchy import (
    Concentration,
    Selectivity,
    concentration,
    patch_centers,
    selectivity,
    unit_centers,
)
from .orientation import EdgeFits, OrientationSpread, edge_fits, orientation_spread
from .patches import TopPatches, top_patches
from .pixels import input_pixels

__all__ = [
    "ClassPair",
    "Concentration",
    "Diagnosis",
    "EdgeFits",
    "Finding",
    "GaborFits",
    "OrientationSpread",
    "Selectivity",
    "TopPatches",
    "concentration",
    "diagnose",
    "edge_fits",
    "filter_pictures",
    "fit_gabors",
    "input_pixels",
    "map_pictures",
    "orientation_spread",
    "patch_centers",
    "selectivity",
    "top_patches",
    "unit_centers",
]
