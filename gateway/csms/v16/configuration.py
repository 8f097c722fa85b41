"""GetConfiguration and ChangeConfiguration: 1.6 keys are adapters on variables (# 1.6 §5.3, §5.8, §9)."""

from __future__ import annotations

from gateway.csms.dialect import Block, Hearing, Payload, shortened
from gateway.csms.v16.keys import KEYS, Key, key_named
from gateway.station.requests import VariablesGiven, VariablesReply, VariablesRequested

_STATUSES = {
    "Accepted": "Accepted",
    "RebootRequired": "RebootRequired",
    "UnknownComponent": "NotSupported",
    "UnknownVariable": "NotSupported",
}


def _asked(payload: Payload) -> tuple[list[Key], list[str], bool]:
    """(known keys, unknown keys, whether they were named at all); each once, in the order of the request."""
    names: dict[str, str] = {}
    for name in payload.get("key") or ():
        names.setdefault(name.strip().casefold(), name)
    names.pop("", None)  # Some backends ask for all keys by [""].
    if not names:
        return list(KEYS), [], False
    known: list[Key] = []
    unknown: list[str] = []
    for name in names.values():
        key = key_named(name)
        if key is None:
            unknown.append(name)
        else:
            known.append(key)
    return known, unknown, True


def _get(payload: Payload) -> VariablesRequested:
    known, unknown, _ = _asked(payload)
    return VariablesRequested(tuple(key.ref for key in known), tuple(unknown))


def _get_result(payload: Payload, reply: VariablesReply) -> Payload:
    known, unknown, named = _asked(payload)
    shown: list[Payload] = []
    for key, result in zip(known, reply.results, strict=True):
        if result.status == "Accepted":
            value = shortened(key.shown(result.value or ""), 500)
            shown.append({"key": key.name, "readonly": result.read_only, "value": value})
        elif named and result.status == "Rejected":
            # It exists, but may not be read: AuthorizationKey.
            shown.append({"key": key.name, "readonly": result.read_only})
        elif named:
            unknown.append(key.name)
    answer: Payload = {"configurationKey": shown}
    if unknown:
        answer["unknownKey"] = [shortened(name, 50) for name in unknown]
    return answer


def _change(payload: Payload) -> VariablesGiven:
    """Without entries when 1.6 alone can tell that nothing may change; `_change_result` finds the same."""
    key = key_named(payload["key"])
    value = None if key is None else key.given(payload["value"])
    if key is None or value is None:
        return VariablesGiven(())
    return VariablesGiven(((key.ref, value),))


def _change_result(payload: Payload, reply: VariablesReply) -> Payload:
    key = key_named(payload["key"])
    if not reply.results or key is None:
        return {"status": "NotSupported" if key is None else "Rejected"}
    result = reply.results[0]
    if result.read_only and result.value == key.given(payload["value"]):
        return {"status": "Accepted"}  # some backends write all keys at each boot, those of the station's too
    return {"status": _STATUSES.get(result.status, "Rejected")}


BLOCK = Block(
    hears={
        "GetConfiguration": Hearing(_get, _get_result),
        "ChangeConfiguration": Hearing(_change, _change_result),
    }
)
