"""What a trained network has learned, and which pixels decide its answers."""

from .diagnosis import ClassPair, Diagnosis, Finding
from .diagnostics import diagnose
from .effective import EffectiveField, effective_field
from .fields import LayerField, layer_fields
from .filters import filter_pictures, map_pictures
from .patches import TopPatches, top_patches
from .pixels import input_pixels

__all__ = [
    "ClassPair",
    "Diagnosis",
    "EffectiveField",
    "Finding",
    "LayerField",
    "TopPatches",
    "diagnose",
    "effective_field",
    "filter_pictures",
    "input_pixels",
    "layer_fields",
    "map_pictures",
    "top_patches",
]
