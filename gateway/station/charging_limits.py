"""What a connector may offer at an instant: the lowest over the purposes; the station's maximum is shared out."""

from __future__ import annotations

from math import floor, inf
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from gateway.station import availability
from gateway.station.charging_profiles import Purpose, has_run_out, slot
from gateway.station.records import ChargingProfileRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.station.charging_profiles import ChargingProfile, Period, RateUnit
    from gateway.station.model import ConnectorConfig, Moment
    from gateway.station.records import TransactionRecord
    from gateway.station.state import Connector, Evse, StationState

_NOISE = 1e-6
"""16.1 × 10 is 160.99999999999997 in binary, and means 16.1."""
_MOST_LOOKS = 64
"""So many steps are looked at for one that changes something; then the station looks again."""


class Charging:
    """The profiles installed at a station, and what is known of the times that they count from."""

    __slots__ = ("begun", "changes_at", "installed", "looked_at", "ranked")

    def __init__(self) -> None:
        self.installed: dict[int, ChargingProfileRecord] = {}
        """By id."""
        self.ranked: tuple[ChargingProfileRecord, ...] = ()
        """The same, what prevails first."""
        self.begun: dict[str, float] = {}
        """Running transaction → when it began, monotonic: a schedule relative to it runs whatever clocks do."""
        self.looked_at = -inf
        """The CSMS's clock when a limit was last looked at."""
        self.changes_at = inf
        """When, by the same clock, one next changes."""

    def restore(self, records: Iterable[Struct]) -> None:
        """Take up what was kept."""
        for record in records:
            if isinstance(record, ChargingProfileRecord):
                self.installed[record.profile.id] = record
        self.rank()

    def rank(self) -> None:
        """After a change: a connector's own before the station's, then the highest stack level (# 1.6 §3.13)."""
        self.ranked = tuple(
            sorted(
                self.installed.values(),
                key=lambda record: (not record.evse, not record.n, -record.profile.stack_level),
            )
        )


class Offer(Struct, frozen=True, gc=False):
    """What the operator allows a connector."""

    limit_a: float
    """Per phase; infinite when nothing is said."""
    phases: int
    """How many phases it counts on, and may be used."""
    until: float
    """Nothing that it was made of changes before."""


class View(NamedTuple):
    """An instant at which limits are looked at, from now."""

    now: Moment
    at: float
    """By the CSMS's clock."""
    assumed: float | None = None
    """A transaction is assumed to begin then where there is none; None: at the instant itself."""
    sharers: Sequence[Connector] = ()
    """The connectors that are served from the station's maximum, first come first."""


class _Ruling(NamedTuple):
    """The period that prevails for one purpose."""

    unit: RateUnit
    period: Period


_Found = tuple["_Ruling | None", float]
"""What prevails, and until when that is surely so."""


# ------------------------------------------------------------------ one connector


def rounded_down(value: float) -> float:
    """To one decimal, and never above what was allowed."""
    return floor(value * 10 + _NOISE) / 10


def least_a(config: ConnectorConfig) -> float:
    """What a connector needs at least; a switch cannot charge with less than its draw."""
    return config.max_current_a if config.limiting == "on_off" else config.min_current_a


def ceiling_a(connector: Connector, monotonic: float) -> tuple[float, float]:
    """(What the site allows by itself, until when): the connector, the cable, the limit given on MQTT."""
    record = connector.record
    limit_a, until = connector.config.max_current_a, inf
    if record.facts.cable_limit_a is not None:
        limit_a = min(limit_a, record.facts.cable_limit_a)
    if record.limit_local_a is not None:
        ends = inf if connector.limit_local_ends is None else connector.limit_local_ends
        if monotonic < ends:
            limit_a, until = min(limit_a, record.limit_local_a), ends
    return max(limit_a, 0.0), until


def has_profiles(state: StationState) -> bool:
    """Whether anything is there that could limit; a station without pays no more than this."""
    if state.charging.ranked:
        return True
    return any(evse.grant is not None and evse.grant.profile is not None for evse in state.evses.values())


def has_station_maximum(state: StationState) -> bool:
    """Whether connectors depend on each other."""
    return any(record.profile.purpose is Purpose.STATION_MAX for record in state.charging.ranked)


def offer(state: StationState, connector: Connector, view: View) -> Offer:
    """What the operator's profiles allow a connector at an instant."""
    ruling, until = _of_transaction(state, connector, view)
    maximum, maximum_until = _first(_of_purpose(state, Purpose.STATION_MAX), view.at, None)
    phases = _phases(state, connector, ruling, maximum)
    limit_a = inf if ruling is None else _amperes(ruling, connector.config, phases)
    if maximum is not None:
        headroom_a, shares_until = _headroom_a(state, connector, view, maximum, limit_a, phases)
        limit_a = min(limit_a, headroom_a)
        until = min(until, shares_until)
    return Offer(max(limit_a, 0.0), phases, min(until, maximum_until))


