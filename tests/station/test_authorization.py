"""Who may charge: asking, remembering, deciding alone, and stopping by a card."""

import pytest

from tests.station.rig import BOTH, CARD, NOON, OTHER, TIMED_OUT, Rig, text

CACHE = "AuthCacheCtrlr.Enabled"
PRE = "AuthCtrlr.LocalPreAuthorize"
UNKNOWN_OFFLINE = "AuthCtrlr.OfflineTxForUnknownIdEnabled"
KNOWN_OFFLINE = "AuthCtrlr.LocalAuthorizeOffline"


def booted(version: str, **variables: str) -> Rig:
    """`Component__Variable` names."""
    rig = Rig(version, variables={name.replace("__", "."): value for name, value in variables.items()})
    rig.boot()
    return rig


def knowing(rig: Rig, status: str = "Accepted", token: str = CARD, **info: str) -> Rig:
    """The token is in the cache with this status, and nothing runs."""
    rig.authorizes(status, **info)
    rig.plug()
    rig.card(token)
    if rig.transaction():
        rig.card(token)
    rig.unplug()
    rig.after(60)
    rig.authorizes()
    rig.forget()
    return rig


def authorized(rig: Rig) -> list[str]:
    return [s for s in rig.story() if s.startswith("Authorize")]


# ------------------------------------------------------------------ asking


@BOTH
@pytest.mark.parametrize("status", ["Invalid", "Blocked", "Expired"])
def test_a_refused_token_starts_nothing(version: str, status: str) -> None:
    """# [TC_023], C01.FR.06, [TC_C_02], [TC_C_06], [TC_C_07]."""
    rig = booted(version)
    rig.authorizes(status)
    rig.plug()

    rig.card()

    assert rig.transaction() is None
    assert not rig.setpoint().energize
    assert rig.verdicts()[-1] in {"unknown", "refused"}
    assert not [s for s in rig.story() if s.startswith("Start")]


def test_201_a_token_for_other_evses_starts_nothing_here() -> None:
    """# C01.FR.21."""
    rig = Rig("2.0.1", connectors=2)
    rig.boot()
    rig.authorizes("Accepted", evseId=[2])
    rig.plug(1)
    rig.card(CARD, 1)
    assert rig.transaction(1) is None

    rig.plug(2)
    rig.card(CARD, 2)

    assert rig.transaction(2) is not None


def test_201_a_master_pass_never_starts() -> None:
    """# C12.FR.05, C16.FR.03, [TC_C_45]."""
    rig = booted("2.0.1", AuthCtrlr__MasterPassGroupId="MASTERS")
    rig.authorizes("Accepted", group="MASTERS")
    rig.plug()

    rig.card()

    assert rig.transaction() is None


@BOTH
def test_the_plug_may_come_while_the_csms_thinks(version: str) -> None:
    """Note, then settle: either order."""
    rig = booted(version)
    rig.answers["Authorize"] = None
    rig.card()
    rig.plug()
    assert rig.transaction() is None

    rig.answer("Authorize")

    assert rig.transaction() is not None


@BOTH
def test_an_authorize_that_is_never_answered_starts_nothing(version: str) -> None:
    """# 1.6 §4.1: no answer is no acceptance while the link is up."""
    rig = booted(version)
    rig.answers["Authorize"] = TIMED_OUT
    rig.plug()

    rig.card()

    assert rig.transaction() is None


@BOTH
def test_a_second_card_while_the_csms_thinks_is_refused_as_busy(version: str) -> None:
    """One question at a time."""
    rig = booted(version)
    rig.answers["Authorize"] = None
    rig.plug()
    rig.card()

    rig.card(OTHER)

    assert ["busy"] == rig.verdicts()
    assert 1 == len(rig.payloads("Authorize"))


@BOTH
def test_the_card_shown_again_before_the_plug_cancels(version: str) -> None:
    """# [TC_061], 1.6 §4.9 B1."""
    rig = booted(version)
    rig.card()

    rig.card()
    rig.plug()

    assert rig.transaction() is None
    assert "cancelled" in rig.verdicts()


@BOTH
def test_an_old_question_is_not_answered_by_a_new_answer(version: str) -> None:
    """Open questions are data: the link dropped, so the question is void."""
    rig = booted(version)
    rig.answers["Authorize"] = None
    rig.plug()
    rig.card()

    rig.disconnect()
    del rig.answers["Authorize"]
    rig.connect()

    assert rig.transaction() is None
    rig.card()
    assert rig.transaction() is not None


