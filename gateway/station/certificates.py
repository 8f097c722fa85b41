"""Installed certificates: whom the station trusts is decided here, from what the edge has read (# M03, M04, M05)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import Struct

from gateway.station import own_certificates, security
from gateway.station.certificate_work import (
    CSMS_ROOT,
    MANUFACTURER_ROOT,
    CertificateFacts,
    CertificatesReply,
    CertificateWork,
    Examine,
    Unusable,
)
from gateway.station.effects import Answer
from gateway.station.records import CertificateRecord
from gateway.station.requests import StatusReply

if TYPE_CHECKING:
    from gateway.station.certificate_work import (
        CertificateDeletionRequested,
        CertificateGiven,
        CertificatesRequested,
        CertificateWorked,
    )
    from gateway.station.state import StationState
    from gateway.station.turn import Turn

EXAMINED_WITHIN_S = 15.0
"""Then the CSMS gets an honest refusal, before it gives up."""
_USES = frozenset({CSMS_ROOT, MANUFACTURER_ROOT})
MOST_EXAMINED = 8
"""More than this are not examined at once; a further one fails at once."""


class Examination(Struct):
    """A certificate that the CSMS gave, while the edge reads it."""

    ref: int
    """The CSMS's CALL that waits."""
    use: str
    deadline: float
    """Monotonic."""


class Certificates:
    """What a station knows about certificates."""

    __slots__ = ("examined", "installed")

    def __init__(self) -> None:
        """Nothing is installed."""
        self.installed: dict[str, CertificateRecord] = {}
        """By key, in the order of installation."""
        self.examined: dict[int, Examination] = {}
        """By the ref of the task."""

    def restore(self, records: Iterable[Struct]) -> None:
        """Take up what a former process left."""
        kept = [record for record in records if isinstance(record, CertificateRecord)]
        for record in sorted(kept, key=lambda record: record.number):
            self.installed[_key(record.use, record.facts)] = record


def roots(state: StationState, use: str) -> tuple[str, ...]:
    """The PEMs of the installed certificates of a use, in the order of installation."""
    return tuple(record.facts.pem for record in _of(state, use))


# ------------------------------------------------------------------ installing


def given(state: StationState, turn: Turn, request: CertificateGiven, ref: int) -> StatusReply | None:
    """# M05: the edge reads it first; None: the reply comes later."""
    state_of = state.certificates
    if request.use not in _USES:
        return StatusReply(
            status="Rejected", reason_code="NotSupported", info=f"{request.use} is of no use here"
        )
    if not state.storing:
        return StatusReply(status="Failed", reason_code="OutOfStorage", info="the gateway's disk is full")
    if len(state_of.examined) >= MOST_EXAMINED:
        return StatusReply(status="Failed", info="too many certificates at once")
    task = state.next_number(turn)
    state_of.examined[task] = Examination(ref, request.use, turn.now.monotonic + EXAMINED_WITHIN_S)
    turn.do(CertificateWork(task, Examine(request.pem, roots(state, request.use))))
    return None


def worked(state: StationState, turn: Turn, event: CertificateWorked) -> None:
    """The edge has read what the CSMS gave, perhaps too late."""
    examination = state.certificates.examined.pop(event.ref, None)
    if examination is None:
        own_certificates.worked(state, turn, event)
    elif not isinstance(event.outcome, (CertificateFacts, Unusable)):
        turn.do(
            Answer(examination.ref, StatusReply(status="Failed", info="the certificate was not examined"))
        )
    else:
        before = len(turn.effects)
        reply = _verdict(state, turn, examination.use, event.outcome)
        turn.effects.insert(before, Answer(examination.ref, reply))


def _verdict(state: StationState, turn: Turn, use: str, outcome: CertificateFacts | Unusable) -> StatusReply:
    if isinstance(outcome, Unusable):
        return _refused(state, turn, use, outcome.why)
    if state.wall_now > outcome.not_after:
        return _refused(state, turn, use, f"{outcome.subject} has expired")  # [TC_078]
    if not outcome.is_authority:
        return _refused(state, turn, use, f"{outcome.subject} is no authority's certificate")
    if outcome.issuer is None:
        return _refused(
            state, turn, use, f"{outcome.subject} is signed neither by itself nor by one that is installed"
        )
    if _key(use, outcome) in state.certificates.installed:
        return StatusReply(status="Accepted")  # M05.FR.17
    if use == CSMS_ROOT and state.variables.additional_root_check:
        return _succeed(state, turn, outcome)
    if len(state.certificates.installed) >= state.variables.certificate_store_length:
        return StatusReply(status="Rejected", reason_code="OutOfStorage", info="the store is full")
    _keep(state, turn, use, outcome)
    return StatusReply(status="Accepted")