def _of_transaction(state: StationState, connector: Connector, view: View) -> _Found:
    """TxProfile, else TxDefaultProfile (# 1.6 §3.13.2, K01, K02.FR.08)."""
    evse = state.evse_of(connector.config.n)
    transaction = evse.transaction
    if transaction is not None and transaction.n != connector.config.n:
        transaction = None
    begun = view.assumed if transaction is None else _begun(state, transaction, view.now)
    own = _own(state, evse, connector, transaction)
    ruling, until = _first(own, view.at, begun)
    if ruling is not None:
        return ruling, until
    if state.config.policy.after_tx_profile == "nothing" and any(
        has_run_out(profile, installed_at, begun, view.at) for profile, installed_at in own
    ):
        return None, until  # [TC_066] as published for 1.6
    defaults = [
        (record.profile, record.installed_at)
        for record in state.charging.ranked
        if record.profile.purpose is Purpose.TX_DEFAULT
        and record.evse in {0, evse.id}
        and record.n in {0, connector.config.n}
    ]
    ruling, default_until = _first(defaults, view.at, begun)
    return ruling, min(until, default_until)


def _own(
    state: StationState, evse: Evse, connector: Connector, transaction: TransactionRecord | None
) -> list[tuple[ChargingProfile, float]]:
    """The profiles of a connector's transaction, or of the one that a remote start has promised."""
    if transaction is not None:
        return [
            (record.profile, record.installed_at)
            for record in state.charging.ranked
            if record.transaction == transaction.id
        ]
    grant = evse.grant
    if grant is None or grant.profile is None or grant.n not in {0, connector.config.n}:
        return []
    return [(grant.profile, -inf)]


def _begun(state: StationState, transaction: TransactionRecord, now: Moment) -> float:
    """When a transaction began, as the CSMS's clock shows it now."""
    begun = state.charging.begun
    if transaction.id not in begun:  # it began in an earlier run
        begun[transaction.id] = now.monotonic - max(now.wall - transaction.started_at, 0.0)
    return state.stamp(now.wall) - (now.monotonic - begun[transaction.id])


def _of_purpose(state: StationState, purpose: Purpose) -> Iterable[tuple[ChargingProfile, float]]:
    return [
        (record.profile, record.installed_at)
        for record in state.charging.ranked
        if record.profile.purpose is purpose
    ]


def _first(ranked: Iterable[tuple[ChargingProfile, float]], at: float, begun: float | None) -> _Found:
    """The first that says anything prevails; what comes after it is not even looked at."""
    until = inf
    for profile, installed_at in ranked:
        said = slot(profile, installed_at, at, begun)
        until = min(until, said.until)
        if said.period is not None:
            return _Ruling(profile.schedule.unit, said.period), until
    return None, until


# ------------------------------------------------------------------ phases and units


def usable_phases(state: StationState, connector: Connector) -> int:
    """The phases that a connector charges with when nobody restricts it."""
    if state.variables.phase_switching:
        return connector.config.phases
    return connector.record.facts.phases or connector.config.phases


def _phases(state: StationState, connector: Connector, *rulings: _Ruling | None) -> int:
    """More than usable: what is there (# 1.6 errata 3.34); fewer only where the device can switch to one."""
    usable = usable_phases(state, connector)
    if not state.variables.phase_switching:
        return usable
    wanted = min((ruling.period.phases for ruling in rulings if ruling is not None), default=usable)
    return usable if wanted >= usable else 1


def _amperes(ruling: _Ruling, config: ConnectorConfig, phases: int) -> float:
    """# 1.6 §7.12, K01: watts are shared by the phases."""
    limit = ruling.period.limit
    return limit if ruling.unit == "A" else limit / (config.voltage_v * phases)


# ------------------------------------------------------------------ the station's maximum


def _headroom_a(
    state: StationState, connector: Connector, view: View, maximum: _Ruling, own_a: float, phases: int
) -> tuple[float, float]:
    """(What the station's maximum leaves to a connector beside the shares of the others, until when).

    A connector that does not charge is looked at as if it came now, after all others.
    """
    in_watts = maximum.unit == "W"
    until = inf
    claims: list[tuple[float, float]] = []
    own = len(view.sharers)
    monotonic = view.now.monotonic + view.at - state.stamp(view.now.wall)
    for number, sharer in enumerate((*view.sharers, connector)):
        if sharer is connector:
            if own < number:
                break
            own, limit_a, used = number, own_a, phases
        else:
            ruling, ruling_until = _of_transaction(state, sharer, view)
            used = _phases(state, sharer, ruling, maximum)
            limit_a = inf if ruling is None else _amperes(ruling, sharer.config, used)
            until = min(until, ruling_until)
        site_a, site_ends = ceiling_a(sharer, monotonic)
        until = min(until, view.at + site_ends - monotonic)
        weight = sharer.config.voltage_v * used if in_watts else 1.0
        claims.append((least_a(sharer.config) * weight, min(site_a, limit_a) * weight))
    shares = shared(maximum.period.limit, claims)
    left = maximum.period.limit - sum(shares) + shares[own]
    return left / (connector.config.voltage_v * phases if in_watts else 1.0), until


