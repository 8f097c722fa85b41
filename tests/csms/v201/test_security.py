"""Security events in 2.0.1."""

from gateway.station.reports import Acknowledged, SecurityEvent
from tests.csms.v201.wire import AT, AT_TEXT, answered, told_once


def test_an_event() -> None:
    """# A04"""
    report = SecurityEvent("StartupOfTheDevice", AT)

    assert told_once(report, "SecurityEventNotification") == {
        "type": "StartupOfTheDevice",
        "timestamp": AT_TEXT,
    }
    assert answered(report, {}) == Acknowledged()


def test_an_event_that_says_much() -> None:
    """It is cut where the schema ends."""
    payload = told_once(SecurityEvent("T" * 60, AT, "i" * 300), "SecurityEventNotification")

    assert (payload["type"], payload["techInfo"]) == ("T" * 50, "i" * 255)
