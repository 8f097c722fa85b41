"""Core: resets, unlocking, failures of power, faults."""

from __future__ import annotations

from tests.conformance.bench import Bench
from tests.conformance.cases import case
from tests.conformance.charging_station import BOOT, OTHER, TAG, ChargingStation, boot_event
from tests.conformance.said import any_of, call, perhaps, reply


@case("TC_013", "Hard reset without transaction", "Core", connectors=2, live=True)
async def test_tc_013_hard_reset_without_transaction(cs: ChargingStation) -> None:
    """A boot; what was Inoperative is Unavailable afterwards, until it is made Operative."""
    await _reset_without_transaction(cs, "Hard")


@case("TC_014", "Soft reset without transaction", "Core", connectors=2)
async def test_tc_014_soft_reset_without_transaction(cs: ChargingStation) -> None:
    """The same; this station boots after a soft reset too."""
    await _reset_without_transaction(cs, "Soft")


async def _reset_without_transaction(cs: ChargingStation, kind: str) -> None:
    assert "Accepted" == await cs.status_of("ChangeAvailability", connectorId=1, type="Inoperative")
    await cs.expect("StatusNotification", connectorId=1, status="Unavailable")
    assert "Accepted" == await cs.status_of("Reset", type=kind)
    await cs.expect_boot("RemoteReset", c1="Unavailable")
    (command,) = cs.commands("reset")
    assert kind.lower() == command["type"]
    assert "Accepted" == await cs.status_of("ChangeAvailability", connectorId=1, type="Operative")
    await cs.expect("StatusNotification", connectorId=1, status="Available")


@case("TC_015", "Hard reset with transaction", "Core", connectors=2)
async def test_tc_015_hard_reset_with_transaction(cs: Bench) -> None:
    """Accepted, StopTransaction with HardReset and Finishing, then the boot: still Finishing, the other Available."""
    transaction = await cs.charge()
    assert "Accepted" == await cs.status_of("Reset", type="Hard")
    await cs.expect_stop(transaction, reason="HardReset")
    await cs.expect_boot("RemoteReset", c1="Finishing")
    await cs.unplug()
    await cs.expect("StatusNotification", status="Available")


@case("TC_016", "Soft reset with transaction", "Core", connectors=2)
async def test_tc_016_soft_reset_with_transaction(cs: Bench) -> None:
    """Accepted, StopTransaction with SoftReset and Finishing, then the boot, which is optional."""
    transaction = await cs.charge()
    assert "Accepted" == await cs.status_of("Reset", type="Soft")
    await cs.expect_stop(transaction, reason="SoftReset")
    await cs.expect_boot("RemoteReset", c1="Finishing")


@case("TC_017_1", "Unlock connector – no session, detachable cable", "Core", live=True)
async def test_tc_017_1_unlock_without_session(cs: ChargingStation) -> None:
    """Unlocked, by the device itself."""
    assert "Unlocked" == await cs.status_of("UnlockConnector", connectorId=1)
    assert 1 == len(cs.commands("unlock"))


@case("TC_017_2", "Unlock connector – no session, fixed cable", "Core", lock=False)
async def test_tc_017_2_unlock_fixed_cable(cs: Bench) -> None:
    """NotSupported: there is no lock."""
    assert "NotSupported" == await cs.status_of("UnlockConnector", connectorId=1)


@case("TC_018_1", "Unlock connector – with session, detachable cable", "Core", live=True)
async def test_tc_018_1_unlock_with_session(cs: ChargingStation) -> None:
    """Unlocked, StopTransaction with UnlockCommand, Finishing; after the unplugging Available."""
    transaction = await cs.charge()
    await cs.send("UnlockConnector", connectorId=1)
    await cs.expect_any_order(
        reply("UnlockConnector", status="Unlocked"),
        call("StopTransaction", transactionId=transaction, meterStop=1000, reason="UnlockCommand"),
        call("StatusNotification", status="Finishing"),
    )
    assert not cs.setpoint()["lock"]
    await cs.unplug()
    await cs.expect("StatusNotification", status="Available")


@case("TC_018_2", "Unlock connector – with session, fixed cable", "Core", lock=False)
async def test_tc_018_2_unlock_with_session_fixed_cable(cs: Bench) -> None:
    """NotSupported, and the transaction goes on."""
    await cs.charge()
    assert "NotSupported" == await cs.status_of("UnlockConnector", connectorId=1)
    await cs.nothing_else()
    assert cs.setpoint()["energize"]


@case("TC_023", "Authorize – invalid, blocked, expired", "Core")
async def test_tc_023_authorize_invalid(cs: Bench) -> None:
    """Preparing, Authorize: no transaction, nothing is energized."""
    await cs.configure(MinimumStatusDuration=10)
    await cs.plug()
    await cs.after(10)
    await cs.expect("StatusNotification", status="Preparing", timestamp=cs.at(0))
    for status in ("Invalid", "Blocked", "Expired"):
        cs.tokens[TAG] = {"status": status}
        await cs.card(TAG)
        await cs.expect("Authorize", idTag=TAG)
        await cs.after(30)
        await cs.nothing_else()
        assert not cs.setpoint()["energize"]


