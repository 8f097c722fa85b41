"""Security events: all go into the log, the critical ones to the CSMS, with guaranteed delivery (# A04)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station import outbox
from gateway.station.effects import Notify
from gateway.station.records import SecurityLogRecord
from gateway.station.reports import SecurityEvent
from gateway.station.transfer_work import SecurityLogEntry

if TYPE_CHECKING:
    from gateway.station.state import StationState
    from gateway.station.turn import Turn

LOG_LENGTH = 200
"""Lines of the security log that are kept, over restarts."""

_CRITICAL = frozenset(
    {
        "FirmwareUpdated",
        "SettingSystemTime",
        "StartupOfTheDevice",
        "ResetOrReboot",
        "SecurityLogWasCleared",
        "MemoryExhaustion",
        "TamperDetectionActivated",
        "InvalidFirmwareSignature",
        "InvalidFirmwareSigningCertificate",
        "InvalidCsmsCertificate",
        "InvalidChargingStationCertificate",
        "InvalidTLSVersion",
        "InvalidTLSCipherSuite",
    }
)
"""What must be pushed (# 2.0.1 appendix, security events)."""

_ORDINARY = frozenset({"FirmwareUpdated", "SettingSystemTime", "StartupOfTheDevice", "ResetOrReboot"})
"""Nothing is wrong when these happen."""

_OF_LINK = {
    "tls_certificate": "InvalidCsmsCertificate",
    "tls_version": "InvalidTLSVersion",
    "tls_cipher": "InvalidTLSCipherSuite",
    "refused_auth": "FailedToAuthenticateAtCsms",
}


def record(state: StationState, turn: Turn, kind: str, info: str | None = None) -> None:
    """Something that matters to security has happened; `kind` is a 2.0.1 event name."""
    turn.do(Notify(0, "message" if kind in _ORDINARY else "error", "security", {"type": kind, "info": info}))
    at, told = state.stamp(turn.now.wall), info[:255] if info else None
    number = state.next_number(turn)
    entry = state.security_log[number] = SecurityLogEntry(at, kind, told)
    turn.save("security_log", f"{number}", SecurityLogRecord(number, entry))
    while len(state.security_log) > LOG_LENGTH:
        oldest = next(iter(state.security_log))
        del state.security_log[oldest]
        turn.save("security_log", f"{oldest}", None)
    if kind in _CRITICAL:
        outbox.add(state, turn, SecurityEvent(kind, at, told))


def link_failed(state: StationState, turn: Turn, kind: str, detail: str) -> None:
    """A connection attempt failed; told once while the same cause lasts (# A00.FR.309)."""
    name = _OF_LINK.get(kind)
    if name is not None and state.last_error != detail:
        record(state, turn, name, detail)
