"""OCPP-J keeps its promises whatever arrives: one CALL in flight, one answer to each CALL."""

import itertools
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.csms.faults import Fault
from gateway.csms.rpc import Rpc
from gateway.csms.rpc_events import (
    CallAnswered,
    CallFailed,
    CallLost,
    CallReceived,
    CallRefused,
    CallTimedOut,
    FrameIgnored,
    LateAnswer,
    QueueFull,
    ReplyInvalid,
    RequestInvalid,
    ResultRefused,
    SendReceived,
)

HANDLED = frozenset(
    {"Reset", "TriggerMessage", "UnlockConnector", "GetConfiguration", "ClearCache", "DataTransfer"}
)
TIME = "2026-01-01T00:00:00Z"


def an_rpc(version: str = "ocpp1.6", **options: Any) -> Rpc:
    ids = (f"id-{n}" for n in itertools.count(1))
    return Rpc(version, new_id=lambda: next(ids), handled=options.pop("handled", HANDLED), **options)


def sent(rpc: Rpc) -> list[Any]:
    return [json.loads(frame) for frame in rpc.outgoing()]


def receive(rpc: Rpc, *frame: Any, now: float = 0.0) -> list[Any]:
    return list(rpc.receive(json.dumps(frame).encode(), now))


# Our calls


def test_a_call_goes_out_and_its_answer_comes_back_with_its_ref() -> None:
    """The frame is written as OCPP-J wants it; the answer names what it answers."""
    rpc = an_rpc()
    rpc.call("boot", "BootNotification", {"chargePointVendor": "v", "chargePointModel": "m"}, 10.0)

    assert sent(rpc) == [[2, "id-1", "BootNotification", {"chargePointVendor": "v", "chargePointModel": "m"}]]
    assert rpc.deadline() == 40.0
    answer = {"status": "Accepted", "currentTime": TIME, "interval": 300}
    assert receive(rpc, 3, "id-1", answer) == [CallAnswered("boot", "BootNotification", answer)]
    assert rpc.deadline() is None
    assert rpc.idle
    assert rpc.outgoing() == []


def test_only_one_call_is_in_flight_and_urgent_ones_go_first() -> None:
    """What waits follows one by one, urgent before ordered, each lane in its own order."""
    rpc = an_rpc()
    for ref in ("a", "b", "c"):
        rpc.call(ref, "Heartbeat", {}, 0.0, message_id=ref)
    for ref in ("x", "y"):
        rpc.call(ref, "Authorize", {"idTag": ref}, 0.0, urgent=True, message_id=ref)

    order = []
    for _ in range(5):
        [[_, message_id, _, _]] = sent(rpc)
        order.append(message_id)
        receive(rpc, 4, message_id, "GenericError", "", {})
    assert order == ["a", "x", "y", "b", "c"]
    assert rpc.idle


def test_a_request_of_ours_that_is_not_valid_is_never_sent() -> None:
    """The caller hears what is wrong; the wire hears nothing."""
    rpc = an_rpc()
    with pytest.raises(RequestInvalid, match=r"Authorize was not sent.*/idTag") as caught:
        rpc.call("a", "Authorize", {"idTag": "x" * 21}, 0.0)

    assert caught.value.violation.code is Fault.PROPERTY
    assert rpc.idle
    assert rpc.outgoing() == []


def test_the_queue_is_bounded() -> None:
    """The call that would be one too many is refused to its caller."""
    rpc = an_rpc(queue_limit=2)
    for ref in range(3):
        rpc.call(ref, "Heartbeat", {}, 0.0)
    with pytest.raises(QueueFull, match="2 calls are waiting"):
        rpc.call(3, "Heartbeat", {}, 0.0)


def test_a_call_without_answer_times_out_and_the_next_one_goes() -> None:
    """The time runs from when the frame goes out, not from when it was queued."""
    rpc = an_rpc(timeout_s=30.0)
    rpc.call("a", "Heartbeat", {}, 0.0)
    rpc.call("b", "Heartbeat", {}, 1.0)
    rpc.outgoing()

    assert rpc.elapsed(29.9) == []
    assert rpc.elapsed(30.0) == [CallTimedOut("a", "Heartbeat")]
    assert sent(rpc) == [[2, "id-2", "Heartbeat", {}]]
    assert rpc.deadline() == 60.0


