"""One connector: its contactor closes only while the setpoint's gateway is heard, and outlives no lease.

The lease is `valid_s` from the last heartbeat that was not retained and carried the setpoint's epoch.
"""

from typing import Any, NamedTuple

from msgspec import Struct

from gateway.simulator.car import Car
from gateway.simulator.contract import Setpoint

_CHARGING_FROM_A = 0.5


class Heard(NamedTuple):
    """The last live heartbeat."""

    epoch: str
    at_s: float
    """On the monotonic clock."""


class Options(Struct, frozen=True, kw_only=True):
    """What the charger is, as `info` tells it."""

    prefix: str = "ocpp"
    station: str = "simulated"
    connectors: int = 1
    max_current_a: float = 32.0
    phases: int = 3
    lock: bool = True
    vendor: str = "Simulated"
    model: str = "Charger"
    serial: str = "SIM-0001"
    firmware_version: str = "1.0.0"
    meter_interval_s: float = 10.0
    safe_limit_a: float = 0.0
    """What a contactor that was closed may go on with when the gateway is lost; 0 opens it."""
    voltage_v: float = 230.0
    report_soc: bool = True
    speed: float = 1.0
    """Multiplies the energy that flows, not the power that is shown."""


class ConnectorState(Struct):
    """What a connector remembers without power."""

    register_wh: float = 0.0
    car: Car | None = None


