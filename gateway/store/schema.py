"""The schema only moves forward, one numbered file after the other, each in one transaction."""

import re
import sqlite3
from importlib.resources import files
from pathlib import Path
from typing import Final

from gateway.store.errors import StoreError

APPLICATION_ID: Final = 0x4F435050
"""Marks the file as a store of ours; "OCPP" as a number."""


def steps() -> list[str]:
    """The SQL of the schema files in their order: the first makes schema 1 of an empty file, and so on."""
    named = sorted(
        (int(match[1]), file.read_text(encoding="utf-8"))
        for file in files(__package__).joinpath("schema").iterdir()
        if (match := re.fullmatch(r"(\d{4})_\w+\.sql", file.name))
    )
    if [number for number, _ in named] != list(range(1, len(named) + 1)):
        raise StoreError(
            f"The schema files of the store are numbered {[number for number, _ in named]}, without 1 or "
            "with a gap: the gateway is not completely installed. Install it again."
        )
    return [sql for _, sql in named]


def recognise(connection: sqlite3.Connection, path: Path, known: int) -> int:
    """The schema of the file, 0 for an empty one.

    Changes nothing. Raises StoreError for a file of another program and for a schema above `known`.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (application or version or objects):
        raise StoreError(
            f"{path} is an SQLite database of another program (application id {application:#x}), not a store "
            "of the gateway. Nothing in it was changed. Give the store another path."
        )
    if version > known:
        raise StoreError(
            f"The store {path} has schema {version}, and this gateway knows schemas up to {known}: a newer "
            "gateway has written it. Run that version again, or restore the backup from before the upgrade."
        )
    return int(version)


def migrate(connection: sqlite3.Connection, path: Path, version: int, todo: list[str]) -> None:
    """Bring the file from schema `version` to the last of `todo`; a step that fails changes nothing.

    Raises StoreError.
    """
    for number, sql in enumerate(todo[version:], start=version + 1):
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE; {sql}\n"
                f"; PRAGMA user_version = {number}; PRAGMA application_id = {APPLICATION_ID}; COMMIT;"
            )
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise StoreError(
                f"The store {path} could not be brought from schema {number - 1} to {number} ({error}). It "
                f"still has schema {number - 1}: free space on its disk, or run the version it worked with."
            ) from error
