"""Why a connection to a CSMS ended or never began: a word for the program, a sentence for the operator."""

import enum
import socket
import ssl

import msgspec

from gateway.csms.endpoint import url_for_logs


class ClosedBecause(enum.Enum):
    REFUSED_AUTH = "refused_auth"
    """Wrong password, or a client certificate that is missing or not accepted."""
    UNKNOWN_STATION = "unknown_station"
    NO_SUBPROTOCOL = "no_subprotocol"
    """The server selected no version, or none of those offered."""
    TLS_CERTIFICATE = "tls_certificate"
    """→ InvalidCentralSystemCertificate, InvalidCsmsCertificate."""
    TLS_VERSION = "tls_version"
    """→ InvalidTLSVersion."""
    TLS_CIPHER = "tls_cipher"
    """→ InvalidTLSCipherSuite."""
    TLS_OTHER = "tls_other"
    REFUSED = "refused"
    """Any other answer than a WebSocket handshake."""
    REDIRECTED = "redirected"
    DNS = "dns"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    """Not open within the time allowed."""
    LOST = "lost"
    DEAD_PEER = "dead_peer"
    """Nothing was heard for two ping intervals."""
    CLOSED_BY_CSMS = "closed_by_csms"
    CLOSED_BY_US = "closed_by_us"


class LinkClosed(msgspec.Struct, frozen=True, kw_only=True):
    kind: ClosedBecause
    detail: str
    """A sentence."""
    was_open: bool = False
    """Whether `opened` had been called."""
    http_status: int | None = None
    code: int | None = None
    """The WebSocket close code, where one was received or sent."""
    retry_in_s: float | None = None
    """None: not before the owner allows it again."""


def http_refusal(status: int, phrase: str, location: str | None) -> LinkClosed:
    """What any other answer than 101 means. Backends differ; none of these is final."""
    answer = f"HTTP {status} {phrase}".rstrip()
    match status:
        case 401:
            kind, sentence = ClosedBecause.REFUSED_AUTH, f"The CSMS refused identity or password ({answer})."
        case 404:
            kind, sentence = (
                ClosedBecause.UNKNOWN_STATION,
                f"The CSMS does not know this station, or the path of its URL is wrong ({answer}).",
            )
        case 301 | 302 | 303 | 307 | 308:
            to = f" to {url_for_logs(location)}" if location else ""
            kind, sentence = (
                ClosedBecause.REDIRECTED,
                f"The CSMS redirects{to} ({answer}): set that URL, with ws:// or wss://, if it is right.",
            )
        case _:
            kind, sentence = ClosedBecause.REFUSED, f"The CSMS refused the connection ({answer})."
    return LinkClosed(kind=kind, detail=sentence, http_status=status)


def network_failure(error: OSError, host: str, port: int) -> LinkClosed:
    """What it means that no connection to `host` could be made."""
    if isinstance(error, ssl.SSLError):
        return tls_failure(error)
    if isinstance(error, socket.gaierror):
        kind, sentence = ClosedBecause.DNS, f"The name {host} cannot be resolved: {error.strerror}."
    elif isinstance(error, ConnectionResetError):
        # What asyncio raises when the peer goes in the middle of a TLS handshake.
        kind, sentence = (
            ClosedBecause.TLS_OTHER,
            f"{host}, port {port}, broke off TLS: it may speak none, or want another client certificate.",
        )
    elif isinstance(error, ConnectionRefusedError):
        kind, sentence = ClosedBecause.UNREACHABLE, f"Nothing listens at {host}, port {port}."
    else:
        kind, sentence = (
            ClosedBecause.UNREACHABLE,
            f"{host}, port {port}, cannot be reached: {error.strerror or error}.",
        )
    return LinkClosed(kind=kind, detail=sentence)


def tls_failure(error: ssl.SSLError) -> LinkClosed:
    """What a failed TLS handshake means."""
    name = error.reason or str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        kind = ClosedBecause.TLS_CERTIFICATE
        sentence = f"The certificate of the CSMS is not acceptable: {error.verify_message.rstrip('.')}."
    elif name in _VERSION:
        kind, sentence = ClosedBecause.TLS_VERSION, "The CSMS speaks no TLS version from 1.2 on."
    elif name.partition("ALERT_")[2] in _CERTIFICATE_ALERTS:
        kind = ClosedBecause.REFUSED_AUTH
        sentence = f"The CSMS does not accept the station's certificate, or misses it ({_words(name)})."
    elif name in _CIPHER:
        kind = ClosedBecause.TLS_CIPHER
        sentence = f"The CSMS broke off TLS ({_words(name)}): no cipher in common, or no client certificate."
    elif name in _NO_TLS:
        kind, sentence = ClosedBecause.TLS_OTHER, "What answers at the port of the CSMS does not speak TLS."
    else:
        kind, sentence = ClosedBecause.TLS_OTHER, f"TLS failed: {_words(name)}."
    return LinkClosed(kind=kind, detail=sentence)


def loss(error: Exception | None, close: tuple[int, str] | None) -> LinkClosed:
    """What the end of an open connection means; `close` is the close frame of the CSMS."""
    if close is not None:
        code, reason = close
        said = f", {reason!r}" if reason else ""
        sentence = f"The CSMS closed the connection (code {code}{said})."
        return LinkClosed(kind=ClosedBecause.CLOSED_BY_CSMS, detail=sentence, code=code)
    if isinstance(error, ssl.SSLError):
        return tls_failure(error)
    sentence = f"The connection broke{f': {error}' if error else ' without a good-bye'}."
    return LinkClosed(kind=ClosedBecause.LOST, detail=sentence, code=1006)


_VERSION = frozenset(
    {
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "UNSUPPORTED_PROTOCOL",
        "VERSION_TOO_LOW",
        "WRONG_SSL_VERSION",
    }
)
_CIPHER = frozenset(
    {
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "TLSV1_ALERT_INSUFFICIENT_SECURITY",
        "NO_SHARED_CIPHER",
        "WRONG_CIPHER_RETURNED",
        "UNKNOWN_CIPHER_RETURNED",
    }
)
_NO_TLS = frozenset(
    {
        "HTTP_REQUEST",
        "PACKET_LENGTH_TOO_LONG",
        "RECORD_LAYER_FAILURE",
        "WRONG_VERSION_NUMBER",
    }
)
# RFC 8446 §6.2, as OpenSSL spells them after SSLV3_, TLSV1_ or TLSV13_.
_CERTIFICATE_ALERTS = frozenset(
    {
        "ACCESS_DENIED",
        "BAD_CERTIFICATE",
        "CERTIFICATE_EXPIRED",
        "CERTIFICATE_REQUIRED",
        "CERTIFICATE_REVOKED",
        "CERTIFICATE_UNKNOWN",
        "DECRYPT_ERROR",
        "NO_CERTIFICATE",
        "UNKNOWN_CA",
        "UNSUPPORTED_CERTIFICATE",
    }
)


def _words(name: str) -> str:
    return name.replace("_", " ").lower()
