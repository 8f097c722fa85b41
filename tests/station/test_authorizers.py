"""Who decides about a card instead of the CSMS: the local list alone, or a flow on MQTT."""

from typing import Any

import pytest

from gateway.station.effects import AskFlow
from gateway.station.events import FlowAnswered
from gateway.station.model import Policy
from tests.station.rig import BOTH, CARD, OTHER, Rig


def booted(version: str, authorizer: Any, *, connectors: int = 1, **policy: Any) -> Rig:
    rig = Rig(version, connectors=connectors, policy=Policy(authorizer=authorizer, **policy))
    rig.boot()
    return rig


def asked(rig: Rig) -> AskFlow:
    """The one open question to a flow."""
    (question,) = rig.done(AskFlow)
    assert isinstance(question, AskFlow)
    return question


def says(rig: Rig, status: str, **more: Any) -> None:
    """The flow answers the last question."""
    question = rig.done(AskFlow)[-1]
    rig.happens(FlowAnswered(question.n, question.id, status, **more))


# ------------------------------------------------------------------ a flow


@BOTH
def test_what_a_flow_accepts_begins_without_asking_the_csms(version: str) -> None:
    """It is told the token in clear, and where it was shown."""
    rig = booted(version, "mqtt")
    rig.plug()
    rig.card(CARD)
    question = asked(rig)
    assert (1, CARD) == (question.n, question.token.id_token)
    assert rig.transaction() is None

    says(rig, "accepted")

    assert rig.transaction() is not None
    assert not rig.payloads("Authorize")


@BOTH
def test_what_a_flow_refuses_begins_nothing(version: str) -> None:
    """The CSMS is not asked whether it would have liked it."""
    rig = booted(version, "mqtt")
    rig.plug()
    rig.card(CARD)

    says(rig, "refused")

    assert ["refused"] == rig.verdicts()
    assert not rig.payloads("Authorize")
    assert rig.transaction() is None


@BOTH
def test_what_a_flow_does_not_know_is_asked_of_the_csms(version: str) -> None:
    """`unknown`."""
    rig = booted(version, "mqtt")
    rig.plug()
    rig.card(CARD)

    says(rig, "unknown")

    assert 1 == len(rig.payloads("Authorize"))
    assert rig.transaction() is not None


@BOTH
def test_a_flow_that_is_silent_leaves_it_to_the_csms(version: str) -> None:
    """At the deadline; what it says later changes nothing."""
    rig = booted(version, "mqtt", authorizer_timeout_s=3.0)
    rig.authorizes("Blocked")
    rig.plug()
    rig.card(CARD)
    rig.after(2.9)
    assert not rig.payloads("Authorize")

    rig.after(0.2)
    assert 1 == len(rig.payloads("Authorize"))
    assert ["refused"] == rig.verdicts()
    says(rig, "accepted")

    assert rig.transaction() is None


@BOTH
def test_a_flow_decides_offline_too(version: str) -> None:
    """It needs no CSMS."""
    rig = booted(version, "mqtt")
    rig.disconnect()
    rig.plug()
    rig.card(CARD)

    says(rig, "accepted")

    assert rig.transaction() is not None


def test_a_link_that_breaks_takes_no_question_from_a_flow() -> None:
    """Only what the CSMS was asked is lost with it."""
    rig = booted("1.6", "mqtt")
    rig.plug()
    rig.card(CARD)

    rig.disconnect()
    assert [] == rig.verdicts()
    says(rig, "accepted")

    assert ["accepted"] == rig.verdicts()


def test_a_card_at_the_reader_of_the_station() -> None:
    """The next connector plugged is meant, once the flow has accepted it."""
    rig = booted("1.6", "mqtt", connectors=2)
    rig.card(CARD, 0)
    assert 0 == asked(rig).n
    says(rig, "accepted")

    rig.plug(2)

    assert rig.transaction(2) is not None


def test_a_card_of_the_same_group_ends_the_transaction() -> None:
    """# [TC_069]: with the groups that the flow knows."""
    rig = booted("1.6", "mqtt")
    rig.plug()
    rig.card(CARD)
    says(rig, "accepted", group="family")
    assert rig.transaction() is not None

    rig.card(OTHER)
    says(rig, "accepted", group="family")
    rig.after(6)

    assert rig.transaction() is None
    assert OTHER == rig.payloads("StopTransaction")[0]["idTag"]
    assert not rig.payloads("Authorize")


def test_another_card_ends_nothing() -> None:
    """It is accepted, but of another group."""
    rig = booted("1.6", "mqtt")
    rig.plug()
    rig.card(CARD)
    says(rig, "accepted", group="family")

    rig.card(OTHER)
    says(rig, "accepted", group="neighbours")

    assert rig.transaction() is not None
    assert "busy" == rig.verdicts()[-1]


def test_its_own_card_ends_a_transaction_without_a_question() -> None:
    """# [TC_068]."""
    rig = booted("1.6", "mqtt")
    rig.plug()
    rig.card(CARD)
    says(rig, "accepted")
    rig.forget()

    rig.card(CARD)
    rig.after(6)

    assert [] == rig.done(AskFlow)
    assert rig.transaction() is None


def test_a_code_that_was_typed_in_is_shown_to_no_flow() -> None:
    """KeyCode goes to the CSMS."""
    rig = booted("2.0.1", "mqtt")
    rig.plug()

    rig.card("4711", type="KeyCode")

    assert [] == rig.done(AskFlow)
    assert 1 == len(rig.payloads("Authorize"))


def test_the_csms_has_the_last_word_after_a_flow() -> None:
    """StopTransactionOnInvalidId, as after any local decision."""
    rig = booted("1.6", "mqtt")
    rig.set("StopTransactionOnInvalidId", "true")
    rig.authorizes("Blocked")
    rig.plug()
    rig.card(CARD)

    says(rig, "accepted")
    rig.after(6)

    assert "DeAuthorized" == rig.payloads("StopTransaction")[0]["reason"]


# ------------------------------------------------------------------ the list alone


@BOTH
@pytest.mark.parametrize("online", [True, False])
def test_own_tokens_begin_and_others_do_not(version: str, online: bool) -> None:
    """Without regard to case; the CSMS is told, not asked."""
    rig = booted(version, "local", local_tokens=frozenset({CARD.lower()}))
    if not online:
        rig.disconnect()
    rig.plug()

    rig.card(OTHER)
    assert rig.transaction() is None
    rig.card(CARD)

    assert rig.transaction() is not None
    assert ["unknown", "accepted"] == rig.verdicts()
    assert not rig.payloads("Authorize")


def test_the_local_list_decides_alone() -> None:
    """What it refuses is refused, though it were an own token."""
    rig = booted("1.6", "local", local_tokens=frozenset({OTHER}))
    entries = [
        {"idTag": CARD, "idTagInfo": {"status": "Accepted"}},
        {"idTag": OTHER, "idTagInfo": {"status": "Blocked"}},
    ]
    rig.asks("SendLocalList", listVersion=1, updateType="Full", localAuthorizationList=entries)
    rig.plug()

    rig.card(OTHER)
    assert rig.transaction() is None
    rig.card(CARD)

    assert rig.transaction() is not None


@BOTH
def test_the_csms_only_looks_on(version: str) -> None:
    """What it thinks of the token ends nothing, now or at the next card."""
    rig = booted(version, "local", local_tokens=frozenset({CARD}))
    rig.authorizes("Blocked")
    for _ in range(2):
        rig.plug()
        rig.card(CARD)
        rig.after(60)
        assert rig.transaction() is not None
        rig.unplug()
        rig.after(10)

    assert rig.transaction() is None
