"""The station's own certificate: asked for with a key pair that never leaves, checked, used (# A02, A03)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import Struct

from gateway.station import security
from gateway.station.certificate_work import (
    CertificateWork,
    ChainFacts,
    ExamineChain,
    KeepKeys,
    MakeRequest,
    RequestMade,
    Unusable,
)
from gateway.station.effects import Answer, Ask, Notify
from gateway.station.records import OwnCertificateRecord, SigningRecord
from gateway.station.reports import Failed, FailureKind, SigningAnswer, SigningRequest
from gateway.station.requests import StatusReply

if TYPE_CHECKING:
    from gateway.station.certificate_work import CertificateFacts, CertificateSigned, CertificateWorked
    from gateway.station.reports import Answer as CsmsAnswer
    from gateway.station.state import StationState
    from gateway.station.turn import Turn

RENEWED_BEFORE_S = 30 * 86400.0
"""A certificate in use is renewed this long before it ends (# A03)."""
WORKED_WITHIN_S = 15.0
_TRIED_AGAIN_S = 86400.0
"""How long after an attempt of its own the station begins another one."""
_KEPT = 2
"""The one in use, and the one before it as a way back."""


class OwnCertificates:
    """What a station knows about its own certificates."""

    __slots__ = ("asked", "chain", "held", "making", "not_before", "resend_at", "resends", "signing")

    def __init__(self) -> None:
        """There is none."""
        self.held: dict[str, OwnCertificateRecord] = {}
        """By key, in the order in which they came."""
        self.signing: SigningRecord | None = None
        """Asked for and not yet here."""
        self.making: tuple[int, str] | None = None
        """(ref, key) of the task that makes a request."""
        self.chain: tuple[int, int, float] | None = None
        """(ref of the task, the CSMS's CALL that waits, until when): a chain that is examined."""
        self.asked: int | None = None
        """ref of SignCertificate on its way."""
        self.resend_at: float | None = 0.0
        """When SignCertificate is sent (again), monotonic; None: never by itself."""
        self.resends = 0
        self.not_before: float = 0.0
        """No renewal of the station's own accord before this, wall clock."""

    def restore(self, records: Iterable[Struct], signing: Struct | None) -> None:
        """Take up what a former process left."""
        kept = [record for record in records if isinstance(record, OwnCertificateRecord)]
        for record in sorted(kept, key=lambda record: record.number):
            self.held[record.key] = record
        if isinstance(signing, SigningRecord):
            self.signing = signing


def current(state: StationState) -> OwnCertificateRecord | None:
    """The newest that is valid now (# A02.FR.08)."""
    now = state.wall_now
    for record in reversed(state.own.held.values()):
        if record.facts.not_before <= now <= record.facts.not_after:
            return record
    return None


def chain_of(state: StationState, key: str | None) -> tuple[str, str] | None:
    """(key, chain in PEM) of one of them; None: the operator's."""
    record = None if key is None else state.own.held.get(key)
    return None if record is None else (record.key, record.chain)


def go_back(state: StationState, turn: Turn, key: str | None) -> None:
    """Drop what came after this one."""
    for later in reversed(list(state.own.held.values())):
        if later.key == key:
            break
        _drop(state, turn, later)
    _keep_keys(state, turn)


# ------------------------------------------------------------------ asking


def renew(state: StationState, turn: Turn) -> str:
    """Begin: a new key pair and a request; the status of the request that asked for it (# A02.FR.02)."""
    own = state.own
    if not state.storing:
        return "Rejected"
    if own.making is None:
        task = state.next_number(turn)
        own.making = task, f"{task}"
        name = state.config.serial or state.record.serial or state.config.identity
        organization = state.variables.organization_name
        algorithm = state.config.policy.certificate_key
        turn.do(CertificateWork(task, MakeRequest(own.making[1], algorithm, name, organization)))
        own.not_before = state.wall_now + _TRIED_AGAIN_S
    return "Accepted"


def answered(state: StationState, turn: Turn, ref: int, answer: CsmsAnswer) -> bool:
    """Whether this was the answer to SignCertificate."""
    own = state.own
    if ref != own.asked:
        return False
    own.asked = None
    if own.signing is None:
        return True
    if isinstance(answer, SigningAnswer) and not answer.accepted:
        return _given_up(state, turn, "the CSMS does not sign it")  # A02.FR.20
    if isinstance(answer, Failed) and answer.kind is FailureKind.REFUSED:
        return _given_up(state, turn, f"the CSMS refused SignCertificate: {answer.code}")
    if isinstance(answer, Failed) and answer.kind is FailureKind.LOST:
        own.resend_at = turn.now.monotonic
        return True
    wait_s = state.variables.signing_wait_s * 2.0**own.resends
    own.resend_at = turn.now.monotonic + wait_s if own.resends < state.variables.signing_repeats else None
    own.resends += 1
    return True


def _given_up(state: StationState, turn: Turn, why: str) -> bool:
    _end_signing(state, turn)
    _keep_keys(state, turn)
    turn.do(Notify(0, "error", "security", {"type": "CertificateNotSigned", "info": why}))
    return True


def _end_signing(state: StationState, turn: Turn) -> None:
    own = state.own
    own.signing, own.asked, own.resend_at = None, None, None
    turn.save("signing", "main", None)


def link_lost(state: StationState) -> None:
    """The answer will not come."""
    own = state.own
    if own.asked is not None:
        own.asked, own.resend_at = None, 0.0


# ------------------------------------------------------------------ what the CSMS signed


def signed(state: StationState, turn: Turn, request: CertificateSigned, ref: int) -> StatusReply | None:
    """# A02.FR.06: the edge reads it first; None: the reply comes later."""
    own = state.own
    if own.signing is None:
        return _refused(state, turn, "no certificate was asked for")
    if not state.storing:
        return StatusReply(status="Rejected", reason_code="OutOfStorage", info="the gateway's disk is full")
    if len(request.chain) > state.variables.chain_size:
        return _refused(state, turn, f"the chain is longer than {state.variables.chain_size} characters")
    if own.chain is not None:
        return StatusReply(status="Rejected", info="another chain is being examined")
    task = state.next_number(turn)
    own.chain = task, ref, turn.now.monotonic + WORKED_WITHIN_S
    roots = tuple(record.facts.pem for record in state.certificates.installed.values())
    turn.do(CertificateWork(task, ExamineChain(request.chain, own.signing.key, roots)))
    return None


def worked(state: StationState, turn: Turn, event: CertificateWorked) -> None:
    """A task of ours is done, perhaps too late."""
    own = state.own
    if own.making is not None and own.making[0] == event.ref:
        (_, key), own.making = own.making, None
        _request_made(state, turn, key, event)
    elif own.chain is not None and own.chain[0] == event.ref:
        (_, ref, _), own.chain = own.chain, None
        before = len(turn.effects)
        reply = _verdict(state, turn, event)
        turn.effects.insert(before, Answer(ref, reply))
    elif isinstance(event.outcome, Unusable):
        turn.do(Notify(0, "error", "security", {"type": "KeysUnusable", "info": event.outcome.why}))


def _request_made(state: StationState, turn: Turn, key: str, event: CertificateWorked) -> None:
    own, outcome = state.own, event.outcome
    if not isinstance(outcome, RequestMade):
        why = outcome.why if isinstance(outcome, Unusable) else ""
        turn.do(Notify(0, "error", "security", {"type": "CertificateNotRequested", "info": why}))
        return
    own.signing = SigningRecord(key, outcome.request)
    turn.save("signing", "main", own.signing)
    own.asked, own.resend_at, own.resends = None, turn.now.monotonic, 0
    _keep_keys(state, turn)


def _verdict(state: StationState, turn: Turn, event: CertificateWorked) -> StatusReply:
    outcome, signing = event.outcome, state.own.signing
    if isinstance(outcome, Unusable):
        return _refused(state, turn, outcome.why)
    if not isinstance(outcome, ChainFacts) or signing is None:
        return _refused(state, turn, "the certificate asked for meanwhile is another one")
    expired = next((facts for facts in outcome.certificates if state.wall_now > facts.not_after), None)
    if expired is not None:
        return _refused(state, turn, f"{expired.subject} has expired")
    if not outcome.trusted:
        return _refused(state, turn, "none of the installed roots has signed its chain")
    record = OwnCertificateRecord(signing.key, outcome.pem, outcome.certificates[0], state.next_number(turn))
    state.own.held[record.key] = record
    turn.save("own_certificate", record.key, record)
    _end_signing(state, turn)
    for old in list(state.own.held.values())[:-_KEPT]:
        _drop(state, turn, old)
    _keep_keys(state, turn)
    why = f"certificate {record.facts.subject} of the station"
    security.record(state, turn, "ReconfigurationOfSecurityParameters", why)
    return StatusReply(status="Accepted")


def _refused(state: StationState, turn: Turn, why: str) -> StatusReply:
    security.record(state, turn, "InvalidChargingStationCertificate", why)  # A02.FR.07, [TC_077]
    return StatusReply(status="Rejected", reason_code="InvalidCertificate", info=why)


def _drop(state: StationState, turn: Turn, record: OwnCertificateRecord) -> None:
    del state.own.held[record.key]
    turn.save("own_certificate", record.key, None)


def _keep_keys(state: StationState, turn: Turn) -> None:
    """What no record names any more is deleted."""
    own = state.own
    keys = [*own.held, *([own.signing.key] if own.signing is not None else [])]
    turn.do(CertificateWork(state.next_number(turn), KeepKeys(tuple(keys))))


# ------------------------------------------------------------------ time


def settle(state: StationState, turn: Turn) -> None:
    """What is due: a request (again), an honest answer to who waited too long, a renewal."""
    own, now = state.own, turn.now.monotonic
    if own.chain is not None and now >= own.chain[2]:
        reply = StatusReply(status="Rejected", info="the certificate was not examined in time")
        turn.do(Answer(own.chain[1], reply))
        own.chain = None
    due = own.resend_at is not None and now >= own.resend_at
    if own.signing is not None and own.asked is None and state.online and due:
        own.asked, own.resend_at = state.next_number(turn), None
        turn.do(Ask(own.asked, SigningRequest(own.signing.request), urgent=False))
    ends = _renewal(state)
    if ends is not None and state.online and state.wall_now >= ends:
        renew(state, turn)


def _renewal(state: StationState) -> float | None:
    """When the certificate in use is to be renewed, wall clock."""
    own = state.own
    record = current(state) if own.held else None
    told = state.identity.told
    if record is None or told is None or told.certificate != record.key:
        return None
    if own.signing is not None or own.making is not None:
        return None
    return max(record.facts.not_after - RENEWED_BEFORE_S, own.not_before)


def deadline(state: StationState, now: float) -> float | None:
    """When `settle` has something to do, or another certificate becomes the current one; monotonic."""
    own = state.own
    times: list[float | None] = []
    if own.chain is not None:
        times.append(own.chain[2])
    if own.signing is not None and own.asked is None and state.online:
        times.append(own.resend_at)
    if own.held:
        wall = [facts.not_before for facts in _facts(state) if facts.not_before > state.wall_now]
        wall += [facts.not_after for facts in _facts(state) if facts.not_after >= state.wall_now]
        renewal = _renewal(state)
        if renewal is not None and state.online:
            wall.append(renewal)
        times += [now + at - state.wall_now for at in wall]
    return min((time for time in times if time is not None), default=None)


def _facts(state: StationState) -> list[CertificateFacts]:
    return [record.facts for record in state.own.held.values()]
