"""Carries files for all stations in a few threads; each transfer has exactly one end, a cancelled one none."""

from __future__ import annotations

import asyncio
import hashlib
import io
import threading
import zipfile
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.station.transfer_work import Download, TransferEnded, TransferFailed, Upload
from gateway.transfers import wire
from gateway.transfers.wire import Partial

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.logs import RecentLog
    from gateway.station.transfer_work import Job, Transfer, TransferOutcome

_AT_ONCE = 4
"""More transfers than this wait for one of these to end."""
_MOST_PARTIALS = 256


class Courier:
    """One for the gateway; called, and calling back, on the event loop's thread."""

    def __init__(self, recent: RecentLog, *, at_once: int = _AT_ONCE) -> None:
        """`recent`: what the gateway itself has to say in an upload."""
        self._recent = recent
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="transfers")
        self._cancelled: dict[tuple[str, int], threading.Event] = {}
        self._partials: OrderedDict[tuple[str, str], Partial] = OrderedDict()
        """(station, file) → what of it has been read; the least recently used first."""

    def carry(
        self, station: str, transfer: Transfer, done: Callable[[TransferEnded], None], *, ca_file: str | None
    ) -> None:
        """`done` is called once it has ended; `ca_file`: whom to believe besides the system's authorities."""
        key = station, transfer.ref
        cancelled = self._cancelled[key] = threading.Event()
        job = self._job(station, transfer.job, cancelled, ca_file)
        future = asyncio.get_running_loop().run_in_executor(self._pool, job)

        def ended(future: asyncio.Future[TransferOutcome]) -> None:
            self._cancelled.pop(key, None)
            if future.cancelled():
                return
            outcome = _outcome(future)
            if not cancelled.is_set():
                done(TransferEnded(transfer.ref, outcome))

        future.add_done_callback(ended)

    def cancel(self, station: str, ref: int) -> None:
        """Nobody waits for its end any more."""
        cancelled = self._cancelled.pop((station, ref), None)
        if cancelled is not None:
            cancelled.set()

    def stop(self) -> None:
        """Let nothing more begin, and what is under way end soon."""
        for cancelled in self._cancelled.values():
            cancelled.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _job(
        self, station: str, job: Job, cancelled: threading.Event, ca_file: str | None
    ) -> Callable[[], TransferOutcome]:
        match job:
            case Download():
                partial = self._partial(station, job.resume)
                return lambda: wire.download(job.url, partial, cancelled, ca_file=ca_file)
            case Upload():
                own = self._recent.of(station, job.oldest, job.latest) if job.kind == "DiagnosticsLog" else {}
                return lambda: wire.upload(
                    job.url, job.filename, packed(job, own), cancelled, ca_file=ca_file
                )
            case _:
                return lambda: TransferFailed("unsupported", f"nobody here can carry {type(job).__name__}")

    def _partial(self, station: str, resume: str) -> Partial:
        partial = self._partials.pop((station, resume), None) or Partial(hashlib.sha256())
        self._partials[station, resume] = partial
        if len(self._partials) > _MOST_PARTIALS:
            self._partials.popitem(last=False)
        return partial


def _outcome(future: asyncio.Future[TransferOutcome]) -> TransferOutcome:
    error = future.exception()
    if error is None:
        return future.result()
    return TransferFailed("failed", f"{type(error).__name__}: {error}")


def packed(job: Upload, own: dict[str, str]) -> bytes:
    """A zip archive of what is known; `own`: file name → text of the gateway's."""
    files = dict(own)
    if job.device_log is not None:
        files["device.log"] = job.device_log
    lines = [f"{_time(entry.at)} {entry.type} {entry.info or ''}".rstrip() for entry in job.security]
    files["security.log"] = "".join(f"{line}\n" for line in lines)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return packed.getvalue()


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
