"""Status from facts: what a connector is, what of that is told, and along which path."""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import UNSET
from msgspec.structs import asdict

from gateway.station import metering
from gateway.station.effects import Ask
from gateway.station.model import (
    AvailabilityState,
    ChargingState,
    ConnectorStatus,
    DeviceError,
    TxPoint,
)
from gateway.station.reports import Status

if TYPE_CHECKING:
    from gateway.station.events import StatusReported
    from gateway.station.model import Moment
    from gateway.station.state import Connector, Evse, StationState
    from gateway.station.turn import Turn

_S = ConnectorStatus

ALLOWED: dict[ConnectorStatus, tuple[ConnectorStatus, ...]] = {
    _S.AVAILABLE: (
        _S.PREPARING,
        _S.CHARGING,
        _S.SUSPENDED_EV,
        _S.SUSPENDED_EVSE,
        _S.RESERVED,
        _S.UNAVAILABLE,
        _S.FAULTED,
    ),
    _S.PREPARING: (_S.AVAILABLE, _S.CHARGING, _S.SUSPENDED_EV, _S.SUSPENDED_EVSE, _S.FINISHING, _S.FAULTED),
    _S.CHARGING: (
        _S.AVAILABLE,
        _S.SUSPENDED_EV,
        _S.SUSPENDED_EVSE,
        _S.FINISHING,
        _S.UNAVAILABLE,
        _S.FAULTED,
    ),
    _S.SUSPENDED_EV: (
        _S.AVAILABLE,
        _S.CHARGING,
        _S.SUSPENDED_EVSE,
        _S.FINISHING,
        _S.UNAVAILABLE,
        _S.FAULTED,
    ),
    _S.SUSPENDED_EVSE: (
        _S.AVAILABLE,
        _S.CHARGING,
        _S.SUSPENDED_EV,
        _S.FINISHING,
        _S.UNAVAILABLE,
        _S.FAULTED,
    ),
    _S.FINISHING: (_S.AVAILABLE, _S.PREPARING, _S.UNAVAILABLE, _S.FAULTED),
    _S.RESERVED: (_S.AVAILABLE, _S.PREPARING, _S.UNAVAILABLE, _S.FAULTED),
    _S.UNAVAILABLE: (
        _S.AVAILABLE,
        _S.PREPARING,
        _S.CHARGING,
        _S.SUSPENDED_EV,
        _S.SUSPENDED_EVSE,
        _S.FAULTED,
    ),
    _S.FAULTED: (
        _S.AVAILABLE,
        _S.PREPARING,
        _S.CHARGING,
        _S.SUSPENDED_EV,
        _S.SUSPENDED_EVSE,
        _S.FINISHING,
        _S.RESERVED,
        _S.UNAVAILABLE,
    ),
}
"""From → to, preferred detours first (# 1.6 §4.9, table of transitions)."""

_NO_DETOUR = frozenset({_S.FAULTED, _S.UNAVAILABLE, _S.RESERVED})
"""States that would be a lie on the way to another one."""

_WORDS = frozenset(str(word) for word in ConnectorStatus)

_HINTS: dict[str, dict[str, bool]] = {
    "available": {"plugged": False, "charging": False},
    "preparing": {"plugged": True, "charging": False},
    "occupied": {"plugged": True},
    "charging": {"plugged": True, "charging": True, "energized": True},
    "suspendedev": {"plugged": True, "charging": False, "energized": True, "ev_ready": False},
    "suspendedevse": {"plugged": True, "charging": False, "energized": False},
    "finishing": {"plugged": True, "charging": False},
    "reserved": {"plugged": False, "charging": False},
}
"""What an OCPP word from a device hints at; `faulted` and `unavailable` become errors."""

_PILOT: dict[str, dict[str, bool]] = {
    "A": {"plugged": False, "ev_ready": False, "charging": False},
    "B": {"plugged": True, "ev_ready": False, "charging": False},
    "C": {"plugged": True, "ev_ready": True},
    "D": {"plugged": True, "ev_ready": True},
}
"""What IEC 61851 control pilot states say; E and F become errors."""

_PILOT_ERRORS = {
    "E": DeviceError("EVCommunicationError", "control pilot E"),
    "F": DeviceError("OtherError", "control pilot F"),
}


@lru_cache(maxsize=128)
def path(start: ConnectorStatus | None, goal: ConnectorStatus) -> tuple[ConnectorStatus, ...]:
    """The states to tell, one after the other, to come from one status to another; goal included."""
    if start is None or start == goal:
        return (goal,)
    reached: dict[ConnectorStatus, ConnectorStatus | None] = {start: None}
    waiting = deque([start])
    while waiting:
        here = waiting.popleft()
        if here is goal:
            break
        for following in ALLOWED[here]:
            if following not in reached and (following is goal or following not in _NO_DETOUR):
                reached[following] = here
                waiting.append(following)
    steps = [goal]
    while (before := reached[steps[-1]]) is not None:
        steps.append(before)
    return tuple(reversed(steps[:-1]))


# ------------------------------------------------------------------ noting what a device says


