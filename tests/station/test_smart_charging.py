"""Charging profiles: each rule of 1.6 §3.13 and §5.16, as a CSMS and a device see it."""

from typing import Any

import pytest

from gateway.station import effects
from gateway.station.charging_limits import shared
from gateway.station.events import StoreChanged
from gateway.station.model import ConnectorConfig, Policy
from tests.station.rig import CARD, NOON, OTHER, Payload, Rig, text

DAY = 86400
MAX, DEFAULT, TX = "ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"
FIRST_ID = 77


def booted(connectors: int = 1, **more: Any) -> Rig:
    rig = Rig("1.6", connectors=connectors, **more)
    rig.boot()
    return rig


def charging(**more: Any) -> Rig:
    """A transaction runs at connector 1, its number is 77."""
    rig = booted(**more)
    rig.session()
    return rig


def profile(
    purpose: str = DEFAULT,
    *periods: tuple[int, float],
    number: int = 1,
    stack: int = 0,
    kind: str = "Absolute",
    start: float | None = NOON,
    unit: str = "A",
    phases: int | None = None,
    duration: int | None = None,
    **more: Any,
) -> Payload:
    """csChargingProfiles; times are wall-clock seconds."""
    schedule: Payload = {
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [
            {"startPeriod": at, "limit": limit} | ({} if phases is None else {"numberPhases": phases})
            for at, limit in periods
        ],
    }
    if start is not None:
        schedule["startSchedule"] = text(start)
    if duration is not None:
        schedule["duration"] = duration
    for name in ("validFrom", "validTo"):
        if name in more:
            more[name] = text(more[name])
    return {
        "chargingProfileId": number,
        "stackLevel": stack,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": schedule,
        **more,
    }


def give(rig: Rig, given: Payload, n: int = 1) -> str | None:
    """The status word of the reply, or the code of a CALLERROR."""
    return rig.status_of("SetChargingProfile", connectorId=n, csChargingProfiles=given)


def accepted(rig: Rig, *given: Payload, n: int = 1) -> None:
    for one in given:
        assert "Accepted" == give(rig, one, 0 if one["chargingProfilePurpose"] == MAX else n)


def clear(rig: Rig, **filters: Any) -> str | None:
    return rig.status_of("ClearChargingProfile", **filters)


def schedule(rig: Rig, seconds: int, n: int = 1, unit: str | None = None) -> list[tuple[int, float]]:
    """The composite schedule's periods."""
    more = {} if unit is None else {"chargingRateUnit": unit}
    reply = rig.asks("GetCompositeSchedule", connectorId=n, duration=seconds, **more)
    assert isinstance(reply, dict)
    assert ("Accepted", n) == (reply["status"], reply["connectorId"])
    assert "startSchedule" not in reply["chargingSchedule"]
    assert seconds == reply["chargingSchedule"]["duration"]
    return [
        (period["startPeriod"], period["limit"])
        for period in reply["chargingSchedule"]["chargingSchedulePeriod"]
    ]


def limit(rig: Rig, n: int = 1) -> float:
    """What the device is told."""
    return rig.setpoint(n).limit_a


def operator(rig: Rig, n: int = 1) -> float | None:
    """`state.limit_operator_a`."""
    view = rig.station.state.by_n[n].view
    assert view is not None
    return view.limit_operator_a


# ------------------------------------------------------------------ vectors of the compliance test

VECTOR_066 = (
    profile(MAX, (0, 10), number=1),
    profile(DEFAULT, (0, 6), (60, 10), (120, 8), (180, 15), (260, 8), number=2, duration=300),
    profile(TX, (0, 8), (50, 11), (140, 16), (200, 6), (240, 12), number=3, duration=260),
)


@pytest.mark.parametrize("waited", [0, 3])
@pytest.mark.parametrize(
    ("after", "tail"), [("nothing", [(240, 10)]), ("tx_default", [(240, 10), (260, 8), (300, 10)])]
)
def test_tc_066_the_lowest_over_the_purposes(after: Any, tail: list[tuple[int, float]], waited: int) -> None:
    """# [TC_066] as published, and [TC_K_41] after its errata, by the switch `after_tx_profile`."""
    rig = charging(policy=Policy(after_tx_profile=after))
    begin = rig.wall
    accepted(rig, *(shifted(one, begin) for one in VECTOR_066))
    rig.after(waited)

    expected = [(0, 8), (50, 10), (200, 6), *tail]

    assert [(max(at - waited, 0), value) for at, value in expected] == schedule(rig, 400)


def shifted(given: Payload, begin: float) -> Payload:
    """The same profile, but starting then."""
    return given | {"chargingSchedule": given["chargingSchedule"] | {"startSchedule": text(begin)}}


