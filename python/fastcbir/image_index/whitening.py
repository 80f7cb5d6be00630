"""What an album learns from its own vectors: read a sample, fit, record; one commit."""

from __future__ import annotations

from fastcbir.extract.projection import fit_whitening
from fastcbir.image_index.catalogue import Catalogue

__all__ = ["learn_whitening"]

_SAMPLE = 20_000
"""Contents learned from, at most: 15 for each of 1280 dimensions, and 100 MB."""


def learn_whitening(catalogue: Catalogue, strength: float | None, dim: int | None) -> int:
    """See ImageIndex.learn_whitening. The caller holds the album's lock and saves the index."""
    if strength is None:
        with catalogue.writing() as batch:
            batch.set_projection(None)
        return 0
    with catalogue.reading() as snapshot:
        # Ids are hashes, so the smallest ones are a sample without a pattern, and always the same.
        _, vectors = snapshot.vectors(snapshot.content_ids()[:_SAMPLE])
    if len(vectors) < 2:
        raise ValueError(f"an album needs at least 2 photos to learn from, and this one has {len(vectors)}")
    projection = fit_whitening(vectors, strength=strength, dim=dim)
    with catalogue.writing() as batch:
        batch.set_projection(projection)
    return len(vectors)
