"""What befalls the stations: links that break in every way, a broker that is restarted, answers that fail, commands."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.soak.stations import Station
from tests.support.broker import Broker
from tests.support.csms import Call, CallError, Csms, Silence
from tests.support.csms_answers import Answer
from tests.support.csms_station import Station as ChargePoint

COMMAND_TIMEOUT_S = 90.0
"""Longer than it takes to notice a link that is silent."""
_SPOILT = frozenset({"StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent"})
_WAYS = ("cut", "cut", "close", "freeze")


class Trouble:
    """Everything random, from one seed."""

    def __init__(
        self, csms: Csms, broker: Broker, stations: Sequence[Station], chance: random.Random, pace: float
    ) -> None:
        self.counted: Counter[str] = Counter()
        """How often what happened."""
        self.complaints: list[str] = []
        self.spoilt: set[str] = set()
        """Message ids of transaction messages that got no proper answer."""
        self.over = asyncio.Event()
        self._csms, self._broker, self._chance, self._pace = csms, broker, chance, pace
        self._stations = list(stations)
        self._frozen: set[str] = set()
        self._spoilt_once: set[str] = set()
        self._asking: set[asyncio.Task[None]] = set()
        for action in _SPOILT:
            csms.answers[action] = self._answer

    # -------------------------------------------------------------- answers

    def _answer(self, call: Call) -> Answer | None:
        """Now and then none, or an error; never twice for the same message, so that none is given up."""
        what = f"{call.identity} {call.action} {call.payload}"
        if what in self._spoilt_once or self.over.is_set():
            self._spoilt_once.discard(what)
            return None
        lot = self._chance.random()
        if lot > 0.03:
            return None
        self._spoilt_once.add(what)
        self.spoilt.add(call.message_id)
        if lot < 0.01:
            self.counted["answers withheld"] += 1
            return Silence()
        self.counted["answers refused"] += 1
        return CallError("InternalError", "the database is busy")

    # -------------------------------------------------------------- links

    async def lose_links(self) -> None:
        """Each station loses its link every six minutes or so; now and then the whole backend is away."""
        while await self._waits(360.0 / len(self._stations)):
            name = self._chance.choice(self._stations).name
            cp = self._csms.identity(name)
            if not cp.connected:
                continue
            way = self._chance.choice(_WAYS)
            self.counted[f"links {way}"] += 1
            if way == "cut":
                cp.drop()
            elif way == "close":
                self._ask(cp.close(self._chance.choice((1000, 1001, 1011)), "maintenance"))
            else:
                self._frozen.add(name)
                cp.freeze()

    async def lose_backend(self) -> None:
        """Every ten minutes nobody listens for up to half a minute."""
        while await self._waits(600.0):
            self.counted["backend away"] += 1
            self._csms.stop_listening()
            for station in self._stations:
                self._csms.drop(station.name)
            await self._waits(self._chance.uniform(1.0, 30.0), exactly=True)
            await self._csms.resume()

    async def lose_broker(self) -> None:
        """Every ten minutes or so the broker is killed and comes back."""
        while await self._waits(600.0):
            self.counted["broker killed"] += 1
            self._broker.kill()
            await self._waits(self._chance.uniform(0.5, 5.0), exactly=True)
            self._broker.start()

    async def heal(self) -> None:
        """From here on everything works."""
        self.over.set()
        await self._csms.resume()
        for name in self._frozen:
            self._csms.drop(name)
        if not self._broker.running:
            self._broker.start()
        if self._asking:
            await asyncio.wait(self._asking, timeout=COMMAND_TIMEOUT_S)

    # -------------------------------------------------------------- commands

    async def command(self) -> None:
        """Each station gets a command every 40 s or so."""
        while await self._waits(40.0 / len(self._stations)):
            station = self._chance.choice(self._stations)
            cp = self._csms.identity(station.name)
            if not cp.connected or cp.registration != "Accepted":
                continue
            action, payload = self._chosen(station, cp)
            self._ask(self._command(cp, action, payload))

    async def restore(self) -> None:
        """What commands have left behind is taken back."""
        for station in self._stations:
            cp = self._csms.identity(station.name)
            if cp.version == "ocpp1.6":
                await cp.call("ChangeAvailability", {"connectorId": 0, "type": "Operative"})
                await cp.call("ClearChargingProfile", {})

    async def _command(self, cp: ChargePoint, action: str, payload: dict[str, Any]) -> None:
        try:
            answer = await cp.call(action, payload, timeout=COMMAND_TIMEOUT_S)
        except ConnectionError:
            self.counted["commands cut off"] += 1
        except CallError as error:
            self.complaints.append(f"{cp.identity}: {action} {payload} was refused: {error}")
        except AssertionError as error:
            self.complaints.append(str(error))
        else:
            self.counted[f"{action} {answer.get('status', 'answered')}"] += 1

    def _chosen(self, station: Station, cp: ChargePoint) -> tuple[str, dict[str, Any]]:
        n = self._chance.choice(list(station.truth))
        running = [one for one in self._csms.ledger.transactions(station.name)[-4:] if one.ended is None]
        transaction = running[-1].transaction_id if running else None
        of_version = self._of_16 if cp.version == "ocpp1.6" else self._of_201
        return self._chance.choice(of_version(station, n, transaction))

    def _of_16(
        self, station: Station, n: int, transaction: int | str | None
    ) -> list[tuple[str, dict[str, Any]]]:
        limit = {"startPeriod": 0, "limit": self._chance.choice((6.0, 10.0, 16.0, 32.0))}
        profile = {
            "chargingProfileId": n,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Relative",
            "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [limit]},
        }
        expiry = (datetime.now(UTC) + timedelta(seconds=120 * self._pace)).isoformat()
        reserved = {
            "connectorId": n,
            "expiryDate": expiry,
            "idTag": self._chance.choice(station.cards),
            "reservationId": n,
        }
        entry = {"idTag": self._chance.choice(station.cards), "idTagInfo": {"status": "Accepted"}}
        local_list = {"listVersion": 1, "updateType": "Full", "localAuthorizationList": [entry]}
        given: list[tuple[str, dict[str, Any]]] = [
            ("RemoteStartTransaction", {"connectorId": n, "idTag": station.remote_token}),
            ("UnlockConnector", {"connectorId": n}),
            ("ChangeAvailability", {"connectorId": n, "type": "Inoperative"}),
            ("ReserveNow", reserved),
            ("CancelReservation", {"reservationId": n}),
            ("SetChargingProfile", {"connectorId": n, "csChargingProfiles": profile}),
            ("ClearChargingProfile", {"id": n}),
            ("GetCompositeSchedule", {"connectorId": n, "duration": 600}),
            ("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": n}),
            ("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": n}),
            ("TriggerMessage", {"requestedMessage": "Heartbeat"}),
            ("GetConfiguration", {}),
            ("ChangeConfiguration", {"key": "ConnectionTimeOut", "value": self._chance.choice(("30", "60"))}),
            ("SendLocalList", local_list),
            ("GetLocalListVersion", {}),
            ("ClearCache", {}),
            ("DataTransfer", {"vendorId": "soak", "data": "x" * 200}),
        ]
        given += [("ChangeAvailability", {"connectorId": n, "type": "Operative"})] * 3
        if transaction is not None:
            given += [("RemoteStopTransaction", {"transactionId": transaction})] * 2
        if self._chance.random() < 0.05:
            given = [("Reset", {"type": "Soft"})]
        return given

    def _of_201(
        self, station: Station, n: int, transaction: int | str | None
    ) -> list[tuple[str, dict[str, Any]]]:
        evse = {"id": n, "connectorId": 1}
        token = {"idToken": station.remote_token, "type": "Central"}
        timeout = {"component": {"name": "TxCtrlr"}, "variable": {"name": "EVConnectionTimeOut"}}
        written = {**timeout, "attributeValue": self._chance.choice(("30", "60"))}
        given: list[tuple[str, dict[str, Any]]] = [
            ("RequestStartTransaction", {"idToken": token, "remoteStartId": 1, "evseId": n}),
            ("UnlockConnector", {"evseId": n, "connectorId": 1}),
            ("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": evse}),
            ("TriggerMessage", {"requestedMessage": "StatusNotification", "evse": evse}),
            ("TriggerMessage", {"requestedMessage": "Heartbeat"}),
            ("GetVariables", {"getVariableData": [timeout]}),
            ("SetVariables", {"setVariableData": [written]}),
            ("GetBaseReport", {"requestId": 1, "reportBase": "SummaryInventory"}),
            ("ClearCache", {}),
            ("DataTransfer", {"vendorId": "soak", "data": "x" * 200}),
        ]
        given += [("ChangeAvailability", {"operationalStatus": "Operative", "evse": evse})] * 3
        if transaction is not None:
            given += [("RequestStopTransaction", {"transactionId": transaction})] * 2
        return given

    # -------------------------------------------------------------- time

    async def _waits(self, mean_s: float, *, exactly: bool = False) -> bool:
        """False once it is over."""
        seconds = mean_s * self._pace
        if not exactly:
            seconds = self._chance.expovariate(1 / seconds)
        try:
            await asyncio.wait_for(self.over.wait(), seconds)
        except TimeoutError:
            return True
        return False

    def _ask(self, what: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(what)
        self._asking.add(task)
        task.add_done_callback(self._asked)

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.complaints.append(f"a command ended with {task.exception()!r}")

    @property
    def parts(self) -> list[Callable[[], Coroutine[None, None, None]]]:
        """What goes on at the same time."""
        return [self.lose_links, self.lose_backend, self.lose_broker, self.command]
