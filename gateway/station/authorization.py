"""Who may charge: tokens, the cache, the offline rules; a card acts once, and never late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gateway.station import (
    availability,
    flows,
    gestures,
    grants,
    local_list,
    report_only,
    reservations,
    tokens,
)
from gateway.station.effects import Ask
from gateway.station.model import AuthorizationStatus, IdToken, StopReason, TokenInfo, TriggerReason
from gateway.station.reports import Authorization, AuthorizationAnswer, Failed, FailureKind
from gateway.station.state import Grant, Question

if TYPE_CHECKING:
    from gateway.station.events import FlowAnswered, TokenPresented
    from gateway.station.reports import Answer
    from gateway.station.state import Evse, StationState
    from gateway.station.turn import Turn


# ------------------------------------------------------------------ verdicts


def verdict(state: StationState, token: IdToken, *, remote: bool = False) -> TokenInfo | None:
    """What the station may decide by itself about a token; None: ask the CSMS, or refuse when offline.

    # 1.6 §3.5, C10, C12, C13, C15.
    """
    variables = state.variables
    if token.type in tokens.WITHOUT_CSMS or not variables.authorization_enabled:
        return TokenInfo(AuthorizationStatus.ACCEPTED)
    if remote and not variables.authorize_remote_start:
        return TokenInfo(AuthorizationStatus.ACCEPTED)
    if state.config.policy.authorizer == "local":
        return _decided_here(state, token)
    listed = local_list.find(state, token)
    known = listed or tokens.cached(state, token)
    if variables.remote_authorization_disabled:
        return known or TokenInfo(AuthorizationStatus.UNKNOWN)
    if state.online:
        if known is None or not variables.local_pre_authorize:
            return None
        final = variables.cache_post_authorize_disabled
        if listed is not None:
            final = variables.list_post_authorize_disabled
        if known.status is AuthorizationStatus.ACCEPTED or final:
            return known
        return None  # C10.FR.03, C14.FR.03: not accepted here, but the CSMS may know better
    if known is not None:
        if known.status is not AuthorizationStatus.ACCEPTED:
            return known  # C13.FR.03, C15.FR.03: listed as refused stays refused
        return known if variables.local_authorize_offline else TokenInfo(AuthorizationStatus.UNKNOWN)
    if variables.offline_tx_for_unknown_id:
        return TokenInfo(AuthorizationStatus.ACCEPTED)
    return TokenInfo(AuthorizationStatus.UNKNOWN)


def _decided_here(state: StationState, token: IdToken) -> TokenInfo:
    """The local list and the operator's own tokens; what the CSMS said of a token counts for nothing."""
    listed = local_list.find(state, token)
    if listed is not None:
        return listed
    own = state.config.policy.local_tokens
    known = any(token.id_token.casefold() == one.casefold() for one in own)
    return TokenInfo(AuthorizationStatus.ACCEPTED if known else AuthorizationStatus.UNKNOWN)


# ------------------------------------------------------------------ a card


def present(state: StationState, turn: Turn, event: TokenPresented) -> None:
    """A token was shown: start, stop, cancel, or nothing; each showing once (# 1.6 §4.1, C01, C09)."""
    token = event.token
    seen = gestures.seen(
        state,
        turn,
        event.gesture_id,
        event.at,
        backlog=event.backlog,
        repeat=(event.n, token.id_token.casefold()),
    )
    if seen is not gestures.Seen.NEW:
        if seen is gestures.Seen.LATE:
            tokens.say(state, turn, event.n, token, "late", event.gesture_id)
        return
    if state.config.report_only:
        report_only.card_shown(state, turn, event)
        return
    if event.n:
        evse = state.evse_of(event.n)
    else:
        found = _evse_for_station_reader(state, token)
        if found is None:
            _present_to_station(state, turn, event)
            return
        evse = found
    _present_at(state, turn, evse, event.n, token, event.gesture_id)


def _evse_for_station_reader(state: StationState, token: IdToken) -> Evse | None:
    """Its own transaction, else the only plugged connector that is free, else none yet."""
    evses = list(state.evses.values())
    if len(evses) == 1:
        return evses[0]
    for evse in evses:
        holder = evse.transaction.token if evse.transaction is not None else None
        if holder is None and evse.grant is not None:
            holder = evse.grant.token
        if holder is not None and holder.same_as(token):
            return evse
    for evse in evses:
        transaction = evse.transaction
        if (
            transaction is not None
            and transaction.authorized
            and _same_group(state, transaction.group, token)
        ):
            return evse
    free = [
        evse
        for evse in evses
        if evse.grant is None
        and evse.question is None
        and (evse.transaction is None or not evse.transaction.authorized)
        and any(availability.is_plugged(evse, connector) for connector in evse.connectors)
    ]
    return free[0] if len(free) == 1 else reservations.evse_for(state, token)


