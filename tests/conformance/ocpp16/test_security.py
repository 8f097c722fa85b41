"""Security: passwords, certificates, profiles (security whitepaper, edition 3)."""

from __future__ import annotations

import base64
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

from gateway.csms.endpoint import authorization
from tests.conformance.bench import Bench
from tests.conformance.cases import case, case_of_its_own
from tests.conformance.charging_station import ChargingStation
from tests.support.certificates import Authority
from tests.support.csms import Csms
from tests.support.gateway import Site

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.csms import Station

OLD_KEY = "4F43415F4F4354545F61646D696E5F74657373"
NEW_KEY = "4F43415F4F4354545F61646D696E5F74657374"
CSMS_ROOT, MANUFACTURER_ROOT = "CentralSystemRootCertificate", "ManufacturerRootCertificate"
WITH_PASSWORD: dict[str, Any] = {"csms": {"password": OLD_KEY}}
QUICKLY: dict[str, Any] = {
    "OCPPCommCtrlr.RetryBackOffWaitMinimum": 1,
    "OCPPCommCtrlr.RetryBackOffRandomRange": 0,
}


def basic(key: str) -> str:
    """The header carries the bytes, not the digits."""
    return "Basic " + base64.b64encode(b"CP1:" + bytes.fromhex(key)).decode()


@case(
    "TC_073", "Update Charge Point Password for HTTP Basic Authentication", "Security", station=WITH_PASSWORD
)
async def test_tc_073_update_password(cs: Bench) -> None:
    """Accepted, then a connection with the new password."""
    assert [basic(OLD_KEY)] == [authorization(config) for config in cs.handshakes]

    await cs.configure(AuthorizationKey=NEW_KEY)

    assert [basic(OLD_KEY), basic(NEW_KEY)] == [authorization(config) for config in cs.handshakes]


# ------------------------------------------------------------------ authorities


@case("TC_075_1", "Install a certificate – ManufacturerRootCertificate", "Security", live=True)
async def test_tc_075_1_install_manufacturer_root(cs: ChargingStation, tmp_path: Path) -> None:
    """Accepted; listed with the right hashes."""
    await install_and_list(cs, Authority(tmp_path), MANUFACTURER_ROOT)


@case("TC_075_2", "Install a certificate – CentralSystemRootCertificate", "Security", live=True)
async def test_tc_075_2_install_central_system_root(cs: ChargingStation, tmp_path: Path) -> None:
    """Accepted; listed with the right hashes."""
    await install_and_list(cs, Authority(tmp_path), CSMS_ROOT)


async def install_and_list(cs: ChargingStation, root: Authority, use: str) -> None:
    assert "Accepted" == await cs.status_of("InstallCertificate", certificateType=use, certificate=root.pem)
    listed = await cs.ask("GetInstalledCertificateIds", certificateType=use)
    assert "Accepted" == listed["status"]
    assert [name_of(root)] == listed["certificateHashData"]


def name_of(root: Authority) -> dict[str, str]:
    """As OpenSSL writes it into an OCSP request."""
    certificate = x509.load_pem_x509_certificate(root.pem.encode())
    asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, certificate, hashes.SHA256())
    request = asked.build()
    return {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": request.issuer_name_hash.hex(),
        "issuerKeyHash": request.issuer_key_hash.hex(),
        "serialNumber": f"{certificate.serial_number:x}",
    }


@case("TC_076", "Delete a specific certificate from the Charge Point", "Security", live=True)
async def test_tc_076_delete_certificate(cs: ChargingStation, tmp_path: Path) -> None:
    """Accepted; gone from the list."""
    root = Authority(tmp_path)
    await cs.ask("InstallCertificate", certificateType=CSMS_ROOT, certificate=root.pem)
    listed = await cs.ask("GetInstalledCertificateIds", certificateType=CSMS_ROOT)
    [name] = listed["certificateHashData"]

    assert "Accepted" == await cs.status_of("DeleteCertificate", certificateHashData=name)

    assert {"status": "NotFound"} == await cs.ask("GetInstalledCertificateIds", certificateType=CSMS_ROOT)


@case("TC_077", "Invalid ChargePointCertificate Security Event", "Security")
async def test_tc_077_invalid_charge_point_certificate(cs: Bench, tmp_path: Path) -> None:
    """A certificate for somebody else's key: Rejected, and told."""
    trigger = {"requestedMessage": "SignChargePointCertificate"}
    assert "Accepted" == await cs.status_of("ExtendedTriggerMessage", **trigger)
    await cs.expect("SignCertificate", csr=lambda csr: csr.startswith("-----BEGIN CERTIFICATE REQUEST-----"))
    certificate, _key = Authority(tmp_path).issue("CP1")

    status = await cs.status_of("CertificateSigned", certificateChain=certificate.read_text())

    assert "Rejected" == status
    await cs.expect("SecurityEventNotification", type="InvalidChargePointCertificate", techInfo=bool)


@case("TC_078", "Invalid CentralSystemCertificate Security Event", "Security")
async def test_tc_078_invalid_central_system_certificate(cs: Bench) -> None:
    """Rejected, and told."""
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

    assert "Rejected" == await cs.status_of("InstallCertificate", certificateType=CSMS_ROOT, certificate=pem)

    await cs.expect("SecurityEventNotification", type="InvalidCentralSystemCertificate", techInfo=bool)


