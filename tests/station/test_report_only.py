"""Stations whose device decides by itself: told as it is, and nothing promised in its name."""

from typing import Any

import pytest

from gateway.station.effects import SetPoint
from gateway.station.events import Restarted
from gateway.station.model import IdToken, Policy
from tests.station.rig import BOTH, CARD, OTHER, Payload, Rig

FIXED = "FLEET-1"
PROFILE: Payload = {
    "chargingProfileId": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Absolute",
    "chargingSchedule": {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10}],
    },
}


def booted(version: str = "1.6", **connector: Any) -> Rig:
    policy = Policy(reported_token=IdToken(FIXED, "Central"), idle_end_s=600)
    rig = Rig(version, policy=policy, obeys=False, station={"report_only": True}, **connector)
    rig.boot()
    if not connector.get("plug_sensor", True):
        rig.facts(plugged=None, charging=None)  # a socket knows neither
    return rig


def charges(rig: Rig) -> None:
    """The device has let a vehicle charge."""
    rig.facts(plugged=True)
    rig.facts(energized=True, charging=True)
    rig.meter(rig.devices[1].register_wh)


def transactions(rig: Rig) -> list[str]:
    """What was told of transactions, shortly; events in between are left out."""
    return [s for s in rig.story() if s.startswith(("Started", "Ended", "Start ", "Stop "))]


@BOTH
def test_a_session_is_told_with_the_fixed_token_and_without_asking(version: str) -> None:
    """The CSMS is not asked whether the device may do what it does."""
    rig = booted(version)

    charges(rig)
    rig.meter(1500.0)
    rig.facts(plugged=False, energized=False, charging=False)
    rig.after(10)

    assert not rig.payloads("Authorize")
    if version == "1.6":
        (start,) = rig.payloads("StartTransaction")
        (stop,) = rig.payloads("StopTransaction")
        assert (FIXED, 1000) == (start["idTag"], start["meterStart"])
        assert (1500, "EVDisconnected") == (stop["meterStop"], stop["reason"])
    else:
        events = rig.payloads("TransactionEvent")
        assert ["Started", "Ended"] == [events[0]["eventType"], events[-1]["eventType"]]
        tokens = [event["idToken"]["idToken"] for event in events if "idToken" in event]
        assert FIXED == tokens[0]
        assert "EVDisconnected" == events[-1]["transactionInfo"]["stoppedReason"]


@BOTH
def test_nothing_is_said_to_the_device(version: str) -> None:
    """No setpoint, no command to obey."""
    rig = booted(version)

    charges(rig)
    rig.facts(plugged=False, energized=False, charging=False)
    rig.after(10)

    assert [] == rig.done(SetPoint)
    assert [] == rig.commands("card_result")


def test_the_card_that_was_seen_is_told_once() -> None:
    """The next session without a card is nobody's in particular again."""
    rig = booted()
    rig.card(OTHER)
    for _ in range(2):
        charges(rig)
        rig.facts(plugged=False, energized=False, charging=False)
        rig.after(10)

    assert [OTHER, FIXED] == [start["idTag"] for start in rig.payloads("StartTransaction")]


def test_a_card_seen_long_before_belongs_to_no_session() -> None:
    """It counts for ConnectionTimeOut."""
    rig = booted()
    rig.card(OTHER)
    rig.after(3600)

    charges(rig)

    assert [FIXED] == [start["idTag"] for start in rig.payloads("StartTransaction")]


def test_a_card_at_the_reader_of_the_station_counts_too() -> None:
    """`0/card`."""
    rig = booted()
    rig.card(OTHER, 0)

    charges(rig)

    assert [OTHER] == [start["idTag"] for start in rig.payloads("StartTransaction")]


def test_a_session_from_before_the_first_heartbeat_is_charging() -> None:
    """A device does not wait for the gateway."""
    rig = Rig(station={"report_only": True}, obeys=False)
    rig.happens(Restarted("seed", rig.dialect.flavor))
    rig.connect()
    rig.meter(1000.0)
    rig.facts(plugged=True, energized=True, charging=True)

    assert "Charging" == rig.status()
    assert ["Available", "Charging"] == [
        told["status"] for told in rig.payloads("StatusNotification") if told["connectorId"] == 1
    ]


def test_a_pause_of_the_device_is_suspended_by_the_evse() -> None:
    """The contactor is open, the cable is in: the transaction goes on."""
    rig = booted()
    charges(rig)
    assert "Charging" == rig.status()

    rig.facts(energized=False, charging=False)
    assert "SuspendedEVSE" == rig.status()
    rig.facts(energized=True)
    assert "SuspendedEV" == rig.status()
    rig.facts(charging=True)

    assert "Charging" == rig.status()
    assert 1 == len(rig.payloads("StartTransaction"))
    assert not rig.payloads("StopTransaction")


def test_a_stop_at_the_device_ends_the_session_and_the_next_one_is_another() -> None:
    """Also when the contactor opens only a moment later."""
    rig = booted()
    charges(rig)

    rig.device_report("stop_button")
    rig.after(6)
    assert "Finishing" == rig.status()
    rig.facts(energized=False, charging=False)
    rig.facts(energized=True, charging=True)
    rig.after(6)

    assert ["Start", "Stop", "Start"] == [one.split()[0] for one in transactions(rig)]


