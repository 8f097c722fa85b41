"""Boot, heartbeat and clock: what may be said before the CSMS has accepted the station, and after."""

from collections.abc import Callable

import pytest

from gateway.station import effects
from gateway.station.model import EPOCH_2020, Policy
from gateway.station.reports import Failed
from tests.station.rig import BOTH, CARD, NOON, REFUSED, TIMED_OUT, UNREGISTERED, Payload, Rig, text


def boot_answer(status: str, interval: int = 300, at: float = NOON) -> Payload:
    return {"status": status, "interval": interval, "currentTime": text(at)}


def unregistered(version: str, status: str, interval: int = 30) -> Rig:
    """A station whose first BootNotification was answered so."""
    rig = Rig(version)
    rig.answers["BootNotification"] = boot_answer(status, interval)
    rig.start()
    rig.connect()
    assert ["BootNotification"] == rig.story()
    return rig


# ------------------------------------------------------------------ boot


def test_a_16_station_that_is_accepted_tells_connector_0_and_every_connector() -> None:
    """# 1.6 §4.2 [E3.22], [TC_001]: BootNotification first, then all statuses."""
    rig = Rig("1.6", connectors=2)
    rig.start()
    rig.connect()

    story = rig.story()

    assert story[0] == "BootNotification"
    assert ["Status 0 Available", "Status 1 Available", "Status 2 Available"] == story[-3:]


def test_a_201_station_that_is_accepted_tells_every_connector() -> None:
    """# B01.FR.05, [TC_B_01]: there is no connector 0, and the startup is a security event."""
    rig = Rig("2.0.1", connectors=2)
    rig.start()
    rig.connect()

    story = rig.story()

    assert [
        "BootNotification",
        "Security StartupOfTheDevice",
        "Status 1.1 Available",
        "Status 2.1 Available",
    ] == story


def test_boot_says_who_the_station_is() -> None:
    """# B01: the operator's words, else the device's; the reason is PowerUp at the first start."""
    rig = Rig("2.0.1")
    rig.start()
    rig.announce("boot1", serial="S-1", firmware_version="1.2.3")
    rig.connect()

    [boot] = rig.payloads("BootNotification")

    expected = {
        "model": "MQTT",
        "vendorName": "ocpp-mqtt-gateway",
        "serialNumber": "S-1",
        "firmwareVersion": "1.2.3",
    }
    assert {"reason": "PowerUp", "chargingStation": expected} == boot


@BOTH
@pytest.mark.parametrize("status", ["Pending", "Rejected"])
def test_a_station_that_is_not_accepted_says_nothing_until_the_interval_is_over(
    version: str, status: str
) -> None:
    """# 1.6 §4.2, B02.FR.02, B03.FR.02, [TC_001], [TC_002], [TC_B_02], [TC_B_03]."""
    rig = unregistered(version, status, interval=30)

    rig.plug()
    rig.card()
    rig.after(23)

    assert [] == rig.story()
    rig.answers.clear()
    rig.after(2)
    story = rig.story()
    assert "BootNotification" == story[0]
    assert any("Status 1" in sentence for sentence in story)


@BOTH
@pytest.mark.parametrize("status", ["Pending", "Rejected"])
def test_an_interval_of_0_makes_the_station_choose_one_that_does_not_flood(version: str, status: str) -> None:
    """# 1.6 §4.2, B02.FR.08, B03.FR.07."""
    rig = unregistered(version, status, interval=0)

    rig.after(3600)

    boots = rig.payloads("BootNotification")
    assert 1 <= len(boots) <= 60


@BOTH
@pytest.mark.parametrize("failure", [REFUSED, TIMED_OUT, UNREGISTERED])
def test_a_boot_without_a_proper_answer_is_tried_again_after_a_while(version: str, failure: Failed) -> None:
    """# 1.6 §4.2: no answer counts as not accepted."""
    rig = Rig(version)
    rig.answers["BootNotification"] = failure
    rig.start()
    rig.connect()
    rig.after(5)
    assert ["BootNotification"] == rig.story()

    del rig.answers["BootNotification"]
    rig.after(60)

    assert rig.story()[0] == "BootNotification"
    assert rig.station.state.accepted


