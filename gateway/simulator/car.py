"""The car: how much current it takes of what is offered, and how full that makes it."""

import math

from msgspec import Struct

MINIMUM_A = 6.0
"""Below this a pilot signal cannot offer a current and a car takes none (IEC 61851-1)."""

_TAPER_FROM_PERCENT = 80.0
_STEP_S = 1.0
_MOST_STEPS = 1000


class Car(Struct):
    """A battery with a charger of its own."""

    battery_kwh: float = 60.0
    soc_percent: float = 40.0
    max_current_a: float = 16.0
    phases: int = 3
    ramp_a_per_s: float = 4.0
    """How fast its current rises; it falls at once."""
    pauses_when_full: bool = True
    """At 100 % it stops asking (control pilot B); otherwise it keeps asking and takes nothing."""
    paused: bool = False
    """The driver or its timer has told it to wait."""

    @property
    def full(self) -> bool:
        """Nothing more goes in."""
        return self.soc_percent >= 100.0

    @property
    def asks(self) -> bool:
        """Whether it asks for energy when some is offered: control pilot C instead of B."""
        return not self.paused and not (self.full and self.pauses_when_full)

    def demand_a(self, offered_a: float) -> float:
        """The current it aims for: its own limit, tapering above 80 % to no less than 6 A until full."""
        if self.full or self.paused or offered_a < MINIMUM_A:
            return 0.0
        share = min(1.0, (100.0 - self.soc_percent) / (100.0 - _TAPER_FROM_PERCENT))
        return min(offered_a, max(self.max_current_a * share, min(MINIMUM_A, self.max_current_a)))

    def charge(
        self, current_a: float, offered_a: float, watts_per_ampere: float, elapsed_s: float, speed: float
    ) -> tuple[float, float]:
        """Let `elapsed_s` pass: `(current_a, energy_wh)` at its end, and a fuller battery.

        `speed` multiplies the energy, not the current: with 60 a minute fills the battery as an hour would.
        """
        energy_wh = 0.0
        steps = min(_MOST_STEPS, max(1, math.ceil(elapsed_s * speed / _STEP_S)))
        step_s = elapsed_s / steps
        for _ in range(steps):
            aim_a = self.demand_a(offered_a)
            after_a = min(aim_a, current_a + self.ramp_a_per_s * step_s)
            mean_a = (min(current_a, aim_a) + after_a) / 2
            room_wh = max(0.0, (100.0 - self.soc_percent) * self.battery_kwh * 10)
            step_wh = min(room_wh, mean_a * watts_per_ampere * step_s * speed / 3600)
            energy_wh += step_wh
            self.soc_percent = (
                100.0 if step_wh >= room_wh else self.soc_percent + step_wh / self.battery_kwh / 10
            )
            current_a = 0.0 if self.full else after_a
        return current_a, energy_wh
