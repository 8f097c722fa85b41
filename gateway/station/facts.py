"""What a device says becomes facts: the explicit wins over the pilot, the pilot over a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET
from msgspec.structs import asdict

from gateway.station.model import DeviceError

if TYPE_CHECKING:
    from gateway.station.events import StatusReported
    from gateway.station.model import Moment
    from gateway.station.state import Connector

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