@case("TC_084", "Downgrade Charge Point Security Profile – Rejected", "Security", station=WITH_PASSWORD)
async def test_tc_084_downgrade_security_profile(cs: Bench) -> None:
    """Neither lower nor equal."""
    for profile in ("0", "1"):
        assert "Rejected" == await cs.status_of("ChangeConfiguration", key="SecurityProfile", value=profile)
    assert 1 == len(cs.handshakes)


# ------------------------------------------------------------------ over TLS


class Place:
    """A charge point of security profile 2 or 3, with a CSMS that speaks TLS."""

    def __init__(self, directory: Path, *, profile: int = 2) -> None:
        self.authority = Authority(directory)
        certificate, key = self.authority.issue("SN-OLD")
        context = self.authority.server_context("127.0.0.1", demand_client=profile == 3)
        passwords = {"CP1": bytes.fromhex(OLD_KEY)} if profile == 2 else None
        self.csms = Csms(versions=["ocpp1.6"], passwords=passwords, ssl=context)
        ways: dict[str, Any] = {"versions": ["1.6"], "ca_file": str(self.authority.ca_file)}
        if profile == 2:
            ways |= {"password": OLD_KEY}
        else:
            ways |= {"client_cert_file": str(certificate), "client_key_file": str(key)}
        station = {"serial": "SN-1", "csms": ways, "variables": QUICKLY}
        self.site = Site(directory, "1.6", csms=self.csms, station=station)

    async def renew_certificate(self) -> None:
        """A certificate of its own, signed by the authority."""
        cp = self.site.cp
        trigger = {"requestedMessage": "SignChargePointCertificate"}
        assert {"status": "Accepted"} == await cp.call("ExtendedTriggerMessage", trigger)
        asked = await cp.expect("SignCertificate")
        chain = {"certificateChain": self.authority.sign(asked.payload["csr"])}
        assert {"status": "Accepted"} == await cp.call("CertificateSigned", chain)


async def set_profile(cp: Station, profile: int) -> str:
    reply = await cp.call("ChangeConfiguration", {"key": "SecurityProfile", "value": str(profile)})
    return str(reply["status"])


@case_of_its_own("TC_074", "Update Charge Point Certificate by request of Central System", "Security", "TLS")
async def test_tc_074_update_charge_point_certificate(tmp_path: Path) -> None:
    """Asked for, signed, and shown in the next handshake."""
    place = Place(tmp_path, profile=3)
    async with place.site as site:
        assert "SN-OLD" in str(site.cp.peer_certificate)

        await place.renew_certificate()

        await site.cp.connection(2)
        assert "SN-1" in str(site.cp.peer_certificate)


@case_of_its_own("TC_083", "Upgrade Charge Point Security Profile – Accepted", "Security", "TLS")
async def test_tc_083_upgrade_security_profile(tmp_path: Path) -> None:
    """From password to certificate; the next connection shows one, and no password."""
    place = Place(tmp_path)
    root = {"certificateType": CSMS_ROOT, "certificate": place.authority.pem}
    async with place.site as site:
        assert {"status": "Accepted"} == await site.cp.call("InstallCertificate", root)
        await place.renew_certificate()
        place.csms.passwords = None
        context = place.csms.tls
        assert context is not None
        context.load_verify_locations(place.authority.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED

        assert "Accepted" == await set_profile(site.cp, 3)

        await site.cp.connection(2)
        assert "SN-1" in str(site.cp.peer_certificate)
        assert "Authorization" not in place.csms.handshakes[-1].headers
        reply = await site.cp.call("GetConfiguration", {"key": ["SecurityProfile"]})
        assert "3" == reply["configurationKey"][0]["value"]


@case_of_its_own("TC_085", "Basic Authentication – Valid username/password combination", "Security", "TLS")
async def test_tc_085_basic_authentication(tmp_path: Path) -> None:
    """Identity and the key's bytes."""
    place = Place(tmp_path)
    async with place.site:
        assert basic(OLD_KEY) == place.csms.handshakes[0].headers["Authorization"]


@case_of_its_own("TC_086", "TLS – server-side certificate – valid certificate", "Security", "TLS")
@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"])
async def test_tc_086_server_certificate(tmp_path: Path, suite: str) -> None:
    """TLS 1.2 with each suite that is demanded, then the boot."""
    place = Place(tmp_path)
    context = place.csms.tls
    assert context is not None
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suite)
    async with place.site as site:
        assert "Accepted" == site.cp.registration
        assert suite == site.cp.cipher


@case_of_its_own("TC_087", "TLS – Client-side certificate – valid certificate", "Security", "TLS")
async def test_tc_087_client_certificate(tmp_path: Path) -> None:
    """An elliptic curve of at least 224 bits, the serial number as common name; then the boot."""
    place = Place(tmp_path, profile=3)
    async with place.site as site:
        await place.renew_certificate()
        await site.cp.connection(2)

        assert site.cp.peer_certificate_der is not None
        shown = x509.load_der_x509_certificate(site.cp.peer_certificate_der)
        key = shown.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert 224 <= key.curve.key_size
        assert ["SN-1"] == [name.value for name in shown.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        assert "Accepted" == await site.cp.until(lambda: site.cp.registration)