def test_late_and_duplicate_answers_count_for_nothing_but_are_reported() -> None:
    """An answer belongs to the call in flight or to none."""
    rpc = an_rpc()
    rpc.call("a", "Heartbeat", {}, 0.0)
    rpc.elapsed(30.0)
    rpc.call("b", "Heartbeat", {}, 31.0)

    assert receive(rpc, 3, "id-1", {"currentTime": TIME}) == [LateAnswer("a", "Heartbeat")]
    assert isinstance(receive(rpc, 3, "id-1", {"currentTime": TIME})[0], FrameIgnored)
    assert receive(rpc, 3, "id-2", {"currentTime": TIME}) == [
        CallAnswered("b", "Heartbeat", {"currentTime": TIME})
    ]
    assert receive(rpc, 3, "id-2", {"currentTime": TIME}) == [
        FrameIgnored("Heartbeat was answered a second time")
    ]
    assert isinstance(receive(rpc, 3, "elsewhere", {})[0], FrameIgnored)
    assert isinstance(receive(rpc, 4, ["no", "id"], {})[0], FrameIgnored)
    assert isinstance(receive(rpc, 3)[0], FrameIgnored)


def test_a_retry_may_use_the_id_of_its_first_attempt() -> None:
    """2025-04 errata: the answer to either attempt answers the one that waits."""
    rpc = an_rpc()
    rpc.call("a", "Heartbeat", {}, 0.0, message_id="same")
    rpc.elapsed(30.0)
    rpc.call("a again", "Heartbeat", {}, 40.0, message_id="same")

    assert receive(rpc, 3, "same", {"currentTime": TIME}) == [
        CallAnswered("a again", "Heartbeat", {"currentTime": TIME})
    ]


@pytest.mark.parametrize(
    ("rest", "code", "description", "details"),
    [
        (["InternalError", "oh", {"a": 1}], "InternalError", "oh", {"a": 1}),
        (["InternalError", "oh"], "InternalError", "oh", {}),
        (["InternalError", {"a": 1}], "InternalError", "", {"a": 1}),
        (["MadeUpError", None, None], "MadeUpError", "", {}),
        ([17, 18, "text"], "17", "18", {"details": "text"}),
        ([["InternalError"], ["oh"], [1]], "GenericError", "", {"details": [1]}),
        ([], "GenericError", "", {}),
    ],
)
def test_an_error_may_have_any_shape(rest: Any, code: Any, description: Any, details: Any) -> None:
    """Four or five elements, of any types: the call has failed, and that is what matters."""
    rpc = an_rpc()
    rpc.call("a", "Heartbeat", {}, 0.0)

    assert receive(rpc, 4, "id-1", *rest) == [CallFailed("a", "Heartbeat", code, description, details)]


@pytest.mark.parametrize("rest", [[], [None], [{}]])
def test_a_null_or_missing_result_is_an_empty_one(rest: Any) -> None:
    """Empty payloads come in three notations."""
    rpc = an_rpc()
    rpc.call(
        "a", "StatusNotification", {"connectorId": 0, "errorCode": "NoError", "status": "Available"}, 0.0
    )

    assert receive(rpc, 3, "id-1", *rest) == [CallAnswered("a", "StatusNotification", {})]


def test_a_result_is_read_as_it_was_meant() -> None:
    """Leniency applies to answers, and what was tolerated is told."""
    rpc = an_rpc()
    rpc.call("a", "Heartbeat", {}, 0.0)

    [event] = receive(rpc, 3, "id-1", {"currentTime": TIME, "vendor": 1})
    assert event == CallAnswered(
        "a", "Heartbeat", {"currentTime": TIME}, ("/vendor is unknown and was dropped",)
    )


