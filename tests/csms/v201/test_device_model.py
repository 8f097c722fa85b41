"""Variables read, written and reported in 2.0.1, with the station's own device model behind them."""

from itertools import islice
from typing import Any, cast

import msgspec
import pytest

from gateway.csms.v201.device_model import report_data
from gateway.station.model import ConnectorConfig, StationConfig
from gateway.station.reports import Acknowledged, ReportedVariable, VariablePage
from gateway.station.requests import (
    InventoryRequested,
    StatusReply,
    VariableRef,
    VariablesGiven,
    VariablesReply,
    VariablesRequested,
)
from gateway.station.variables import Variables
from tests.csms.v201.wire import AT, AT_TEXT, answered, heard, replied, told_once


def model() -> Variables:
    connectors = tuple(ConnectorConfig(n=n, evse=n, connector=1) for n in (1, 2))
    return Variables(StationConfig(name="a", identity="a", csms_url="ws://csms", connectors=connectors), {})


def got(*entries: dict[str, Any], variables: Variables | None = None) -> list[dict[str, Any]]:
    payload = {"getVariableData": list(entries)}
    request = cast("VariablesRequested", heard("GetVariables", payload))
    station = variables or model()
    result = replied("GetVariables", payload, VariablesReply(tuple(station.get(r) for r in request.refs)))
    return cast("list[dict[str, Any]]", result["getVariableResult"])


def was_set(*entries: dict[str, Any], variables: Variables | None = None) -> list[dict[str, Any]]:
    payload = {"setVariableData": list(entries)}
    request = cast("VariablesGiven", heard("SetVariables", payload))
    station = variables or model()
    reply = VariablesReply(tuple(station.set(ref, text) for ref, text in request.entries))
    return cast("list[dict[str, Any]]", replied("SetVariables", payload, reply)["setVariableResult"])


def entry(component: str, variable: str, instance: str | None = None, **more: Any) -> dict[str, Any]:
    name = {"name": variable} if instance is None else {"name": variable, "instance": instance}
    return {"component": {"name": component}, "variable": name, **more}


def test_an_entry_is_a_reference() -> None:
    """Each part of the name has its place."""
    payload = {
        "getVariableData": [
            {
                "component": {"name": "Connector", "instance": "x", "evse": {"id": 1, "connectorId": 2}},
                "variable": {"name": "AvailabilityState", "instance": "y"},
                "attributeType": "Target",
            },
        ]
    }

    assert heard("GetVariables", payload) == VariablesRequested(
        (VariableRef("Connector", "AvailabilityState", "y", "x", 1, 2, "Target"),)
    )


def test_reading_answers_each_entry_in_order_and_in_the_spelling_of_the_csms() -> None:
    """# B06, [TC_B_07]: one result per entry; a value only where there is one, and then also when empty."""
    results = got(
        entry("occpcommctrlr", "HeartbeatInterval"),
        entry("ocppcommctrlr", "heartbeatINTERVAL", customData={"vendorId": "x"}),
        entry("OCPPCommCtrlr", "MessageTimeout", "default", attributeType="Actual"),
        entry("OCPPCommCtrlr", "OfflineThreshold", attributeType="Target"),
        entry("SecurityCtrlr", "BasicAuthPassword"),
        entry("AuthCtrlr", "MasterPassGroupId"),
        entry("OCPPCommCtrlr", "Nothing"),
        {"component": {"name": "EVSE", "evse": {"id": 2}}, "variable": {"name": "SupplyPhases"}},
    )

    assert [(result["attributeStatus"], result.get("attributeValue")) for result in results] == [
        ("UnknownComponent", None),
        ("Accepted", "300"),
        ("Accepted", "30"),
        ("NotSupportedAttributeType", None),
        ("Rejected", None),
        ("Accepted", ""),
        ("UnknownVariable", None),
        ("Accepted", "3"),
    ]
    assert results[1] == {
        "attributeStatus": "Accepted",
        "attributeType": "Actual",
        "attributeValue": "300",
        "component": {"name": "ocppcommctrlr"},
        "variable": {"name": "heartbeatINTERVAL"},
    }
    assert results[3]["attributeType"] == "Target"
    assert results[4]["attributeStatusInfo"] == {"reasonCode": "WriteOnly"}
    assert results[7]["component"] == {"name": "EVSE", "evse": {"id": 2}}


def test_what_is_kept_for_1_6_does_not_exist_here() -> None:
    """Neither read nor written, and echoed as it was asked."""
    variables = model()
    ask = entry("ocpp16", "MinimumStatusDuration")
    [read] = got(ask, variables=variables)
    [written] = was_set({**ask, "attributeValue": "9"}, variables=variables)

    assert read["attributeStatus"] == written["attributeStatus"] == "UnknownComponent"
    assert read["component"] == written["component"] == {"name": "ocpp16"}
    assert variables.changed() == {}


