"""One charging station: notes each fact, then settles; it routes, the blocks decide."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, assert_never, cast

from gateway.station import (
    authorization,
    availability,
    certificates,
    commands,
    device_reports,
    facts,
    firmware,
    flows,
    grants,
    identity,
    inventory,
    local_requests,
    log_uploads,
    metering,
    operation,
    outbox,
    own_certificates,
    presence,
    recovery,
    refusals,
    registration,
    remote,
    report_only,
    reservations,
    resets,
    sampling,
    setpoints,
    smart_charging,
    status_reports,
    transaction_end,
    transactions,
    vendor_messages,
    views,
)
from gateway.station import charging_limits as limits
from gateway.station.certificate_work import CertificateWorked
from gateway.station.effects import Notify
from gateway.station.events import (
    ActionRequested,
    Answered,
    BrokerConnected,
    BrokerLost,
    CommandAnswered,
    CsmsAsked,
    DeviceAnnounced,
    DevicePresenceChanged,
    DeviceReported,
    Event,
    FlowAnswered,
    LinkClosed,
    LinkOpened,
    MeterSampled,
    Restarted,
    Retired,
    StatesWanted,
    StatusReported,
    Stopping,
    StoreChanged,
    TimePassed,
    TokenPresented,
)
from gateway.station.model import RegistrationStatus, TriggerReason
from gateway.station.reports import Failed, FailureKind, TransactionEvent
from gateway.station.transfer_work import FirmwareReported, LogReported, TransferEnded
from gateway.station.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import Struct

    from gateway.station.effects import ChangeLink, Effect
    from gateway.station.model import Moment, StationConfig
    from gateway.station.requests import VariableRef
    from gateway.station.state import Evse

_AnyEvent = (
    ActionRequested
    | Answered
    | BrokerConnected
    | BrokerLost
    | CertificateWorked
    | CommandAnswered
    | CsmsAsked
    | DeviceAnnounced
    | DevicePresenceChanged
    | DeviceReported
    | FirmwareReported
    | FlowAnswered
    | LinkClosed
    | LinkOpened
    | LogReported
    | MeterSampled
    | Restarted
    | Retired
    | StatesWanted
    | StatusReported
    | Stopping
    | StoreChanged
    | TimePassed
    | TokenPresented
    | TransferEnded
)


class Station:
    """A pure state machine: `handle(event, now)` returns what is to be done, `deadline()` when to call again."""

    __slots__ = ("_deadline", "state")

    def __init__(
        self, config: StationConfig, records: Mapping[str, Mapping[str, Struct]] | None = None
    ) -> None:
        """Take up a station as its records left it: kind → key → record (see recovery.RECORD_TYPES)."""
        self.state = recovery.load(config, records or {}, self._live_text)
        self._deadline: float | None = None

    def handle(self, event: Event, now: Moment) -> list[Effect]:
        """Note what happened and do what follows; saves come first and are one commit."""
        state = self.state
        state.wall_now = state.stamp(now.wall)
        turn = Turn(now)
        settles = self._note(cast("_AnyEvent", event), turn)
        if settles:
            self._settle(turn)
            self._deadline = self._next_deadline(now)
        return turn.close()

    def look_again(self, now: Moment) -> float | None:
        """The deadline as it is now: what came meanwhile may have moved it."""
        self.state.wall_now = self.state.stamp(now.wall)
        sampling.look(self.state, now)
        self._deadline = self._next_deadline(now)
        return self._deadline

    def deadline(self) -> float | None:
        """Monotonic time by which TimePassed has to be handled; None = not needed."""
        return self._deadline

    def offered_versions(self) -> tuple[str, ...]:
        """The versions to offer now: while told transactions wait, only the one that they were told in."""
        state = self.state
        for transaction in [*state.ended.values(), *(evse.transaction for evse in state.evses.values())]:
            if transaction is not None and transaction.sent and transaction.version in state.config.versions:
                return (transaction.version,)
        return state.config.versions

    @property
    def muted(self) -> bool:
        """Whether requests of the CSMS get no answer at all now (# 1.6 §4.2: while Rejected)."""
        state = self.state
        rejected = state.registration is RegistrationStatus.REJECTED
        return rejected and state.flavor is not None and not state.flavor.answers_while_rejected

    def link_settings(self) -> ChangeLink:
        """What the link has to obey from its first connection on."""
        return identity.link_settings(self.state)

    def inherit(self, former: Station) -> None:
        """Know of the devices what the former self knew: they have not been away while it was exchanged."""
        for n, known in former.state.by_n.items():
            connector = self.state.by_n.get(n)
            if connector is None:
                continue
            for name in _KNOWN_OF_DEVICES:
                setattr(connector, name, getattr(known, name))
        self.state.broker_up = former.state.broker_up
        self.state.main_meter.update(former.state.main_meter)

    # -------------------------------------------------------------- noting

    def _note(self, event: _AnyEvent, turn: Turn) -> bool:
        """Take the event to its block; False when nothing can follow from it."""
        state = self.state
        match event:
            case MeterSampled():
                return self._metered(event, turn)
            case Answered():
                state.last_received_at = turn.now.wall
                return self._answered(event, turn)
            case StatusReported():
                return self._status_reported(event, turn)
            case TokenPresented():
                authorization.present(state, turn, event)
            case CsmsAsked():
                remote.asked(state, turn, event)
            case DevicePresenceChanged():
                presence.changed(state, turn, event)
            case DeviceAnnounced():
                recovery.device_announced(state, turn, event)
            case DeviceReported():
                device_reports.reported(state, turn, event)
            case FlowAnswered():
                authorization.flow_answered(state, turn, event)
            case CommandAnswered():
                commands.answered(state, turn, event)
            case CertificateWorked():
                if not firmware.worked(state, turn, event):
                    certificates.worked(state, turn, event)
            case TransferEnded():
                if not firmware.transferred(state, turn, event):
                    log_uploads.transferred(state, turn, event)
            case FirmwareReported():
                firmware.reported(state, turn, event)
            case LogReported():
                log_uploads.reported(state, turn, event)
            case ActionRequested():
                local_requests.requested(state, turn, event)
            case LinkOpened():
                registration.link_opened(state, turn, event)
            case LinkClosed():
                registration.link_closed(state, turn, event)
            case BrokerConnected():
                self._broker_connected(event, turn)
            case BrokerLost():
                self._broker_lost()
            case Retired():
                state.stopping = True
                for connector in state.by_n.values():
                    setpoints.off(state, turn, connector)
                return False
            case StatesWanted():
                views.show_again(state, turn)
            case StoreChanged():
                self._store_changed(event, turn)
            case Restarted():
                state.flavor_before_link = event.flavor
                recovery.restarted(state, turn, event.random_seed)
            case TimePassed():
                self._time_passed(turn)
            case Stopping():
                state.stopping = True
                return False
            case _:
                assert_never(event)
        return True

    def _metered(self, event: MeterSampled, turn: Turn) -> bool:
        state = self.state
        if event.n == 0:
            at = turn.now.wall if event.at is None else event.at
            for name, value in event.values.items():
                state.main_meter[name] = (value, at, turn.now.monotonic)
            return False
        connector = state.by_n[event.n]
        if event.retained and connector.meter_at:
            return False
        evse = state.evses[connector.config.evse]
        drew = metering.draws(connector)
        if metering.note(connector, event, turn.now):
            state.save_connector(turn, connector)
        returned = not event.retained and presence.live(connector, turn)
        if not (event.retained or connector.fresh or connector.config.plug_sensor):
            connector.fresh = returned = True  # a plain socket has nothing else to say
        transaction = evse.transaction
        if event.ref is not None and event.ref == connector.measure_ref:
            connector.measure_ref = None
            evse.measured = transaction is not None and transaction.ending
        sampling.reading_came(state, turn, evse, connector, event.at)
        metering.show(state, turn, evse, connector, stale=False)
        ending = transaction is not None and (transaction.ending or transaction.energy_limit_wh is not None)
        signed = event.signed is not None and transaction is None
        if returned or ending or signed or evse.beginning is not None or metering.draws(connector) != drew:
            return True
        if smart_charging.clock_was_set(state):
            return True
        if transaction is not None:
            views.show_transaction(state, turn, evse)
        return False

    def _status_reported(self, event: StatusReported, turn: Turn) -> bool:
        state = self.state
        connector = state.by_n[event.n]
        known = connector.record.facts
        plugged, energized = known.plugged, known.energized
        evse = state.evses[connector.config.evse]
        changed = facts.note(connector, event, turn.now)
        returned = not event.retained and not connector.fresh
        if not event.retained:
            presence.live(connector, turn)
            connector.fresh = True
            changed |= transaction_end.note_contactor(turn, evse, connector, was_closed=energized is True)
        if not changed and not returned:
            return False
        if known.plugged and not plugged:
            evse.trigger = evse.trigger or TriggerReason.CABLE_PLUGGED_IN
        if False in (known.plugged, plugged):
            connector.record.ended_in_plug_session &= availability.keeps_cable(connector)
        if known.plugged is False:
            connector.signed = connector.signed if evse.transaction is not None else None
        if returned:
            transaction_end.heard_again(state, turn, evse, connector)
        state.save_connector(turn, connector)
        return True

    def _answered(self, event: Answered, turn: Turn) -> bool:
        """False when it was one of the many acknowledgements from which nothing follows but the next row."""
        state = self.state
        ref, answer = event.ref, event.answer
        told = outbox.answered(state, turn, ref, answer, last=event.last)
        if told is not None:
            if isinstance(told.row.report, TransactionEvent):
                refusals.answered(state, turn, told.row.report, answer, finished=told.finished)
                if told.routine:
                    outbox.hand_out(state, turn)
                    return state.view is not None and state.view.queued > 0
        elif ref == state.boot_asked:
            registration.boot_answered(state, turn, answer)
        elif ref == state.heartbeat_asked:
            registration.heartbeat_answered(state, turn, answer)
        elif ref == state.status_ref:
            status_reports.station_told(state, turn, accepted=not isinstance(answer, Failed))
        elif ref in state.triggered:
            state.triggered.discard(ref)
        elif not (
            authorization.answered(state, turn, ref, answer)
            or inventory.answered(state, turn, ref, answer)
            or own_certificates.answered(state, turn, ref, answer)
            or vendor_messages.answered(state, turn, ref, answer)
        ):
            for connector in state.by_n.values():
                if connector.asked_status == ref:
                    status_reports.told(state, turn, connector, accepted=_counts_as_told(answer))
        if isinstance(answer, Failed) and answer.code == "SecurityError" and ref != state.boot_asked:
            registration.refused_as_unknown(state, turn)
        return True

    def _broker_connected(self, event: BrokerConnected, turn: Turn) -> None:
        state = self.state
        state.broker_up = True
        state.epoch = event.epoch
        for connector in state.by_n.values():
            connector.last_live = turn.now.monotonic
        for evse in state.evses.values():
            evse.opened_at = inf  # energy may have flowed, and may flow still, that no meter told us of
            for connector in evse.connectors:
                if connector.fresh:
                    transaction_end.heard_again(state, turn, evse, connector)
        views.show_all(state, turn)

    def _broker_lost(self) -> None:
        """Whatever devices say now is not heard: nothing known is fresh any more."""
        self.state.broker_up = False
        for connector in self.state.by_n.values():
            connector.fresh = False

    def _store_changed(self, event: StoreChanged, turn: Turn) -> None:
        state = self.state
        if state.storing != event.writable:
            state.storing = event.writable
            state.last_error = None if event.writable else event.detail
            turn.do(Notify(0, "error", "store", {"writable": event.writable, "info": event.detail}))
            if event.writable:
                for connector in state.by_n.values():
                    connector.setpoint = (
                        None  # an on that the disk refused was never said: say it again (law 4)
                    )

    def _time_passed(self, turn: Turn) -> None:
        state = self.state
        commands.time_out(state, turn)
        authorization.time_passed(state, turn)
        state.samples_looked_at = turn.now.monotonic
        for evse in state.evses.values():
            sampling.time_passed(state, turn, evse)

    # -------------------------------------------------------------- settling

    def _settle(self, turn: Turn) -> None:
        """Look at all facts and do what follows, until nothing more does."""
        state = self.state
        presence.settle(state, turn)
        reservations.settle(state, turn)
        grants.assign_station_grant(state, turn)
        for evse in state.evses.values():
            self._settle_evse(turn, evse)
        smart_charging.settle(state, turn)
        if limits.has_station_maximum(state):
            for evse in state.evses.values():
                self._settle_evse(turn, evse)  # what one has given up is shared by the others
        reset = state.reset
        happened = operation.settle(state, turn)
        resets.settle(state, turn)
        if happened or state.reset is not reset:
            for evse in state.evses.values():
                self._settle_evse(turn, evse)
        certificates.settle(state, turn)
        own_certificates.settle(state, turn)
        firmware.settle(state, turn)
        log_uploads.settle(state, turn)
        if identity.settle(state, turn):
            registration.link_lost(state, turn)
        registration.settle(state, turn)
        sampling.clock_aligned(state, turn)
        reservations.settle(state, turn)
        reservations.tell(state, turn)
        grants.keep(state, turn)
        status_reports.settle_station(state, turn)
        for evse in state.evses.values():
            for connector in evse.connectors:
                status_reports.settle(state, turn, evse, connector)
        outbox.hand_out(state, turn)
        inventory.hand_out(state, turn)
        views.settle(state, turn)
        smart_charging.look_ahead(state, turn.now)

    def _settle_evse(self, turn: Turn, evse: Evse) -> None:
        """Transaction and setpoints depend on each other: once more as long as anything has changed."""
        state = self.state
        self._settle_setpoints(turn, evse)
        for _ in range(_MOST_ROUNDS):
            before = _situation(evse)
            transactions.settle(state, turn, evse)
            evse.trigger = None
            evse.stopped = None
            if not self._settle_setpoints(turn, evse) and before == _situation(evse):
                break

    def _settle_setpoints(self, turn: Turn, evse: Evse) -> bool:
        """True when one of them changed; before the first epoch nobody may be told anything."""
        if not (self.state.epoch or self.state.config.report_only):
            return False
        before = [connector.setpoint for connector in evse.connectors]
        for connector in evse.connectors:
            setpoints.settle(self.state, turn, evse, connector)
        return before != [connector.setpoint for connector in evse.connectors]

    def _next_deadline(self, now: Moment) -> float | None:
        state = self.state
        times: list[float | None] = [
            outbox.deadline(state),
            flows.deadline(state),
            presence.deadline(state),
            reservations.deadline(state, now),
            smart_charging.deadline(state, now),
            certificates.deadline(state),
            own_certificates.deadline(state, now.monotonic),
            firmware.deadline(state, now.monotonic),
            log_uploads.deadline(state),
        ]
        if state.linked:
            times += [state.boot_retry_at, state.heartbeat_at if state.accepted else None]
        if state.reset is not None:
            times.append(state.reset.deadline)
        times += [command.deadline for command in state.commands.values()]
        timeout_s = state.variables.connection_timeout_s
        if state.station_grant is not None:
            times.append(state.station_grant.since + timeout_s)
        if state.next_clock_at is not None:
            times.append(now.monotonic + state.next_clock_at - state.wall_now)
        for evse in state.evses.values():
            times.append(report_only.deadline(state, evse))
            if evse.grant is not None and transactions.waits_for_plug(evse, evse.grant):
                times.append(evse.grant.since + timeout_s)
            if evse.beginning is not None:
                times.append(evse.beginning.deadline)
            if evse.transaction is not None and evse.transaction.ending:
                times.append(transaction_end.deadline(state, evse, evse.transaction))
            for connector in evse.connectors:
                times.append(connector.limit_local_ends)
                times.append(status_reports.deadline(state, connector))
                if connector.awaited and connector.offered_at is not None:
                    times.append(connector.offered_at + setpoints.OFFER_S)
        times.append(sampling.deadline(state))
        return min((time for time in times if time is not None), default=None)

    def _live_text(self, ref: VariableRef) -> str | None:
        return views.variable_text(self.state, ref)


def _situation(evse: Evse) -> tuple[object, ...]:
    """What the next round of settling would start from, as far as a round may change it."""
    transaction = evse.transaction
    if transaction is None:
        return (evse.grant, evse.beginning)
    return (evse.grant, transaction.id, transaction.n, transaction.plugged, transaction.ending)


_KNOWN_OF_DEVICES = (
    "away_since",
    "fresh",
    "last_live",
    "meter",
    "meter_at",
    "meter_period",
    "offline_parts",
    "signed",
    "vanished",
)
"""What a connector knows beside its records."""
_MOST_ROUNDS = 4
"""More often than this nothing alternates between a transaction and its setpoints."""


def _counts_as_told(answer: object) -> bool:
    """A status that was refused would be refused again: it counts as told; one that was lost does not."""
    return not isinstance(answer, Failed) or answer.kind not in {FailureKind.LOST, FailureKind.TIMED_OUT}
