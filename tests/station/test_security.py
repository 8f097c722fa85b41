"""Security events: the critical ones reach the CSMS, whatever happens."""

import pytest

from gateway.station import effects
from tests.station.rig import BOTH, REFUSED, Rig


def booted(version: str) -> Rig:
    rig = Rig(version)
    rig.boot()
    return rig


def told(rig: Rig) -> list[str]:
    return [s for s in rig.story() if s.startswith("Security")]


@BOTH
def test_tampering_is_told(version: str) -> None:
    """# A04.FR.01."""
    rig = booted(version)

    rig.device_report("tamper", info="lid")

    [event] = rig.payloads("SecurityEventNotification")
    assert ("TamperDetectionActivated", "lid") == (event["type"], event["techInfo"])


@BOTH
def test_delivery_is_guaranteed_offline_and_over_restarts(version: str) -> None:
    """# A04.FR.02."""
    rig = booted(version)
    rig.disconnect()
    rig.device_report("tamper")

    rig.restart()

    assert "Security TamperDetectionActivated" in told(rig)


@BOTH
def test_a_security_event_is_never_given_up(version: str) -> None:
    """# A04.FR.02: not subject to the attempts of transaction messages."""
    rig = booted(version)
    rig.answers["SecurityEventNotification"] = REFUSED
    rig.device_report("tamper")
    rig.after(3600)
    tried = told(rig)
    assert 5 < len(tried) < 100

    del rig.answers["SecurityEventNotification"]
    rig.after(400)

    assert ["Security TamperDetectionActivated"] == told(rig)


@BOTH
def test_a_late_tampering_is_told_all_the_same(version: str) -> None:
    """It happened, and matters."""
    rig = booted(version)

    rig.device_report("tamper", gesture_id="t1", at=rig.wall - 3600)

    assert ["Security TamperDetectionActivated"] == told(rig)


@pytest.mark.parametrize(
    ("version", "word"), [("1.6", "InvalidCentralSystemCertificate"), ("2.0.1", "InvalidCsmsCertificate")]
)
def test_a_bad_certificate_of_the_csms_is_told_once_while_it_lasts(version: str, word: str) -> None:
    """# A00.FR.309, [TC_A_05]: after the next successful connection."""
    rig = booted(version)
    for _ in range(3):
        rig.disconnect("tls_certificate", "self-signed")

    rig.connect()

    assert [f"Security {word}"] == told(rig)


@BOTH
def test_what_is_not_critical_is_only_logged(version: str) -> None:
    """# A04.FR.01: a refused password is shown, not pushed."""
    rig = booted(version)
    rig.disconnect("refused_auth", "HTTP 401")

    shown = [e.data["type"] for e in rig.done(effects.Notify) if e.event_type == "security"]
    rig.connect()

    assert ["FailedToAuthenticateAtCsms"] == shown
    assert [] == told(rig)


@BOTH
def test_the_startup_is_told_once_a_run(version: str) -> None:
    """# B01: StartupOfTheDevice, not at a boot after a reconnect."""
    rig = Rig(version)
    rig.start()
    rig.connect()
    assert ["Security StartupOfTheDevice"] == told(rig)
    rig.disconnect()
    rig.announce("boot1", firmware_version="9")

    rig.connect()

    assert [] == told(rig)
