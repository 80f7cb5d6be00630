"""ImageIndex, a folder of photos that can be searched by content: the door; the other files are behind it.

album.fcbir/catalog.db    SQLite, the truth          (catalogue.py, schema.py)
album.fcbir/index.fcx     the search index, derived  (derived.py)
album.fcbir/local.db      local features, a cache    (local_features.py)
album.fcbir/writer.lock   one writer at a time       (lock.py)
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import date
from functools import partial
from io import UnsupportedOperation
from pathlib import Path
from types import TracebackType
from typing import Any, overload

from fastcbir.errors import AlbumLockedError
from fastcbir.image_index import creation
from fastcbir.image_index.catalogue import Catalogue
from fastcbir.image_index.derived import DerivedIndex
from fastcbir.image_index.describing import describe
from fastcbir.image_index.extracting import AlbumExtractor, PhotoExtractor
from fastcbir.image_index.intake import Intake
from fastcbir.image_index.local_features import LOCAL, FeatureCache
from fastcbir.image_index.lock import WriterLock
from fastcbir.image_index.query import Query, photo_filter
from fastcbir.image_index.removal import remove_photos
from fastcbir.image_index.results import AddProgress, AddReport, AlbumInfo, PhotoHit, Problem, Progress
from fastcbir.image_index.searching import Searcher, Wanted
from fastcbir.image_index.survey import roots_of
from fastcbir.image_index.verify import verify as verify_album
from fastcbir.image_index.whitening import learn_whitening
from fastcbir.match.protocol import PairMatcher

__all__ = ["ImageIndex"]

PathLike = str | os.PathLike[str]


class ImageIndex:
    """An album: photos of some folders, each with a vector of its content, in a folder of its own.

    Made by `ImageIndex.open()`. Use it as a context manager, or close() it. Searching is safe from many
    threads, also while one thread adds, and from many processes, while one of them writes; searches see all
    that is committed.
    """

    def __init__(self, catalogue: Catalogue, extractor: AlbumExtractor) -> None:
        """Use open()."""
        self.path = catalogue.path.parent
        self.read_only = catalogue.read_only
        self._catalogue = catalogue
        self._extractor = extractor
        self._index = DerivedIndex(self.path / creation.INDEX, catalogue.identity)
        self._features = FeatureCache(self.path / LOCAL, writable=not self.read_only)
        self._searcher = Searcher(catalogue, self._index, extractor, self._features)

    @classmethod
    def open(
        cls,
        path: PathLike,
        *,
        create: bool = False,
        extractor: str | PhotoExtractor | None = None,
        read_only: bool = False,
    ) -> ImageIndex:
        """Open an album, or make a new one.

        Args:
            path: the album's folder, customarily *.fcbir.
            create: make the album if it does not exist; an existing one is opened as it is.
            extractor: a name of the registry or a loaded extractor. None: the one that the album was made
                with; for a new album the default one. A name is loaded when a photo is first looked at.
            read_only: never write, not even to repair the search index.

        Raises:
            FileNotFoundError: there is no album, and `create` is False.
            FormatError: a folder or file that is no album, or an album that is damaged or of a later version.
            ModelError: the album was made with another extractor.
            AlbumLockedError: another process is just making this album.
        """
        catalogue = creation.open_or_create(path, create=create, extractor=extractor, read_only=read_only)
        try:
            album = cls(catalogue, AlbumExtractor(catalogue.identity, extractor, catalogue.path.parent))
            if not read_only:
                album._repair()
        except BaseException:
            catalogue.close()
            raise
        return album

    def close(self) -> None:
        """Give back files and connections. Everything is saved already; closing twice is no error."""
        self._features.close()
        self._catalogue.close()

    def __enter__(self) -> ImageIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ImageIndex {self.path}, {self._catalogue.identity.model_id}>"

    def __len__(self) -> int:
        """Photos in the album."""
        with self._catalogue.reading() as snapshot:
            return snapshot.photo_count()

    def paths(self, glob: str | None = None) -> list[Path]:
        """The photos, absolute, sorted; those that match a glob (see search()), or all."""
        with self._catalogue.reading() as snapshot:
            return [Path(path) for path in snapshot.paths(photo_filter(glob, None, None))]

    # --- writing --------------------------------------------------------------------------------------------

    def add(
        self,
        source: PathLike | Iterable[PathLike],
        *,
        exclude: Sequence[str] = (),
        retry_failed: bool = False,
        progress: Progress | None = None,
    ) -> AddReport:
        """Take in photos: all that are new or changed in a folder (with its sub-folders), or single files.

        Unchanged photos are skipped by size and time stamp; moved, copied and merely touched ones are
        recognised by their content and not extracted again. Commits come every 64 photos or every second:
        after a kill, the next add goes on from there. Photos that have vanished are counted, and stay in the
        album until sync(). A file that can't be used never stops an add: it is reported, and not tried again
        until it changes.

        Args:
            source: a folder, a file, or several of them. Hidden files and folders and other albums are left
                out (unless named here); linked folders are followed, each once. Files count as photos by
                their suffix; one that is named here is tried whatever its suffix.
            exclude: globs (see search()) of folders and files to leave out; remembered for sync().
            retry_failed: also read files again that failed before and have not changed.
            progress: called with an AddProgress now and then.

        Raises:
            FileNotFoundError: nothing of `source` exists.
            AlbumLockedError: another process or thread is writing; the message names it.
            ModelError, MissingExtraError: the extractor can't be loaded, or failed.
            OSError: the disk is full or failing. Everything committed before is safe.
            KeyboardInterrupt: passed on; everything finished before is committed.
        """
        self._for_writing("add photos")
        started = time.monotonic()
        roots, missing = roots_of(source, exclude)
        with self._writer_lock():
            report = self._intake(retry_failed, progress).add(roots, missing)
            self._save(progress)
        report.seconds = time.monotonic() - started
        return report

    def sync(
        self,
        *,
        drop_missing_folders: bool = False,
        retry_failed: bool = False,
        progress: Progress | None = None,
    ) -> AddReport:
        """Bring the album up to date with the folders and files that were added: add() for each of them, and
        drop the photos whose files have vanished.

        A folder that is missing or empty as a whole may lie on a disk that is not mounted: its photos are
        kept, and the report names it among `failed`. What was taken out by remove() is not taken in again.

        Args:
            drop_missing_folders: drop the photos of such folders too, and forget folders that do not exist.
            retry_failed, progress: as for add().

        Raises:
            As add(), without FileNotFoundError.
        """
        self._for_writing("sync")
        started = time.monotonic()
        with self._writer_lock():
            report = self._intake(retry_failed, progress).sync(drop_missing_folders=drop_missing_folders)
            self._save(progress)
        report.seconds = time.monotonic() - started
        return report

    def remove(self, photos: PathLike | Iterable[PathLike]) -> int:
        """Take photos out of the album; their files are not touched.

        sync() will not take them in again; add() will. Removing a whole folder that was added also ends its
        syncing.

        Args:
            photos: a file, a folder (everything in it), a glob (a text with *, ? or [; see search()), or
                several.

        Returns:
            How many photos were taken out; 0 when nothing matched.

        Raises:
            AlbumLockedError: another process or thread is writing.
        """
        self._for_writing("remove photos")
        with self._writer_lock():
            count = remove_photos(self._catalogue, photos)
            self._save(None)
        return count

    def learn_whitening(self, strength: float | None = 0.5, *, dim: int | None = None) -> int:
        """Learn from the album's own vectors how to weigh what tells its photos apart; no labels are needed.

        It is kept with the album, and all searches go through it; `add` does not learn anew. Vectors to
        search with stay those of the extractor.

        Args:
            strength: see extract.projection.fit_whitening; None forgets what was learned.
            dim: of the vectors that are compared; None for the extractor's.

        Returns:
            How many vectors it learned from.

        Raises:
            ValueError: fewer than 2 photos, or strength or dim out of range.
            AlbumLockedError: another process or thread is writing.
        """
        self._for_writing("learn")
        with self._writer_lock():
            count = learn_whitening(self._catalogue, strength, dim)
            self._save(None)
        return count

    # --- searching ------------------------------------------------------------------------------------------

    @overload
    def search(
        self,
        query: list[Any] | tuple[Any, ...],
        k: int = 10,
        *,
        glob: str | None = None,
        after: str | date | None = None,
        before: str | date | None = None,
        verify: bool | str | PairMatcher = False,
        candidates: int = 100,
        expand: int = 0,
    ) -> list[list[PhotoHit]]: ...

    @overload
    def search(
        self,
        query: Query,
        k: int = 10,
        *,
        glob: str | None = None,
        after: str | date | None = None,
        before: str | date | None = None,
        verify: bool | str | PairMatcher = False,
        candidates: int = 100,
        expand: int = 0,
    ) -> list[PhotoHit]: ...

    def search(
        self,
        query: Query | list[Any] | tuple[Any, ...],
        k: int = 10,
        *,
        glob: str | None = None,
        after: str | date | None = None,
        before: str | date | None = None,
        verify: bool | str | PairMatcher = False,
        candidates: int = 100,
        expand: int = 0,
    ) -> list[PhotoHit] | list[list[PhotoHit]]:
        """The photos most similar to a query, the nearest first.

        Args:
            query: a path, the bytes of an image file, a PIL image, an (H, W, 3) uint8 RGB array, a (dim,)
                vector, or Text("words") where the model knows text; for several, a list of these. For an
                unchanged photo of the album the stored vector is used, and no model is needed.
            k: at most so many photos, 1 to 10,000. Copies of one content count each.
            glob: only photos whose path matches. `*` stands for any characters, "/" too, `?` for one, `[a-z]`
                and `[!a-z]` for one of a set; a glob that does not begin with "/" or "*" matches at any
                depth.
            after, before: only photos captured at or after / before this local time: a date, a datetime, or
                ISO 8601 text. Photos without a capture time pass neither.
            verify: compare the query point by point with the first `candidates`, and move ahead those that
                surely show the same thing (docs/matching.md); True for the default matcher, or a matcher or
                its name.
            expand: search once more with the query made richer by so many of its first hits (alpha query
                expansion); under `verify` by confirmed ones only. Distances are then from the richer query.

        Returns:
            list[PhotoHit], at most k, fewer where fewer photos pass; for several queries a list of such
            lists.

        Raises:
            ValueError: k, candidates or expand out of range; a vector of the wrong dim, zero or not finite;
                an image that can't be decoded; a vector or words where `verify` needs a photo.
            ModelError: words, and the album's model knows no text.
            FileNotFoundError: the query's file does not exist.
        """
        wanted = Wanted(k, photo_filter(glob, after, before), verify, candidates, expand)
        several = isinstance(query, list | tuple)
        queries: list[Any] = list(query) if isinstance(query, list | tuple) else [query]
        hits = self._searcher.search(queries, wanted)
        return hits if several else hits[0]

    def refresh(self) -> None:
        """Take in now what others have committed since the last search; searches do so by themselves."""
        with self._catalogue.reading() as snapshot:
            self._index.follow(snapshot)

    # --- looking after it -----------------------------------------------------------------------------------

    def info(self) -> AlbumInfo:
        """What the album is and holds."""
        return describe(self._catalogue, self._index.kind)

    def verify_integrity(self) -> list[Problem]:
        """Check everything: SQLite's own check, each vector's length, norm and identity, the index file's
        checksums and its agreement with the catalogue, and each photo's file. Reads everything but the
        photos; run it while nobody writes.

        Returns:
            The problems, empty when all is well. Nothing is changed.
        """
        return verify_album(self._catalogue, self.path / creation.INDEX)

    def _for_writing(self, action: str) -> None:
        if self.read_only:
            raise UnsupportedOperation(f"can't {action}: {self.path} was opened with read_only=True")

    def _writer_lock(self, patience_s: float = 1.0) -> WriterLock:
        return WriterLock(self.path / creation.LOCK, patience_s=patience_s)

    def _intake(self, retry_failed: bool, progress: Progress | None) -> Intake:
        follow = partial(self._follow, progress)
        return Intake(self._catalogue, self._extractor, follow, retry_failed, progress)

    def _follow(self, progress: Progress | None) -> None:
        """Bring the index in memory up to date, telling of it where that takes long."""

        def tell(done: int, total: int) -> None:
            if progress is not None:
                progress(AddProgress("index", done, total, 0, None))

        with self._catalogue.reading() as snapshot:
            self._index.follow(snapshot, tell)

    def _save(self, progress: Progress | None) -> None:
        """Bring the search index up to date, in memory and on disk."""
        self._follow(progress)
        try:
            self._index.save()
        except OSError as error:
            raise OSError(
                error.errno,
                "the photos are recorded, but the search index could not be saved "
                f"({error.strerror or error}); nothing is lost: it is made again from the catalogue when "
                "the album is next opened",
                str(self._index.path),
            ) from error

    def _repair(self) -> None:
        """On opening: take the index from its file, put right what is not as in the catalogue, and save that.
        Whoever holds the lock now will save anyway, and on a full disk the index in memory does.
        """
        self.refresh()
        with suppress(AlbumLockedError, OSError), self._writer_lock(patience_s=0):
            self.refresh()  # what was committed until the lock was had
            self._index.save()