class Connector(Struct):
    """One connector as it is now."""

    n: int
    options: Options
    register_wh: float = 0.0
    car: Car | None = None
    energized: bool = False
    current_a: float = 0.0
    limit_a: float = 0.0
    """Applied; 0 while open."""
    setpoint: Setpoint | None = None
    newest: tuple[str, int] | None = None
    """Epoch and highest revision seen, whatever became of it."""
    spent: tuple[str, int] | None = None
    """The newest setpoint when the plug came: what was said before was about another car."""
    left: bool = False
    """A car went away while nobody could be told."""
    obeyed: int | None = None
    lease_until_s: float | None = None
    unlocked: bool = False
    lock_stuck: bool = False
    errors: tuple[str, ...] = ()
    told: dict[str, Any] | None = None
    status_due_s: float = 0.0
    meter_due_s: float = 0.0

    @property
    def state(self) -> ConnectorState:
        """What to keep for a later life."""
        return ConnectorState(self.register_wh, self.car)

    @property
    def phases(self) -> int:
        """The phases that carry current: what the connector, the setpoint and the car have in common."""
        phases = self.options.phases
        if self.setpoint is not None and self.setpoint.phases in {1, 2, 3}:
            phases = min(phases, self.setpoint.phases)
        return min(phases, self.car.phases) if self.car else phases

    def forget(self) -> None:
        """Lose power: the contactor opens, and no setpoint of this life has been heard."""
        self.energized, self.current_a, self.limit_a = False, 0.0, 0.0
        self.setpoint, self.newest, self.obeyed, self.lease_until_s = None, None, None, None
        self.unlocked, self.spent = False, None

    def plug(self, car: Car) -> None:
        """Put the cable in."""
        self.car, self.unlocked, self.spent = car, False, self.newest

    def unplug(self, *, heard: bool) -> None:
        """Pull it out; `heard`: somebody is there to be told."""
        self.left = self.left or (self.car is not None and not heard)
        self.car, self.unlocked = None, False

    def note_setpoint(self, setpoint: Setpoint | None) -> None:
        """Take the last writer's word; within an epoch a lower revision is a late one and dropped."""
        if setpoint is None:
            self.setpoint, self.obeyed = None, None
            return
        revision = (setpoint.epoch, setpoint.revision)
        if self.newest is not None and revision[0] == self.newest[0] and revision[1] < self.newest[1]:
            return
        if revision != self.newest:
            self.unlocked = False
        self.setpoint, self.newest = setpoint, revision

    def let_time_pass(self, elapsed_s: float) -> None:
        """Let current flow for so long as the contactor has stood until now."""
        if not self.energized or self.car is None or elapsed_s <= 0:
            return
        self.current_a, energy_wh = self.car.charge(
            self.current_a,
            self.limit_a,
            self.options.voltage_v * self.phases,
            elapsed_s,
            self.options.speed,
        )
        self.register_wh += energy_wh

    def switch(self, heard: Heard | None, now_s: float, *, blocked: bool) -> bool:
        """Put contactor and offered current where rules 1 to 4 want them; whether the contactor moved."""
        before = self.energized
        self.limit_a = 0.0 if blocked or self.errors else self._offered_a(heard, now_s)
        self.energized = self.limit_a > 0 and self.car is not None and self.car.asks
        self.current_a = min(self.current_a, self.limit_a) if self.energized else 0.0
        return before != self.energized

    @property
    def flows(self) -> bool:
        """Whether current flows or is about to."""
        return self.energized and self.car is not None and self.car.demand_a(self.limit_a) > 0

    def status(self, *, left: bool = False) -> dict[str, Any]:
        """The whole status, without its time; `left`: as it was when the car had gone."""
        plugged = self.car is not None and not left
        status: dict[str, Any] = {
            "plugged": plugged,
            "cable": "ev" if plugged else "none",
            "control_pilot": "A" if not plugged else "C" if self.energized else "B",
            "ev_ready": self.energized,
            "energized": self.energized,
            "charging": self.current_a >= _CHARGING_FROM_A,
        }
        if self.options.lock:
            wanted = self.setpoint is not None and self.setpoint.lock is True
            status["locked"] = plugged and (self.lock_stuck or (wanted and not self.unlocked))
        return status | {
            "limit_a": round(self.limit_a, 2),
            "phases": self.phases,
            "errors": list(self.errors),
            "revision": self.obeyed,
        }

    def meter(self) -> dict[str, Any]:
        """What the meter shows, without its time."""
        current_a = self.current_a
        voltage_v = self.options.voltage_v - 0.05 * current_a  # the cable's own resistance
        values: dict[str, Any] = {
            "energy_import_wh": round(self.register_wh, 3),
            "power_w": round(current_a * voltage_v * self.phases, 1),
            "current_a": [round(current_a, 2) if phase < self.phases else 0.0 for phase in range(3)],
            "voltage_v": [round(voltage_v, 1) if phase < self.options.phases else 0.0 for phase in range(3)],
            "temperature_c": round(21.0 + 0.02 * current_a**2, 1),
        }
        if self.car is not None and self.options.report_soc:
            values["soc_percent"] = round(self.car.soc_percent, 2)
        return values

    def _offered_a(self, heard: Heard | None, now_s: float) -> float:
        """The current that may be offered now; 0 is off."""
        setpoint = self.setpoint
        if setpoint is None or setpoint.energize is not True:  # rule 1
            self.lease_until_s = None
            self.obeyed = setpoint.revision if setpoint else None
            return 0.0
        if self.newest == self.spent:  # rule 4
            return 0.0
        limit_a = self._limit_a(setpoint)
        if heard is not None and heard.epoch == setpoint.epoch:  # rule 2
            lease_until_s = heard.at_s + setpoint.valid_s
            if now_s < lease_until_s:
                self.lease_until_s, self.obeyed = lease_until_s, setpoint.revision
                return limit_a
        if not self.energized:  # rule 3: neither a retained setpoint nor an old lease closes anything
            return 0.0
        # When the gateway is lost, and between its new setpoint and its new heartbeat, the lease is used up.
        if self.lease_until_s is not None and now_s < self.lease_until_s:
            return limit_a
        self.lease_until_s = None
        return min(limit_a, self.options.safe_limit_a)

    def _limit_a(self, setpoint: Setpoint) -> float:
        limits_a = [self.options.max_current_a]
        if setpoint.limit_a is not None:
            limits_a.append(setpoint.limit_a)
        if setpoint.limit_w is not None:
            limits_a.append(setpoint.limit_w / self.options.voltage_v / self.phases)
        return max(0.0, min(limits_a))
