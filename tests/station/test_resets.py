"""Resets: transactions end first, the reply goes out, the session closes, and the station boots anew."""

import pytest

from gateway.station.effects import Notify
from gateway.station.model import Policy, TxPoint
from tests.station.rig import BOTH, CARD, TIMED_OUT, Payload, Rig


def booted(version: str, connectors: int = 2) -> Rig:
    rig = Rig(version, connectors=connectors)
    rig.boot()
    return rig


def reset(rig: Rig, kind: str, **more: int) -> str | None:
    return rig.status_of("Reset", type=kind, **more)


def boots(rig: Rig) -> Payload:
    """The link comes back after a reset: the BootNotification."""
    rig.connect()
    [boot] = rig.payloads("BootNotification")
    return boot


@pytest.mark.parametrize(
    ("version", "kind"), [("1.6", "Hard"), ("1.6", "Soft"), ("2.0.1", "Immediate"), ("2.0.1", "OnIdle")]
)
def test_without_a_transaction_it_is_done_at_once(version: str, kind: str) -> None:
    """# [TC_013], [TC_014], B11.FR.01, .03, [TC_B_20]: reply, then the session closes, then a boot."""
    rig = booted(version)

    assert "Accepted" == reset(rig, kind)

    assert ["Reset: Accepted", "(link closed)"] == rig.story()
    boot = boots(rig)
    wanted = "RemoteReset" if kind == "Immediate" else "ScheduledReset"
    assert version == "1.6" or boot["reason"] == wanted  # B11.FR.03
    assert any(s.startswith("Status 1") for s in rig.story())


@pytest.mark.parametrize(("version", "kind"), [("1.6", "Hard"), ("1.6", "Soft"), ("2.0.1", "Immediate")])
def test_unavailable_persists(version: str, kind: str) -> None:
    """# [TC_013], [TC_014], B11.FR.05, [TC_B_23]: Unavailable after the boot, the others Available."""
    rig = booted(version)
    if version == "1.6":
        rig.asks("ChangeAvailability", connectorId=1, type="Inoperative")
    else:
        rig.asks("ChangeAvailability", operationalStatus="Inoperative", evse={"id": 1})

    reset(rig, kind)
    rig.forget()
    rig.connect()

    story = rig.story()
    first, second = ("Status 1", "Status 2") if version == "1.6" else ("Status 1.1", "Status 2.1")
    assert f"{first} Unavailable" in story
    assert f"{second} Available" in story


@pytest.mark.parametrize("kind", ["Hard", "Soft"])
def test_16_with_a_transaction(kind: str) -> None:
    """# [TC_015], [TC_016]: Accepted, StopTransaction with its reason, then the close; Finishing after the boot."""
    rig = booted("1.6")
    rig.session()

    assert "Accepted" == reset(rig, kind)

    story = rig.story()
    assert "Reset: Accepted" == story[0]
    assert f"Stop 77 {kind}Reset 1000" in story
    assert "(link closed)" == story[-1]
    rig.connect()
    story = rig.story()
    assert "Status 1 Finishing" in story
    assert "Status 2 Available" in story


def test_201_immediate_with_a_transaction() -> None:
    """# B12.FR.04, [TC_B_22]: Accepted, Ended ResetCommand ImmediateReset."""
    rig = booted("2.0.1")
    rig.session()

    assert "Accepted" == reset(rig, "Immediate")

    assert [
        "Reset: Accepted",
        "Ended ResetCommand EVConnected ImmediateReset",
        "(link closed)",
    ] == rig.story()
    assert "RemoteReset" == boots(rig)["reason"]


def test_201_immediate_whatever_the_stop_points() -> None:
    """# B12.FR.04: also where only the unplugging would end it."""
    rig = Rig("2.0.1", policy=Policy(stop_points=frozenset({TxPoint.EV_CONNECTED})))
    rig.boot()
    rig.session()

    reset(rig, "Immediate")

    assert [s for s in rig.story() if s.startswith("Ended ResetCommand")]


def test_201_on_idle_with_transactions_waits_for_the_last() -> None:
    """# B12.FR.01, .02, [TC_B_21], [TC_B_41]: Scheduled; nobody new meanwhile need be refused; then it is done."""
    rig = booted("2.0.1")
    rig.session(CARD, 1)
    rig.session("0455667788", 2)

    assert "Scheduled" == reset(rig, "OnIdle")
    rig.card(CARD, 1)
    rig.unplug(1)
    assert "(link closed)" not in rig.story()
    rig.card("0455667788", 2)

    story = rig.story()
    assert "Ended StopAuthorized EVConnected" == story[-2]
    assert "(link closed)" == story[-1]
    assert "ScheduledReset" == boots(rig)["reason"]


