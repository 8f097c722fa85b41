"""Reservations: kept free for one, refused to all others, over when used, expired, cancelled or impossible."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.station import availability
from gateway.station.model import ConnectorConfig, ConnectorStatus, IdToken, Policy
from tests.station.rig import CARD, NOON, OTHER, Rig, text

HOUR = 3600
THIRD = "04DEADBEEF"


def booted(connectors: int = 1, **variables: str) -> Rig:
    """`Component__Variable` names."""
    rig = Rig(
        "1.6",
        connectors=connectors,
        variables={name.replace("__", "."): value for name, value in variables.items()},
    )
    rig.boot()
    return rig


def reserve(
    rig: Rig,
    n: int = 1,
    *,
    number: int = 12,
    token: str = CARD,
    parent: str | None = None,
    until: float = HOUR,
) -> str | None:
    """The status word of the reply; `until` counts from noon."""
    more = {} if parent is None else {"parentIdTag": parent}
    return rig.status_of(
        "ReserveNow",
        connectorId=n,
        expiryDate=text(NOON + until),
        idTag=token,
        reservationId=number,
        **more,
    )


def reserved(n: int = 1, connectors: int = 1, *, parent: str | None = None, **variables: str) -> Rig:
    rig = booted(connectors, **variables)
    assert reserve(rig, n, parent=parent) == "Accepted"
    rig.forget()
    return rig


def cancel(rig: Rig, number: int = 12) -> str | None:
    return rig.status_of("CancelReservation", reservationId=number)


def start_of(rig: Rig) -> dict[str, Any]:
    """The one StartTransaction since anything was forgotten."""
    [payload] = rig.payloads("StartTransaction")
    return payload


def shown(rig: Rig, n: int = 1) -> int | None:
    """`state.reservation`."""
    view = rig.station.state.by_n[n].view
    assert view is not None
    return view.reservation


# ------------------------------------------------------------------ compliance test cases: a connector


def test_tc_046_1_a_connector_is_reserved_and_used_locally() -> None:
    """# [TC_046_1]: reply, Reserved; another token is refused unasked; the right one starts with the number."""
    rig = booted()
    rig.forget()
    assert reserve(rig) == "Accepted"
    assert ["ReserveNow: Accepted", "Status 1 Reserved"] == rig.story()

    rig.plug()
    rig.card(OTHER)
    assert rig.story() == []
    assert rig.transaction() is None

    rig.card(CARD)
    assert start_of(rig)["reservationId"] == 12
    story = [sentence for sentence in rig.story() if not sentence.startswith("Meter")]
    assert [
        f"Authorize {CARD}", "Status 1 Preparing", f"Start 1 {CARD} 1000", "Status 1 Charging",
    ] == story  # fmt: skip


def test_tc_046_1_card_first() -> None:
    """The token ends Reserved, the plug starts the transaction (# 1.6 §4.9 G2)."""
    rig = reserved()

    rig.card(CARD)
    assert [f"Authorize {CARD}", "Status 1 Preparing"] == rig.story()
    rig.plug()

    assert start_of(rig)["reservationId"] == 12
    assert rig.status() == "Charging"


def test_tc_046_2_a_connector_is_reserved_and_used_remotely() -> None:
    """# [TC_046_2]: RemoteStart by another token is rejected, by the right one it consumes the reservation."""
    rig = reserved()
    assert rig.status_of("RemoteStartTransaction", idTag=OTHER, connectorId=1) == "Rejected"

    assert rig.status_of("RemoteStartTransaction", idTag=CARD, connectorId=1) == "Accepted"
    rig.plug()

    assert start_of(rig)["reservationId"] == 12
    assert not rig.station.state.reservations


def test_tc_047_a_reservation_expires() -> None:
    """# [TC_047]: at its date the connector is Available, and anybody may charge."""
    rig = booted()
    reserve(rig, until=120)
    rig.forget()

    rig.after(119)
    assert "Status 1 Available" not in rig.story()
    rig.after(1)
    assert "Status 1 Available" in rig.story()

    rig.plug()
    rig.card(OTHER)
    assert "reservationId" not in start_of(rig)


