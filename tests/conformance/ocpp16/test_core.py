"""Compliance cases of OCPP 1.6, profile Core."""

from __future__ import annotations

from tests.conformance.cases import case
from tests.conformance.charging_station import TAG, ChargingStation


@case("TC_003", "Regular charging session – plug in first", "Core", live=True)
async def test_tc_003_regular_session_plug_in_first(cs: ChargingStation) -> None:
    """Preparing, Authorize, StartTransaction and Charging."""
    await cs.plug()
    await cs.expect("StatusNotification", status="Preparing")
    await cs.card(TAG)
    await cs.expect("Authorize", idTag=TAG)
    await cs.expect_start(TAG)


@case("TC_012", "Remote stop transaction", "Core", live=True)
async def test_tc_012_remote_stop(cs: ChargingStation) -> None:
    """Accepted; StopTransaction with reason Remote, and Finishing."""
    transaction = await cs.charge()
    await cs.meter(1500.0)
    assert "Accepted" == await cs.status_of("RemoteStopTransaction", transactionId=transaction)
    await cs.expect_stop(transaction, reason="Remote")