@BOTH
def test_a_boot_cut_off_by_the_link_is_sent_at_the_next_connection(version: str) -> None:
    """Nothing was answered: the station is still not registered."""
    rig = Rig(version)
    rig.answers["BootNotification"] = None
    rig.start()
    rig.connect()
    rig.disconnect()
    del rig.answers["BootNotification"]
    rig.forget()

    rig.connect()

    assert "BootNotification" == rig.story()[0]


@BOTH
def test_the_waiting_time_of_a_rejected_station_survives_a_reconnect(version: str) -> None:
    """# B03.FR.02: closing and opening the socket is no way around the interval."""
    rig = unregistered(version, "Rejected", interval=100)
    rig.after(20)
    rig.disconnect()
    rig.after(5)

    rig.connect()

    assert [] == rig.story()
    rig.answers.clear()
    rig.after(80)
    assert "BootNotification" == rig.story()[0]


@BOTH
def test_a_reconnect_is_no_boot(version: str) -> None:
    """# OCPP-J: BootNotification only after a boot, and only changed statuses after a short interruption."""
    rig = Rig(version)
    rig.boot()
    rig.disconnect()
    rig.after(10)

    rig.connect()

    assert [] == rig.story()


@BOTH
def test_a_csms_that_forgets_may_have_a_boot_at_every_connection(version: str) -> None:
    """Some backends register a station on each connection; what it then says is what a boot says."""
    rig = Rig(version, policy=Policy(boot_on_reconnect=True))
    rig.boot()
    rig.disconnect()
    rig.after(10)

    rig.connect()

    statuses = {"1.6": ["Status 0 Available", "Status 1 Available"], "2.0.1": ["Status 1.1 Available"]}
    assert ["BootNotification", *statuses[version]] == rig.story()


@BOTH
def test_a_reconnect_tells_what_changed_meanwhile_once_and_as_it_is_now(version: str) -> None:
    """# 1.6 §4.9, B04.FR.02: the present status, no history."""
    rig = Rig(version, connectors=2)
    rig.boot()
    rig.disconnect()
    rig.plug(2)
    rig.unplug(2)
    rig.plug(2)
    rig.after(10)

    rig.connect()

    assert [{"1.6": "Status 2 Preparing", "2.0.1": "Status 2.1 Occupied"}[version]] == rig.story()


def test_after_a_long_time_offline_a_201_station_tells_every_connector() -> None:
    """# B04.FR.01, [TC_B_51]: longer than OfflineThreshold; [TC_B_52] not when shorter."""
    rig = Rig("2.0.1", connectors=2, variables={"OCPPCommCtrlr.OfflineThreshold": "60"})
    rig.boot()
    rig.disconnect()
    rig.after(61)

    rig.connect()

    assert ["Status 1.1 Available", "Status 2.1 Available"] == [s for s in rig.story() if "Status" in s]


@BOTH
def test_a_changed_identity_is_told_by_a_boot(version: str) -> None:
    """# 1.6 §4.2, B01: BootNotification also when something in it has changed."""
    rig = Rig(version)
    rig.boot()

    rig.announce("boot1", firmware_version="2.0")

    assert "BootNotification" in rig.story()


@BOTH
def test_a_gateway_that_restarts_boots_anew_and_tells_why(version: str) -> None:
    """# B01: ApplicationReset; statuses are told again."""
    rig = Rig(version)
    rig.boot()

    rig.restart()

    [boot] = rig.payloads("BootNotification")
    assert version == "1.6" or boot["reason"] == "ApplicationReset"
    assert any("Status 1" in sentence for sentence in rig.story())


@BOTH
def test_a_csms_that_has_forgotten_the_station_gets_a_boot(version: str) -> None:
    """Interop: a backend that was restarted answers SecurityError to everything but a boot."""
    rig = Rig(version)
    rig.boot()
    rig.answers["Heartbeat"] = UNREGISTERED

    rig.after(301)

    assert ["Heartbeat", "BootNotification"] == rig.story()[:2]


# ------------------------------------------------------------------ pending and rejected


