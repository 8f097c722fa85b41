"""Meter values: fields with ages of their own, registers that never fall, samples when they are due."""

from __future__ import annotations

from math import floor
from typing import TYPE_CHECKING

from gateway.station.effects import MeterView, Publish
from gateway.station.model import ReadingContext, Sample, SampledValue
from gateway.station.records import RegisterRecord

if TYPE_CHECKING:
    from gateway.station.events import MeterSampled
    from gateway.station.model import ConnectorConfig, MeterValue, Moment
    from gateway.station.state import Connector, Evse, StationState
    from gateway.station.turn import Turn

MAX_AGE_S = 300.0
"""A value older than this is not sampled: devices report at least this often."""
_DAY_S = 86400.0
_FALLS_BELIEVED = 3
"""So many lower readings in a row mean that the device's counter was reset."""
_INTEGRATION_GAP_S = 60.0
"""Power is not integrated over a longer silence."""
_DRAWING_W = 30.0
_DRAWING_A = 0.3

_SCALARS = {
    "Power.Active.Import": ("power_w", "W"),
    "Power.Active.Export": ("power_export_w", "W"),
    "Power.Factor": ("power_factor", None),
    "Power.Reactive.Import": ("reactive_var", "var"),
    "Frequency": ("frequency_hz", "Hertz"),
    "SoC": ("soc_percent", "Percent"),
    "Temperature": ("temperature_c", "Celsius"),
}
_PHASED = {
    "Current.Import": ("current_a", "A", ("L1", "L2", "L3")),
    "Voltage": ("voltage_v", "V", ("L1-N", "L2-N", "L3-N")),
}
_PHASE_SUFFIXES = frozenset({"L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1"})

# ------------------------------------------------------------------ noting readings


def note(connector: Connector, event: MeterSampled, now: Moment) -> bool:
    """Take a reading into the connector's facts: each field by itself; True when a counter began anew."""
    measured_at = now.wall if event.at is None else event.at
    values = event.values
    if connector.meter_at:
        connector.meter_period = now.monotonic - connector.meter_at
    meter = connector.meter
    record = connector.record
    config = connector.config
    offsets = _offsets(connector)
    if config.energy == "power":
        _integrate(connector, values.get("power_w"), measured_at, now)
    else:
        raw = values.get("energy_import_wh")
        if isinstance(raw, int | float):
            record.import_register = _advanced(
                record.import_register, float(raw), session=config.energy == "session"
            )
            record.register_at = measured_at
    raw = values.get("energy_export_wh")
    if isinstance(raw, int | float):
        record.export_register = _advanced(
            record.export_register, float(raw), session=config.energy == "session"
        )
    arrived = now.monotonic
    for name, value in values.items():
        meter[name] = (value, measured_at, arrived)
    if event.signed is not None:
        connector.signed = event.signed
    connector.meter_at = arrived
    return _offsets(connector) != offsets


def _offsets(connector: Connector) -> tuple[float, ...]:
    registers = (connector.record.import_register, connector.record.export_register)
    return tuple(0.0 if register is None else register.offset_wh for register in registers)


def _advanced(register: RegisterRecord | None, raw_wh: float, *, session: bool) -> RegisterRecord:
    """The register after a reading; it never falls."""
    if register is None:
        return RegisterRecord(raw_wh)
    if raw_wh >= register.raw_wh:
        register.raw_wh = raw_wh
        register.falls = 0
    elif session:
        register.offset_wh += register.raw_wh
        register.raw_wh = raw_wh
    else:
        register.falls += 1
        if register.falls >= _FALLS_BELIEVED:
            register.offset_wh += register.raw_wh - raw_wh
            register.raw_wh = raw_wh
            register.falls = 0
    return register


def _integrate(connector: Connector, power: MeterValue, measured_at: float, now: Moment) -> None:
    """Energy from power: the earlier power held until this reading."""
    previous = connector.meter.get("power_w")
    register = connector.record.import_register or RegisterRecord(0.0)
    if previous is not None and isinstance(previous[0], int | float):
        elapsed_s = now.monotonic - previous[2]
        if 0 < elapsed_s <= _INTEGRATION_GAP_S:
            register.raw_wh += max(previous[0], 0.0) * elapsed_s / 3600
    if isinstance(power, int | float):
        connector.record.import_register = register
        connector.record.register_at = measured_at


def register_wh(connector: Connector) -> float | None:
    """The import register as it is told; None when no device ever sent one."""
    register = connector.record.import_register
    return None if register is None else register.value_wh


def draws(connector: Connector) -> bool | None:
    """Whether current flows, as far as anybody knows."""
    facts = connector.record.facts
    if facts.charging is not None:
        return facts.charging
    power = connector.meter.get("power_w")
    if power is not None and isinstance(power[0], int | float):
        return power[0] > _DRAWING_W
    current = connector.meter.get("current_a")
    if current is not None and current[0] is not None:
        phases = current[0] if isinstance(current[0], tuple) else (current[0],)
        known = [ampere for ampere in phases if ampere is not None]
        return max(known) > _DRAWING_A if known else None
    return None


# ------------------------------------------------------------------ samples


