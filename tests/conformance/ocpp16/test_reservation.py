"""Reservation: of a connector, of the whole charge point, its use, its end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from tests.conformance.bench import Bench
from tests.conformance.cases import case
from tests.conformance.charging_station import OTHER, TAG
from tests.conformance.said import call

PROFILE: Final = "Reservation"
NUMBER = 12
GROUP = "PARENT"
OFF = {"ReservationCtrlr.Enabled": False}


async def reserve(cs: Bench, n: int = 1, tag: str = TAG, *, until_s: float = 600, **more: Any) -> str:
    until = datetime.fromtimestamp(cs.clock.wall + until_s, UTC).isoformat().replace("+00:00", "Z")
    return await cs.status_of(
        "ReserveNow", connectorId=n, expiryDate=until, idTag=tag, reservationId=NUMBER, **more
    )


async def reserved(cs: Bench, n: int = 1, *, shown: int = 1, **more: Any) -> None:
    """A reservation stands, and was told."""
    assert "Accepted" == await reserve(cs, n, **more)
    await cs.expect("StatusNotification", connectorId=shown, status="Reserved")


async def refused(cs: Bench, tag: str, n: int = 1) -> None:
    """A tag that has no right to it starts nothing, locally or remotely."""
    await cs.card(tag, n)
    assert "Rejected" == await cs.status_of("RemoteStartTransaction", idTag=tag, connectorId=n)
    await cs.nothing_else()
    assert not cs.setpoint(n)["energize"]


async def use(cs: Bench, tag: str = TAG, n: int = 1, **fields: Any) -> int:
    """Card and plug; `fields` of StartTransaction."""
    await cs.card(tag, n)
    await cs.expect_any_order(
        call("Authorize", idTag=tag), call("StatusNotification", connectorId=n, status="Preparing")
    )
    await cs.plug(n)
    return await cs.expect_start(tag, n, **fields)


@case("TC_046_1", "Reservation of a connector – local start transaction", PROFILE)
async def test_tc_046_1_reservation_local_start(cs: Bench) -> None:
    """Accepted, Reserved; another tag is refused; the right one starts with the number of the reservation."""
    await reserved(cs)
    await refused(cs, OTHER)
    await use(cs, reservationId=NUMBER)
    assert "Rejected" == await cs.status_of("CancelReservation", reservationId=NUMBER)


@case("TC_046_2", "Reservation of a connector – remote start transaction", PROFILE)
async def test_tc_046_2_reservation_remote_start(cs: Bench) -> None:
    """The same by RemoteStartTransaction."""
    await cs.configure(AuthorizeRemoteTxRequests=False)
    await reserved(cs)
    await refused(cs, OTHER)
    assert "Accepted" == await cs.status_of("RemoteStartTransaction", idTag=TAG, connectorId=1)
    await cs.expect("StatusNotification", status="Preparing")
    await cs.plug()
    await cs.expect_start(TAG, reservationId=NUMBER)


@case("TC_047", "Reservation of a connector – expire", PROFILE)
async def test_tc_047_reservation_expires(cs: Bench) -> None:
    """At its date the connector is Available, and anybody may charge."""
    await reserved(cs, until_s=120)
    await cs.after(119)
    await cs.nothing_else()
    await cs.after(1)
    await cs.expect("StatusNotification", status="Available")
    await use(cs, OTHER)


@case("TC_048_1", "Reservation of a connector – faulted", PROFILE)
async def test_tc_048_1_connector_faulted(cs: Bench) -> None:
    """Faulted."""
    await cs.fails("GroundFailure")
    await cs.expect("StatusNotification", status="Faulted", errorCode="GroundFailure")
    assert "Faulted" == await reserve(cs)


@case("TC_048_2", "Reservation of a connector – occupied", PROFILE)
async def test_tc_048_2_connector_occupied(cs: Bench) -> None:
    """Occupied while it charges."""
    await cs.charge(OTHER)
    assert "Occupied" == await reserve(cs)


@case("TC_048_3", "Reservation of a connector – unavailable", PROFILE)
async def test_tc_048_3_connector_unavailable(cs: Bench) -> None:
    """Unavailable."""
    assert "Accepted" == await cs.status_of("ChangeAvailability", connectorId=1, type="Inoperative")
    await cs.expect("StatusNotification", status="Unavailable")
    assert "Unavailable" == await reserve(cs)


@case("TC_048_4", "Reservation of a connector – rejected", PROFILE, keys=OFF)
async def test_tc_048_4_connector_rejected(cs: Bench) -> None:
    """Rejected where the operator has switched reservations off."""
    assert "Rejected" == await reserve(cs)


@case("TC_049", "Reservation of a charge point – transaction", PROFILE, connectors=2)
async def test_tc_049_charge_point(cs: Bench) -> None:
    """Only one connector can be used: it is Reserved; the tag starts there with the number of the reservation."""
    assert "true" == await cs.configured("ReserveConnectorZeroSupported")
    assert "Accepted" == await cs.status_of("ChangeAvailability", connectorId=2, type="Inoperative")
    await cs.expect("StatusNotification", connectorId=2, status="Unavailable")
    await reserved(cs, 0)
    await refused(cs, OTHER)
    await use(cs, reservationId=NUMBER)


@case("TC_050_1", "Reservation of a charge point – faulted", PROFILE, connectors=2)
async def test_tc_050_1_charge_point_faulted(cs: Bench) -> None:
    """Faulted when every connector is."""
    for n in (1, 2):
        await cs.fails("GroundFailure", n=n)
        await cs.expect("StatusNotification", connectorId=n, status="Faulted", errorCode="GroundFailure")
    assert "Faulted" == await reserve(cs, 0)


@case("TC_050_2", "Reservation of a charge point – occupied", PROFILE, connectors=2)
async def test_tc_050_2_charge_point_occupied(cs: Bench) -> None:
    """Occupied when every connector charges."""
    for n in (1, 2):
        await cs.charge(f"{OTHER}{n}", n)
    assert "Occupied" == await reserve(cs, 0)


@case("TC_050_3", "Reservation of a charge point – unavailable", PROFILE, connectors=2)
async def test_tc_050_3_charge_point_unavailable(cs: Bench) -> None:
    """Unavailable."""
    assert "Accepted" == await cs.status_of("ChangeAvailability", connectorId=0, type="Inoperative")
    await cs.expect_statuses(c0="Unavailable", c1="Unavailable", c2="Unavailable")
    assert "Unavailable" == await reserve(cs, 0)


@case(
    "TC_050_4",
    "Reservation of a charge point – rejected",
    PROFILE,
    keys={"ReserveConnectorZeroSupported": False},
)
async def test_tc_050_4_charge_point_rejected(cs: Bench) -> None:
    """Rejected where ReserveConnectorZeroSupported is false."""
    assert "false" == await cs.configured("ReserveConnectorZeroSupported")
    assert "Rejected" == await reserve(cs, 0)


@case("TC_051", "Cancel reservation", PROFILE)
async def test_tc_051_cancel_reservation(cs: Bench) -> None:
    """Accepted, Available; a later transaction of the tag has no number."""
    await reserved(cs)
    assert "Accepted" == await cs.status_of("CancelReservation", reservationId=NUMBER)
    await cs.expect("StatusNotification", status="Available")
    await use(cs)


@case("TC_052", "Cancel reservation – rejected", PROFILE)
async def test_tc_052_cancel_unknown_reservation(cs: Bench) -> None:
    """Rejected, and what is reserved stays so."""
    await reserved(cs)
    assert "Rejected" == await cs.status_of("CancelReservation", reservationId=NUMBER + 1)
    await use(cs, reservationId=NUMBER)


@case("TC_053", "Use a reserved connector with parentIdTag", PROFILE)
async def test_tc_053_use_with_a_tag_of_the_group(cs: Bench) -> None:
    """Another tag of the same group, found by Authorize, starts with the number of the reservation."""
    cs.tokens.update({tag: {"status": "Accepted", "parentIdTag": GROUP} for tag in (TAG, OTHER)})
    await reserved(cs, parentIdTag=GROUP)
    await use(cs, OTHER, reservationId=NUMBER)