@pytest.mark.parametrize("unit", ["A", "W"])
def test_tc_067_profiles_are_cleared(unit: str) -> None:
    """# [TC_067]: by id, by purpose and stack level, and all; in watts everything is a thousand times as much."""
    rig = booted()
    factor = 1 if unit == "A" else 1000

    def scaled(*periods: tuple[int, float]) -> list[tuple[int, float]]:
        return [(at, value * factor) for at, value in periods]

    accepted(
        rig,
        profile(DEFAULT, *scaled((0, 6), (60, 8), (200, 10)), number=1, stack=1, unit=unit),
        profile(DEFAULT, *scaled((0, 7), (100, 9)), number=2, stack=0, unit=unit),
        profile(MAX, *scaled((0, 11), (200, 12)), number=3, unit=unit),
    )
    assert scaled((0, 6), (60, 8), (200, 10)) == schedule(rig, 350, unit=unit)

    assert "Accepted" == clear(rig, id=1)
    assert scaled((0, 7), (100, 9)) == schedule(rig, 350, unit=unit)
    rig.after(2)
    assert "Accepted" == clear(rig, chargingProfilePurpose=DEFAULT, stackLevel=0)
    assert scaled((0, 11), (198, 12)) == schedule(rig, 350, unit=unit)
    assert "Accepted" == clear(rig)

    assert [(0, 32.0 if unit == "A" else 22080.0)] == schedule(rig, 350, unit=unit)


def test_tc_072_the_higher_stack_level_prevails_until_its_duration_is_over() -> None:
    """# [TC_072]."""
    rig = booted()
    accepted(
        rig,
        profile(DEFAULT, (0, 6), (100, 8), (200, 10), number=1, stack=0, duration=400),
        profile(DEFAULT, (0, 7), (100, 9), number=2, stack=1, duration=150),
    )
    assert [(0, 7), (100, 9), (150, 8), (200, 10)] == schedule(rig, 350)

    rig.after(4)

    assert [(0, 7), (96, 9), (146, 8), (196, 10)] == schedule(rig, 350)


def test_tc_056_a_default_profile_is_the_composite_schedule() -> None:
    """# [TC_056]."""
    rig = booted()
    accepted(rig, profile(DEFAULT, (0, 6)), n=1)
    assert [(0, 6)] == schedule(rig, 300)

    accepted(rig, profile(DEFAULT, (0, 6000), unit="W"), n=1)

    assert [(0, 6000)] == schedule(rig, 300, unit="W")


def test_tc_057_a_profile_of_the_transaction() -> None:
    """# [TC_057]: with its number."""
    rig = charging()

    accepted(rig, profile(TX, (0, 6), transactionId=FIRST_ID))

    assert [(0, 6)] == schedule(rig, 300)
    assert 6 == limit(rig)


def test_tc_058_a_profile_of_no_transaction_is_rejected() -> None:
    """# [TC_058_1], [TC_058_2]: none is running, or another."""
    rig = booted()
    assert "Rejected" == give(rig, profile(TX, (0, 6)))
    assert "Rejected" == give(rig, profile(TX, (0, 6)), 0)
    rig.session()

    assert "Rejected" == give(rig, profile(TX, (0, 6), transactionId=FIRST_ID + 1))
    assert "Rejected" == give(rig, profile(TX, (0, 6)), 0)
    assert "Accepted" == give(rig, profile(TX, (0, 6)))  # without a number: the one that runs


def test_a_profile_with_a_number_waits_for_that_number() -> None:
    """While StartTransaction is unanswered nobody can know a transactionId."""
    rig = booted()
    rig.answers["StartTransaction"] = None
    rig.session()

    assert "Rejected" == give(rig, profile(TX, (0, 6), transactionId=FIRST_ID))
    rig.answer("StartTransaction", {"transactionId": FIRST_ID, **rig.token_info()})

    assert "Accepted" == give(rig, profile(TX, (0, 6), transactionId=FIRST_ID))


def start(rig: Rig, given: Payload | None = None, token: str = CARD, n: int = 1) -> str | None:
    more = {} if given is None else {"chargingProfile": given}
    return rig.status_of("RemoteStartTransaction", idTag=token, connectorId=n, **more)


@pytest.mark.parametrize("authorize", ["true", "false"])
@pytest.mark.parametrize("cable_first", [True, False])
def test_tc_059_a_remote_start_brings_its_profile(cable_first: bool, authorize: str) -> None:
    """# [TC_059]: it rules from the first moment, and is gone with the transaction."""
    rig = booted(variables={"AuthCtrlr.AuthorizeRemoteStart": authorize})
    if cable_first:
        rig.plug()
    rig.forget()
    assert "Accepted" == start(rig, profile(TX, (0, 6), (100, 8), kind="Relative", start=None))
    if not cable_first:
        rig.after(20)
        rig.plug()

    assert {6.0} == {e.setpoint.limit_a for e in rig.done(effects.SetPoint) if e.setpoint.energize}
    assert [(0, 6), (100, 8)] == schedule(rig, 300)
    rig.after(100)
    assert 8 == limit(rig)
    rig.card()
    assert rig.transaction() is None

    assert 32 == limit(rig)
    assert not rig.records["charging_profile"]


@pytest.mark.parametrize("purpose", [DEFAULT, MAX])
def test_tc_060_a_remote_start_with_another_purpose_is_rejected(purpose: str) -> None:
    """# [TC_060]: and nothing starts."""
    rig = booted()
    rig.plug()

    assert "Rejected" == start(rig, profile(purpose, (0, 6)))
    assert "Rejected" == start(rig, profile(TX, (0, 6), transactionId=5))
    assert "Rejected" == start(rig, profile(TX, (5, 6)))

    assert rig.transaction() is None


def test_a_profile_of_a_remote_start_that_is_not_accepted_is_forgotten() -> None:
    """It belongs to that start alone."""
    rig = booted(variables={"AuthCtrlr.AuthorizeRemoteStart": "true"})
    rig.authorizes("Blocked")
    rig.plug()
    assert "Accepted" == start(rig, profile(TX, (0, 6)))
    rig.authorizes()

    rig.card()

    assert rig.transaction() is not None
    assert 32 == limit(rig)


