"""Status is told when it changes: along allowed paths, one a connector at a time, the latest only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station import availability
from gateway.station.effects import Ask
from gateway.station.model import AvailabilityState, ConnectorStatus
from gateway.station.reports import Status

if TYPE_CHECKING:
    from gateway.station.state import Connector, Evse, StationState
    from gateway.station.turn import Turn

_S = ConnectorStatus
_WORDS = frozenset(str(word) for word in ConnectorStatus)


def settle_station(state: StationState, turn: Turn) -> None:
    """Tell the status of the station as a whole, where the version has one (connector 0 of 1.6)."""
    if (
        not state.online
        or state.status_ref is not None
        or state.flavor is None
        or not state.flavor.station_status
    ):
        return
    told = str(availability.station_status(state))
    if state.list_conflict:
        told += " LocalListConflict"
    if told != state.record.status_told:
        state.status_ref = state.next_number(turn)
        state.status_asked = told
        turn.do(Ask(state.status_ref, station_report(state, turn), urgent=True))


def station_report(state: StationState, turn: Turn) -> Status:
    """The report of the station's own status."""
    word = availability.station_status(state)
    error = "LocalListConflict" if state.list_conflict else "NoError"
    error = "OtherError" if word is _S.FAULTED else error
    return Status(0, 0, 0, word, AvailabilityState(word), state.stamp(turn.now.wall), error)


def list_conflict(state: StationState) -> None:
    """List and CSMS disagree: the CSMS is told each time, until it sends another list (# 1.6 §3.5.2)."""
    state.list_conflict = True
    state.record.status_told = None


def station_told(state: StationState, turn: Turn, *, accepted: bool) -> None:
    """The CSMS has taken note of the station's status, or has not."""
    state.status_ref = None
    if accepted and state.record.status_told != state.status_asked:
        state.record.status_told = state.status_asked
        state.save(turn)


def present_report(state: StationState, turn: Turn, evse: Evse, connector: Connector) -> Status:
    """The status that holds now, told or not; for TriggerMessage."""
    fine = availability.fine_status(state, evse, connector)
    error, info = _error_of(evse, connector)
    return report_of(state, turn, evse, connector, str(fine), error, info)


def settle(state: StationState, turn: Turn, evse: Evse, connector: Connector) -> None:
    """Notice a change of status, and put it on the way to the CSMS where one is listening."""
    if (
        not connector.fresh
        and connector.record.told is not None
        and not connector.vanished
        and availability.is_operative(state, evse, connector)
    ):
        connector.desired = None
        return  # nothing fresh is known since the restart: what was told last still stands
    fine = availability.fine_status(state, evse, connector)
    error, info = _error_of(evse, connector)
    flavor = state.flavor
    fine_words = flavor is None or flavor.fine_status
    if fine_words:
        _follow(state, turn, connector, fine, error, info)
    else:
        word = str(availability.availability_state(evse, connector, fine))
        _follow_coarse(connector, word, error, info)
    tell(state, turn, evse, connector)


def _follow(
    state: StationState, turn: Turn, connector: Connector, fine: ConnectorStatus, error: str, info: str
) -> None:
    record = connector.record
    wanted = f"{fine}/{error}"
    if connector.desired != wanted:
        connector.desired = wanted
        connector.desired_since = turn.now.monotonic
    if not state.online:
        connector.on_the_way.clear()  # the status that holds when the link is back counts, no history (# 1.6 §4.9)
        return
    last = connector.on_the_way[-1] if connector.on_the_way else (record.path, record.path_error, "")
    if last[0] == fine and last[1] == error:
        return
    minimum = state.variables.minimum_status_duration_s
    if fine is not _S.FAULTED and turn.now.monotonic - connector.desired_since < minimum:
        return
    start = ConnectorStatus(last[0]) if last[0] is not None and last[0] in _WORDS else None
    steps = availability.path(start, fine)
    for step in steps[:-1]:
        connector.on_the_way.append((step, "NoError", ""))
    connector.on_the_way.append((fine, error, info))


def _follow_coarse(connector: Connector, word: str, error: str, info: str) -> None:
    record = connector.record
    connector.desired = None  # 2.x has no MinimumStatusDuration
    if word == (record.told if connector.asked_status is None else record.path):
        connector.on_the_way.clear()
    elif not connector.on_the_way or connector.on_the_way[-1][0] != word:
        connector.on_the_way[:] = [(word, error, info)]


