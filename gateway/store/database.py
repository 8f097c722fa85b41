"""Many submissions are one commit; what one of them spoils is its own loss only."""

import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Final

from gateway.store.errors import StoreError, blames_the_place, damaged, explained
from gateway.store.schema import migrate, recognise, steps
from gateway.store.writes import OUTBOX, Submission

PAGE_BYTES: Final = 4096
SPARE_PAGES: Final = 256
"""Free pages that stay in the file to be used again; more than twice as many are given back to the disk."""
WAL_PAGES: Final = 1000
"""After so many pages the log is carried over into the file, and starts again."""

Loaded = dict[str, dict[str, bytes]]
"""All that is kept of one station: kind → key → body. Keys are in order, those of the outbox as numbers."""

_MOST_ROWS: Final = 256
_LAST_POSITION: Final = 2**63 - 1

_PUT_RECORDS: Final = """
    INSERT INTO record (station, kind, key, body) VALUES (?,?,?,?)
    ON CONFLICT DO UPDATE SET body = excluded.body
"""
_PUT_OUTBOX: Final = """
    INSERT INTO outbox (station, position, body) VALUES (?,?,?)
    ON CONFLICT DO UPDATE SET body = excluded.body
"""
# SQLite searches the primary key for each of these; of a row value IN (...) it makes a scan.
_DROP_RECORDS: Final = "DELETE FROM record WHERE (station = ? AND kind = ? AND key = ?)"
_DROP_OUTBOX: Final = "DELETE FROM outbox WHERE (station = ? AND position = ?)"

_Row = tuple[object, ...]
_RecordKey = tuple[int, str, str]
_OutboxKey = tuple[int, int]


