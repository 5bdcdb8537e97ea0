"""What a trained network has learned, and which pixels decide its answers."""

from .shift import LayerShift, ShiftResponse, moved, shift_response

__all__ = ["LayerShift", "ShiftResponse", "moved", "shift_response"]
