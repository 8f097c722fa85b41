"""Variables read, written and reported (# B05, B06, B07)."""

from __future__ import annotations

from gateway.csms.dialect import Block, Call, Hearing, Payload, Telling, acknowledged, shortened
from gateway.csms.timestamps import format_time
from gateway.csms.v201.words import component_type, status_result, variable_type, with_status_info
from gateway.station.reports import ReportedVariable, VariablePage
from gateway.station.requests import (
    InventoryRequested,
    VariableRef,
    VariableResult,
    VariablesGiven,
    VariablesReply,
    VariablesRequested,
)
from gateway.station.variable_definitions import HIDDEN

MAX_VALUES_LIST = 1000
MAX_VALUE = 2500


# ------------------------------------------------------------------ GetVariables, SetVariables


def _get(payload: Payload) -> VariablesRequested:
    return VariablesRequested(tuple(_ref(entry) for entry in payload["getVariableData"]))


def _get_result(payload: Payload, reply: VariablesReply) -> Payload:
    entries = zip(payload["getVariableData"], reply.results, strict=True)
    return {"getVariableResult": [_got(entry, result) for entry, result in entries]}


def _got(entry: Payload, result: VariableResult) -> Payload:
    got = _echo(entry, result)
    if result.status == "Accepted":  # B06.FR.01: "" where nothing is known
        got["attributeValue"] = shortened(result.value or "", MAX_VALUE)
    return got


def _set(payload: Payload) -> VariablesGiven:
    return VariablesGiven(
        tuple((_ref(entry), entry["attributeValue"]) for entry in payload["setVariableData"])
    )


def _set_result(payload: Payload, reply: VariablesReply) -> Payload:
    entries = zip(payload["setVariableData"], reply.results, strict=True)
    return {"setVariableResult": [_echo(entry, result) for entry, result in entries]}


def _ref(entry: Payload) -> VariableRef:
    component, variable = entry["component"], entry["variable"]
    evse: Payload = component.get("evse") or {}
    name: str = component["name"]
    return VariableRef(
        # What is kept for 1.6 alone does not exist here: the empty name belongs to nothing.
        component="" if name.casefold() == HIDDEN.casefold() else name,
        variable=variable["name"],
        instance=variable.get("instance"),
        component_instance=component.get("instance"),
        evse=evse.get("id"),
        connector=evse.get("connectorId"),
        attribute=entry.get("attributeType", "Actual"),
    )


def _echo(entry: Payload, result: VariableResult) -> Payload:
    """An entry's names as the CSMS spelt them, with its status; customData stay here (# B05.FR.01)."""
    component, variable = entry["component"], entry["variable"]
    evse: Payload = component.get("evse") or {}
    echo: Payload = {
        "attributeStatus": result.status,
        "attributeType": entry.get("attributeType", "Actual"),
        "component": component_type(
            component["name"], component.get("instance"), evse.get("id"), evse.get("connectorId")
        ),
        "variable": variable_type(variable["name"], variable.get("instance")),
    }
    return with_status_info(echo, "attributeStatusInfo", result.reason_code, result.info)


# ------------------------------------------------------------------ GetBaseReport, NotifyReport


def _base_report(payload: Payload) -> InventoryRequested:
    return InventoryRequested(payload["requestId"], payload["reportBase"])


def _page_calls(page: VariablePage) -> list[Call]:
    payload: Payload = {
        "requestId": page.request_id,
        "generatedAt": format_time(page.at),
        "seqNo": page.seq,
        "tbc": page.more,
    }
    if page.variables:
        payload["reportData"] = [report_data(variable) for variable in page.variables]
    return [Call("NotifyReport", payload)]


def report_data(reported: ReportedVariable) -> Payload:
    """One element of NotifyReport's `reportData`; a page's size is the sum of theirs."""
    characteristics: Payload = {"dataType": reported.data_type, "supportsMonitoring": reported.monitored}
    if reported.unit is not None:
        characteristics["unit"] = shortened(reported.unit, 16)
    if reported.min_limit is not None:
        characteristics["minLimit"] = reported.min_limit
    if reported.max_limit is not None:
        characteristics["maxLimit"] = reported.max_limit
    if reported.values:
        characteristics["valuesList"] = _values_list(reported.values)
    return {
        "component": component_type(
            reported.component, reported.component_instance, reported.evse, reported.connector
        ),
        "variable": variable_type(reported.variable, reported.instance),
        "variableAttribute": [_attribute(*attribute) for attribute in reported.attributes],
        "variableCharacteristics": characteristics,
    }


def _attribute(kind: str, value: str | None, mutability: str, persistent: bool, constant: bool) -> Payload:
    attribute: Payload = {
        "type": kind,
        "mutability": mutability,
        "persistent": persistent,
        "constant": constant,
    }
    if value is not None:
        attribute["value"] = shortened(value, MAX_VALUE)
    return attribute


def _values_list(values: tuple[str, ...]) -> str:
    """As many whole values as have room."""
    text = ",".join(values)
    while len(text) > MAX_VALUES_LIST:
        text = text[:MAX_VALUES_LIST].rpartition(",")[0]
    return text


BLOCK = Block(
    tells={VariablePage: Telling(_page_calls, acknowledged)},
    hears={
        "GetVariables": Hearing(_get, _get_result),
        "SetVariables": Hearing(_set, _set_result),
        "GetBaseReport": Hearing(_base_report, status_result("Accepted", "NotSupported", "EmptyResultSet")),
    },
)
