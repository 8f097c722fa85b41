"""Store, then say: `done` is called after the fsync of the commit that held its submission, never before."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import structlog

from gateway.store.database import Database, Loaded, read_all, read_one, read_stations
from gateway.store.errors import StoreError, explained
from gateway.store.lock import Lock
from gateway.store.writes import Submission, Write

__all__ = ["Done", "Loaded", "Store"]

Done = Callable[[BaseException | None], None]
"""Is told that a submission is on the disk, or the StoreError that says why not."""

_MOST_SUBMISSIONS: Final = 4096
_GATHERED_S: Final = 0.015
"""Commits begin no sooner than this after one another."""

_log = structlog.get_logger(__name__)


class Store:
    """One file, and the one thread that writes it.

    `submit`, `forget` and `close` belong to one event loop, and are called on its thread. Reading shows what
    is committed, not what is pending, and may happen on any thread.
    """

    commits: int = 0
    """Transactions that reached the disk."""
    submissions: int = 0
    """Submissions that they held."""
    failures: int = 0
    """Submissions that were answered with an error."""
    last_commit_s: float = 0.0
    total_commit_s: float = 0.0
    pending: int = 0
    """Submissions whose `done` was not called yet. None is refused: who submits looks here and slows down."""
    on_end: Callable[[BaseException], None] | None
    """Called on the loop when the writer died: nothing is kept from then on."""
    on_commit: Callable[[float, int], None] | None = None
    """Called on the loop for each commit, before the `done` of its submissions: (seconds, submissions)."""

    @classmethod
    def open(cls, path: Path, *, size_limit_bytes: int | None = None) -> "Store":
        """Open the store at `path`, or create it and its directory; older schemas are migrated.

        Blocks for as long as the check of the file takes. Raises StoreError when the file is damaged, newer
        than this program or of another one, in use by another process, or in a place that cannot be written.
        With `size_limit_bytes` the file counts as full at that size.
        """
        return cls(path, size_limit_bytes)

    def __init__(self, path: Path, size_limit_bytes: int | None = None) -> None:
        """See `open`."""
        try:
            self.path: Final = path.expanduser().resolve()
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError) as error:
            raise explained(error, path) from error
        self._lock = Lock(self.path)
        try:
            self._database = Database(self.path, size_limit_bytes)
        except BaseException:
            self._lock.release()
            raise
        self._queue: SimpleQueue[Submission | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed: asyncio.Future[None] | None = None
        # A daemon: a process that dies without `close` must not wait for it. Its end is noticed in `close`.
        self._thread = threading.Thread(target=self._write_until_closed, name="store", daemon=True)
        self._thread.start()

    @property
    def size_bytes(self) -> int:
        """What the file and its log take on the disk."""
        parts = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(part.stat().st_size for part in parts if part.exists())

    @property
    def mean_commit_s(self) -> float:
        """Over all commits since the store was opened."""
        return self.total_commit_s / self.commits if self.commits else 0.0

    def stations(self) -> list[str]:
        """The identities that something is kept of, spelt as they were first."""
        return read_stations(self.path)

    def load(self, station: str) -> Loaded:
        """What is kept of a station; empty for an unknown one. Outbox keys come without leading zeros."""
        return read_one(self.path, station)

    def load_all(self) -> Iterator[tuple[str, Loaded]]:
        """Each station's identity and what is kept of it, one station in memory at a time."""
        return read_all(self.path)

    def submit(self, station: str, writes: Sequence[Write], done: Done) -> None:
        """Have all of `writes` kept, or none; returns at once.

        Submissions are committed in their order. `done` is called on the loop, in that order too. StoreFull
        says that the place takes nothing now, any other StoreError that it would never take this submission.
        """
        self._put(Submission(station, tuple(writes), done))

    def forget(self, station: str, done: Done | None = None) -> None:
        """Remove all that is kept of a station, in its turn. Without `done` a failure goes to the loop."""
        self._put(Submission(station, None, done or _raise))

    async def close(self) -> None:
        """Commit what is pending, carry the log over into the file, and let the next user in."""
        if self._closed is None:
            self._loop = asyncio.get_running_loop()
            self._closed = self._loop.create_future()
            self._queue.put(None)
        await asyncio.shield(self._closed)
        self._thread.join()

    def _put(self, submission: Submission) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self.pending += 1
        if self._closed is None:
            self._queue.put(submission)
        else:
            error = StoreError(f"The store {self.path} is closed: the gateway is going down.")
            self._loop.call_soon(self._tell, (submission,), (error,), 0.0)

    def _write_until_closed(self) -> None:
        try:
            self._write()
        except BaseException as error:
            # Nothing is kept any more: whoever waits must hear of it instead of waiting for ever.
            self._call(self._broken, error)
            raise

    def _broken(self, error: BaseException) -> None:
        if self.on_end is not None:
            self.on_end(error)
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)

    def _write(self) -> None:
        closing = False
        started = 0.0
        while not closing:
            taken = [self._queue.get()]
            # Whoever comes first after a rest is served at once; a crowd shares its fsync.
            time.sleep(max(0.0, started + _GATHERED_S - time.perf_counter()))
            # Nobody else takes from the queue, so what is counted is there; None is put last.
            taken += [self._queue.get() for _ in range(min(self._queue.qsize(), _MOST_SUBMISSIONS))]
            closing = taken[-1] is None
            batch = [submission for submission in taken if submission is not None]
            if batch:
                started = time.perf_counter()
                outcomes = self._database.commit(batch)
                self._call(self._tell, batch, outcomes, time.perf_counter() - started)
                self._tidy()
        self._close_database()
        self._call(self._end)

    def _tidy(self) -> None:
        try:
            self._database.tidy()
        except StoreError as error:
            _log.warning("The store could not give free space back", reason=str(error))

    def _close_database(self) -> None:
        try:
            self._database.close()
        except StoreError as error:
            _log.warning(
                "The store was closed with its log; what was committed is safe in the -wal", reason=str(error)
            )
        finally:
            self._lock.release()

    def _call(self, callback: Callable[..., None], *arguments: object) -> None:
        assert self._loop is not None  # noqa: S101 - whoever put something into the queue has set it
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            _log.warning(
                "The event loop ended before the store was closed; nobody can be told of the last commit"
            )

    def _tell(
        self, batch: Sequence[Submission], outcomes: Sequence[StoreError | None], seconds: float
    ) -> None:
        failed = sum(outcome is not None for outcome in outcomes)
        self.pending -= len(batch)
        self.failures += failed
        if failed < len(batch):
            self.commits += 1
            self.submissions += len(batch) - failed
            self.last_commit_s = seconds
            self.total_commit_s += seconds
            if self.on_commit is not None:
                self._guarded(self.on_commit, seconds, len(batch) - failed)
        for submission, outcome in zip(batch, outcomes, strict=True):
            self._guarded(submission.done, outcome)

    def _guarded(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            callback(*arguments)
        except Exception as error:  # noqa: BLE001 - one that fails must not keep the others from being told
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"What followed a commit failed: {error}", "exception": error}
            )

    def _end(self) -> None:
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)


def _raise(error: BaseException | None) -> None:
    if error is not None:
        raise error