@pytest.mark.parametrize(
    ("version", "code"), [("ocpp1.6", "FormationViolation"), ("ocpp2.0.1", "FormatViolation")]
)
def test_a_result_that_cannot_be_understood_fails_the_call_locally(version: Any, code: Any) -> None:
    """The failure carries the version's spelling, and says that it is our own verdict."""
    rpc = an_rpc(version)
    rpc.call("a", "Heartbeat", {}, 0.0)
    rpc.outgoing()

    assert receive(rpc, 3, "id-1", "text") == [
        CallFailed("a", "Heartbeat", code, "The payload is not an object", {}, local=True)
    ]
    rpc.call("b", "Heartbeat", {}, 0.0)
    rpc.outgoing()
    [event] = receive(rpc, 3, "id-2", {})
    assert event.code.startswith("Occur")
    assert event.local
    assert rpc.outgoing() == []


def test_a_lost_connection_ends_every_call() -> None:
    """In flight or waiting: each ends in one event, and nothing of the old connection reaches the new one."""
    rpc = an_rpc()
    rpc.call("a", "Heartbeat", {}, 0.0)
    rpc.call("b", "Heartbeat", {}, 0.0)
    rpc.call("c", "Authorize", {"idTag": "x"}, 0.0, urgent=True)
    receive(rpc, 2, "1", "ClearCache", {})

    assert rpc.lost() == [
        CallLost("a", "Heartbeat", was_sent=True),
        CallLost("c", "Authorize", was_sent=False),
        CallLost("b", "Heartbeat", was_sent=False),
    ]
    assert rpc.idle
    assert rpc.deadline() is None
    assert isinstance(rpc.reply("1", {"status": "Accepted"}), FrameIgnored)
    assert rpc.outgoing() == []
    assert receive(rpc, 2, "1", "ClearCache", {}) == [CallReceived("1", "ClearCache", {})]


# Their calls


@pytest.mark.parametrize("message_id", ["x", "x" * 300, "", 7, 7.0, True, None, -1, 2**80, 1.5])
def test_any_scalar_is_a_message_id_and_goes_back_as_it_came(message_id: Any) -> None:
    """Type and value are echoed."""
    rpc = an_rpc()
    [event] = receive(rpc, 2, message_id, "ClearCache", {})

    assert event == CallReceived(message_id, "ClearCache", {})
    assert rpc.reply(message_id, {"status": "Accepted"}) is None
    [frame] = rpc.outgoing()
    assert frame.decode() == json.dumps([3, message_id, {"status": "Accepted"}], separators=(",", ":"))


def test_ids_that_only_python_holds_equal_are_different_calls() -> None:
    """1, 1.0, true and "1" are four ids."""
    rpc = an_rpc()
    for message_id in (1, 1.0, True, "1"):
        assert isinstance(receive(rpc, 2, message_id, "ClearCache", {})[0], CallReceived)
    for message_id in ("1", True, 1.0, 1):
        assert rpc.reply(message_id, {"status": "Accepted"}) is None

    assert [repr(frame[1]) for frame in sent(rpc)] == ["1", "1.0", "True", "'1'"]


@pytest.mark.parametrize("rest", [[], [None], [{}]])
def test_a_null_or_missing_payload_is_an_empty_one(rest: Any) -> None:
    """As with results."""
    assert receive(an_rpc(), 2, "x", "ClearCache", *rest) == [CallReceived("x", "ClearCache", {})]


