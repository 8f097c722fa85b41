"""Security profile and password: raised, changed, and taken back when the CSMS does not take what it has set."""

from typing import Any

import pytest

from gateway.station import effects
from tests.station.rig import BOTH, Rig
from tests.support.certificates import Authority

KEY = "4F43415F4F4354545F61646D696E5F74657374"
"""# [TC_073]."""


def booted(version: str = "1.6", profile: int = 0, *configured: str) -> Rig:
    given: dict[str, Any] = {"security_profile": profile, "configured": frozenset(configured)}
    rig = Rig(version, station=given)
    rig.boot()
    return rig


def change(rig: Rig) -> effects.ChangeLink:
    """What the link would be told now."""
    return rig.station.link_settings()


def shown_profile(rig: Rig) -> int:
    view = rig.station.state.view
    assert view is not None
    return view.security_profile


# ------------------------------------------------------------------ compliance test cases


def test_tc_073_a_new_password_is_used_at_once() -> None:
    """# [TC_073]: the reply, then a link with the bytes that the digits stand for."""
    rig = booted("1.6", 1, "password")

    assert rig.set("AuthorizationKey", KEY) == "Accepted"

    assert rig.story() == ["ChangeConfiguration: Accepted", "(link closed)"]
    assert (change(rig).password, change(rig).password_is_hex) == (KEY, True)


@pytest.mark.parametrize(("before", "after"), [(0, 1), (1, 2), (2, 3), (0, 3)])
def test_tc_083_the_profile_is_raised(before: int, after: int) -> None:
    """# [TC_083], A05: at once, by a link made anew."""
    rig = booted("1.6", before, "password", "authority", "certificate")

    assert rig.set("SecurityProfile", str(after)) == "Accepted"

    assert rig.story() == ["ChangeConfiguration: Accepted", "(link closed)"]
    assert change(rig).security_profile == after
    rig.connect()
    assert shown_profile(rig) == after
    assert rig.asks("GetConfiguration", key=["SecurityProfile"]) == {
        "configurationKey": [{"key": "SecurityProfile", "readonly": False, "value": str(after)}]
    }


@pytest.mark.parametrize(("before", "after"), [(1, 0), (2, 1), (3, 0), (2, 2), (0, 0)])
def test_tc_084_the_profile_is_never_lowered(before: int, after: int) -> None:
    """# [TC_084]: lower or equal."""
    rig = booted("1.6", before, "password", "authority", "certificate")

    assert rig.set("SecurityProfile", str(after)) == "Rejected"

    assert rig.story() == ["ChangeConfiguration: Rejected"]


# ------------------------------------------------------------------ what is needed first


@pytest.mark.parametrize(
    ("after", "configured"),
    [
        ("1", ("authority", "certificate")),
        ("2", ("authority",)),
        ("2", ("password", "certificate")),
        ("3", ("certificate",)),
        ("3", ("authority", "password")),
        ("4", ("authority", "password", "certificate")),
        ("-1", ("authority", "password", "certificate")),
        ("safe", ("authority", "password", "certificate")),
    ],
)
def test_a_profile_that_could_not_be_spoken_is_refused(after: str, configured: tuple[str, ...]) -> None:
    """# A05: a password, a root, a certificate."""
    rig = booted("1.6", 0, *configured)

    assert rig.set("SecurityProfile", after) == "Rejected"

    assert change(rig).security_profile == 0


def test_a_password_of_the_csms_is_enough_for_profile_1() -> None:
    """It need not be the operator's, and under profile 0 it does not disturb the link."""
    rig = booted()
    assert rig.set("AuthorizationKey", KEY) == "Accepted"
    assert "(link closed)" not in rig.story()

    assert rig.set("SecurityProfile", "1") == "Accepted"

    assert change(rig).password == KEY


def test_under_profile_3_no_password_is_sent() -> None:
    """# A00: one profile at a time."""
    rig = booted("1.6", 3, "certificate", "authority")

    rig.set("AuthorizationKey", KEY)

    assert change(rig).password is None


