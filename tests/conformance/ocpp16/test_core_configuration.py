"""Core: configuration keys, meter values, data transfer."""

from __future__ import annotations

from tests.conformance.bench import Bench
from tests.conformance.cases import case
from tests.conformance.charging_station import ChargingStation
from tests.conformance.said import readings

READ_ONLY, READ_WRITE, EITHER = True, False, None
REQUIRED = {
    "AuthorizeRemoteTxRequests": EITHER,
    "ClockAlignedDataInterval": READ_WRITE,
    "ConnectionTimeOut": READ_WRITE,
    "ConnectorPhaseRotation": READ_WRITE,
    "GetConfigurationMaxKeys": READ_ONLY,
    "HeartbeatInterval": READ_WRITE,
    "LocalAuthorizeOffline": READ_WRITE,
    "LocalPreAuthorize": READ_WRITE,
    "MeterValuesAlignedData": READ_WRITE,
    "MeterValuesSampledData": READ_WRITE,
    "MeterValueSampleInterval": READ_WRITE,
    "NumberOfConnectors": READ_ONLY,
    "ResetRetries": READ_WRITE,
    "StopTransactionOnEVSideDisconnect": EITHER,
    "StopTransactionOnInvalidId": READ_WRITE,
    "StopTxnAlignedData": READ_WRITE,
    "StopTxnSampledData": READ_WRITE,
    "SupportedFeatureProfiles": READ_ONLY,
    "TransactionMessageAttempts": READ_WRITE,
    "TransactionMessageRetryInterval": READ_WRITE,
    "UnlockConnectorOnEVSideDisconnect": EITHER,
}
"""# 1.6 §9.1, with errata 3.80 and 3.84."""
REQUIRED_OF = {
    "LocalAuthListManagement": {
        "LocalAuthListEnabled": READ_WRITE,
        "LocalAuthListMaxLength": READ_ONLY,
        "SendLocalListMaxLength": READ_ONLY,
    },
    "SmartCharging": {
        "ChargeProfileMaxStackLevel": READ_ONLY,
        "ChargingScheduleAllowedChargingRateUnit": READ_ONLY,
        "ChargingScheduleMaxPeriods": READ_ONLY,
        "MaxChargingProfilesInstalled": READ_ONLY,
    },
}


@case("TC_019", "Retrieve configuration", "Core", live=True)
async def test_tc_019_retrieve_configuration(cs: ChargingStation) -> None:
    """Every required key with its access; a list of keys is answered with exactly these, and no unknown one."""
    profiles = (await cs.configured("SupportedFeatureProfiles")).split(",")
    assert "Core" in profiles
    required = REQUIRED | {key: flag for name in profiles for key, flag in REQUIRED_OF.get(name, {}).items()}

    everything = await cs.ask("GetConfiguration")
    assert {"configurationKey"} == everything.keys()
    rows = {row["key"]: row for row in everything["configurationKey"]}
    wrong = {
        key: rows.get(key)
        for key, read_only in required.items()
        if key not in rows or (read_only is not EITHER and rows[key]["readonly"] is not read_only)
    }
    assert {} == wrong
    assert all("value" in row for row in rows.values())
    assert "AuthorizationKey" not in rows

    some = await cs.ask("GetConfiguration", key=list(required))
    assert list(required) == [row["key"] for row in some["configurationKey"]]
    assert some["configurationKey"] == [rows[key] for key in required]
    assert [] == some.get("unknownKey", [])


@case("TC_021", "Change and set configuration", "Core", live=True)
async def test_tc_021_change_configuration(cs: ChargingStation) -> None:
    """Accepted, and read back."""
    await cs.configure(MeterValueSampleInterval=35)
    assert "35" == await cs.configured("MeterValueSampleInterval")


@case("TC_040_1", "Configuration key – not supported", "Core", live=True)
async def test_tc_040_1_unknown_key(cs: ChargingStation) -> None:
    """NotSupported, and listed as unknown."""
    assert "NotSupported" == await cs.status_of("ChangeConfiguration", key="Testing", value="true")
    assert {"configurationKey": [], "unknownKey": ["Testing"]} == await cs.ask(
        "GetConfiguration", key=["Testing"]
    )


@case("TC_040_2", "Configuration key – invalid value", "Core", live=True)
async def test_tc_040_2_invalid_value(cs: ChargingStation) -> None:
    """Rejected, and the value stays."""
    await cs.configure(MeterValueSampleInterval=35)
    status = await cs.status_of("ChangeConfiguration", key="MeterValueSampleInterval", value="-1")
    assert "Rejected" == status
    assert "35" == await cs.configured("MeterValueSampleInterval")


@case("TC_070", "Sampled meter values", "Core")
async def test_tc_070_sampled_meter_values(cs: Bench) -> None:
    """Exactly every interval, Sample.Periodic, exactly the configured measurands."""
    await cs.configure(
        MeterValueSampleInterval=20,
        MeterValuesSampledData="Energy.Active.Import.Register,Power.Active.Import",
    )
    await cs.meter(power_w=0)
    transaction = await cs.charge()
    for number in range(1, 4):
        await cs.charges(10, every=5)
        await cs.nothing_else()
        await cs.charges(10, every=5)
        await cs.expect(
            "MeterValues",
            connectorId=1,
            transactionId=transaction,
            meterValue=readings("Sample.Periodic", 1000 + 20 * number, Power_Active_Import=("3600", "W")),
        )


@case("TC_071", "Clock-aligned meter values", "Core")
async def test_tc_071_clock_aligned_meter_values(cs: Bench) -> None:
    """On the grid of the clock, Sample.Clock, exactly the configured measurands, with the transaction's number."""
    await cs.after(7)
    await cs.configure(ClockAlignedDataInterval=20, MeterValuesAlignedData="Energy.Active.Import.Register")
    await cs.charges(12, every=4, power_w=0)
    await cs.nothing_else()
    await cs.after(1)
    await cs.expect("MeterValues", connectorId=1, meterValue=readings("Sample.Clock", 1000))
    transaction = await cs.charge()
    for second in (40, 60, 80):
        await cs.charges(20)
        assert second == cs.clock.wall % 3600
        await cs.expect(
            "MeterValues",
            connectorId=1,
            transactionId=transaction,
            meterValue=readings("Sample.Clock", 1000 + second - 30),
        )


@case("TC_062", "Data transfer to a charge point", "Core", live=True)
async def test_tc_062_data_transfer(cs: ChargingStation) -> None:
    """Nobody here knows that vendor."""
    assert "UnknownVendorId" == await cs.status_of(
        "DataTransfer", vendorId="org.openchargealliance.nobody", messageId="Test", data="x"
    )
