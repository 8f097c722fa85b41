"""What waits to be told: in order, as often as configured, over restarts, and honest about being late."""

import pytest

from gateway.station import effects
from gateway.station.model import Policy, TxPoint
from gateway.station.reports import Failed
from tests.station.rig import BOTH, CARD, NOON, OTHER, REFUSED, TIMED_OUT, Rig, text


def starts(rig: Rig) -> int:
    return sum(s.startswith(("Start ", "Started ")) for s in rig.story())


ATTEMPTS = {
    "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": "3",
    "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]": "60",
}


@BOTH
@pytest.mark.parametrize("failure", [REFUSED, TIMED_OUT])
def test_a_transaction_message_is_tried_as_often_and_as_slowly_as_configured(
    version: str, failure: Failed
) -> None:
    """# 1.6 §3.7.1, E13.FR.01..04, [TC_E_41], [TC_E_50]: waits of interval × attempts made; then it is dropped."""
    rig = Rig(version, variables=ATTEMPTS)
    rig.boot()
    action = "StartTransaction" if version == "1.6" else "TransactionEvent"
    rig.answers[action] = failure
    rig.plug()
    rig.card()
    assert 1 == starts(rig)

    rig.after(59)
    assert 0 == starts(rig)
    rig.after(1)
    assert 1 == starts(rig)
    rig.after(119)
    assert 0 == starts(rig)
    del rig.answers[action]
    rig.answers[action] = lambda p: failure if p.get("eventType", "Started") == "Started" else {}
    rig.after(1)

    assert [action] == [a for a, _ in rig.sent()][:1]
    assert rig.station.state.outbox.transactions.attempts == 0


@BOTH
def test_a_message_given_up_is_kept_for_the_audit(version: str) -> None:
    """Giving up is loud."""
    rig = Rig(version, variables={**ATTEMPTS, "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": "1"})
    rig.boot()
    rig.answers["StartTransaction" if version == "1.6" else "TransactionEvent"] = REFUSED
    rig.plug()
    rig.card()

    [first, *_] = rig.done(effects.Quarantine)

    assert "InternalError" in first.detail


@BOTH
def test_a_lost_link_costs_no_attempt(version: str) -> None:
    """# 1.6 §3.7.1: only a failure to process counts."""
    rig = Rig(version, variables={**ATTEMPTS, "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": "1"})
    rig.boot()
    action = "StartTransaction" if version == "1.6" else "TransactionEvent"
    rig.answers[action] = None
    rig.plug()
    rig.card()
    for _ in range(3):
        rig.disconnect()
        rig.after(1)
        rig.connect()
    del rig.answers[action]
    rig.disconnect()
    rig.forget()

    rig.connect()

    assert [s for s in rig.story() if s.startswith(("Start 1", "Started "))]


@BOTH
def test_transaction_messages_keep_their_order_and_wait_for_each_other(version: str) -> None:
    """# 1.6 §3.7.1, E04: the next one waits for the answer; urgent ones pass."""
    rig = Rig(version)
    rig.boot()
    action = "StartTransaction" if version == "1.6" else "TransactionEvent"
    rig.answers[action] = None
    rig.plug()
    rig.card()
    rig.charge(120)
    assert 1 == len(rig.payloads(action))
    assert 0 == len(rig.payloads("MeterValues"))
    rig.after(300)
    assert rig.payloads("Heartbeat")

    del rig.answers[action]
    rig.answer(action)

    times = [
        p.get("timestamp") or p["meterValue"][0]["timestamp"] for a, p in rig.sent(action, "MeterValues")
    ]
    assert sorted(times) == times
    assert len(times) > 3


@BOTH
def test_two_transactions_share_the_queue_in_order_of_time(version: str) -> None:
    """# 1.6 §3.7.1: one queue a station, chronological."""
    rig = Rig(version, connectors=2, variables={"AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"})
    rig.boot()
    rig.disconnect()
    for n in (1, 2):
        rig.plug(n)
        rig.card(CARD if n == 1 else OTHER, n)
    rig.card(CARD, 1)
    rig.card(OTHER, 2)

    rig.connect()

    moments = [p["timestamp"] for a, p in rig.sent("StartTransaction", "StopTransaction", "TransactionEvent")]
    assert sorted(moments) == moments