def test_a_profile_of_a_remote_start_that_nobody_took_up_is_forgotten() -> None:
    """ConnectionTimeOut ends both."""
    rig = booted()
    assert "Accepted" == start(rig, profile(TX, (0, 6)))
    rig.after(61)

    rig.session()

    assert 32 == limit(rig)


def test_a_later_profile_replaces_the_one_of_the_remote_start() -> None:
    """Same stack level, and the transaction's number."""
    rig = booted()
    rig.plug()
    start(rig, profile(TX, (0, 6), number=1))

    accepted(rig, profile(TX, (0, 9), number=2, transactionId=FIRST_ID))

    assert 9 == limit(rig)
    assert {"2"} == set(rig.records["charging_profile"])


@pytest.mark.parametrize("n", [0, 1])
def test_tc_082_a_default_profile_acts_on_the_running_transaction(n: int) -> None:
    """# [TC_082], [E3.8]: given, changed and cleared."""
    rig = charging()

    accepted(rig, profile(DEFAULT, (0, 10)), n=n)
    assert (10, 10, True) == (limit(rig), operator(rig), rig.setpoint().energize)
    accepted(rig, profile(DEFAULT, (0, 8), number=2), n=n)
    assert 8 == limit(rig)
    assert "Accepted" == clear(rig, id=2)

    assert (32, None) == (limit(rig), operator(rig))


# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    "given",
    [
        profile(DEFAULT, (0, 6), stack=21),
        profile(DEFAULT, (0, 6), stack=-1),
        profile(DEFAULT, *((10 * n, 6 + n % 2) for n in range(49))),
        profile(DEFAULT),
        profile(DEFAULT, (1, 6)),
        profile(DEFAULT, (0, 6), (60, 7), (60, 8)),
        profile(DEFAULT, (0, 6), (60, 7), (30, 8)),
        profile(DEFAULT, (0, -1)),
        profile(DEFAULT, (0, 6), phases=0),
        profile(DEFAULT, (0, 6), phases=4),
        profile(DEFAULT, (0, 6), duration=0),
        profile(DEFAULT, (0, 6), kind="Recurring"),
        profile(DEFAULT, (0, 6), validFrom=NOON + 60, validTo=NOON + 60),
        profile(MAX, (0, 6)),
    ],
)  # fmt: skip
def test_what_nobody_could_obey_is_rejected(given: Payload) -> None:
    """And nothing of it is kept."""
    rig = booted()

    assert "Rejected" == give(rig, given)

    assert not rig.station.state.charging.installed
    assert [(0, 32)] == schedule(rig, 60)


@pytest.mark.parametrize("n", [2, -1])
def test_a_connector_that_is_not_there_is_an_error(n: int) -> None:
    """# [E3.38], [E3.39]."""
    assert "PropertyConstraintViolation" == give(booted(), profile(DEFAULT, (0, 6)), n)


def test_a_unit_that_is_not_allowed_is_rejected() -> None:
    """ChargingScheduleAllowedChargingRateUnit, also of a composite schedule, which then speaks the other one."""
    rig = booted(variables={"Ocpp16.ChargingScheduleAllowedChargingRateUnit": "W"})

    assert "Rejected" == give(rig, profile(DEFAULT, (0, 6), unit="A"))
    assert "Accepted" == give(rig, profile(DEFAULT, (0, 6000), unit="W"))
    assert "Rejected" == rig.status_of(
        "GetCompositeSchedule", connectorId=1, duration=60, chargingRateUnit="A"
    )

    assert [(0, 6000)] == schedule(rig, 60)


def test_no_more_profiles_than_announced_are_kept() -> None:
    """MaxChargingProfilesInstalled; replacing one, and one that has run out, always fits."""
    rig = booted(variables={"Ocpp16.MaxChargingProfilesInstalled": "2"})
    accepted(rig, profile(DEFAULT, (0, 6), number=1), profile(DEFAULT, (0, 6), number=2, stack=1))

    assert "Rejected" == give(rig, profile(DEFAULT, (0, 6), number=3, stack=2))
    assert "Rejected" == start(rig, profile(TX, (0, 6), number=3))
    assert "Accepted" == give(rig, profile(DEFAULT, (0, 6), number=3, stack=1, duration=60))
    assert "Accepted" == give(rig, profile(DEFAULT, (0, 6), number=1, stack=5))
    rig.after(60)
    assert "Accepted" == give(rig, profile(DEFAULT, (0, 6), number=4, stack=2))

    assert {"1", "4"} == set(rig.records["charging_profile"])


def test_nothing_is_accepted_that_cannot_be_kept() -> None:
    """The disk is full."""
    rig = booted()
    rig.happens(StoreChanged(writable=False, detail="No space left on device"))

    assert "Rejected" == give(rig, profile(DEFAULT, (0, 6)))


def test_a_composite_schedule_of_nowhere_is_rejected() -> None:
    """An unknown connector, or no time at all."""
    rig = booted()

    assert "Rejected" == rig.status_of("GetCompositeSchedule", connectorId=2, duration=60)
    assert "Rejected" == rig.status_of("GetCompositeSchedule", connectorId=1, duration=0)


