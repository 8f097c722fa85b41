"""Times are sent in the one form that everybody reads, and read in every form that somebody sends."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.csms.timestamps import format_time, parse_time

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (NOON, "2026-01-31T12:00:00Z"),
        (NOON + 0.25, "2026-01-31T12:00:00.250Z"),
        (NOON + 0.0004, "2026-01-31T12:00:00Z"),
        (NOON + 0.9996, "2026-01-31T12:00:01Z"),
        (0.0, "1970-01-01T00:00:00Z"),
    ],
)
def test_format_time(at: float, text: str) -> None:
    """UTC with Z, rounded to milliseconds, which are left out when they are zero."""
    assert format_time(at) == text


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31t12:00:00z",
        "2026-01-31T12:00:00",
        "2026-01-31 12:00:00Z",
        "2026-01-31T12:00:00.000000Z",
        "2026-01-31T12:00:00.0000000+00:00",
        "2026-01-31T13:00:00+01:00",
        "2026-01-31T14:00:00+02",
        "2026-01-31T14:00:00+0200",
        "2026-01-31T06:30:00-05:30",
        "2026-01-31T12:00Z",
        "  2026-01-31T12:00:00Z ",
    ],
)
def test_parse_time(text: str) -> None:
    """Offsets are applied, a missing zone is UTC, and what backends do with fractions does no harm."""
    assert parse_time(text) == NOON


def test_parse_time_keeps_fractions() -> None:
    """Seven digits, as .NET writes them, are read as far as a float can tell them apart."""
    assert parse_time("2026-01-31T13:00:00.2973429+01:00") == pytest.approx(NOON + 0.2973429, abs=1e-6)


def test_parse_time_knows_leap_seconds() -> None:
    """23:59:60 is the first second of the next day."""
    assert parse_time("2016-12-31T23:59:60Z") == datetime(2017, 1, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-02-30T12:00:00Z", "2026-01-31T25:00:00Z", "2026-01-31", "12:00:00Z", None, 1769860800],
)
def test_parse_time_of_no_time(text: object) -> None:
    """What cannot be read is None, not an exception."""
    assert parse_time(text) is None


@given(st.floats(min_value=0, max_value=4102444800))
def test_what_is_sent_can_be_read(at: float) -> None:
    """A time survives its own text to the millisecond."""
    read = parse_time(format_time(at))

    assert read is not None
    assert abs(read - at) <= 0.0006
