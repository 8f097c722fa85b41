"""Core: boot, regular sessions, the ways to start and to stop them."""

from __future__ import annotations

from tests.conformance.bench import Bench
from tests.conformance.cases import case
from tests.conformance.charging_station import BOOT, OTHER, TAG, ChargingStation
from tests.conformance.said import any_of, call, perhaps

GROUP = "PARENT"


@case("TC_001", "Cold boot charge point", "Core", booted=False, connectors=2)
async def test_tc_001_cold_boot(cs: Bench) -> None:
    """Rejected: silence until the interval is over; Accepted: the status of everything, then heartbeats."""
    cs.registers("Rejected", 60)
    cs.registers("Accepted", 120)
    await cs.start()
    await cs.expect("BootNotification", **BOOT)
    await cs.after(59)
    await cs.nothing_else()
    await cs.after(1)
    await cs.expect_boot()
    for _ in range(3):
        await cs.after(119)
        await cs.nothing_else()
        await cs.after(1)
        await cs.expect("Heartbeat")


@case("TC_002", "Cold boot charge point – Pending", "Core", booted=False, connectors=2)
async def test_tc_002_cold_boot_pending(cs: Bench) -> None:
    """While Pending it answers, and asks nothing but, after the interval, to be registered."""
    cs.registers("Pending", 60)
    cs.registers("Accepted", 120)
    await cs.start()
    await cs.expect("BootNotification", **BOOT)
    everything = await cs.ask("GetConfiguration")
    assert {"configurationKey"} == everything.keys()
    assert len(everything["configurationKey"]) > 20
    await cs.configure(MeterValueSampleInterval=35)
    await cs.after(59)
    await cs.nothing_else()
    await cs.after(1)
    await cs.expect_boot()
    await cs.after(120)
    await cs.expect("Heartbeat")
    assert "35" == await cs.configured("MeterValueSampleInterval")


@case("TC_003", "Regular charging session – plug in first", "Core", live=True)
async def test_tc_003_regular_session_plug_in_first(cs: ChargingStation) -> None:
    """Preparing, Authorize, StartTransaction and Charging; the tag again: StopTransaction, Finishing, Available."""
    await cs.plug()
    await cs.expect("StatusNotification", status="Preparing")
    await cs.card(TAG)
    await cs.expect("Authorize", idTag=TAG)
    transaction = await cs.expect_start(TAG)
    await cs.meter(3000.0)
    await cs.card(TAG)
    await cs.expect_stop(transaction, idTag=TAG, reason="Local")
    await cs.unplug()
    await cs.expect("StatusNotification", status="Available")


@case("TC_004_1", "Regular charging session – identification first", "Core", live=True)
async def test_tc_004_1_identification_first(cs: ChargingStation) -> None:
    """Authorize and Preparing, then with the plug StartTransaction and Charging."""
    await cs.card(TAG)
    await cs.expect_any_order(call("Authorize", idTag=TAG), call("StatusNotification", status="Preparing"))
    await cs.plug()
    await cs.expect_start(TAG)


@case("TC_004_2", "Identification first – ConnectionTimeOut", "Core")
async def test_tc_004_2_connection_time_out(cs: Bench) -> None:
    """Nobody plugs in: Available after the time-out, and a later plug starts nothing."""
    await cs.configure(ConnectionTimeOut=30)
    await cs.card(TAG)
    await cs.expect_any_order(call("Authorize", idTag=TAG), call("StatusNotification", status="Preparing"))
    await cs.after(29)
    await cs.nothing_else()
    await cs.after(1)
    await cs.expect("StatusNotification", status="Available")
    await cs.plug()
    await cs.expect("StatusNotification", status="Preparing")


@case("TC_068", "Stop transaction – idTag of the start", "Core", live=True)
async def test_tc_068_stop_with_the_same_tag(cs: ChargingStation) -> None:
    """Another tag stops nothing, and is not asked about where no group could allow it; that of the start does."""
    transaction = await cs.charge(TAG)
    await cs.card(OTHER)
    await cs.nothing_else()
    assert cs.setpoint()["energize"]
    await cs.card(TAG)
    await cs.expect_stop(transaction, idTag=TAG, reason="Local")