def _present_to_station(state: StationState, turn: Turn, event: TokenPresented) -> None:
    """No connector yet: the next one plugged is meant."""
    token = event.token
    grant = state.station_grant
    if grant is not None:
        if grant.token.same_as(token):
            state.station_grant = None  # [TC_061] shown twice before plugging in: cancelled
            tokens.say(state, turn, 0, token, "cancelled", event.gesture_id)
        else:
            tokens.say(state, turn, 0, token, "busy", event.gesture_id)
        return
    if state.station_question is not None:
        tokens.say(state, turn, 0, token, "busy", event.gesture_id)
        return
    if all(grants.is_kept_from(state, evse, token, None) for evse in state.evses.values()):
        tokens.say(state, turn, 0, token, "refused", event.gesture_id, "reserved")
        return
    if flows.is_asked(state, token):
        state.station_question = flows.ask(state, turn, token, 0, event.gesture_id)
        return
    _ask_at_station(state, turn, token, event.gesture_id)


def _ask_at_station(state: StationState, turn: Turn, token: IdToken, gesture: str | None) -> None:
    info = verdict(state, token)
    if info is None:
        state.station_question = _ask(state, turn, token, 0, None, gesture)
    else:
        _judged_station(state, turn, token, info, gesture)


def _present_at(
    state: StationState, turn: Turn, evse: Evse, n: int, token: IdToken, gesture: str | None
) -> None:
    transaction = evse.transaction
    if evse.question is not None or (transaction is not None and transaction.ending):
        if evse.question is None or not evse.question.token.same_as(token):
            tokens.say(state, turn, n, token, "busy", gesture)
        return
    if transaction is not None and (transaction.authorized or transaction.refused is not None):
        _stop_by(state, turn, evse, n, token, gesture)
        return
    if evse.grant is not None:
        if evse.grant.token.same_as(token):
            grants.take_back(state, turn, evse, StopReason.LOCAL, TriggerReason.STOP_AUTHORIZED, token)
            tokens.say(state, turn, n, token, "cancelled", gesture)  # [TC_061]
        else:
            tokens.say(state, turn, n, token, "busy", gesture)
        return
    connector = availability.active_connector(evse) if n == 0 else state.by_n[n]
    if connector.record.keep_locked:
        connector.record.keep_locked = False
        state.save_connector(turn, connector)
    obstacle = grants.obstacle_to_start(state, evse, connector.config.n)
    if obstacle is not None:
        tokens.say(state, turn, n, token, "refused", gesture, obstacle)
        return
    _start(state, turn, evse, n, token, gesture)


def _start(state: StationState, turn: Turn, evse: Evse, n: int, token: IdToken, gesture: str | None) -> None:
    if grants.is_kept_from(state, evse, token, None):
        tokens.say(state, turn, n, token, "refused", gesture, "reserved")  # [TC_046_1]
        return
    if flows.is_asked(state, token):
        evse.question = flows.ask(state, turn, token, n, gesture)
        return
    _ask_at(state, turn, evse, n, token, gesture)


def _ask_at(state: StationState, turn: Turn, evse: Evse, n: int, token: IdToken, gesture: str | None) -> None:
    info = _verdict_at(state, evse, token)
    if info is None:
        evse.question = _ask(state, turn, token, n, evse.id, gesture)
    else:
        _judged(state, turn, evse, n, token, info, gesture)


def _verdict_at(
    state: StationState, evse: Evse, token: IdToken, group: IdToken | None = None, *, remote: bool = False
) -> TokenInfo | None:
    """The verdict; None also when a reservation wants the token's group known (# 1.6 §5.13, H03)."""
    info = verdict(state, token, remote=remote)
    if info is None or info.status is not AuthorizationStatus.ACCEPTED:
        return info
    if info.group is None and group is not None:
        info = replace(info, group=group)
    claim = reservations.claim(state, evse, token, info.group or grants.group_of(state, token))
    return None if claim.unsure and grants.can_ask(state) else info


