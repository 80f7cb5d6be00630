"""Photos to vectors: a registry of models, decoding, and the pipeline between them.

Importing this needs NumPy alone; Pillow and onnxruntime are imported when an extractor is loaded.
"""

from fastcbir.extract.card import ModelCard, Preprocessing
from fastcbir.extract.extractor import Extractor, ImageLike, load_extractor
from fastcbir.extract.registry import DEFAULT_MODEL, models
from fastcbir.extract.results import Failure, Photo

__all__ = [
    "DEFAULT_MODEL",
    "Extractor",
    "Failure",
    "ImageLike",
    "ModelCard",
    "Photo",
    "Preprocessing",
    "load_extractor",
    "models",
]