@case("TC_069", "Stop transaction – same parentIdTag", "Core", live=True)
async def test_tc_069_stop_with_a_tag_of_the_same_group(cs: ChargingStation) -> None:
    """Authorize of the other tag, then StopTransaction names it."""
    cs.tokens.update({tag: {"status": "Accepted", "parentIdTag": GROUP} for tag in (TAG, OTHER)})
    transaction = await cs.charge(TAG)
    await cs.card(OTHER)
    await cs.expect("Authorize", idTag=OTHER)
    await cs.expect_stop(transaction, idTag=OTHER, reason="Local")


@case("TC_005_1", "EV side disconnected – stop, unlock", "Core")
async def test_tc_005_1_ev_side_disconnect_stop_and_unlock(cs: Bench) -> None:
    """StopTransaction with EVDisconnected, Finishing with the cable still in our socket, which is unlocked."""
    await cs.configure(StopTransactionOnEVSideDisconnect=True, UnlockConnectorOnEVSideDisconnect=True)
    transaction = await cs.charge()
    await cs.ev_side_unplug()
    await cs.expect_stop(transaction, reason="EVDisconnected", info="EV side disconnected")
    assert not cs.setpoint()["lock"]
    await cs.unplug()
    await cs.expect("StatusNotification", status="Available")


@case("TC_005_2", "EV side disconnected – stop, no unlock", "Core")
async def test_tc_005_2_ev_side_disconnect_stop_without_unlock(cs: Bench) -> None:
    """StopTransaction with EVDisconnected; the socket holds the cable until UnlockConnector."""
    await cs.configure(StopTransactionOnEVSideDisconnect=True, UnlockConnectorOnEVSideDisconnect=False)
    transaction = await cs.charge()
    await cs.ev_side_unplug()
    await cs.expect_stop(transaction, reason="EVDisconnected", info="EV side disconnected")
    assert cs.setpoint()["lock"]
    assert "Unlocked" == await cs.status_of("UnlockConnector", connectorId=1)
    assert not cs.setpoint()["lock"]
    await cs.unplug()
    await cs.expect("StatusNotification", status="Available")


@case("TC_005_3", "EV side disconnected – no stop, no unlock", "Core")
async def test_tc_005_3_ev_side_disconnect_without_stop(cs: Bench) -> None:
    """SuspendedEV with its info, and the transaction goes on; RemoteStopTransaction ends it."""
    await cs.configure(StopTransactionOnEVSideDisconnect=False, UnlockConnectorOnEVSideDisconnect=False)
    transaction = await cs.charge()
    await cs.ev_side_unplug()
    await cs.expect(
        "StatusNotification",
        status=any_of("SuspendedEV", "SuspendedEVSE"),
        info="EV side disconnected",
    )
    assert cs.setpoint()["lock"]
    assert "Accepted" == await cs.status_of("RemoteStopTransaction", transactionId=transaction)
    await cs.expect_stop(transaction, reason="Remote", info="EV side disconnected")


@case("TC_007", "Regular start – cached id", "Core", keys={"LocalPreAuthorize": True})
async def test_tc_007_start_with_a_cached_id(cs: Bench) -> None:
    """A tag in the cache is not asked about again."""
    await cs.configure(AuthorizeRemoteTxRequests=True, LocalAuthListEnabled=False)
    transaction = await cs.charge(TAG)
    await cs.card(TAG)
    await cs.expect_stop(transaction, idTag=TAG, reason="Local")
    await cs.unplug()
    await cs.expect("StatusNotification", status="Available")
    assert "Accepted" == await cs.status_of("RemoteStartTransaction", idTag=TAG, connectorId=1)
    await cs.expect("StatusNotification", status="Preparing")
    await cs.plug()
    await cs.expect_start(TAG)


