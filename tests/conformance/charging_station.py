"""What a case can do and see: devices on one side, a CSMS on the other, and the gateway as a charge point between.

A case is written against this once, and runs on the bench (tests/conformance/bench.py) and, where it is marked so,
against the real process with a real broker and real WebSockets (tests/conformance/live.py). See README.md here.
"""

from __future__ import annotations

import abc
import json
from typing import TYPE_CHECKING, Any

from tests.conformance.said import Expected, Payload, Said, call, readings, reply
from tests.support import csms_wire as wire
from tests.support.csms_answers import CallError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conformance.device import Device
    from tests.support.csms_answers import Backend, Rule
    from tests.support.csms_record import Frame

TAG = "04A2B3C4D5"
OTHER = "0499887766"
INTERVAL_S = 86400
"""Of heartbeats, unless a case says otherwise: none gets in its way."""
BOOT = {"chargePointVendor": "ocpp-mqtt-gateway", "chargePointModel": "MQTT"}
QUIET = {"MeterValueSampleInterval": 0, "ClockAlignedDataInterval": 0, "MinimumStatusDuration": 0}
"""Configuration of a case that says nothing else: meter values only where it is about them (the tool's own rule:
what is unrelated does not count), and every status at once."""


class ChargingStation(abc.ABC):
    """The two public sides of one charge point, `garage` on MQTT, `CP1` at the CSMS."""

    device: Device
    connectors: int

    def __init__(self) -> None:
        self._said: list[Said] = []
        self._read = 0
        self._taken = 0
        self._asked: dict[str, str] = {}

    # -------------------------------------------------------------- implemented by bench and live

    @property
    @abc.abstractmethod
    def frames(self) -> Sequence[Frame]:
        """All frames of both directions until now."""

    @property
    @abc.abstractmethod
    def backend(self) -> Backend:
        """What the CSMS's friendly answers draw on."""

    @property
    @abc.abstractmethod
    def answers(self) -> dict[str, Rule]:
        """What the CSMS answers instead of its friendly default, by action."""

    @abc.abstractmethod
    def answer_next(self, action: str, *rules: Rule) -> None:
        """Each rule answers one CALL of that action, before the standing answer."""

    @abc.abstractmethod
    async def settle(self) -> None:
        """Let everything happen that follows from what happened."""

    @abc.abstractmethod
    async def wait(self) -> bool:
        """Wait for another frame; False when none will come."""

    @abc.abstractmethod
    async def send(self, action: str, /, **payload: Any) -> None:
        """The CSMS asks; expect the reply as `reply(action, …)`."""

    @abc.abstractmethod
    async def after(self, seconds: float) -> None:
        """Time passes, all that is due in it happens."""

    @abc.abstractmethod
    def is_now(self, text: str) -> bool:
        """Whether a timestamp names this moment."""

    @abc.abstractmethod
    async def start(self) -> None:
        """Power on: the devices, the gateway, its link to the CSMS."""

    # -------------------------------------------------------------- what the charge point said

    def said(self) -> list[Said]:
        """All that the charge point said, in order."""
        frames = self.frames
        for frame in frames[self._read :]:
            said = self._understood(frame)
            if said is not None:
                self._said.append(said)
        self._read = len(frames)
        return self._said

    def _understood(self, frame: Frame) -> Said | None:
        message = wire.parse(frame.text, "ocpp1.6", _ALL_IDS)
        if frame.direction == "sent":
            if message.kind == wire.CALL:
                self._asked[str(message.message_id)] = message.action
            return None
        if message.kind == wire.CALL:
            return Said("call", message.action, message.payload)
        action = self._asked.get(str(message.message_id), "?")
        if message.kind == wire.CALLRESULT:
            return Said("reply", action, message.payload)
        return Said("refusal", action, {"code": message.code})

    async def _next(self, wanted: object) -> Said:
        await self.settle()
        while len(self.said()) <= self._taken:
            if not await self.wait():
                raise AssertionError(f"{wanted} did not come; before it:\n{self._story()}")
        self._taken += 1
        return self._said[self._taken - 1]

    def _story(self, last: int = 12) -> str:
        story = "\n".join(f"  {said}" for said in self.said()[: self._taken + 1][-last:]) or "  nothing"
        return "\n".join([story, *self.violations()])

    async def expect(self, action: str, /, **fields: Any) -> Payload:
        """The very next frame is this CALL, with exactly these fields; its payload."""
        return (await self.expect_frame(call(action, **fields))).payload

    async def expect_frame(self, wanted: Expected) -> Said:
        """The very next frame is this one."""
        said = await self._next(wanted)
        differences = wanted.differences(said, is_now=self.is_now)
        assert not differences, self._complaint(wanted, said, differences)
        return said

    async def expect_any_order(self, *wanted: Expected) -> list[Said]:
        """The next frames are these, in whatever order the case allows; returned in the order asked for."""
        open_ = list(enumerate(wanted))
        found: dict[int, Said] = {}
        while [one for one in open_ if not one[1].optional]:
            said = await self._next(" / ".join(str(one) for _, one in open_))
            fits = next(
                (pair for pair in open_ if not pair[1].differences(said, is_now=self.is_now)),
                None,
            )
            if fits is None:
                reasons = [f"{one}: {one.differences(said, is_now=self.is_now)}" for _, one in open_]
                raise AssertionError(
                    f"{said}\nis none of these:\n" + "\n".join(reasons) + f"\n{self._story()}"
                )
            open_.remove(fits)
            found[fits[0]] = said
        return [found[index] for index in sorted(found)]

    async def nothing_else(self) -> None:
        """Whatever had to be said has been expected; nothing else was said, and no rule of OCPP-J was broken."""
        await self.settle()
        left = self.said()[self._taken :]
        assert not left, "nothing else was expected, but:\n" + "\n".join(f"  {said}" for said in left)
        assert [] == self.violations()

    @abc.abstractmethod
    def violations(self) -> list[str]:
        """What either side did against the protocol."""

    def _complaint(self, wanted: Expected, said: Said, differences: list[str]) -> str:
        rest = "\n".join(f"  {one}" for one in self.said()[self._taken :][:5]) or "  nothing"
        return (
            f"expected {wanted}\nbut came {said}\n{'; '.join(differences)}\nbefore it:\n"
            f"{self._story(8)}\nafter it:\n{rest}"
        )

    # -------------------------------------------------------------- the CSMS

    @property
    def tokens(self) -> dict[str, Payload]:
        """By idTag: the whole idTagInfo that the CSMS answers; any other tag is Accepted."""
        return self.backend.tokens

    def registers(self, status: str, interval_s: int) -> None:
        """What the next BootNotification is answered."""
        self.answer_next(
            "BootNotification",
            lambda _call: {
                "status": status,
                "currentTime": self.backend.current_time(),
                "interval": interval_s,
            },
        )

    async def ask(self, action: str, /, **payload: Any) -> Payload:
        """The CSMS asks, and the next frame is the reply: its payload. CallError when it is a CALLERROR."""
        await self.send(action, **payload)
        said = await self._next(f"the answer to {action}")
        assert (said.kind, said.action) in {("reply", action), ("refusal", action)}, self._complaint(
            reply(action), said, ["it came before the answer"]
        )
        if said.kind == "refusal":
            raise CallError(said.payload["code"])
        return said.payload

    async def status_of(self, action: str, /, **payload: Any) -> str:
        """The status word of the reply, or the code of the CALLERROR."""
        try:
            answer = await self.ask(action, **payload)
        except CallError as error:
            return error.code
        assert list(answer) == ["status"], f"{action} was answered {answer}"
        return str(answer["status"])

    async def configure(self, **keys: object) -> None:
        """ChangeConfiguration of each key; booleans as 1.6 writes them."""
        for key, value in keys.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            assert "Accepted" == await self.status_of("ChangeConfiguration", key=key, value=text), key

    async def configured(self, key: str) -> str:
        """A key's value, read back."""
        answer = await self.ask("GetConfiguration", key=[key])
        (row,) = answer["configurationKey"]
        return str(row["value"])

    # -------------------------------------------------------------- the devices

    async def plug(self, n: int = 1) -> None:
        self.device.outlets[n].plugged = True
        self.device.status(n, plugged=True)
        await self.settle()

    async def unplug(self, n: int = 1) -> None:
        """At the vehicle's side; the contactor opens with it."""
        outlet = self.device.outlets[n]
        outlet.plugged = outlet.energized = False
        self.device.status(n, plugged=False, cable="none", energized=False, charging=False)
        await self.settle()

    async def ev_side_unplug(self, n: int = 1) -> None:
        """A detachable cable is pulled at the vehicle; it stays in our socket."""
        outlet = self.device.outlets[n]
        outlet.plugged = outlet.energized = False
        self.device.status(n, cable="socket", energized=False, charging=False)
        await self.settle()

    async def card(self, tag: str = TAG, n: int = 1) -> None:
        self.device.gesture(n, "card", id_token=tag)
        await self.settle()

    async def press(self, kind: str, n: int = 1) -> None:
        """A button or a sensor that reports: `stop_button`, `emergency_stop`, `power_failing` …"""
        self.device.gesture(n, "report", kind=kind)
        await self.settle()

    async def fails(self, *errors: str, n: int = 1) -> None:
        """The device has these errors now; none: it is well again."""
        self.device.outlets[n].errors = errors
        self.device.status(n, errors=list(errors))
        await self.settle()

    async def status(self, n: int = 1, **facts: Any) -> None:
        """Any fields of the status topic."""
        self.device.status(n, **facts)
        await self.settle()

    async def meter(self, energy_wh: float | None = None, n: int = 1, **values: Any) -> None:
        """The register, and other values of the meter topic."""
        if energy_wh is not None:
            self.device.outlets[n].register_wh = energy_wh
        self.device.meter(n, **values)
        await self.settle()

    def setpoint(self, n: int = 1) -> dict[str, Any]:
        """The setpoint that the device has."""
        return self.device.setpoints[n]

    def commands(self, name: str) -> list[dict[str, Any]]:
        """The commands of that name that devices got."""
        return [command for command in self.device.commands if command["name"] == name]

    # -------------------------------------------------------------- beginnings of many cases

    async def expect_boot(self, why: str | None = None, **statuses: str) -> None:
        """BootNotification, and a status of each connector, `Available` unless given as `c1="Faulted"`.

        Between them the security event of a boot, which the whitepaper has and the cases do not mention; `why`
        is its techInfo: RemoteReset, ApplicationReset.
        """
        await self.expect("BootNotification", **BOOT)
        await self.expect_frame(boot_event(why))
        await self.expect_statuses(**statuses)

    async def expect_statuses(self, **statuses: str) -> None:
        """StatusNotification of 0 and of each connector, in this order."""
        for n in range(self.connectors + 1):
            await self.expect("StatusNotification", connectorId=n, status=statuses.get(f"c{n}", "Available"))

    async def boot(self) -> None:
        """Start, and be accepted."""
        await self.start()
        await self.expect_boot()

    async def charge(self, tag: str = TAG, n: int = 1) -> int:
        """Plug, card: a transaction runs; the id that the CSMS gave it."""
        await self.plug(n)
        await self.expect("StatusNotification", connectorId=n, status="Preparing")
        await self.card(tag, n)
        await self.expect("Authorize", idTag=tag)
        return await self.expect_start(tag, n)

    async def expect_start(self, tag: str = TAG, n: int = 1, **fields: Any) -> int:
        """StartTransaction and Charging, in either order (the tool allows both); the transaction's id.

        The first register is told as MeterValues too, which 1.6 §4.8 allows and no case forbids.
        """
        begin = self.device.outlets[n].register_wh
        await self.expect_any_order(
            call("StartTransaction", connectorId=n, idTag=tag, **({"meterStart": round(begin)} | fields)),
            call("StatusNotification", connectorId=n, status="Charging"),
            call(
                "MeterValues",
                connectorId=n,
                transactionId=lambda told: told == self.transaction_id(),
                meterValue=readings("Transaction.Begin", begin),
            ),
        )
        return self.transaction_id()

    async def expect_stop(
        self, transaction_id: int, n: int = 1, status: str = "Finishing", **fields: Any
    ) -> None:
        """StopTransaction with these fields, and the status, in either order (the tool allows both)."""
        end = round(self.device.outlets[n].register_wh)
        info = {"info": fields.pop("info")} if "info" in fields else {}
        await self.expect_any_order(
            call("StopTransaction", transactionId=transaction_id, **({"meterStop": end} | fields)),
            call("StatusNotification", connectorId=n, status=status, **info),
        )

    def transaction_id(self) -> int:
        """The id that the CSMS gave last."""
        started = next(
            frame
            for frame in reversed(self.frames)
            if frame.direction == "sent"
            and '"transactionId"' in str(frame.text)
            and str(frame.text)[1] == "3"
        )
        return int(json.loads(started.text)[2]["transactionId"])


def boot_event(why: str | None = None) -> Expected:
    """The security event of a boot; `why` is a word of OCPP for its reason, if there is one to tell."""
    kind = "ResetOrReboot" if why == "RemoteReset" else "StartupOfTheDevice"
    return call("SecurityEventNotification", type=kind, **({"techInfo": why} if why else {}))


class _AllIds:
    """An answer's id is judged where it arrives, not here."""

    def __contains__(self, _id: object) -> bool:
        return True


_ALL_IDS = _AllIds()
