"""What waits for a slow broker: each register once, in its place, and what switches before what tells."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt import backlog
from gateway.mqtt.backlog import Backlog, Waiting


def message(topic: str, number: int) -> Waiting:
    return Waiting(topic, str(number).encode(), 1, False, None, None, None)


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.booleans(), st.booleans())),
)
def test_nothing_is_lost_but_what_a_newer_one_replaces(given_: list[tuple[str, bool, bool]]) -> None:
    """Urgent ones first; each lane in the order in which a topic, or an event, first had to wait."""
    waiting = Backlog()
    lanes: dict[bool, dict[object, Waiting]] = {True: {}, False: {}}
    for number, (topic, register, urgent) in enumerate(given_):
        assert waiting.add(message(topic, number), 0.0, register=register, urgent=urgent)
        lanes[urgent][topic if register else number] = message(topic, number)

    taken = [waiting.take(0.0) for _ in range(len(waiting))]

    assert [*lanes[True].values(), *lanes[False].values()] == taken
    assert waiting.take(0.0) is None


def test_there_is_an_end_to_it() -> None:
    """A register that waits already is still brought up to date."""
    waiting = Backlog()
    assert waiting.add(message("state", 0), 0.0, register=True, urgent=False)
    for number in range(backlog.MOST - 1):
        assert waiting.add(message("event", number), 0.0, register=False, urgent=False)

    assert not waiting.add(message("event", -1), 0.0, register=False, urgent=False)
    assert not waiting.add(message("other", -1), 0.0, register=True, urgent=True)
    assert waiting.add(message("state", 1), 0.0, register=True, urgent=False)
    assert message("state", 1) == waiting.take(0.0)


def test_what_has_expired_meanwhile_is_not_sent() -> None:
    """A command that comes too late would not be carried out anyhow."""
    waiting = Backlog()
    assert waiting.add(message("command", 1)._replace(expiry_s=30), 100.0, register=False, urgent=True)
    assert waiting.add(message("setpoint", 2), 100.0, register=True, urgent=True)

    assert message("setpoint", 2) == waiting.take(130.0)
    assert waiting.take(130.0) is None
