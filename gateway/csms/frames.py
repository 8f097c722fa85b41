"""OCPP-J frames as JSON: written exactly, read generously."""

from typing import Any

import msgspec

from gateway.csms.faults import Fault

MessageId = str | int | float | bool | None
"""Ours are strings of at most 36 characters; theirs may be any JSON scalar, and go back as they came."""

Key = str | bytes
"""A message id as the key of a dict."""

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def decoded(text: str | bytes) -> Any:
    """None for what is not JSON, and also for JSON's own null, which is no frame either."""
    try:
        return _decode(text)
    except (ValueError, RecursionError):
        pass
    try:
        # Some stacks add a byte order mark, or the NUL at which their C strings end.
        data = text.encode() if isinstance(text, str) else text
        return _decode(data.removeprefix(b"\xef\xbb\xbf").rstrip(b"\x00\r\n\t "))
    except (ValueError, RecursionError):
        return None


def is_readable(message_id: object) -> bool:
    return message_id is None or isinstance(message_id, str | int | float)


def key_of(message_id: MessageId) -> Key:
    # 1, 1.0 and true are one key to a dict, but three ids on the wire.
    return message_id if isinstance(message_id, str) else encode(message_id)


def error_of(frame: list[Any]) -> tuple[str, str, dict[str, Any]]:
    """Code, description and details of a CALLERROR, whatever their types; 1.6 backends leave elements out."""
    code = frame[2] if len(frame) > 2 else None
    description = frame[3] if len(frame) > 3 else None
    details = frame[4] if len(frame) > 4 else None
    if isinstance(description, dict) and details is None:
        description, details = None, description
    if not isinstance(details, dict):
        details = {} if details is None else {"details": details}
    return (
        _text(code) or Fault.GENERIC.value,
        _text(description),
        details,
    )


def shown(value: object) -> str:
    """For a sentence: short, and no longer than it is useful."""
    return repr(_text(value)[:50])


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) else ""
