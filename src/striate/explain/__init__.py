"""What a trained network has learned, and which pixels decide its answers."""

from .attribution import (
    IntegratedGradients,
    gradient_times_input,
    integrated_gradients,
    largest_magnitude,
    saliency,
    smooth_gradient,
)
from .gradcam import grad_cam
from .guided import Projection, deconvolution, guided_backpropagation
from .maximization import Maximization, maximize
from .occlusion import Occlusion, occlusion
from .scaling import scale_to_input
from .transforms import Transforms

__all__ = [
    "IntegratedGradients",
    "Maximization",
    "Occlusion",
    "Projection",
    "Transforms",
    "deconvolution",
    "grad_cam",
    "gradient_times_input",
    "guided_backpropagation",
    "integrated_gradients",
    "largest_magnitude",
    "maximize",
    "occlusion",
    "saliency",
    "scale_to_input",
    "smooth_gradient",
]