def _stop_by(
    state: StationState, turn: Turn, evse: Evse, n: int, token: IdToken, gesture: str | None
) -> None:
    """A token at a running transaction: its own stops, one of its group stops, any other is refused."""
    transaction = evse.transaction
    if transaction is None:
        return
    holder = transaction.token
    if holder is not None and holder.same_as(token):  # [TC_068], C01.FR.03
        grants.take_back(state, turn, evse, StopReason.LOCAL, TriggerReason.STOP_AUTHORIZED, token)
        tokens.say(state, turn, n, token, "accepted", gesture)
        return
    known = tokens.remembered(state, token)
    if transaction.group is None or (known is not None and known.group is not None):
        if _same_group(state, transaction.group, token):  # [TC_069], C09.FR.03
            grants.take_back(state, turn, evse, StopReason.LOCAL, TriggerReason.STOP_AUTHORIZED, token)
            tokens.say(state, turn, n, token, "accepted", gesture)
        else:
            tokens.say(state, turn, n, token, "busy", gesture)
        return
    if flows.is_asked(state, token):
        evse.question = flows.ask(state, turn, token, n, gesture, to_stop=True)
        return
    _ask_to_stop(state, turn, evse, n, token, gesture)


def _ask_to_stop(
    state: StationState, turn: Turn, evse: Evse, n: int, token: IdToken, gesture: str | None
) -> None:
    if grants.can_ask(state):
        evse.question = _ask(state, turn, token, n, evse.id, gesture, to_stop=True)
    else:
        tokens.say(state, turn, n, token, "busy", gesture)


def _same_group(state: StationState, group: IdToken | None, token: IdToken) -> bool:
    known = tokens.remembered(state, token)
    if group is None or known is None or known.group is None:
        return False
    return known.status is AuthorizationStatus.ACCEPTED and known.group.same_as(group)


# ------------------------------------------------------------------ asking


def _ask(
    state: StationState,
    turn: Turn,
    token: IdToken,
    n: int,
    evse_id: int | None,
    gesture: str | None,
    *,
    to_stop: bool = False,
    remote: bool = False,
    remote_start_id: int | None = None,
) -> Question:
    ref = state.next_number(turn)
    turn.do(Ask(ref, Authorization(token, evse_id), urgent=True))
    return Question(ref, token, n, to_stop, remote, remote_start_id, gesture)


def start_remotely(
    state: StationState,
    turn: Turn,
    evse: Evse,
    n: int,
    token: IdToken,
    remote_start_id: int | None,
    group: IdToken | None,
) -> None:
    """A token that the CSMS, or somebody on MQTT, sends instead of a card (# F01, F02, 1.6 §5.11)."""
    info = _verdict_at(state, evse, token, group, remote=True)
    if info is None:
        evse.question = _ask(
            state, turn, token, n, evse.id, None, remote=True, remote_start_id=remote_start_id
        )
        return
    _judged(state, turn, evse, n, token, info, None, remote=True, remote_start_id=remote_start_id)


def start_as_card(state: StationState, turn: Turn, evse: Evse, n: int, token: IdToken) -> None:
    """Somebody on MQTT shows a token in place of a card."""
    _start(state, turn, evse, n, token, None)


def answered(state: StationState, turn: Turn, ref: int, answer: Answer) -> bool:
    """An Authorize is answered, or failed; True when the question was ours."""
    question = state.station_question
    if question is not None and question.ref == ref:
        state.station_question = None
        info = _learned(state, turn, question, answer)
        _judged_station(state, turn, question.token, info, question.gesture)
        return True
    for evse in state.evses.values():
        question = evse.question
        if question is not None and question.ref == ref:
            evse.question = None
            info = _learned(state, turn, question, answer)
            _answered_at(state, turn, evse, question, info)
            return True
    return False


def flow_answered(state: StationState, turn: Turn, event: FlowAnswered) -> None:
    """A flow on MQTT has decided, or leaves it to the CSMS; a late answer changes nothing."""
    for question in flows.questions(state):
        if str(question.ref) == event.question:
            _after_flow(state, turn, question, flows.verdict(event))


def time_passed(state: StationState, turn: Turn) -> None:
    """A flow that has not answered in time leaves it to the CSMS."""
    for question in flows.questions(state):
        if question.flow_until is not None and turn.now.monotonic >= question.flow_until:
            _after_flow(state, turn, question, None)


def _after_flow(state: StationState, turn: Turn, question: Question, info: TokenInfo | None) -> None:
    token, gesture = question.token, question.gesture
    if question is state.station_question:
        state.station_question = None
        if info is None:
            _ask_at_station(state, turn, token, gesture)
        else:
            _judged_station(state, turn, token, info, gesture)
        return
    evse = next(evse for evse in state.evses.values() if evse.question is question)
    evse.question = None
    if info is not None:
        _answered_at(state, turn, evse, question, info)
    elif question.to_stop:
        _ask_to_stop(state, turn, evse, question.n, token, gesture)
    else:
        _ask_at(state, turn, evse, question.n, token, gesture)


def link_lost(state: StationState, turn: Turn) -> None:
    """Nobody answers what was asked on the link that is gone: it is decided as if offline (# 1.6 §4.1, C15)."""
    for question in [state.station_question, *(evse.question for evse in state.evses.values())]:
        if question is not None and question.flow_until is None:
            answered(state, turn, question.ref, Failed(FailureKind.LOST))


