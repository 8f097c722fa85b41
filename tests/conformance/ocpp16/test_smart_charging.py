"""Smart Charging: profiles of each purpose, how they combine, and how they go; the vectors in amperes and in watts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from tests.conformance.bench import Bench
from tests.conformance.cases import case
from tests.conformance.charging_station import TAG, ChargingStation
from tests.conformance.said import Payload

PROFILE: Final = "Smart Charging"
MAX, DEFAULT, TX = "ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"
REFUSALS = ("Rejected", "PropertyConstraintViolation")
LONG_AGO = "2026-01-01T00:00:00Z"
WAITED_S = 3
"""Between setting a vector's profiles and asking for the schedule: the x of the test document."""

Periods = list[tuple[int, float]]


def profile(
    purpose: str,
    periods: Periods,
    *,
    number: int = 1,
    stack: int = 0,
    unit: str = "A",
    start: str = LONG_AGO,
    duration: int | None = None,
    **more: Any,
) -> Payload:
    """csChargingProfiles; limits are a thousand times as much in watts."""
    schedule: Payload = {
        "chargingRateUnit": unit,
        "startSchedule": start,
        "chargingSchedulePeriod": [
            {"startPeriod": at, "limit": limit} for at, limit in scaled(periods, unit)
        ],
    }
    if duration is not None:
        schedule["duration"] = duration
    return {
        "chargingProfileId": number,
        "stackLevel": stack,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule,
        **more,
    }


def scaled(periods: Periods, unit: str) -> Periods:
    return [(at, limit * (1 if unit == "A" else 1000)) for at, limit in periods]


async def give(cs: ChargingStation, given: Payload, n: int = 1) -> str:
    return await cs.status_of("SetChargingProfile", connectorId=n, csChargingProfiles=given)


async def schedule(cs: ChargingStation, seconds: int, unit: str = "A", n: int = 1) -> Periods:
    """The periods of the composite schedule, everything else of the answer being right."""
    answer = await cs.ask("GetCompositeSchedule", connectorId=n, duration=seconds, chargingRateUnit=unit)
    told = answer["chargingSchedule"]
    assert ("Accepted", n, True) == (
        answer["status"],
        answer["connectorId"],
        cs.is_now(answer["scheduleStart"]),
    )
    assert (seconds, unit, False) == (told["duration"], told["chargingRateUnit"], "startSchedule" in told)
    return [(period["startPeriod"], period["limit"]) for period in told["chargingSchedulePeriod"]]


def now(cs: Bench) -> str:
    return datetime.fromtimestamp(cs.clock.wall, UTC).isoformat().replace("+00:00", "Z")


@case("TC_056", "Central smart charging – TxDefaultProfile", PROFILE, live=True)
async def test_tc_056_default_profile(cs: ChargingStation) -> None:
    """Accepted, the composite schedule is the profile, and the next transaction is limited by it."""
    for unit in ("A", "W"):
        assert "Accepted" == await give(cs, profile(DEFAULT, [(0, 6)], unit=unit))
        assert scaled([(0, 6)], unit) == await schedule(cs, 300, unit)
    await cs.charge()
    assert 8.6 == cs.setpoint()["limit_a"]


@case("TC_057", "Central smart charging – TxProfile", PROFILE, live=True)
async def test_tc_057_transaction_profile(cs: ChargingStation) -> None:
    """With the number of the running transaction: Accepted, the composite schedule is the profile, and it acts."""
    transaction = await cs.charge()
    for unit in ("W", "A"):
        assert "Accepted" == await give(cs, profile(TX, [(0, 6)], unit=unit, transactionId=transaction))
        assert scaled([(0, 6)], unit) == await schedule(cs, 300, unit)
    assert 6.0 == cs.setpoint()["limit_a"]


@case("TC_058_1", "Central smart charging – no ongoing transaction", PROFILE, live=True)
async def test_tc_058_1_transaction_profile_without_transaction(cs: ChargingStation) -> None:
    """A TxProfile without a transaction is refused."""
    assert await give(cs, profile(TX, [(0, 6)])) in REFUSALS
    assert [(0, 32)] == await schedule(cs, 300)


@case("TC_058_2", "Central smart charging – wrong transactionId", PROFILE, live=True)
async def test_tc_058_2_transaction_profile_of_another_transaction(cs: ChargingStation) -> None:
    """A TxProfile with another number is Rejected."""
    transaction = await cs.charge()
    assert "Rejected" == await give(cs, profile(TX, [(0, 6)], transactionId=transaction + 1))
    assert 32.0 == cs.setpoint()["limit_a"]


@case("TC_059", "Remote start transaction with a charging profile", PROFILE, live=True)
async def test_tc_059_remote_start_with_profile(cs: ChargingStation) -> None:
    """Accepted; the transaction that starts is limited, and its composite schedule is the profile."""
    await cs.plug()
    await cs.expect("StatusNotification", status="Preparing")
    given = profile(TX, [(0, 6)])
    assert "Accepted" == await cs.status_of(
        "RemoteStartTransaction", idTag=TAG, connectorId=1, chargingProfile=given
    )
    await cs.expect_start()
    assert 6.0 == cs.setpoint()["limit_a"]
    assert [(0, 6)] == await schedule(cs, 300)