def test_the_keys_tell_what_can_be_asked_for() -> None:
    """# 1.6 §9.4, read-only, and the profile is announced."""
    rig = booted()

    reply = rig.asks("GetConfiguration")
    assert isinstance(reply, dict)
    known = {entry["key"]: (entry["value"], entry["readonly"]) for entry in reply["configurationKey"]}

    assert ("20", True) == known["ChargeProfileMaxStackLevel"]
    assert ("Current,Power", True) == known["ChargingScheduleAllowedChargingRateUnit"]
    assert ("48", True) == known["ChargingScheduleMaxPeriods"]
    assert ("20", True) == known["MaxChargingProfilesInstalled"]
    assert ("false", True) == known["ConnectorSwitch3to1PhaseSupported"]
    assert "SmartCharging" in known["SupportedFeatureProfiles"][0].split(",")
    assert "Rejected" == rig.set("MaxChargingProfilesInstalled", "99")


# ------------------------------------------------------------------ replacing and clearing


def test_the_same_id_replaces_wherever_it_is() -> None:
    """An id is unique in the station."""
    rig = booted(connectors=2)
    accepted(rig, profile(DEFAULT, (0, 6), number=1), n=1)

    accepted(rig, profile(DEFAULT, (0, 8), number=1, stack=3), n=2)

    assert [32, 8] == [limit(rig, 1), limit(rig, 2)]


def test_the_same_slot_replaces() -> None:
    """Stack level and purpose, a connector each."""
    rig = booted(connectors=2)
    accepted(rig, profile(DEFAULT, (0, 6), number=1), n=1)
    accepted(rig, profile(DEFAULT, (0, 8), number=2), n=2)

    accepted(rig, profile(DEFAULT, (0, 10), number=3), n=1)

    assert [10, 8] == [limit(rig, 1), limit(rig, 2)]
    assert {"2", "3"} == set(rig.records["charging_profile"])


def test_one_that_is_not_valid_yet_leaves_its_slot_empty_until_then() -> None:
    """# 1.6 §3.13.3: what it replaced is gone at once."""
    rig = booted()
    accepted(rig, profile(DEFAULT, (0, 6), number=1))

    accepted(rig, profile(DEFAULT, (0, 8), number=2, validFrom=NOON + 100))

    assert [(0, 32), (100, 8)] == schedule(rig, 200)


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ({"id": 1}, {2, 3, 4}),
        ({"id": 1, "connectorId": 2, "stackLevel": 7}, {2, 3, 4}),
        ({"connectorId": 0}, {1, 2}),
        ({"connectorId": 1}, {2, 3, 4}),
        ({"chargingProfilePurpose": DEFAULT}, {4}),
        ({"chargingProfilePurpose": DEFAULT, "stackLevel": 1}, {1, 3, 4}),
        ({"connectorId": 0, "chargingProfilePurpose": MAX}, {1, 2, 3}),
        ({"stackLevel": 0}, {2}),
        ({}, set()),
    ],
)  # fmt: skip
def test_profiles_are_cleared_by_id_or_by_all_the_filters_together(
    filters: dict[str, Any], left: set[int]
) -> None:
    """# [E3.25], [E3.26]."""
    rig = booted(connectors=2)
    accepted(rig, profile(DEFAULT, (0, 6), number=1), n=1)
    accepted(rig, profile(DEFAULT, (0, 6), number=2, stack=1), n=2)
    accepted(rig, profile(DEFAULT, (0, 6), number=3), n=0)
    accepted(rig, profile(MAX, (0, 40), number=4))

    assert "Accepted" == clear(rig, **filters)

    assert left == set(rig.station.state.charging.installed)
    assert {str(number) for number in left} == set(rig.records["charging_profile"])


@pytest.mark.parametrize(
    "filters", [{}, {"id": 2}, {"stackLevel": 1}, {"connectorId": 0}, {"connectorId": 9}]
)
def test_what_is_not_there_is_unknown(filters: dict[str, Any]) -> None:
    """And nothing else goes."""
    rig = booted()
    if filters:
        accepted(rig, profile(DEFAULT, (0, 6)))

    assert "Unknown" == clear(rig, **filters)

    assert len(filters) == len(rig.station.state.charging.installed)


# ------------------------------------------------------------------ which one prevails


def test_a_connectors_own_default_overrules_the_stations() -> None:
    """# 1.6 §3.13.2: for that connector only, whatever the stack levels."""
    rig = booted(connectors=2)
    accepted(rig, profile(DEFAULT, (0, 6), number=1, stack=5), n=0)

    accepted(rig, profile(DEFAULT, (0, 10), number=2), n=1)

    assert [10, 6] == [limit(rig, 1), limit(rig, 2)]


def test_a_higher_level_without_duration_never_yields() -> None:
    """# 1.6 §3.13.3."""
    rig = booted()

    accepted(
        rig,
        profile(DEFAULT, (0, 16), number=1, stack=1),
        profile(DEFAULT, (0, 6), number=2, stack=0),
    )

    assert [(0, 16)] == schedule(rig, 10 * DAY)


def test_a_profile_of_the_transaction_overrules_the_default_even_upwards() -> None:
    """And yields to it when it has run out (# K02.FR.08)."""
    rig = charging()
    accepted(rig, profile(DEFAULT, (0, 6), number=1))
    accepted(rig, profile(TX, (0, 16), number=2, duration=100, start=rig.wall))
    assert 16 == limit(rig)

    rig.after(100)

    assert 6 == limit(rig)