def test_tc_048_1_a_faulted_connector_cannot_be_reserved() -> None:
    """# [TC_048_1]."""
    rig = booted()
    rig.fault("GroundFailure")

    assert reserve(rig) == "Faulted"


@pytest.mark.parametrize("how", ["charging", "plugged", "authorized", "reserved"])
def test_tc_048_2_an_occupied_connector_cannot_be_reserved(how: str) -> None:
    """# [TC_048_2]; also for the same token, when the number is another."""
    rig = booted()
    match how:
        case "charging":
            rig.session()
        case "plugged":
            rig.plug()
        case "authorized":
            rig.card()
        case _:
            reserve(rig, number=11)

    assert reserve(rig) == "Occupied"


def test_tc_048_3_an_unavailable_connector_cannot_be_reserved() -> None:
    """# [TC_048_3]."""
    rig = booted()
    rig.asks("ChangeAvailability", connectorId=1, type="Inoperative")

    assert reserve(rig) == "Unavailable"


@pytest.mark.parametrize("n", [0, 1])
def test_tc_048_4_and_050_4_nothing_can_be_reserved_when_it_is_switched_off(n: int) -> None:
    """# [TC_048_4], [TC_050_4]."""
    rig = booted(ReservationCtrlr__Enabled="false")

    assert reserve(rig, n) == "Rejected"


# ------------------------------------------------------------------ compliance test cases: the station


def test_tc_049_the_last_free_connector_is_kept_for_connector_0() -> None:
    """# [TC_049]: all other connectors are Unavailable, so the last one is Reserved, and used with the number."""
    rig = booted(3)
    for n in (1, 2):
        rig.asks("ChangeAvailability", connectorId=n, type="Inoperative")
    rig.forget()

    assert reserve(rig, 0) == "Accepted"
    assert ["ReserveNow: Accepted", "Status 3 Reserved"] == rig.story()

    rig.card(OTHER, 3)
    assert rig.verdicts()[-1] == "refused"
    rig.forget()
    rig.card(CARD, 3)
    rig.plug(3)
    assert start_of(rig)["reservationId"] == 12


def test_tc_050_1_a_faulted_station_cannot_be_reserved() -> None:
    """# [TC_050_1]."""
    rig = booted(2)
    rig.fault("GroundFailure", 1)
    rig.fault("GroundFailure", 2)

    assert reserve(rig, 0) == "Faulted"


def test_tc_050_2_an_occupied_station_cannot_be_reserved() -> None:
    """# [TC_050_2]: one in use, and one reserved."""
    rig = booted(2)
    rig.session(OTHER, 1)
    reserve(rig, 2, number=11)

    assert reserve(rig, 0) == "Occupied"


def test_tc_050_3_an_unavailable_station_cannot_be_reserved() -> None:
    """# [TC_050_3]."""
    rig = booted(2)
    rig.asks("ChangeAvailability", connectorId=0, type="Inoperative")

    assert reserve(rig, 0) == "Unavailable"


# ------------------------------------------------------------------ compliance test cases: the rest


def test_tc_051_a_reservation_is_cancelled() -> None:
    """# [TC_051]: Accepted, Available, and later no number any more."""
    rig = reserved()

    assert cancel(rig) == "Accepted"
    assert ["CancelReservation: Accepted", "Status 1 Available"] == rig.story()

    rig.plug()
    rig.card(CARD)
    assert "reservationId" not in start_of(rig)


def test_tc_052_an_unknown_reservation_cannot_be_cancelled() -> None:
    """# [TC_052]; the known one stays."""
    rig = reserved()

    assert cancel(rig, 13) == "Rejected"

    assert rig.status() == "Reserved"


def test_tc_053_a_token_of_the_same_parent_uses_it() -> None:
    """# [TC_053]: nothing is known of it, so it is asked for, and belongs to the family."""
    rig = reserved(parent="FAMILY")
    rig.authorizes(group="FAMILY")
    rig.plug()
    rig.forget()

    rig.card(OTHER)

    assert start_of(rig)["reservationId"] == 12
    assert start_of(rig)["idTag"] == OTHER


