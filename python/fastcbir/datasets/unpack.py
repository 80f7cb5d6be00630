"""Chosen members of a .tar.gz or .zip, written to paths we choose: no name in an archive ever names a file.

Standard library only.
"""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from fastcbir.errors import FormatError

__all__ = ["unpack"]


def unpack(archive: str | Path, members: Mapping[str, Path]) -> None:
    """Write members of an archive to files; those that exist are left alone, each appears only when whole.

    Args:
        archive: .tar, .tar.gz or .zip, told by its content.
        members: name inside the archive -> file to write; its folder is made.

    Raises:
        FormatError: no such archive, a damaged or truncated one, or one without a member.
    """
    archive = Path(archive)
    missing = {name: target for name, target in members.items() if not target.exists()}
    if not missing:
        return
    try:
        if zipfile.is_zipfile(archive):
            _unzip(archive, missing)
        else:
            _untar(archive, missing)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise FormatError(
            f"{archive}: expected a whole .tar.gz or .zip: {error}; delete it to download it again"
        ) from error
    if missing:
        raise FormatError(f"{archive}: expected {', '.join(missing)} in it but it has no such member")


def _untar(archive: Path, missing: dict[str, Path]) -> None:
    # One pass from front to back: a compressed archive has no index, and going back means unpacking it again.
    with tarfile.open(archive, "r:*") as packed:
        for member in packed:
            name = member.name.removeprefix("./")
            if name in missing and member.isfile():
                source = packed.extractfile(member)
                assert source is not None
                with source:
                    _write(source, missing.pop(name))
            if not missing:
                return


def _unzip(archive: Path, missing: dict[str, Path]) -> None:
    with zipfile.ZipFile(archive) as packed:
        for name in set(packed.namelist()) & set(missing):
            with packed.open(name) as source:
                _write(source, missing.pop(name))


def _write(source: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    try:
        with part.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
