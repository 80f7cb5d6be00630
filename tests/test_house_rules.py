"""Promise: the code base keeps its rules: what may import what, how long a file may be; no printing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "cpp" / "fastcbir"
PACKAGE = ROOT / "python" / "fastcbir"
LINE_LIMIT = 400
SUFFIXES = {".py", ".pyi", ".cpp", ".hpp", ".inc", ".h", ".sh", ".js"}

# Floors of ARCHITECTURE.md: a file may include its own folder and lower floors. Of two folders on one floor
# neither includes the other, but for stop, whose policies read the progress of a search.
CPP_FLOORS = {
    "core": 0,
    "kernels": 1,
    "storage": 2,
    "search": 3,
    "stop": 3,
    "match": 5,
    "build": 4,
    "io": 4,
    "index": 5,
    "bindings": 6,
}
CPP_NEIGHBOURS = {("stop", "search")}

# The same for Python; `fastcbir/__init__.py` only names what others make.
PYTHON_FLOORS = {
    "_core": 0,
    "errors": 0,
    "ftp": 0,
    "list_plan": 0,
    "types": 0,
    "download": 1,
    "methods": 1,
    "processor": 1,
    "stop": 2,
    "index": 3,
    "metrics": 2,
    "extract": 4,
    "rerank": 4,
    "match": 5,
    "datasets": 5,
    "export": 6,
    "image_index": 6,
    "report": 7,
    "demo": 8,
    "cli": 9,
    "server": 9,
    "scale": 9,
}
FIRST_DOOR = PYTHON_FLOORS["report"]
SPEAKS_TO_THE_TERMINAL = {"cli", "demo"}


def own_files() -> list[Path]:
    folders = ("cpp", "python", "tests", "benchmarks", "scripts", ".ci")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES]
    return sorted(path for path in found if not {"third_party", "__pycache__", "runs"} & set(path.parts))


def cpp_files() -> list[Path]:
    return [path for path in own_files() if path.suffix in {".cpp", ".hpp", ".inc"}]


def includes_of(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if found := re.match(r'\s*#\s*include\s*[<"]([^">]+)[">]', line):
            yield number, found[1]


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of every module of fastcbir that a Python file imports, inside functions too."""
    package = [*path.relative_to(PACKAGE.parent).with_suffix("").parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (
                (node.lineno, alias.name) for alias in node.names if alias.name.startswith("fastcbir.")
            )
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level] if node.level else []
            full = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            if full == "fastcbir":
                yield from ((node.lineno, f"fastcbir.{alias.name}") for alias in node.names)
            elif full.startswith("fastcbir."):
                yield node.lineno, full


def python_modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_import_loads_numpy_and_the_core_and_nothing_else() -> None:
    program = (
        "import sys, numpy; before = set(sys.modules); import fastcbir; "
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if name not in sys.stdlib_module_names}
    # An editable installation adds a finder of its own.
    assert loaded - {"fastcbir", "numpy", "_fastcbir_editable"} == set()


def test_import_loads_no_part_that_works_on_photos() -> None:
    program = "import sys, fastcbir; print(*[name for name in sys.modules if name.startswith('fastcbir.')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    parts = {name.split(".")[1] for name in done.stdout.split()}
    assert not parts & {
        "extract",
        "rerank",
        "match",
        "image_index",
        "report",
        "demo",
        "cli",
        "server",
        "scale",
        "datasets",
    }


def test_files_can_be_read_standing_up() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in own_files()}
    too_long = {str(path.relative_to(ROOT)): lines for path, lines in lengths.items() if lines >= LINE_LIMIT}
    assert too_long == {}, f"split these; a file is one idea in fewer than {LINE_LIMIT} lines"


def test_every_file_says_what_it_is() -> None:
    silent = []
    for path in own_files():
        lines = path.read_text(encoding="utf-8").splitlines()
        if lines and lines[0].startswith("#!"):
            lines = lines[1:]
        # An empty file marks a package and says enough.
        if lines and not lines[0].startswith(("//", "#", '"""', 'r"""', "/*")):
            silent.append(str(path.relative_to(ROOT)))
    assert silent == [], "these lack an opening comment"