def test_a_pending_16_station_answers_and_obeys_configuration() -> None:
    """# 1.6 §4.2, [TC_002]."""
    rig = unregistered("1.6", "Pending")

    reply = rig.asks("GetConfiguration")

    assert isinstance(reply, dict)
    assert "HeartbeatInterval" in [key["key"] for key in reply["configurationKey"]]
    assert "Accepted" == rig.set("MeterValueSampleInterval", "15")
    assert ["GetConfiguration: done", "ChangeConfiguration: Accepted"] == rig.story()


def test_a_pending_201_station_answers_and_tells_its_inventory() -> None:
    """# B02.FR.01, [TC_B_02]: NotifyReport is caused by the CSMS, so it passes."""
    rig = unregistered("2.0.1", "Pending")

    assert "Accepted" == rig.status_of("GetBaseReport", requestId=1, reportBase="FullInventory")

    story = rig.story()
    assert "GetBaseReport: Accepted" == story[0]
    assert {"NotifyReport"} == set(story[1:])
    assert "Accepted" == rig.set("TxCtrlr.EVConnectionTimeOut", "33")


@BOTH
def test_what_was_triggered_passes_while_pending(version: str) -> None:
    """# 1.6 §4.2, B02.FR.01: TriggerMessage opens the mouth for one message."""
    rig = unregistered(version, "Pending")

    assert "Accepted" == rig.status_of("TriggerMessage", requestedMessage="Heartbeat")
    place: Payload = {"connectorId": 1} if version == "1.6" else {"evse": {"id": 1, "connectorId": 1}}
    assert "Accepted" == rig.status_of("TriggerMessage", requestedMessage="StatusNotification", **place)

    word = "Status 1 Available" if version == "1.6" else "Status 1.1 Available"
    assert ["TriggerMessage: Accepted", "Heartbeat", "TriggerMessage: Accepted", word] == rig.story()


@BOTH
def test_a_triggered_boot_does_not_wait_for_the_interval(version: str) -> None:
    """# B02.FR.09, F06: the CSMS may ask for the boot that it waits for."""
    rig = unregistered(version, "Pending", interval=1000)
    rig.answers.clear()

    assert "Accepted" == rig.status_of("TriggerMessage", requestedMessage="BootNotification")

    [boot] = rig.payloads("BootNotification")
    assert version == "1.6" or boot["reason"] == "Triggered"
    assert rig.station.state.accepted


@pytest.mark.parametrize(
    ("version", "start"),
    [
        ("1.6", lambda rig: rig.status_of("RemoteStartTransaction", connectorId=1, idTag=CARD)),
        (
            "2.0.1",
            lambda rig: rig.status_of(
                "RequestStartTransaction",
                evseId=1,
                remoteStartId=1,
                idToken={"idToken": CARD, "type": "Central"},
            ),
        ),
    ],
)
def test_a_pending_station_starts_nothing_remotely(version: str, start: Callable[[Rig], str]) -> None:
    """# 1.6 §4.2, B02.FR.05."""
    rig = unregistered(version, "Pending")
    rig.plug()

    assert "Rejected" == start(rig)
    assert rig.transaction() is None


def test_a_rejected_201_station_answers_requests_by_security_error() -> None:
    """# B03.FR.08, [TC_B_30]."""
    rig = unregistered("2.0.1", "Rejected")

    reply = rig.asks("GetBaseReport", requestId=1, reportBase="FullInventory")

    assert isinstance(reply, tuple)
    assert "SecurityError" == reply[0]


def test_a_rejected_16_station_is_deaf() -> None:
    """# 1.6 §4.2: requests get no answer at all while Rejected, and do while Pending."""
    assert unregistered("1.6", "Rejected").station.muted
    assert not unregistered("1.6", "Pending").station.muted
    assert not unregistered("2.0.1", "Rejected").station.muted


# ------------------------------------------------------------------ heartbeat


@BOTH
def test_heartbeats_follow_the_interval_of_the_boot(version: str) -> None:
    """# 1.6 §4.6, G02.FR.01, [TC_001]."""
    rig = Rig(version)
    rig.answers["BootNotification"] = boot_answer("Accepted", 20)
    rig.boot()

    rig.after(61)

    assert ["Heartbeat"] * 3 == rig.story()