class Database:
    """The one connection that writes. Opened on one thread, it may then be used by another."""

    def __init__(self, path: Path, size_limit_bytes: int | None = None) -> None:
        """Open, check and migrate the file; the place must be locked already. Raises StoreError."""
        self.path = path
        self._ids: dict[str, int] = {}
        _create(path)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(size_limit_bytes)
        except BaseException as error:
            self._connection.close()
            if isinstance(error, sqlite3.Error):
                raise explained(error, path) from error
            raise

    def commit(self, submissions: Sequence[Submission]) -> Sequence[StoreError | None]:
        """Apply them in their order and bring them to the disk; what became of each, in the same order."""
        try:
            self._in_one_transaction(lambda: self._apply(submissions))
        except Exception as error:  # noqa: BLE001 - whatever a fact makes fail, its submitter learns it
            if blames_the_place(error) or len(submissions) == 1:
                return [explained(error, self.path)] * len(submissions)
            return self._commit_apart(submissions)
        return [None] * len(submissions)

    def tidy(self) -> None:
        """Give free pages back to the disk, a bounded number at a time. Raises StoreError."""
        try:
            (free_pages,) = self._connection.execute("PRAGMA freelist_count").fetchone()
            if free_pages >= 2 * SPARE_PAGES:
                # As a script: `execute` takes one step, since its rows have no columns, and frees one page.
                self._connection.executescript(f"PRAGMA incremental_vacuum({SPARE_PAGES})")
        except sqlite3.Error as error:
            raise explained(error, self.path) from error

    def close(self) -> None:
        """Carry the log over into the file and close it. Raises StoreError; the log keeps what it has."""
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            raise explained(error, self.path) from error
        finally:
            self._connection.close()

    def _prepare(self, size_limit_bytes: int | None) -> None:
        todo = steps()
        version = recognise(self._connection, self.path, known=len(todo))
        (finding,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if finding != "ok":
            raise damaged(self.path, finding.replace("\n", " "))
        for pragma in (
            "auto_vacuum = INCREMENTAL",  # counts only while the file is empty: WAL writes its first page
            "journal_mode = WAL",
            "synchronous = FULL",
            f"wal_autocheckpoint = {WAL_PAGES}",
            f"journal_size_limit = {WAL_PAGES * PAGE_BYTES}",
            "secure_delete = FAST",  # tokens do not linger in pages that are written anyway
            "cache_size = -4096",
            f"max_page_count = {size_limit_bytes // PAGE_BYTES if size_limit_bytes else 2**30}",
        ):
            self._connection.execute(f"PRAGMA {pragma}").fetchall()
        migrate(self._connection, self.path, version, todo)

    def _in_one_transaction(self, work: Callable[[], None]) -> None:
        try:
            if self._connection.in_transaction:  # a failing disk can make even a rollback fail
                self._connection.execute("ROLLBACK")
            self._connection.execute("BEGIN IMMEDIATE")
            work()
            self._connection.execute("COMMIT")
        except BaseException:
            self._ids.clear()  # some of them may have been given in this transaction
            if self._connection.in_transaction:  # after some errors SQLite has rolled back by itself
                with suppress(
                    sqlite3.Error
                ):  # the first error is the one to tell, and the next one tries again
                    self._connection.execute("ROLLBACK")
            raise

    def _commit_apart(self, submissions: Sequence[Submission]) -> Sequence[StoreError | None]:
        outcomes: list[StoreError | None] = []

        def one_by_one() -> None:
            for submission in submissions:
                self._connection.execute("SAVEPOINT submission")
                try:
                    self._apply((submission,))
                except Exception as error:
                    if blames_the_place(error):
                        raise
                    self._ids.clear()
                    self._connection.execute("ROLLBACK TO submission")
                    outcomes.append(explained(error, self.path))
                else:
                    outcomes.append(None)
                self._connection.execute("RELEASE submission")

        try:
            self._in_one_transaction(one_by_one)
        except Exception as error:  # noqa: BLE001 - whatever a fact makes fail, its submitter learns it
            return [explained(error, self.path)] * len(submissions)
        return outcomes

    def _apply(self, submissions: Sequence[Submission]) -> None:
        # The last write of a row is what the row will be, so the others need not reach the file.
        records: dict[_RecordKey, bytes | None] = {}
        outbox: dict[_OutboxKey, bytes | None] = {}
        for submission in submissions:
            station = self._ids.get(submission.station) or self._enrol(submission.station)
            if submission.writes is None:
                self._write(records, outbox)
                records.clear()
                outbox.clear()
                self._forget(station)
                continue
            for write in submission.writes:
                if write.kind == OUTBOX:
                    outbox[station, _position(write.key)] = write.body
                else:
                    records[station, write.kind, write.key] = write.body
        self._write(records, outbox)

    def _write(self, records: dict[_RecordKey, bytes | None], outbox: dict[_OutboxKey, bytes | None]) -> None:
        # What goes makes room for what comes, which counts when the disk is full.
        self._each(_DROP_OUTBOX, [key for key, body in outbox.items() if body is None])
        self._each(_DROP_RECORDS, [key for key, body in records.items() if body is None])
        self._each(_PUT_OUTBOX, [(*key, body) for key, body in outbox.items() if body is not None])
        self._each(_PUT_RECORDS, [(*key, body) for key, body in records.items() if body is not None])

    def _each(self, statement: str, rows: Sequence[_Row]) -> None:
        # Not executemany: it lets the interpreter lock go at each row, and gets it back 5 ms later while the
        # event loop is busy (measured: half a second for 200 rows). Powers of two: few statements to prepare.
        start = 0
        count = _MOST_ROWS
        while start < len(rows):
            while count > len(rows) - start:
                count //= 2
            some = rows[start : start + count]
            self._connection.execute(_for_rows(statement, count), tuple(chain.from_iterable(some)))
            start += count

    def _enrol(self, station: str) -> int:
        self._connection.execute("INSERT OR IGNORE INTO station (name) VALUES (?)", (station,))
        (number,) = self._connection.execute("SELECT id FROM station WHERE name = ?", (station,)).fetchone()
        self._ids[station] = number
        return int(number)

    def _forget(self, station: int) -> None:
        self._connection.execute("DELETE FROM record WHERE station = ?", (station,))
        self._connection.execute("DELETE FROM outbox WHERE station = ?", (station,))
        self._connection.execute("DELETE FROM station WHERE id = ?", (station,))
        self._ids = {name: number for name, number in self._ids.items() if number != station}


def read_stations(path: Path) -> list[str]:
    """The identities that something is kept of, in alphabetical order. Raises StoreError."""
    with _reading(path) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM station ORDER BY name")]


def read_one(path: Path, station: str) -> Loaded:
    """What is committed of this station. Raises StoreError."""
    with _reading(path) as connection:
        known = connection.execute("SELECT id FROM station WHERE name = ?", (station,)).fetchone()
        return _loaded(connection, known[0]) if known else {}


def read_all(path: Path) -> Iterator[tuple[str, Loaded]]:
    """Each station's identity as first written, and what is committed of it. Raises StoreError."""
    with _reading(path) as connection:
        for number, name in connection.execute("SELECT id, name FROM station ORDER BY id").fetchall():
            yield name, _loaded(connection, number)


def _loaded(connection: sqlite3.Connection, station: int) -> Loaded:
    loaded: Loaded = {}
    connection.execute("BEGIN")  # both tables as of the same commit
    for kind, key, body in connection.execute(
        "SELECT kind, key, body FROM record WHERE station = ? ORDER BY kind, key", (station,)
    ):
        loaded.setdefault(kind, {})[key] = body
    for position, body in connection.execute(
        "SELECT position, body FROM outbox WHERE station = ? ORDER BY position", (station,)
    ):
        loaded.setdefault(OUTBOX, {})[str(position)] = body
    connection.execute("COMMIT")
    return loaded


def _create(path: Path) -> None:
    try:
        # Passwords and tokens are in it; the -wal and -shm files take over these rights.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        log = path.with_name(path.name + "-wal")
        if path.stat().st_size == 0 and log.exists() and log.stat().st_size > 0:
            # SQLite would take it for a new database and throw the log away.
            raise damaged(path, "it is empty, but its log is not")
    except OSError as error:
        raise explained(error, path) from error


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    # A connection of its own, since the other belongs to the writing thread.
    address = f"{path.as_uri()}?mode=ro"
    try:
        connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
        with closing(connection):
            yield connection
    except sqlite3.Error as error:
        raise explained(error, path) from error


def _position(key: str) -> int:
    if not (key.isascii() and key.isdigit() and (position := int(key)) <= _LAST_POSITION):
        raise ValueError(f"an outbox key is a decimal number up to {_LAST_POSITION}, not {key!r}")
    return position


@cache
def _for_rows(statement: str, count: int) -> str:
    before, row, after = re.split(r"(\([^()]*\?\))", statement)
    return before + (" OR " if "=" in row else ", ").join([row] * count) + after