def sample(
    state: StationState,
    connector: Connector,
    measurands: tuple[str, ...],
    context: ReadingContext,
    now: Moment,
    at: float | None = None,
) -> Sample | None:
    """What is known now of these measurands ("Voltage" or "Voltage.L1-N"); None when it is nothing.

    `at` is the host's wall time of the measurement, now where None.
    """
    oldest = now.monotonic - MAX_AGE_S
    values: list[SampledValue] = []
    for measurand in measurands:
        _append(values, connector, measurand, oldest)
    variables = state.variables
    clock = context is ReadingContext.SAMPLE_CLOCK
    signs = variables.aligned_signed if clock else variables.sampled_signed
    signed = connector.signed if signs and measurands else None
    if not values and signed is None:
        return None
    return Sample(state.stamp(now.wall if at is None else at), context, tuple(values), signed)


def _append(values: list[SampledValue], connector: Connector, measurand: str, oldest: float) -> None:
    scalar = _SCALARS.get(measurand)
    if scalar is not None:
        known = connector.meter.get(scalar[0])
        if known is not None and known[2] >= oldest and isinstance(known[0], int | float):
            values.append(SampledValue(known[0], measurand, scalar[1]))
        return
    phased = _PHASED.get(measurand)
    if phased is not None:
        known = connector.meter.get(phased[0])
        if known is not None and known[2] >= oldest and known[0] is not None:
            for phase, value in zip(phased[2], _by_phase(connector, known[0]), strict=False):
                if value is not None:
                    values.append(SampledValue(value, measurand, phased[1], phase))
        return
    if measurand == "Energy.Active.Import.Register":
        register = connector.record.import_register
        if register is not None:
            values.append(SampledValue(register.value_wh, measurand, "Wh"))
    elif measurand == "Energy.Active.Export.Register":
        register = connector.record.export_register
        if register is not None:
            values.append(SampledValue(register.value_wh, measurand, "Wh"))
    elif measurand in {"Current.Offered", "Power.Offered"}:
        setpoint = connector.setpoint
        if setpoint is not None:
            offered = setpoint.limit_a if measurand == "Current.Offered" else float(setpoint.limit_w)
            unit = "A" if measurand == "Current.Offered" else "W"
            values.append(SampledValue(offered if setpoint.energize else 0.0, measurand, unit))
    else:
        _append_one_phase(values, connector, measurand, oldest)


def _append_one_phase(
    values: list[SampledValue], connector: Connector, measurand: str, oldest: float
) -> None:
    """`Voltage.L1-N` asks for one phase of a measurand (# 1.6 §9.1.16)."""
    name, _, phase = measurand.rpartition(".")
    if phase in _PHASE_SUFFIXES and name:
        every: list[SampledValue] = []
        _append(every, connector, name, oldest)
        values.extend(value for value in every if value.phase in {phase, f"{phase}-N"})


def _by_phase(connector: Connector, value: float | tuple[float | None, ...]) -> tuple[float | None, ...]:
    """A scalar means every active phase."""
    if isinstance(value, tuple):
        return value
    phases = connector.record.facts.phases or connector.config.phases
    return (value,) * phases


def next_aligned(wall: float, interval_s: int) -> float:
    """The next moment of the clock-aligned grid, which starts anew at midnight (# 1.6 §9.1.6)."""
    midnight = floor(wall / _DAY_S) * _DAY_S
    following = midnight + (floor((wall - midnight) / interval_s) + 1) * interval_s
    return min(following, midnight + _DAY_S)


def is_aligned(wall: float, interval_s: int) -> bool:
    """Whether a moment lies on the grid of an interval; 0 has none."""
    return interval_s > 0 and (wall % _DAY_S) % interval_s == 0


# ------------------------------------------------------------------ the view


def show(
    state: StationState, turn: Turn, evse: Evse, connector: Connector, *, stale: bool, force: bool = False
) -> None:
    """Publish the last reading, at most every `meter_state_interval_s`."""
    now = turn.now
    due = connector.meter_shown_at + state.config.policy.meter_state_interval_s <= now.monotonic
    if not (due or force) or not (connector.meter or connector.record.import_register):
        return
    view = _view(evse, connector, stale=stale)
    connector.meter_shown_at = now.monotonic
    if view != connector.meter_view:
        connector.meter_view = view
        turn.do(Publish(connector.config.n, "meter/state", view))


def _view(evse: Evse, connector: Connector, *, stale: bool) -> MeterView:
    meter = connector.meter

    def number(name: str) -> float | None:
        known = meter.get(name)
        return known[0] if known is not None and isinstance(known[0], int | float) else None

    def phases(name: str) -> tuple[float | None, float | None, float | None]:
        known = meter.get(name)
        if known is None or known[0] is None:
            return (None, None, None)
        listed = (*_by_phase(connector, known[0]), None, None, None)
        return (listed[0], listed[1], listed[2])

    register = register_wh(connector)
    exported = connector.record.export_register
    transaction = evse.transaction
    session = None
    if transaction is not None and transaction.meter_start_wh is not None and register is not None:
        session = round(register - transaction.meter_start_wh, 3)
    stamps = [known[1] for known in meter.values()]
    return MeterView(
        energy_import_wh=register,
        energy_export_wh=None if exported is None else exported.value_wh,
        energy_session_wh=session,
        power_w=number("power_w"),
        power_export_w=number("power_export_w"),
        current_a=phases("current_a"),
        voltage_v=phases("voltage_v"),
        power_factor=number("power_factor"),
        reactive_var=number("reactive_var"),
        frequency_hz=number("frequency_hz"),
        soc_percent=number("soc_percent"),
        temperature_c=number("temperature_c"),
        timestamp=max(stamps, default=None),
        stale=stale,
    )


def nominal_power_w(config: ConnectorConfig, current_a: float, phases: int) -> int:
    """Watts that this current per phase means (# 1.6 §3.13, K01)."""
    return round(current_a * config.voltage_v * phases)
