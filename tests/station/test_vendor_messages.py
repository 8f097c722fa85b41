"""DataTransfer, both ways: asked now or never, answered once; what the CSMS sends is a device's to answer."""

import pytest

from gateway.station import effects
from gateway.station.events import CommandAnswered
from gateway.station.model import Policy
from tests.station.rig import BOTH, REFUSED, Payload, Rig

ALLOWED = frozenset({"data_transfer"})
KNOWN = (("com.acme", frozenset({"SetText"})), ("org.any", frozenset[str]()))


def booted(version: str) -> Rig:
    rig = Rig(version, connectors=2, policy=Policy(allow_requests=ALLOWED, vendors=KNOWN))
    rig.boot()
    return rig


def sends(rig: Rig, **payload: str) -> str | None:
    """The status that the CSMS gets for its DataTransfer, None while it waits."""
    return rig.status_of("DataTransfer", **payload)


@BOTH
def test_what_the_csms_answers_is_the_response(version: str) -> None:
    """The CALL carries what was asked; status and data come back."""
    rig = booted(version)
    rig.answers["DataTransfer"] = {"status": "Accepted", "data": "3.20 EUR"}

    response = rig.request("data_transfer", 0, vendor_id="com.acme", message_id="Price", data="garage")

    assert response == effects.Respond(1, ok=True, data={"status": "Accepted", "data": "3.20 EUR"})
    [sent] = rig.payloads("DataTransfer")
    assert {"vendorId": "com.acme", "messageId": "Price", "data": "garage"} == sent


@BOTH
def test_what_is_left_out_is_not_sent(version: str) -> None:
    """Only the vendor is needed."""
    rig = booted(version)

    rig.request("data_transfer", 0, vendor_id="com.acme", message_id=None, data=None)

    assert [{"vendorId": "com.acme"}] == rig.payloads("DataTransfer")


@BOTH
def test_a_refusal_of_the_csms_is_an_error(version: str) -> None:
    """A CALLERROR is told as what it is."""
    rig = booted(version)
    rig.answers["DataTransfer"] = REFUSED

    response = rig.request("data_transfer", 0, vendor_id="com.acme")

    assert response is not None
    assert not response.ok
    assert "InternalError" in str(response.error)


@BOTH
def test_without_a_session_it_is_refused_at_once(version: str) -> None:
    """Now or never: nothing is queued."""
    rig = booted(version)
    rig.disconnect()

    response = rig.request("data_transfer", 0, vendor_id="com.acme")
    rig.connect()

    assert response is not None
    assert "there is no session with the CSMS" == response.error
    assert [] == rig.payloads("DataTransfer")


@BOTH
def test_whoever_waits_is_told_when_the_session_is_lost(version: str) -> None:
    """One response, an error; the answer that never came changes nothing later."""
    rig = booted(version)
    rig.answers["DataTransfer"] = None
    assert rig.request("data_transfer", 0, vendor_id="com.acme") is None

    rig.disconnect()

    [response] = rig.done(effects.Respond)
    assert "the session with the CSMS was lost" == response.error


@BOTH
def test_only_so_many_wait_at_once(version: str) -> None:
    """A further one is refused at once."""
    rig = booted(version)
    rig.answers["DataTransfer"] = None
    for _ in range(32):
        assert rig.request("data_transfer", 0, vendor_id="com.acme") is None

    response = rig.request("data_transfer", 0, vendor_id="com.acme")

    assert response is not None
    assert "32 messages wait for the CSMS already" == response.error


@BOTH
@pytest.mark.parametrize(
    ("message", "status"),
    [
        ({"vendorId": "com.other", "messageId": "SetText"}, "UnknownVendorId"),
        ({"vendorId": "com.acme", "messageId": "Nonsense"}, "UnknownMessageId"),
        ({"vendorId": "com.acme"}, "UnknownMessageId"),
    ],
)
def test_what_no_device_understands_is_refused(version: str, message: Payload, status: str) -> None:
    """# [TC_062]: another vendor, another message; everybody sees it on MQTT all the same."""
    rig = booted(version)
    rig.forget()

    assert status == sends(rig, **message)

    assert [] == rig.commands("data")
    [told] = rig.done(effects.Notify)
    assert ("message", "data_transfer") == (told.kind, told.event_type)


@BOTH
@pytest.mark.parametrize(("result", "status"), [("accepted", "Accepted"), ("rejected", "Rejected")])
def test_a_device_answers(version: str, result: str, status: str) -> None:
    """It gets the whole message; its result and data are the reply."""
    rig = booted(version)

    assert sends(rig, vendorId="com.acme", messageId="SetText", data="Hello") is None
    [command] = rig.commands("data")
    rig.happens(CommandAnswered(0, command.id, result, "", "shown"))

    assert (0, {"vendor_id": "com.acme", "message_id": "SetText", "data": "Hello"}) == (
        command.n,
        command.arguments,
    )
    assert {"status": status, "data": "shown"} == rig.late_reply()


@BOTH
def test_a_silent_device_is_an_honest_refusal(version: str) -> None:
    """Rejected before the CSMS gives up."""
    rig = booted(version)
    assert sends(rig, vendorId="org.any") is None

    rig.after(20)

    assert {"status": "Rejected"} == rig.late_reply()


@BOTH
def test_without_a_device_it_is_rejected_at_once(version: str) -> None:
    """Nobody is there who could understand it."""
    rig = booted(version)
    for n in (1, 2):
        rig.presence(n, online=False)

    assert "Rejected" == sends(rig, vendorId="org.any", messageId="x")
