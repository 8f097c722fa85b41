"""Reports become CALLs and their answers facts; each CALL of the CSMS becomes one request with one reply."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from gateway.csms.conversation import Conversation
from gateway.csms.dialects import DIALECTS
from gateway.station.effects import Answer, Ask
from gateway.station.events import Answered, CsmsAsked
from gateway.station.model import AuthorizationStatus, IdToken
from gateway.station.reports import Authorization, AuthorizationAnswer, Failed, FailureKind, Heartbeat
from gateway.station.requests import CacheClearRequested, Refusal, RefusalCode, StatusReply

VERSIONS = pytest.mark.parametrize("version", sorted(DIALECTS))
TOKEN = IdToken("04A2B3C4", "ISO14443")


class Line:
    """A conversation and the other end of its wire."""

    def __init__(self, version: str) -> None:
        ids = itertools.count(1)
        self.conversation = Conversation(
            DIALECTS[version], new_id=lambda: f"m{next(ids)}", timeout_s=30.0, refs=itertools.count(100)
        )

    def sent(self) -> list[list[Any]]:
        return [json.loads(frame) for frame in self.conversation.rpc.outgoing()]

    def receive(self, *frame: Any, now: float = 1.0) -> list[Any]:
        return self.conversation.receive(json.dumps(frame).encode(), now)


@VERSIONS
def test_an_answer_comes_back_as_a_fact(version: str) -> None:
    """The ref of the question, the meaning of the answer, in either version's words."""
    line = Line(version)
    assert [] == line.conversation.ask(Ask(7, Authorization(TOKEN), urgent=True), 0.0)
    ((kind, message_id, action, _payload),) = line.sent()
    info = {"status": "Accepted"}
    answer = {"idTagInfo": info} if version == "ocpp1.6" else {"idTokenInfo": info}
    (fact,) = line.receive(3, message_id, answer)

    assert (2, "Authorize") == (kind, action)
    assert isinstance(fact, Answered)
    assert isinstance(fact.answer, AuthorizationAnswer)
    assert (7, True) == (fact.ref, fact.last)
    assert AuthorizationStatus.ACCEPTED is fact.answer.info.status
    assert [("sent", "Authorize", "ok", "")] == line.conversation.noted


@VERSIONS
def test_a_question_that_fails_says_how(version: str) -> None:
    """Refused, timed out and lost are told apart; each exactly once."""
    line = Line(version)
    facts: list[Any] = []
    for ref in (1, 2, 3):
        line.conversation.ask(Ask(ref, Heartbeat(), urgent=False), 0.0)
    ((_, message_id, *_),) = line.sent()
    facts += line.receive(4, message_id, "InternalError", "oops", {})
    line.sent()
    facts += line.conversation.elapsed(100.0)
    line.sent()
    facts += line.conversation.lost()

    assert [1, 2, 3] == [fact.ref for fact in facts]
    kinds = [fact.answer.kind for fact in facts if isinstance(fact.answer, Failed)]
    assert [FailureKind.REFUSED, FailureKind.TIMED_OUT, FailureKind.LOST] == kinds
    assert ["error", "timeout", "lost"] == [result for _, _, result, _ in line.conversation.noted]


@VERSIONS
def test_a_request_is_answered_once_and_by_its_own_id(version: str) -> None:
    """In the order in which they were asked, in whatever order the station answers."""
    line = Line(version)
    (first,) = line.receive(2, "one", "ClearCache", {})
    (second,) = line.receive(2, "two", "ClearCache", {})
    assert isinstance(first, CsmsAsked)
    assert isinstance(second, CsmsAsked)
    assert isinstance(first.request, CacheClearRequested)
    line.conversation.answer(Answer(second.ref, Refusal(RefusalCode.NOT_SUPPORTED, "not now")))
    line.conversation.answer(Answer(first.ref, StatusReply(status="Accepted")))
    line.conversation.answer(Answer(first.ref, StatusReply(status="Rejected")))

    assert [[3, "one", {"status": "Accepted"}], [4, "two", "NotSupported", "not now", {}]] == line.sent()


@VERSIONS
def test_what_the_station_never_hears_of_is_refused_here(version: str) -> None:
    """Unknown actions, payloads against the schema, frames that are none."""
    line = Line(version)
    facts = line.receive(2, "a", "MakeCoffee", {}) + line.receive(2, "b", "Reset", {"type": 5})
    facts += line.conversation.receive(b"{", 1.0) + line.receive(3, "nobody asked", {})
    codes = {frame[1]: frame[2] for frame in line.sent()}

    assert [] == facts
    assert "NotImplemented" == codes["a"]
    assert "Violation" in codes["b"]
    assert all(result in {"refused", "ignored"} for _, _, result, _ in line.conversation.noted)


@VERSIONS
def test_nobody_waits_for_replies_when_the_line_is_gone(version: str) -> None:
    """A reply that comes after the end is dropped."""
    line = Line(version)
    (asked,) = line.receive(2, "one", "ClearCache", {})
    line.conversation.lost()
    line.conversation.answer(Answer(asked.ref, StatusReply(status="Accepted")))
    assert [] == line.sent()


@VERSIONS
def test_a_report_of_which_all_was_answered_makes_no_call(version: str) -> None:
    """Taken up after a restart behind its last step, it is done."""
    line = Line(version)
    (fact,) = line.conversation.ask(Ask(7, Heartbeat(), urgent=False, first_step=1), 0.0)
    assert isinstance(fact, Answered)
    assert (7, True) == (fact.ref, fact.last)
    assert [] == line.sent()
