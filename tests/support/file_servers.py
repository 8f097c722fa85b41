"""Real servers for files on loopback, each in a thread of its own: http(s), ftp(s), sftp."""

from __future__ import annotations

import asyncio
import base64
import http.server
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import asyncssh
from OpenSSL import SSL
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

USER, PASSWORD = "charger", "s3cret/@:"
QUOTED = "charger:s3cret%2F%40%3A"
"""As it stands in a URL."""


class HttpServer:
    """Serves and takes files; what it does otherwise is set by the test."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.files: dict[str, bytes] = {}
        """By path; a PUT adds one."""
        self.posted: list[tuple[str, str, bytes]] = []
        """(path, content type, body)."""
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        """(method, path, headers in lower case)."""
        self.status: dict[str, int] = {}
        """Method → what it answers instead."""
        self.cut_after: int | None = None
        """The connection of the next GET is cut after so many bytes of the file."""
        self.etag = '"1"'
        self.ranges = True
        self.demands_login = False
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def _begin(self) -> bool:
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.asked.append((self.command, self.path, headers))
                status = outer.status.get(self.command)
                expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
                if outer.demands_login and headers.get("authorization") != expected:
                    status = 401
                if status is not None:
                    self.rfile.read(int(headers.get("content-length", 0)))
                    self._answer(status, b"no", {"WWW-Authenticate": "Basic"} if status == 401 else {})
                return status is None

            def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                if not self._begin():
                    return
                content = outer.files.get(self.path)
                if content is None:
                    self._answer(404, b"not here")
                    return
                wanted = self.headers.get("Range")
                same = self.headers.get("If-Range") in (None, outer.etag)
                begin = 0
                if wanted is not None and outer.ranges and same:
                    begin = int(wanted.removeprefix("bytes=").rstrip("-"))
                headers = {"ETag": outer.etag}
                if outer.cut_after is not None:
                    end, outer.cut_after = outer.cut_after, None
                    self.send_response(200)
                    self.send_header("ETag", outer.etag)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content[:end])
                    self.close_connection = True
                    return
                self._answer(206 if begin else 200, content[begin:], headers)

            def do_PUT(self) -> None:
                if self._begin():
                    outer.files[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
                    self._answer(201)

            def do_POST(self) -> None:
                if self._begin():
                    body = self.rfile.read(int(self.headers["Content-Length"]))
                    outer.posted.append((self.path, self.headers["Content-Type"], body))
                    self._answer(200)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients may go as they like
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.scheme = "http" if tls is None else "https"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: str, login: str = "") -> str:
        return f"{self.scheme}://{login + '@' if login else ''}127.0.0.1:{self.port}{path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def ftp_server(folder: Path, certificate: tuple[Path, Path] | None = None) -> Iterator[int]:
    """The port of an ftp server for `folder`; with a certificate and its key it demands AUTH TLS."""
    base = FTPHandler if certificate is None else TLS_FTPHandler
    handler: Any = type("Handler", (base,), {})
    handler.authorizer = DummyAuthorizer()
    handler.authorizer.add_user(USER, PASSWORD, str(folder), perm="elradfmwMT")
    if certificate is not None:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.use_certificate_chain_file(str(certificate[0]))
        context.use_privatekey_file(str(certificate[1]))
        handler.ssl_context = context
        handler.tls_control_required = handler.tls_data_required = True
    loop = IOLoop()
    server = FTPServer(("127.0.0.1", 0), handler, ioloop=loop)
    ending = threading.Event()

    def serve() -> None:
        while not ending.is_set():
            loop.loop(timeout=0.02, blocking=False)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield int(server.address[1])
    finally:
        ending.set()
        thread.join()
        server.close_all()
        loop.close()


class _Accounts(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)


@contextmanager
def sftp_server(folder: Path) -> Iterator[int]:
    """The port of an sftp server for `folder`."""
    loop = asyncio.new_event_loop()
    started = threading.Event()
    found: list[int] = []
    ending: list[asyncio.Event] = []

    async def serve() -> None:
        key = asyncssh.generate_private_key("ssh-ed25519")
        ending.append(asyncio.Event())
        server = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[key],
            server_factory=_Accounts,
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(folder).encode()),
        )
        found.append(server.get_port())
        started.set()
        await ending[0].wait()
        server.close()
        await server.wait_closed()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    started.wait()
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(ending[0].set)
        thread.join()
        loop.close()
