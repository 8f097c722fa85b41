"""Boot and heartbeat: what the CSMS makes of the station, and what may be said meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station import (
    authorization,
    commands,
    identity,
    outbox,
    own_certificates,
    security,
    status_reports,
    vendor_messages,
)
from gateway.station.effects import Ask
from gateway.station.model import EPOCH_2020, BootReason, RegistrationStatus
from gateway.station.reports import (
    Boot,
    BootAnswer,
    Failed,
    FailureKind,
    FirmwareStatus,
    Heartbeat,
    HeartbeatAnswer,
)

if TYPE_CHECKING:
    from gateway.station.events import LinkClosed, LinkOpened
    from gateway.station.reports import Answer
    from gateway.station.state import StationState
    from gateway.station.turn import Turn

DEFAULT_INTERVAL_S = 300
_SHORTEST_S, _LONGEST_S = 1, 86400
_CLOCK_TOLERANCE_S = 2.0
"""A smaller difference between the CSMS's clock and ours is the network's."""


def link_opened(state: StationState, turn: Turn, event: LinkOpened) -> None:
    """A session with an agreed version; a reconnect is no boot, unless something in it changed (# B01)."""
    first_of_version = state.flavor is None or state.flavor.version != event.flavor.version
    state.flavor = event.flavor
    state.linked = True
    identity.opened(state, turn)
    state.linked_since = turn.now.wall
    state.link_epoch += 1
    state.last_error = None
    if state.record.version != event.flavor.version:
        state.record.version = event.flavor.version
        state.save(turn)
        first_of_version = True
    if first_of_version:
        state.boot_needed = True
        for connector in state.by_n.values():
            status_reports.retell(connector)
    if state.config.policy.boot_on_reconnect:
        state.boot_needed = True
    if not state.accepted or state.boot_needed or state.boot_told != _content(state):
        boot(state, turn)
        return
    down_s = turn.now.monotonic - (state.link_down_since or turn.now.monotonic)
    if event.flavor.status_after_reconnect and down_s > state.variables.offline_threshold_s:
        retell_all(state)  # B04.FR.01
    outbox.hand_out(state, turn)


def link_closed(state: StationState, turn: Turn, event: LinkClosed) -> None:
    """The session is gone, or did not come about."""
    if state.linked:
        link_lost(state, turn)
    else:
        identity.failed(state, event.kind)
    security.link_failed(state, turn, event.kind, event.detail)
    state.linked = False
    state.linked_since = turn.now.wall
    state.boot_asked = None
    state.heartbeat_asked = None
    state.status_ref = None
    state.triggered.clear()
    state.inventories.clear()
    state.last_error = event.detail or event.kind
    commands.lost_csms(state)
    vendor_messages.link_lost(state, turn)
    own_certificates.link_lost(state)
    authorization.link_lost(state, turn)


def link_lost(state: StationState, turn: Turn) -> None:
    """Nothing can be told from here on: the link is gone, or is being closed."""
    state.linked = False
    state.link_down_since = turn.now.monotonic
    state.boot_asked = None
    outbox.link_lost(state)
    for connector in state.by_n.values():
        status_reports.link_lost(connector)


def boot(state: StationState, turn: Turn, reason: BootReason | None = None) -> None:
    """Send BootNotification, unless one is under way or must wait."""
    if not state.linked or state.boot_asked is not None:
        return
    if reason is None and state.boot_retry_at is not None and turn.now.monotonic < state.boot_retry_at:
        return
    state.boot_retry_at = None
    state.boot_asked = state.next_number(turn)
    vendor, model, serial, firmware, iccid, imsi = _content(state)
    told = reason or BootReason(state.record.boot_reason or BootReason.POWER_UP)
    report = Boot(told, vendor or "", model or "", serial, firmware, iccid, imsi)
    turn.do(Ask(state.boot_asked, report, urgent=True))


def _content(state: StationState) -> tuple[str | None, ...]:
    """What BootNotification says of the station: the operator's words, else the device's."""
    config, record = state.config, state.record
    return (
        config.vendor or record.vendor,
        config.model or record.model,
        config.serial or record.serial,
        config.firmware_version or record.firmware_version,
        config.iccid or record.iccid,
        config.imsi or record.imsi,
    )


def boot_answered(state: StationState, turn: Turn, answer: Answer) -> None:
    """# 1.6 §4.2, B01, B02, B03."""
    state.boot_asked = None
    if isinstance(answer, Failed):
        if answer.kind is not FailureKind.LOST:
            state.last_error = f"BootNotification: {answer.kind} {answer.code} {answer.detail}".strip()
            if not state.accepted or state.boot_told != _content(state):
                state.boot_retry_at = turn.now.monotonic + max(state.variables.message_attempt_interval_s, 10)
        return
    if not isinstance(answer, BootAnswer):
        return
    synchronise(state, turn, answer.csms_time)
    interval_s = min(max(answer.interval_s, _SHORTEST_S), _LONGEST_S) if answer.interval_s > 0 else 0
    state.registration = answer.status
    if answer.status is RegistrationStatus.ACCEPTED:
        _accepted(state, turn, interval_s)
        return
    state.accepted = False
    state.heartbeat_at = None
    if answer.status is RegistrationStatus.REJECTED:
        state.inventories.clear()  # B03.FR.03, 1.6 §4.2: not a word until the interval is over
    wait_s = interval_s or DEFAULT_INTERVAL_S
    state.boot_retry_at = turn.now.monotonic + wait_s
    state.boot_needed = True


def _accepted(state: StationState, turn: Turn, interval_s: int) -> None:
    state.accepted = True
    state.boot_needed = False
    state.boot_retry_at = None
    state.boot_told = _content(state)
    reason = state.record.boot_reason
    if reason is not None:
        state.record.boot_reason = None
        state.save(turn)
    if interval_s:
        state.variables.provide("OCPPCommCtrlr", "HeartbeatInterval", str(interval_s))
    state.heartbeat_at = turn.now.monotonic + state.variables.heartbeat_interval_s
    retell_all(state)
    if reason is not None or state.booting:
        state.booting = False
        rebooted = reason in {BootReason.REMOTE_RESET, BootReason.SCHEDULED_RESET, BootReason.LOCAL_RESET}
        security.record(state, turn, "ResetOrReboot" if rebooted else "StartupOfTheDevice", reason)
    outbox.hand_out(state, turn)


def retell_all(state: StationState) -> None:
    """Every status is told anew: after a boot, and after a long time offline (# 1.6 §4.2 [E3.22], B01, B04)."""
    state.record.status_told = None
    for connector in state.by_n.values():
        status_reports.retell(connector)


def refused_as_unknown(state: StationState, turn: Turn) -> None:
    """A CSMS that answers SecurityError has forgotten us: boot again (interop: after its restart)."""
    if state.accepted and state.boot_asked is None:
        state.accepted = False
        state.boot_needed = True
        state.boot_retry_at = None
        boot(state, turn)


def settle(state: StationState, turn: Turn) -> None:
    """What is due: a boot again, a heartbeat."""
    if not state.linked:
        return
    if not state.accepted:
        if state.boot_asked is None:
            boot(state, turn)
        return
    due = state.boot_needed or state.boot_told != _content(state)
    if due and state.boot_asked is None and state.reset is None and not _tells_of_firmware(state):
        boot(state, turn)  # its content changed: B01, 1.6 §4.2
        return
    if state.heartbeat_at is not None and turn.now.monotonic >= state.heartbeat_at:
        heartbeat(state, turn)


def _tells_of_firmware(state: StationState) -> bool:
    """Whether what led to a boot is still to be told before it; who does not take it must not hold the boot up."""
    lane = state.outbox.guaranteed
    return lane.attempts == 0 and any(
        isinstance(row.report, FirmwareStatus) and row.report.status != "Installed" for row in lane.rows
    )


def heartbeat(state: StationState, turn: Turn) -> None:
    """Send one now; the next one an interval later."""
    state.heartbeat_at = turn.now.monotonic + max(state.variables.heartbeat_interval_s, _SHORTEST_S)
    if state.heartbeat_asked is None:
        state.heartbeat_asked = state.next_number(turn)
        turn.do(Ask(state.heartbeat_asked, Heartbeat(), urgent=True))


def heartbeat_answered(state: StationState, turn: Turn, answer: Answer) -> None:
    """The CSMS told its time, or did not."""
    state.heartbeat_asked = None
    if isinstance(answer, HeartbeatAnswer):
        synchronise(state, turn, answer.csms_time)
    elif isinstance(answer, Failed) and answer.code == "SecurityError":
        refused_as_unknown(state, turn)


def synchronise(state: StationState, turn: Turn, csms_time: float | None) -> None:
    """Take over the CSMS's clock, unless it is absurd (# 1.6 §4.6, B01.FR.06)."""
    if csms_time is None or csms_time < EPOCH_2020:
        return
    offset_s = csms_time - turn.now.wall
    if abs(offset_s - state.record.clock_offset_s) > _CLOCK_TOLERANCE_S:
        state.record.clock_offset_s = 0.0 if abs(offset_s) <= _CLOCK_TOLERANCE_S else round(offset_s, 3)
        state.next_clock_at = None
        state.save(turn)
    state.synced = True
    state.wall_now = state.stamp(turn.now.wall)


def variables_changed(state: StationState, turn: Turn, names: set[str]) -> None:
    """Carry out what changed settings mean for the link and the heartbeat."""
    variables = state.variables
    if any("HeartbeatInterval" in name for name in names) and state.heartbeat_at is not None:
        state.heartbeat_at = turn.now.monotonic + max(variables.heartbeat_interval_s, _SHORTEST_S)
    if any("Interval" in name and "Data" in name for name in names):
        state.next_clock_at = None
    if names & _OF_LINK:
        turn.do(identity.link_settings(state))
    if names & _PASSWORDS:
        security.record(state, turn, "ReconfigurationOfSecurityParameters", "password")
    if identity.PROFILE in names:
        what = f"security profile {state.variables.security_profile}"
        security.record(state, turn, "ReconfigurationOfSecurityParameters", what)


_PASSWORDS = frozenset({"SecurityCtrlr.BasicAuthPassword", "Ocpp16.AuthorizationKey"})
_OF_LINK = frozenset(
    {
        "OCPPCommCtrlr.WebSocketPingInterval",
        "OCPPCommCtrlr.RetryBackOffWaitMinimum",
        "OCPPCommCtrlr.RetryBackOffRandomRange",
        "OCPPCommCtrlr.RetryBackOffRepeatTimes",
        "OCPPCommCtrlr.MessageTimeout[Default]",
    }
)