def test_a_lower_level_of_the_transaction_comes_before_the_default() -> None:
    """Within a purpose first."""
    rig = charging()
    accepted(rig, profile(DEFAULT, (0, 6), number=1))
    accepted(rig, profile(TX, (0, 16), number=2, stack=1, duration=100, start=rig.wall))
    accepted(rig, profile(TX, (0, 12), number=3, start=rig.wall))

    rig.after(100)

    assert 12 == limit(rig)


def test_a_transaction_profile_acts_at_its_connector_alone_and_ends_with_it() -> None:
    """Its neighbour and its successor have nothing to do with it."""
    rig = booted(connectors=2)
    rig.session(CARD, 1)
    rig.session(OTHER, 2)
    accepted(rig, profile(TX, (0, 7)))
    assert [7, 32] == [limit(rig, 1), limit(rig, 2)]

    rig.card(CARD, 1)
    assert not rig.records["charging_profile"]
    rig.unplug(1)
    rig.session(CARD, 1)

    assert 32 == limit(rig, 1)


# ------------------------------------------------------------------ kinds


def test_a_relative_schedule_counts_from_the_start_of_the_transaction() -> None:
    """Whenever it was given; its startSchedule counts for nothing."""
    rig = booted()
    accepted(rig, profile(DEFAULT, (0, 6), (100, 8), kind="Relative", start=NOON - DAY))
    rig.after(500)
    rig.session()
    assert 6 == limit(rig)

    rig.after(100)
    assert 8 == limit(rig)
    accepted(rig, profile(TX, (0, 10), (200, 12), kind="Relative", number=2, start=None))

    assert [(0, 10), (100, 12)] == schedule(rig, 300)


def test_without_a_transaction_a_relative_schedule_is_as_if_one_began_now() -> None:
    """# K08."""
    rig = booted()
    accepted(rig, profile(DEFAULT, (0, 6), (100, 8), kind="Relative", start=None))
    rig.after(500)

    assert [(0, 6), (100, 8)] == schedule(rig, 300)
    assert rig.station.state.charging.changes_at == float("inf")


@pytest.mark.parametrize("during", [True, False])
def test_an_absolute_schedule_without_start_counts_from_the_charging_but_not_from_before_it_came(
    during: bool,
) -> None:
    """# 1.6 §7.13; what comes during a transaction means "from now"."""
    rig = booted()
    given = profile(DEFAULT, (0, 6), (100, 8), start=None)
    if not during:
        accepted(rig, given)
        rig.after(500)
    rig.session()
    if during:
        rig.after(500)
        accepted(rig, given)

    assert [(0, 6), (100, 8)] == schedule(rig, 300)


def test_an_absolute_schedule_of_the_station_without_start_counts_from_now() -> None:
    """It has no transaction."""
    rig = booted()
    rig.after(500)
    accepted(rig, profile(MAX, (0, 6), (100, 8), start=None))
    rig.after(30)

    assert [(0, 6), (70, 8)] == schedule(rig, 300)


def test_a_schedule_of_the_future_waits() -> None:
    """Nothing is limited before it starts."""
    rig = charging()
    accepted(rig, profile(DEFAULT, (0, 6), start=rig.wall + 100))
    assert 32 == limit(rig)

    rig.after(100)

    assert 6 == limit(rig)


@pytest.mark.parametrize(("kind", "period"), [("Daily", DAY), ("Weekly", 7 * DAY)])
def test_a_recurring_schedule_begins_anew(kind: str, period: int) -> None:
    """From its first start on, cut where it begins anew; after its duration lower levels rule."""
    rig = booted()
    accepted(
        rig,
        profile(DEFAULT, (0, 20), number=1),
        profile(
            DEFAULT, (0, 6), (3600, 10), (period + 60, 12),
            number=2, stack=1, kind="Recurring", recurrencyKind=kind, duration=7200, start=NOON - 10 * period - 60,
        ),
    )  # fmt: skip

    assert [(0, 6), (3540, 10), (7140, 20), (period - 60, 6), (period + 3540, 10)] == schedule(
        rig, period + 7000
    )


def test_a_recurring_schedule_without_duration_goes_on_until_it_begins_anew() -> None:
    """The last period fills the day."""
    rig = booted()
    accepted(rig, profile(DEFAULT, (0, 6), (3600, 10), kind="Recurring", recurrencyKind="Daily"))

    assert [(0, 6), (3600, 10), (DAY, 6), (DAY + 3600, 10)] == schedule(rig, DAY + 7200)


@pytest.mark.parametrize("purpose", [DEFAULT, TX, MAX])
def test_a_profile_is_obeyed_while_it_is_valid(purpose: str) -> None:
    """# [E3.65], [E3.66]: validFrom and validTo, of every purpose."""
    rig = charging()
    begin = rig.wall
    accepted(rig, profile(purpose, (0, 6), start=begin, validFrom=begin + 60, validTo=begin + 120))
    assert [(0, 32), (60, 6), (120, 32)] == schedule(rig, 300)

    rig.after(60)
    assert 6 == limit(rig)
    rig.after(60)

    assert 32 == limit(rig)


def test_the_last_period_goes_on_for_the_duration() -> None:
    """Periods beyond the duration are not executed."""
    rig = booted()

    accepted(rig, profile(DEFAULT, (0, 6), (60, 8), (500, 10), duration=200))

    assert [(0, 6), (60, 8), (200, 32)] == schedule(rig, 600)


