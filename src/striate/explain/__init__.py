"""What a trained network has learned, and which pixels decide its answers."""

from .gradcam import grad_cam
from .guided import Projection, deconvolution, guided_backpropagation
from .scaling import scale_to_input

__all__ = [
    "Projection",
    "deconvolution",
    "grad_cam",
    "guided_backpropagation",
    "scale_to_input",
]