def test_the_profile_survives_a_restart() -> None:
    """It is never lowered, not by a restart either."""
    rig = booted("1.6", 0, "password")
    rig.set("SecurityProfile", "1")
    rig.connect()

    rig.restart()

    assert change(rig).security_profile == shown_profile(rig) == 1


# ------------------------------------------------------------------ what does not work is taken back


@BOTH
def test_a_password_that_is_refused_gives_way_to_the_former(version: str) -> None:
    """After three refusals the former is tried; once it has worked it stays."""
    rig = booted(version, 1, "password")
    key = KEY if version == "1.6" else "a-password-that-is-wrong"
    rig.set("AuthorizationKey" if version == "1.6" else "SecurityCtrlr.BasicAuthPassword", key)
    used = []
    for _ in range(8):
        used.append(change(rig).password)
        rig.disconnect("refused_auth", "HTTP 401")
    assert used == [key, key, key, None, key, key, key, None]
    for _ in range(3):
        rig.disconnect("refused_auth", "HTTP 401")

    rig.connect()

    assert change(rig).password is None
    rig.disconnect()
    assert change(rig).password is None


def test_an_outage_is_not_the_passwords_fault() -> None:
    """The CSMS may be away for long just after it has set a password."""
    rig = booted("1.6", 1, "password")
    rig.set("AuthorizationKey", KEY)

    for _ in range(3):
        rig.disconnect("unreachable", "connection refused")

    assert change(rig).password == KEY


def test_a_password_that_worked_is_not_given_up() -> None:
    """Whoever refuses it later has changed it elsewhere."""
    rig = booted("1.6", 1, "password")
    rig.set("AuthorizationKey", KEY)
    rig.connect()

    for _ in range(5):
        rig.disconnect("refused_auth", "HTTP 401")

    assert change(rig).password == KEY


@pytest.mark.parametrize("kind", ["unreachable", "tls_certificate", "refused_auth", "timeout"])
def test_a_profile_that_leads_nowhere_gives_way_to_the_former(kind: str) -> None:
    """# A05: whatever the reason, and the CSMS is told what is in force."""
    rig = booted("1.6", 1, "password", "authority")
    rig.set("SecurityProfile", "2")
    for _ in range(3):
        assert change(rig).security_profile == 2
        rig.disconnect(kind, "no")

    assert change(rig).security_profile == 1
    rig.connect()

    assert change(rig).security_profile == shown_profile(rig) == 1
    reply = rig.asks("GetConfiguration", key=["SecurityProfile"])
    assert isinstance(reply, dict)
    assert reply["configurationKey"][0]["value"] == "1"


def test_a_trial_goes_on_after_a_restart() -> None:
    """The way back is on disk."""
    rig = booted("1.6", 1, "password", "authority")
    rig.set("SecurityProfile", "2")

    rig.restart(reconnect=False)
    for _ in range(3):
        assert change(rig).security_profile == 2
        rig.disconnect("unreachable", "no")

    assert change(rig).security_profile == 1


def test_two_changes_at_once_are_taken_back_together() -> None:
    """What worked last is what comes back."""
    rig = booted("1.6", 0, "authority")
    rig.set("AuthorizationKey", KEY)
    rig.set("SecurityProfile", "1")
    for _ in range(3):
        rig.disconnect("refused_auth", "HTTP 401")

    rig.connect()

    assert change(rig).security_profile == 0
    assert rig.set("SecurityProfile", "1") == "Accepted"


def test_a_root_of_the_csms_is_passed_on_to_the_link(tmp_path: Any) -> None:
    """Without the link being cut."""
    root = Authority(tmp_path)
    rig = booted()

    rig.asks("InstallCertificate", certificateType="CentralSystemRootCertificate", certificate=root.pem)

    [told] = rig.done(effects.ChangeLink)
    assert [pem.strip() for pem in told.roots] == [root.pem.strip()]
    assert "(link closed)" not in rig.story()
