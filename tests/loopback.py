"""A web server and an FTP server on the loopback interface that misbehave on demand, to test downloads."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Site:
    """What the servers serve and how.

    Attributes:
        files: path -> bytes.
        etag: sent with every file, and compared with If-Range; None sends none.
        ranges: whether ranges are known.
        drop_after: bytes of one body after which the connection is cut, once; None never.
        tell_length: whether Content-Length is sent.
        requests: (path, headers in lower case) of each request so far.
        url: of the server, without a slash at its end.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.etag: str | None = '"one"'
        self.ranges = True
        self.drop_after: int | None = None
        self.tell_length = True
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.url = ""

    def take_drop(self) -> int | None:
        drop, self.drop_after = self.drop_after, None
        return drop


@contextmanager
def web_server() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            site.requests.append((self.path, headers))
            data = site.files.get(self.path)
            if data is None:
                self.send_error(404)
                return
            first, last = 0, len(data) - 1
            partial = site.ranges and "range" in headers
            if partial and headers.get("if-range") not in (None, site.etag):
                partial = False
            if partial:
                begin, _, end = headers["range"].removeprefix("bytes=").partition("-")
                first, last = int(begin), min(int(end or last), last)
                if first >= len(data):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(data)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
            body = data[first : last + 1]
            self.send_response(206 if partial else 200)
            if partial:
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
            if site.etag is not None:
                self.send_header("ETag", site.etag)
            if site.tell_length:
                self.send_header("Content-Length", str(len(body)))
            else:
                self.send_header("Connection", "close")
            self.end_headers()
            drop = site.take_drop()
            self.wfile.write(body[:drop])
            if drop is not None or not site.tell_length:
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def ftp_server() -> Iterator[Site]:
    """The few commands of RFC 959 and 3659 that a download needs; `etag` is the time of change."""
    site = Site()
    site.etag = "20260101000000"
    listener = socket.create_server(("127.0.0.1", 0))
    site.url = f"ftp://127.0.0.1:{listener.getsockname()[1]}"
    threads: list[threading.Thread] = []

    def talk(control: socket.socket) -> None:
        with control, control.makefile("rw", encoding="ascii", newline="") as stream:

            def say(line: str) -> None:
                stream.write(f"{line}\r\n")
                stream.flush()

            offset, passive = 0, None
            say("220 ready")
            for line in stream:
                command, _, argument = line.strip().partition(" ")
                site.requests.append((command, {"argument": argument}))
                data = site.files.get(argument)
                if command in ("USER", "PASS"):
                    say("230 in")
                elif command == "TYPE":
                    say("200 ok")
                elif command == "SIZE":
                    say(f"213 {len(data)}" if data is not None else "550 no such file")
                elif command == "MDTM":
                    say(f"213 {site.etag}" if site.etag else "502 not known")
                elif command in ("EPSV", "PASV"):
                    passive = socket.create_server(("127.0.0.1", 0))
                    port = passive.getsockname()[1]
                    say(
                        f"229 here (|||{port}|)"
                        if command == "EPSV"
                        else f"227 here (127,0,0,1,{port // 256},{port % 256})"
                    )
                elif command == "REST":
                    offset = int(argument)
                    say("350 from there")
                elif command == "RETR" and data is not None and passive is not None:
                    say("150 coming")
                    body = data[offset:]
                    with passive, passive.accept()[0] as channel, suppress(OSError):
                        channel.sendall(body[: site.take_drop()])
                    offset, passive = 0, None
                    say("226 done")
                elif command == "QUIT":
                    say("221 bye")
                    return
                else:
                    say("550 no")

    def serve() -> None:
        while True:
            try:
                control, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=talk, args=(control,))
            threads.append(thread)
            thread.start()

    accepting = threading.Thread(target=serve)
    accepting.start()
    try:
        yield site
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (accepting, *threads):
            thread.join(timeout=10)
