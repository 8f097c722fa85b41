"""OCPP's dateTime: UTC with `Z` and at most milliseconds when sent, anything like RFC 3339 when received."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

_PATTERN = re.compile(
    r"\s*(\d{4}-\d\d-\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?"
    r"\s*(?:(Z|z|UTC|GMT)|([+-])(\d\d)(?::?([0-5]\d))?)?\s*",
    re.ASCII,
)


def format_time(at: float) -> str:
    """Wall-clock seconds as `2026-01-31T23:59:59Z`, with three more digits when they are not zero."""
    second, millisecond = divmod(round(at * 1000), 1000)
    if millisecond:
        return f"{_second(second)}.{millisecond:03d}Z"
    return _second(second) + "Z"


def parse_time(text: object) -> float | None:
    """Wall-clock seconds, or None when the text is no time.

    Accepted beyond RFC 3339: no zone (UTC), `+02`, `+0200`, any number of fraction digits, no seconds,
    a space for the T.
    """
    if not isinstance(text, str) or (match := _PATTERN.fullmatch(text)) is None:
        return None
    day, hour, minute, second, fraction, _zulu, sign, zone_hours, zone_minutes = match.groups()
    leap = second == "60"
    try:
        moment = datetime.fromisoformat(f"{day}T{hour}:{minute}:{'59' if leap else second or '00'}+00:00")
    except ValueError:
        return None
    seconds = moment.timestamp() + leap
    if fraction:
        seconds += float("0." + fraction)
    if sign:
        offset = int(zone_hours) * 3600 + int(zone_minutes or 0) * 60
        seconds += offset if sign == "-" else -offset
    return seconds


@lru_cache(maxsize=1024)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()[:19]
