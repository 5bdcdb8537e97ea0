"""What a trained network has learned, and which pixels decide its answers."""

from .attribution import (
    gradient_times_input,
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
from .gabor import GaborFits, fit_gabors
from .gradcam import grad_cam
from .guided import Projection, deconvolution, guided_backpropagation
from .hierarchy import (
    Concentration,
    Selectivity,
    concentration,
    patch_centers,
    selectivity,
    unit_centers,
)
from .integrated import IntegratedGradients, integrated_gradients
from .maximization import Maximization, maximize
from .occlusion import Occlusion, occlusion
from .orientation import EdgeFits, OrientationSpread, edge_fits, orientation_spread
from .patches import TopPatches, top_patches
from .pixels import input_pixels
from .scaling import scale_to_input
from .shift import ShiftResponse, moved, shift_response
from .transforms import Transforms

__all__ = [
    "ClassPair",
    "Concentration",
    "Diagnosis",
    "EdgeFits",
    "EffectiveField",
    "Finding",
    "GaborFits",
    "IntegratedGradients",
    "LayerField",
    "LayerShift",
    "Maximization",
    "Occlusion",
    "OrientationSpread",
    "Projection",
    "Selectivity",
    "ShiftResponse",
    "TopPatches",
    "Transforms",
    "concentration",
    "deconvolution",
    "diagnose",
    "edge_fits",
    "effective_field",
    "filter_pictures",
    "fit_gabors",
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
    "orientation_spread",
    "patch_centers",
    "saliency",
    "scale_to_input",
    "selectivity",
    "shift_response",
    "smooth_gradient",
    "top_patches",
    "unit_centers",
]