def tell(state: StationState, turn: Turn, evse: Evse, connector: Connector) -> None:
    """Ask the next status on the way, one a connector at a time."""
    if not state.online or connector.asked_status is not None or not connector.on_the_way:
        return
    word, error, info = connector.on_the_way.pop(0)
    connector.record.path = word
    connector.record.path_error = error
    connector.asked_status = state.next_number(turn)
    report = report_of(state, turn, evse, connector, word, error, info)
    turn.do(Ask(connector.asked_status, report, urgent=True))


def report_of(
    state: StationState, turn: Turn, evse: Evse, connector: Connector, word: str, error: str, info: str
) -> Status:
    """The report of a status word in either vocabulary."""
    fine = ConnectorStatus(word) if word in _WORDS else ConnectorStatus.PREPARING
    coarse = (
        AvailabilityState(word)
        if word in AvailabilityState.__members__.values()
        else availability.availability_state(evse, connector, fine)
    )
    errors = availability.faults(connector)
    first = errors[0] if errors and error != "NoError" else None
    return Status(
        n=connector.config.n,
        evse=evse.id,
        connector=connector.config.connector,
        status=fine,
        availability_state=coarse,
        at=state.stamp(turn.now.wall),
        error_code=error,
        info=info or (first.info if first is not None else ""),
        vendor_id=first.vendor_id if first is not None else "",
        vendor_error_code=first.vendor_code if first is not None else "",
    )


def _error_of(evse: Evse, connector: Connector) -> tuple[str, str]:
    """(1.6 error code, info) of a connector's status."""
    errors = availability.faults(connector)
    if errors:
        code = errors[0].code
        known = code in ERROR_CODES
        return (code if known else "OtherError", errors[0].info or ("" if known else code))
    if connector.vanished:
        return ("OtherError", "the device does not answer")
    facts = connector.record.facts
    transaction = evse.transaction
    if (
        transaction is not None
        and transaction.n == connector.config.n
        and transaction.unplugged_at is not None
    ):
        return ("NoError", "EV side disconnected")  # [TC_005_3]
    if connector.record.ended_in_plug_session and not availability.is_plugged(evse, connector):
        return ("NoError", "EV side disconnected")
    return ("NoError", facts.info or "")


ERROR_CODES = frozenset(
    {
        "ConnectorLockFailure",
        "EVCommunicationError",
        "GroundFailure",
        "HighTemperature",
        "InternalError",
        "LocalListConflict",
        "NoError",
        "OtherError",
        "OverCurrentFailure",
        "OverVoltage",
        "PowerMeterFailure",
        "PowerSwitchFailure",
        "ReaderFailure",
        "ResetFailure",
        "UnderVoltage",
        "WeakSignal",
    }
)
"""# 1.6 ChargePointErrorCode."""


def deadline(state: StationState, connector: Connector) -> float | None:
    """When a status has been held for MinimumStatusDuration, monotonic."""
    minimum_s = state.variables.minimum_status_duration_s
    if minimum_s <= 0 or connector.desired is None or not state.online:
        return None
    last = (
        connector.on_the_way[-1][:2]
        if connector.on_the_way
        else (connector.record.path, connector.record.path_error)
    )
    return connector.desired_since + minimum_s if connector.desired != f"{last[0]}/{last[1]}" else None


def told(state: StationState, turn: Turn, connector: Connector, *, accepted: bool) -> None:
    """The CSMS has taken note of a status, or has not."""
    connector.asked_status = None
    record = connector.record
    if accepted:
        record.told, record.told_error = record.path, record.path_error
        state.save_connector(turn, connector)


def retell(connector: Connector) -> None:
    """Forget what was told, so that the present status is told anew (# B01, 1.6 §4.2, B04)."""
    connector.on_the_way.clear()
    connector.asked_status = None
    connector.record.told = None
    connector.record.path = None
    connector.record.told_error = connector.record.path_error = "NoError"


def link_lost(connector: Connector) -> None:
    """What was on the wire may not have arrived; only the present status counts afterwards."""
    if connector.asked_status is not None or connector.on_the_way:
        connector.record.path = connector.record.told
        connector.record.path_error = connector.record.told_error
        connector.on_the_way.clear()
        connector.asked_status = None
