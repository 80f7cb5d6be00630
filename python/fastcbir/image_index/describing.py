"""What an album is and holds, told in one AlbumInfo."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from fastcbir.image_index import creation
from fastcbir.image_index.catalogue import Catalogue
from fastcbir.image_index.results import AlbumInfo
from fastcbir.image_index.schema import SCHEMA_VERSION

__all__ = ["describe"]


def describe(catalogue: Catalogue, kind: Callable[[int], str]) -> AlbumInfo:
    """See ImageIndex.info(); `kind` tells what index so many contents have."""
    identity, folder = catalogue.identity, catalogue.path.parent
    with catalogue.reading() as snapshot:
        contents = snapshot.content_count()
        sizes = {each.name: each.stat().st_size for each in folder.iterdir() if each.is_file()}
        return AlbumInfo(
            path=folder,
            photos=snapshot.photo_count(),
            contents=contents,
            folders=[Path(root.path) for root in snapshot.roots()],
            failed=snapshot.failed(),
            extractor=identity.extractor,
            model_id=identity.model_id,
            dim=identity.dim,
            metric=identity.metric,
            index_kind=kind(contents),
            bytes_on_disk=sum(sizes.values()),
            catalogue_bytes=sum(size for name, size in sizes.items() if name.startswith(creation.CATALOGUE)),
            index_bytes=sum(size for name, size in sizes.items() if name.endswith(".fcx")),
            created_at=datetime.fromisoformat(identity.created_at),
            generation=snapshot.generation(),
            schema_version=SCHEMA_VERSION,
            projection=getattr(snapshot.projection(), "kind", ""),
        )
