"""Local Auth List Management: versions, updates, and that a listed tag need not be asked about."""

from __future__ import annotations

from typing import Any, Final

from tests.conformance.bench import Bench
from tests.conformance.cases import case
from tests.conformance.charging_station import OTHER, TAG, ChargingStation

PROFILE: Final = "Local Auth List"


def listed(*tags: str, status: str = "Accepted") -> list[dict[str, Any]]:
    return [{"idTag": tag, "idTagInfo": {"status": status}} for tag in tags]


async def version(cs: ChargingStation) -> int:
    return int((await cs.ask("GetLocalListVersion"))["listVersion"])


async def send(cs: ChargingStation, number: int, entries: list[dict[str, Any]], kind: str = "Full") -> str:
    return await cs.status_of(
        "SendLocalList", listVersion=number, localAuthorizationList=entries, updateType=kind
    )


@case("TC_008", "Regular start charging session – id in the local list", PROFILE, live=True)
async def test_tc_008_start_with_a_listed_id(cs: ChargingStation) -> None:
    """With LocalPreAuthorize a remote start of a listed tag is not asked about."""
    await cs.configure(LocalAuthListEnabled=True, LocalPreAuthorize=True, AuthorizeRemoteTxRequests=True)
    assert "Accepted" == await send(cs, 1, listed(TAG))
    await cs.plug()
    await cs.expect("StatusNotification", status="Preparing")
    assert "Accepted" == await cs.status_of("RemoteStartTransaction", idTag=TAG, connectorId=1)
    await cs.expect_start(TAG)


@case("TC_042_1", "Get local list version – not supported", PROFILE)
async def test_tc_042_1_version_of_a_disabled_list(cs: Bench) -> None:
    """-1 while the list is switched off."""
    assert "Accepted" == await send(cs, 3, listed(TAG))
    await cs.configure(LocalAuthListEnabled=False)
    assert -1 == await version(cs)


@case("TC_042_2", "Get local list version – empty", PROFILE, live=True)
async def test_tc_042_2_version_of_an_empty_list(cs: ChargingStation) -> None:
    """0 after a Full update, version 1, without any list."""
    await cs.configure(LocalAuthListEnabled=True)
    assert "Accepted" == await cs.status_of("SendLocalList", listVersion=1, updateType="Full")
    assert 0 == await version(cs)


@case("TC_043", "Send local authorization list", PROFILE)
async def test_tc_043_send_local_list(cs: Bench) -> None:
    """Full, then Differential, which adds, changes and removes; what is listed then counts."""
    await cs.configure(LocalAuthListEnabled=True, LocalPreAuthorize=True)
    assert "Accepted" == await send(cs, 1, listed("GONE", OTHER))
    assert 1 == await version(cs)
    changes = [{"idTag": "GONE"}, *listed(OTHER, status="Blocked"), *listed(TAG)]
    assert "Accepted" == await send(cs, 2, changes, "Differential")
    assert 2 == await version(cs)
    await cs.plug()
    await cs.expect("StatusNotification", status="Preparing")
    cs.tokens["GONE"] = cs.tokens[OTHER] = {"status": "Invalid"}
    for tag in ("GONE", OTHER):
        await cs.card(tag)
        await cs.expect("Authorize", idTag=tag)
    await cs.card(TAG)
    await cs.expect_start(TAG)


@case("TC_043_1", "Send local authorization list – not supported", PROFILE)
async def test_tc_043_1_send_local_list_not_supported(cs: Bench) -> None:
    """NotSupported while the list is switched off."""
    await cs.configure(LocalAuthListEnabled=False)
    assert "NotSupported" == await send(cs, 1, listed(TAG))


@case("TC_043_2", "Send local authorization list – version mismatch", PROFILE)
async def test_tc_043_2_version_mismatch(cs: Bench) -> None:
    """Full 2, Differential 5; Differential 4 is refused, and 5 stays."""
    await cs.configure(LocalAuthListEnabled=True)
    assert "Accepted" == await send(cs, 2, listed(TAG))
    assert "Accepted" == await send(cs, 5, listed(OTHER), "Differential")
    assert 5 == await version(cs)
    assert "VersionMismatch" == await send(cs, 4, listed("LATE"), "Differential")
    assert 5 == await version(cs)


@case("TC_043_3", "Send local authorization list – failed", PROFILE, keys={"SendLocalListMaxLength": 2})
async def test_tc_043_3_failed(cs: Bench) -> None:
    """More than can be stored: Failed, and the old list stays."""
    await cs.configure(LocalAuthListEnabled=True, LocalPreAuthorize=True)
    assert "2" == await cs.configured("SendLocalListMaxLength")
    assert "Accepted" == await send(cs, 1, listed(TAG))
    assert "Failed" == await send(cs, 2, listed("A", "B", "C"))
    assert 1 == await version(cs)
    await cs.plug()
    await cs.expect("StatusNotification", status="Preparing")
    await cs.card(TAG)
    await cs.expect_start(TAG)