def test_201_what_happened_offline_says_so() -> None:
    """# E11.FR.07, [TC_E_40], [TC_E_43]: also what was still queued when the link dropped."""
    rig = Rig("2.0.1", policy=Policy(stop_points=frozenset({TxPoint.AUTHORIZED})))
    rig.boot()
    rig.session()
    rig.answers["TransactionEvent"] = None
    rig.charge(60)
    rig.disconnect()
    rig.charge(60)
    del rig.answers["TransactionEvent"]
    rig.connect()
    rig.charge(60)

    told = [(e["triggerReason"], e.get("offline", False)) for e in rig.payloads("TransactionEvent")]

    assert [
        ("MeterValuePeriodic", False),
        *[("MeterValuePeriodic", True)] * 2,
        ("MeterValuePeriodic", False),
    ] == told


def test_16_offline_samples_keep_their_spacing_and_come_before_new_ones() -> None:
    """# [TC_036]."""
    rig = Rig("1.6")
    rig.boot()
    rig.session()
    rig.disconnect()
    rig.charge(180)
    rig.connect()
    rig.charge(60)

    moments = [p["meterValue"][0]["timestamp"] for p in rig.payloads("MeterValues")]

    first = NOON + 6
    assert [text(first + 60 * i) for i in range(1, 5)] == moments


def test_16_a_transaction_offline_from_start_to_stop() -> None:
    """# [TC_039]: Start, then Stop, with their own times; only the present status."""
    rig = Rig("1.6", variables={"AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"})
    rig.boot()
    rig.disconnect()
    rig.plug()
    rig.card()
    rig.charge(30)
    rig.card()

    rig.connect()

    story = [s for s in rig.story() if "Meter" not in s]
    assert [f"Start 1 {CARD} 1000", "Stop 77 Local 1030"] == [s for s in story if "Status" not in s]
    assert "Status 1 Finishing" == [s for s in story if "Status" in s][-1]


def test_16_stopped_offline() -> None:
    """# [TC_038]: StopTransaction and Finishing after the reconnect."""
    rig = Rig("1.6")
    rig.boot()
    rig.session()
    rig.disconnect()
    rig.card()
    rig.after(30)

    rig.connect()

    assert {"Stop 77 Local 1000", "Status 1 Finishing"} == set(rig.story())


@BOTH
def test_the_queue_survives_a_restart_and_is_told_once(version: str) -> None:
    """Law 3: what was stored is told, in order, after the boot."""
    rig = Rig(version, variables={"AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"})
    rig.boot()
    rig.disconnect()
    rig.plug()
    rig.card()
    rig.charge(60)
    rig.card()

    rig.restart()

    story = [s for s in rig.story() if s.startswith(("Start", "Stop", "Ended", "Updated", "Meter"))]
    assert story[0].startswith("Start")
    assert story[-1].startswith(("Stop 77 Local", "Ended StopAuthorized"))
    assert 1 == sum(s.startswith(("Start ", "Started")) for s in story)
    rig.restart()
    assert not [s for s in rig.story() if s.startswith(("Start ", "Started", "Stop", "Ended"))]


@BOTH
def test_a_restart_in_the_middle_of_a_transaction_goes_on_with_it(version: str) -> None:
    """# [TC_032_2]: resumed, Charging, and ended by its own card later."""
    rig = Rig(version)
    rig.boot()
    rig.session()
    before = rig.transaction()

    rig.restart()
    assert before == rig.transaction()
    assert rig.setpoint().energize
    rig.forget()
    rig.card()

    story = rig.story()
    assert any(s.startswith(("Stop 77 Local", "Ended StopAuthorized")) for s in story)
    assert not [s for s in story if s.startswith("Authorize")]


def test_16_the_second_call_of_a_start_has_attempts_of_its_own() -> None:
    """# 1.6 §3.7.1: failures of StartTransaction do not count against the MeterValues that follow it."""
    rig = Rig("1.6", variables=ATTEMPTS)
    rig.boot()
    rig.answers["StartTransaction"] = REFUSED
    rig.session()
    rig.after(60)  # the second of three attempts
    del rig.answers["StartTransaction"]
    rig.answers["MeterValues"] = REFUSED
    rig.after(120)
    rig.forget()

    rig.after(60)

    assert "Meter 1 Transaction.Begin" == rig.story()[0]
