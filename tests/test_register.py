"""Off is published at once and never overtaken; an on that is not on disk is held back."""

from __future__ import annotations

from gateway.register import Register
from gateway.station.effects import HoldLink, SetPoint, SetPointDocument


def setpoint(revision: int, *, energize: bool, transaction: str | None = "t", n: int = 1) -> SetPoint:
    return SetPoint(
        n,
        SetPointDocument(
            energize=energize, limit_a=16.0, limit_w=11040, phases=3, lock=False, transaction=transaction,
            operative=True, revision=revision, epoch="e", valid_s=90,
        ),
    )  # fmt: skip


def test_an_on_that_waited_never_overtakes_an_off() -> None:
    """The lower revision is dropped, whenever it comes; each connector has its own."""
    published: list[SetPoint] = []
    register = Register(published.append)
    on, off, other = setpoint(1, energize=True), setpoint(2, energize=False), setpoint(1, energize=True, n=2)
    for effect in (off, on, other):
        register.show(effect)
    assert [off, other] == published


def test_an_on_that_is_not_on_disk_is_held_until_it_is() -> None:
    """Everything else of its turn is done."""
    published: list[SetPoint] = []
    register = Register(published.append)
    on, hold = setpoint(5, energize=True), HoldLink(hold=True)
    permitted = register.hold_on([hold, on])
    assert [hold] == permitted
    assert [] == published
    register.release()
    assert [on] == published


def test_what_was_held_is_dropped_when_an_off_came_meanwhile() -> None:
    """Released too late: the off stands."""
    published: list[SetPoint] = []
    register = Register(published.append)
    register.hold_on([setpoint(5, energize=True)])
    off = setpoint(6, energize=False)
    register.show(off)
    register.release()
    assert [off] == published


def test_a_transaction_that_was_switched_on_before_may_be_limited_and_resumed() -> None:
    """The disk knows it: a lower limit must reach the device though the disk is full, and so must its resuming."""
    published: list[SetPoint] = []
    register = Register(published.append)
    register.show(setpoint(1, energize=True))
    lower, stranger = setpoint(2, energize=True), setpoint(3, energize=True, transaction="u")
    assert [lower] == register.hold_on([lower])
    assert [] == register.hold_on([stranger])
    assert [] == register.hold_on([setpoint(4, energize=True, transaction=None)])
