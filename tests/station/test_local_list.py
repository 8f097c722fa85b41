"""The local authorization list: what the CSMS lists is known without asking, online and offline."""

from typing import Any

import pytest

from gateway.station.events import StoreChanged
from tests.station.rig import CARD, NOON, OTHER, Rig, text

ENABLED = "LocalAuthListEnabled"
PRE = "LocalPreAuthorize"


def booted(**variables: str) -> Rig:
    """`Component__Variable` names."""
    rig = Rig("1.6", variables={name.replace("__", "."): value for name, value in variables.items()})
    rig.boot()
    return rig


def entry(token: str = CARD, status: str = "Accepted", **more: Any) -> dict[str, Any]:
    return {"idTag": token, "idTagInfo": {"status": status, **more}}


def send(rig: Rig, version: int, *entries: dict[str, Any], kind: str = "Full") -> str | None:
    return rig.status_of(
        "SendLocalList", listVersion=version, updateType=kind, localAuthorizationList=list(entries)
    )


def version(rig: Rig) -> int:
    reply = rig.asks("GetLocalListVersion")
    assert isinstance(reply, dict)
    return int(reply["listVersion"])


def listed(*entries: dict[str, Any], **variables: str) -> Rig:
    """A station with these entries that starts what it knows without asking."""
    rig = booted(AuthCtrlr__LocalPreAuthorize="true", **variables)
    assert send(rig, 1, *entries) == "Accepted"
    rig.forget()
    return rig


def asked(rig: Rig) -> list[str]:
    return [sentence for sentence in rig.story() if sentence.startswith("Authorize")]


# ------------------------------------------------------------------ compliance test cases


def test_tc_042_1_the_version_of_a_list_that_is_disabled_is_minus_one() -> None:
    """# [TC_042_1]; the list itself stays, for when it is enabled again."""
    rig = booted()
    send(rig, 3, entry())
    assert rig.set(ENABLED, "false") == "Accepted"

    assert version(rig) == -1

    rig.set(ENABLED, "true")
    assert version(rig) == 3


def test_tc_042_2_the_version_of_an_empty_list_is_zero() -> None:
    """# [TC_042_2]: Full, version 1, no list at all."""
    rig = booted()

    assert rig.status_of("SendLocalList", listVersion=1, updateType="Full") == "Accepted"

    assert version(rig) == 0


def test_tc_043_a_list_is_sent_and_changed() -> None:
    """# [TC_043]: Full, then Differential, which adds, changes and removes."""
    rig = booted()
    assert send(rig, 1, entry("AAAA0001"), entry("AAAA0002"), entry("AAAA0003")) == "Accepted"

    changes = ({"idTag": "AAAA0001"}, entry("aaaa0002", "Blocked"), entry("AAAA0004"))
    assert send(rig, 2, *changes, kind="Differential") == "Accepted"

    assert version(rig) == 2
    assert {"aaaa0002": "Blocked", "aaaa0003": "Accepted", "aaaa0004": "Accepted"} == {
        key: str(record.status) for key, record in rig.station.state.local_list.items()
    }


def test_tc_043_1_a_disabled_list_takes_nothing() -> None:
    """# [TC_043_1]."""
    rig = booted(LocalAuthListCtrlr__Enabled="false")

    assert send(rig, 1, entry()) == "NotSupported"


def test_tc_043_2_a_differential_update_must_be_newer() -> None:
    """# [TC_043_2]: Full 2, Differential 5, then 4 and 5 again are refused, and 5 stays."""
    rig = booted()
    assert send(rig, 2, entry()) == "Accepted"
    assert send(rig, 5, entry(OTHER), kind="Differential") == "Accepted"
    assert version(rig) == 5

    assert send(rig, 4, entry("AAAA0001"), kind="Differential") == "VersionMismatch"
    assert send(rig, 5, entry("AAAA0001"), kind="Differential") == "VersionMismatch"

    assert version(rig) == 5
    assert len(rig.station.state.local_list) == 2


def test_a_full_update_may_be_older() -> None:
    """A CSMS that starts counting anew: any version above 0."""
    rig = booted()
    send(rig, 9, entry())

    assert send(rig, 2, entry(OTHER)) == "Accepted"

    assert version(rig) == 2


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param((entry("AAAA0001"), entry("aaaa0001")), id="a token twice"),
        pytest.param(tuple(entry(f"AAAA000{i}") for i in range(4)), id="more than one message may carry"),
        pytest.param(({"idTag": "AAAA0001"},), id="a full list without a status"),
    ],
)
def test_tc_043_3_what_cannot_be_stored_changes_nothing(entries: tuple[dict[str, Any], ...]) -> None:
    """# [TC_043_3]: Failed, and the old list stays intact."""
    rig = booted(LocalAuthListCtrlr__ItemsPerMessage="3")
    send(rig, 1, entry(CARD))
    before = dict(rig.station.state.local_list)

    assert send(rig, 2, *entries) == "Failed"

    assert version(rig) == 1
    assert rig.station.state.local_list == before


