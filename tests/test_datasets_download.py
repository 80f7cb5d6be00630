"""Promise: a download is whole or not there; what broke off goes on, with bytes of the same version only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from loopback import Site, ftp_server, web_server

from fastcbir.datasets import DownloadError, download

DATA = np.random.default_rng(15).integers(0, 256, 300_000, dtype=np.uint8).tobytes()
HASH = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def site() -> Iterator[Site]:
    with web_server() as server:
        server.files["/x.bin"] = DATA
        yield server


@pytest.fixture
def ftp() -> Iterator[Site]:
    with ftp_server() as server:
        server.files["/pub/x.bin"] = DATA
        yield server


def leftovers(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_download_once(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "x.bin"
    calls: list[tuple[int, int]] = []
    got = download(f"{site.url}/x.bin", target, sha256=HASH.upper(), progress=lambda *c: calls.append(c))
    assert got == target and target.read_bytes() == DATA
    assert calls[-1] == (len(DATA), len(DATA)) and calls == sorted(calls)
    assert leftovers(target.parent) == {"x.bin", "x.bin.sha256"}
    assert (target.parent / "x.bin.sha256").read_text() == f"{HASH}  x.bin\n"
    download(f"{site.url}/x.bin", target)
    assert len(site.requests) == 1


@pytest.mark.parametrize("drop", [0, 1, 100_000, len(DATA) - 1])
def test_a_dropped_connection_is_resumed(site: Site, tmp_path: Path, drop: int) -> None:
    target = tmp_path / "x.bin"
    site.drop_after = drop
    with pytest.raises(DownloadError, match=r"/x.bin: .*run the same again to resume"):
        download(f"{site.url}/x.bin", target)
    assert not target.exists()
    if drop:
        assert (tmp_path / "x.bin.part").stat().st_size == drop
    download(f"{site.url}/x.bin", target, sha256=HASH)
    assert target.read_bytes() == DATA
    assert leftovers(tmp_path) == {"x.bin", "x.bin.sha256"}
    headers = site.requests[-1][1]
    if drop:
        assert (headers["range"], headers["if-range"]) == (f"bytes={drop}-", '"one"')


def test_a_server_without_ranges_sends_all_again(site: Site, tmp_path: Path) -> None:
    site.ranges = False
    site.drop_after = 1000
    with pytest.raises(DownloadError, match=r"1000 of 300000 bytes|broke off after 1000 bytes"):
        download(f"{site.url}/x.bin", tmp_path / "x.bin")
    assert download(f"{site.url}/x.bin", tmp_path / "x.bin").read_bytes() == DATA


@pytest.mark.parametrize("etag", ['"two"', None, 'W/"weak"'])
def test_a_file_that_changed_is_fetched_anew(site: Site, tmp_path: Path, etag: str | None) -> None:
    site.drop_after = 1000
    with pytest.raises(DownloadError):
        download(f"{site.url}/x.bin", tmp_path / "x.bin")
    changed = DATA[::-1] + b"more"
    site.files["/x.bin"], site.etag = changed, etag
    # Without a strong tag the size in Content-Range gives the change away.
    assert download(f"{site.url}/x.bin", tmp_path / "x.bin").read_bytes() == changed


def test_a_file_that_became_shorter_than_what_is_here(site: Site, tmp_path: Path) -> None:
    site.etag = None
    site.drop_after = 200_000
    with pytest.raises(DownloadError):
        download(f"{site.url}/x.bin", tmp_path / "x.bin")
    site.files["/x.bin"] = DATA[:1000]
    assert download(f"{site.url}/x.bin", tmp_path / "x.bin").read_bytes() == DATA[:1000]


def test_another_url_starts_over(site: Site, tmp_path: Path) -> None:
    site.drop_after = 1000
    with pytest.raises(DownloadError):
        download(f"{site.url}/x.bin", tmp_path / "x.bin")
    site.files["/y.bin"] = b"y" * 5000
    assert download(f"{site.url}/y.bin", tmp_path / "x.bin").read_bytes() == b"y" * 5000


def test_a_part_that_nobody_vouches_for_is_not_kept(site: Site, tmp_path: Path) -> None:
    (tmp_path / "x.bin.part").write_bytes(b"from elsewhere")
    (tmp_path / "x.bin.part.json").write_text("{broken")
    assert download(f"{site.url}/x.bin", tmp_path / "x.bin").read_bytes() == DATA


def test_wrong_checksum(site: Site, tmp_path: Path) -> None:
    wrong = "0" * 64
    with pytest.raises(
        DownloadError, match=rf"sha256 should be {wrong} \(pinned\) but is {HASH}; it was deleted"
    ):
        download(f"{site.url}/x.bin", tmp_path / "x.bin", sha256=wrong)
    assert leftovers(tmp_path) == set()


def test_the_first_checksum_binds_later_downloads(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "x.bin"
    download(f"{site.url}/x.bin", target)
    target.unlink()
    site.files["/x.bin"] = DATA[::-1]
    with pytest.raises(DownloadError, match=r"recorded in .*x.bin.sha256 by an earlier download"):
        download(f"{site.url}/x.bin", target)
    assert not target.exists()
    (tmp_path / "x.bin.sha256").unlink()
    assert download(f"{site.url}/x.bin", target).read_bytes() == DATA[::-1]


def test_errors_of_the_server_and_of_the_way(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"/absent: the server answered 404 Not Found"):
        download(f"{site.url}/absent", tmp_path / "x")
    with pytest.raises(DownloadError, match="broke off after 0 bytes"):
        download("http://127.0.0.1:1/x", tmp_path / "x", timeout=2)
    assert leftovers(tmp_path) == set()


def test_only_the_first_bytes(site: Site, tmp_path: Path) -> None:
    for ranges in (True, False):
        site.ranges = ranges
        target = tmp_path / f"x-{ranges}"
        calls: list[tuple[int, int]] = []
        site.drop_after = 500
        with pytest.raises(DownloadError):
            download(f"{site.url}/x.bin", target, max_bytes=2000)
        download(
            f"{site.url}/x.bin", target, max_bytes=2000, progress=lambda *c, calls=calls: calls.append(c)
        )
        assert target.read_bytes() == DATA[:2000]
        assert calls[-1] == (2000, 2000)
    assert site.requests[0][1]["range"] == "bytes=0-1999"
    assert site.requests[1][1]["range"] == "bytes=500-1999"
    whole = download(f"{site.url}/x.bin", tmp_path / "whole", max_bytes=10**9)
    assert whole.read_bytes() == DATA


def test_more_bytes_than_last_time_go_on_from_there(site: Site, tmp_path: Path) -> None:
    site.drop_after = 1000
    with pytest.raises(DownloadError):
        download(f"{site.url}/x.bin", tmp_path / "x.bin", max_bytes=1001)
    assert download(f"{site.url}/x.bin", tmp_path / "x.bin").read_bytes() == DATA
    assert site.requests[-1][1]["range"] == "bytes=1000-"


def test_a_server_that_tells_no_length(site: Site, tmp_path: Path) -> None:
    site.tell_length = False
    calls: list[tuple[int, int]] = []
    download(f"{site.url}/x.bin", tmp_path / "x.bin", progress=lambda *c: calls.append(c))
    assert (tmp_path / "x.bin").read_bytes() == DATA
    assert calls[-1] == (len(DATA), 0)


def test_progress_can_stop_it(site: Site, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(f"{site.url}/x.bin", tmp_path / "x.bin", progress=stop)
    assert not (tmp_path / "x.bin").exists()
    assert download(f"{site.url}/x.bin", tmp_path / "x.bin", sha256=HASH).read_bytes() == DATA


def test_two_at_once(site: Site, tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    with (tmp_path / "x.bin.part").open("a+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DownloadError, match=r"x.bin: another process is downloading it"):
            download(f"{site.url}/x.bin", tmp_path / "x.bin")
    assert download(f"{site.url}/x.bin", tmp_path / "x.bin").read_bytes() == DATA


def test_a_disk_that_is_too_small(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    with pytest.raises(DownloadError, match=r"300000 more bytes are needed but .* has 1000 free"):
        download(f"{site.url}/x.bin", tmp_path / "x.bin")


def test_ftp(ftp: Site, tmp_path: Path) -> None:
    target = tmp_path / "x.bin"
    ftp.drop_after = 1000
    with pytest.raises(DownloadError, match="1000 of 300000 bytes came"):
        download(f"{ftp.url}/pub/x.bin", target)
    assert download(f"{ftp.url}/pub/x.bin", target, sha256=HASH).read_bytes() == DATA
    assert ("REST", {"argument": "1000"}) in ftp.requests
    with pytest.raises(DownloadError, match="550 no such file"):
        download(f"{ftp.url}/pub/absent", tmp_path / "y")
    assert download(f"{ftp.url}/pub/x.bin", tmp_path / "z", max_bytes=10).read_bytes() == DATA[:10]


def test_ftp_file_that_changed(ftp: Site, tmp_path: Path) -> None:
    ftp.drop_after = 1000
    with pytest.raises(DownloadError):
        download(f"{ftp.url}/pub/x.bin", tmp_path / "x.bin")
    ftp.files["/pub/x.bin"], ftp.etag = DATA[::-1], "20260202000000"
    assert download(f"{ftp.url}/pub/x.bin", tmp_path / "x.bin").read_bytes() == DATA[::-1]
    assert not any(command == "REST" for command, _ in ftp.requests)
