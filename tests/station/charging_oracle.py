"""What charging profiles mean, second by second: slow, in exact numbers, and another way than the station does it.

Each profile is laid out as stretches of time; a second looks up which stretch it lies in. The station's maximum is
poured out like water. All times are whole seconds of the CSMS's clock.
"""

from __future__ import annotations

import calendar
import time
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

Payload = dict[str, Any]
FAR = 10**12
RECURRENCE = {"Daily": 24 * 60 * 60, "Weekly": 7 * 24 * 60 * 60}


@dataclass
class Place:
    """A connector, each with an EVSE of its own."""

    max_a: int = 32
    min_a: int = 6
    phases: int = 3
    voltage: int = 230
    local_a: int | None = None
    begun: int | None = None
    """When its transaction began."""

    @property
    def site_a(self) -> Fraction:
        return Fraction(self.max_a if self.local_a is None else min(self.max_a, self.local_a))


@dataclass
class Installed:
    """A profile where it was given."""

    n: int
    payload: Payload
    at: int

    @property
    def purpose(self) -> str:
        return str(self.payload["chargingProfilePurpose"])

    @property
    def stack(self) -> int:
        return int(self.payload["stackLevel"])


@dataclass
class Oracle:
    """Knows what is installed, and what it means."""

    places: dict[int, Place]
    default_after_tx: bool = True
    installed: list[Installed] = field(default_factory=list)

    def give(self, n: int, payload: Payload, at: int) -> None:
        def replaced(old: Installed) -> bool:
            if old.payload["chargingProfileId"] == payload["chargingProfileId"]:
                return True
            return (old.n, old.purpose, old.stack) == (
                n,
                payload["chargingProfilePurpose"],
                payload["stackLevel"],
            )

        self.installed = [old for old in self.installed if not replaced(old)]
        self.installed.append(Installed(n, payload, at))

    # -------------------------------------------------------------- what connectors may draw

    def operator_a(self, n: int, second: int, assumed: int | None = None) -> Fraction | None:
        """What the profiles allow a connector, in amperes per phase; None: anything."""
        own = self._transaction_a(n, second, assumed)
        maximum = self._prevailing("ChargePointMaxProfile", {0}, second, None)
        if maximum is None:
            return own
        unit, limit = maximum
        queue = sorted(
            (m for m, place in self.places.items() if place.begun is not None),
            key=lambda m: (self.places[m].begun, m),
        )
        if n not in queue:
            queue.append(n)
        weights = {m: self._weight(m, unit) for m in queue}
        needs = {m: self.places[m].min_a * weights[m] for m in queue}
        wishes = {}
        for m in queue:
            wish = self._transaction_a(m, second, assumed)
            site = self.places[m].site_a
            wishes[m] = (site if wish is None else min(site, wish)) * weights[m]
        poured = _poured(limit, queue, needs, wishes)
        headroom = (limit - sum(amount for m, amount in poured.items() if m != n)) / weights[n]
        return headroom if own is None else min(own, headroom)

    def limit_a(self, n: int, second: int, assumed: int | None = None) -> Fraction:
        """What a connector may draw, with the site's own limits."""
        allowed = self.operator_a(n, second, assumed)
        site = self.places[n].site_a
        return site if allowed is None else min(site, allowed)

    def station(self, second: int, assumed: int, unit: str) -> Fraction:
        """What all connectors together may draw, were they all charging."""
        total = Fraction(0)
        for n, place in self.places.items():
            own = self._transaction_a(n, second, assumed)
            total += (place.site_a if own is None else min(place.site_a, own)) * self._weight(n, unit)
        maximum = self._prevailing("ChargePointMaxProfile", {0}, second, None)
        if maximum is None:
            return total
        grid = self.places[1].voltage * max(place.phases for place in self.places.values())
        limit = maximum[1]
        if maximum[0] != unit:
            limit = limit * grid if unit == "W" else limit / grid
        return min(total, limit)

    def _weight(self, n: int, unit: str) -> int:
        return self.places[n].voltage * self.places[n].phases if unit == "W" else 1

    def _transaction_a(self, n: int, second: int, assumed: int | None) -> Fraction | None:
        begun = self.places[n].begun
        charging = begun is not None
        if begun is None:
            begun = second if assumed is None else assumed
        found = None
        mine = [one for one in self.installed if one.purpose == "TxProfile" and one.n == n]
        if charging:
            found = self._prevailing("TxProfile", {n}, second, begun)
        if found is None:
            over = [one for one in mine if charging and _valid_from(one) < _last(one, begun) <= second]
            if not over or self.default_after_tx:
                found = self._prevailing("TxDefaultProfile", {n}, second, begun)
                if found is None:
                    found = self._prevailing("TxDefaultProfile", {0}, second, begun)
        if found is None:
            return None
        return found[1] / self._weight(n, "W") if found[0] == "W" else found[1]

    def _prevailing(
        self, purpose: str, where: set[int], second: int, begun: int | None
    ) -> tuple[str, Fraction] | None:
        best: tuple[int, str, Fraction] | None = None
        for one in self.installed:
            if one.purpose != purpose or one.n not in where:
                continue
            for begin, end, limit in _stretches(one, begun, second):
                if begin <= second < end and (best is None or one.stack > best[0]):
                    best = (one.stack, one.payload["chargingSchedule"]["chargingRateUnit"], limit)
        return None if best is None else best[1:]