def test_tc_053_a_token_of_another_parent_does_not() -> None:
    """It is asked for, accepted as a customer, and refused here."""
    rig = reserved(parent="FAMILY")
    rig.authorizes(group="STRANGERS")
    rig.plug()
    rig.forget()

    rig.card(OTHER)

    assert rig.story() == [f"Authorize {OTHER}"]
    assert rig.transaction() is None
    assert rig.status() == "Reserved"


# ------------------------------------------------------------------ families


@pytest.mark.parametrize(("group", "status"), [("FAMILY", "Charging"), ("STRANGERS", "Reserved")])
def test_the_local_list_knows_families(group: str, status: str) -> None:
    """# 1.6 §5.13: list and cache first; nobody needs to be asked, and so it works offline."""
    rig = reserved(parent="FAMILY")
    entry = {"idTag": OTHER, "idTagInfo": {"status": "Accepted", "parentIdTag": group}}
    rig.asks("SendLocalList", listVersion=1, updateType="Full", localAuthorizationList=[entry])
    rig.disconnect()
    rig.plug()

    rig.card(OTHER)

    assert rig.status() == status


def test_an_unknown_token_is_refused_offline() -> None:
    """Its family cannot be asked for, even where unknown tokens may charge."""
    rig = reserved(parent="FAMILY", AuthCtrlr__OfflineTxForUnknownIdEnabled="true")
    rig.disconnect()
    rig.plug()

    rig.card(OTHER)

    assert rig.transaction() is None
    assert rig.verdicts()[-1] == "refused"


def test_a_remote_start_asks_for_the_family_as_well() -> None:
    """Also where remote starts need no authorization of their own."""
    rig = reserved(parent="FAMILY")
    rig.authorizes(group="FAMILY")

    assert rig.status_of("RemoteStartTransaction", idTag=OTHER, connectorId=1) == "Accepted"
    rig.plug()

    assert rig.story()[:2] == ["RemoteStartTransaction: Accepted", f"Authorize {OTHER}"]
    assert not rig.station.state.reservations


def test_a_member_that_the_csms_refuses_does_not_start() -> None:
    """Family or not: a blocked token is blocked."""
    rig = reserved(parent="FAMILY")
    rig.authorizes("Blocked", group="FAMILY")
    rig.plug()

    rig.card(OTHER)

    assert rig.transaction() is None
    assert rig.station.state.reservations


# ------------------------------------------------------------------ what may be reserved


def test_the_same_number_replaces() -> None:
    """# 1.6 §5.13: another connector, another token."""
    rig = reserved(1, 2)

    assert reserve(rig, 2, token=OTHER) == "Accepted"

    assert ("Available", "Reserved") == (rig.status(1), rig.status(2))
    assert list(rig.station.state.reservations) == [12]


def test_a_replacement_that_is_refused_leaves_the_old_one() -> None:
    """Nobody loses a reservation to one that never came about."""
    rig = reserved(1, 2)
    rig.session(OTHER, 2)

    assert reserve(rig, 2) == "Occupied"

    assert rig.status(1) == "Reserved"


@pytest.mark.parametrize("n", [2, 99, -1])
def test_a_connector_that_does_not_exist_cannot_be_reserved(n: int) -> None:
    """Rejected."""
    assert reserve(booted(), n) == "Rejected"


def test_what_has_expired_already_cannot_be_reserved() -> None:
    """It would be over before it began."""
    assert reserve(booted(), until=0) == "Rejected"


def test_connector_0_needs_the_switch() -> None:
    """# ReserveConnectorZeroSupported."""
    assert reserve(booted(ReservationCtrlr__NonEvseSpecific="false"), 0) == "Rejected"


