"""Every failure of the store says where it happened, why, and the way out."""

import sqlite3
from pathlib import Path
from typing import Final

_RESTORE: Final = (
    "Stop the gateway, move the file away together with any -wal and -shm file beside it, and restore a "
    "backup; without one the gateway starts with an empty store and knows nothing of what was charging or "
    "waiting to be told."
)

# What is wrong with the place, whoever writes; the primary result codes of SQLite.
_PLACE: Final = {
    sqlite3.SQLITE_FULL: "is full or has reached its size limit: free space on its disk, or raise the limit",
    sqlite3.SQLITE_IOERR: "cannot be read or written: look at the disk below it and at the system log",
    sqlite3.SQLITE_READONLY: "is read-only: make the file, its directory and its file system writable",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: the file and its directory must be readable and writable",
    sqlite3.SQLITE_PERM: "cannot be opened: the file and its directory must be readable and writable",
    sqlite3.SQLITE_BUSY: "is locked by another program that looks into it: close that program",
    sqlite3.SQLITE_LOCKED: "is locked by another program that looks into it: close that program",
    sqlite3.SQLITE_PROTOCOL: "cannot be locked: keep it on a local disk, not on a network share",
    sqlite3.SQLITE_NOMEM: "found no memory left: give the gateway more, or fewer stations",
}
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class StoreError(Exception):
    """The store cannot be opened, or would never take this submission."""


class StoreFull(StoreError):
    """The place takes nothing now: full, failing, damaged, read-only or locked.

    No fact is to blame, and the next submission may succeed.
    """


def explained(error: BaseException, path: Path) -> StoreError:
    """The sentence for what went wrong with the file at `path`."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, sqlite3.Error):
        code = _primary_code(error)
        if code in _DAMAGED:
            return damaged(path, str(error))
        if code in _PLACE:
            return StoreFull(f"The store {path} {_PLACE[code]} ({error}).")
    if isinstance(error, OSError):
        return StoreError(
            f"The store cannot be kept at {path}: {error.strerror or error}. "
            "Choose a path in a directory that the gateway may write to, or give it the right to."
        )
    return StoreError(f"The store {path} cannot take this: {type(error).__name__}: {error}.")


def damaged(path: Path, finding: str) -> StoreError:
    """The sentence for a file that cannot be believed."""
    return StoreFull(f"The store {path} is damaged, or is not a store at all ({finding}). {_RESTORE}")


def blames_the_place(error: BaseException) -> bool:
    """Whether any other submission would have failed as well."""
    return isinstance(error, sqlite3.Error) and _primary_code(error) in {*_PLACE, *_DAMAGED}


def _primary_code(error: sqlite3.Error) -> int:
    # Errors that the sqlite3 module raises by itself carry no code.
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF
