"""The station's own certificate: asked for, refused when it is not what was asked for, used, renewed."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.certificates import Desk, KeyRing
from gateway.station import effects
from gateway.station.certificate_work import CertificateWork
from gateway.station.model import Policy
from tests.station.rig import BOTH, REFUSED, TIMED_OUT, Rig
from tests.support.certificates import Authority

EVENT = {
    "1.6": "Security InvalidChargePointCertificate",
    "2.0.1": "Security InvalidChargingStationCertificate",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "Operator Root")


@pytest.fixture
def station(tmp_path: Path, root: Authority) -> Callable[..., Rig]:
    """A booted station that trusts the root; one in security profile 3 has the operator's certificate."""

    def made(version: str = "1.6", *, profile: int = 0, policy: Policy | None = None) -> Rig:
        given = {"security_profile": profile, "serial": "SN-1", "configured": frozenset({"certificate"})}
        rig = Rig(version, station=given if profile == 3 else {"serial": "SN-1"}, policy=policy)
        rig.desk = Desk(KeyRing(tmp_path / "keys"))
        rig.boot()
        use = "CentralSystemRootCertificate" if version == "1.6" else "CSMSRootCertificate"
        rig.asks("InstallCertificate", certificateType=use, certificate=root.pem)
        rig.forget()
        return rig

    return made


def trigger(rig: Rig) -> str | None:
    if rig.version == "1.6":
        return rig.status_of("ExtendedTriggerMessage", requestedMessage="SignChargePointCertificate")
    return rig.status_of("TriggerMessage", requestedMessage="SignChargingStationCertificate")


def request_of(rig: Rig) -> str:
    """The request that was sent last."""
    return str(rig.payloads("SignCertificate")[-1]["csr"])


def signed(rig: Rig, chain: str) -> str | None:
    return rig.status_of("CertificateSigned", certificateChain=chain)


def key_files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "keys").glob("*.key.pem"))


# ------------------------------------------------------------------ compliance test cases


@BOTH
def test_tc_074_a_new_certificate_is_asked_for_taken_and_used(
    station: Callable[..., Rig], root: Authority, version: str
) -> None:
    """# [TC_074], A02: reply, SignCertificate, CertificateSigned, and a link made anew."""
    rig = station(version, profile=3)

    assert trigger(rig) == "Accepted"

    certificate = root.sign(request_of(rig))
    rig.forget()
    assert signed(rig, certificate) == "Accepted"
    assert [said for said in rig.story() if "Trigger" not in said] == [
        "CertificateSigned: Accepted",
        "(link closed)",
    ]
    key, chain = change(rig).certificate or ("", "")
    assert key
    assert chain.strip() == certificate.strip()


@BOTH
def test_tc_077_a_certificate_for_another_key_is_refused_and_told(
    station: Callable[..., Rig], root: Authority, version: str
) -> None:
    """# [TC_077], A02.FR.07: reply first."""
    rig = station(version)
    trigger(rig)
    trigger(rig)
    first, second = (payload["csr"] for payload in rig.payloads("SignCertificate"))
    assert first != second
    rig.forget()

    assert signed(rig, root.sign(first)) == "Rejected"

    assert rig.story() == ["CertificateSigned: Rejected", EVENT[version]]


def change(rig: Rig) -> effects.ChangeLink:
    """What the link would be told now."""
    return rig.station.link_settings()


# ------------------------------------------------------------------ the request


def test_the_request_names_the_station_by_its_serial_and_its_owner(station: Callable[..., Rig]) -> None:
    """# A00.FR.508: CN is the serial number, O the CpoName."""
    rig = station()
    rig.set("CpoName", "Sunny Chargers")

    trigger(rig)

    asked = x509.load_pem_x509_csr(request_of(rig).encode())
    names = {name.oid: name.value for name in asked.subject}
    assert names == {NameOID.COMMON_NAME: "SN-1", NameOID.ORGANIZATION_NAME: "Sunny Chargers"}
    assert isinstance(asked.public_key(), ec.EllipticCurvePublicKey)


def test_the_operator_may_want_rsa(station: Callable[..., Rig]) -> None:
    """# A00.FR.508: 2048 bits at least."""
    rig = station(policy=Policy(certificate_key="rsa"))

    trigger(rig)

    key = x509.load_pem_x509_csr(request_of(rig).encode()).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048