def test_equal_neighbours_are_merged() -> None:
    """Also where they come from different profiles."""
    rig = booted()

    accepted(
        rig,
        profile(DEFAULT, (0, 6), (60, 6), (90, 8), number=1, stack=1, duration=120),
        profile(DEFAULT, (0, 8), number=2),
    )

    assert [(0, 6), (90, 8)] == schedule(rig, 600)


def test_a_composite_schedule_that_would_never_end_is_shorter_and_says_so() -> None:
    """Sixty-eight years of a daily schedule."""
    rig = booted()
    accepted(rig, profile(DEFAULT, (0, 6), (3600, 10), kind="Recurring", recurrencyKind="Daily"))

    reply = rig.asks("GetCompositeSchedule", connectorId=1, duration=2**31 - 1)

    assert isinstance(reply, dict)
    told = reply["chargingSchedule"]
    assert 1000 == len(told["chargingSchedulePeriod"])
    assert 500 * DAY == told["duration"]


def test_a_composite_schedule_knows_when_the_local_limit_ends() -> None:
    """`request/limit` with ttl_s."""
    rig = booted()
    accepted(rig, profile(DEFAULT, (0, 10)))
    rig.request("limit", limit_a=8, ttl_s=900)

    assert [(0, 8), (900, 10)] == schedule(rig, 1800)


# ------------------------------------------------------------------ units and phases


@pytest.mark.parametrize(
    ("watts", "phases", "ampere"), [(11040, 3, 16.0), (3680, 1, 16.0), (4140, 3, 6.0), (7000, 3, 10.1)]
)
def test_watts_are_shared_by_the_phases(watts: float, phases: int, ampere: float) -> None:
    """# 1.6 §7.12: rounded down to a tenth of an ampere."""
    rig = booted(phases=phases)

    accepted(rig, profile(DEFAULT, (0, watts), unit="W"))

    assert (ampere, phases) == (limit(rig), rig.setpoint().phases)
    assert rig.setpoint().limit_w <= watts


def test_more_phases_than_there_are_mean_what_is_there() -> None:
    """# [E3.34]."""
    rig = booted(phases=1)

    accepted(rig, profile(DEFAULT, (0, 3680), unit="W", phases=3))

    assert (16, 1) == (limit(rig), rig.setpoint().phases)


def test_the_phases_that_a_vehicle_uses_count() -> None:
    """A device that says `phases`: 1 charges with one."""
    rig = booted()
    accepted(rig, profile(DEFAULT, (0, 3680), unit="W"))
    assert 5.3 == limit(rig)

    rig.facts(phases=1)

    assert (16, 1, 3680) == (limit(rig), rig.setpoint().phases, rig.setpoint().limit_w)


def test_a_device_that_cannot_switch_phases_is_not_told_to() -> None:
    """Amperes stay amperes per phase, watts stay the sum."""
    rig = booted()
    accepted(rig, profile(DEFAULT, (0, 16), phases=1))
    assert (16, 3) == (limit(rig), rig.setpoint().phases)

    accepted(rig, profile(DEFAULT, (0, 3680), unit="W", phases=1))

    assert (5.3, 3) == (limit(rig), rig.setpoint().phases)


@pytest.mark.parametrize(
    ("phases", "used", "ampere"), [(1, 1, 16.0), (2, 1, 16.0), (3, 3, 5.3), (None, 3, 5.3)]
)
def test_a_device_that_can_switch_phases_is_told_how_many(
    phases: int | None, used: int, ampere: float
) -> None:
    """ConnectorSwitch3to1PhaseSupported; what it reports meanwhile does not hold it there."""
    rig = booted(variables={"Ocpp16.ConnectorSwitch3to1PhaseSupported": "true"})

    accepted(rig, profile(DEFAULT, (0, 3680), unit="W", phases=phases))
    rig.facts(phases=used)

    assert (ampere, used) == (limit(rig), rig.setpoint().phases)
    clear(rig)
    assert (32, 3) == (limit(rig), rig.setpoint().phases)


def test_the_composite_schedule_comes_in_the_unit_that_was_asked_for() -> None:
    """Without one it comes in amperes; fewer phases than three are told."""
    rig = booted(phases=1)
    accepted(rig, profile(DEFAULT, (0, 10)))

    reply = rig.asks("GetCompositeSchedule", connectorId=1, duration=60, chargingRateUnit="W")

    assert isinstance(reply, dict)
    assert ("W", [{"startPeriod": 0, "limit": 2300.0, "numberPhases": 1}]) == (
        reply["chargingSchedule"]["chargingRateUnit"],
        reply["chargingSchedule"]["chargingSchedulePeriod"],
    )
    assert [(0, 10)] == schedule(rig, 60)


# ------------------------------------------------------------------ what the device and the CSMS see


@pytest.mark.parametrize("pause", [0, 5.9])
def test_a_limit_that_cannot_be_met_pauses_and_is_told(pause: float) -> None:
    """SuspendedEVSE, never a faster rate; and Charging when it is over."""
    rig = charging()
    begin = rig.wall
    rig.forget()

    accepted(rig, profile(DEFAULT, (0, pause), (60, 16), start=begin))
    assert not rig.setpoint().energize
    assert ["SetChargingProfile: Accepted", "Status 1 SuspendedEVSE"] == rig.story()
    rig.after(59)
    assert rig.story() == []
    rig.after(1)

    assert (True, 16) == (rig.setpoint().energize, limit(rig))
    assert ["Status 1 Charging"] == rig.story()


