"""Networks drawn as volumes, in the manner of the figure of LeNet-5, as SVG."""

from .figure import draw_network

__all__ = ["draw_network"]