def test_private_keys_are_for_nobody_else(station: Callable[..., Rig], tmp_path: Path) -> None:
    """And those of requests that came to nothing do not stay."""
    rig = station()

    trigger(rig)
    trigger(rig)

    [name] = key_files(tmp_path)
    assert (tmp_path / "keys" / name).stat().st_mode & 0o777 == 0o600


def test_a_request_that_is_not_signed_is_sent_again_and_again_less_often(station: Callable[..., Rig]) -> None:
    """# A02.FR.17, FR.18: CertSigningWaitMinimum doubles, CertSigningRepeatTimes."""
    rig = station()
    trigger(rig)
    rig.forget()

    rig.after(59)
    assert rig.payloads("SignCertificate") == []
    rig.after(2)
    assert len(rig.payloads("SignCertificate")) == 1
    rig.after(118)
    assert len(rig.payloads("SignCertificate")) == 1
    rig.after(3600)
    assert len(rig.payloads("SignCertificate")) == 3


@pytest.mark.parametrize("answer", [{"status": "Rejected"}, REFUSED])
def test_a_request_that_is_refused_is_not_repeated(
    station: Callable[..., Rig], tmp_path: Path, answer: Any
) -> None:
    """# A02.FR.20; its key goes."""
    rig = station()
    rig.answers["SignCertificate"] = answer

    trigger(rig)
    rig.after(3600)

    assert len(rig.payloads("SignCertificate")) == 1
    assert key_files(tmp_path) == []


def test_no_answer_is_like_no_certificate(station: Callable[..., Rig]) -> None:
    """The CSMS may have taken the request all the same."""
    rig = station()
    rig.answers["SignCertificate"] = TIMED_OUT

    trigger(rig)
    rig.after(61)

    assert len(rig.payloads("SignCertificate")) == 2


def test_a_request_survives_the_link_and_a_restart(station: Callable[..., Rig], root: Authority) -> None:
    """It is sent again, the same, and its certificate is taken."""
    rig = station()
    rig.answers["SignCertificate"] = None
    trigger(rig)
    request = request_of(rig)
    rig.disconnect()
    del rig.answers["SignCertificate"]

    rig.restart()

    assert request_of(rig) == request
    assert signed(rig, root.sign(request)) == "Accepted"


# ------------------------------------------------------------------ what is refused


def test_without_a_request_no_certificate_is_taken(station: Callable[..., Rig]) -> None:
    """# A02.FR.07."""
    rig = station()

    assert signed(rig, "what") == "Rejected"

    assert EVENT["1.6"] in rig.story()


def test_a_chain_beyond_the_limit_is_refused(station: Callable[..., Rig], root: Authority) -> None:
    """# A02.FR.16; CertificateSignedMaxChainSize is 10000 at most, and so is what the schema lets through."""
    rig = station()
    rig.station.state.variables.provide("SecurityCtrlr", "MaxCertificateChainSize", "600")
    trigger(rig)

    assert signed(rig, root.sign(request_of(rig)) + root.pem) == "Rejected"


@pytest.mark.parametrize("fault", ["nonsense", "expired", "another root", "for a server", "with a stranger"])
def test_what_cannot_be_used_is_refused(
    station: Callable[..., Rig], root: Authority, tmp_path: Path, fault: str
) -> None:
    """# A02.FR.06: and what was in use before stays in use."""
    rig = station(profile=3)
    trigger(rig)
    request, past = request_of(rig), dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    stranger = Authority(tmp_path, "Stranger")
    match fault:
        case "nonsense":
            chain = "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"
        case "expired":
            chain = root.sign(request, valid_from=past - dt.timedelta(days=1), valid_until=past)
        case "another root":
            chain = stranger.sign(request)
        case "for a server":
            chain = root.sign(request, usage=ExtendedKeyUsageOID.SERVER_AUTH)
        case _:
            chain = root.sign(request) + stranger.pem
    rig.forget()

    assert signed(rig, chain) == "Rejected"

    assert rig.story() == ["CertificateSigned: Rejected", EVENT["1.6"]]
    assert change(rig).certificate is None


