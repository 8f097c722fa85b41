"""Whether a device that knows nothing of vehicles charges one: what it draws says so, with hysteresis."""

from __future__ import annotations

from typing import Any

from gateway.mqtt.profiles.model import ChargingFromPower


class Charging:
    """Of one device. Pure; times are monotonic. Its answers are what is new; None: nothing."""

    __slots__ = ("_charging", "_low_since", "_rule", "output")

    def __init__(self, rule: ChargingFromPower | None) -> None:
        """Without a rule nothing is ever derived."""
        self._rule = rule
        self.forget()

    def forget(self) -> None:
        """The device is not heard."""
        self._charging: bool | None = None
        self._low_since: float | None = None
        self.output: bool | None = None
        """Its switch, as far as it reads it back."""

    def switched(self) -> bool | None:
        """What is switched off does not charge, whatever its last reading was."""
        if self._rule is None or self.output is not False:
            return None
        self._low_since = None
        return self._become(charging=False)

    def read(self, power: Any, now: float) -> bool | None:
        """A reading, in W, of all phases or of each."""
        rule = self._rule
        if rule is None or self.output is False:
            return None
        phases = power if isinstance(power, list) else [power]
        known = [watts for watts in phases if isinstance(watts, int | float)]
        if not known:
            return None
        watts = sum(known)
        if watts >= rule.above_w:
            self._low_since = None
            return self._become(charging=True)
        if watts > rule.below_w:
            self._low_since = None
            return None
        if self._charging is None:
            return self._become(charging=False)
        if self._charging and self._low_since is None:
            self._low_since = now
        return self.elapsed(now)

    def deadline(self) -> float | None:
        """When `elapsed` has to be called."""
        if self._rule is None or self._low_since is None:
            return None
        return self._low_since + self._rule.after_s

    def elapsed(self, now: float) -> bool | None:
        """It has drawn next to nothing for long enough."""
        deadline = self.deadline()
        if deadline is None or now < deadline:
            return None
        self._low_since = None
        return self._become(charging=False)

    def _become(self, *, charging: bool) -> bool | None:
        if self._charging is charging:
            return None
        self._charging = charging
        return charging
