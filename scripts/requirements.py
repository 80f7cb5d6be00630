"""Print what one extra of pyproject.toml needs from other packages, one requirement a line.

The extras of our own that it names are followed. With this list packages come while the core compiles.
usage: python scripts/requirements.py EXTRA
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # scikit-build-core brings it

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def requirements(project: dict[str, object], extra: str) -> list[str]:
    """The package's own dependencies and those of `extra`, sorted, each once."""
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    if extra not in extras:
        raise SystemExit(f"{PROJECT.name} has no extra '{extra}'; it has {', '.join(sorted(extras))}")
    own = re.compile(rf"{project['name']}\[([a-z, ]+)\]$")
    found: set[str] = set(project["dependencies"])  # type: ignore[call-overload]
    seen, ahead = {extra}, [extra]
    while ahead:
        for line in extras[ahead.pop()]:
            if named := own.match(line):
                new = {name.strip() for name in named[1].split(",")} - seen
                seen |= new
                ahead += sorted(new)
            else:
                found.add(line)
    return sorted(found)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python scripts/requirements.py EXTRA")
    print("\n".join(requirements(tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"], sys.argv[1])))
