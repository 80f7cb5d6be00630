"""Putting found photos in a better order: geometric verification, query expansion, diffusion.

Importing this needs NumPy alone; OpenCV is imported when a match is verified.
"""

from fastcbir.rerank.diffusion import diffuse
from fastcbir.rerank.expansion import alpha_expansion, augment_database, average_expansion
from fastcbir.rerank.matches import Matches
from fastcbir.rerank.ranking import Ranked, rerank
from fastcbir.rerank.verify import Verification, verify

__all__ = [
    "Matches",
    "Ranked",
    "Verification",
    "alpha_expansion",
    "augment_database",
    "average_expansion",
    "diffuse",
    "rerank",
    "verify",
]
