"""What a trained network has learned, and which pixels decide its answers."""

from .attribution import (
    IntegratedGradients,
    gradient_times_input,
    integrated_gradients,
    largest_magnitude,
    saliency,
    smooth_gradient,
)
from .distances import LayerShift
from .maximization import Maximization, Transforms, maximize
from .occlusion import Occlusion, occlusion
from .shift import ShiftResponse, moved, shift_response

__all__ = [
    "IntegratedGradients",
    "LayerShift",
    "Maximization",
    "Occlusion",
    "ShiftResponse",
    "Transforms",
    "gradient_times_input",
    "integrated_gradients",
    "largest_magnitude",
    "maximize",
    "moved",
    "occlusion",
    "saliency",
    "shift_response",
    "smooth_gradient",
]
