"""What a trained network has learned, and which pixels decide its answers."""

from .diagnosis import ClassPair, Diagnosis, Finding
from .diagnostics import diagnose
from .effective import EffectiveField, effective_field
from .fields import LayerField, layer_fields
from .filters import filter_pictures, map_pictures
from .gradcam import grad_cam
from .guided import Projection, deconvolution, guided_backpropagation
from .patches import TopPatches, top_patches
from .pixels import input_pixels
from .scaling import scale_to_input

__all__ = [
    "ClassPair",
    "Diagnosis",
    "EffectiveField",
    "Finding",
    "LayerField",
    "Projection",
    "TopPatches",
    "deconvolution",
    "diagnose",
    "effective_field",
    "filter_pictures",
    "grad_cam",
    "guided_backpropagation",
    "input_pixels",
    "layer_fields",
    "map_pictures",
    "scale_to_input",
    "top_patches",
]
