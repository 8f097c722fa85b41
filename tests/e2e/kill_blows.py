"""Blows to gateway, broker and links: which, and at which moment, from a seed; afterwards everything is healed."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable

from msgspec import Struct

from tests.support.broker import Broker
from tests.support.csms import Call, Csms
from tests.support.gateway_process import GatewayProcess

MOMENTS = (
    *("any", "any", "card", "contactor", "Authorize", "StartTransaction", "StopTransaction", "MeterValues"),
    *("Started", "Updated", "Ended", "StatusNotification"),
)
"""What a blow waits for: nothing, something at a device, or a CALL that the CSMS has received but not answered."""
_LONGEST_WAIT_S = 1.5


class Blow(Struct, frozen=True):
    """What was struck, in which moment, at which wall time."""

    what: str
    moment: str
    at: float


class Blows:
    """Strikes one thing after the other until told to stop."""

    def __init__(self, gateway: GatewayProcess, broker: Broker, csms: Csms, chance: random.Random) -> None:
        self.struck: list[Blow] = []
        self._gateway, self._broker, self._csms, self._chance = gateway, broker, csms, chance
        self._identities: tuple[str, ...] = ()
        self._frozen: set[str] = set()
        self._awaited: str | None = None
        self._ready: Callable[[], None] | None = None
        self._kinds: dict[str, tuple[Callable[[], None], Callable[[], Awaitable[None]]]] = {
            "gateway": (gateway.kill, self._revive_gateway),
            "broker": (broker.kill, self._revive_broker),
            "both": (self._kill_both, self._revive_both),
            "cut": (self._cut_one, self._nothing),
            "deaf": (self._deafen, self._hear_again),
            "freeze": (self._freeze_one, self._nothing),
        }
        for action in {moment for moment in MOMENTS if moment[0].isupper()} | {"TransactionEvent"}:
            csms.answers[action] = self._called

    def happened(self, moment: str) -> None:
        """Something happened at a device."""
        if self._awaited == moment and self._ready is not None:
            ready, self._ready = self._ready, None
            ready()

    async def rain(self, identities: tuple[str, ...], until: Callable[[], bool]) -> None:
        """One blow after the other; each kind comes before any comes again, the gateway most often."""
        self._identities = identities
        deck: list[str] = []
        while not until():
            if not deck:
                deck = [*self._kinds, "gateway", "gateway"]
                self._chance.shuffle(deck)
            await asyncio.sleep(self._chance.uniform(0.2, 1.6))  # the calm between two storms
            strike, heal = self._kinds[kind := deck.pop()]
            await self._strike(kind, strike)
            await heal()

    async def heal(self) -> None:
        """Everything runs and listens, and stays so."""
        self._awaited = None
        await self._csms.resume()
        for identity in self._frozen:
            self._csms.drop(identity)
        if not self._broker.running:
            self._broker.start()
        if not self._gateway.running:
            await self._gateway.start()

    async def _strike(self, kind: str, strike: Callable[[], None]) -> None:
        """Wait for the chosen moment; the blow falls within it, or some milliseconds later."""
        moment = self._chance.choice(MOMENTS)
        delay_s = self._chance.choice((0.0, 0.0, 0.001, 0.003, 0.01, 0.03))
        done = asyncio.Event()

        def fall() -> None:
            strike()
            self.struck.append(Blow(kind, moment, time.time()))
            done.set()

        def ready() -> None:
            if delay_s:
                asyncio.get_running_loop().call_later(delay_s, fall)
            else:
                fall()

        self._awaited, self._ready = moment, ready
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), 0.05 if moment == "any" else _LONGEST_WAIT_S)
        unused, self._awaited, self._ready = self._ready, None, None
        if unused is not None:
            unused()
        await done.wait()

    def _called(self, call: Call) -> None:
        """A CALL was received, and its answer is not on its way yet; the default answer follows."""
        self.happened(call.payload["eventType"] if call.action == "TransactionEvent" else call.action)

    def _cut_one(self) -> None:
        self._csms.drop(self._chance.choice(self._identities))

    def _freeze_one(self) -> None:
        frozen = self._chance.choice(self._identities)
        self._csms.identity(frozen).freeze()
        self._frozen.add(frozen)

    def _deafen(self) -> None:
        self._csms.stop_listening()
        for identity in self._identities:
            self._csms.drop(identity)

    def _kill_both(self) -> None:
        first, second = self._chance.sample((self._gateway.kill, self._broker.kill), 2)
        first()
        second()

    async def _nothing(self) -> None:
        pass

    async def _hear_again(self) -> None:
        await self._absence(3.0)
        await self._csms.resume()

    async def _revive_broker(self) -> None:
        await self._absence(1.5)
        self._broker.start()

    async def _revive_gateway(self) -> None:
        await self._gateway.exit_code()
        await self._absence(2.0)
        await self._gateway.start()

    async def _revive_both(self) -> None:
        for revive in self._chance.sample((self._revive_broker, self._revive_gateway), 2):
            await revive()

    async def _absence(self, longest_s: float) -> None:
        """Back at once, or after a while."""
        if self._chance.random() < 0.6:
            await asyncio.sleep(self._chance.uniform(0.0, longest_s))