# ------------------------------------------------------------------ stopping


@BOTH
def test_the_same_token_stops_without_asking(version: str) -> None:
    """# [TC_068], C01.FR.03, E07, [TC_E_06], [TC_E_15]."""
    rig = booted(version)
    rig.session()

    rig.card(CARD.lower())

    story = rig.story()
    assert not [s for s in story if s.startswith("Authorize")]
    assert any(s.startswith(("Stop 77 Local", "Ended StopAuthorized")) for s in story)
    assert rig.transaction() is None


@BOTH
def test_another_token_does_not_stop(version: str) -> None:
    """# [TC_068], [TC_C_04]: no stop."""
    rig = booted(version)
    rig.session()

    rig.card(OTHER)

    assert rig.transaction() is not None
    assert "busy" in rig.verdicts()
    assert not [s for s in rig.story() if s.startswith(("Stop", "Ended"))]


def test_16_stop_carries_the_token_that_stopped() -> None:
    """# 1.6 §4.10, [TC_069]: idTag is the other tag of the group, found by Authorize."""
    rig = booted("1.6")
    rig.authorizes("Accepted", group="FLEET")
    rig.session()

    rig.card(OTHER)

    assert [f"Authorize {OTHER}"] == [s for s in rig.story() if s.startswith("Authorize")]
    assert rig.transaction() is None


def test_201_a_token_of_the_group_stops() -> None:
    """# C09.FR.03/.07, [TC_C_39]: the other token is told with the end."""
    rig = booted("2.0.1")
    rig.authorizes("Accepted", group="FLEET")
    rig.session()

    rig.card(OTHER)

    [ended] = [e for e in rig.payloads("TransactionEvent") if e["eventType"] == "Ended"]
    assert OTHER == ended["idToken"]["idToken"]


@BOTH
def test_a_token_of_the_group_stops_without_asking_when_the_cache_knows_it(version: str) -> None:
    """# C09.FR.04, [TC_C_41], [TC_E_45]."""
    rig = booted(version)
    knowing(rig, group="FLEET", token=OTHER)
    rig.authorizes("Accepted", group="FLEET")
    rig.session()

    rig.card(OTHER)

    assert [] == authorized(rig)
    assert rig.transaction() is None


@BOTH
@pytest.mark.parametrize(
    ("status", "group"), [("Accepted", "OTHERS"), ("Accepted", None), ("Blocked", "FLEET")]
)
def test_a_token_of_another_group_or_refused_does_not_stop(
    version: str, status: str, group: str | None
) -> None:
    """# C09.FR.11, [TC_C_42], [TC_C_44]."""
    rig = booted(version)
    rig.authorizes("Accepted", group="FLEET")
    rig.session()
    rig.authorizes(status, group=group)

    rig.card(OTHER)

    assert rig.transaction() is not None


# ------------------------------------------------------------------ the cache


@BOTH
def test_a_cached_token_starts_without_asking_where_that_is_allowed(version: str) -> None:
    """# 1.6 §3.5.3, C12.FR.02, [TC_007], [TC_C_08]: LocalPreAuthorize."""
    rig = knowing(booted(version, AuthCtrlr__LocalPreAuthorize="true"))
    rig.plug()

    rig.card()

    assert [] == authorized(rig)
    assert rig.transaction() is not None


@BOTH
def test_without_local_pre_authorize_the_csms_is_asked(version: str) -> None:
    """# C10, [TC_C_36]."""
    rig = knowing(booted(version))
    rig.plug()

    rig.card()

    assert [f"Authorize {CARD}"] == authorized(rig)


@BOTH
@pytest.mark.parametrize("status", ["Invalid", "Blocked", "Expired"])
def test_a_token_cached_as_refused_is_asked_about_again(version: str, status: str) -> None:
    """# 1.6 §3.5.3, C10.FR.03, C12, [TC_C_09] … [TC_C_12]: the CSMS may know better now."""
    rig = knowing(booted(version, AuthCtrlr__LocalPreAuthorize="true"), status)
    rig.plug()

    rig.card()

    assert [f"Authorize {CARD}"] == authorized(rig)
    assert rig.transaction() is not None


