"""What a trained network has learned, and which pixels decide its answers."""

from .attribution import (
    IntegratedGradients,
    gradient_times_input,
    integrated_gradients,
    largest_magnitude,
    saliency,
    smooth_gradient,
)
from .diagnosis import ClassPair, Diagnosis, Finding
from .diagnostics import diagnose
from .distances import LayerShift
from .effective import EffectiveField, effective_field
from .fields import LayerField, layer_fields
from .filters import filter_pictures, map_pictures
from .gradcam import grad_cam
from .guided import Projection, deconvolution, guided_backpropagation
from .maximization import Maximization, maximize
from .occlusion import Occlusion, occlusion
from .patches import TopPatches, top_patches
from .pixels import input_pixels
from .scaling import scale_to_input
from .shift import ShiftResponse, moved, shift_response
from .transforms import Transforms

__all__ = [
    "ClassPair",
    "Diagnosis",
    "EffectiveField",
    "Finding",
    "IntegratedGradients",
    "LayerField",
    "LayerShift",
    "Maximization",
    "Occlusion",
    "Projection",
    "ShiftResponse",
    "TopPatches",
    "Transforms",
    "deconvolution",
    "diagnose",
    "effective_field",
    "filter_pictures",
    "grad_cam",
    "gradient_times_input",
    "guided_backpropagation",
    "input_pixels",
    "integrated_gradients",
    "largest_magnitude",
    "layer_fields",
    "map_pictures",
    "maximize",
    "moved",
    "occlusion",
    "saliency",
    "scale_to_input",
    "shift_response",
    "smooth_gradient",
    "top_patches",
]
