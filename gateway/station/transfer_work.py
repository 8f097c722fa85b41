"""What concerns files on their way: what the CSMS asks for, and what the edge is asked to carry."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gateway.station.effects import Effect
from gateway.station.events import Event
from gateway.station.requests import Reply, Request

LogKind = Literal["DiagnosticsLog", "SecurityLog"]
"""# 2.0.1 LogEnumType."""

# ------------------------------------------------------------------ what the CSMS asks


class FirmwareGiven(Request, frozen=True, kw_only=True):
    """UpdateFirmware, SignedUpdateFirmware (# 1.6 §5.19, L01, L02)."""

    location: str
    """URL, perhaps with name and password in it."""
    retrieve_at: float
    """Wall-clock seconds of the CSMS."""
    install_at: float | None = None
    """Not before this; None: as soon as it is here."""
    request_id: int | None = None
    """Unknown to the plain UpdateFirmware of 1.6."""
    certificate: str | None = None
    """PEM of who signed the firmware."""
    signature: str | None = None
    """Base64, over the SHA-256 of the whole file."""
    must_be_signed: bool = False
    retries: int | None = None
    """How often a download that failed is tried again; None: the station's choice."""
    retry_interval_s: int | None = None


class LogRequested(Request, frozen=True, kw_only=True):
    """GetDiagnostics, GetLog (# 1.6 §6.1, N01)."""

    kind: LogKind
    location: str
    request_id: int | None = None
    """Unknown to GetDiagnostics."""
    oldest: float | None = None
    """Wall-clock seconds of the CSMS."""
    latest: float | None = None
    retries: int | None = None
    retry_interval_s: int | None = None


class LogReply(Reply, frozen=True):
    """# 1.6 §6.1, N01."""

    status: Literal["Accepted", "Rejected", "AcceptedCanceled"]
    filename: str | None = None


# ------------------------------------------------------------------ what the edge carries


class Job(Struct, frozen=True, kw_only=True):
    """One attempt at a transfer."""

    url: str


class Download(Job, frozen=True, kw_only=True):
    """Read a file to its end. → Downloaded, or TransferFailed.

    Nothing of it is kept but its measure: whoever installs it fetches it himself.
    """

    resume: str
    """Names the file over all its attempts: what an earlier one has read need not be read again."""


class SecurityLogEntry(Struct, frozen=True):
    """One line of the security log (# A04.FR.01)."""

    at: float
    """Wall-clock seconds of the CSMS."""
    type: str
    info: str | None = None


class Upload(Job, frozen=True, kw_only=True):
    """Make one file of what is known, and bring it there. → Uploaded, or TransferFailed."""

    filename: str
    kind: LogKind
    oldest: float | None = None
    """Host time; what the edge knows itself is taken from here on."""
    latest: float | None = None
    security: tuple[SecurityLogEntry, ...] = ()
    device_log: str | None = None
    """What the device said of itself."""


class Downloaded(Struct, frozen=True):
    """The file was read to its end."""

    size: int
    """Bytes."""
    sha256: str
    """Hex digits in lower case."""


class Uploaded(Struct, frozen=True):
    """The other side has the file."""


FailedBecause = Literal["bad_address", "unsupported", "denied", "failed"]


class TransferFailed(Struct, frozen=True):
    """It did not arrive; the sentence quotes no password."""

    because: FailedBecause
    why: str


TransferOutcome = Downloaded | Uploaded | TransferFailed


class Transfer(Effect, frozen=True):
    """Carry a file; exactly one TransferEnded comes back, none after CancelTransfer."""

    ref: int
    job: Job


class CancelTransfer(Effect, frozen=True):
    """Nobody wants it any more."""

    ref: int


class TransferEnded(Event, frozen=True):
    """A transfer has come to its end."""

    ref: int
    outcome: TransferOutcome


# ------------------------------------------------------------------ what devices say


class FirmwareReported(Event, frozen=True):
    """`…/0/firmware` arrived."""

    status: Literal["downloading", "installing", "installed", "failed"]
    progress: float | None = None
    """Percent."""
    info: str = ""


class LogReported(Event, frozen=True):
    """`…/0/log` arrived: a part of the device's log."""

    text: str
    last: bool