def test_201_disable_post_authorize_believes_the_cache() -> None:
    """# [TC_C_57]."""
    variables = {"AuthCtrlr__LocalPreAuthorize": "true", "AuthCacheCtrlr__DisablePostAuthorize": "true"}
    rig = knowing(booted("2.0.1", **variables), "Blocked")
    rig.plug()

    rig.card()

    assert [] == authorized(rig)
    assert rig.transaction() is None


@BOTH
def test_clear_cache_forgets(version: str) -> None:
    """# [TC_061], C11.FR.01, [TC_C_37]."""
    rig = knowing(booted(version, AuthCtrlr__LocalPreAuthorize="true"))

    assert "Accepted" == rig.status_of("ClearCache")

    rig.plug()
    rig.card()
    assert [f"Authorize {CARD}"] == authorized(rig)
    assert {} == rig.records.get("cache", {}) or CARD.casefold() in rig.records["cache"]


@BOTH
def test_without_a_cache_it_cannot_be_cleared(version: str) -> None:
    """# 1.6 [E3.23], C11.FR.04, [TC_C_38]."""
    rig = booted(version, AuthCacheCtrlr__Enabled="false")

    assert "Rejected" == rig.status_of("ClearCache")


@BOTH
def test_the_cache_survives_a_restart(version: str) -> None:
    """# 1.6 §3.5.1, C10.FR.02, [TC_C_32]."""
    rig = knowing(booted(version, AuthCtrlr__LocalPreAuthorize="true"))
    rig.restart()
    rig.forget()
    rig.plug()

    rig.card()

    assert [] == authorized(rig)


@BOTH
def test_a_cached_token_expires_by_its_date(version: str) -> None:
    """# 1.6 §3.5.1, C10.FR.08, [TC_C_11]."""
    field = "expiryDate" if version == "1.6" else "cacheExpiryDateTime"
    rig = knowing(booted(version, AuthCtrlr__LocalPreAuthorize="true"), **{field: text(NOON + 3600)})
    rig.after(3600)
    rig.forget()
    rig.plug()

    rig.card()

    assert [f"Authorize {CARD}"] == authorized(rig)


def test_201_a_cached_token_lives_as_long_as_configured() -> None:
    """# C10.FR.08, [TC_C_46]: AuthCacheLifeTime."""
    variables = {"AuthCtrlr__LocalPreAuthorize": "true", "AuthCacheCtrlr__LifeTime": "100"}
    rig = knowing(booted("2.0.1", **variables))
    rig.after(101)
    rig.forget()
    rig.plug()

    rig.card()

    assert [f"Authorize {CARD}"] == authorized(rig)


@BOTH
def test_the_answer_to_a_transaction_message_updates_the_cache(version: str) -> None:
    """# 1.6 §3.5.1, C10.FR.04, [TC_C_34]: what StartTransaction says holds for the next time."""
    rig = knowing(booted(version, AuthCtrlr__LocalPreAuthorize="true"))
    action = "StartTransaction" if version == "1.6" else "TransactionEvent"
    more = {"transactionId": 9} if version == "1.6" else {}
    rig.answers[action] = {**more, **rig.token_info("Blocked")}
    rig.plug()
    rig.card()
    rig.unplug()
    del rig.answers[action]
    rig.authorizes("Blocked")
    rig.forget()
    rig.plug()

    rig.card()

    assert [f"Authorize {CARD}"] == authorized(rig)
    assert rig.transaction() is None


def test_201_central_and_no_authorization_tokens_are_not_cached_and_not_asked_about() -> None:
    """# C02, C03, C05."""
    rig = booted("2.0.1")
    rig.plug()

    rig.card("APP-1", type="Central")

    assert [] == authorized(rig)
    assert rig.transaction() is not None
    assert {} == rig.records.get("cache", {})


@BOTH
def test_authorization_switched_off_lets_everybody_charge(version: str) -> None:
    """# C01: AuthEnabled false."""
    rig = booted(version, AuthCtrlr__Enabled="false")
    rig.plug()

    rig.card()

    assert [] == authorized(rig)
    assert rig.transaction() is not None


