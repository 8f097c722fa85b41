"""Logs are readable on a terminal and JSON elsewhere, and never tell a secret or a whole token."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import logging
import os
import re
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MASKED: Final = "***"

_log = structlog.get_logger()


def configure(
    level: str = "info",
    format: Literal["auto", "console", "json"] = "auto",
    stream: TextIO | None = None,
    recent: RecentLog | None = None,
) -> None:
    """Send what structlog and the libraries' loggers say to `stream` (stderr), a line each.

    `auto` is `console` on a terminal, else `json`. Libraries are heard from WARNING on. May be called again.
    """
    stream = stream or sys.stderr
    console = format == "console" or (format == "auto" and stream.isatty())
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False)
        if console
        else structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        # As text: tracebacks with local variables would tell secrets that no key announces.
        structlog.processors.format_exc_info,
        masked_event,
    ]
    if recent is not None:
        common.append(recent.remember)
    render: list[Processor] = [_console(stream)] if console else [_json()]
    structlog.configure(
        processors=common + render,
        wrapper_class=structlog.make_filtering_bound_logger(level.lower()),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        # Whoever logs often binds once, which is as fast; a cache would outlive this configuration.
        cache_logger_on_first_use=False,
    )
    _route_libraries(stream, level, common, render)


def mask_token(token: str, token_type: str = "") -> str:
    """Enough of an idToken to recognise one's own: two characters at each end.

    Nothing of a short one, and nothing of a KeyCode, which is what a driver types.
    """
    if len(token) < _SHORT_TOKEN or token_type.casefold() == "keycode":
        return MASKED
    return f"{token[:2]}…{token[-2:]}"


def masked(value: Any) -> Any:
    """Return `value` as plain data (mappings, lists, strings, numbers) without secrets and whole tokens.

    What a mapping's key announces is masked: passwords and keys wholly, idTokens as `mask_token` does. In
    text, passwords inside URLs and Authorization headers are masked. Bytes become their length.
    """
    return _masked(value, tokens=True)


def masked_event(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Mask one log line: a structlog processor."""
    return _masked_mapping(event_dict, tokens=True)


