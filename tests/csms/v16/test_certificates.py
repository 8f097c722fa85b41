"""Certificates in 1.6, under the names of its security whitepaper."""

import pytest

from gateway.station.certificate_work import (
    CSMS_ROOT,
    MANUFACTURER_ROOT,
    CertificateDeletionRequested,
    CertificateGiven,
    CertificateHash,
    CertificatesReply,
    CertificatesRequested,
)
from gateway.station.requests import StatusReply
from tests.csms.v16.wire import heard, replied

USES = [("CentralSystemRootCertificate", CSMS_ROOT), ("ManufacturerRootCertificate", MANUFACTURER_ROOT)]
HASH = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "c1"}
NAME = CertificateHash("SHA256", "aa", "bb", "c1")


@pytest.mark.parametrize(("word", "use"), USES)
def test_a_root_is_installed(word: str, use: str) -> None:
    """Both of 1.6's uses."""
    payload = {"certificateType": word, "certificate": "PEM"}

    assert CertificateGiven(use, "PEM") == heard("InstallCertificate", payload)
    for status in ("Accepted", "Rejected", "Failed"):
        assert replied("InstallCertificate", payload, StatusReply(status=status)) == {"status": status}


@pytest.mark.parametrize(("word", "use"), USES)
def test_what_is_installed_is_told(word: str, use: str) -> None:
    """One use at a time; without any the list is left out."""
    payload = {"certificateType": word}

    assert CertificatesRequested((use,)) == heard("GetInstalledCertificateIds", payload)
    found = CertificatesReply("Accepted", ((use, NAME),))
    assert replied("GetInstalledCertificateIds", payload, found) == {
        "status": "Accepted",
        "certificateHashData": [HASH],
    }
    assert replied("GetInstalledCertificateIds", payload, CertificatesReply("NotFound")) == {
        "status": "NotFound"
    }


def test_a_certificate_is_deleted() -> None:
    """By its name."""
    payload = {"certificateHashData": HASH}

    assert CertificateDeletionRequested(NAME) == heard("DeleteCertificate", payload)
    for status in ("Accepted", "Failed", "NotFound"):
        assert replied("DeleteCertificate", payload, StatusReply(status=status)) == {"status": status}
