"""One transfer, blocking: http, https, ftp, ftps and sftp by libcurl; name and password may stand in the URL."""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import ssl
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import pycurl
from msgspec import Struct

from gateway.station.transfer_work import Downloaded, FailedBecause, TransferFailed, Uploaded

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from gateway.station.transfer_work import TransferOutcome

PROTOCOLS = ("ftp", "ftps", "http", "https", "sftp")
_CONNECT_TIMEOUT_S = 30
_STALLED_S = 60
"""So long without a byte, and the attempt has failed."""
_IMPLICIT_TLS = 990
_MOST_REDIRECTS = 5
_PUT_IS_UNKNOWN = frozenset({404, 405, 501})
_DENIED = frozenset({401, 403, 407, 530})
_UNSUPPORTED = frozenset({pycurl.E_UNSUPPORTED_PROTOCOL})
_BAD_ADDRESS = frozenset({pycurl.E_URL_MALFORMAT})
_REFUSED_LOGIN = frozenset({pycurl.E_LOGIN_DENIED, pycurl.E_REMOTE_ACCESS_DENIED})


class Refused(Exception):
    """An attempt that has failed; the sentence quotes no password."""

    def __init__(self, because: FailedBecause, why: str) -> None:
        super().__init__(why)
        self.because = because


class Partial(Struct):
    """What has been read of a file, and what it was then."""

    digest: Any
    """A running SHA-256."""
    size: int = 0
    version: str = ""
    """ETag, date: the same means that the rest still belongs to it; "" means nobody knows."""


def download(
    url: str, partial: Partial, cancelled: threading.Event, *, ca_file: str | None
) -> TransferOutcome:
    """Read to the end, from where `partial` ends if the other side has the same file and can do so."""
    try:
        parts = _parts(url)
        if partial.size and not partial.version:
            _start_over(partial)
        with _handle(parts, cancelled, ca_file) as curl:
            _download(curl, parts, partial)
    except Refused as error:
        return TransferFailed(error.because, str(error))
    return Downloaded(partial.size, partial.digest.hexdigest())


def upload(
    url: str, filename: str, content: bytes, cancelled: threading.Event, *, ca_file: str | None
) -> TransferOutcome:
    """Bring `content` to `url`, which is a folder; with a query it is the very place of the file."""
    try:
        parts = _parts(url)
        place = parts if parts.query else parts._replace(path=f"{parts.path.rstrip('/')}/{quote(filename)}")
        try:
            _put(place, filename, content, cancelled, ca_file)
        except _PutIsUnknown:
            _post(parts, filename, content, cancelled, ca_file)
    except Refused as error:
        return TransferFailed(error.because, str(error))
    return Uploaded()


# ------------------------------------------------------------------ addresses


def _parts(url: str) -> SplitResult:
    """Raises Refused for what leads nowhere."""
    try:
        parts = urlsplit(url.strip())
        parts.port  # noqa: B018 - read for the error that it raises
    except ValueError as error:
        raise Refused("bad_address", f"the address cannot be read: {error}") from None
    scheme = parts.scheme.lower()
    if not scheme or not parts.hostname:
        raise Refused("bad_address", "the address is no URL with a host")
    if scheme not in PROTOCOLS:
        raise Refused("unsupported", f"{scheme} is none of {', '.join(PROTOCOLS)}")
    return parts._replace(scheme=scheme)


