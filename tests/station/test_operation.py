"""ChangeAvailability: of station, EVSE and connector; at once or scheduled; over restarts."""

import pytest

from gateway.station.model import ConnectorConfig
from tests.station.rig import BOTH, CARD, OTHER, Payload, Rig

TWO_ON_ONE = (
    ConnectorConfig(n=1, evse=1, connector=1),
    ConnectorConfig(n=2, evse=1, connector=2),
    ConnectorConfig(n=3, evse=2, connector=1),
)
STATION: Payload = {}
EVSE: Payload = {"evse": {"id": 1}}
CONNECTOR: Payload = {"evse": {"id": 1, "connectorId": 1}}
PLACES = pytest.mark.parametrize("place", [STATION, EVSE, CONNECTOR], ids=["station", "evse", "connector"])


def change(rig: Rig, kind: str, place: Payload | int) -> str | None:
    if isinstance(place, int):
        return rig.status_of("ChangeAvailability", connectorId=place, type=kind)
    return rig.status_of("ChangeAvailability", operationalStatus=kind, **place)


def booted(version: str = "2.0.1", connectors: int = 2) -> Rig:
    rig = Rig(version, connectors=connectors)
    rig.boot()
    return rig


def statuses(rig: Rig) -> list[str]:
    return [s for s in rig.story() if s.startswith("Status")]


# ------------------------------------------------------------------ 2.0.1


@PLACES
def test_201_to_inoperative_and_back(place: Payload) -> None:
    """# G03, G04, [TC_G_03..08]: Accepted, Unavailable; Accepted, Available."""
    rig = booted()
    meant = 2 if place == STATION else 1

    assert "Accepted" == change(rig, "Inoperative", place)
    told = statuses(rig)
    assert ["Status 1.1 Unavailable", "Status 2.1 Unavailable"][:meant] == told
    assert not rig.setpoint().operative
    assert "Accepted" == change(rig, "Operative", place)

    assert ["Status 1.1 Available", "Status 2.1 Available"][:meant] == statuses(rig)


@PLACES
@pytest.mark.parametrize("kind", ["Operative", "Inoperative"])
def test_201_already_so(place: Payload, kind: str) -> None:
    """# [TC_G_09], [TC_G_10], [TC_G_12], [TC_G_13], [TC_G_15], [TC_G_16]: Accepted, nothing told."""
    rig = booted()
    change(rig, kind, place)
    rig.forget()

    assert "Accepted" == change(rig, kind, place)

    assert [] == statuses(rig)


@PLACES
def test_201_with_an_ongoing_transaction(place: Payload) -> None:
    """# G03.FR.05, G04.FR.06, [TC_G_11], [TC_G_14], [TC_G_17]: Scheduled; Unavailable when it has ended."""
    rig = booted()
    rig.session(n=1)

    assert "Scheduled" == change(rig, "Inoperative", place)
    assert "Status 1.1 Unavailable" not in statuses(rig)
    assert rig.setpoint(1).energize
    rig.card(CARD, 1)
    rig.unplug()

    assert "Status 1.1 Unavailable" in statuses(rig)
    rig.plug()
    rig.card(OTHER, 1)
    assert rig.transaction() is None


def test_201_a_scheduled_station_makes_the_idle_evse_unavailable_at_once() -> None:
    """# G04.FR.07: EVSEs without a transaction do not wait."""
    rig = booted()
    rig.session(n=1)

    change(rig, "Inoperative", STATION)

    assert ["Status 2.1 Unavailable"] == statuses(rig)


@PLACES
def test_201_the_state_persists(place: Payload) -> None:
    """# G03.FR.08, [TC_G_18], [TC_G_19], [TC_G_21], [TC_B_23]."""
    rig = booted()
    change(rig, "Inoperative", place)

    rig.restart()
    assert "Status 1.1 Unavailable" in statuses(rig)
    change(rig, "Operative", place)
    rig.restart()

    assert "Status 1.1 Available" in statuses(rig)


def test_201_a_schedule_survives_a_restart() -> None:
    """# G03: what was Scheduled is not forgotten."""
    rig = booted()
    rig.session(n=1)
    change(rig, "Inoperative", EVSE)
    rig.restart()
    rig.forget()

    rig.card()

    assert "Status 1.1 Unavailable" in statuses(rig)