def test_the_switch_is_told() -> None:
    """# 1.6 §9.4; read-only."""
    reply = booted().asks(
        "GetConfiguration", key=["ReserveConnectorZeroSupported", "SupportedFeatureProfiles"]
    )

    assert isinstance(reply, dict)
    switch, profiles = reply["configurationKey"]
    assert switch == {"key": "ReserveConnectorZeroSupported", "readonly": True, "value": "true"}
    assert {"LocalAuthListManagement", "Reservation"} <= set(profiles["value"].split(","))


def test_any_number_is_a_number() -> None:
    """0 and negative ones have no meaning of their own."""
    rig = booted()
    assert reserve(rig, number=0) == "Accepted"
    rig.forget()

    rig.plug()
    rig.card()

    assert start_of(rig)["reservationId"] == 0
    assert not rig.station.state.reservations


# ------------------------------------------------------------------ connector 0


def test_one_connector_stays_free_at_any_time() -> None:
    """# 1.6 §5.13: others may charge as long as another one is left; then that one is Reserved."""
    rig = reserved(0, 2)
    assert ("Available", "Available") == (rig.status(1), rig.status(2))

    rig.plug(1)
    rig.card(OTHER, 1)
    assert rig.transaction(1) is not None
    assert "reservationId" not in start_of(rig)
    assert rig.status(2) == "Reserved"

    rig.card(THIRD, 2)
    assert rig.verdicts()[-1] == "refused"
    assert rig.status_of("RemoteStartTransaction", idTag=THIRD, connectorId=2) == "Rejected"
    assert rig.status_of("RemoteStartTransaction", idTag=THIRD) == "Rejected"

    rig.card(OTHER, 1)
    rig.unplug(1)
    assert ("Available", "Available") == (rig.status(1), rig.status(2))


def test_the_holder_may_use_any_connector() -> None:
    """And with that everything else is free again, while the holder still has to plug in, too."""
    rig = reserved(0, 2)

    rig.card(CARD, 2)
    assert ("Available", "Preparing") == (rig.status(1), rig.status(2))
    rig.card(OTHER, 1)
    rig.plug(1)
    rig.plug(2)

    assert [None, 12] == [payload.get("reservationId") for payload in rig.payloads("StartTransaction")]


def test_as_many_as_are_free_and_no_more() -> None:
    """Each reservation of connector 0 keeps one free; a named one counts as well."""
    rig = booted(3)
    assert reserve(rig, 0, number=1) == "Accepted"
    assert reserve(rig, 0, number=2, token=OTHER) == "Accepted"
    assert reserve(rig, 3, number=3, token=THIRD) == "Accepted"

    assert reserve(rig, 0, number=4) == "Occupied"
    assert {rig.status(n) for n in (1, 2, 3)} == {"Reserved"}
    assert cancel(rig, 3) == "Accepted"
    assert {rig.status(n) for n in (1, 2, 3)} == {"Available"}


def test_a_named_connector_must_leave_one_free() -> None:
    """What connector 0 was promised is not given away."""
    rig = reserved(0, 2)
    rig.session(OTHER, 1)

    assert reserve(rig, 2, number=13, token=THIRD) == "Occupied"


def test_connector_0_ends_when_nothing_is_left_to_keep_free() -> None:
    """# Faulted or Unavailable, all of them."""
    rig = reserved(0, 2)
    rig.fault("GroundFailure", 1)
    assert rig.status(2) == "Reserved"

    rig.fault("GroundFailure", 2)

    assert not rig.station.state.reservations


def test_a_reader_for_the_station_finds_the_reserved_connector() -> None:
    """The token comes first: its own connector is meant."""
    rig = reserved(2, 2)

    rig.card(CARD, 0)

    assert ("Available", "Preparing") == (rig.status(1), rig.status(2))
    rig.plug(2)
    assert start_of(rig)["reservationId"] == 12


def test_a_reader_for_the_station_gives_nobody_a_reserved_connector() -> None:
    """The plug goes into the wrong one: nothing starts; into the right one: it does."""
    rig = reserved(2, 2)
    rig.card(OTHER, 0)

    rig.plug(2)
    assert rig.transaction(2) is None

    rig.plug(1)
    assert rig.transaction(1) is not None