def _learned(state: StationState, turn: Turn, question: Question, answer: Answer) -> TokenInfo:
    if isinstance(answer, AuthorizationAnswer):
        tokens.learn(state, turn, question.token, answer.info)
        return answer.info
    # No answer: decide as if offline (# 1.6 §4.1, C15).
    state.last_error = (
        f"Authorize failed: {answer.kind} {answer.code}" if isinstance(answer, Failed) else None
    )
    known = tokens.remembered(state, question.token)
    if known is not None:
        accepted = known.status is AuthorizationStatus.ACCEPTED
        if not accepted or state.variables.local_authorize_offline:
            return known
    elif state.variables.offline_tx_for_unknown_id and not state.linked:
        return TokenInfo(AuthorizationStatus.ACCEPTED)
    return TokenInfo(AuthorizationStatus.UNKNOWN)


def _answered_at(state: StationState, turn: Turn, evse: Evse, question: Question, info: TokenInfo) -> None:
    if question.to_stop:
        transaction = evse.transaction
        group = None if transaction is None else transaction.group
        if (
            transaction is not None
            and not transaction.ending
            and group is not None
            and info.group is not None
            and info.status is AuthorizationStatus.ACCEPTED  # C09.FR.11
            and info.group.same_as(group)
        ):
            grants.take_back(
                state, turn, evse, StopReason.LOCAL, TriggerReason.STOP_AUTHORIZED, question.token
            )
            tokens.say(state, turn, question.n, question.token, "accepted", question.gesture)
        else:
            tokens.say(state, turn, question.n, question.token, "busy", question.gesture)
        return
    connector = availability.active_connector(evse) if question.n == 0 else state.by_n[question.n]
    obstacle = grants.obstacle_to_start(state, evse, connector.config.n)
    if obstacle is not None and info.status is AuthorizationStatus.ACCEPTED:
        tokens.say(state, turn, question.n, question.token, "refused", question.gesture, obstacle)
        return
    _judged(
        state,
        turn,
        evse,
        question.n,
        question.token,
        info,
        question.gesture,
        remote=question.remote,
        remote_start_id=question.remote_start_id,
    )
    if evse.grant is not None:
        evse.grant.profile = question.profile


# ------------------------------------------------------------------ granting and taking back


def _judged(
    state: StationState,
    turn: Turn,
    evse: Evse,
    n: int,
    token: IdToken,
    info: TokenInfo,
    gesture: str | None,
    *,
    remote: bool = False,
    remote_start_id: int | None = None,
) -> None:
    status = info.status
    if status is AuthorizationStatus.ACCEPTED and info.evse_ids and evse.id not in info.evse_ids:
        status = AuthorizationStatus.NOT_AT_THIS_LOCATION  # C01.FR.21
    master = state.variables.master_pass_group
    if master and info.group is not None and info.group.id_token.casefold() == master.casefold():
        status = AuthorizationStatus.INVALID  # C12.FR.05, C16.FR.05: a master pass never starts
    if status is not AuthorizationStatus.ACCEPTED:
        unknown = status in {AuthorizationStatus.UNKNOWN, AuthorizationStatus.INVALID}
        tokens.say(state, turn, n, token, "unknown" if unknown else "refused", gesture, str(status))
        return
    claim = reservations.claim(state, evse, token, info.group or grants.group_of(state, token))
    if not claim.allowed:
        tokens.say(state, turn, n, token, "refused", gesture, "reserved")
        return
    trigger = TriggerReason.REMOTE_START if remote else TriggerReason.AUTHORIZED
    evse.grant = Grant(
        token,
        info.group,
        n,
        turn.now.monotonic,
        trigger,
        remote_start_id=remote_start_id,
        remote=remote,
        reservation_id=claim.reservation_id,
    )
    evse.trigger = trigger
    grants.leave_reserved(state, turn, evse)
    tokens.say(state, turn, n, token, "accepted", gesture, info.message or "")


def _judged_station(
    state: StationState, turn: Turn, token: IdToken, info: TokenInfo, gesture: str | None
) -> None:
    if info.status is not AuthorizationStatus.ACCEPTED:
        tokens.say(state, turn, 0, token, "refused", gesture, str(info.status))
        return
    state.station_grant = Grant(token, info.group, 0, turn.now.monotonic, TriggerReason.AUTHORIZED)
    evse = _evse_for_station_reader(state, token)
    if evse is not None:  # its plug came while the CSMS was asked
        evse.trigger = evse.trigger or TriggerReason.CABLE_PLUGGED_IN
    tokens.say(state, turn, 0, token, "accepted", gesture)