@pytest.mark.parametrize(
    ("version", "frame", "code"),
    [
        ("ocpp1.6", [2, "x", "NoSuchAction", {}], "NotImplemented"),
        ("ocpp1.6", [2, "x", "GetDiagnostics", {}], "NotSupported"),
        ("ocpp1.6", [2, "x", "Reset", {}], "OccurenceConstraintViolation"),
        ("ocpp1.6", [2, "x", "Reset", {"type": 1}], "TypeConstraintViolation"),
        ("ocpp1.6", [2, "x", "Reset", {"type": "Warm"}], "PropertyConstraintViolation"),
        ("ocpp1.6", [2, "x", "Reset", ["Hard"]], "FormationViolation"),
        ("ocpp1.6", [2, "x"], "FormationViolation"),
        ("ocpp1.6", [2, "x", 5, {}], "FormationViolation"),
        ("ocpp2.0.1", [2, "x", "NoSuchAction", {}], "NotImplemented"),
        ("ocpp2.0.1", [2, "x", "GetReport", {}], "NotSupported"),
        ("ocpp2.0.1", [2, "x", "Reset", {}], "OccurrenceConstraintViolation"),
        ("ocpp2.0.1", [2, "x", "Reset", {"type": 1}], "TypeConstraintViolation"),
        ("ocpp2.0.1", [2, "x", "Reset", {"type": "Warm"}], "PropertyConstraintViolation"),
        ("ocpp2.0.1", [2, "x", "Reset", "Hard"], "FormatViolation"),
        ("ocpp2.0.1", [2, "x"], "FormatViolation"),
        ("ocpp2.0.1", [9, "x", "Reset", {}], "MessageTypeNotSupported"),
        ("ocpp2.0.1", [6, "x", "Reset", {}], "MessageTypeNotSupported"),
        ("ocpp2.1", [7, "x"], "MessageTypeNotSupported"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_code_of_the_version(
    version: Any, frame: Any, code: Any
) -> None:
    """A CALLERROR of five elements goes out at once, under the id of the call."""
    rpc = an_rpc(version)
    [event] = receive(rpc, *frame)

    assert isinstance(event, CallRefused)
    [[kind, message_id, sent_code, description, details]] = sent(rpc)
    assert (kind, message_id, sent_code, details) == (4, "x", code, {})
    assert 0 < len(description) <= 255
    assert (event.code, event.description) == (code, description)


@pytest.mark.parametrize(
    "text", [b"", b"not json", b"{}", b"[]", b"null", b"17", b"\xff\xfe", b"[2]", b"[2,[1],2]", b"[" * 5000]
)
def test_a_frame_without_a_readable_id_is_refused_in_2_0_1_and_ignored_in_1_6(text: Any) -> None:
    """2.0.1 has the id "-1" for such a case, 1.6 has nothing."""
    rpc = an_rpc("ocpp1.6")
    assert isinstance(rpc.receive(text, 0.0)[0], FrameIgnored)
    assert rpc.outgoing() == []

    rpc = an_rpc("ocpp2.0.1")
    assert isinstance(rpc.receive(text, 0.0)[0], CallRefused)
    [[kind, message_id, code, _, _]] = sent(rpc)
    assert (kind, message_id, code) == (4, "-1", "RpcFrameworkError")


def test_an_unknown_message_type_is_ignored_in_1_6() -> None:
    """OCPP-J 1.6 §4.1.3."""
    rpc = an_rpc()

    assert isinstance(receive(rpc, 5, "x", "Reset", {})[0], FrameIgnored)
    assert rpc.outgoing() == []


def test_a_byte_order_mark_and_a_trailing_nul_do_no_harm() -> None:
    """Text as C programs and old .NET stacks send it, also as str."""
    for text in (
        b'\xef\xbb\xbf[2,"x","ClearCache",{}]',
        b'[2,"x","ClearCache",{}]\x00',
        '\ufeff[2,"x","ClearCache",{}]\r\n\0',
    ):
        assert an_rpc().receive(text, 0.0) == [CallReceived("x", "ClearCache", {})]


def test_answers_go_out_in_the_order_in_which_the_calls_came() -> None:
    """A quick answer waits for a slow one before it; a refusal does so too."""
    rpc = an_rpc()
    receive(rpc, 2, "slow", "UnlockConnector", {"connectorId": 1})
    receive(rpc, 2, "quick", "ClearCache", {})
    receive(rpc, 2, "unknown", "NoSuchAction", {})
    rpc.reply("quick", {"status": "Accepted"})
    assert rpc.outgoing() == []

    rpc.reply("slow", {"status": "Unlocked"})
    assert [frame[1] for frame in sent(rpc)] == ["slow", "quick", "unknown"]


def test_a_reply_of_ours_that_is_not_valid_becomes_an_internal_error() -> None:
    """The CSMS gets an answer in any case, and the fault is reported."""
    rpc = an_rpc()
    receive(rpc, 2, "x", "ClearCache", {})
    event = rpc.reply("x", {"status": "Perhaps"})

    assert isinstance(event, ReplyInvalid)
    assert "/status" in event.reason
    [[kind, message_id, code, _, _]] = sent(rpc)
    assert (kind, message_id, code) == (4, "x", "InternalError")
    assert isinstance(rpc.reply("x", {"status": "Accepted"}), FrameIgnored)


def test_a_call_may_be_answered_with_an_error() -> None:
    """The dialect's own refusals are spelt for the version, and cut to 255 characters."""
    rpc = an_rpc()
    receive(rpc, 2, "x", "ClearCache", {})

    assert rpc.reply_error("x", Fault.OCCURRENCE, "d" * 300, {"a": 1}) is None
    assert sent(rpc) == [[4, "x", "OccurenceConstraintViolation", "d" * 255, {"a": 1}]]
    assert isinstance(rpc.reply_error("x", Fault.GENERIC), FrameIgnored)


def test_a_call_that_nobody_answers_is_answered_with_an_internal_error() -> None:
    """No call stays without answer, and none holds up those behind it for ever."""
    rpc = an_rpc(reply_timeout_s=60.0)
    receive(rpc, 2, "forgotten", "ClearCache", {}, now=5.0)
    receive(rpc, 2, "behind", "ClearCache", {}, now=6.0)
    rpc.reply("behind", {"status": "Accepted"})

    assert rpc.deadline() == 65.0
    [event] = rpc.elapsed(65.0)
    assert isinstance(event, ReplyInvalid)
    assert [frame[:2] for frame in sent(rpc)] == [[4, "forgotten"], [3, "behind"]]
    assert rpc.deadline() is None


def test_an_exact_duplicate_gets_the_same_answer_and_is_not_handled_twice() -> None:
    """While it is open nothing happens; afterwards the identical frame goes out again."""
    rpc = an_rpc()
    receive(rpc, 2, "x", "ClearCache", {})
    assert isinstance(receive(rpc, 2, "x", "ClearCache", {})[0], FrameIgnored)
    rpc.reply("x", {"status": "Accepted"})
    first = rpc.outgoing()

    assert isinstance(receive(rpc, 2, "x", "ClearCache", {})[0], FrameIgnored)
    assert rpc.outgoing() == first


def test_an_id_that_is_used_again_for_something_else_is_a_new_call() -> None:
    """Backends that count from 1, or have one id for all, are served; only an open call keeps its id."""
    rpc = an_rpc()
    receive(rpc, 2, "1", "ClearCache", {})
    assert isinstance(receive(rpc, 2, "1", "Reset", {"type": "Soft"})[0], CallRefused)
    rpc.reply("1", {"status": "Accepted"})
    assert receive(rpc, 2, "1", "Reset", {"type": "Soft"}) == [CallReceived("1", "Reset", {"type": "Soft"})]
    rpc.reply("1", {"status": "Accepted"})

    assert receive(rpc, 2, "1", "Reset", {"type": "Soft"}, now=61.0) == [
        CallReceived("1", "Reset", {"type": "Soft"})
    ]


def test_remembering_answers_is_bounded_and_can_be_switched_off() -> None:
    """The oldest answer is forgotten first; with 0 none is remembered."""
    for remembered, expected in ((2, FrameIgnored), (1, CallReceived), (0, CallReceived)):
        rpc = an_rpc(remembered_answers=remembered)
        for message_id in ("a", "b"):
            receive(rpc, 2, message_id, "ClearCache", {})
            rpc.reply(message_id, {"status": "Accepted"})
        assert isinstance(receive(rpc, 2, "a", "ClearCache", {})[0], expected)


def test_a_flood_of_open_calls_is_bounded() -> None:
    """Beyond 256 open calls each further one is refused at once."""
    rpc = an_rpc()
    events = [receive(rpc, 2, n, "ClearCache", {})[0] for n in range(300)]

    assert Counter(type(event) for event in events) == {CallReceived: 256, CallRefused: 44}
    assert len(rpc.outgoing()) == 44


def test_while_muted_their_calls_are_neither_delivered_nor_answered_but_ours_are() -> None:
    """1.6 §4.2, registration Rejected: silence, except for the next BootNotification."""
    rpc = an_rpc()
    receive(rpc, 2, "open", "ClearCache", {})
    rpc.muted = True
    rpc.reply("open", {"status": "Accepted"})
    assert isinstance(receive(rpc, 2, "x", "ClearCache", {})[0], FrameIgnored)
    assert isinstance(receive(rpc, 2, "y", "NoSuchAction", {})[0], FrameIgnored)
    assert rpc.outgoing() == []

    rpc.call("a", "Heartbeat", {}, 0.0)
    rpc.outgoing()
    assert receive(rpc, 3, "id-1", {"currentTime": TIME}) == [
        CallAnswered("a", "Heartbeat", {"currentTime": TIME})
    ]
    rpc.muted = False
    assert isinstance(receive(rpc, 2, "x", "ClearCache", {})[0], CallReceived)


# 2.1


def test_2_1_sends_without_answer_in_both_directions() -> None:
    """A SEND goes out beside a CALL in flight; one that comes in is delivered and never answered."""
    stream = {"id": 1, "pending": 0, "basetime": TIME, "data": [{"t": 0, "v": "1"}]}
    rpc = an_rpc("ocpp2.1")
    rpc.call("a", "Heartbeat", {}, 0.0)
    rpc.send("NotifyPeriodicEventStream", stream)
    assert [frame[0] for frame in sent(rpc)] == [2, 6]
    with pytest.raises(RequestInvalid):
        rpc.send("NotifyPeriodicEventStream", {})

    assert receive(rpc, 6, "x", "NotifyPeriodicEventStream", stream) == [
        SendReceived("NotifyPeriodicEventStream", stream)
    ]
    for frame in ([6, "x", "NotifyPeriodicEventStream", {}], [6, "x", "Nothing", {}], [6, "x"]):
        assert isinstance(receive(rpc, *frame)[0], FrameIgnored)
    assert rpc.outgoing() == []


def test_2_1_tells_the_csms_that_its_result_was_faulty_and_hears_the_same() -> None:
    """CALLRESULTERROR in both directions."""
    rpc = an_rpc("ocpp2.1")
    rpc.call("a", "Heartbeat", {}, 0.0)
    rpc.outgoing()
    receive(rpc, 3, "id-1", {"currentTime": 5})
    [[kind, message_id, code, _, _]] = sent(rpc)
    assert (kind, message_id, code) == (5, "id-1", "TypeConstraintViolation")

    assert receive(rpc, 5, "x", "FormatViolation", "bad", {"a": 1}) == [
        ResultRefused("x", "FormatViolation", "bad", {"a": 1})
    ]


# Anything at all

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab1é", max_size=4)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=6,
)
ACTIONS = st.sampled_from(["ClearCache", "Reset", "GetDiagnostics", "DataTransfer", "Nonsense"])
FRAMES = st.lists(VALUES, max_size=6) | st.tuples(st.integers(0, 9), VALUES, ACTIONS | VALUES, VALUES, VALUES)
VERSIONS = st.sampled_from(["ocpp1.6", "ocpp2.0.1", "ocpp2.1"])


@given(version=VERSIONS, text=st.binary(max_size=40) | st.text(max_size=40) | FRAMES.map(json.dumps))
def test_nothing_that_arrives_can_raise(version: Any, text: Any) -> None:
    """Bytes, text, JSON and frames of any shape end in events, and what goes out is a frame."""
    rpc = an_rpc(version)
    rpc.call("a", "Heartbeat", {}, 0.0)
    assert rpc.receive(text, 0.0)
    for frame in sent(rpc):
        assert frame[0] in (2, 3, 4, 5)


@given(
    version=VERSIONS, ids=st.lists(SCALARS, max_size=6), actions=st.lists(ACTIONS, max_size=6), data=st.data()
)
@settings(max_examples=60)
def test_every_well_formed_call_gets_exactly_one_answer(
    version: Any, ids: Any, actions: Any, data: Any
) -> None:
    """Whatever is asked, in whatever order it is answered: as many answers as calls, under the same ids."""
    rpc = an_rpc(version, remembered_answers=0)
    open_calls, asked = [], []
    for message_id, action in zip(ids, actions, strict=False):
        payload = data.draw(st.dictionaries(st.sampled_from(["type", "vendorId"]), SCALARS))
        [event] = receive(rpc, 2, message_id, action, payload)
        if isinstance(event, FrameIgnored):  # an exact duplicate of a call that is still open
            continue
        asked.append(json.dumps(message_id))
        if isinstance(event, CallReceived):
            open_calls.append(event)
    for event in data.draw(st.permutations(open_calls)):
        if data.draw(st.booleans()):
            rpc.reply(event.message_id, data.draw(st.sampled_from([{"status": "Accepted"}, {"wrong": 1}])))
        else:
            rpc.reply_error(event.message_id, Fault.GENERIC)

    assert Counter(json.dumps(frame[1]) for frame in sent(rpc)) == Counter(asked)
    assert rpc.deadline() is None


class OneCallInFlight(RuleBasedStateMachine):
    """In any interleaving: at most one CALL in flight, and each call ends in exactly one event."""

    @initialize(version=VERSIONS)
    def start(self, version: Any) -> None:
        self.rpc = an_rpc(version, timeout_s=10.0, queue_limit=5)
        self.now = 0.0
        self.refs = itertools.count()
        self.open: set[object] = set()
        self.on_the_wire: list[str] = []
        self.answered: list[str] = []

    def note(self, events: Any) -> None:
        for event in events:
            if isinstance(event, CallAnswered | CallFailed | CallTimedOut | CallLost):
                self.open.remove(event.ref)
                if not (isinstance(event, CallLost) and not event.was_sent):
                    self.answered.append(self.on_the_wire.pop())
        for frame in sent(self.rpc):
            if frame[0] == 2:
                self.on_the_wire.append(frame[1])

    @rule(urgent=st.booleans())
    def call(self, urgent: Any) -> None:
        ref = next(self.refs)
        try:
            self.rpc.call(ref, "Heartbeat", {}, self.now, urgent=urgent)
        except QueueFull:
            return
        self.open.add(ref)
        self.note([])

    @rule(payload=st.sampled_from([{"currentTime": TIME}, {}, None, 5]))
    def answer(self, payload: Any) -> None:
        if self.on_the_wire:
            self.note(receive(self.rpc, 3, self.on_the_wire[0], payload, now=self.now))

    @rule()
    def fail(self) -> None:
        if self.on_the_wire:
            self.note(receive(self.rpc, 4, self.on_the_wire[0], "GenericError", now=self.now))

    @rule()
    def answer_again(self) -> None:
        if self.answered:
            self.note(receive(self.rpc, 3, self.answered[-1], {"currentTime": TIME}, now=self.now))

    @rule(action=ACTIONS)
    def be_asked(self, action: Any) -> None:
        self.note(receive(self.rpc, 2, "theirs", action, {}, now=self.now))

    @rule(seconds=st.floats(0, 12))
    def wait(self, seconds: Any) -> None:
        self.now += seconds
        self.note(self.rpc.elapsed(self.now))

    @rule()
    def lose(self) -> None:
        self.note(self.rpc.lost())
        assert not self.open

    @invariant()
    def one_in_flight(self) -> None:
        assert len(self.on_the_wire) <= 1
        assert self.rpc.idle == (not self.open)
        assert bool(self.on_the_wire) == bool(self.open)


TestOneCallInFlight = OneCallInFlight.TestCase