class RecentLog:
    """The last lines and OCPP frames of all stations, in memory: what a diagnostics upload takes along."""

    def __init__(self, length: int = 20_000) -> None:
        """`length`: of lines, and of frames; the oldest go first."""
        self._lines: deque[tuple[float, object, str]] = deque(maxlen=length)
        self._frames: deque[tuple[float, str, str, bytes]] = deque(maxlen=length)

    def remember(self, _logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
        """Keep one masked log line: a structlog processor."""
        line = msgspec.json.encode(event_dict, enc_hook=str).decode()
        self._lines.append((time.time(), event_dict.get("station"), line))
        return event_dict

    def frame(self, station: str, direction: str, frame: bytes) -> None:
        """Keep a frame as it was; it is masked when somebody takes it."""
        self._frames.append((time.time(), station, direction, frame))

    def of(self, station: str, oldest: float | None, latest: float | None) -> dict[str, str]:
        """`gateway.log`, what concerns this station or the whole gateway, and `ocpp.log`, its frames."""
        begin = float("-inf") if oldest is None else oldest
        end = float("inf") if latest is None else latest
        lines = [line for at, name, line in self._lines if begin <= at <= end and name in {station, None}]
        frames = [
            f"{_utc(at)} {direction} {masked_frame(frame).decode(errors='replace')}"
            for at, name, direction, frame in self._frames
            if begin <= at <= end and name == station
        ]
        return {"gateway.log": _text_of(lines), "ocpp.log": _text_of(frames)}


def _text_of(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _utc(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class FrameLog:
    """Every OCPP frame, one line each, in files that together never exceed `max_bytes` × (`backups` + 1).

    A line is `2026-01-31T12:00:00.000Z garage sent [2,"…"]`. Secrets are always masked, tokens unless
    `mask_tokens` is false. `path` None is off, and costs a comparison per frame. A disk that refuses is
    reported once, the lines it costs are counted, and the gateway goes on.
    """

    def __init__(
        self,
        path: Path | None,
        max_bytes: int = 10_000_000,
        backups: int = 5,
        *,
        mask_tokens: bool = True,
        recent: RecentLog | None = None,
    ) -> None:
        self.lost = 0
        self._recent = recent
        self._path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._mask_tokens = mask_tokens
        self._file: BinaryIO | None = None
        self._size = 0

    def write(self, station: str, direction: Literal["sent", "received"], frame: bytes) -> None:
        """Append one frame as it was on the wire, masked."""
        if self._recent is not None:
            self._recent.frame(station, direction, frame)
        if self._path is None:
            return
        now = _utc(time.time())
        text = masked_frame(frame, tokens=self._mask_tokens).replace(b"\n", b" ").replace(b"\r", b" ")
        line = b"%s %s %s %s\n" % (now.encode(), station.encode(), direction.encode(), text)
        try:
            self._append(self._path, line)
        except OSError as error:
            self.close()
            self.lost += 1
            if self.lost == 1:
                _log.error(
                    "OCPP frames cannot be logged: free space or fix the rights; charging goes on meanwhile",
                    path=str(self._path),
                    reason=str(error),
                )
        else:
            if self.lost:
                _log.warning("OCPP frames are logged again", path=str(self._path), lines_lost=self.lost)
                self.lost = 0

    def close(self) -> None:
        """Close the file; the next frame opens it again."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _append(self, path: Path, line: bytes) -> None:
        if self._file is None:
            # Unbuffered: what was said just before a crash is what one wants to read after it.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
            self._file = os.fdopen(descriptor, "ab", buffering=0)
            self._size = os.fstat(descriptor).st_size
        if self._size and self._size + len(line) > self._max_bytes:
            self._rotate(path)
            self._append(path, line)
            return
        self._file.write(line)
        self._size += len(line)

    def _rotate(self, path: Path) -> None:
        self.close()
        for number in range(self._backups - 1, 0, -1):
            older = path.with_name(f"{path.name}.{number}")
            if older.exists():
                older.replace(path.with_name(f"{path.name}.{number + 1}"))
        if self._backups:
            path.replace(path.with_name(f"{path.name}.1"))
        else:
            path.unlink()


def masked_frame(frame: bytes, *, tokens: bool = True) -> bytes:
    """Mask an OCPP-J frame: secrets always, tokens if asked; what may hold one and is no JSON, wholly."""
    if _SECRET_IN_FRAME.search(frame):
        try:
            return msgspec.json.encode(_masked(msgspec.json.decode(frame), tokens=tokens))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return b"<%d bytes that are no JSON and may hold a secret>" % len(frame)
    if not tokens:
        return frame
    token_type = "KeyCode" if b"KeyCode" in frame else ""
    return _TOKEN_IN_FRAME.sub(
        lambda found: found[1] + mask_token(found[2].decode(errors="replace"), token_type).encode(), frame
    )


_SHORT_TOKEN: Final = 8

# Keys are compared without case, "_" and "-".
_SECRET_KEYS: Final = frozenset(
    {
        "apikey",
        "authorization",
        "authorizationkey",
        "basicauthpassword",
        "clientsecret",
        "credentials",
        "keypassword",
        "passphrase",
        "passwd",
        "password",
        "privatekey",
        "secret",
    }
)
_TOKEN_KEYS: Final = frozenset({"groupidtoken", "idtag", "idtoken", "parentidtag", "token"})
_TOKEN_TYPE_KEYS: Final = frozenset({"idtokentype", "tokentype", "type"})
_SECRET_SETTINGS: Final = frozenset({"authorizationkey", "basicauthpassword"})
_SETTING_NAME_KEYS: Final = frozenset({"key", "name", "variable"})
_VALUE_KEYS: Final = frozenset({"attributevalue", "value"})
# Beside one of these, `key` is the name of an OCPP 1.6 setting and no secret.
_BESIDE_SETTING_NAME: Final = frozenset({"readonly", "value"})

_USER_INFO: Final = re.compile(r"(?<=://)([^/@\s:]*):[^/@\s]*(?=@)")
_AUTHORIZATION: Final = re.compile(r"\b(Basic|Bearer) +(?=\S*[0-9=])[A-Za-z0-9+/=._~-]{8,}", re.IGNORECASE)

# What may hold a secret is decoded and masked by its structure; any other frame is only searched for tokens.
_SECRET_IN_FRAME: Final = re.compile(rb'authorizationkey|password|"vpn"|://[^/"\s]*@|\\[u/]', re.IGNORECASE)
_TOKEN_IN_FRAME: Final = re.compile(rb'("(?:idTag|idToken|parentIdTag)"\s*:\s*")((?:[^"\\]|\\.)*)(?=")')


def _masked(value: Any, *, tokens: bool, hide_values: bool = False) -> Any:
    match value:
        case enum.Enum():
            return _masked(value.value, tokens=tokens)
        case str():
            return _masked_text(value)
        case None | bool() | int() | float():
            return value
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case Mapping():
            return _masked_mapping(value, tokens=tokens, hide_values=hide_values)
        case list() | tuple() | set() | frozenset():
            return [_masked(item, tokens=tokens, hide_values=hide_values) for item in value]
        case msgspec.Struct():
            fields = {name: getattr(value, name) for name in value.__struct_fields__}
            told = {name: field for name, field in fields.items() if field is not msgspec.UNSET}
            return _masked_mapping(told, tokens=tokens, hide_values=hide_values)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            return _masked_mapping(fields, tokens=tokens, hide_values=hide_values)
        case _:
            return _masked_text(str(value))


def _masked_mapping(mapping: Mapping[Any, Any], *, tokens: bool, hide_values: bool = False) -> dict[str, Any]:
    by_name = {_plain(key): value for key, value in mapping.items()}
    token_type = next((str(_masked(by_name[n], tokens=False)) for n in _TOKEN_TYPE_KEYS & by_name.keys()), "")
    hide_values = hide_values or any(
        _is_secret_setting(by_name[name]) for name in _SETTING_NAME_KEYS & by_name.keys()
    )
    is_setting = not _BESIDE_SETTING_NAME.isdisjoint(by_name)

    def mask(name: str, value: Any) -> Any:
        secret = name in _SECRET_KEYS or (name == "key" and isinstance(value, str) and not is_setting)
        if secret or (hide_values and name in _VALUE_KEYS):
            return MASKED if value else value
        if tokens and name in _TOKEN_KEYS and isinstance(value, str):
            return mask_token(value, token_type)
        return _masked(value, tokens=tokens, hide_values=hide_values)

    return {str(key): mask(_plain(key), value) for key, value in mapping.items()}


def _masked_text(text: str) -> str:
    if "://" in text:
        text = _USER_INFO.sub(rf"\1:{MASKED}", text)
    return _AUTHORIZATION.sub(rf"\1 {MASKED}", text)


def _plain(key: object) -> str:
    return str(key).replace("_", "").replace("-", "").casefold()


def _is_secret_setting(named: Any) -> bool:
    """Whether a setting's name (1.6) or variable (2.x: `{"name": …}`) is one that holds a secret."""
    if isinstance(named, Mapping):
        named = named.get("name")
    return isinstance(named, str) and _plain(named.rsplit(".", 1)[-1]) in _SECRET_SETTINGS


class _LibraryHandler(logging.StreamHandler[TextIO]):
    """Ours among the root logger's handlers, so that it can be replaced."""


def _route_libraries(stream: TextIO, level: str, common: list[Processor], render: list[Processor]) -> None:
    handler = _LibraryHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *common, *render],
        )
    )
    root = logging.getLogger()
    for former in [known for known in root.handlers if isinstance(known, _LibraryHandler)]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]))


def _console(stream: TextIO) -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty() and "NO_COLOR" not in os.environ,
        exception_formatter=structlog.dev.plain_traceback,
        pad_event_to=0,
    )


def _json() -> Processor:
    def serialize(event: EventDict, **_options: Any) -> str:
        return msgspec.json.encode(event, enc_hook=str).decode()

    return structlog.processors.JSONRenderer(serializer=serialize)