@case("TC_061", "Clear authorization data in the cache", "Core", keys={"LocalPreAuthorize": True})
async def test_tc_061_clear_cache(cs: Bench) -> None:
    """Accepted; then a tag that was in the cache is asked about again."""
    transaction = await cs.charge(TAG)
    await cs.card(TAG)
    await cs.expect_stop(transaction, idTag=TAG, reason="Local")
    await cs.unplug()
    await cs.expect("StatusNotification", status="Available")
    assert "Accepted" == await cs.status_of("ClearCache")
    await cs.card(TAG)
    await cs.expect_any_order(call("Authorize", idTag=TAG), call("StatusNotification", status="Preparing"))
    await cs.card(TAG)
    await cs.expect("StatusNotification", status="Available")


@case("TC_010", "Remote start – cable plugged in first", "Core", live=True)
async def test_tc_010_remote_start_cable_first(cs: ChargingStation) -> None:
    """Preparing, Accepted, Authorize when AuthorizeRemoteTxRequests says so, StartTransaction and Charging."""
    await cs.configure(AuthorizeRemoteTxRequests=True)
    await cs.plug()
    await cs.expect("StatusNotification", status="Preparing")
    assert "Accepted" == await cs.status_of("RemoteStartTransaction", idTag=TAG, connectorId=1)
    await cs.expect("Authorize", idTag=TAG)
    await cs.expect_start(TAG)


@case("TC_011_1", "Remote start – remote start first", "Core", live=True)
async def test_tc_011_1_remote_start_first(cs: ChargingStation) -> None:
    """Accepted, Preparing, and with the plug StartTransaction and Charging; unasked, as the key says."""
    await cs.configure(AuthorizeRemoteTxRequests=False)
    assert "Accepted" == await cs.status_of("RemoteStartTransaction", idTag=TAG, connectorId=1)
    await cs.expect("StatusNotification", status="Preparing")
    await cs.plug()
    await cs.expect_start(TAG)


@case("TC_011_2", "Remote start – time out", "Core")
async def test_tc_011_2_remote_start_time_out(cs: Bench) -> None:
    """Preparing, and Available again when nobody plugs in within ConnectionTimeOut."""
    await cs.configure(ConnectionTimeOut=20)
    assert "Accepted" == await cs.status_of("RemoteStartTransaction", idTag=TAG, connectorId=1)
    await cs.expect_any_order(perhaps("Authorize", idTag=TAG), call("StatusNotification", status="Preparing"))
    await cs.after(19)
    await cs.nothing_else()
    await cs.after(1)
    await cs.expect("StatusNotification", status="Available")


@case("TC_012", "Remote stop transaction", "Core", live=True)
async def test_tc_012_remote_stop(cs: ChargingStation) -> None:
    """Accepted; StopTransaction with reason Remote, and Finishing."""
    transaction = await cs.charge()
    await cs.meter(1500.0)
    assert "Accepted" == await cs.status_of("RemoteStopTransaction", transactionId=transaction)
    await cs.expect_stop(transaction, reason="Remote")
    await cs.unplug()
    await cs.expect("StatusNotification", status="Available")


@case("TC_026", "Remote start – rejected", "Core", live=True)
async def test_tc_026_remote_start_rejected(cs: ChargingStation) -> None:
    """A connector that charges already takes no other transaction."""
    await cs.charge()
    assert "Rejected" == await cs.status_of("RemoteStartTransaction", idTag=OTHER, connectorId=1)


@case("TC_027", "Remote start – connectorId 0", "Core", live=True)
async def test_tc_027_remote_start_connector_0(cs: ChargingStation) -> None:
    """Rejected: connector 0 cannot charge."""
    assert "Rejected" == await cs.status_of("RemoteStartTransaction", idTag=TAG, connectorId=0)


@case("TC_028", "Remote stop – rejected", "Core", live=True)
async def test_tc_028_remote_stop_rejected(cs: ChargingStation) -> None:
    """Nothing runs under that number: Rejected, and what runs goes on."""
    transaction = await cs.charge()
    assert "Rejected" == await cs.status_of("RemoteStopTransaction", transactionId=transaction + 1)
    assert cs.setpoint()["energize"]
