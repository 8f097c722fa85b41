"""Tokens that the CSMS has listed: known without asking, before the cache; only the CSMS changes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station.model import AuthorizationStatus, IdToken, TokenInfo
from gateway.station.records import ListedRecord
from gateway.station.requests import ListVersionReply, StatusReply

if TYPE_CHECKING:
    from gateway.station.requests import ListedToken, LocalListGiven
    from gateway.station.state import StationState
    from gateway.station.turn import Turn

# ------------------------------------------------------------------ what it says


def find(state: StationState, token: IdToken) -> TokenInfo | None:
    """What the list says about a token now; an entry beyond its date says Expired (# C13, C14, 1.6 §3.5.2)."""
    if not state.local_list or not state.variables.list_enabled:
        return None
    listed = state.local_list.get(token.id_token.casefold())
    if listed is None:
        return None
    status = listed.status
    if listed.expires_at is not None and state.wall_now >= listed.expires_at:
        status = AuthorizationStatus.EXPIRED
    return TokenInfo(
        status,
        None if listed.group is None else IdToken(listed.group, listed.group_type),
        listed.expires_at,
        listed.evse_ids,
        listed.language,
        listed.message,
    )


def contradicts(listed: TokenInfo, info: TokenInfo) -> bool:
    """Whether list and CSMS disagree about who may charge; a token in use elsewhere is no disagreement."""
    accepted = AuthorizationStatus.ACCEPTED
    if info.status is AuthorizationStatus.CONCURRENT_TX:
        return False
    return (listed.status is accepted) is not (info.status is accepted)


def version(state: StationState) -> int:
    """0 while nothing is listed (# D02, [TC_042_2])."""
    return state.record.local_list_version if state.local_list else 0


def version_reply(state: StationState) -> ListVersionReply:
    """# 1.6 §5.10, D02."""
    return ListVersionReply(version(state), state.variables.list_enabled)


# ------------------------------------------------------------------ how it changes


def given(state: StationState, turn: Turn, request: LocalListGiven) -> StatusReply:
    """Take over a whole list, or changes to it: all of it in one commit, or nothing (# 1.6 §5.15, D01)."""
    if not state.variables.list_enabled:
        return StatusReply(status="Failed", reason_code="NotEnabled")  # [TC_043_1]
    if request.version <= 0 and request.full:
        return StatusReply(status="Failed", reason_code="ValuePositiveOnly")  # [E3.52]
    if not request.full and request.version <= version(state):
        return StatusReply(status="VersionMismatch")  # [TC_043_2]
    refused = _obstacle(state, request)
    if refused is not None:
        return refused
    changes = {_key(entry): _record(entry) for entry in request.entries}
    if request.full:
        changes = dict.fromkeys(state.local_list) | changes
    left = [record for record in (state.local_list | changes).values() if record is not None]
    if len(left) > state.variables.list_length:
        return StatusReply(status="Failed", reason_code="OutOfStorage")
    for key, record in changes.items():
        if record is None:
            if state.local_list.pop(key, None) is not None:
                turn.save("local_list", key, None)
        elif state.local_list.get(key) != record:
            state.local_list[key] = record
            turn.save("local_list", key, record)
        if record is not None and state.cache.pop(key, None) is not None:
            turn.save("cache", key, None)  # 1.6 §3.5.3: a listed token is not in the cache
    state.list_conflict = False
    state.record.local_list_version = request.version
    state.save(turn)
    return StatusReply(status="Accepted")


def _obstacle(state: StationState, request: LocalListGiven) -> StatusReply | None:
    """Why the list stays as it is ([TC_043_3])."""
    entries = request.entries
    if not state.storing:
        return StatusReply(status="Failed", reason_code="OutOfStorage", info="the gateway's disk is full")
    if len(entries) > state.variables.list_items_per_message:
        return StatusReply(status="Failed", reason_code="TooManyElements")
    if len({_key(entry) for entry in entries}) < len(entries):
        return StatusReply(status="Failed", reason_code="InvalidValue", info="a token is named twice")
    if request.full and any(entry.info is None for entry in entries):
        return StatusReply(status="Failed", reason_code="MissingParam", info="a token has no status")
    return None


def _key(entry: ListedToken) -> str:
    return entry.token.id_token.casefold()


def _record(entry: ListedToken) -> ListedRecord | None:
    info = entry.info
    if info is None:
        return None
    group = info.group
    return ListedRecord(
        info.status,
        None if group is None else group.id_token,
        "Central" if group is None else group.type,
        info.expires_at,
        info.evse_ids,
        info.language,
        info.message,
    )