def test_a_transaction_may_start_paused() -> None:
    """Nothing flows, and it is told so."""
    rig = booted()
    accepted(rig, profile(DEFAULT, (0, 0), (60, 16), kind="Relative", start=None))

    rig.session()
    assert not rig.setpoint().energize
    assert "SuspendedEVSE" == rig.status()
    rig.after(60)

    assert rig.setpoint().energize
    assert "Charging" == rig.status()


def test_the_lowest_of_all_limits_counts() -> None:
    """Connector, cable, local limit and operator."""
    rig = booted(max_current_a=20.0)
    rig.facts(cable_limit_a=13.0)
    accepted(rig, profile(DEFAULT, (0, 16)))
    assert (13, 16) == (limit(rig), operator(rig))

    rig.request("limit", limit_a=10)
    assert 10 == limit(rig)
    accepted(rig, profile(DEFAULT, (0, 9.9)))

    assert (9.9, 9.9) == (limit(rig), operator(rig))


def test_what_is_offered_follows_the_limit() -> None:
    """Current.Offered and Power.Offered."""
    rig = booted(variables={"SampledDataCtrlr.TxUpdatedMeasurands": "Current.Offered,Power.Offered"})
    rig.session()
    accepted(rig, profile(DEFAULT, (0, 10)))

    rig.charge(60)

    [values] = rig.payloads("MeterValues")[-1]["meterValue"]
    assert ["10", "6900"] == [value["value"].removesuffix(".0") for value in values["sampledValue"]]


def test_a_step_is_one_deadline_and_costs_one_setpoint() -> None:
    """The station asks to be woken exactly then."""
    rig = charging()
    begin, now = rig.wall, rig.monotonic
    accepted(rig, profile(DEFAULT, (0, 16), (500, 16), (2000, 10), start=begin))
    rig.forget()

    assert 2000 == pytest.approx(rig.station.state.charging.changes_at - begin)
    deadline = rig.station.deadline()
    assert deadline is not None
    assert deadline <= now + 2000
    rig.after(2000)

    assert [10] == [effect.setpoint.limit_a for effect in rig.done(effects.SetPoint)]


def test_offline_the_schedule_goes_on() -> None:
    """What is installed is executed."""
    rig = charging()
    accepted(rig, profile(DEFAULT, (0, 16), (500, 10), start=rig.wall))

    rig.disconnect()
    rig.after(500)

    assert 10 == limit(rig)


# ------------------------------------------------------------------ restarts and clocks


def test_profiles_survive_a_restart() -> None:
    """# [E3.37]: those of the station, the default ones, and that of a transaction which goes on."""
    rig = booted(connectors=2)
    accepted(rig, profile(MAX, (0, 30), number=1))
    accepted(rig, profile(DEFAULT, (0, 10), number=2), n=2)
    rig.plug()
    start(rig, profile(TX, (0, 8), (1000, 12), kind="Relative", number=3, start=None))
    transaction = rig.transaction()
    rig.after(400)

    rig.restart()
    assert transaction == rig.transaction()
    assert [8, 10] == [limit(rig, 1), limit(rig, 2)]
    rig.after(600)

    assert 12 == limit(rig)


def test_a_profile_that_waits_for_its_transaction_survives_a_restart_with_it() -> None:
    """Remote start, restart, plug."""
    rig = booted()
    start(rig, profile(TX, (0, 8)))
    rig.after(10)

    rig.restart()
    rig.plug()

    assert rig.transaction() is not None
    assert 8 == limit(rig)


def test_a_profile_whose_transaction_is_gone_is_not_kept_over_a_restart() -> None:
    """Whatever the reason."""
    rig = charging()
    accepted(rig, profile(TX, (0, 8)))
    rig.records["transaction"].clear()

    rig.restart()

    assert not rig.records["charging_profile"]


def test_calendars_run_on_the_clock_of_the_csms() -> None:
    """A host clock that is wrong does no harm."""
    rig = Rig("1.6")
    rig.csms_ahead_s = 3600
    rig.boot()
    rig.session()

    accepted(rig, profile(DEFAULT, (0, 16), (100, 10), start=rig.wall + 3600))
    assert 16 == limit(rig)
    rig.after(100)

    assert 10 == limit(rig)


@pytest.mark.parametrize("jump", [3600, -3600])
def test_a_clock_that_is_set_is_noticed_with_the_next_reading(jump: float) -> None:
    """Steps of the calendar are where they belong by the new time; a relative schedule goes on as it was."""
    rig = booted(connectors=2)
    rig.session(CARD, 1)
    rig.session(OTHER, 2)
    begin = rig.wall
    accepted(rig, profile(DEFAULT, (0, 8), (3000, 12), number=1, start=begin - 1500), n=1)
    accepted(rig, profile(TX, (0, 9), (3000, 14), kind="Relative", number=2, start=None), n=2)
    rig.after(5)

    rig.wall += jump
    rig.meter(1200.0)

    assert [12 if jump > 0 else 32, 9] == [limit(rig, 1), limit(rig, 2)]
    rig.devices_fall_silent()
    rig.after(2995)
    assert 14 == limit(rig, 2)


