"""Whatever profiles are installed: the composite schedule, the setpoints and the deadlines are those of the oracle."""

from __future__ import annotations

from itertools import pairwise
from math import inf
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.station.model import ConnectorConfig, Policy
from tests.station.charging_oracle import Oracle, Place, rounded
from tests.station.rig import NOON, Payload, Rig, text

DAY = 86400
HORIZON = 240
TOKENS = {1: "04A1", 2: "04A2", 3: "04A3"}
MAX, DEFAULT, TX = "ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"

moments = st.integers(-90, 200)
"""Around the time at which it is given."""


@st.composite
def profiles(draw: st.DrawFn, begin: int) -> Payload:
    """A profile that a station accepts, around a moment."""
    unit = draw(st.sampled_from("AAW"))
    kind = draw(st.sampled_from(["Absolute", "Relative", "Recurring"]))
    starts = sorted(draw(st.sets(st.integers(1, 180), max_size=4)))
    limits = st.sampled_from([0, 5.9, 6, 7.3, 10, 13, 16, 20, 40]).map(
        lambda limit: limit if unit == "A" else round(limit * 690 + 0.3, 1)
    )
    schedule: Payload = {
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [{"startPeriod": at, "limit": draw(limits)} for at in [0, *starts]],
    }
    if draw(st.booleans()):
        schedule["duration"] = draw(st.integers(1, 220))
    if draw(st.booleans()):
        early = draw(st.sampled_from([0, DAY, 7 * DAY])) if kind == "Recurring" else 0
        schedule["startSchedule"] = text(begin + draw(moments) - early)
    payload: Payload = {
        "chargingProfileId": draw(st.integers(1, 8)),
        "stackLevel": draw(st.integers(0, 2)),
        "chargingProfilePurpose": draw(st.sampled_from([MAX, DEFAULT, DEFAULT, TX])),
        "chargingProfileKind": kind,
        "chargingSchedule": schedule,
    }
    if kind == "Recurring":
        payload["recurrencyKind"] = draw(st.sampled_from(["Daily", "Weekly"]))
    if draw(st.integers(0, 3)) == 0:
        payload["validFrom"] = text(begin + draw(moments))
    if draw(st.integers(0, 3)) == 0:
        valid_to = begin + draw(moments)
        if payload.get("validFrom", "") < text(valid_to):
            payload["validTo"] = text(valid_to)
    return payload


