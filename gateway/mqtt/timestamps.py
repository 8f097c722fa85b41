"""Stamps of devices are believed only within reason; ours are RFC 3339 in UTC with milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from gateway.station.model import EPOCH_2020

AHEAD_S = 300.0
"""A stamp further ahead of its arrival comes from a clock that is wrong."""
_MILLISECONDS_FROM = 1e11
"""As seconds that would be the year 5138; as milliseconds it is 1973."""


def read(value: str | float, arrived_at: float, zone: tzinfo) -> float | None:
    """Return wall-clock seconds; None when the clock that gave them is wrong.

    `value`: RFC 3339 (in `zone` when it names no offset), or seconds or milliseconds since 1970, also as
    text. Raises ValueError when it is neither.
    """
    at = _from_text(value.strip().upper(), zone) if isinstance(value, str) else float(value)
    if abs(at) >= _MILLISECONDS_FROM:
        at /= 1000.0
    return at if EPOCH_2020 <= at <= arrived_at + AHEAD_S else None


def rfc3339(at: float) -> str:
    """2026-05-04T10:00:00.000Z."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _from_text(text: str, zone: tzinfo) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return float(text)
    # `fromisoformat` also takes 20260504 and other bare dates; a plain number is one of seconds.
    if text.isdecimal():
        return float(text)
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    except OverflowError:
        raise ValueError(text) from None