def note(connector: Connector, event: StatusReported, now: Moment) -> bool:
    """Take a status into the facts; True when anything changed.

    Explicit facts win over control_pilot, that over an OCPP word (the contract's order).
    A retained copy only fills what is unknown, unless its own stamp is newer.
    """
    record = connector.record
    newer = event.at is not None and event.at > record.facts_at
    only_unknown = event.retained and not newer
    said = {name: value for name, value in asdict(event.facts).items() if value is not UNSET}
    _spell_out(said)
    changed = False
    for name, value in said.items():
        old = getattr(record.facts, name)
        if only_unknown and old is not None:
            continue
        if old != value:
            setattr(record.facts, name, value)
            changed = True
    if not only_unknown:
        record.facts_at = max(record.facts_at, event.at if event.at is not None else now.wall)
    return changed


def _spell_out(said: dict[str, object]) -> None:
    """Add what pilot, cable and word imply, where nothing stronger was said."""
    cable = said.get("cable")
    if cable is not None:
        said.setdefault("plugged", cable == "ev")
    pilot = said.get("control_pilot")
    if isinstance(pilot, str):
        for name, value in _PILOT.get(pilot, {}).items():
            said.setdefault(name, value)
        if pilot in _PILOT_ERRORS:
            said["errors"] = (*(said.get("errors") or ()), _PILOT_ERRORS[pilot])  # type: ignore[misc]
        else:
            said.setdefault("errors", ())
    word = said.get("status")
    if isinstance(word, str):
        lowered = word.lower()
        if lowered == "faulted":
            said.setdefault("errors", (DeviceError("OtherError", "device says Faulted"),))
        for name, value in _HINTS.get(lowered, {}).items():
            said.setdefault(name, value)


# ------------------------------------------------------------------ what it is


def faults(connector: Connector) -> tuple[DeviceError, ...]:
    """Everything wrong with a connector, the gravest first."""
    facts = connector.record.facts
    errors = list(facts.errors or ())
    if facts.lock_failed:
        errors.insert(0, DeviceError("ConnectorLockFailure", "the lock of the plug failed"))
    errors.sort(key=lambda error: not error.fault)
    return tuple(errors)


def is_faulted(connector: Connector) -> bool:
    """Whether anything forbids charging."""
    facts = connector.record.facts
    return bool(facts.lock_failed) or any(error.fault for error in facts.errors or ())


def is_operative(state: StationState, evse: Evse, connector: Connector) -> bool:
    """Whether station, EVSE and connector may all be used (# G03, G04).

    What is scheduled holds back everything that has no transaction of its own.
    """
    record, own = state.record, connector.record
    if evse.transaction is None and (
        record.operative_scheduled is False or evse.record.operative_scheduled is False
    ):
        return False
    return (
        record.operative and evse.record.operative and own.operative and own.operative_scheduled is not False
    )


def is_plugged(evse: Evse, connector: Connector) -> bool:
    """Whether a vehicle is connected; without a plug sensor it is taken to be while someone charges."""
    if connector.config.plug_sensor:
        return bool(connector.record.facts.plugged)
    if connector.record.facts.plugged is not None:
        return connector.record.facts.plugged
    transaction = evse.transaction
    if transaction is not None and transaction.n == connector.config.n and transaction.authorized:
        return True
    return evse.grant is not None and evse.grant.n in {0, connector.config.n}


def active_connector(evse: Evse) -> Connector:
    """The connector that the EVSE uses, or would use."""
    transaction, grant = evse.transaction, evse.grant
    wanted = 0 if grant is None else grant.n
    if transaction is not None and (transaction.plugged or transaction.ending or wanted):
        wanted = transaction.n  # else it uses the connector that is plugged first (# E01.FR.16)
    plugged = [connector for connector in evse.connectors if is_plugged(evse, connector)]
    for connector in (*plugged, *evse.connectors):
        if connector.config.n == wanted:
            return connector
    return plugged[0] if plugged else evse.connectors[0]


def fine_status(state: StationState, evse: Evse, connector: Connector) -> ConnectorStatus:
    """A connector's status in the words of 1.6, from all facts (# 1.6 §4.9)."""
    if is_faulted(connector):
        return _S.FAULTED
    if connector.vanished:
        return _S.FAULTED if state.config.policy.vanished == "faulted" else _S.UNAVAILABLE
    transaction = evse.transaction
    if transaction is not None and transaction.n == connector.config.n and not transaction.ending:
        return _in_transaction(evse, connector)
    if not is_operative(state, evse, connector):
        return _S.UNAVAILABLE
    if evse.reserved is not None and evse.grant is None and transaction is None:
        return _S.RESERVED  # whoever else plugs in, until the token is shown (# 1.6 §4.9 G2, G01.FR.09)
    plugged = is_plugged(evse, connector)
    if plugged and (connector.record.ended_in_plug_session or transaction is not None) and evse.grant is None:
        return _S.FINISHING
    granted = evse.grant is not None and evse.grant.n in {0, connector.config.n}
    if plugged or granted:
        return _S.PREPARING
    return _S.AVAILABLE


