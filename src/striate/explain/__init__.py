"""What a trained network has learned, and which pixels decide its answers."""

from .attribution import (
    IntegratedGradients,
    gradient_times_input,
    integrated_gradients,
    largest_magnitude,
    saliency,
    smooth_gradient,
)
from .maximization import Maximization, maximize
from .occlusion import Occlusion, occlusion
from .transforms import Transforms

__all__ = [
    "IntegratedGradients",
    "Maximization",
    "Occlusion",
    "Transforms",
    "gradient_times_input",
    "integrated_gradients",
    "largest_magnitude",
    "maximize",
    "occlusion",
    "saliency",
    "smooth_gradient",
]
