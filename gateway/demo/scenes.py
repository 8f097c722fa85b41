"""The piece: what people and the CSMS do, scene by scene; a scene waits for what must follow, never for time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

from gateway.demo.screen import ConnectorRow, Screen
from gateway.demo.verdict import Record, Visit, differences, of, samples
from gateway.demo_csms import DemoCsms, DemoTransaction
from gateway.simulator.car import Car
from gateway.simulator.connector import Connector
from gateway.simulator.events import CardPresented, Plugged, Unplugged
from gateway.simulator.mqtt_edge import MqttEdge

GARAGE, PLAZA = "garage", "plaza"
"""Names of the stations in demo.yaml: on MQTT, and at the CSMS."""

ANNA, BORIS, CAROL, DORA = "04A11A2B3C4D80", "04B0215A77C180", "carol@app.example", "04D02A19E5F080"
STOLEN = "04DEAD00C0FFEE"

_TIMEOUT_S = 15.0


class Missing(Exception):
    """What should have followed did not; the text says what."""


class Piece:
    """Both stations, the CSMS, and what has been seen of them so far.

    `unhurried` gives those who watch time to read, and more to see.
    """

    def __init__(
        self,
        screen: Screen,
        csms: DemoCsms,
        standing: AsyncExitStack,
        edges: dict[str, MqttEdge],
        *,
        unhurried: bool,
    ) -> None:
        """`standing` is what keeps the CSMS up: closed, it goes away."""
        self._screen, self._csms, self._standing, self._edges = screen, csms, standing, edges
        self._pause_s = 1.5 if unhurried else 0.0
        self._samples = 6 if unhurried else 3
        self._visits: list[Visit] = []
        self._refusals: dict[str, str | None] = {}
        self._first = 0
        screen.rows = self.rows

    def rows(self) -> list[ConnectorRow]:
        """The connectors, now."""
        return [
            self._row(name, each) for name, edge in self._edges.items() for each in edge.charger.connectors
        ]

    async def ready(self) -> None:
        """Wait until each connector is known at the CSMS, and has its setpoint."""
        connectors = sum(len(edge.charger.connectors) for edge in self._edges.values())
        await self._told(
            lambda: len([place for place in self._csms.connector_status if place[1]]) == connectors,
            "the CSMS does not know every connector",
        )
        for name, edge in self._edges.items():
            await self._does(
                name,
                lambda edge=edge: all(each.setpoint for each in edge.charger.connectors),  # type: ignore[misc]
                f"a connector of {name} has no setpoint",
            )

    async def play(self) -> list[str]:
        """All scenes, once; what differs from what should be."""
        self._visits, self._refusals, self._first = [], {}, len(self._csms.transactions)
        await self._card_first()
        await self._two_at_once()
        await self._refused()
        await self._csms_away()
        return self._judge()

    # -------------------------------------------------------------- scenes

    async def _card_first(self) -> None:
        self._screen.headline(
            "Scene 1 · OCPP 1.6 · first the card, then the cable",
            "card → Authorize → plug → StartTransaction → setpoint on → meter → MeterValues → card → off → "
            "StopTransaction",
        )
        begin_wh = self._connector(GARAGE, 1).register_wh
        await self._card(GARAGE, 1, ANNA, "Anna shows her card.")
        await self._pause()
        self._plug(GARAGE, 1, "Anna plugs her car in.")
        await self._charges(GARAGE, 1, ANNA)
        await self._card(GARAGE, 1, ANNA, "Anna shows her card again: enough.")
        await self._ends(GARAGE, 1, ANNA, begin_wh, "Local")

    async def _two_at_once(self) -> None:
        self._screen.headline(
            "Scene 2 · OCPP 2.0.1 · two EVSEs at the same time",
            "plaza/1: first the cable, then the card; plaza/2: the CSMS starts and stops it, as an app would ask it to",
        )
        async with asyncio.TaskGroup() as both:
            both.create_task(self._cable_first(), name="plaza/1")
            both.create_task(self._from_afar(), name="plaza/2")

    async def _cable_first(self) -> None:
        begin_wh = self._connector(PLAZA, 1).register_wh
        self._plug(PLAZA, 1, "Boris plugs his car in.")
        await self._pause()
        await self._card(PLAZA, 1, BORIS, "Boris shows his card.")
        await self._charges(PLAZA, 1, BORIS)
        await self._card(PLAZA, 1, BORIS, "Boris shows his card again.")
        await self._ends(PLAZA, 1, BORIS, begin_wh, "Local")

    async def _from_afar(self) -> None:
        begin_wh = self._connector(PLAZA, 2).register_wh
        self._plug(PLAZA, 2, "Carol plugs her car in.")
        await self._told(
            lambda: self._csms.connector_status.get((PLAZA, 2, 1)) == "Occupied",
            "plaza/2 is plugged, but not Occupied at the CSMS",
        )
        await self._pause()
        self._screen.stage_direction("Carol taps “start” in her app; the CSMS asks the station.")
        token = {"idToken": CAROL, "type": "Central"}
        await self._ask(PLAZA, "RequestStartTransaction", {"idToken": token, "evseId": 2, "remoteStartId": 7})
        await self._charges(PLAZA, 2, CAROL)
        transaction = self._running(PLAZA, 2, CAROL)
        self._screen.stage_direction("Carol taps “stop”.")
        if transaction is None:
            raise Missing("plaza/2: there is no transaction that could be stopped")
        await self._ask(PLAZA, "RequestStopTransaction", {"transactionId": transaction.transaction_id})
        await self._ends(PLAZA, 2, CAROL, begin_wh, "Remote")

    async def _refused(self) -> None:
        self._screen.headline(
            "Scene 3 · OCPP 1.6 · a blocked card",
            "the CSMS says Blocked: the card is refused, nothing is switched on",
        )
        self._csms.blocked_tokens.add(STOLEN)
        self._plug(GARAGE, 1, "Somebody plugs a car in.")
        await self._pause()
        self._refusals[STOLEN] = await self._card(GARAGE, 1, STOLEN, "Somebody shows a stolen card.")
        await self._pause()
        await self._leaves(GARAGE, 1, "Somebody drives away.")

    async def _csms_away(self) -> None:
        self._screen.headline(
            "Scene 4 · OCPP 1.6 · the CSMS goes away and comes back",
            "charging goes on, the card still stops it, and what was missed is told afterwards",
        )
        begin_wh = self._connector(GARAGE, 1).register_wh
        self._plug(GARAGE, 1, "Dora plugs her car in.")
        await self._card(GARAGE, 1, DORA, "Dora shows her card.")
        await self._charges(GARAGE, 1, DORA, count=1)
        self._screen.stage_direction("The CSMS goes down.")
        await self._standing.aclose()
        gone_at = datetime.now(UTC)
        register_wh = self._connector(GARAGE, 1).register_wh
        more_wh = 150.0 * self._samples
        await self._does(
            GARAGE,
            lambda: self._connector(GARAGE, 1).register_wh > register_wh + more_wh,
            "charging does not go on without a CSMS",
        )
        self._tap(GARAGE, 1, DORA, "Dora shows her card again; there is no CSMS.")
        await self._does(
            GARAGE, lambda: self._off(GARAGE, 1), "without a CSMS the card does not stop the charge"
        )
        await self._pause()
        back_at = datetime.now(UTC)
        self._screen.stage_direction("The CSMS is back.")
        await self._standing.enter_async_context(self._csms)
        await self._told(
            lambda: all(map(self._csms.connected, self._edges)), "the stations have not come back to the CSMS"
        )
        await self._ends(GARAGE, 1, DORA, begin_wh, "Local", away=(gone_at, back_at))

    # -------------------------------------------------------------- steps

    def _plug(self, station: str, n: int, sentence: str) -> None:
        self._screen.stage_direction(sentence)
        car = Car(max_current_a=16.0, ramp_a_per_s=16.0, phases=3 if station == GARAGE else n % 2 * 2 + 1)
        self._edges[station].feed(Plugged(n, car))

    def _tap(self, station: str, n: int, token: str, sentence: str) -> None:
        self._screen.stage_direction(sentence)
        self._edges[station].feed(CardPresented(n, token))

    async def _card(self, station: str, n: int, token: str, sentence: str) -> str | None:
        """Show a card, and wait for the beep and the light that answer it."""
        self._tap(station, n, token, sentence)
        charger = self._edges[station].charger
        await self._does(station, lambda: charger.verdict is not None, f"card {token} got no answer")
        return charger.verdict

    async def _charges(self, station: str, n: int, token: str, count: int | None = None) -> None:
        """Wait until the contactor closes and the CSMS has had so many periodic samples, and whole watt-hours."""
        wanted = count or self._samples
        await self._does(
            station, lambda: self._connector(station, n).energized, f"{station}/{n} was not switched on"
        )

        def sampled() -> bool:
            transaction = self._running(station, n, token)
            if transaction is None:
                return False
            return sum(sample.context == "Sample.Periodic" for sample in samples(transaction)) >= wanted

        await self._told(sampled, f"fewer than {wanted} samples of {station}/{n} came to the CSMS")

    async def _ends(
        self,
        station: str,
        n: int,
        token: str,
        begin_wh: float,
        reason: str,
        away: tuple[datetime, datetime] | None = None,
    ) -> None:
        """Wait for off and for the end at the CSMS; the car leaves, and the visit is noted for the verdict."""
        await self._does(station, lambda: self._off(station, n), f"{station}/{n} was not switched off")
        await self._told(
            lambda: any(each.ended for each in self._of(station, n, token)),
            f"the CSMS was not told that the transaction of {station}/{n} has ended",
        )
        await self._pause()
        await self._leaves(station, n, "The car leaves.")
        self._visits.append(
            Visit(
                identity=station,
                evse=n,
                token=token,
                begin_wh=begin_wh,
                end_wh=self._connector(station, n).register_wh,
                reason=reason,
                away=away,
            )
        )

    async def _leaves(self, station: str, n: int, sentence: str) -> None:
        self._screen.stage_direction(sentence)
        self._edges[station].feed(Unplugged(n))
        await self._told(
            lambda: self._status(station, n) == "Available",
            f"{station}/{n} is not Available at the CSMS again",
        )
        await self._pause()

    async def _ask(self, station: str, action: str, payload: dict[str, Any]) -> None:
        answer = await self._csms.call(station, action, payload)
        if answer.get("status") != "Accepted":
            raise Missing(f"{station}: {action} was answered with {answer}, not with Accepted")

    async def _does(self, station: str, fact: Callable[[], bool], otherwise: str) -> None:
        """Wait for what a device does."""
        if not await self._edges[station].until(fact, _TIMEOUT_S):
            raise Missing(f"{otherwise} within {_TIMEOUT_S:g} s")

    async def _told(self, fact: Callable[[], bool], otherwise: str) -> None:
        """Wait for what the CSMS is told."""
        try:
            await self._csms.until(fact, _TIMEOUT_S)
        except TimeoutError:
            raise Missing(f"{otherwise} within {_TIMEOUT_S:g} s") from None

    async def _pause(self) -> None:
        """For those who read along; a piece that is played once has no such need."""
        if self._pause_s:
            await asyncio.sleep(self._pause_s)

    # -------------------------------------------------------------- facts

    def _connector(self, station: str, n: int) -> Connector:
        return self._edges[station].charger.connector(n)

    def _off(self, station: str, n: int) -> bool:
        connector = self._connector(station, n)
        return not connector.energized and connector.setpoint is not None and not connector.setpoint.energize

    def _status(self, station: str, n: int) -> str:
        """Each EVSE here has one connector: 1 of its EVSE in 2.0.1, `n` in 1.6."""
        known = self._csms.connector_status
        return known.get((station, n, 1 if station == PLAZA else n), "–")

    def _played(self) -> Sequence[DemoTransaction]:
        return self._csms.transactions[self._first :]

    def _of(self, station: str, n: int, token: str) -> list[DemoTransaction]:
        wanted = Visit(identity=station, evse=n, token=token, begin_wh=0, end_wh=0, reason="")
        return of(wanted, self._played())

    def _running(self, station: str, n: int, token: str) -> DemoTransaction | None:
        return next((each for each in self._of(station, n, token) if not each.ended), None)

    def _row(self, station: str, connector: Connector) -> ConnectorRow:
        running = [
            str(each.transaction_id)
            for each in self._played()
            if (each.identity, each.evse, each.ended) == (station, connector.n, False)
        ]
        shown = connector.meter()
        return ConnectorRow(
            place=f"{station}/{connector.n}",
            status=self._status(station, connector.n),
            plugged=connector.car is not None,
            limit_a=connector.limit_a if connector.energized else None,
            power_w=shown["power_w"],
            register_wh=shown["energy_import_wh"],
            transaction=running[0] if running else None,
        )

    # -------------------------------------------------------------- the verdict

    def _judge(self) -> list[str]:
        self._screen.headline("Curtain", "does the CSMS know what the devices did?")
        record = Record(
            visits=self._visits,
            transactions=self._played(),
            refused_tokens=[STOLEN],
            refusals=self._refusals,
            status=self._csms.connector_status,
            energized=[row.place for row in self.rows() if row.limit_a is not None],
            problems=[*self._csms.problems, *self._screen.errors],
        )
        found = differences(record)
        for visit in self._visits:
            for each in of(visit, record.transactions):
                if each.meter_start_wh is not None and each.meter_stop_wh is not None:
                    self._screen.plain(
                        f"  {visit.identity}/{visit.evse} ({each.version}), {visit.token}: "
                        f"{visit.end_wh - visit.begin_wh:.1f} Wh flowed, "
                        f"{each.meter_stop_wh - each.meter_start_wh:.1f} Wh were told in {len(each.reports)} messages "
                        f"with {len(samples(each))} samples, ended: {each.stopped_reason}"
                    )
        for difference in found:
            self._screen.bad(difference)
        if not found:
            self._screen.good(
                f"{len(self._visits)} visits, {len(self._played())} transactions: each told once from start to end, "
                "every Wh accounted for; the blocked card started nothing."
            )
        # What has been judged is not needed in the next round.
        for transaction in self._played():
            transaction.reports.clear()
        self._csms.problems.clear()
        self._screen.errors.clear()
        return found
