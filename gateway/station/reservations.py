"""Who may use which EVSE until when: a reservation ends by use, in time, by the CSMS, or with its EVSE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from gateway.station import availability
from gateway.station.effects import Command
from gateway.station.model import ConnectorStatus
from gateway.station.records import ReservationRecord
from gateway.station.requests import StatusReply

if TYPE_CHECKING:
    from gateway.station.model import IdToken, Moment
    from gateway.station.requests import Place, ReservationCancelRequested, ReserveRequested
    from gateway.station.state import Evse, StationState
    from gateway.station.turn import Turn

COMMAND_TTL_S = 30
_BROKEN = {ConnectorStatus.FAULTED, ConnectorStatus.UNAVAILABLE}


class Claim(Struct, frozen=True):
    """What reservations make of a token at an EVSE."""

    allowed: bool
    reservation_id: int | None = None
    """The one that it would use."""
    unsure: bool = False
    """Refused only because its group is not known."""


# ------------------------------------------------------------------ asked by the CSMS


def requested(state: StationState, turn: Turn, request: ReserveRequested) -> StatusReply:
    """# 1.6 §5.13, H01; a reservation of the same id is replaced, or stays as it is when this one is refused."""
    variables = state.variables
    if not variables.reservations_enabled:
        return StatusReply(status="Rejected", reason_code="NotEnabled")  # [TC_048_4], [TC_050_4]
    if not state.storing:
        return StatusReply(status="Rejected", reason_code="OutOfStorage", info="the gateway's disk is full")
    if request.expires_at <= state.wall_now:
        return StatusReply(status="Rejected", reason_code="InvalidValue", info="it has expired already")
    place = request.place
    others = [record for record in state.reservations.values() if record.id != request.reservation_id]
    if _is_unspecific(place):
        if not variables.reserve_unspecific:
            return StatusReply(status="Rejected", reason_code="UnsupportedRequest")
        evse, n = None, 0
        status = _station_status(state, others)
    else:
        evse = _evse_at(state, place)
        if evse is None:
            return StatusReply(status="Rejected", reason_code="UnknownEvse")
        n = place.n or next((c.config.n for c in evse.connectors if c.config.connector == place.connector), 0)
        status = _evse_status(state, evse, n, others)
    if status != "Accepted":
        return StatusReply(status=status)
    if request.reservation_id in state.reservations:
        _end(state, turn, request.reservation_id)
    record = ReservationRecord(
        request.reservation_id,
        request.token,
        request.expires_at,
        request.group,
        None if evse is None else evse.id,
        n,
    )
    state.reservations[record.id] = record
    turn.save("reservation", str(record.id), record)
    _keep(state)
    return StatusReply(status="Accepted")


def cancel_requested(state: StationState, turn: Turn, request: ReservationCancelRequested) -> StatusReply:
    """# 1.6 §5.1, H02."""
    if request.reservation_id not in state.reservations:
        return StatusReply(status="Rejected", reason_code="NotFound")  # [TC_052]
    _end(state, turn, request.reservation_id)
    _keep(state)
    return StatusReply(status="Accepted")


def _is_unspecific(place: Place) -> bool:
    return place.n == 0 if place.n is not None else not place.evse


def _evse_at(state: StationState, place: Place) -> Evse | None:
    if place.n is not None:
        return state.evse_of(place.n) if place.n in state.by_n else None
    evse = state.evses.get(place.evse or 0)
    if evse is None or place.connector in {None, *(c.config.connector for c in evse.connectors)}:
        return evse
    return None


def _evse_status(state: StationState, evse: Evse, n: int, others: list[ReservationRecord]) -> str:
    """Whether an EVSE, or its connector n, can be reserved beside the other reservations."""
    words = _words(state, evse, n)
    if words <= _BROKEN:
        return "Faulted" if ConnectorStatus.FAULTED in words else "Unavailable"
    if not _is_free(evse) or any(record.evse == evse.id for record in others):
        return "Occupied"
    left = [other for other in _free(state, others) if other is not evse]
    return "Occupied" if len(left) < len(_pending(state, others)) else "Accepted"


def _station_status(state: StationState, others: list[ReservationRecord]) -> str:
    """Whether one more EVSE, whichever, can be kept free."""
    if len(_free(state, others)) > len(_pending(state, others)):
        return "Accepted"
    words = {word for evse in state.evses.values() for word in _words(state, evse)}
    if words - _BROKEN:
        return "Occupied"
    return "Faulted" if ConnectorStatus.FAULTED in words else "Unavailable"


# ------------------------------------------------------------------ who may use what


def claim(state: StationState, evse: Evse, token: IdToken, group: IdToken | None) -> Claim:
    """Whether a token may use an EVSE: its own reservation, one of its group, or none at all (# H03)."""
    everything = list(state.reservations.values())
    here = [record for record in everything if record.evse == evse.id]
    keepers = here or _pending(state, everything)
    for record in keepers:
        if record.token.same_as(token):
            return Claim(allowed=True, reservation_id=record.id)
    for record in keepers:
        if group is not None and record.group is not None and record.group.same_as(group):
            return Claim(allowed=True, reservation_id=record.id)  # [TC_053]
    left = [other for other in _free(state, everything) if other is not evse]
    if not here and len(left) >= len(keepers):
        return Claim(allowed=True)
    return Claim(allowed=False, unsure=group is None and any(record.group for record in keepers))


