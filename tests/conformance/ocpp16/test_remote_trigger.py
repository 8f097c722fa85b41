"""Remote Trigger: the answer first, then the message that was asked for."""

from __future__ import annotations

from typing import Final

from tests.conformance.cases import case
from tests.conformance.charging_station import ChargingStation
from tests.conformance.said import readings

PROFILE: Final = "Remote Trigger"


@case("TC_054", "Trigger message", PROFILE, live=True)
async def test_tc_054_trigger_message(cs: ChargingStation) -> None:
    """MeterValues with the context Trigger, Heartbeat, StatusNotification; Idle of what is not going on."""
    await cs.configure(MeterValuesSampledData="Energy.Active.Import.Register")
    assert "Accepted" == await cs.status_of("TriggerMessage", requestedMessage="MeterValues", connectorId=1)
    await cs.expect("MeterValues", connectorId=1, meterValue=readings("Trigger", 1000))
    assert "Accepted" == await cs.status_of("TriggerMessage", requestedMessage="Heartbeat")
    await cs.expect("Heartbeat")
    assert "Accepted" == await cs.status_of(
        "TriggerMessage", requestedMessage="StatusNotification", connectorId=1
    )
    await cs.expect("StatusNotification", status="Available")
    manages_firmware = "FirmwareManagement" in await cs.configured("SupportedFeatureProfiles")
    for message in ("DiagnosticsStatusNotification", "FirmwareStatusNotification"):
        answer = await cs.status_of("TriggerMessage", requestedMessage=message)
        assert ("Accepted" if manages_firmware else "NotImplemented") == answer
        if manages_firmware:
            await cs.expect(message, status="Idle")


@case("TC_055", "Trigger message – rejected", PROFILE, live=True)
async def test_tc_055_trigger_message_rejected(cs: ChargingStation) -> None:
    """Rejected for a connector that is not there, and nothing is sent."""
    assert "Rejected" == await cs.status_of(
        "TriggerMessage", requestedMessage="MeterValues", connectorId=cs.connectors + 1
    )
