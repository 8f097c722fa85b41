"""What concerns the gateway as a whole: its MQTT broker, store, log, health port and heartbeat."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, model_validator

from gateway.mqtt.topics import PREFIX_MAX_BYTES, check_prefix
from gateway.settings.words import (
    Finding,
    ReadableFile,
    Secret,
    Section,
    Text,
    any_case,
    listed,
    read_secret,
    refuse,
)

Protocol = Literal["auto", "5", "3.1.1"]
BridgeRequest = Literal["health", "candidates", "reload", "station_add", "station_remove"]
Level = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "console", "json"]
Port = Annotated[int, Field(ge=1, le=65535)]


def _broker_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("mqtt", "mqtts", "ws", "wss"):
        raise ValueError("is no broker URL; it begins with mqtt://, mqtts://, ws:// or wss://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("has a user name or password in it; give them as mqtt.username and mqtt.password")
    if not parts.hostname:
        raise ValueError("names no host; it looks like mqtt://broker.example:1883")
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError("has no valid port; ports are 1 to 65535") from error
    if port == 0:
        raise ValueError("has port 0; ports are 1 to 65535")
    if parts.scheme in ("mqtt", "mqtts") and (parts.path.strip("/") or parts.query):
        raise ValueError(
            "has a path, which only ws:// and wss:// know; topics begin with what mqtt.prefix says"
        )
    if parts.fragment:
        raise ValueError(f"ends in #{parts.fragment}, which no broker would see")
    return url


def _prefix(prefix: str) -> str:
    try:
        check_prefix(prefix)
    except ValueError as error:
        raise ValueError(
            f"cannot begin topics; allowed: up to {PREFIX_MAX_BYTES} of A–Z a–z 0–9 _ -, levels parted by /"
        ) from error
    return prefix


def _reply_prefix(prefix: str) -> str:
    if any(mark in prefix for mark in "+#\0") or prefix.startswith("$"):
        raise ValueError("is no plain topic; wildcards and topics of the broker itself are not allowed")
    return prefix


def _protocol(value: Any) -> Any:
    return {3: "3.1.1", 4: "3.1.1", 5: "5", "5.0": "5", "v5": "5", "3": "3.1.1"}.get(value, value)


class Mqtt(Section):
    """The broker that devices and the gateway meet at."""

    url: Annotated[
        Text,
        AfterValidator(_broker_url),
        Field(
            title="Broker",
            description="`mqtt://`, `mqtts://` (TLS), `ws://` or `wss://` (WebSocket), host and port.",
            examples=["mqtts://broker.example:8883"],
        ),
    ] = "mqtt://127.0.0.1:1883"
    username: Annotated[
        Text | None, Field(title="User name", description="Account of the gateway.", examples=["gateway"])
    ] = None
    password: Annotated[
        Secret | None, Field(title="Password", description="Better kept in a secret file.")
    ] = None
    password_file: Annotated[
        ReadableFile | None,
        Field(
            title="File with the password",
            description="Instead of `password`.",
            examples=["/run/secrets/mqtt_password"],
        ),
    ] = None
    ca_file: Annotated[
        ReadableFile | None,
        Field(
            title="Authorities (PEM)",
            description="Who may have signed its certificate. Default: whom the system trusts.",
            examples=["broker-ca.pem"],
        ),
    ] = None
    client_cert_file: Annotated[
        ReadableFile | None,
        Field(title="Client certificate (PEM)", description="For brokers that ask for one."),
    ] = None
    client_key_file: Annotated[
        ReadableFile | None,
        Field(title="Key of the client certificate (PEM)", description="Without a passphrase."),
    ] = None
    client_id: Annotated[
        Text,
        Field(
            title="Client id",
            description="Names the session at the broker. The default gets a suffix that the store keeps.",
            max_length=65,
            examples=["ocpp-gateway"],
        ),
    ] = "ocpp-gateway"
    protocol: Annotated[
        Protocol,
        BeforeValidator(_protocol),
        any_case(get_args(Protocol)),
        Field(title="MQTT version", description="`auto` tries 5, then 3.1.1."),
    ] = "auto"
    prefix: Annotated[
        Text,
        AfterValidator(_prefix),
        Field(
            title="First level of all topics",
            description=f"At most {PREFIX_MAX_BYTES} characters.",
            examples=["ocpp", "site/ocpp"],
        ),
    ] = "ocpp"
    keepalive_s: Annotated[
        int,
        Field(
            title="Keep-alive",
            description="After one and a half of it the other side counts as gone.",
            ge=5,
            le=3600,
        ),
    ] = 20
    reply_prefixes: Annotated[
        tuple[Annotated[Text, AfterValidator(_reply_prefix)], ...],
        BeforeValidator(listed),
        Field(
            title="Where answers may go",
            description="Topics below which MQTT 5 requesters may want answers, besides `…/response/…`.",
            examples=[["nodered/replies"]],
        ),
    ] = ()

    _password: str | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _fits(self) -> Mqtt:
        secure = urlsplit(self.url).scheme in ("mqtts", "wss")
        findings = [
            Finding((name,), "is of no use without TLS; mqtt.url must begin with mqtts:// or wss://")
            for name in ("ca_file", "client_cert_file", "client_key_file")
            if getattr(self, name) is not None and not secure
        ]
        findings += pair(self.client_cert_file, self.client_key_file)
        if self.password is not None and self.password_file is not None:
            findings.append(Finding(("password_file",), "stands beside password; give one of them"))
        if (self.password or self.password_file) and self.username is None:
            findings.append(Finding(("username",), "is missing beside the password"))
        if self.password_file is not None:
            try:
                self._password = read_secret(self.password_file)
            except ValueError as error:
                findings.append(Finding(("password_file",), str(error)))
        elif self.password is not None:
            self._password = self.password.get_secret_value()
        if findings:
            refuse(findings)
        return self

    def secret(self) -> str | None:
        """The password, from wherever it came."""
        return self._password


def pair(certificate: Path | None, key: Path | None) -> list[Finding]:
    """A client certificate and its key go together."""
    if (certificate is None) == (key is None):
        return []
    missing = "client_cert_file" if certificate is None else "client_key_file"
    other = "client_key_file" if certificate is None else "client_cert_file"
    return [Finding((missing,), f"is missing beside {other}; a certificate and its key go together")]


class Store(Section):
    """Where facts are kept until the CSMS knows them."""

    path: Annotated[
        Path,
        Field(
            title="Store",
            description="An SQLite file on a local disk; relative to the working directory.",
            examples=["/var/lib/ocpp-gateway/gateway.db"],
        ),
    ] = Path("gateway.db")
    max_size_mib: Annotated[
        int | None,
        Field(title="Most that the store may take", description="Default: what the disk has.", ge=16),
    ] = None


class Log(Section):
    """What the gateway says about itself."""

    level: Annotated[
        Level,
        any_case(get_args(Level)),
        Field(title="Least level", description="`debug` adds what only a developer wants to know."),
    ] = "info"
    format: Annotated[
        LogFormat,
        any_case(get_args(LogFormat)),
        Field(title="Format", description="`auto`: readable on a terminal, else a JSON object per line."),
    ] = "auto"
    frames_file: Annotated[
        Path | None,
        Field(
            title="File for every OCPP frame",
            description="Default: none is written. Relative to the working directory.",
            examples=["/var/log/ocpp-gateway/frames.log"],
        ),
    ] = None
    frames_max_mb: Annotated[
        int,
        Field(
            title="Size of a frames file",
            description="When it is reached, a new file begins.",
            ge=1,
            le=10_000,
        ),
    ] = 10
    frames_backups: Annotated[
        int,
        Field(title="Former frames files to keep", description="Named `.1`, `.2` and so on.", ge=0, le=1000),
    ] = 5
    frames_mask_tokens: Annotated[
        bool,
        Field(
            title="Mask tokens in the frames file", description="Passwords and keys are masked in any case."
        ),
    ] = True


class HealthPort(Section):
    """`/health` (200 or 503, JSON) and `/metrics` (Prometheus)."""

    host: Annotated[
        Text,
        Field(
            title="Address",
            description="`0.0.0.0` lets other machines ask.",
        ),
    ] = "127.0.0.1"
    port: Annotated[
        Port | None, Field(title="Port", description="Default: no port is opened.", examples=[8080])
    ] = None


def _discovery_prefix(prefix: str) -> str:
    if any(mark in prefix for mark in "+#\0") or prefix.startswith("$") or prefix.strip("/") != prefix:
        raise ValueError("is no plain topic; no wildcards, and no / at its ends")
    return prefix


_MOST_ANNOUNCED = 100
"""Stations; each is some 12 kB at the broker."""


class HomeAssistant(Section):
    """Home Assistant finds the stations by MQTT discovery."""

    discovery: Annotated[
        Literal["auto", "device", "components", "off"],
        any_case(("auto", "device", "components", "off")),
        Field(
            title="Discovery",
            description="`device`: one message a station, for Home Assistant 2024.11 and newer; `components`: one an "
            "entity, for older ones; `off`: none, and what was there is taken back; `auto`: `device` up to 100 "
            "stations, else `off`, since the broker would keep megabytes that hardly anybody reads.",
        ),
    ] = "auto"
    prefix: Annotated[
        Text,
        AfterValidator(_discovery_prefix),
        Field(
            title="Discovery prefix", description="As in Home Assistant's own MQTT settings.", max_length=64
        ),
    ] = "homeassistant"
    status_topic: Annotated[
        Text | None,
        AfterValidator(lambda topic: None if topic is None else _discovery_prefix(topic)),
        Field(
            title="Status topic",
            description="Where Home Assistant says that it has started. Default: the prefix and `/status`.",
        ),
    ] = None

    def form(self, stations: int) -> Literal["device", "components"] | None:
        """How so many stations are announced; None: not at all."""
        if self.discovery == "auto":
            return "device" if stations <= _MOST_ANNOUNCED else None
        return None if self.discovery == "off" else self.discovery

    def birth_topic(self) -> str:
        """Where its birth message is heard."""
        return self.status_topic or f"{self.prefix}/status"


class Gateway(Section):
    """The gateway's own heartbeat on MQTT, which devices need to keep a contactor closed."""

    heartbeat_interval_s: Annotated[
        int, Field(title="Time between heartbeats", description="Repeated on `bridge/state`.", ge=1, le=3600)
    ] = 30
    allow_requests: Annotated[
        frozenset[Annotated[BridgeRequest, any_case(get_args(BridgeRequest))]],
        BeforeValidator(listed),
        Field(
            title="Requests that are obeyed",
            description="What may be asked of the gateway itself on MQTT (`bridge/request/<action>`).",
        ),
    ] = frozenset({"health", "candidates"})
    station_template: Annotated[
        dict[str, Any],
        Field(
            title="What added stations are like",
            description="Keys of a station, for those that `bridge/request/station_add` adds; `defaults` hold too.",
            examples=[{"csms": "main"}],
        ),
    ] = Field(default_factory=dict)
    valid_s: Annotated[
        int,
        Field(
            title="Lease of a setpoint",
            description="Silent for so long, the gateway is lost to a device. At least two heartbeats.",
            ge=5,
            le=7200,
        ),
    ] = 90

    @model_validator(mode="after")
    def _survives_a_lost_heartbeat(self) -> Gateway:
        if self.valid_s < 2 * self.heartbeat_interval_s:
            least = 2 * self.heartbeat_interval_s
            refuse(
                [
                    Finding(
                        ("valid_s",),
                        f"is below {least}, twice heartbeat_interval_s: one lost heartbeat would stop "
                        "every charge",
                    )
                ]
            )
        return self