def test_a_deadline_looked_at_later_has_not_moved() -> None:
    """The runner asks for it anew when its timer fires, though nothing happened meanwhile."""
    rig = charging()
    accepted(rig, profile(DEFAULT, (0, 16), (5, 10), start=rig.wall))

    rig.pass_time(5)
    deadline = rig.station.look_again(rig.now())

    assert deadline is not None
    assert deadline <= rig.monotonic


# ------------------------------------------------------------------ the station's maximum


def test_the_stations_maximum_is_shared_by_those_who_charge() -> None:
    """Equally, as soon as the second one comes, and given back when it leaves; the sum is never above."""
    rig = booted(connectors=2)
    accepted(rig, profile(MAX, (0, 25)))
    rig.session(CARD, 1)
    assert 25 == limit(rig, 1)
    rig.forget()

    rig.plug(2)
    rig.card(OTHER, 2)
    told = [(e.n, e.setpoint.limit_a) for e in rig.done(effects.SetPoint) if e.setpoint.energize]
    assert [(1, 12.5), (2, 12.5)] == told  # the first gives before the second takes
    rig.card(OTHER, 2)

    assert 25 == limit(rig, 1)


def test_who_comes_when_there_is_not_enough_left_waits() -> None:
    """First come, first served, as far as the least goes."""
    rig = booted(connectors=3)
    accepted(rig, profile(MAX, (0, 14)))
    for n, token in ((1, CARD), (2, OTHER), (3, "04DEADBEEF")):
        rig.session(token, n)
    assert [(True, 7.0), (True, 7.0), (False, 0.0)] == [
        (rig.setpoint(n).energize, limit(rig, n)) for n in (1, 2, 3)
    ]
    assert ["Charging", "Charging", "SuspendedEVSE"] == [rig.status(n) for n in (1, 2, 3)]

    rig.card(CARD, 1)

    assert "Charging" == rig.status(3)
    assert [7, 7] == [limit(rig, 2), limit(rig, 3)]


def test_what_one_cannot_use_is_for_the_others() -> None:
    """A cable of 10 A takes 10 of 30."""
    rig = booted(connectors=2)
    accepted(rig, profile(MAX, (0, 30)))
    rig.facts(1, cable_limit_a=10.0)
    rig.session(CARD, 1)

    rig.session(OTHER, 2)

    assert [10, 20] == [limit(rig, 1), limit(rig, 2)]
    assert [(0, 10)] == schedule(rig, 60, 1)
    assert [(0, 20)] == schedule(rig, 60, 2)
    assert [(0, 30)] == schedule(rig, 60, 0)


def test_a_share_grows_when_the_local_limit_of_another_begins_or_ends() -> None:
    """`request/limit` at one connector leaves more to its neighbour, for as long as it holds."""
    rig = booted(connectors=2)
    accepted(rig, profile(MAX, (0, 30)))
    rig.session(CARD, 1)
    rig.session(OTHER, 2)
    rig.request("limit", 1, limit_a=10, ttl_s=900)
    assert [10, 20] == [limit(rig, 1), limit(rig, 2)]
    assert [(0, 20), (900, 15)] == schedule(rig, 1800, 2)

    rig.after(900)

    assert [15, 15] == [limit(rig, 1), limit(rig, 2)]


def test_the_stations_composite_schedule_is_the_sum_up_to_its_maximum() -> None:
    """Connector 0: what all together may draw, charging or not."""
    rig = booted(connectors=2)
    assert [(0, 64)] == schedule(rig, 60, 0)
    assert [(0, 44160)] == schedule(rig, 60, 0, "W")

    accepted(rig, profile(DEFAULT, (0, 10), (30, 20)), n=0)
    accepted(rig, profile(MAX, (0, 25), number=2))

    assert [(0, 20), (30, 25)] == schedule(rig, 60, 0)
    assert [(0, 13800), (30, 17250)] == schedule(rig, 60, 0, "W")


def test_a_maximum_in_watts_is_shared_in_watts() -> None:
    """A single-phase connector gets as many amperes as its watts allow."""
    one = ConnectorConfig(n=1, evse=1, connector=1, phases=1)
    three = ConnectorConfig(n=2, evse=2, connector=1, phases=3)
    rig = Rig("1.6", connectors=(one, three))
    rig.boot()
    accepted(rig, profile(MAX, (0, 13800), unit="W"))
    rig.session(CARD, 1)
    rig.session(OTHER, 2)

    assert [30.0, 10.0] == [limit(rig, 1), limit(rig, 2)]


@pytest.mark.parametrize(
    ("budget", "claims", "shares"),
    [
        (10, [], []),
        (10, [(6, 32)], [10]),
        (10, [(6, 8)], [8]),
        (5, [(6, 32)], [0]),
        (10, [(16, 16), (6, 32)], [0, 10]),
        (12, [(6, 32), (6, 32)], [6, 6]),
        (22, [(6, 32), (16, 16)], [6, 16]),
        (25, [(6, 32), (16, 16)], [9, 16]),
        (40, [(6, 8), (6, 32), (6, 32)], [8, 16, 16]),
        (10, [(6, 5), (6, 32)], [0, 10]),
        (100, [(6, 32), (6, 20)], [32, 20]),
    ],
)  # fmt: skip
def test_a_budget_is_shared(budget: float, claims: list[tuple[float, float]], shares: list[float]) -> None:
    """(least, most), first come first."""
    assert shares == pytest.approx(shared(budget, claims))
