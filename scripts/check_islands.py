"""Checks that a SIMD island's object exports its table and nothing else, and needs nothing of any library.

An inline function of a header that an island merely uses (std::sort, say) becomes a *weak* symbol full of
the island's instructions. The linker keeps one of all copies for the whole program, and link order alone
decides which: then a processor without these instructions stops far from any kernel. So: one global symbol,
no weak ones, and of undefined ones only the few that a compiler calls on its own.

    python scripts/check_islands.py --table avx2_table path/to/avx2.cpp.o
"""

from __future__ import annotations

import argparse
import subprocess
import sys

# What compilers emit for copies, fills, stack checks and position-independent code.
ALLOWED_UNDEFINED = {"memcpy", "memmove", "memset", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_"}
LOCAL_KINDS = set("abcdgrstni")  # nm's lower-case letters: symbols no other object can see


def problems(nm: str, path: str, table: str) -> list[str]:
    """What is wrong with one object file, a line each; empty if all is well."""
    listing = subprocess.run([nm, "-C", path], check=True, capture_output=True, text=True).stdout
    found = []
    exported = []
    for line in listing.splitlines():
        kind, name = line[16:].strip().split(" ", 1)
        name = name.lstrip("_") if name.startswith("__Z") else name
        if kind == "U":
            if name.removeprefix("_") not in ALLOWED_UNDEFINED and name not in ALLOWED_UNDEFINED:
                found.append(f"needs {name} from elsewhere")
        elif kind in "wWvVu":
            found.append(f"has the weak symbol {name}, which the linker may give to the whole program")
        elif kind not in LOCAL_KINDS:
            exported.append(name)
    wanted = f"fastcbir::kernels::{table}"
    if exported != [wanted]:
        found.append(f"exports {exported}, expected only {wanted}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("objects", nargs="+", help="object files of one island")
    parser.add_argument("--table", required=True, help="the one symbol each may export, such as avx2_table")
    parser.add_argument("--nm", default="nm", help="the nm to use (a cross-compiler's, for foreign objects)")
    arguments = parser.parse_args()
    failed = False
    for path in arguments.objects:
        for problem in problems(arguments.nm, path, arguments.table):
            print(f"{path}: {problem}", file=sys.stderr)
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