def without_secrets(url: str) -> str:
    """The same address, for people."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


# ------------------------------------------------------------------ libcurl


class _handle:  # noqa: N801 - used as a function
    """A curl handle that is set up for a place, and closed in the end."""

    def __init__(self, parts: SplitResult, cancelled: threading.Event, ca_file: str | None) -> None:
        self._cancelled = cancelled
        curl = self._curl = pycurl.Curl()
        scheme, host = parts.scheme, parts.netloc.rpartition("@")[2]
        if scheme == "ftps" and parts.port not in (None, _IMPLICIT_TLS):
            scheme = "ftp"  # AUTH TLS: what servers offer on any other port
            curl.setopt(pycurl.USE_SSL, pycurl.USESSL_ALL)
        curl.setopt(pycurl.URL, urlunsplit((scheme, host, parts.path, parts.query, "")))
        curl.setopt(pycurl.REDIR_PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        if parts.username is not None:
            curl.setopt(pycurl.USERNAME, unquote(parts.username))
            curl.setopt(pycurl.PASSWORD, unquote(parts.password or ""))
            curl.setopt(pycurl.HTTPAUTH, pycurl.HTTPAUTH_ANY if scheme == "https" else pycurl.HTTPAUTH_BASIC)
        paths = ssl.get_default_verify_paths()
        if (known := ca_file or paths.cafile) is not None:
            curl.setopt(pycurl.CAINFO, known)
        if paths.capath is not None:
            curl.setopt(pycurl.CAPATH, paths.capath)
        curl.setopt(pycurl.CONNECTTIMEOUT, _CONNECT_TIMEOUT_S)
        curl.setopt(pycurl.LOW_SPEED_LIMIT, 1)
        curl.setopt(pycurl.LOW_SPEED_TIME, _STALLED_S)
        curl.setopt(pycurl.NOSIGNAL, True)
        curl.setopt(pycurl.FOLLOWLOCATION, True)
        curl.setopt(pycurl.MAXREDIRS, _MOST_REDIRECTS)
        curl.setopt(pycurl.USERAGENT, "ocpp-mqtt-gateway")
        curl.setopt(pycurl.NOPROGRESS, False)
        curl.setopt(pycurl.XFERINFOFUNCTION, self._progressed)

    def _progressed(self, *_figures: int) -> int:
        return 1 if self._cancelled.is_set() else 0

    def __enter__(self) -> pycurl.Curl:
        return self._curl

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._curl.close()
        if isinstance(error, pycurl.error):
            raise self._refused(error) from None

    def _refused(self, error: pycurl.error) -> Refused:
        code, text = error.args[0], str(error.args[1]) if len(error.args) > 1 else ""
        if self._cancelled.is_set():
            return Refused("failed", "it was cancelled")
        if code in _BAD_ADDRESS:
            return Refused("bad_address", text)
        if code in _UNSUPPORTED:
            return Refused("unsupported", text)
        return Refused("denied" if code in _REFUSED_LOGIN else "failed", text or f"libcurl error {code}")


def _is_http(parts: SplitResult) -> bool:
    return parts.scheme in {"http", "https"}


def _answered(curl: pycurl.Curl, body: bytes = b"") -> None:
    """Raises Refused unless an HTTP server was content."""
    status = curl.getinfo(pycurl.RESPONSE_CODE)
    if 200 <= status < 300:
        return
    said = body[:80].decode(errors="replace").split("\n", 1)[0].strip()
    because: FailedBecause = "denied" if status in _DENIED else "failed"
    raise Refused(because, f"the server answered {status}{f', {json.dumps(said)}' if said else ''}")


class _Reader:
    """Takes the body of an HTTP answer; what is no success is no part of the file."""

    def __init__(self, partial: Partial) -> None:
        self._partial = partial
        self._status = 0
        self._headers: dict[str, str] = {}
        self._begun = False
        self.refusal = b""

    def header(self, line: bytes) -> None:
        if line.startswith(b"HTTP/"):
            self._status = int(line.split()[1])
            self._headers.clear()
        name, _, value = line.decode("latin-1").partition(":")
        self._headers[name.strip().lower()] = value.strip()

    def body(self, data: bytes) -> None:
        if not 200 <= self._status < 300:
            self.refusal += data[: max(0, 256 - len(self.refusal))]
            return
        if not self._begun:
            self._begun = True
            if self._status != 206:
                _start_over(self._partial)  # it sends the whole
            self._partial.version = _version(self._headers)
        _read(self._partial, data)


def _download(curl: pycurl.Curl, parts: SplitResult, partial: Partial) -> None:
    if _is_http(parts):
        _download_by_http(curl, partial)
        return
    begins_at, version = partial.size, partial.version
    curl.setopt(pycurl.OPT_FILETIME, True)
    curl.setopt(pycurl.WRITEFUNCTION, lambda data: _read(partial, data))
    if begins_at:
        curl.setopt(pycurl.RESUME_FROM_LARGE, begins_at)
    try:
        curl.perform()
    finally:
        written_at = curl.getinfo(pycurl.INFO_FILETIME)
        partial.version = "" if written_at == -1 else str(written_at)
    if begins_at and partial.version != version:
        _start_over(partial)
        raise Refused("failed", "the file has changed since it was read in part")


def _download_by_http(curl: pycurl.Curl, partial: Partial) -> None:
    reader = _Reader(partial)
    curl.setopt(pycurl.HEADERFUNCTION, reader.header)
    curl.setopt(pycurl.WRITEFUNCTION, reader.body)
    if partial.size:
        curl.setopt(pycurl.RANGE, f"{partial.size}-")
        curl.setopt(pycurl.HTTPHEADER, [f"If-Range: {partial.version}"])
    curl.perform()
    if curl.getinfo(pycurl.RESPONSE_CODE) == 416:
        _start_over(partial)
        raise Refused("failed", "the file has become shorter since it was read in part")
    _answered(curl, reader.refusal)


def _read(partial: Partial, data: bytes) -> None:
    partial.digest.update(data)
    partial.size += len(data)


def _start_over(partial: Partial) -> None:
    partial.digest, partial.size = hashlib.sha256(), 0


def _version(headers: dict[str, str]) -> str:
    """What If-Range takes: a strong ETag, or a date."""
    etag = headers.get("etag", "")
    return etag if etag.startswith('"') else headers.get("last-modified", "")


class _PutIsUnknown(Exception):
    """The server has no PUT at that place; it may take a form."""


def _put(
    place: SplitResult, filename: str, content: bytes, cancelled: threading.Event, ca_file: str | None
) -> None:
    with _handle(place, cancelled, ca_file) as curl:
        said = io.BytesIO()
        curl.setopt(pycurl.UPLOAD, True)
        curl.setopt(pycurl.READFUNCTION, io.BytesIO(content).read)
        curl.setopt(pycurl.INFILESIZE_LARGE, len(content))
        curl.setopt(pycurl.WRITEFUNCTION, said.write)
        if _is_http(place):
            curl.setopt(
                pycurl.HTTPHEADER, ["Content-Type: application/zip", _disposition("attachment", filename)]
            )
        else:
            curl.setopt(pycurl.FTP_CREATE_MISSING_DIRS, 1)
        curl.perform()
        if _is_http(place):
            if curl.getinfo(pycurl.RESPONSE_CODE) in _PUT_IS_UNKNOWN and not place.query:
                raise _PutIsUnknown
            _answered(curl, said.getvalue())


def _post(
    place: SplitResult, filename: str, content: bytes, cancelled: threading.Event, ca_file: str | None
) -> None:
    """As a form with one file, which is what a web server without PUT takes (RFC 7578)."""
    boundary = secrets.token_hex(16)
    field = _disposition('form-data; name="file"', filename)
    head = f"--{boundary}\r\n{field}\r\nContent-Type: application/zip\r\n\r\n"
    form = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    with _handle(place, cancelled, ca_file) as curl:
        said = io.BytesIO()
        curl.setopt(pycurl.POST, True)
        curl.setopt(pycurl.POSTFIELDSIZE_LARGE, len(form))
        curl.setopt(pycurl.READFUNCTION, io.BytesIO(form).read)
        curl.setopt(pycurl.WRITEFUNCTION, said.write)
        curl.setopt(pycurl.HTTPHEADER, [f"Content-Type: multipart/form-data; boundary={boundary}", "Expect:"])
        curl.perform()
        _answered(curl, said.getvalue())


def _disposition(kind: str, filename: str) -> str:
    return f'Content-Disposition: {kind}; filename="{filename}"'