def test_tc_043_3_a_list_that_grows_too_long_changes_nothing() -> None:
    """What a differential update removes makes room for what it adds."""
    rig = booted(Ocpp16__LocalAuthListMaxLength="2")
    send(rig, 1, entry("AAAA0001"), entry("AAAA0002"))

    assert send(rig, 2, entry("AAAA0003"), kind="Differential") == "Failed"
    assert version(rig) == 1
    assert send(rig, 2, entry("AAAA0003"), {"idTag": "AAAA0001"}, kind="Differential") == "Accepted"
    assert send(rig, 3, *(entry(f"BBBB000{i}") for i in range(3))) == "Failed"
    assert set(rig.station.state.local_list) == {"aaaa0002", "aaaa0003"}


@pytest.mark.parametrize("number", [0, -1])
def test_versions_that_mean_something_else_are_refused(number: int) -> None:
    """# [E3.52]: 0 is an empty list and -1 none at all."""
    rig = booted()

    assert send(rig, number, entry()) == "Failed"
    assert send(rig, number, entry(), kind="Differential") == "VersionMismatch"


def test_tc_008_a_listed_token_starts_without_being_asked_for() -> None:
    """# [TC_008]: RemoteStart with AuthorizeRemoteTxRequests; Start follows at once."""
    rig = listed(entry(), AuthCtrlr__AuthorizeRemoteStart="true")
    rig.plug()
    rig.forget()

    assert rig.status_of("RemoteStartTransaction", idTag=CARD, connectorId=1) == "Accepted"

    story = rig.story()
    assert not [sentence for sentence in story if sentence.startswith("Authorize")]
    assert f"Start 1 {CARD} 1000" in story


# ------------------------------------------------------------------ online


def test_a_listed_card_starts_without_being_asked_for() -> None:
    """# 1.6 §3.5, whatever the case of its letters."""
    rig = listed(entry(CARD.lower()))
    rig.plug()

    rig.card(CARD)

    assert rig.transaction() is not None
    assert asked(rig) == []


def test_without_pre_authorization_the_csms_is_asked() -> None:
    """The list alone does not start anything online."""
    rig = listed(entry())
    rig.set(PRE, "false")
    rig.plug()

    rig.card()

    assert asked(rig) == [f"Authorize {CARD}"]


@pytest.mark.parametrize("more", [{"status": "Blocked"}, {"expiryDate": text(NOON - 60)}])
def test_a_listed_card_that_is_not_valid_is_asked_for(more: dict[str, str]) -> None:
    """# 1.6 §3.5.2, C14.FR.03: the CSMS may know better by now."""
    rig = listed(entry(**more))
    rig.plug()

    rig.card()

    assert asked(rig) == [f"Authorize {CARD}"]


def test_a_disabled_list_is_not_used() -> None:
    """Its tokens are asked for like any others."""
    rig = listed(entry())
    rig.set(ENABLED, "false")
    rig.plug()

    rig.card()

    assert asked(rig) == [f"Authorize {CARD}"]


def test_the_list_comes_before_the_cache() -> None:
    """# 1.6 §3.5.3: cached as accepted, then listed as blocked: it is blocked."""
    rig = booted()
    rig.session()
    rig.card()
    rig.unplug()
    assert CARD.casefold() in rig.station.state.cache

    send(rig, 1, entry(CARD, "Blocked"))

    assert CARD.casefold() not in rig.station.state.cache
    rig.disconnect()
    rig.plug()
    rig.card()
    assert rig.transaction() is None


def test_listed_tokens_are_not_cached() -> None:
    """# 1.6 §3.5.3: neither from Authorize nor from StartTransaction."""
    rig = booted()
    send(rig, 1, entry())
    rig.plug()
    rig.card()
    assert rig.transaction() is not None

    assert not rig.station.state.cache
    assert not rig.records.get("cache")


# ------------------------------------------------------------------ conflicts


def test_a_conflict_is_told_of_the_station() -> None:
    """# 1.6 §3.5.2: list and answer disagree: connector 0, LocalListConflict; the answer decides."""
    rig = booted()
    send(rig, 1, entry(CARD, "Accepted"))
    rig.authorizes("Blocked")
    rig.plug()
    rig.forget()

    rig.card()

    assert [f"Authorize {CARD}", "Status 0 Available LocalListConflict"] == rig.story()
    assert rig.transaction() is None


def test_a_conflict_at_the_start_is_told_as_well() -> None:
    """Started by the list, refused by StartTransaction.conf."""
    rig = listed(entry())
    rig.authorizes("Invalid")
    rig.plug()
    rig.forget()

    rig.card()

    story = rig.story()
    assert "Status 0 Available LocalListConflict" in story
    assert any("DeAuthorized" in sentence for sentence in story)


