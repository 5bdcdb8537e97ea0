"""What a trained network has learned, and which pixels decide its answers."""

from .effective import EffectiveField, effective_field
from .fields import LayerField, layer_fields

__all__ = ["EffectiveField", "LayerField", "effective_field", "layer_fields"]
