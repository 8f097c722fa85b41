"""What many messages of 2.0.1 share: statuses with their statusInfo, and places in the station."""

from __future__ import annotations

from collections.abc import Callable

from gateway.csms.dialect import Payload, shortened
from gateway.station.requests import Place, StatusReply


def status_result(*words: str, otherwise: str = "Rejected") -> Callable[[Payload, StatusReply], Payload]:
    """A CALLRESULT `{"status": …}`: one of `words` as the core said it, `otherwise` for all others."""
    allowed = frozenset(words)

    def result(_request: Payload, reply: StatusReply) -> Payload:
        status = reply.status if reply.status in allowed else otherwise
        return with_status_info({"status": status}, "statusInfo", reply.reason_code, reply.info)

    return result


def with_status_info(payload: Payload, field: str, reason_code: str | None, info: str | None) -> Payload:
    """The same payload; without a reason code 2.0.1 has no place for an explanation."""
    if reason_code:
        status_info = {"reasonCode": shortened(reason_code, 20)}
        if info:
            status_info["additionalInfo"] = shortened(info, 512)
        payload[field] = status_info
    return payload


def place_of(evse: Payload | None) -> Place:
    """An EVSEType; absent: the whole station."""
    return Place() if evse is None else Place(evse=evse["id"], connector=evse.get("connectorId"))


def evse_type(evse: int, connector: int | None) -> Payload:
    return {"id": evse} if connector is None else {"id": evse, "connectorId": connector}


def component_type(
    name: str, instance: str | None = None, evse: int | None = None, connector: int | None = None
) -> Payload:
    component: Payload = {"name": shortened(name, 50)}
    if instance is not None:
        component["instance"] = shortened(instance, 50)
    if evse is not None:
        component["evse"] = evse_type(evse, connector)
    return component


def variable_type(name: str, instance: str | None = None) -> Payload:
    variable: Payload = {"name": shortened(name, 50)}
    if instance is not None:
        variable["instance"] = shortened(instance, 50)
    return variable