def charging_state(evse: Evse, connector: Connector) -> ChargingState:
    """What the EVSE's transaction is doing (# E02.FR.13)."""
    transaction = evse.transaction
    if not is_plugged(evse, connector):
        return ChargingState.IDLE
    if transaction is None or not transaction.authorized:
        return ChargingState.EV_CONNECTED
    setpoint = connector.setpoint
    if setpoint is None or not setpoint.energize:
        withheld = transaction.drew or transaction.suspended or (setpoint is not None and connector.fresh)
        return ChargingState.SUSPENDED_EVSE if withheld else ChargingState.EV_CONNECTED
    drawing = metering.draws(connector)
    facts = connector.record.facts
    if drawing or (drawing is None and facts.energized is not False and facts.ev_ready is not False):
        return ChargingState.CHARGING
    if connector.awaited:
        return ChargingState.EV_CONNECTED
    if facts.energized is False and facts.ev_ready is not False:
        return ChargingState.SUSPENDED_EVSE
    return ChargingState.SUSPENDED_EV


def _in_transaction(evse: Evse, connector: Connector) -> ConnectorStatus:
    """The same in the words of 1.6: the finer ones before and after."""
    transaction = evse.transaction
    match charging_state(evse, connector):
        case ChargingState.CHARGING:
            return _S.CHARGING
        case ChargingState.SUSPENDED_EV:
            return _S.SUSPENDED_EV
        case ChargingState.SUSPENDED_EVSE:
            return _S.SUSPENDED_EVSE
        case ChargingState.IDLE:
            return _S.SUSPENDED_EV if transaction is not None and transaction.drew else _S.PREPARING
        case ChargingState.EV_CONNECTED:
            ended = transaction is not None and transaction.cause is not None
            return _S.FINISHING if ended else _S.PREPARING


def availability_state(evse: Evse, connector: Connector, fine: ConnectorStatus) -> AvailabilityState:
    """The same facts in the words of 2.x (# G01)."""
    match fine:
        case ConnectorStatus.FAULTED:
            return AvailabilityState.FAULTED
        case ConnectorStatus.UNAVAILABLE:
            return AvailabilityState.UNAVAILABLE
        case ConnectorStatus.RESERVED:
            return AvailabilityState.RESERVED
        case _:
            occupied = is_plugged(evse, connector) and connector.config.plug_sensor
            in_use = evse.transaction is not None and evse.transaction.n == connector.config.n
            if occupied or (in_use and not connector.config.plug_sensor):
                return AvailabilityState.OCCUPIED
            if TxPoint.PARKING_BAY_OCCUPANCY in _start_points(evse) and connector.record.facts.bay_occupied:
                return AvailabilityState.OCCUPIED
            return AvailabilityState.AVAILABLE


def _start_points(evse: Evse) -> tuple[TxPoint, ...]:
    return evse.transaction.start_points if evse.transaction is not None else ()


def station_status(state: StationState) -> ConnectorStatus:
    """The station as a whole: connector 0 of 1.6."""
    if state.station_away:
        return _S.FAULTED if state.config.policy.vanished == "faulted" else _S.UNAVAILABLE
    return _S.AVAILABLE if state.record.operative else _S.UNAVAILABLE


def settle_station(state: StationState, turn: Turn) -> None:
    """Tell the status of the station as a whole, where the version has one (connector 0 of 1.6)."""
    if (
        not state.online
        or state.status_ref is not None
        or state.flavor is None
        or not state.flavor.station_status
    ):
        return
    told = str(station_status(state))
    if state.list_conflict:
        told += " LocalListConflict"
    if told != state.record.status_told:
        state.status_ref = state.next_number(turn)
        state.status_asked = told
        turn.do(Ask(state.status_ref, station_report(state, turn), urgent=True))


def station_report(state: StationState, turn: Turn) -> Status:
    """The report of the station's own status."""
    word = station_status(state)
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
    fine = fine_status(state, evse, connector)
    error, info = _error_of(evse, connector)
    return report_of(state, turn, evse, connector, str(fine), error, info)


# ------------------------------------------------------------------ telling it


def settle(state: StationState, turn: Turn, evse: Evse, connector: Connector) -> None:
    """Notice a change of status, and put it on the way to the CSMS where one is listening."""
    if (
        not connector.fresh
        and connector.record.told is not None
        and not connector.vanished
        and is_operative(state, evse, connector)
    ):
        connector.desired = None
        return  # nothing fresh is known since the restart: what was told last still stands
    fine = fine_status(state, evse, connector)
    error, info = _error_of(evse, connector)
    flavor = state.flavor
    fine_words = flavor is None or flavor.fine_status
    if fine_words:
        _follow(state, turn, connector, fine, error, info)
    else:
        word = str(availability_state(evse, connector, fine))
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
    steps = path(start, fine)
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
        else availability_state(evse, connector, fine)
    )
    errors = faults(connector)
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
    errors = faults(connector)
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
    if connector.record.ended_in_plug_session and not is_plugged(evse, connector):
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