def test_201_disable_remote_authorization_decides_by_local_data_alone() -> None:
    """# [TC_E_52]: no Authorize, an unknown token is refused."""
    rig = booted("2.0.1", AuthCtrlr__DisableRemoteAuthorization="true")
    rig.plug()

    rig.card()

    assert [] == authorized(rig)
    assert rig.transaction() is None


# ------------------------------------------------------------------ offline


@BOTH
@pytest.mark.parametrize(
    ("cached", "known_offline", "unknown_offline", "starts"),
    [
        (None, "true", "false", False),
        (None, "true", "true", True),
        ("Accepted", "true", "false", True),
        ("Accepted", "false", "false", False),
        ("Blocked", "true", "true", False),
        ("Invalid", "true", "true", False),
    ],
)
def test_offline(
    version: str, cached: str | None, known_offline: str, unknown_offline: str, starts: bool
) -> None:
    """# 1.6 §3.5.4, C13.FR.01..04, C15.FR.02, [TC_037_1], [TC_C_26]: known ones by the cache, others by a switch."""
    names = {KNOWN_OFFLINE: known_offline, UNKNOWN_OFFLINE: unknown_offline}
    rig = Rig(version, variables=names)
    rig.boot()
    if cached is not None:
        knowing(rig, cached)
    rig.disconnect()
    rig.plug()

    rig.card()

    assert starts is (rig.transaction() is not None)
    assert starts is rig.setpoint().energize


@BOTH
def test_offline_a_token_of_the_group_stops(version: str) -> None:
    """# E08, [TC_E_45]: what the cache knows of the group is enough."""
    rig = booted(version)
    knowing(rig, group="FLEET", token=OTHER)
    rig.authorizes("Accepted", group="FLEET")
    rig.session()
    rig.disconnect()

    rig.card(OTHER)

    assert rig.transaction() is None


@BOTH
def test_before_the_first_acceptance_the_offline_rules_hold(version: str) -> None:
    """# 1.6 §4.2: charging while not accepted is queued."""
    rig = Rig(version, variables={UNKNOWN_OFFLINE: "true"})
    rig.answers["BootNotification"] = {"status": "Pending", "interval": 60, "currentTime": text(NOON)}
    rig.start()
    rig.connect()
    rig.plug()
    rig.card()
    rig.forget()
    assert rig.transaction() is not None

    rig.answers.clear()
    rig.after(60)

    assert [s for s in rig.story() if s.startswith(("Start ", "Started"))]


# ------------------------------------------------------------------ a reader for the whole station


@BOTH
def test_a_station_reader_stops_its_own_transaction(version: str) -> None:
    """A card at station level stops its own transaction first of all."""
    rig = Rig(version, connectors=2)
    rig.boot()
    rig.session(CARD, 1)
    rig.session(OTHER, 2)

    rig.card(OTHER, 0)

    assert rig.transaction(1) is not None
    assert rig.transaction(2) is None


@BOTH
def test_a_station_reader_takes_the_only_plugged_connector(version: str) -> None:
    """Else the only plugged connector that is free."""
    rig = Rig(version, connectors=3)
    rig.boot()
    rig.session(OTHER, 1)
    rig.plug(3)

    rig.card(CARD, 0)

    assert rig.transaction(3) is not None
    assert rig.transaction(2) is None


@BOTH
def test_a_station_reader_waits_for_the_next_plug(version: str) -> None:
    """Else the next one plugged, within EVConnectionTimeOut."""
    rig = Rig(version, connectors=2)
    rig.boot()
    rig.card(CARD, 0)

    rig.plug(2)

    assert rig.transaction(2) is not None
    assert rig.transaction(1) is None


@BOTH
def test_a_station_reader_does_not_wait_for_ever(version: str) -> None:
    """# E03.FR.05 in spirit."""
    rig = Rig(version, connectors=2)
    rig.boot()
    rig.card(CARD, 0)
    rig.after(61)

    rig.plug(2)

    assert rig.transaction(2) is None
    assert "timeout" in rig.verdicts()


@BOTH
def test_a_station_reader_with_two_plugged_connectors_waits_for_a_third(version: str) -> None:
    """It does not guess between two."""
    rig = Rig(version, connectors=3)
    rig.boot()
    rig.plug(1)
    rig.plug(2)

    rig.card(CARD, 0)
    assert rig.transaction(1) is None
    assert rig.transaction(2) is None
    rig.plug(3)

    assert rig.transaction(3) is not None