def shared(budget: float, claims: Sequence[tuple[float, float]]) -> list[float]:
    """Shares of a budget for (least, most), first come first: never more than the budget in sum.

    In order of arrival each gets its least as long as there is enough of it, or nothing; what is left is shared
    so that all have the same, as far as their least and most allow.
    """
    left = budget
    admitted = []
    for number, (least, most) in enumerate(claims):
        if least <= most + _NOISE and least <= left + _NOISE:
            admitted.append(number)
            left -= least
    bounds = [(least, max(least, most)) for least, most in (claims[number] for number in admitted)]
    level = _level(budget, bounds)
    shares = [0.0] * len(claims)
    for number, (least, most) in zip(admitted, bounds, strict=True):
        shares[number] = min(max(level, least), most)
    return shares


def _level(budget: float, bounds: list[tuple[float, float]]) -> float:
    """The highest level at which everybody, kept within its bounds, is within the budget together."""

    def total(level: float) -> float:
        return sum(min(max(level, least), most) for least, most in bounds)

    edges = sorted({edge for both in bounds for edge in both})
    level = edges[0] if edges else inf
    for edge in edges:
        if total(edge) > budget:
            rising = sum(least <= level < most for least, most in bounds)
            return level + max(budget - total(level), 0.0) / rising if rising else level
        level = edge
    return inf


# ------------------------------------------------------------------ what comes


def next_change(state: StationState, view: View) -> float:
    """When, by the CSMS's clock, any connector's offer next changes; infinite when never.

    Where many steps change nothing it is the last one that was looked at.
    """
    shown, until = _all(state, view)
    for _ in range(_MOST_LOOKS):
        if until == inf:
            break
        following, later = _all(state, view._replace(at=until))
        if following != shown:
            break
        until = later
    return until


def _all(state: StationState, view: View) -> tuple[list[tuple[float, int]], float]:
    """Every connector's offer as it is shown, and when one of them may next change."""
    shown, until = [], inf
    for connector in state.by_n.values():
        made = offer(state, connector, view)
        limit_a = made.limit_a if made.limit_a == inf else rounded_down(made.limit_a)
        shown.append((limit_a, made.phases))
        until = min(until, made.until)
    return shown, until


def one_connector(
    state: StationState, connector: Connector, view: View, unit: RateUnit
) -> tuple[float, int, float]:
    """(Limit in the unit, phases, until when) of what a connector may draw by profiles and by the site."""
    monotonic = view.now.monotonic + view.at - state.stamp(view.now.wall)
    made = offer(state, connector, view)
    site_a, site_ends = ceiling_a(connector, monotonic)
    limit_a = min(site_a, made.limit_a)
    limit = limit_a * connector.config.voltage_v * made.phases if unit == "W" else limit_a
    return limit, made.phases, min(made.until, view.at + site_ends - monotonic)


def whole_station(state: StationState, view: View, unit: RateUnit) -> tuple[float, int, float]:
    """(Limit in the unit, phases, until when) of all EVSEs together, were they all charging (# 1.6 §5.7, K08)."""
    total, until = 0.0, inf
    monotonic = view.now.monotonic + view.at - state.stamp(view.now.wall)
    maximum, maximum_until = _first(_of_purpose(state, Purpose.STATION_MAX), view.at, None)
    for evse in state.evses.values():
        connector = availability.active_connector(evse)
        ruling, ruling_until = _of_transaction(state, connector, view)
        phases = _phases(state, connector, ruling, maximum)
        site_a, site_ends = ceiling_a(connector, monotonic)
        limit_a = site_a if ruling is None else min(site_a, _amperes(ruling, connector.config, phases))
        total += limit_a * (connector.config.voltage_v * phases if unit == "W" else 1.0)
        until = min(until, ruling_until, view.at + site_ends - monotonic)
    phases = max(_phases(state, connector, maximum) for connector in state.by_n.values())
    if maximum is not None:
        limit, grid_w = maximum.period.limit, next(iter(state.by_n.values())).config.voltage_v * phases
        if maximum.unit != unit:
            limit = limit * grid_w if unit == "W" else limit / grid_w
        total = min(total, limit)
    return total, phases, min(until, maximum_until)