def _seconds(text: str) -> int:
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def _begin(one: Installed, begun: int | None) -> int:
    payload = one.payload
    given = payload["chargingSchedule"].get("startSchedule")
    if payload["chargingProfileKind"] != "Relative" and given is not None:
        return _seconds(given)
    if begun is None or payload["chargingProfileKind"] == "Recurring":
        return one.at
    return begun if payload["chargingProfileKind"] == "Relative" else max(begun, one.at)


def _last(one: Installed, begun: int) -> int:
    """When it has nothing more to say."""
    valid_to = _seconds(one.payload["validTo"]) if "validTo" in one.payload else FAR
    duration = one.payload["chargingSchedule"].get("duration")
    if duration is None or one.payload["chargingProfileKind"] == "Recurring":
        return valid_to
    return min(valid_to, _begin(one, begun) + int(duration))


def _valid_from(one: Installed) -> int:
    return _seconds(one.payload["validFrom"]) if "validFrom" in one.payload else -FAR


def _stretches(one: Installed, begun: int | None, near: int) -> list[tuple[int, int, Fraction]]:
    """(begin, end, limit) of a profile, all that may touch a second."""
    payload, schedule = one.payload, one.payload["chargingSchedule"]
    valid_from = _valid_from(one)
    valid_to = _seconds(payload["validTo"]) if "validTo" in payload else FAR
    first = _begin(one, begun)
    begins, cut = [first], FAR
    if payload["chargingProfileKind"] == "Recurring":
        cut = RECURRENCE[payload["recurrencyKind"]]
        begins = []
        while first <= near:
            begins.append(first)
            first += cut
    stretches: list[tuple[int, int, Fraction]] = []
    for begin in begins:
        end = begin + min(cut, schedule.get("duration", FAR))
        for period in schedule["chargingSchedulePeriod"]:
            start = begin + period["startPeriod"]
            stretches = [(a, min(b, start), limit) for a, b, limit in stretches if a < start]
            if start < end:
                stretches.append((start, end, Fraction(str(period["limit"]))))
    return [(max(a, valid_from), min(b, valid_to), limit) for a, b, limit in stretches]


def _poured(
    budget: Fraction, queue: list[int], needs: dict[int, int], wishes: dict[int, Fraction]
) -> dict[int, Fraction]:
    """Everybody's need in turn, then drop by drop into whoever has least, until nothing is left or all are full."""
    left = budget
    glasses: dict[int, Fraction] = {}
    for n in queue:
        if needs[n] <= wishes[n] and needs[n] <= left:
            glasses[n] = Fraction(needs[n])
            left -= needs[n]
    while left > 0 and (thirsty := [n for n in glasses if glasses[n] < wishes[n]]):
        lowest = min(glasses[n] for n in thirsty)
        group = [n for n in thirsty if glasses[n] == lowest]
        levels = [wishes[n] for n in group] + [glasses[n] for n in thirsty if glasses[n] > lowest]
        rise = min(min(levels) - lowest, left / len(group))
        for n in group:
            glasses[n] += rise
        left -= rise * len(group)
    return glasses


def rounded(limit: Fraction) -> float:
    """Down to a tenth."""
    return float(limit * 10 // 1) / 10