def test_a_reader_for_the_station_refuses_when_all_is_reserved() -> None:
    """There is no connector for which the token could wait."""
    rig = booted(2)
    reserve(rig, 1, number=1)
    reserve(rig, 2, number=2)

    rig.card(OTHER, 0)

    assert rig.verdicts() == ["refused"]


# ------------------------------------------------------------------ how it ends


def test_a_token_that_never_plugs_in_keeps_its_reservation() -> None:
    """ConnectionTimeOut ends the authorization, not the reservation; Reserved comes by an allowed path."""
    rig = reserved()
    rig.card(CARD)
    rig.forget()

    rig.after(60)

    assert ["Status 1 Available", "Status 1 Reserved"] == [s for s in rig.story() if s.startswith("Status")]
    rig.card(CARD)
    rig.plug()
    assert start_of(rig)["reservationId"] == 12


def test_a_token_that_was_in_time_may_plug_in_later() -> None:
    """The date passes between card and plug."""
    rig = booted()
    reserve(rig, until=30)
    rig.after(10)
    rig.card(CARD)

    rig.after(30)
    rig.plug()

    assert start_of(rig)["reservationId"] == 12


def test_one_that_expired_meanwhile_is_gone_when_the_token_gives_up() -> None:
    """Nobody plugged in."""
    rig = booted()
    reserve(rig, until=30)
    rig.card(CARD)

    rig.after(70)

    assert rig.status() == "Available"
    assert not rig.station.state.reservations


def test_a_cancelled_one_is_not_told_with_the_transaction() -> None:
    """Cancelled between card and plug: the token may still charge."""
    rig = reserved()
    rig.card(CARD)
    assert cancel(rig) == "Accepted"

    rig.plug()

    assert "reservationId" not in start_of(rig)


@pytest.mark.parametrize(("end", "word"), [("fault", "Faulted"), ("inoperative", "Unavailable")])
def test_a_connector_that_cannot_be_used_ends_it(end: str, word: str) -> None:
    """# 1.6 §5.13: told as what it is, and Available afterwards."""
    rig = reserved()

    if end == "fault":
        rig.fault("GroundFailure")
    else:
        rig.asks("ChangeAvailability", connectorId=1, type="Inoperative")
    assert f"Status 1 {word}" in " ".join(rig.story())
    assert not rig.station.state.reservations

    if end == "fault":
        rig.facts(errors=())
    else:
        rig.asks("ChangeAvailability", connectorId=1, type="Operative")
    assert rig.story()[-1] == "Status 1 Available"


def test_a_device_that_vanished_ends_it() -> None:
    """Its connector is Faulted after the grace time."""
    rig = reserved(1, 1)
    rig.devices_fall_silent()
    rig.presence(1, online=False)

    rig.after(91)

    assert not rig.station.state.reservations


def test_a_plug_alone_does_not_end_reserved() -> None:
    """# G01.FR.09: whose it is, the token tells."""
    rig = reserved()

    rig.plug()
    assert rig.status() == "Reserved"
    rig.unplug()

    assert rig.status() == "Reserved"
    assert rig.story() == []


def test_a_vehicle_that_waited_is_preparing_when_it_ends() -> None:
    """# G2: on an allowed path."""
    rig = reserved()
    rig.plug()

    cancel(rig)

    assert ["CancelReservation: Accepted", "Status 1 Preparing"] == rig.story()


def test_free_charging_respects_a_reservation() -> None:
    """The token that charges for nothing is not the one that reserved."""
    rig = Rig("1.6", policy=Policy(free_charging_token=IdToken("FREE")))
    rig.boot()
    reserve(rig)

    rig.plug()
    assert rig.transaction() is None

    cancel(rig)
    assert rig.transaction() is not None