@case("TC_024", "Start charging session – lock failure", "Core")
async def test_tc_024_lock_failure(cs: Bench) -> None:
    """The lock does not close: Faulted with ConnectorLockFailure, no transaction, nothing is energized."""
    cs.device.outlets[1].lock_fails = True
    await cs.plug()
    await cs.expect("StatusNotification", status="Preparing")
    await cs.card()
    await cs.expect("Authorize", idTag=TAG)
    await cs.expect(
        "StatusNotification",
        status="Faulted",
        errorCode="ConnectorLockFailure",
        info="the lock of the plug failed",
    )
    await cs.after(300)
    assert not cs.setpoint()["energize"]


@case("TC_030", "Unlock connector – failure", "Core", live=True)
async def test_tc_030_unlock_failure(cs: ChargingStation) -> None:
    """UnlockFailed when the device cannot."""
    cs.device.outlets[1].locked_up = True
    assert "UnlockFailed" == await cs.status_of("UnlockConnector", connectorId=1)


@case("TC_031", "Unlock connector – unknown connector", "Core", live=True)
async def test_tc_031_unlock_unknown_connector(cs: ChargingStation) -> None:
    """NotSupported for a connector that is not there."""
    assert "NotSupported" == await cs.status_of("UnlockConnector", connectorId=cs.connectors + 1)


@case("TC_032_1", "Power failure – stop before going down", "Core", connectors=2)
async def test_tc_032_1_power_failure_with_backup(cs: Bench) -> None:
    """With power to say so: StopTransaction with PowerLoss and Finishing; after the boot Finishing, then Available."""
    transaction = await cs.charge()
    await cs.press("power_failing")
    await cs.expect_stop(transaction, reason="PowerLoss")
    await cs.power_fails()
    await cs.after(120)
    await cs.power_returns()
    await cs.expect_boot("ApplicationReset", c1="Finishing")
    await cs.unplug()
    await cs.expect("StatusNotification", status="Available")


@case(
    "TC_032_2",
    "Power failure – stop after boot",
    "Core",
    connectors=2,
    station={"policy": {"after_restart": "stop"}},
)
async def test_tc_032_2_power_failure_stop_after_boot(cs: Bench) -> None:
    """After the boot StopTransaction with PowerLoss, with the last register and time known; Finishing."""
    transaction = await cs.charge()
    await cs.charges(60)
    await cs.power_fails()
    await cs.after(120)
    await cs.power_returns()
    await cs.expect("BootNotification", **BOOT)
    await cs.expect_any_order(
        boot_event("ApplicationReset"),
        call("StatusNotification", connectorId=0, status="Available"),
        call("StatusNotification", connectorId=1, status=any_of("Finishing", "Preparing")),
        call("StatusNotification", connectorId=2, status="Available"),
        call(
            "StopTransaction",
            transactionId=transaction,
            meterStop=1060,
            reason="PowerLoss",
            timestamp=lambda told: cs.at(120)(told) or cs.at(0)(told),
        ),
    )


@case(
    "TC_032_2",
    "Power failure – stop after boot",
    "Core",
    connectors=2,
    station={"policy": {"after_restart": "resume"}},
)
async def test_tc_032_2_power_failure_resume_after_boot(cs: Bench) -> None:
    """The other way that the case allows: Charging again under the same number, and ended by the card."""
    transaction = await cs.charge()
    await cs.charges(60)
    await cs.power_fails()
    await cs.after(120)
    await cs.power_returns()
    await cs.expect("BootNotification", **BOOT)
    await cs.expect_any_order(
        boot_event("ApplicationReset"),
        call("StatusNotification", connectorId=0, status="Available"),
        perhaps("StatusNotification", connectorId=1, status="SuspendedEVSE"),
        call("StatusNotification", connectorId=1, status="Charging"),
        call("StatusNotification", connectorId=2, status="Available"),
    )
    assert cs.setpoint()["energize"]
    await cs.card(TAG)
    await cs.expect_stop(transaction, idTag=TAG, reason="Local")


@case("TC_034", "Power failure with unavailable status", "Core", connectors=2)
async def test_tc_034_power_failure_while_unavailable(cs: Bench) -> None:
    """The whole station Inoperative: all Unavailable again after the boot."""
    assert "Accepted" == await cs.status_of("ChangeAvailability", connectorId=0, type="Inoperative")
    await cs.expect_statuses(c0="Unavailable", c1="Unavailable", c2="Unavailable")
    await cs.power_fails()
    await cs.after(120)
    await cs.power_returns()
    await cs.expect_boot("ApplicationReset", c0="Unavailable", c1="Unavailable", c2="Unavailable")


@case("TC_041", "Fault behaviour", "Core")
async def test_tc_041_fault(cs: Bench) -> None:
    """Faulted with its code; neither card nor remote start begins a transaction."""
    await cs.fails("GroundFailure")
    await cs.expect("StatusNotification", status="Faulted", errorCode="GroundFailure")
    await cs.plug()
    await cs.card(TAG)
    assert "Rejected" == await cs.status_of("RemoteStartTransaction", idTag=OTHER, connectorId=1)
    await cs.after(300)
    await cs.nothing_else()
    assert not cs.setpoint()["energize"]
