"""Whether the gateway does its work, told over HTTP by a thread that a stuck event loop cannot silence."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import msgspec
import structlog
from msgspec import Struct
from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from gateway import __version__

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from gateway.counters import Counters

_log = structlog.get_logger(__name__)

ANSWER_WITHIN_S: Final = 2.0
"""An event loop that does not come round in this time is stuck."""


class Condition(Struct, frozen=True, kw_only=True):
    """How the gateway is, at one moment."""

    broker_connected: bool
    stations: int
    sessions: int
    """Stations whose CSMS is connected."""
    queued: int
    """Reports that wait to be told, over all stations."""
    store_error: str | None = None
    """Why the store takes nothing now."""
    last_errors: Mapping[str, str] = {}
    """Station → the last thing that went wrong with it, while that still matters."""

    @property
    def troubles(self) -> list[str]:
        """Why it is not healthy. A CSMS that is away is none: what waits for it is safe."""
        found = [] if self.broker_connected else ["The MQTT broker is not connected: no device can be heard."]
        return found if self.store_error is None else [*found, self.store_error]


class CommitTimes:
    """How long commits took; `observe` costs less than a microsecond and belongs to the event loop."""

    BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        """Nothing was committed yet."""
        self.counts = [0] * (len(self.BOUNDS_S) + 1)
        self.total_s = 0.0

    def observe(self, seconds: float) -> None:
        """One commit took so long."""
        self.counts[bisect_left(self.BOUNDS_S, seconds)] += 1
        self.total_s += seconds


class HealthPortTaken(Exception):
    """The port cannot be opened; the sentence says why and what to do."""


class _Seen(Struct, frozen=True, kw_only=True):
    """Everything that is told, as it was at one moment."""

    condition: Condition
    frames: dict[tuple[str, str, str], int]
    messages: dict[str, int]
    problems: dict[str, int]
    published: int
    quarantined: int
    commits: list[int]
    commit_total_s: float
    tasks: int

    @classmethod
    def now(cls, condition: Condition, counters: Counters, commits: CommitTimes) -> Self:
        """Copies, for another thread."""
        return cls(
            condition=condition,
            frames=dict(counters.frames),
            messages=dict(counters.messages),
            problems=dict(counters.problems),
            published=counters.published,
            quarantined=counters.quarantined,
            commits=list(commits.counts),
            commit_total_s=commits.total_s,
            tasks=len(asyncio.all_tasks()),
        )


class Health:
    """`/health`: 200 or 503 with JSON. `/metrics`: Prometheus.

    `look` is called on the event loop that called `start`, once per question; a loop that does not come round
    is unhealthy. Counters are read there too.
    """

    def __init__(self, counters: Counters, commits: CommitTimes, look: Callable[[], Condition]) -> None:
        """Nothing listens before `start`."""
        self._counters = counters
        self._commits = commits
        self._look = look
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def start(self, host: str, port: int) -> int:
        """Listen, and return the port, which 0 leaves to the system. Raises HealthPortTaken."""
        self._loop = asyncio.get_running_loop()
        try:
            self._server = _listening(host, port)
        except OSError as error:
            raise HealthPortTaken(
                f"The health port {host}:{port} cannot be opened: {error.strerror or error}. "
                "Choose another health.port or health.host, or end what uses it."
            ) from error
        self._server.set_app(self._application(make_wsgi_app(self._registry)))
        self._thread = threading.Thread(target=self._serve, args=(self._server,), name="health", daemon=True)
        self._thread.start()
        return self._server.server_port

    async def stop(self) -> None:
        """Listen no more; a question under way is still answered."""
        server, self._server = self._server, None
        if server is not None and self._thread is not None:
            self._stopping = True
            socket.create_connection((server.server_name, server.server_port), ANSWER_WITHIN_S).close()
            # In a thread of its own, since the question under way may need this loop.
            await asyncio.to_thread(self._thread.join)
            server.server_close()

    @property
    def alive(self) -> bool:
        """Whether the thread still listens."""
        return self._thread is not None and self._thread.is_alive()

    def _serve(self, server: _Server) -> None:
        # Not serve_forever, which looks twice a second whether it should stop.
        while not self._stopping:
            server.handle_request()

    def collect(self) -> Iterator[Metric]:
        """All metrics but those of the process: prometheus_client's collector interface."""
        yield InfoMetricFamily("ocpp_gateway", "The program that runs", {"version": __version__})
        seen = self._seen()
        yield _gauge(
            "healthy", "1 when /health answers 200", seen is not None and not seen.condition.troubles
        )
        if seen is not None:
            yield from _counted(seen)
            yield _commit_histogram(seen)
            yield from _conditions(seen.condition)
            yield _gauge("asyncio_tasks", "Tasks of the event loop that are not done", seen.tasks)

    def _seen(self) -> _Seen | None:
        """From the event loop, where nobody counts meanwhile; None when it does not come round."""
        answer: Future[_Seen] = Future()

        def see() -> None:
            if answer.set_running_or_notify_cancel():
                try:
                    answer.set_result(_Seen.now(self._look(), self._counters, self._commits))
                except BaseException as error:  # noqa: BLE001 - the thread that asked is the one to be told
                    answer.set_exception(error)

        assert self._loop is not None  # noqa: S101 - only a started one is asked
        try:
            self._loop.call_soon_threadsafe(see)
        except RuntimeError:  # The loop is closed.
            return None
        try:
            return answer.result(ANSWER_WITHIN_S)
        except TimeoutError:
            answer.cancel()
            return None

    def _application(self, metrics: WSGIApplication) -> WSGIApplication:
        def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            try:
                match environ["PATH_INFO"]:
                    case "/health":
                        return self._health(start_response)
                    case "/metrics":
                        return metrics(environ, start_response)
                    case _:
                        return _answer(start_response, "404 Not Found", {"error": "Try /health or /metrics."})
            except Exception as error:  # noqa: BLE001 - it is told, and the next question answered
                _log.exception("The health page cannot be made", path=environ["PATH_INFO"])
                return _answer(start_response, "500 Internal Server Error", {"error": type(error).__name__})

        return application

    def _health(self, start_response: StartResponse) -> Iterable[bytes]:
        seen = self._seen()
        if seen is None:
            stuck = f"The event loop did not answer within {ANSWER_WITHIN_S:g} s: it is stuck or stopping."
            return _answer(
                start_response, "503 Service Unavailable", {"status": "error", "troubles": [stuck]}
            )
        troubles = seen.condition.troubles
        status = "503 Service Unavailable" if troubles else "200 OK"
        told = {
            "status": "error" if troubles else "ok",
            "version": __version__,
            "troubles": troubles,
            **msgspec.to_builtins(seen.condition),
        }
        return _answer(start_response, status, told)


