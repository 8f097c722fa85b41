"""A submission is the changes of one fact: all of them are kept, or none."""

from collections.abc import Callable

import msgspec

OUTBOX = "outbox"
"""The kind whose keys are positions in a queue: decimal numbers, with or without leading zeros."""


class Write(msgspec.Struct, frozen=True, gc=False):
    """One change: the row `key` of this `kind` becomes `body`, or goes when that is None."""

    kind: str
    key: str
    body: bytes | None


class Submission(msgspec.Struct, frozen=True):
    """What one call of `submit` or `forget` asked for."""

    station: str
    writes: tuple[Write, ...] | None
    """None forgets the station."""
    done: Callable[[BaseException | None], None]
