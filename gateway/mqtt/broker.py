"""Where the broker is, as whom we come, and why it can be trusted."""

from __future__ import annotations

import ssl
from enum import IntEnum
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from gateway.mqtt.topics import Subscription

_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}

OPEN_TIMEOUT_S = 5.0
"""For TCP, TLS and WebSocket handshakes, each."""


class Version(IntEnum):
    """A version of the protocol, by the number that CONNECT carries."""

    V5 = 5
    V311 = 4

    @property
    def shown(self) -> str:
        """`5` or `3.1.1`."""
        return "5" if self is Version.V5 else "3.1.1"

    @property
    def other(self) -> Version:
        """The one to try when this one is refused."""
        return Version.V311 if self is Version.V5 else Version.V5


class MqttConfig(Struct, frozen=True, kw_only=True):
    """How to reach the broker, and as whom."""

    url: str
    """mqtt://, mqtts://, ws:// or wss://, with host, and port and path where they are not the usual ones."""
    client_id: str
    """Names our session at the broker: two gateways must not share it."""
    marker_topic: str
    """A topic of this session's own; its messages are not passed on."""
    subscriptions: tuple[Subscription, ...]
    username: str | None = None
    password: str | None = None
    ca_file: Path | None = None
    """None = the authorities that the system trusts."""
    certificate_file: Path | None = None
    key_file: Path | None = None
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    keepalive_s: int = 20
    session_expiry_s: int = 7 * 86400
    """How long the broker keeps our session while we are away (MQTT 5)."""
    receive_maximum: int = 500
    """How many unacknowledged messages the broker may have under way to us (MQTT 5)."""
    backoff_min_s: float = 1.0
    backoff_max_s: float = 60.0
    will: tuple[str, bytes, int, bool] | None = None
    """Topic, payload, QoS and retain of what the broker says when we are gone."""

    def __repr__(self) -> str:
        """Without the password."""
        return f"MqttConfig({BrokerAddress(self.url).shown}, client_id={self.client_id!r})"


class BrokerAddress:
    """A broker's URL taken apart. Raises ValueError with what is allowed."""

    def __init__(self, url: str) -> None:
        """`user:password@` in a URL is understood, and never shown."""
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            raise ValueError("the MQTT URL names a port that is no number from 1 to 65535") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError(
                f'the MQTT URL starts with "{parts.scheme}://{parts.hostname or ""}": expected '
                f"{', '.join(f'{scheme}://host' for scheme in _PORTS)}, each with :port and /path if needed"
            )
        self.host = parts.hostname
        self.port = port or _PORTS[parts.scheme]
        self.encrypted = parts.scheme in ("mqtts", "wss")
        self.websocket = parts.scheme in ("ws", "wss")
        self.path = parts.path or "/mqtt"
        self.username = unquote(parts.username) if parts.username else None
        self.password = unquote(parts.password) if parts.password else None
        self.shown = f"{parts.scheme}://{self.host}:{self.port}"
        """For logs: without credentials."""


def tls_context(config: MqttConfig) -> ssl.SSLContext:
    """Read the certificates, anew for each connection so that renewed ones are used.

    Raises OSError whose text names the file that cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
    except OSError as error:
        raise OSError(f"the authorities in {config.ca_file} cannot be read: {error}") from error
    if config.certificate_file is not None:
        try:
            context.load_cert_chain(config.certificate_file, config.key_file)
        except OSError as error:
            files = f"{config.certificate_file} and its key {config.key_file or 'in the same file'}"
            raise OSError(f"the client certificate {files} cannot be used: {error}") from error
    context.sslsocket_class = _ClosedWhenRefused
    return context


class _ClosedWhenRefused(ssl.SSLSocket):
    """The MQTT library forgets a socket whose handshake failed; this one closes itself."""

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands; on failure, hang up."""
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def opening_failed(error: Exception) -> str:
    """Say why a connection could not be opened, and where to look."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the broker's certificate is not trusted: {error.verify_message}; check its name and the CA file"
        )
    if isinstance(error, ssl.SSLError):
        return f"TLS with the broker failed: {error.reason or error}"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens at the broker's address"
    if isinstance(error, TimeoutError):
        return f"the broker's address did not answer within {OPEN_TIMEOUT_S:g} s"
    return f"the broker cannot be reached: {error}"
