"""Monitored facts in 2.0.1."""

from gateway.station.reports import Acknowledged, Notification
from tests.csms.v201.wire import AT, AT_TEXT, answered, told_once


def test_a_fact_that_changed() -> None:
    """# N07, G01: a state without any monitor of the CSMS."""
    report = Notification(
        4, AT, "Connector", "AvailabilityState", "Occupied", evse=1, connector=2, event_id=9
    )

    assert told_once(report, "NotifyEvent") == {
        "generatedAt": AT_TEXT,
        "seqNo": 4,
        "tbc": False,
        "eventData": [
            {
                "eventId": 9,
                "timestamp": AT_TEXT,
                "trigger": "Delta",
                "actualValue": "Occupied",
                "component": {"name": "Connector", "evse": {"id": 1, "connectorId": 2}},
                "variable": {"name": "AvailabilityState"},
                "eventNotificationType": "HardWiredNotification",
            }
        ],
    }
    assert answered(report, {}) == Acknowledged()


def test_a_problem_that_is_over() -> None:
    """# N08: cleared; texts are cut where the schema ends."""
    report = Notification(
        *(0, AT, "ChargingStation", "Problem", "x" * 3000, "Alerting"),
        cleared=True,
        tech_info="t" * 600,
        transaction="7f3c",
    )
    [event] = told_once(report, "NotifyEvent")["eventData"]

    assert (event["cleared"], event["transactionId"]) == (True, "7f3c")
    assert (len(event["actualValue"]), len(event["techInfo"])) == (2500, 500)
    assert event["component"] == {"name": "ChargingStation"}
