"""1.6 configuration keys as adapters on variables."""

import pytest

from gateway.csms.v16.keys import KEYS, key_named
from gateway.station.model import ConnectorConfig, StationConfig
from gateway.station.requests import VariableRef
from gateway.station.variables import Variables

REQUIRED = {
    "AuthorizeRemoteTxRequests": False,
    "ChargeProfileMaxStackLevel": True,
    "ChargingScheduleAllowedChargingRateUnit": True,
    "ChargingScheduleMaxPeriods": True,
    "ClockAlignedDataInterval": False,
    "ConnectionTimeOut": False,
    "ConnectorPhaseRotation": False,
    "GetConfigurationMaxKeys": True,
    "HeartbeatInterval": False,
    "LocalAuthListEnabled": False,
    "LocalAuthListMaxLength": True,
    "LocalAuthorizeOffline": False,
    "LocalPreAuthorize": False,
    "MaxChargingProfilesInstalled": True,
    "MeterValuesAlignedData": False,
    "MeterValuesSampledData": False,
    "MeterValueSampleInterval": False,
    "NumberOfConnectors": True,
    "ReserveConnectorZeroSupported": True,
    "ResetRetries": False,
    "SendLocalListMaxLength": True,
    "StopTransactionOnInvalidId": False,
    "StopTxnAlignedData": False,
    "StopTxnSampledData": False,
    "SupportedFeatureProfiles": True,
    "TransactionMessageAttempts": False,
    "TransactionMessageRetryInterval": False,
    "UnlockConnectorOnEVSideDisconnect": False,
}
"""Required key → whether it is read-only ([TC_019])."""


@pytest.fixture
def variables() -> Variables:
    connectors = (ConnectorConfig(n=1, evse=1, connector=1), ConnectorConfig(n=2, evse=2, connector=1))
    return Variables(StationConfig(name="a", identity="A", csms_url="ws://x", connectors=connectors), {})


def given(name: str, text: str) -> str | None:
    key = key_named(name)
    assert key is not None
    return key.given(text)


@pytest.mark.parametrize("name", REQUIRED)
def test_each_required_key_is_there(name: str, variables: Variables) -> None:
    """It adapts a variable that the station really has, with the access that the test cases ask for."""
    key = key_named(name)
    assert key is not None

    result = variables.get(key.ref)

    assert (result.status, result.read_only) == ("Accepted", REQUIRED[name])


@pytest.mark.parametrize("name", [key.name for key in KEYS])
def test_what_is_read_may_be_written_back(name: str, variables: Variables) -> None:
    """A value that the station shows is one that it takes, and it shows the same again."""
    key = key_named(name)
    assert key is not None
    shown = variables.get(key.ref)
    if shown.status == "Accepted" and not shown.read_only:
        text = key.given(key.shown(shown.value or ""))
        assert text is not None
        assert variables.set(key.ref, text).status == "Accepted"
        assert variables.get(key.ref).value == shown.value


def test_names_are_unique_in_any_case() -> None:
    """They are looked up without regard to it."""
    assert len({key.name.casefold() for key in KEYS}) == len(KEYS)
    assert key_named(" HeartBeatINTERVAL ") is key_named("HeartbeatInterval")
    assert key_named("Testing") is None


def test_file_transfer_protocols_are_those_of_the_station() -> None:
    """An optional key of Firmware Management ([E3.90])."""
    protocols = key_named("SupportedFileTransferProtocols")
    assert protocols is not None
    assert protocols.ref == VariableRef("OCPPCommCtrlr", "FileTransferProtocols")


def test_the_name_of_the_variable_as_settings_write_it() -> None:
    """So that an operator may write the 1.6 key instead."""
    attempts, interval = key_named("TransactionMessageAttempts"), key_named("HeartbeatInterval")

    assert attempts is not None
    assert attempts.setting == "OCPPCommCtrlr.MessageAttempts[TransactionEvent]"
    assert interval is not None
    assert interval.setting == "OCPPCommCtrlr.HeartbeatInterval"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", "true"),
        ("True", "true"),
        (" FALSE ", "false"),
        ("1", "true"),
        ("0", "false"),
        ("", None),
        ("2", None),
        ("maybe", None),
    ],
)
def test_booleans(text: str, value: str | None) -> None:
    """Any case, and digits."""
    assert given("LocalPreAuthorize", text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("60", "60"),
        (" 60 ", "60"),
        ("+60", "60"),
        ("060", "60"),
        ("0", "0"),
        ("000", "0"),
        ("60.0", "60"),
        ("60.5", None),
        ("-1", None),
        ("", None),
        ("sixty", None),
        ("٦", None),
    ],
)
def test_numbers(text: str, value: str | None) -> None:
    """Whole and not negative ([TC_040_2])."""
    assert given("MeterValueSampleInterval", text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Energy.Active.Import.Register", "Energy.Active.Import.Register"),
        (" Voltage , SoC ,", "Voltage,SoC"),
        ("voltage,SOC", "Voltage,SoC"),
        ("voltage.l1-n,Voltage.L2,Current.Import.L1", "Voltage.L1-N,Voltage.L2,Current.Import.L1"),
        ("Voltage.L1-N,Voltage,Voltage.L1-L2", "Voltage"),
        ("Power.Active.Import.L1,Power.Active.Import.L2", "Power.Active.Import"),
        ("Energy.Active.Import.Register.L3", "Energy.Active.Import.Register"),
        ("Power.Factor", "Power.Factor"),
        ("Nonsense", "Nonsense"),
        ("Voltage.L9", "Voltage.L9"),
        ("", "Energy.Active.Import.Register"),
    ],
)
def test_measurands(text: str, value: str) -> None:
    """White space and case do not count, nor phases that cannot be told apart; nothing means the register."""
    assert given("MeterValuesSampledData", text) == value


def test_transaction_data_may_be_nothing() -> None:
    """An empty StopTxn list means no data ([E3.14.5])."""
    assert given("StopTxnSampledData", " ") == ""


def test_measurands_with_phases_are_accepted(variables: Variables) -> None:
    """They are read back as they were written (# 1.6 §9.1.16)."""
    key = key_named("MeterValuesSampledData")
    assert key is not None
    text = key.given("Voltage.L1-N, Current.Import.L1")
    assert text is not None

    assert variables.set(key.ref, text).status == "Accepted"
    assert variables.get(key.ref).value == "Voltage.L1-N,Current.Import.L1"


def test_the_password_stays_hexadecimal(variables: Variables) -> None:
    """Its bytes need not be text: the link gets the digits and is told so ([TC_073])."""
    key = key_named("AuthorizationKey")
    assert key is not None
    digits = "4F43415F4F4354545F61646D696E5F74657374"

    text = key.given(f" {digits} ")

    assert text == digits
    assert variables.set(key.ref, text).status == "Accepted"
    assert variables.password == (digits, True)
    assert variables.get(key.ref).status == "Rejected"