@BOTH
def test_an_interval_of_0_in_an_accepted_boot_leaves_the_configured_one(version: str) -> None:
    """# 1.6 §4.6: 0 is the station's own choice, not a flood."""
    rig = Rig(version, variables={"OCPPCommCtrlr.HeartbeatInterval": "100"})
    rig.answers["BootNotification"] = boot_answer("Accepted", 0)
    rig.boot()

    rig.after(201)

    assert ["Heartbeat"] * 2 == rig.story()


@BOTH
def test_the_interval_of_the_boot_can_be_read_back(version: str) -> None:
    """# 1.6 §4.2: it is the HeartbeatInterval."""
    rig = Rig(version)
    rig.answers["BootNotification"] = boot_answer("Accepted", 77)
    rig.boot()

    if version == "1.6":
        reply = rig.asks("GetConfiguration", key=["HeartbeatInterval"])
        assert reply == {"configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "77"}]}
    assert 77 == rig.station.state.variables.heartbeat_interval_s


@BOTH
def test_a_heartbeat_that_is_not_answered_holds_nothing_up(version: str) -> None:
    """One at a time, and the next one when the former has failed."""
    rig = Rig(version)
    rig.boot()
    rig.answers["Heartbeat"] = None
    rig.after(601)
    assert ["Heartbeat"] == rig.story()

    rig.answer("Heartbeat", TIMED_OUT)
    rig.after(300)

    assert ["Heartbeat"] == rig.story()


# ------------------------------------------------------------------ clock


@BOTH
def test_the_clock_of_the_csms_is_adopted(version: str) -> None:
    """# 1.6 §4.2, B01.FR.06: stamps are in its time."""
    rig = Rig(version)
    rig.csms_ahead_s = 1800
    rig.boot()

    rig.plug()

    [status] = rig.payloads("StatusNotification")
    assert text(NOON + 1800) == status["timestamp"]


@BOTH
def test_a_heartbeat_corrects_a_clock_that_jumped(version: str) -> None:
    """# 1.6 §4.6, G02.FR.06."""
    rig = Rig(version)
    rig.boot()
    rig.wall -= 500  # the host's clock is set back
    rig.csms_ahead_s = 500
    rig.after(301)
    rig.forget()

    rig.plug()

    [status] = rig.payloads("StatusNotification")
    assert text(NOON + 301) == status["timestamp"]


@BOTH
@pytest.mark.parametrize("absurd", [0.0, EPOCH_2020 - 86400])
def test_an_absurd_time_of_the_csms_is_ignored(version: str, absurd: float) -> None:
    """A backend without a clock says 1970."""
    rig = Rig(version)
    rig.answers["BootNotification"] = boot_answer("Accepted", 300, absurd)
    rig.boot()

    rig.plug()

    [status] = rig.payloads("StatusNotification")
    assert text(NOON) == status["timestamp"]


@BOTH
def test_stamps_from_before_the_first_synchronisation_are_corrected(version: str) -> None:
    """A host without a clock starts in 2020; once the CSMS has told the time, what waited is true."""
    rig = Rig(version, variables={"AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"})
    rig.synced = False
    rig.wall = EPOCH_2020 + 3600
    rig.csms_ahead_s = NOON - rig.wall
    rig.start()
    rig.plug()
    rig.card()
    at = NOON + rig.monotonic - 1000.0
    rig.after(100)
    rig.charge(60)

    rig.connect()

    action = {"1.6": "StartTransaction", "2.0.1": "TransactionEvent"}[version]
    assert text(at) == rig.payloads(action)[0]["timestamp"]


@BOTH
def test_why_a_connection_failed_is_shown_to_everybody(version: str) -> None:
    """`state` carries the last error of the link."""
    rig = Rig(version)
    rig.start()
    rig.forget()

    rig.disconnect("refused", "HTTP 404: the CSMS does not know BENCH")

    [shown] = [e.view for e in rig.done(effects.Publish) if e.n == 0]
    assert "HTTP 404: the CSMS does not know BENCH" == shown.last_error
