"""What a foreign device was told, whether it did it, and when it has to be told again."""

from __future__ import annotations

from typing import Any

from msgspec.structs import asdict, replace

from gateway.mqtt.profiles.model import Profile, Send
from gateway.station.effects import SetPointDocument

Spoken = tuple[tuple[Send, ...], dict[str, Any]]
"""Messages, and what their templates know."""

_RETRY_MAX_S = 60.0
_ON_ATTEMPTS = 3
"""An on that the device does not take is not forced on it; an off is repeated until it is obeyed."""


class Switching:
    """The output of one device. Pure; times are monotonic."""

    __slots__ = (
        "_attempts", "_check_at", "_keep_at", "_obeyed_revision", "_output", "_profile", "_reads_back", "_said",
        "_wanted",
    )  # fmt: skip

    def __init__(self, profile: Profile) -> None:
        """Nothing was said yet."""
        self._profile = profile
        self._reads_back = any(rule.confirm is not None for rule in profile.rules)
        self._wanted: SetPointDocument | None = None
        self._said: SetPointDocument | None = None
        """What the device was told last, revision and transaction aside; None: it has to be told."""
        self._output: bool | None = None
        """Its own read-back."""
        self._obeyed_revision: int | None = None
        self._attempts = 0
        self._check_at: float | None = None
        self._keep_at: float | None = None

    def connected(self, now: float) -> None:
        """The gateway can speak to it."""
        if self._wanted is not None and self._wanted.energize:
            self._keep(now)

    def lost(self) -> None:
        """It is not heard; after that everything is said anew."""
        self._wanted = self._said = self._output = None
        self._check_at = self._keep_at = None

    def gone(self) -> None:
        """The device is away: what it was told may be forgotten."""
        self._said = self._output = None
        self._check_at = self._keep_at = None

    def returned(self, now: float) -> Spoken | None:
        """The device is there (again)."""
        return None if self._wanted is None else self._speak(now)

    def wanted(self, wanted: SetPointDocument, now: float) -> Spoken | None:
        """A new setpoint. What differs for us alone is not said again; an off always is."""
        told = replace(wanted, revision=0, transaction=None)
        self._wanted = wanted
        self._attempts = 0
        if told == self._said and wanted.energize:
            return None
        return self._speak(now)

    def read_back(self, on: bool, now: float) -> Spoken | None:
        """The device says whether its output is on."""
        self._output = on
        wanted = self._wanted
        if wanted is None:
            return None
        if wanted.energize is on:
            self._check_at = None
            self._attempts = 0
        elif self._check_at is None:
            self._check_at = now + self._profile.confirm_s  # Somebody else switched it, or its timer did.
            if not wanted.energize:
                return self._speak(now)
        return None

    def obeyed(self) -> int | None:
        """The revision that the device is newly known to obey."""
        wanted = self._wanted
        if wanted is None or self._output is not wanted.energize or self._obeyed_revision == wanted.revision:
            return None
        self._obeyed_revision = wanted.revision
        return wanted.revision

    def deadline(self) -> float | None:
        """When `elapsed` has to be called."""
        return min((at for at in (self._check_at, self._keep_at) if at is not None), default=None)

    def elapsed(self, now: float, problems: list[str]) -> Spoken | None:
        """Repeat what was not obeyed, and what a dead man's timer needs."""
        wanted, keepalive = self._wanted, self._profile.keepalive
        if wanted is None:
            return None
        if self._check_at is not None and now >= self._check_at:
            self._check_at = None
            self._attempts += 1
            word = "on" if wanted.energize else "off"
            problems.append(f"the device does not confirm that it is {word} (attempt {self._attempts})")
            if not wanted.energize or self._attempts < _ON_ATTEMPTS:
                return self._speak(now)
        if keepalive is not None and self._keep_at is not None and now >= self._keep_at:
            self._keep(now)
            if (
                self._output is not False
            ):  # Somebody who switched it off by hand is not contradicted for ever.
                return (keepalive.send or self._profile.on, asdict(wanted))
        return None

    def _speak(self, now: float) -> Spoken:
        wanted = self._wanted
        assert wanted is not None  # noqa: S101 - its callers have looked
        self._said = replace(wanted, revision=0, transaction=None)
        self._keep_at = None
        if wanted.energize:
            self._keep(now)
        if self._reads_back and self._output is not wanted.energize:
            patience_s = min(self._profile.confirm_s * 2**self._attempts, _RETRY_MAX_S)
            self._check_at = now + patience_s
        else:
            self._check_at = None
        return (self._profile.on if wanted.energize else self._profile.off, asdict(wanted))

    def _keep(self, now: float) -> None:
        if self._profile.keepalive is not None:
            self._keep_at = now + self._profile.keepalive.every_s
