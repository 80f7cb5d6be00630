"""The course of an add and of a sync: survey the disk, plan, ingest, deal with what has vanished.

The caller holds the writer's lock throughout, so that what was read from the catalogue stays true.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastcbir.image_index.catalogue import Catalogue
from fastcbir.image_index.extracting import PhotoExtractor
from fastcbir.image_index.ingest import Ingest
from fastcbir.image_index.paths import canonical_folder, is_under
from fastcbir.image_index.plan import Plan, make_plan
from fastcbir.image_index.results import AddProgress, AddReport, Failure, Progress
from fastcbir.image_index.snapshot import Root
from fastcbir.image_index.survey import survey
from fastcbir.image_index.walk import Anchor, is_gone, why_lost

__all__ = ["Intake"]

_SCAN_SECONDS = 0.1  # between two reports of a walk


@dataclass
class Intake:
    """One add or sync.

    Attributes:
        catalogue: of the album.
        extractor: gives the album's extractor.
        committed: called after each commit (the search index follows).
        retry_failed: read files again that failed before, though they have not changed.
        progress: the user's callback, or None.
    """

    catalogue: Catalogue
    extractor: Callable[[], PhotoExtractor]
    committed: Callable[[], None]
    retry_failed: bool
    progress: Progress | None

    def add(self, roots: Sequence[Root], missing: Sequence[Failure]) -> AddReport:
        """Take in the photos of these roots, and remember the roots; what has vanished is only counted."""
        report = AddReport(failed=list(missing))
        with self.catalogue.writing() as batch:  # first: so that a sync can go on where this add is cut short
            for root in roots:
                batch.remember_root(root.path, root.kind, root.exclude)
        plan, taken = self._take_in(roots, report, skip_removed=False)
        report.vanished = len(_gone(plan, taken))
        return report

    def sync(self, *, drop_missing_folders: bool) -> AddReport:
        """Walk all remembered roots; drop what has vanished, unless a whole folder seems to be away."""
        report = AddReport()
        with self.catalogue.reading() as snapshot:
            roots = snapshot.roots()
            removed = snapshot.removed()
        plan, taken = self._take_in(roots, report, skip_removed=True)
        with self.catalogue.reading() as snapshot:
            anchors = snapshot.anchors()
        lost = [] if drop_missing_folders else _lost(anchors)
        gone = _gone(plan, taken)
        kept, dropped = _divide(gone, lost)
        given_up = [anchor.path for anchor in anchors if is_gone(anchor.path)] if drop_missing_folders else []
        single = {root.path for root in roots if root.kind == "file"}
        with self.catalogue.writing() as batch:
            batch.drop(dropped)
            batch.forget_folders([*given_up, *single.intersection(dropped)])
            batch.forget_failures(given_up)
            batch.forget_removed(_divide([path for path in removed if is_gone(path)], lost)[1])
            batch.collect()
        report.vanished = len(dropped)
        failed = {
            str(failure.path): failure for failure in report.failed if str(failure.path) not in given_up
        }
        for (anchor, why), paths in kept.items():
            failed[anchor.path] = _kept_message(anchor, why, len(paths))
        report.failed = list(failed.values())
        return report

    def _take_in(
        self, roots: Sequence[Root], report: AddReport, *, skip_removed: bool
    ) -> tuple[Plan, set[str]]:
        from fastcbir.extract.decode import IMAGE_SUFFIXES

        album = canonical_folder(self.catalogue.path.parent)
        found = survey(roots, suffixes=IMAGE_SUFFIXES, skip={album}, arrived=self._scanning())
        with self.catalogue.reading() as snapshot:
            plan = make_plan(found, snapshot, retry_failed=self.retry_failed, skip_removed=skip_removed)
        with self.catalogue.writing() as batch:
            batch.remember_anchors(found.anchors)
            batch.forget_failures(plan.recovered)
            for path, failure in found.failures.items():
                batch.fail(path, failure.reason, None, transient=True)
        report.unchanged += plan.unchanged
        report.failed += plan.failed
        ingest = Ingest(self.catalogue, self.extractor, plan, report, self.progress, self.committed)
        ingest.run()
        with self.catalogue.writing() as batch:
            batch.collect()
        return plan, ingest.taken

    def _scanning(self) -> Callable[[int, str], None]:
        reported = time.monotonic()

        def arrived(count: int, folder: str) -> None:
            nonlocal reported
            if self.progress is not None and time.monotonic() - reported >= _SCAN_SECONDS:
                self.progress(AddProgress("scan", count, 0, 0, Path(folder)))
                reported = time.monotonic()

        return arrived


def _gone(plan: Plan, taken: set[str]) -> list[str]:
    """The photos whose file is gone, and not to a new place. In a folder that can't be read, none is gone."""
    return [path for path in plan.missing if path not in taken and is_gone(path)]


def _lost(anchors: Sequence[Anchor]) -> list[tuple[Anchor, str]]:
    """The folders that seem to be away as a whole, and why; outer ones first."""
    return [(anchor, why) for anchor in anchors if (why := why_lost(anchor)) is not None]


def _divide(
    paths: Sequence[str], lost: Sequence[tuple[Anchor, str]]
) -> tuple[dict[tuple[Anchor, str], list[str]], list[str]]:
    """(those under a lost folder, by the outermost such folder; the others)."""
    inside: dict[tuple[Anchor, str], list[str]] = {}
    outside: list[str] = []
    for path in paths:
        for each in lost:
            if is_under(path, each[0].path):
                inside.setdefault(each, []).append(path)
                break
        else:
            outside.append(path)
    return inside, outside


def _kept_message(anchor: Anchor, why: str, count: int) -> Failure:
    reason = (
        f"the folder {why}, but the album has {count} photos of it that are not found now; none was dropped: "
        "mount or restore it, or call sync(drop_missing_folders=True) if they are gone for good"
    )
    return Failure(Path(anchor.path), reason)