def test_without_a_plug_sensor_a_session_ends_with_the_output() -> None:
    """A socket that is switched off by whoever decides."""
    rig = booted(plug_sensor=False)
    rig.facts(energized=True)
    assert not rig.payloads("StartTransaction")  # nothing is there yet

    rig.meter(1000.0, power_w=2000.0)
    rig.meter(1200.0, power_w=2000.0)
    rig.facts(energized=False)
    rig.after(6)

    (stop,) = rig.payloads("StopTransaction")
    assert 1200 == stop["meterStop"]
    assert "Local" == stop.get("reason", "Local")


def test_without_a_plug_sensor_a_session_ends_when_nothing_is_drawn_for_long() -> None:
    """A pause is none; a car that is full has left, for all that anybody knows."""
    rig = booted(plug_sensor=False)
    rig.facts(energized=True)
    rig.meter(1000.0, power_w=2000.0)
    rig.meter(1200.0, power_w=0.0)
    rig.after(500)
    rig.meter(1200.0, power_w=2000.0)
    rig.meter(1300.0, power_w=0.0)
    rig.after(590)
    assert not rig.payloads("StopTransaction")

    rig.after(30)

    assert 1300 == rig.payloads("StopTransaction")[0]["meterStop"]


@pytest.mark.parametrize("stop_on_invalid", ["true", "false"])
def test_a_refused_token_stops_nothing(stop_on_invalid: str) -> None:
    """Nobody can keep the device from charging: the transaction is told to its end."""
    rig = booted()
    rig.set("StopTransactionOnInvalidId", stop_on_invalid)
    rig.authorizes("Blocked")

    charges(rig)
    rig.meter(1500.0)
    assert "Charging" == rig.status()
    rig.facts(plugged=False, energized=False, charging=False)
    rig.after(10)

    assert 1500 == rig.payloads("StopTransaction")[0]["meterStop"]


ASKED: list[tuple[str, Payload, str]] = [
    ("RemoteStartTransaction", {"connectorId": 1, "idTag": CARD}, "Rejected"),
    ("RemoteStopTransaction", {"transactionId": 77}, "Rejected"),
    ("UnlockConnector", {"connectorId": 1}, "NotSupported"),
    ("Reset", {"type": "Soft"}, "Rejected"),
    ("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}, "Rejected"),
    ("ChangeAvailability", {"connectorId": 1, "type": "Operative"}, "Accepted"),
    ("ClearCache", {}, "Rejected"),
    ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": PROFILE}, "NotSupported"),
    ("ClearChargingProfile", {}, "NotSupported"),
    ("GetCompositeSchedule", {"connectorId": 1, "duration": 60}, "NotSupported"),
    ("SendLocalList", {"listVersion": 1, "updateType": "Full"}, "NotSupported"),
    ("CancelReservation", {"reservationId": 1}, "Rejected"),
]


@pytest.mark.parametrize(("action", "payload", "status"), ASKED, ids=[f"{a}-{s}" for a, _, s in ASKED])
def test_what_only_an_obedient_device_could_do_is_refused(action: str, payload: Payload, status: str) -> None:
    """With the word that 1.6 has for it, and without any effect."""
    rig = booted()
    charges(rig)
    rig.forget()

    assert status == rig.status_of(action, **payload)
    rig.after(5)
    assert "Charging" == rig.status()
    assert [] == transactions(rig)


def test_the_same_in_201() -> None:
    """# F01, F03, F05, B11, G03."""
    rig = booted("2.0.1")
    charges(rig)
    token = {"idToken": CARD, "type": "ISO14443"}
    asked: list[tuple[str, Payload]] = [
        ("RequestStartTransaction", {"idToken": token, "remoteStartId": 1, "evseId": 1}),
        ("RequestStopTransaction", {"transactionId": rig.transaction()}),
        ("Reset", {"type": "Immediate"}),
        ("ChangeAvailability", {"operationalStatus": "Inoperative"}),
    ]

    assert ["Rejected"] * 4 == [rig.status_of(action, **payload) for action, payload in asked]
    assert "UnlockFailed" == rig.status_of("UnlockConnector", evseId=1, connectorId=1)
    assert rig.transaction() is not None


@pytest.mark.parametrize("action", ["start", "stop", "unlock", "limit", "operative"])
def test_requests_on_mqtt_are_refused_alike(action: str) -> None:
    """They say why."""
    rig = booted()
    charges(rig)

    answer = rig.request(action, id_token=CARD, operative=False, limit_a=6.0)

    assert answer is not None
    assert not answer.ok
    assert "only reports" in str(answer.error)
    assert "Charging" == rig.status()


def test_only_what_it_does_is_claimed() -> None:
    """SupportedFeatureProfiles."""
    rig = booted()

    reply = rig.asks("GetConfiguration", key=["SupportedFeatureProfiles"])

    assert isinstance(reply, dict)
    assert "Core,FirmwareManagement,RemoteTrigger" == reply["configurationKey"][0]["value"]


@BOTH
def test_a_session_outlives_the_gateway(version: str) -> None:
    """The device went on meanwhile."""
    rig = booted(version)
    charges(rig)
    before = rig.transaction()

    rig.restart(fresh=False)
    rig.facts(plugged=True, energized=True, charging=True)
    rig.meter(1800.0)

    assert before == rig.transaction()
    rig.facts(plugged=False, energized=False, charging=False)
    rig.after(10)
    assert rig.transaction() is None
