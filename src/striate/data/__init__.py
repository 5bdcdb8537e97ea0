"""Data sets: named ones, folders, files and arrays become uint8 images and labels."""

from .dataset import Dataset, data_hash
from .idx import read_idx
from .load import NAMES
from .named import cache_folder
from .parts import Data
from .read import load_data, read_data
from .reading import Reading

__all__ = [
    "NAMES",
    "Data",
    "Dataset",
    "Reading",
    "cache_folder",
    "data_hash",
    "load_data",
    "read_data",
    "read_idx",
]
