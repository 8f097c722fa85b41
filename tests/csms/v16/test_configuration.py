"""GetConfiguration and ChangeConfiguration, with the station's own variables behind them."""

from typing import Any

import pytest

from gateway.csms.v16.keys import KEYS
from gateway.station.model import ConnectorConfig, StationConfig
from gateway.station.requests import (
    VariableRef,
    VariableResult,
    VariablesGiven,
    VariablesReply,
    VariablesRequested,
)
from gateway.station.variables import Variables
from tests.csms.v16.wire import heard, replied

HEARTBEAT = VariableRef("OCPPCommCtrlr", "HeartbeatInterval")


class Station:
    """Answers requests as the core does."""

    def __init__(self) -> None:
        connectors = (ConnectorConfig(n=1, evse=1, connector=1),)
        config = StationConfig(name="a", identity="A", csms_url="ws://x", connectors=connectors)
        self.variables = Variables(config, {})

    def get(self, *names: str) -> dict[str, Any]:
        payload: dict[str, Any] = {"key": list(names)} if names else {}
        request = heard("GetConfiguration", payload)
        assert isinstance(request, VariablesRequested)
        reply = VariablesReply(tuple(self.variables.get(ref) for ref in request.refs))
        return replied("GetConfiguration", payload, reply)

    def change(self, key: str, value: str) -> str:
        payload = {"key": key, "value": value}
        request = heard("ChangeConfiguration", payload)
        assert isinstance(request, VariablesGiven)
        reply = VariablesReply(tuple(self.variables.set(ref, text) for ref, text in request.entries))
        status = replied("ChangeConfiguration", payload, reply)["status"]
        assert isinstance(status, str)
        return status


@pytest.fixture
def station() -> Station:
    return Station()


@pytest.mark.parametrize("payload", [{}, {"key": []}, {"key": [""]}, {"key": ["", " "]}])
def test_all_keys_are_asked_for_in_several_ways(payload: dict[str, Any]) -> None:
    """No list, an empty one, or one of nothing."""
    assert heard("GetConfiguration", payload) == VariablesRequested(tuple(key.ref for key in KEYS))


def test_all_keys(station: Station) -> None:
    """All that can be read; nothing that the station lacks, and no secret."""
    answer = station.get()

    names = [row["key"] for row in answer["configurationKey"]]
    assert "unknownKey" not in answer
    assert {"HeartbeatInterval", "SupportedFeatureProfiles", "NumberOfConnectors"} <= set(names)
    assert not {"AuthorizationKey", "BlinkRepeat", "LightIntensity"} & set(names)
    assert all(row.keys() == {"key", "readonly", "value"} for row in answer["configurationKey"])


def test_named_keys(station: Station) -> None:
    """In the order asked, each once, spelt as the specification does; unknown ones as they were asked."""
    answer = station.get("heartbeatinterval", "Testing", "NumberOfConnectors", "HeartbeatInterval", "testing")

    assert answer == {
        "configurationKey": [
            {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
            {"key": "NumberOfConnectors", "readonly": True, "value": "1"},
        ],
        "unknownKey": ["Testing"],
    }


def test_a_key_whose_variable_the_station_lacks_is_unknown(station: Station) -> None:
    """The table knows more keys than a station has."""
    assert station.get("BlinkRepeat") == {"configurationKey": [], "unknownKey": ["BlinkRepeat"]}
    assert station.change("BlinkRepeat", "3") == "NotSupported"


def test_the_password_is_never_shown(station: Station) -> None:
    """It is known, but has no value."""
    assert station.get("AuthorizationKey") == {
        "configurationKey": [{"key": "AuthorizationKey", "readonly": False}]
    }


def test_a_value_too_long_for_1_6_is_cut() -> None:
    """A variable of 2.x may be longer than 500 characters."""
    reply = VariablesReply((VariableResult(HEARTBEAT, "Accepted", "9" * 600),))

    answer = replied("GetConfiguration", {"key": ["HeartbeatInterval"]}, reply)

    assert answer["configurationKey"][0]["value"] == "9" * 500


def test_changing_a_value(station: Station) -> None:
    """What was written is read back ([TC_021])."""
    assert station.change("MeterValueSampleInterval", "15") == "Accepted"
    assert station.get("MeterValueSampleInterval")["configurationKey"] == [
        {"key": "MeterValueSampleInterval", "readonly": False, "value": "15"}
    ]


def test_booleans_are_read_in_lower_case(station: Station) -> None:
    """However they were written."""
    assert station.change("LocalPreAuthorize", "TRUE") == "Accepted"
    assert station.get("LocalPreAuthorize")["configurationKey"][0]["value"] == "true"


@pytest.mark.parametrize(
    ("key", "value", "status"),
    [
        ("HeartBeatInterval", "60", "Accepted"),
        ("Testing", "1", "NotSupported"),
        ("LightIntensity", "50", "NotSupported"),
        ("LocalAuthListEnabled", "false", "Accepted"),
        ("LocalAuthListMaxLength", "5", "Rejected"),
        ("NumberOfConnectors", "3", "Rejected"),
        ("NumberOfConnectors", "1", "Accepted"),
        ("numberofconnectors", " 01 ", "Accepted"),
        ("ReserveConnectorZeroSupported", "TRUE", "Accepted"),
        ("ReserveConnectorZeroSupported", "false", "Rejected"),
        ("MeterValueSampleInterval", "-1", "Rejected"),
        ("MeterValueSampleInterval", "often", "Rejected"),
        ("MeterValueSampleInterval", "99999999999999999999", "Rejected"),
        ("LocalPreAuthorize", "maybe", "Rejected"),
        ("MeterValuesSampledData", "Energy.Active.Import.Register,Nonsense", "Rejected"),
        ("MeterValuesSampledData", " energy.active.import.register , SoC", "Accepted"),
        ("StopTxnSampledData", "", "Accepted"),
        ("ConnectorPhaseRotation", "0.RST, 1.RST", "Accepted"),
        ("AuthorizationKey", "4F43415F4F4354545F61646D696E5F74657374", "Accepted"),
        ("AuthorizationKey", "not hexadecimal at all", "Rejected"),
        ("AuthorizationKey", "4F43", "Rejected"),
    ],
)
def test_what_becomes_of_a_change(station: Station, key: str, value: str, status: str) -> None:
    """NotSupported for keys that do not exist, Rejected for values that they cannot take."""
    assert station.change(key, value) == status


def test_a_change_that_needs_a_reboot() -> None:
    """Both versions have a word for it."""
    reply = VariablesReply((VariableResult(HEARTBEAT, "RebootRequired"),))
    payload = {"key": "HeartbeatInterval", "value": "60"}

    assert replied("ChangeConfiguration", payload, reply) == {"status": "RebootRequired"}