@case("TC_060", "Remote start transaction with a charging profile – rejected", PROFILE, live=True)
async def test_tc_060_remote_start_with_another_purpose(cs: ChargingStation) -> None:
    """Anything but a TxProfile is refused, and nothing starts."""
    await cs.plug()
    await cs.expect("StatusNotification", status="Preparing")
    for purpose in (DEFAULT, MAX):
        given = profile(purpose, [(0, 6)])
        status = await cs.status_of("RemoteStartTransaction", idTag=TAG, connectorId=1, chargingProfile=given)
        assert status in REFUSALS
    await cs.nothing_else()
    assert not cs.setpoint()["energize"]


STEPS_066_DEFAULT: Periods = [(0, 6), (60, 10), (120, 8), (180, 15), (260, 8)]
STEPS_066_TX: Periods = [(0, 8), (50, 11), (140, 16), (200, 6), (240, 12)]


@case("TC_066", "Get composite schedule", PROFILE, station={"policy": {"after_tx_profile": "nothing"}})
async def test_tc_066_composite_schedule(cs: Bench) -> None:
    """The lowest over the purposes; no TxDefaultProfile after the TxProfile's end, as the document has it."""
    await cs.charge()
    x = WAITED_S
    for unit in ("A", "W"):
        more: Payload = {"unit": unit, "start": now(cs)}
        assert "Accepted" == await give(cs, profile(MAX, [(0, 10)], number=1, **more), 0)
        for purpose, steps, number, duration in (
            (DEFAULT, STEPS_066_DEFAULT, 2, 300),
            (TX, STEPS_066_TX, 3, 260),
        ):
            given = profile(purpose, steps, number=number, duration=duration, **more)
            assert "Accepted" == await give(cs, given)
        await cs.after(x)
        expected: Periods = [(0, 8), (50 - x, 10), (200 - x, 6), (240 - x, 10)]
        assert scaled(expected, unit) == await schedule(cs, 400, unit)


@case("TC_067", "Clear charging profile", PROFILE)
async def test_tc_067_clear_charging_profile(cs: Bench) -> None:
    """By id, by purpose and stack level, and all: the composite schedule is what is left."""
    x = WAITED_S
    for unit in ("A", "W"):
        start = now(cs)
        for n, given in (
            (1, profile(DEFAULT, [(0, 6), (60, 8), (200, 10)], number=1, stack=1, unit=unit, start=start)),
            (1, profile(DEFAULT, [(0, 7), (100, 9)], number=2, stack=0, unit=unit, start=start)),
            (0, profile(MAX, [(0, 11), (200, 12)], number=3, unit=unit, start=start)),
        ):
            assert "Accepted" == await give(cs, given, n)
        await cs.after(x)
        assert "Accepted" == await cs.status_of("ClearChargingProfile", id=1)
        assert scaled([(0, 7), (100 - x, 9)], unit) == await schedule(cs, 350, unit)
        filters = {"chargingProfilePurpose": DEFAULT, "stackLevel": 0}
        assert "Accepted" == await cs.status_of("ClearChargingProfile", **filters)
        assert scaled([(0, 11), (200 - x, 12)], unit) == await schedule(cs, 350, unit)
        assert "Accepted" == await cs.status_of("ClearChargingProfile")
        assert [(0, 32.0 if unit == "A" else 22080.0)] == await schedule(cs, 350, unit)


@case("TC_072", "Stacking charging profiles", PROFILE)
async def test_tc_072_stacking(cs: Bench) -> None:
    """The higher stack level, and after its end the lower one."""
    low: Periods = [(0, 6), (100, 8), (200, 10)]
    high: Periods = [(0, 7), (100, 9)]
    x = WAITED_S
    for unit in ("A", "W"):
        start = now(cs)
        for stack, steps, duration in ((0, low, 400), (1, high, 150)):
            given = profile(
                DEFAULT, steps, number=stack + 1, stack=stack, unit=unit, start=start, duration=duration
            )
            assert "Accepted" == await give(cs, given)
        await cs.after(x)
        expected: Periods = [(0, 7), (100 - x, 9), (150 - x, 8), (200 - x, 10)]
        assert scaled(expected, unit) == await schedule(cs, 350, unit)


@case("TC_082", "Central smart charging – TxDefaultProfile with ongoing transaction", PROFILE, live=True)
async def test_tc_082_default_profile_during_transaction(cs: ChargingStation) -> None:
    """It takes effect on the transaction at once: given, below the minimum, and cleared."""
    await cs.charge()
    assert "Accepted" == await give(cs, profile(DEFAULT, [(0, 6)]))
    assert 6.0 == cs.setpoint()["limit_a"]
    assert [(0, 6)] == await schedule(cs, 300)
    assert "Accepted" == await give(cs, profile(DEFAULT, [(0, 0)]))
    await cs.expect("StatusNotification", status="SuspendedEVSE")
    assert not cs.setpoint()["energize"]
    assert "Accepted" == await cs.status_of("ClearChargingProfile", id=1)
    await cs.expect("StatusNotification", status="Charging")
    assert 32.0 == cs.setpoint()["limit_a"]
