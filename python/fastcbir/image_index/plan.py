"""The difference between disk and catalogue, as a list of work; nothing is read yet but names and stats.

A file is the same while its size and time of change are. One whose size occurs elsewhere (in the album, or
among the new files) may be a copy, a moved or a merely touched photo: its bytes are hashed first, which is
far cheaper than a model. One of a size never seen can be none of these, and goes to the model at once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from fastcbir.extract.results import Failure
from fastcbir.image_index.snapshot import KnownFailure, Snapshot
from fastcbir.image_index.survey import Survey
from fastcbir.image_index.walk import FoundFile

__all__ = ["Plan", "make_plan"]


@dataclass
class Plan:
    """What an add has to do.

    Attributes:
        unchanged: photos that are as the catalogue says.
        failed: what can't be used, known without reading: from the walk, or remembered from an earlier run.
        hash_first: files that may have known content, in the order of the survey.
        extract: files that have new content.
        known: the paths of the catalogue, as the photos were.
        missing: catalogue paths that the survey should have come across and did not.
        recovered: remembered failures that no longer are: gone, or met again as something to try.
    """

    unchanged: int = 0
    failed: list[Failure] = field(default_factory=list)
    hash_first: list[FoundFile] = field(default_factory=list)
    extract: list[FoundFile] = field(default_factory=list)
    known: dict[str, FoundFile] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    recovered: list[str] = field(default_factory=list)


def make_plan(found: Survey, catalogue: Snapshot, *, retry_failed: bool, skip_removed: bool) -> Plan:
    """Compare a survey with the catalogue.

    Args:
        retry_failed: read files again that failed before, though they have not changed.
        skip_removed: leave out the files that were taken out by hand.
    """
    plan = Plan(known=catalogue.states())
    remembered = catalogue.failures()
    removed = catalogue.removed() if skip_removed else set()
    changed: list[FoundFile] = []
    for path, file in found.files.items():
        failure = remembered.get(path)
        known = plan.known.get(path)
        if path in removed:
            continue
        if known == file:
            plan.unchanged += 1
            if failure is not None:  # it could not be read for a while, and is the same again
                plan.recovered.append(path)
        elif failure is not None and not retry_failed and _still_broken(failure, file):
            plan.failed.append(Failure(Path(path), failure.reason))
        else:
            changed.append(file)
    plan.failed += found.failures.values()
    plan.recovered += [
        path
        for path in remembered
        if path not in found.files and path not in found.failures and found.covers(path)
    ]
    plan.missing = [path for path in plan.known if path not in found.files and found.covers(path)]
    _share_out(changed, catalogue.sizes(), plan)
    return plan


def _still_broken(failure: KnownFailure, file: FoundFile) -> bool:
    return not failure.transient and (failure.size, failure.mtime_ns) == (file.size, file.mtime_ns)


def _share_out(changed: list[FoundFile], known_sizes: set[int], plan: Plan) -> None:
    counts = Counter(file.size for file in changed)
    for file in changed:
        may_be_known = file.size in known_sizes or counts[file.size] > 1
        (plan.hash_first if may_be_known else plan.extract).append(file)