def test_a_chain_over_an_authority_between_is_put_in_order(
    station: Callable[..., Rig], root: Authority, tmp_path: Path
) -> None:
    """The link presents the station's certificate first, whatever the CSMS's order."""
    rig = station(profile=3)
    between = Authority(tmp_path, "Between", signed_by=root)
    trigger(rig)
    certificate = between.sign(request_of(rig))

    assert signed(rig, between.pem + certificate) == "Accepted"

    assert change(rig).certificate is not None
    chain = (change(rig).certificate or ("", ""))[1]
    assert x509.load_pem_x509_certificates(chain.encode())[0] == x509.load_pem_x509_certificate(
        certificate.encode()
    )


def test_without_any_root_the_chain_only_has_to_fit_its_key(tmp_path: Path, root: Authority) -> None:
    """There is nobody to ask whom to trust."""
    rig = Rig("1.6")
    rig.desk = Desk(KeyRing(tmp_path / "keys"))
    rig.boot()
    trigger(rig)

    assert signed(rig, root.sign(request_of(rig))) == "Accepted"


class SlowDesk(Desk):
    """Never done with what it is told to do."""

    def carry_out(self, work: CertificateWork, _done: Any) -> None:
        """Somebody else may have it."""


def test_a_chain_that_nobody_reads_in_time_is_refused(
    station: Callable[..., Rig], root: Authority, tmp_path: Path
) -> None:
    """The CSMS gets its one answer, an honest one."""
    rig = station()
    trigger(rig)
    rig.desk = SlowDesk(KeyRing(tmp_path))

    assert signed(rig, root.sign(request_of(rig))) is None
    rig.after(16)

    assert rig.late_reply() == {"status": "Rejected"}


# ------------------------------------------------------------------ using it


def test_below_profile_3_a_certificate_is_kept_and_the_link_left_alone(
    station: Callable[..., Rig], root: Authority
) -> None:
    """It is of use once the profile is raised."""
    rig = station()
    trigger(rig)

    signed(rig, root.sign(request_of(rig)))

    assert "(link closed)" not in rig.story()
    assert change(rig).certificate is None


def test_one_that_is_valid_later_is_used_later(station: Callable[..., Rig], root: Authority) -> None:
    """# A02.FR.10: from its notBefore on."""
    rig = station(profile=3)
    trigger(rig)
    start = dt.datetime.fromtimestamp(rig.wall, dt.UTC) + dt.timedelta(hours=1)
    assert signed(rig, root.sign(request_of(rig), valid_from=start)) == "Accepted"
    assert "(link closed)" not in rig.story()

    rig.after(3600.1)

    assert "(link closed)" in rig.story()
    assert change(rig).certificate is not None


def test_it_survives_a_restart(station: Callable[..., Rig], root: Authority) -> None:
    rig = station(profile=3)
    trigger(rig)
    signed(rig, root.sign(request_of(rig)))
    used = change(rig).certificate
    rig.connect()

    rig.restart()

    assert used is not None
    assert change(rig).certificate == used


def test_one_that_ends_soon_is_renewed_without_being_asked(
    station: Callable[..., Rig], root: Authority
) -> None:
    """# A03: a month before its end."""
    rig = station(profile=3)
    trigger(rig)
    end = dt.datetime.fromtimestamp(rig.wall, dt.UTC) + dt.timedelta(days=31)
    signed(rig, root.sign(request_of(rig), valid_until=end))
    rig.connect()
    rig.forget()
    rig.devices_fall_silent()

    rig.after(0.9 * 86400)
    assert rig.payloads("SignCertificate") == []
    rig.after(0.2 * 86400)

    assert rig.payloads("SignCertificate") != []


def test_one_that_the_csms_does_not_take_gives_way_to_the_former(
    station: Callable[..., Rig], root: Authority
) -> None:
    """# A02.FR.11: after three refusals the former one is tried, and stays."""
    rig = station(profile=3)
    rig.disconnect()
    rig.connect()
    trigger(rig)
    signed(rig, root.sign(request_of(rig)))
    assert change(rig).certificate is not None
    for _ in range(3):
        rig.disconnect("tls_other", "alert bad certificate")

    assert change(rig).certificate is None
    rig.connect()

    assert change(rig).certificate is None
    assert rig.station.state.own.held == {}
