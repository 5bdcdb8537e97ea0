"""What a trained network has learned, and which pixels decide its answers."""

from .diagnosis import ClassPair, Diagnosis, Finding
from .diagnostics import diagnose
from .effective import EffectiveField, effective_field
from .fields import LayerField, layer_fields
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
    "EffectiveField",
    "Finding",
    "GaborFits",
    "LayerField",
    "OrientationSpread",
    "Selectivity",
    "TopPatches",
    "concentration",
    "diagnose",
    "edge_fits",
    "effective_field",
    "filter_pictures",
    "fit_gabors",
    "input_pixels",
    "layer_fields",
    "map_pictures",
    "orientation_spread",
    "patch_centers",
    "selectivity",
    "top_patches",
    "unit_centers",
]
