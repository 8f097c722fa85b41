"""Core: what happens without a connection is told afterwards, in order, and once."""

from __future__ import annotations

from tests.conformance.bench import Bench
from tests.conformance.cases import case
from tests.conformance.charging_station import TAG
from tests.conformance.said import call, readings

LOCAL = {"LocalAuthorizeOffline": True, "LocalPreAuthorize": False}


@case("TC_036", "Connection loss during transaction", "Core")
async def test_tc_036_connection_loss_during_transaction(cs: Bench) -> None:
    """Meter values of the time without a connection come in their order, at their spacing, before new ones."""
    await cs.configure(MeterValueSampleInterval=20, MeterValuesSampledData="Energy.Active.Import.Register")
    transaction = await cs.charge()
    await cs.link_fails()
    await cs.charges(60, every=5)
    await cs.link_returns()
    for number in range(1, 4):
        await cs.expect(
            "MeterValues",
            connectorId=1,
            transactionId=transaction,
            meterValue=readings("Sample.Periodic", 1000 + 20 * number, at=cs.at(60 - 20 * number)),
        )
    await cs.nothing_else()
    await cs.charges(20, every=5)
    await cs.expect(
        "MeterValues",
        connectorId=1,
        transactionId=transaction,
        meterValue=readings("Sample.Periodic", 1080),
    )


async def start_offline(cs: Bench) -> None:
    """The tag gets into the cache by a whole session; then, without a connection, it starts another one."""
    transaction = await cs.charge(TAG)
    await cs.card(TAG)
    await cs.expect_stop(transaction, idTag=TAG, reason="Local")
    await cs.unplug()
    await cs.expect("StatusNotification", status="Available")
    await cs.link_fails()
    await cs.plug()
    await cs.card(TAG)
    assert cs.setpoint()["energize"]
    await cs.charges(60)


@case("TC_037_1", "Offline start transaction – valid idTag", "Core", keys=LOCAL)
async def test_tc_037_1_offline_start_valid(cs: Bench) -> None:
    """After the reconnect StartTransaction with the time and the register of the start, and Charging."""
    await start_offline(cs)
    await cs.link_returns()
    await cs.expect_any_order(
        call("StartTransaction", connectorId=1, idTag=TAG, meterStart=1000, timestamp=cs.at(60)),
        call("StatusNotification", status="Charging"),
        call(
            "MeterValues",
            connectorId=1,
            transactionId=lambda told: told == cs.transaction_id(),
            meterValue=readings("Transaction.Begin", 1000, at=cs.at(60)),
        ),
    )
    assert cs.setpoint()["energize"]


@case(
    "TC_037_2",
    "Offline start transaction – invalid idTag, StopTransactionOnInvalidId false",
    "Core",
    keys=LOCAL,
)
async def test_tc_037_2_offline_start_invalid_suspends(cs: Bench) -> None:
    """Charging, and when the answer says Invalid, SuspendedEVSE: no energy, but the transaction goes on."""
    await cs.configure(StopTransactionOnInvalidId=False, MaxEnergyOnInvalidId=0)
    await start_offline(cs)
    cs.tokens[TAG] = {"status": "Invalid"}
    await cs.link_returns()
    await cs.expect_any_order(
        call("StartTransaction", connectorId=1, idTag=TAG, meterStart=1000, timestamp=cs.at(60)),
        call("StatusNotification", status="Charging"),
        call("StatusNotification", status="SuspendedEVSE"),
        call(
            "MeterValues",
            connectorId=1,
            transactionId=lambda told: told == cs.transaction_id(),
            meterValue=readings("Transaction.Begin", 1000, at=cs.at(60)),
        ),
    )
    await cs.after(300)
    assert not cs.setpoint()["energize"]


@case(
    "TC_037_3",
    "Offline start transaction – invalid idTag, StopTransactionOnInvalidId true",
    "Core",
    keys=LOCAL,
)
async def test_tc_037_3_offline_start_invalid_stops(cs: Bench) -> None:
    """Charging, and when the answer says Invalid, StopTransaction with DeAuthorized, and Finishing."""
    await cs.configure(StopTransactionOnInvalidId=True, MaxEnergyOnInvalidId=0)
    await start_offline(cs)
    cs.tokens[TAG] = {"status": "Invalid"}
    await cs.link_returns()
    await cs.expect_any_order(
        call("StartTransaction", connectorId=1, idTag=TAG, meterStart=1000, timestamp=cs.at(60)),
        call("StatusNotification", status="Charging"),
        call(
            "MeterValues",
            connectorId=1,
            transactionId=lambda told: told == cs.transaction_id(),
            meterValue=readings("Transaction.Begin", 1000, at=cs.at(60)),
        ),
        call("StatusNotification", status="Finishing"),
        call(
            "StopTransaction",
            transactionId=lambda told: told == cs.transaction_id(),
            meterStop=1060,
            reason="DeAuthorized",
        ),
    )
    assert not cs.setpoint()["energize"]


@case("TC_038", "Offline stop transaction", "Core")
async def test_tc_038_offline_stop(cs: Bench) -> None:
    """After the reconnect StopTransaction with the time of the end, and Finishing."""
    transaction = await cs.charge()
    await cs.link_fails()
    await cs.charges(60)
    await cs.card(TAG)
    assert not cs.setpoint()["energize"]
    await cs.after(30)
    await cs.link_returns()
    await cs.expect_any_order(
        call(
            "StopTransaction",
            transactionId=transaction,
            idTag=TAG,
            meterStop=1060,
            reason="Local",
            timestamp=cs.at(30),
        ),
        call("StatusNotification", status="Finishing"),
    )


@case("TC_039", "Offline transaction", "Core", keys=LOCAL)
async def test_tc_039_offline_transaction(cs: Bench) -> None:
    """A whole transaction without a connection: StartTransaction, then StopTransaction, with their own times."""
    await start_offline(cs)
    await cs.card(TAG)
    await cs.unplug()
    await cs.after(40)
    await cs.link_returns()
    await cs.expect("StartTransaction", connectorId=1, idTag=TAG, meterStart=1000, timestamp=cs.at(100))
    transaction = cs.transaction_id()
    await cs.expect(
        "MeterValues",
        connectorId=1,
        transactionId=transaction,
        meterValue=readings("Transaction.Begin", 1000, at=cs.at(100)),
    )
    await cs.expect(
        "StopTransaction",
        transactionId=transaction,
        idTag=TAG,
        meterStop=1060,
        reason="Local",
        timestamp=cs.at(40),
    )