class _Handler(WSGIRequestHandler):
    timeout = 2.0
    """One asks at a time, and who is slow must not keep the others waiting for long."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the questions come every few seconds."""


class _Server(WSGIServer):
    request_queue_size = 16

    def server_bind(self) -> None:
        """Without a look-up of the host's own name, which may take long."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]  # never AF_UNIX
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - as in the library
        """Whoever asked and went away will ask again; anything else is a fault of ours."""
        error = sys.exception()
        if not isinstance(error, OSError):
            _log.error("The health page could not be sent", asked_by=client_address, reason=repr(error))


def _listening(host: str, port: int) -> _Server:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    kind = type("_ServerOfFamily", (_Server,), {"address_family": family})
    server: _Server = kind(address[:2], _Handler)
    return server


def _answer(start_response: StartResponse, status: str, told: Mapping[str, object]) -> Iterable[bytes]:
    body = msgspec.json.encode(told)
    start_response(
        status,
        [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
        ],
    )
    return [body]


def _counted(seen: _Seen) -> Iterator[Metric]:
    labels = ("direction", "action", "result")
    yield _counter("frames", "OCPP frames by direction, action and result", labels, seen.frames.items())
    channels = [((channel,), count) for channel, count in seen.messages.items()]
    yield _counter("mqtt_messages", "MQTT messages received, by channel", ("channel",), channels)
    yield _counter("mqtt_published", "MQTT messages published", (), [((), seen.published)])
    problems = [((problem,), count) for problem, count in seen.problems.items()]
    yield _counter("mqtt_problems", "What was wrong with MQTT messages", ("problem",), problems)
    aside = [((), seen.quarantined)]
    yield _counter("quarantined", "Facts and reports put aside since nothing could take them", (), aside)


def _conditions(condition: Condition) -> Iterator[Metric]:
    yield _gauge("stations", "Stations configured", condition.stations)
    yield _gauge("sessions", "Stations whose CSMS is connected", condition.sessions)
    yield _gauge("queued_reports", "Reports that wait to be told to a CSMS", condition.queued)
    yield _gauge("broker_connected", "1 while the MQTT broker is connected", condition.broker_connected)


def _commit_histogram(seen: _Seen) -> Metric:
    bounds = (*map(str, CommitTimes.BOUNDS_S), "+Inf")
    buckets = list(zip(bounds, map(float, accumulate(seen.commits)), strict=True))
    return HistogramMetricFamily(
        "ocpp_gateway_commit_seconds", "Time that a commit took on disk", buckets, seen.commit_total_s
    )


def _counter(
    name: str, text: str, labels: tuple[str, ...], counts: Iterable[tuple[tuple[str, ...], int]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"ocpp_gateway_{name}", text, labels=labels)
    for values, count in counts:
        family.add_metric(values, count)
    return family


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"ocpp_gateway_{name}", text, float(value))
