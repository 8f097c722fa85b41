"""The local authorization list (# 1.6 §5.10, §5.15)."""

from __future__ import annotations

from gateway.csms.dialect import Block, Hearing, Payload
from gateway.csms.v16.authorization import token_info
from gateway.station.model import IdToken
from gateway.station.requests import (
    ListedToken,
    ListVersionReply,
    LocalListGiven,
    LocalListVersionRequested,
    StatusReply,
)

DISABLED = -1
"""The version of a list that is not supported, or not enabled ([TC_042_1])."""


def _send(payload: Payload) -> LocalListGiven:
    return LocalListGiven(
        version=payload["listVersion"],
        full=payload["updateType"] == "Full",
        entries=tuple(_entry(data) for data in payload.get("localAuthorizationList") or ()),
    )


def _entry(data: Payload) -> ListedToken:
    """Without idTagInfo the token leaves the list."""
    info = data.get("idTagInfo")
    return ListedToken(IdToken(data["idTag"]), None if info is None else token_info(info))


def _send_result(_request: Payload, reply: StatusReply) -> Payload:
    if reply.reason_code == "NotEnabled":
        return {"status": "NotSupported"}  # [TC_043_1]
    return {"status": reply.status if reply.status in {"Accepted", "VersionMismatch"} else "Failed"}


def _version(_payload: Payload) -> LocalListVersionRequested:
    return LocalListVersionRequested()


def _version_result(_request: Payload, reply: ListVersionReply) -> Payload:
    return {"listVersion": reply.version if reply.enabled else DISABLED}


BLOCK = Block(
    hears={
        "SendLocalList": Hearing(_send, _send_result),
        "GetLocalListVersion": Hearing(_version, _version_result),
    }
)