def test_each_conflict_is_told_and_the_next_list_ends_them() -> None:
    """The same status with NoError says that it is over."""
    rig = booted()
    send(rig, 1, entry(CARD), entry(OTHER))
    rig.authorizes("Blocked")
    rig.card(CARD)
    rig.card(OTHER)
    assert 2 == rig.story().count("Status 0 Available LocalListConflict")

    send(rig, 2, entry(CARD, "Blocked"))

    assert ["SendLocalList: Accepted", "Status 0 Available"] == rig.story()


@pytest.mark.parametrize(("list_says", "csms_says"), [("Accepted", "ConcurrentTx"), ("Blocked", "Invalid")])
def test_what_is_no_conflict(list_says: str, csms_says: str) -> None:
    """A token in use elsewhere is still valid; refused is refused."""
    rig = booted()
    send(rig, 1, entry(CARD, list_says))
    rig.authorizes(csms_says)
    rig.forget()

    rig.card()

    assert rig.story() == [f"Authorize {CARD}"]


# ------------------------------------------------------------------ offline


def offline(rig: Rig) -> Rig:
    rig.disconnect()
    rig.plug()
    return rig


def test_a_listed_card_starts_offline() -> None:
    """# LocalAuthorizeOffline, C13."""
    rig = offline(listed(entry()))

    rig.card()

    assert rig.transaction() is not None


def test_offline_use_can_be_switched_off() -> None:
    """# LocalAuthorizeOffline false."""
    rig = offline(listed(entry(), AuthCtrlr__LocalAuthorizeOffline="false"))

    rig.card()

    assert rig.transaction() is None


@pytest.mark.parametrize("more", [{"status": "Blocked"}, {"expiryDate": text(NOON - 60)}])
def test_a_refused_card_stays_refused_offline(more: dict[str, str]) -> None:
    """# C13: though unknown cards may start."""
    rig = offline(listed(entry(**more), AuthCtrlr__OfflineTxForUnknownIdEnabled="true"))

    rig.card(CARD)
    assert rig.transaction() is None

    rig.card(OTHER)
    assert rig.transaction() is not None


def test_an_entry_expires_while_the_station_is_offline() -> None:
    """At its date, not at the next list."""
    rig = listed(entry(expiryDate=text(NOON + 3600)))
    rig.disconnect()
    rig.after(3601)
    rig.plug()

    rig.card()

    assert rig.transaction() is None


def test_the_list_knows_families_offline() -> None:
    """# [TC_069]: another token of the starter's group stops, without a CSMS."""
    rig = listed(entry(CARD, parentIdTag="FAMILY"), entry(OTHER, parentIdTag="FAMILY"))
    rig.session()
    rig.disconnect()

    rig.card(OTHER)
    rig.connect()

    assert rig.transaction() is None
    [(_, stop)] = rig.sent("StopTransaction")
    assert stop["idTag"] == OTHER


# ------------------------------------------------------------------ keeping it


def test_the_list_survives_a_restart() -> None:
    """With its version, and with what was removed gone."""
    rig = booted(AuthCtrlr__LocalPreAuthorize="true")
    send(rig, 4, entry(CARD), entry(OTHER, "Blocked", parentIdTag="FAMILY"), entry("AAAA0001"))
    send(rig, 5, {"idTag": "AAAA0001"}, kind="Differential")

    rig.restart()

    assert version(rig) == 5
    assert set(rig.station.state.local_list) == {CARD.casefold(), OTHER.casefold()}


def test_only_what_changed_is_written() -> None:
    """A full update of a long list costs what it changes, in one commit."""
    rig = booted()
    tokens = [f"AAAA{i:04}" for i in range(300)]
    send(rig, 1, *(entry(token) for token in tokens))
    assert len(rig.records["local_list"]) == 300
    written = dict(rig.records["local_list"])

    send(rig, 2, *(entry(token) for token in tokens[:-1]), entry("BBBB0000"))

    now = rig.records["local_list"]
    assert written.keys() - now.keys() == {tokens[-1].lower()}
    assert now.keys() - written.keys() == {"bbbb0000"}
    assert all(now[key] is raw for key, raw in written.items() if key in now)


def test_nothing_is_listed_while_the_disk_is_full() -> None:
    """What could not be kept must not be promised."""
    rig = booted()
    rig.happens(StoreChanged(writable=False, detail="disk full"))

    assert send(rig, 1, entry()) == "Failed"


def test_the_limits_are_told() -> None:
    """# 1.6 §9.3."""
    rig = booted()

    reply = rig.asks("GetConfiguration", key=["LocalAuthListMaxLength", "SendLocalListMaxLength", ENABLED])

    assert isinstance(reply, dict)
    assert [("10000", True), ("1000", True), ("true", False)] == [
        (row["value"], row["readonly"]) for row in reply["configurationKey"]
    ]