def test_an_evse_is_reserved_with_all_its_connectors() -> None:
    """Whoever took the other plug would take the EVSE."""
    two = [ConnectorConfig(n=n, evse=1, connector=n) for n in (1, 2)]
    rig = Rig("1.6", connectors=two)
    rig.boot()
    assert reserve(rig, 1) == "Accepted"

    assert ("Reserved", "Reserved") == (rig.status(1), rig.status(2))
    rig.plug(2)
    rig.card(OTHER, 2)
    assert rig.verdicts()[-1] == "refused"


# ------------------------------------------------------------------ keeping it, showing it


def test_it_survives_a_restart() -> None:
    """Refused to others, and told with the transaction, as before."""
    rig = reserved()

    rig.restart()

    assert rig.status() == "Reserved"
    rig.plug()
    rig.card(OTHER)
    assert rig.transaction() is None
    rig.card(CARD)
    assert start_of(rig)["reservationId"] == 12
    assert not rig.records["reservation"]


def test_it_survives_a_reset() -> None:
    """Nothing is lost by a reset, and Reserved is told anew after the boot."""
    rig = reserved()
    assert rig.status_of("Reset", type="Hard") == "Accepted"
    rig.forget()

    rig.connect()

    assert "Status 1 Reserved" in rig.story()


def test_one_that_expired_while_the_gateway_was_away_is_gone() -> None:
    """At the start, before anybody is let in."""
    rig = booted()
    reserve(rig, until=120)
    rig.wall += 200

    rig.restart()

    assert rig.status() == "Available"
    assert not rig.records["reservation"]


def test_it_expires_offline() -> None:
    """The date needs no CSMS; the status that holds is told afterwards."""
    rig = booted()
    reserve(rig, until=120)
    rig.disconnect()
    rig.after(121)
    rig.forget()

    rig.connect()

    assert rig.story() == ["Status 1 Available"]


def test_the_date_is_the_csmss() -> None:
    """A CSMS whose clock is ahead of ours means its own clock."""
    rig = Rig("1.6")
    rig.csms_ahead_s = 1000.0
    rig.boot()
    assert reserve(rig, until=1060) == "Accepted"

    rig.after(59)
    assert rig.status() == "Reserved"
    rig.after(1)

    assert rig.status() == "Available"


def test_it_is_shown() -> None:
    """# state.reservation: on the connectors that are kept free for it, until it is over."""
    rig = reserved(2, 2)
    assert (None, 12) == (shown(rig, 1), shown(rig, 2))

    rig.plug(2)
    rig.card(CARD, 2)

    assert (None, None) == (shown(rig, 1), shown(rig, 2))


# ------------------------------------------------------------------ the device


def told(rig: Rig) -> list[tuple[int, dict[str, object]]]:
    return [(command.n, command.arguments) for command in rig.commands("reserve")]


NOBODY = {"reservation_id": None, "expires_at": None}
SOMEBODY = {"reservation_id": 12, "expires_at": NOON + HOUR}


def able(connectors: int = 1) -> Rig:
    """Its devices can show that they are reserved."""
    rig = Rig("1.6", connectors=connectors)
    rig.boot()
    rig.announce(commands=("measure", "reserve"))
    return rig


def test_the_device_is_told() -> None:
    """# command/reserve: once at the beginning, once at the end."""
    rig = able(2)
    reserve(rig, 2)
    rig.after(600)
    assert [(2, SOMEBODY)] == told(rig)

    cancel(rig)

    assert [(2, SOMEBODY), (2, NOBODY)] == told(rig)


def test_the_device_is_told_when_it_is_used() -> None:
    """The light goes out when the transaction starts."""
    rig = able()
    reserve(rig)
    rig.plug()
    rig.card()

    assert [(1, SOMEBODY), (1, NOBODY)] == told(rig)


def test_a_device_that_rebooted_is_told_again() -> None:
    """It has forgotten."""
    rig = able()
    reserve(rig)

    rig.announce("boot2", commands=("measure", "reserve"))

    assert [(1, SOMEBODY), (1, SOMEBODY)] == told(rig)
    assert rig.commands("reserve")[-1].boot_id == "boot2"


