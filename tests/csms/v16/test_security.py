"""Security events in 1.6."""

import pytest

from gateway.station.reports import Acknowledged, SecurityEvent
from tests.csms.v16.wire import AT, AT_TEXT, answered, told_once


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("StartupOfTheDevice", "StartupOfTheDevice"),
        ("InvalidCsmsCertificate", "InvalidCentralSystemCertificate"),
        ("InvalidChargingStationCertificate", "InvalidChargePointCertificate"),
        ("FailedToAuthenticateAtCsms", "FailedToAuthenticateAtCentralSystem"),
        ("CsmsFailedToAuthenticate", "CentralSystemFailedToAuthenticate"),
    ],
)
def test_events_have_the_names_of_the_whitepaper(name: str, word: str) -> None:
    """1.6 calls the CSMS central system, and the station charge point."""
    report = SecurityEvent(name, AT)

    assert told_once(report, "SecurityEventNotification") == {"type": word, "timestamp": AT_TEXT}
    assert answered(report, {}) == Acknowledged()


def test_details_are_cut_to_what_the_schema_allows() -> None:
    """techInfo has 255 characters."""
    payload = told_once(SecurityEvent("ResetOrReboot", AT, "x" * 300), "SecurityEventNotification")

    assert payload["techInfo"] == "x" * 255
