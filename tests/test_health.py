"""The health page: what it says, when it complains, and that nothing can silence it."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from gateway.counters import Counters
from gateway.health import ANSWER_WITHIN_S, CommitTimes, Condition, Health, HealthPortTaken

WELL = Condition(broker_connected=True, stations=3, sessions=2, queued=7, last_errors={"yard": "HTTP 401"})


class Gateway:
    """What the health page looks at."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.commits = CommitTimes()
        self.condition = WELL
        self.looked_on: list[str] = []
        self.health = Health(self.counters, self.commits, self.look)
        self.port = self.health.start("127.0.0.1", 0)

    def look(self) -> Condition:
        self.looked_on.append(threading.current_thread().name)
        return self.condition

    async def get(self, path: str) -> tuple[int, str]:
        """Ask from another thread, so that the loop can answer."""
        return await asyncio.to_thread(ask, self.port, path)


def ask(port: int, path: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer: HTTPResponse = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    made = Gateway()
    yield made
    await made.health.stop()
    assert not made.health.alive


async def test_a_well_gateway_says_so(gateway: Gateway) -> None:
    """200, with the figures and the last error of each station; read on the event loop."""
    status, body = await gateway.get("/health")
    told: dict[str, Any] = msgspec.json.decode(body)

    assert 200 == status
    assert ("ok", [], 3, 2, 7) == (
        told["status"], told["troubles"], told["stations"], told["sessions"], told["queued"],
    )  # fmt: skip
    assert {"yard": "HTTP 401"} == told["last_errors"]
    assert ["MainThread"] == gateway.looked_on


@pytest.mark.parametrize(
    ("condition", "trouble"),
    [
        (replace(WELL, broker_connected=False), "The MQTT broker is not connected: no device can be heard."),
        (replace(WELL, store_error="The store is full."), "The store is full."),
    ],
)
async def test_a_gateway_that_cannot_work_says_why(
    gateway: Gateway, condition: Condition, trouble: str
) -> None:
    """503 with a sentence."""
    gateway.condition = condition

    status, body = await gateway.get("/health")

    assert 503 == status
    assert [trouble] == msgspec.json.decode(body)["troubles"]


async def test_a_csms_that_is_away_is_no_illness(gateway: Gateway) -> None:
    """What waits for it is safe, and starting the gateway again would help nobody."""
    gateway.condition = replace(WELL, sessions=0)

    status, _ = await gateway.get("/health")

    assert 200 == status


async def test_a_stuck_event_loop_is_noticed(gateway: Gateway) -> None:
    """The thread answers although the loop does not come round."""
    answers: list[tuple[int, str]] = []
    asking = threading.Thread(target=lambda: answers.append(ask(gateway.port, "/health")))
    asking.start()
    asking.join(ANSWER_WITHIN_S + 5)  # This very loop is stuck here.

    ((status, body),) = answers
    assert 503 == status
    assert "stuck" in msgspec.json.decode(body)["troubles"][0]


async def test_a_page_that_cannot_be_made_is_an_error_not_an_end(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """500 and a log line; the next question is answered."""
    good = gateway.look
    gateway.health._look = lambda: 1 // 0  # type: ignore[assignment,return-value]  # what no Condition is

    assert 500 == (await gateway.get("/health"))[0]

    gateway.health._look = good
    assert 200 == (await gateway.get("/health"))[0]
    assert "ZeroDivisionError" in capsys.readouterr().out


async def test_metrics_are_what_was_counted(gateway: Gateway) -> None:
    """Plain integers become Prometheus' counters, commit times a histogram."""
    gateway.counters.frames["sent", "Authorize", "ok"] += 2
    gateway.counters.frames["received", "Reset", "error"] += 1
    gateway.counters.messages["meter"] += 5
    gateway.counters.problems["bad_fields"] += 1
    gateway.counters.quarantined += 4
    for seconds in (0.0005, 0.004, 0.004, 9.0):
        gateway.commits.observe(seconds)

    status, body = await gateway.get("/metrics")
    lines = dict(line.rsplit(" ", 1) for line in body.splitlines() if not line.startswith("#"))

    assert 200 == status
    expected = {
        'ocpp_gateway_frames_total{action="Authorize",direction="sent",result="ok"}': "2.0",
        'ocpp_gateway_frames_total{action="Reset",direction="received",result="error"}': "1.0",
        'ocpp_gateway_mqtt_messages_total{channel="meter"}': "5.0",
        'ocpp_gateway_mqtt_problems_total{problem="bad_fields"}': "1.0",
        "ocpp_gateway_quarantined_total": "4.0",
        'ocpp_gateway_commit_seconds_bucket{le="0.001"}': "1.0",
        'ocpp_gateway_commit_seconds_bucket{le="0.005"}': "3.0",
        'ocpp_gateway_commit_seconds_bucket{le="+Inf"}': "4.0",
        "ocpp_gateway_commit_seconds_count": "4.0",
        "ocpp_gateway_stations": "3.0",
        "ocpp_gateway_sessions": "2.0",
        "ocpp_gateway_queued_reports": "7.0",
        "ocpp_gateway_broker_connected": "1.0",
        "ocpp_gateway_healthy": "1.0",
        "ocpp_gateway_asyncio_tasks": "1.0",
    }
    assert expected == {name: lines.get(name) for name in expected}
    assert "process_resident_memory_bytes" in lines


async def test_counting_goes_on_while_metrics_are_read(gateway: Gateway) -> None:
    """New actions that turn up during a scrape do not break it."""
    reading = asyncio.create_task(gateway.get("/metrics"))
    number = 0
    while not reading.done():
        for _ in range(50):
            number += 1
            gateway.counters.frames["sent", f"Action{number}", "ok"] += 1
        await asyncio.wait({reading}, timeout=0.001)

    assert 200 == (await reading)[0]


async def test_a_client_that_says_nothing_keeps_nobody_waiting_for_long(gateway: Gateway) -> None:
    """A connection without a question is given up after two seconds."""
    with socket.create_connection(("127.0.0.1", gateway.port)):
        began = time.monotonic()
        status, _ = await gateway.get("/health")

    assert 200 == status
    assert time.monotonic() - began < 8


async def test_another_page_is_not_there(gateway: Gateway) -> None:
    """Two pages, and a word about them."""
    assert 404 == (await gateway.get("/"))[0]


async def test_a_taken_port_is_a_sentence(gateway: Gateway) -> None:
    """With the port, the reason and the way out."""
    other = Health(Counters(), CommitTimes(), lambda: WELL)

    with pytest.raises(HealthPortTaken, match=rf"127.0.0.1:{gateway.port} cannot be opened: .*health.port"):
        other.start("127.0.0.1", gateway.port)
    await other.stop()


def commits_of(*seconds: float) -> CommitTimes:
    commits = CommitTimes()
    for one in seconds:
        commits.observe(one)
    return commits


@pytest.mark.parametrize(
    ("made", "counts"),
    [
        (CommitTimes, {}),
        (lambda: commits_of(0.001), {0: 1}),
        (lambda: commits_of(0.0011, 0.0025), {1: 2}),
        (lambda: commits_of(2.5, 2.6), {10: 1, 11: 1}),
    ],
)
def test_a_commit_counts_where_it_belongs(made: Callable[[], CommitTimes], counts: dict[int, int]) -> None:
    """A bound belongs to its own bucket, as Prometheus has it."""
    assert counts == {place: count for place, count in enumerate(made().counts) if count}