class Scene:
    """A station and its oracle, told the same."""

    def __init__(self, places: list[Place], *, default_after_tx: bool) -> None:
        self.oracle = Oracle(dict(enumerate(places, start=1)), default_after_tx)
        self.rig = Rig(
            "1.6",
            connectors=[
                ConnectorConfig(
                    n=n,
                    evse=n,
                    connector=1,
                    phases=place.phases,
                    max_current_a=place.max_a,
                    min_current_a=place.min_a,
                )
                for n, place in self.oracle.places.items()
            ],
            policy=Policy(after_tx_profile="tx_default" if default_after_tx else "nothing"),
        )
        self.rig.boot()

    @property
    def second(self) -> int:
        assert self.rig.wall == int(self.rig.wall)
        return int(self.rig.wall)

    def session(self, n: int) -> None:
        self.rig.session(TOKENS[n], n)
        self.oracle.places[n].begun = self.second

    def local_limit(self, n: int, limit_a: int) -> None:
        self.rig.request("limit", n, limit_a=limit_a)
        self.oracle.places[n].local_a = limit_a

    def give(self, n: int, payload: Payload) -> None:
        purpose = payload["chargingProfilePurpose"]
        if purpose == MAX:
            n = 0
        taken = purpose != TX or (n != 0 and self.oracle.places[n].begun is not None)
        status = self.rig.status_of("SetChargingProfile", connectorId=n, csChargingProfiles=payload)
        assert ("Accepted" if taken else "Rejected") == status
        if taken:
            self.oracle.give(n, payload, self.second)

    def composite(self, n: int, unit: str) -> list[float]:
        """The composite schedule, second by second."""
        reply = self.rig.asks("GetCompositeSchedule", connectorId=n, duration=HORIZON, chargingRateUnit=unit)
        assert isinstance(reply, dict)
        assert ("Accepted", text(self.second)) == (reply["status"], reply["scheduleStart"])
        told = reply["chargingSchedule"]
        periods = told["chargingSchedulePeriod"]
        assert (0, HORIZON) == (periods[0]["startPeriod"], told["duration"])
        ends = [period["startPeriod"] for period in periods[1:]] + [HORIZON]
        line: list[float] = []
        for period, end in zip(periods, ends, strict=True):
            assert len(line) == period["startPeriod"] < end
            line += [period["limit"]] * (end - len(line))
        assert all(earlier["limit"] != later["limit"] for earlier, later in pairwise(periods))
        return line

    def shown(self, second: int) -> list[float | None]:
        """`limit_operator_a` of all connectors, by the oracle."""
        allowed = [self.oracle.operator_a(n, second) for n in self.oracle.places]
        return [None if limit is None else rounded(limit) for limit in allowed]


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Profiles are given before and during transactions."""
    places = [
        Place(max_a=draw(st.sampled_from([16, 32])), phases=draw(st.sampled_from([1, 3])))
        for _ in range(draw(st.integers(1, 3)))
    ]
    scene = Scene(places, default_after_tx=draw(st.booleans()))
    numbers = list(scene.oracle.places)
    for n in draw(st.sets(st.sampled_from(numbers))):
        scene.session(n)
    if draw(st.booleans()):
        periods = [{"startPeriod": 0, "limit": draw(st.integers(5, 50))}]
        schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": periods}
        names = {"chargingProfilePurpose": MAX, "chargingProfileKind": "Absolute"}
        scene.give(0, {"chargingProfileId": 9, "stackLevel": 0, **names, "chargingSchedule": schedule})
    for action in draw(st.lists(st.sampled_from("ppppswl"), min_size=1, max_size=10)):
        n = draw(st.sampled_from(numbers))
        match action:
            case "p":
                scene.give(draw(st.sampled_from([0, n, n])), draw(profiles(scene.second)))
            case "s" if scene.oracle.places[n].begun is None:
                scene.session(n)
            case "l":
                scene.local_limit(n, draw(st.integers(5, 20)))
            case _:
                scene.rig.after(draw(st.integers(1, 60)))
    return scene


@given(scene=scenes(), unit=st.sampled_from("AW"))
@settings(max_examples=150)
def test_a_composite_schedule_is_what_the_oracle_says_for_each_second(scene: Scene, unit: str) -> None:
    """Of every connector, and of the station."""
    now = scene.second
    for n, place in scene.oracle.places.items():
        weight = place.voltage * place.phases if unit == "W" else 1
        expected = [
            rounded(scene.oracle.limit_a(n, second, now) * weight) for second in range(now, now + HORIZON)
        ]
        assert expected == scene.composite(n, unit)
    expected = [rounded(scene.oracle.station(second, now, unit)) for second in range(now, now + HORIZON)]
    assert expected == scene.composite(0, unit)


@given(scene=scenes())
@settings(max_examples=100)
def test_the_next_deadline_is_when_a_limit_next_changes(scene: Scene) -> None:
    """Neither earlier nor later."""
    now = scene.second
    shown = scene.shown(now)

    changes_at = scene.rig.station.state.charging.changes_at

    differs = [second for second in range(now + 1, now + HORIZON) if scene.shown(second) != shown]
    if differs:
        assert differs[0] == changes_at
    else:
        assert changes_at >= now + HORIZON
    due = scene.rig.station.deadline()
    assert changes_at == inf or (due is not None and due <= scene.rig.monotonic + changes_at - now + 1e-3)


@given(scene=scenes())
@settings(max_examples=60)
def test_a_station_woken_only_at_its_deadlines_shows_the_oracles_limits(scene: Scene) -> None:
    """In every second: what the device is told, what everybody sees, and that the sum is kept."""
    rig, oracle = scene.rig, scene.oracle
    for _ in range(HORIZON):
        limits: list[Any] = [rig.setpoint(n).limit_a for n in oracle.places]
        assert [rounded(oracle.limit_a(n, scene.second)) for n in oracle.places] == limits
        views = [rig.station.state.by_n[n].view for n in oracle.places]
        assert scene.shown(scene.second) == [view and view.limit_operator_a for view in views]
        for n, place in oracle.places.items():
            charging = place.begun is not None and limits[n - 1] >= place.min_a
            assert charging == rig.setpoint(n).energize
        rig.after(1)
    assert rig.wall - NOON < DAY