def evse_for(state: StationState, token: IdToken) -> Evse | None:
    """The EVSE that is reserved for a token by name, while nobody uses it."""
    for record in state.reservations.values():
        evse = state.evses.get(record.evse or 0)
        if evse is None or evse.grant is not None or evse.transaction is not None:
            continue
        if record.token.same_as(token):
            return evse
    return None


def consume(state: StationState, turn: Turn, reservation_id: int | None) -> None:
    """A transaction uses it: it is over, and its number is told with the transaction (# H03, 1.6 §4.8)."""
    if reservation_id is not None and state.reservations.pop(reservation_id, None) is not None:
        turn.save("reservation", str(reservation_id), None)
        _keep(state)


# ------------------------------------------------------------------ what becomes of them


def settle(state: StationState, turn: Turn) -> None:
    """What has expired, or whose EVSE can no longer be used, is over."""
    if not state.reservations:
        return
    for record in list(state.reservations.values()):
        expired = state.wall_now >= record.expires_at and record.id not in _in_use(state)
        if expired or _is_lost(state, record):
            _end(state, turn, record.id)
    everything = list(state.reservations.values())
    pending = _pending(state, everything)
    usable = [evse for evse in state.evses.values() if not _words(state, evse) <= _BROKEN]
    taken = {record.evse for record in everything}
    while len(pending) > sum(evse.id not in taken for evse in usable):
        _end(state, turn, pending.pop().id)  # no EVSE is left that could be kept free for it
    _keep(state)


def tell(state: StationState, turn: Turn) -> None:
    """Tell the devices that can show it which connectors are kept free, for which reservation, until when."""
    if "reserve" not in state.record.commands or not state.broker_up:
        return
    for n, connector in state.by_n.items():
        record = state.evses[connector.config.evse].reserved
        said = None if record is None else (record.id, record.expires_at - state.record.clock_offset_s)
        if connector.away_since is not None or state.reserve_told.get(n) == said:
            continue
        state.reserve_told[n] = said
        number, until = said or (None, None)
        arguments: dict[str, object] = {"reservation_id": number, "expires_at": until}
        command = Command(
            n, "reserve", state.next_id(turn), COMMAND_TTL_S, arguments, state.record.device_boot_id
        )
        turn.do(command)


def deadline(state: StationState, now: Moment) -> float | None:
    """When the next one expires, monotonic; one that a token is about to use waits for it."""
    used = _in_use(state) if state.reservations else ()
    times = [record.expires_at for record in state.reservations.values() if record.id not in used]
    return now.monotonic + min(times) - state.wall_now if times else None


def _is_lost(state: StationState, record: ReservationRecord) -> bool:
    if record.evse is None:
        return False
    evse = state.evses.get(record.evse)
    return evse is None or _words(state, evse, record.n) <= _BROKEN


def _end(state: StationState, turn: Turn, reservation_id: int) -> None:
    del state.reservations[reservation_id]
    turn.save("reservation", str(reservation_id), None)
    for grant in [state.station_grant, *(evse.grant for evse in state.evses.values())]:
        if grant is not None and grant.reservation_id == reservation_id:
            grant.reservation_id = None


def _keep(state: StationState) -> None:
    """Find out anew which EVSEs are kept free, and for which reservation."""
    for evse in state.evses.values():
        evse.reserved = None
    everything = list(state.reservations.values())
    for record in everything:
        if record.evse in state.evses:
            state.evses[record.evse].reserved = record
    pending = _pending(state, everything)
    free = _free(state, everything)
    if len(free) <= len(pending):
        for evse, record in zip(free, pending, strict=False):
            evse.reserved = record


def _in_use(state: StationState) -> set[int | None]:
    """Reservations whose token has been accepted and whose transaction has not begun."""
    grants = [evse.grant for evse in state.evses.values() if evse.transaction is None]
    return {grant.reservation_id for grant in [*grants, state.station_grant] if grant is not None}


def _pending(state: StationState, records: list[ReservationRecord]) -> list[ReservationRecord]:
    """Those of no EVSE for which one has to be kept free."""
    unspecific = [record for record in records if record.evse is None]
    if not unspecific:
        return []
    used = _in_use(state)
    return [record for record in unspecific if record.id not in used]


def _free(state: StationState, records: list[ReservationRecord]) -> list[Evse]:
    """EVSEs that nobody uses and that no reservation names."""
    taken = {record.evse for record in records}
    return [
        evse
        for evse in state.evses.values()
        if evse.id not in taken and _is_free(evse) and not _words(state, evse) <= _BROKEN
    ]


def _is_free(evse: Evse) -> bool:
    if evse.transaction is not None or evse.grant is not None or evse.beginning is not None:
        return False
    return not any(availability.is_plugged(evse, connector) for connector in evse.connectors)


def _words(state: StationState, evse: Evse, n: int = 0) -> set[ConnectorStatus]:
    """The status of each connector of an EVSE, or of connector n alone."""
    return {
        availability.fine_status(state, evse, connector)
        for connector in evse.connectors
        if n in {0, connector.config.n}
    }
