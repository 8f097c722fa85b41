"""What a station knows of its files on their way: a firmware that comes, a log that goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station.records import FirmwareRecord

if TYPE_CHECKING:
    from msgspec import Struct

    from gateway.station.transfer_work import FirmwareGiven, LogRequested


class FirmwareUpdate:
    """The update of a station, the last one where none is under way."""

    __slots__ = ("check", "deadline", "examined", "record", "retry_at", "transfer")

    def __init__(self) -> None:
        """There never was one."""
        self.record: FirmwareRecord | None = None
        self.transfer: int | None = None
        """ref of the download under way."""
        self.check: int | None = None
        """ref of the task that judges the signature."""
        self.examined: tuple[int, int, FirmwareGiven, float] | None = None
        """(ref of the task, the CSMS's CALL that waits, what it asked, until when): a signer that is examined."""
        self.retry_at: float | None = None
        """Monotonic; not before this is the download tried again."""
        self.deadline: float | None = None
        """Monotonic; by then the device must be done."""

    def restore(self, record: Struct | None) -> None:
        """Take up what a former process left; what was under way is begun anew."""
        if isinstance(record, FirmwareRecord):
            self.record = record

    @property
    def phase(self) -> str:
        return "ended" if self.record is None else self.record.phase

    @property
    def holds(self) -> bool:
        """Whether what is not in use must stay so, until the device is done (# L01.FR.07)."""
        return self.record is not None and self.record.held and self.record.phase != "ended"


class LogUpload:
    """The upload of a station that is under way, if any."""

    __slots__ = ("attempts", "filename", "gather_until", "parts", "request", "retry_at", "size", "transfer")

    def __init__(self) -> None:
        """There is none."""
        self.request: LogRequested | None = None
        self.filename = ""
        self.parts: list[str] = []
        """What the device has said of its log."""
        self.size = 0
        self.gather_until: float | None = None
        """Monotonic; so long the device may take for its next part."""
        self.transfer: int | None = None
        self.attempts = 0
        self.retry_at: float | None = None