def _succeed(state: StationState, turn: Turn, facts: CertificateFacts) -> StatusReply:
    """# AdditionalRootCertificateCheck: signed by the one it replaces, which stays until the new one has worked."""
    held = _of(state, CSMS_ROOT)
    signer = next((record for record in held if record.facts.fingerprint == facts.issuer), None)
    if held and signer is None:
        return _refused(state, turn, CSMS_ROOT, f"{facts.subject} is not signed by the root it would replace")
    for record in held:
        if record is not signer:
            _drop(state, turn, record)
    _keep(state, turn, CSMS_ROOT, facts)
    return StatusReply(status="Accepted")


def _refused(state: StationState, turn: Turn, use: str, why: str) -> StatusReply:
    if use == CSMS_ROOT:
        security.record(state, turn, "InvalidCsmsCertificate", why)  # [TC_078]
    return StatusReply(status="Rejected", reason_code="InvalidCertificate", info=why)


def _keep(state: StationState, turn: Turn, use: str, facts: CertificateFacts) -> None:
    record = CertificateRecord(use, facts, state.next_number(turn))
    key = _key(use, facts)
    state.certificates.installed[key] = record
    turn.save("certificate", key, record)
    security.record(
        state, turn, "ReconfigurationOfSecurityParameters", f"{use} {facts.subject} was installed"
    )


# ------------------------------------------------------------------ telling, deleting


def requested(state: StationState, request: CertificatesRequested) -> CertificatesReply:
    """# M03."""
    found = tuple(
        (record.use, record.facts.hashes[0])
        for record in state.certificates.installed.values()
        if not request.uses or record.use in request.uses
    )
    return CertificatesReply("Accepted" if found else "NotFound", found)


def deletion_requested(state: StationState, turn: Turn, request: CertificateDeletionRequested) -> StatusReply:
    """# M04."""
    name = request.hash.normal()
    found = [record for record in state.certificates.installed.values() if name in record.facts.hashes]
    if not found:
        return StatusReply(status="NotFound")
    if any(_in_use(state, record) for record in found):
        return StatusReply(status="Failed", info="the connection to the CSMS rests on it")
    for record in found:
        _drop(state, turn, record)
        why = f"{record.use} {record.facts.subject} was deleted"
        security.record(state, turn, "ReconfigurationOfSecurityParameters", why)
    return StatusReply(status="Accepted")


def _in_use(state: StationState, record: CertificateRecord) -> bool:
    """Whether without it the station might not find back to its CSMS."""
    return (
        record.use == CSMS_ROOT
        and state.config.security_profile >= 2
        and "authority" not in state.config.configured
        and len(_of(state, CSMS_ROOT)) == 1
    )


def _drop(state: StationState, turn: Turn, record: CertificateRecord) -> None:
    key = _key(record.use, record.facts)
    del state.certificates.installed[key]
    turn.save("certificate", key, None)


# ------------------------------------------------------------------ time


def settle(state: StationState, turn: Turn) -> None:
    """Who has waited too long gets an honest answer."""
    examined, now = state.certificates.examined, turn.now.monotonic
    if not examined:
        return
    for task in [task for task, examination in examined.items() if now >= examination.deadline]:
        reply = StatusReply(status="Failed", info="the certificate was not examined in time")
        turn.do(Answer(examined.pop(task).ref, reply))


def deadline(state: StationState) -> float | None:
    """When somebody has waited too long, monotonic."""
    return min((examination.deadline for examination in state.certificates.examined.values()), default=None)


# ------------------------------------------------------------------ private


def _of(state: StationState, use: str) -> list[CertificateRecord]:
    return [record for record in state.certificates.installed.values() if record.use == use]


def _key(use: str, facts: CertificateFacts) -> str:
    return f"{use}/{facts.fingerprint}"