def test_writing_answers_each_entry_with_its_reason() -> None:
    """# B05, [TC_B_10]: partial success."""
    variables = model()
    results = was_set(
        entry("OCPPCommCtrlr", "HeartbeatInterval", attributeValue="60"),
        entry("OCPPCommCtrlr", "HeartbeatInterval", attributeValue="0"),
        entry("OCPPCommCtrlr", "NetworkConfigurationPriority", attributeValue="1"),
        entry("SecurityCtrlr", "SecurityProfile", attributeValue="3"),
        entry("OCPPCommCtrlr", "HeartbeatInterval", attributeValue="60", attributeType="MaxSet"),
        variables=variables,
    )

    assert [result["attributeStatus"] for result in results] == [
        "Accepted",
        "Rejected",
        "RebootRequired",
        "Rejected",
        "NotSupportedAttributeType",
    ]
    assert results[1]["attributeStatusInfo"] == {
        "reasonCode": "ValueTooLow",
        "additionalInfo": "OCPPCommCtrlr.HeartbeatInterval: '0' is below 1 s.",
    }
    assert results[3]["attributeStatusInfo"] == {"reasonCode": "ReadOnly"}
    assert variables.heartbeat_interval_s == 60


@pytest.mark.parametrize("base", ["ConfigurationInventory", "FullInventory", "SummaryInventory"])
def test_a_report_is_asked_for(base: Any) -> None:
    """# B07"""
    payload = {"requestId": 0, "reportBase": base}

    assert heard("GetBaseReport", payload) == InventoryRequested(0, base)
    for status in ("Accepted", "Rejected", "NotSupported", "EmptyResultSet"):
        assert replied("GetBaseReport", payload, StatusReply(status=status)) == {"status": status}


def test_a_full_report_in_pages() -> None:
    """Every page passes the schema, and none is near the 64 KiB at which backends break."""
    inventory = model().inventory("FullInventory")
    pages = 0
    while variables := tuple(islice(inventory, 40)):
        page = VariablePage(5, pages, AT, variables, more=True)
        payload = told_once(page, "NotifyReport")
        assert len(msgspec.json.encode(payload)) < 24 * 1024
        assert answered(page, {}) == Acknowledged()
        pages += 1

    assert pages >= 2


def test_a_page() -> None:
    """Absent is absent; the value of what may only be written is."""
    power = ReportedVariable(
        *("EVSE", "Power", None, 1, None),
        (("Actual", None, "ReadOnly", False, False),),
        data_type="decimal",
        unit="W",
        min_limit=0,
        max_limit=11040.0,
    )
    option = ReportedVariable(
        *("Ctrlr", "Choice", "a", None, None),
        (("Actual", "x", "ReadWrite", True, False),),
        data_type="OptionList",
        values=("x", "y"),
        monitored=True,
        component_instance="b",
    )

    assert told_once(VariablePage(7, 0, AT, (power, option), more=False), "NotifyReport") == {
        "requestId": 7,
        "generatedAt": AT_TEXT,
        "seqNo": 0,
        "tbc": False,
        "reportData": [
            {
                "component": {"name": "EVSE", "evse": {"id": 1}},
                "variable": {"name": "Power"},
                "variableAttribute": [
                    {"type": "Actual", "mutability": "ReadOnly", "persistent": False, "constant": False}
                ],
                "variableCharacteristics": {
                    "dataType": "decimal",
                    "unit": "W",
                    "minLimit": 0,
                    "maxLimit": 11040.0,
                    "supportsMonitoring": False,
                },
            },
            {
                "component": {"name": "Ctrlr", "instance": "b"},
                "variable": {"name": "Choice", "instance": "a"},
                "variableAttribute": [
                    {
                        "type": "Actual",
                        "value": "x",
                        "mutability": "ReadWrite",
                        "persistent": True,
                        "constant": False,
                    }
                ],
                "variableCharacteristics": {
                    "dataType": "OptionList",
                    "valuesList": "x,y",
                    "supportsMonitoring": True,
                },
            },
        ],
    }


def test_an_empty_page_has_no_list() -> None:
    """The schema wants none rather than an empty one."""
    assert "reportData" not in told_once(VariablePage(7, 0, AT, (), more=False), "NotifyReport")


def test_a_values_list_that_is_too_long_ends_with_a_whole_value() -> None:
    """# 2.0.1 VariableCharacteristicsType: 1000 characters."""
    values = tuple(f"value-{number:04}" for number in range(200))
    row = ReportedVariable(
        *("C", "V", None, None, None), (("Actual", "x", "ReadOnly", True, True),), "MemberList", values=values
    )
    told_values = report_data(row)["variableCharacteristics"]["valuesList"].split(",")

    assert tuple(told_values) == values[:90]
