"""From weights to ONNX: `fastcbir export`. Needs the extra "export"; searching photos never imports it."""

from fastcbir.export.convert import Exported, export_network
from fastcbir.export.model import export_model
from fastcbir.export.variants import VARIANTS, RetrievalLoss, make_variant, retrieval_loss, variant

__all__ = [
    "VARIANTS",
    "Exported",
    "RetrievalLoss",
    "export_model",
    "export_network",
    "make_variant",
    "retrieval_loss",
    "variant",
]