def test_201_operative_takes_a_schedule_back() -> None:
    """# G03: the last word counts."""
    rig = booted()
    rig.session(n=1)
    change(rig, "Inoperative", EVSE)

    assert "Accepted" == change(rig, "Operative", EVSE)
    rig.card()
    rig.unplug()

    assert "Status 1.1 Available" == statuses(rig)[-1]


def test_201_unknown_places_are_rejected() -> None:
    """# G03.FR.03."""
    rig = booted()

    assert "Rejected" == change(rig, "Inoperative", {"evse": {"id": 9}})
    assert "Rejected" == change(rig, "Inoperative", {"evse": {"id": 1, "connectorId": 5}})


def test_201_an_evse_has_all_its_connectors() -> None:
    """# G03.FR.04: both connectors of it, none of the other's."""
    rig = Rig("2.0.1", connectors=TWO_ON_ONE)
    rig.boot()

    change(rig, "Inoperative", EVSE)

    assert ["Status 1.1 Unavailable", "Status 1.2 Unavailable"] == statuses(rig)


def test_201_an_unavailable_connector_that_is_plugged_comes_back_occupied() -> None:
    """# G03.FR.07: the state that the facts give."""
    rig = booted()
    change(rig, "Inoperative", CONNECTOR)
    rig.plug()
    rig.forget()

    change(rig, "Operative", CONNECTOR)

    assert ["Status 1.1 Occupied"] == statuses(rig)


def test_201_the_reply_goes_before_the_status() -> None:
    """# Part 4: what follows follows the response."""
    rig = booted()

    change(rig, "Inoperative", CONNECTOR)

    assert ["ChangeAvailability: Accepted", "Status 1.1 Unavailable"] == rig.story()


# ------------------------------------------------------------------ 1.6


def test_16_one_connector() -> None:
    """# 1.6 §5.2: Accepted, Unavailable; nobody starts; Operative, Available."""
    rig = booted("1.6")

    assert "Accepted" == change(rig, "Inoperative", 1)
    assert ["ChangeAvailability: Accepted", "Status 1 Unavailable"] == rig.story()
    rig.plug()
    rig.card()
    assert rig.transaction() is None
    rig.unplug()
    rig.forget()
    assert "Accepted" == change(rig, "Operative", 1)

    assert ["ChangeAvailability: Accepted", "Status 1 Available"] == rig.story()


def test_16_the_whole_charge_point() -> None:
    """# 1.6 §5.2: connector 0 means it and all its connectors."""
    rig = booted("1.6")

    assert "Accepted" == change(rig, "Inoperative", 0)

    assert {"Status 0 Unavailable", "Status 1 Unavailable", "Status 2 Unavailable"} == set(statuses(rig))
    assert "Accepted" == change(rig, "Operative", 0)
    assert {"Status 0 Available", "Status 1 Available", "Status 2 Available"} == set(statuses(rig))


def test_16_scheduled_while_charging() -> None:
    """# 1.6 §5.2: Scheduled; idle connectors at once; Unavailable after the transaction."""
    rig = booted("1.6")
    rig.session(n=1)

    assert "Scheduled" == change(rig, "Inoperative", 0)
    assert "Status 2 Unavailable" in statuses(rig)
    rig.card(CARD, 1)

    assert "Status 1 Unavailable" in statuses(rig)


def test_16_an_unknown_connector_is_rejected() -> None:
    """# 1.6 [E3]."""
    assert "Rejected" == change(booted("1.6"), "Inoperative", 7)


def test_16_power_failure_while_unavailable() -> None:
    """# [TC_034]: all Unavailable again after the boot."""
    rig = booted("1.6")
    change(rig, "Inoperative", 0)

    rig.restart()

    assert {"Status 0 Unavailable", "Status 1 Unavailable", "Status 2 Unavailable"} == set(statuses(rig))


@BOTH
def test_over_mqtt_a_connector_is_taken_out_of_service(version: str) -> None:
    """request/operative: the same as by the CSMS."""
    rig = booted(version)

    response = rig.request("operative", operative=False)

    assert response is not None
    assert response.ok
    assert "Unavailable" == rig.status(1)
    assert "Available" == rig.status(2)
