"""What is known of tokens: the local list first, then the cache; and what of a token others may see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station import local_list, status_reports
from gateway.station.effects import Command, Notify
from gateway.station.model import AuthorizationStatus, IdToken, TokenInfo
from gateway.station.records import CacheRecord

if TYPE_CHECKING:
    from gateway.station.state import StationState
    from gateway.station.turn import Turn

CACHE_ENTRIES = 500
"""More are not kept; refused ones go first, then the least recently used (# C10.FR.07)."""

WITHOUT_CSMS = frozenset({"Central", "NoAuthorization"})
"""Token types that need no Authorize (# C02, C03, C05)."""


def remembered(state: StationState, token: IdToken) -> TokenInfo | None:
    """What list or cache say about a token now; the list first (# C13.FR.01, 1.6 §3.5.3)."""
    return local_list.find(state, token) or cached(state, token)


def cached(state: StationState, token: IdToken) -> TokenInfo | None:
    """What the cache says about a token now; an expired entry says Expired."""
    if not state.variables.cache_enabled:
        return None
    record = state.cache.get(token.id_token.casefold())
    if record is None:
        return None
    now = state.wall_now
    lifetime_s = state.variables.cache_lifetime_s
    expired = record.info.expires_at is not None and now >= record.info.expires_at
    if record.info.expires_at is None and lifetime_s > 0 and now >= record.used_at + lifetime_s:
        expired = True  # C10.FR.08
    if expired:
        return TokenInfo(AuthorizationStatus.EXPIRED, record.info.group)
    return record.info


def learn(state: StationState, turn: Turn, token: IdToken, info: TokenInfo) -> None:
    """Keep what the CSMS said about a token, unless it has listed it (# C10.FR.01, 1.6 §3.5.1, §3.5.3)."""
    if token.type in WITHOUT_CSMS:
        return
    listed = local_list.find(state, token)
    if listed is not None:
        if local_list.contradicts(listed, info):
            status_reports.list_conflict(state)
        return
    if not state.variables.cache_enabled:
        return
    key = token.id_token.casefold()
    record = CacheRecord(info, state.wall_now)
    state.cache[key] = record
    state.cache.move_to_end(key)
    turn.save("cache", key, record)
    while len(state.cache) > CACHE_ENTRIES:
        accepted = AuthorizationStatus.ACCEPTED
        refused = next((k for k, r in state.cache.items() if r.info.status is not accepted), None)
        gone = refused if refused is not None else next(iter(state.cache))
        del state.cache[gone]
        turn.save("cache", gone, None)


def clear_cache(state: StationState, turn: Turn) -> bool:
    """# C11; False when there is no cache."""
    if not state.variables.cache_enabled:
        return False
    for key in state.cache:
        turn.save("cache", key, None)
    state.cache.clear()
    return True


def say(
    state: StationState,
    turn: Turn,
    n: int,
    token: IdToken,
    verdict_word: str,
    gesture: str | None,
    info: str = "",
) -> None:
    """Tell the reader (for its beep and light) and everybody who listens."""
    data: dict[str, object] = {
        "id": gesture,
        "verdict": verdict_word,
        "id_token": shown(state, token),
        "type": token.type,
        "info": info,
    }
    turn.do(Notify(n, "card", verdict_word, data))
    beep = "refused" if verdict_word in {"cancelled", "timeout"} else verdict_word
    if gesture is not None or "card_result" in state.record.commands:
        turn.do(
            Command(
                n,
                "card_result",
                gesture or state.next_id(turn),
                30,
                {"verdict": beep},
                state.record.device_boot_id,
            )
        )


def shown(state: StationState, token: IdToken) -> str:
    """A token as others may see it."""
    if token.type == "KeyCode":
        return "***"
    if state.config.policy.clear_token_in_state:
        return token.id_token
    text = token.id_token
    return "***" if len(text) < 6 else f"{text[:2]}…{text[-2:]}"