def test_a_device_that_was_away_is_told_when_it_is_back() -> None:
    """A command is for devices that are there."""
    rig = able()
    rig.presence(1, online=False)
    reserve(rig)
    assert told(rig) == []

    rig.presence(1, online=True)

    assert [(1, SOMEBODY)] == told(rig)


def test_a_device_that_cannot_show_it_is_not_told() -> None:
    """It lists no such command."""
    assert told(reserved()) == []


# ------------------------------------------------------------------ whatever happens

_TOKENS = st.sampled_from([CARD, OTHER, THIRD])
_N = st.integers(1, 2)
_STEPS = st.one_of(
    st.tuples(st.just("reserve"), st.integers(0, 2), st.integers(1, 3), _TOKENS, st.integers(30, 900)),
    st.tuples(st.just("visit"), _N, _TOKENS),
    st.tuples(st.just("leave"), _N),
    st.tuples(st.just("card"), st.integers(0, 2), _TOKENS),
    st.tuples(st.just("remote"), st.none() | _N, _TOKENS),
    st.tuples(st.just("cancel"), st.integers(1, 3)),
    st.tuples(st.sampled_from(["fault", "out of service"]), _N),
    st.tuples(st.just("wait"), st.integers(1, 120)),
    st.tuples(st.sampled_from(["link", "restart"])),
)


def _take(rig: Rig, step: tuple[Any, ...]) -> None:
    match step:
        case ("reserve", n, number, token, wait_s) if rig.linked:
            assert reserve(rig, n, number=number, token=token, until=rig.wall - NOON + wait_s) is not None
        case ("visit", n, token):
            rig.plug(n)
            rig.card(token, n)
        case ("leave", n):
            rig.unplug(n)
        case ("card", n, token):
            rig.card(token, n)
        case ("remote", n, token) if rig.linked:
            more = {} if n is None else {"connectorId": n}
            assert rig.status_of("RemoteStartTransaction", idTag=token, **more) is not None
        case ("cancel", number) if rig.linked:
            assert cancel(rig, number) in {"Accepted", "Rejected"}
        case ("fault", n):
            rig.fault("GroundFailure", n)
            rig.facts(n, errors=())
        case ("out of service", n) if rig.linked:
            for kind in ("Inoperative", "Operative"):
                assert rig.status_of("ChangeAvailability", connectorId=n, type=kind) is not None
        case ("wait", seconds):
            rig.after(seconds)
        case ("link",):
            rig.disconnect() if rig.linked else rig.connect()
        case ("restart",):
            rig.restart(reconnect=rig.linked)
        case _:
            pass  # the CSMS cannot ask while there is no link


def _starts(rig: Rig) -> dict[int, tuple[str, int | None]]:
    """Connector → who is charging there, and with which reservation."""
    running = {n: rig.station.state.evse_of(n).transaction for n in rig.devices}
    return {
        n: (transaction.token.id_token, transaction.reservation_id)
        for n, transaction in running.items()
        if transaction is not None and transaction.token is not None
    }


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(_STEPS, min_size=8, max_size=30))
def test_nobody_takes_what_is_reserved(steps: list[tuple[Any, ...]]) -> None:
    """Every CALL is answered; only the holder uses a reservation, and each status follows an allowed path."""
    rig = booted(2, AuthCtrlr__OfflineTxForUnknownIdEnabled="true")
    told: dict[int, str] = {}
    for step in steps:
        before, charging = dict(rig.station.state.reservations), _starts(rig)
        _take(rig, step)

        for n, (token, number) in _starts(rig).items():
            used = before.get(number) if number is not None and n not in charging else None
            assert used is None or used.token.id_token == token
        for record in rig.station.state.reservations.values():
            assert record.evse is None or rig.transaction(record.evse) is None
        assert {str(key) for key in rig.station.state.reservations} == set(rig.records.get("reservation", {}))
        for payload in (p for name, p in rig.sent() if name == "StatusNotification"):
            n, word = payload["connectorId"], payload["status"]
            if step[0] not in {"link", "restart"} and n in told and told[n] != word:
                assert word in availability.ALLOWED[ConnectorStatus(told[n])]
            told[n] = word