def test_201_an_evse_cannot_be_reset_alone() -> None:
    """# B11.FR.09, [TC_B_28], [TC_B_29]: AllowReset is false."""
    rig = booted("2.0.1")

    assert "Rejected" == reset(rig, "Immediate", evseId=1)


@BOTH
def test_what_the_csms_does_not_answer_is_told_after_the_boot(version: str) -> None:
    """# B12.FR.03, [TC_015]: the reset waits a while, not for ever."""
    rig = booted(version)
    rig.session()
    action = "StopTransaction" if version == "1.6" else "TransactionEvent"
    rig.answers[action] = TIMED_OUT
    reset(rig, "Hard" if version == "1.6" else "Immediate")
    assert "(link closed)" not in rig.story()

    rig.after(21)
    assert "(link closed)" in rig.story()
    del rig.answers[action]
    rig.connect()

    story = rig.story()
    assert "BootNotification" == story[0]
    assert [s for s in story if s.startswith(("Stop 77", "Ended ResetCommand"))]


@BOTH
def test_a_second_reset_during_the_first_is_rejected(version: str) -> None:
    """One at a time."""
    rig = booted(version)
    rig.session()
    rig.answers["StopTransaction" if version == "1.6" else "TransactionEvent"] = None
    kind = "Hard" if version == "1.6" else "Immediate"
    reset(rig, kind)

    assert "Rejected" == reset(rig, kind)


@BOTH
def test_nothing_starts_during_a_reset(version: str) -> None:
    """A card shown meanwhile is refused."""
    rig = booted(version)
    rig.session()
    rig.answers["StopTransaction" if version == "1.6" else "TransactionEvent"] = None
    reset(rig, "Hard" if version == "1.6" else "Immediate")
    rig.plug(2)

    rig.card("0455667788", 2)

    assert rig.transaction(2) is None


@BOTH
def test_devices_are_reset_too(version: str) -> None:
    """command/reset, where the device understands it."""
    rig = booted(version)

    reset(rig, "Hard" if version == "1.6" else "Immediate")

    assert ["hard"] == [command.arguments["type"] for command in rig.commands("reset")]


@BOTH
def test_the_reset_button_of_the_station(version: str) -> None:
    """# 1.6 §7.36 Reboot, B01 LocalReset."""
    rig = booted(version)
    rig.session()

    rig.device_report("local_reset", 0)

    story = rig.story()
    assert any("Reboot" in s for s in story if s.startswith(("Stop 77", "Ended")))
    assert "(link closed)" == story[-1]
    assert version == "1.6" or boots(rig)["reason"] == "LocalReset"


@BOTH
def test_the_boot_reason_survives_a_restart_of_the_gateway(version: str) -> None:
    """It is kept over the reboot that it explains, and told as a security event."""
    rig = booted(version)
    reset(rig, "Hard" if version == "1.6" else "Immediate")
    rig.forget()

    rig.restart()

    assert "Security ResetOrReboot" in rig.story()


@BOTH
def test_a_reset_that_a_device_did_not_do_is_asked_again(version: str) -> None:
    """# 1.6 ResetRetries: refused or unanswered, so many times more under ids of their own; then it is said."""
    rig = booted(version)
    assert "Accepted" == rig.set("ResetRetries" if version == "1.6" else "OCPPCommCtrlr.ResetRetries", "2")
    reset(rig, "Hard" if version == "1.6" else "Immediate")

    rig.result("failed", name="reset", info="busy")
    assert 2 == len(rig.commands("reset"))
    rig.after(20)
    assert 3 == len(rig.commands("reset"))
    rig.after(20)

    assert 3 == len({command.id for command in rig.commands("reset")})
    told = [(e.event_type, e.data["command"]) for e in rig.done(Notify) if e.kind == "command"]
    assert [("failed", "reset")] * 3 == told


@BOTH
@pytest.mark.parametrize("how", ["accepted", "reboots", "not_supported"])
def test_a_reset_that_was_done_or_cannot_be_is_not_repeated(version: str, how: str) -> None:
    """Answered, or answered by booting, or impossible: once is enough."""
    rig = booted(version)
    reset(rig, "Hard" if version == "1.6" else "Immediate")

    if how == "reboots":
        rig.announce("boot2")
    else:
        rig.result(how, name="reset")
    rig.after(60)

    assert 1 == len(rig.commands("reset"))