def test_the_core_knows_nothing_of_python() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{number} includes {header}"
        for path in cpp_files()
        if "bindings" not in path.parts
        for number, header in includes_of(path)
        if header.startswith(("pybind11", "Python.h", "numpy/"))
    ]
    assert wrong == []


def test_cpp_includes_go_downwards_only() -> None:
    wrong = []
    for path in cpp_files():
        relative = path.relative_to(ROOT / "cpp").parts
        folder = relative[1] if relative[0] == "fastcbir" else relative[0]
        if folder in ("tests", "bench"):
            continue
        assert folder in CPP_FLOORS, f"{path.relative_to(ROOT)}: name the floor of {folder} here"
        for number, header in includes_of(path):
            target = header.split("/")[1] if header.startswith("fastcbir/") else None
            if target is None or target == folder or (folder, target) in CPP_NEIGHBOURS:
                continue
            if target not in CPP_FLOORS or CPP_FLOORS[target] >= CPP_FLOORS[folder]:
                wrong.append(f"{path.relative_to(ROOT)}:{number} ({folder}) includes {header}")
    assert wrong == []


def test_headers_of_the_core_are_included_by_their_full_path() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{number} includes {header}"
        for path in cpp_files()
        for number, header in includes_of(path)
        if header.startswith("..") or (CORE in path.parents and (path.parent / header).exists())
    ]
    assert wrong == []


def test_python_imports_go_downwards_only() -> None:
    wrong = []
    for path in python_modules():
        part = part_of(path)
        assert part in PYTHON_FLOORS, f"{path.relative_to(ROOT)}: name the floor of {part} here"
        for line, module in imports_of(path):
            target = module.split(".")[1]
            if target == part:
                continue
            # A name that fastcbir/__init__.py re-exports: doors may speak the public language, rooms may not.
            if target not in PYTHON_FLOORS:
                if PYTHON_FLOORS[part] >= FIRST_DOOR:
                    continue
                wrong.append(
                    f"{path.relative_to(ROOT)}:{line} takes {target} from fastcbir; import its own module"
                )
            elif PYTHON_FLOORS[target] >= PYTHON_FLOORS[part]:
                wrong.append(f"{path.relative_to(ROOT)}:{line} ({part}) imports {module}")
    assert wrong == []


@pytest.mark.parametrize("module", ["torch", "tensorflow", "cv2", "faiss"])
def test_no_heavy_framework_at_run_time(module: str) -> None:
    wrong = []
    for path in python_modules():
        if part_of(path) == "export":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.partition(".")[0] == module for name in names):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert wrong == []


def test_the_library_does_not_print_or_exit() -> None:
    wrong = []
    for path in python_modules():
        if part_of(path) in SPEAKS_TO_THE_TERMINAL:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {
                "print",
                "exit",
                "sys.exit",
                "os._exit",
            }:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} calls {ast.unparse(node.func)}")
    assert wrong == []


def test_the_core_does_not_print_or_exit() -> None:
    forbidden = re.compile(
        r"\b(printf|puts|std::cout|std::cerr|std::exit|std::abort)\b|(?<![\w.:>])(?:exit|abort)\("
    )
    wrong = []
    for path in cpp_files():
        if {"tests", "bench"} & set(path.relative_to(ROOT).parts):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if forbidden.search(line.partition("//")[0]):
                wrong.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert wrong == []


def test_no_build_is_tied_to_the_machine_that_made_it() -> None:
    """A wheel built with -march=native crashes elsewhere; -Ofast changes what a NaN is."""
    recipes = [
        ROOT / "CMakeLists.txt",
        *(ROOT / "cpp").rglob("CMakeLists.txt"),
        *(ROOT / "cpp").rglob("*.cmake"),
    ]
    assert len(recipes) > 1
    for recipe in [*recipes, ROOT / "pyproject.toml", ROOT / "Makefile"]:
        text = re.sub(r"#.*", "", recipe.read_text(encoding="utf-8"))
        for flag in ("-march=native", "-mtune=native", "-Ofast", "-ffast-math"):
            assert flag not in text, f"{recipe.relative_to(ROOT)} has {flag}"
