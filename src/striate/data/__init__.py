"""Data sets: named ones and folders become uint8 images, labels and class names."""

from .dataset import Dataset, data_hash
from .idx import read_idx
from .load import NAMES, load_data
from .named import cache_folder

__all__ = ["NAMES", "Dataset", "cache_folder", "data_hash", "load_data", "read_idx"]
