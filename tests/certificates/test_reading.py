"""What is read of a certificate is what OpenSSL and the specification say of it."""

import datetime as dt
import hashlib
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.certificates.reading import examined
from gateway.station.certificate_work import CertificateFacts, Unusable
from tests.support.certificates import Authority


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ca")


def facts(pem: str, *authorities: str) -> CertificateFacts:
    found = examined(pem, authorities)
    assert isinstance(found, CertificateFacts), found
    return found


def test_a_root_is_named_by_hashes_over_its_issuer_and_its_serial_number(folder: Path) -> None:
    """# 2.0.1 CertificateHashDataType; checked against the bits themselves, for each algorithm."""
    root = Authority(folder, "Root A", serial=0x0ABC)
    certificate = x509.load_pem_x509_certificate(root.pem.encode())
    name = certificate.issuer.public_bytes()
    key = certificate.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    hashes = facts(root.pem).hashes

    assert ["SHA256", "SHA384", "SHA512"] == [found.algorithm for found in hashes]
    for found in hashes:
        algorithm = found.algorithm.lower()
        assert hashlib.new(algorithm, name).hexdigest() == found.issuer_name
        assert hashlib.new(algorithm, key).hexdigest() == found.issuer_key
        assert found.serial == "abc"


def test_the_names_are_those_of_openssl(folder: Path) -> None:
    """`openssl ocsp` asks for a certificate under the same names."""
    root = Authority(folder, "Root B")
    asked = subprocess.run(
        [
            "openssl",
            "ocsp",
            "-sha256",
            "-issuer",
            root.ca_file,
            "-cert",
            root.ca_file,
            "-req_text",
            "-noverify",
        ],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    told = {
        line.partition(":")[0].strip(): line.partition(":")[2].strip().lower() for line in asked.splitlines()
    }

    found = facts(root.pem).hashes[0]

    assert told["Issuer Name Hash"] == found.issuer_name
    assert told["Issuer Key Hash"] == found.issuer_key
    assert told["Serial Number"].lstrip("0") == found.serial


def test_one_below_another_is_named_by_its_issuers_key(folder: Path) -> None:
    """And who signed it is known by its fingerprint."""
    root = Authority(folder, "Root C")
    below = Authority(folder, "Below C", signed_by=root)

    found = facts(below.pem, root.pem)

    assert found.issuer == facts(root.pem).fingerprint
    assert found.hashes[0].issuer_key == facts(root.pem).hashes[0].issuer_key
    assert found.hashes[0].issuer_name == facts(root.pem).hashes[0].issuer_name


def test_nobody_known_signed_it(folder: Path) -> None:
    """A stranger of the same name is not its issuer."""
    root, stranger = Authority(folder, "Root D"), Authority(folder / ".", "Root D")
    below = Authority(folder, "Below D", signed_by=root)

    assert facts(below.pem, stranger.pem).issuer is None


def test_a_root_says_when_it_is_valid_and_that_it_may_sign(folder: Path) -> None:
    """In seconds."""
    root = Authority(folder, "Root E", valid_until=dt.timedelta(days=10))

    found = facts(root.pem)

    ends = dt.datetime.now(dt.UTC) + dt.timedelta(days=10)
    assert found.not_after == pytest.approx(ends.timestamp(), abs=60)
    assert found.not_before < found.not_after
    assert found.is_authority
    assert found.subject == "CN=Root E"


def test_a_servers_certificate_is_no_authoritys(folder: Path) -> None:
    """It may sign nothing."""
    root = Authority(folder, "Root F")
    cert_file, _ = root.issue("server-f", "localhost")

    assert not facts(cert_file.read_text(), root.pem).is_authority


def test_what_stands_around_a_certificate_is_left_out(folder: Path) -> None:
    """OpenSSL writes the text before the PEM."""
    root = Authority(folder, "Root G")

    assert facts(f"Certificate:\n    Data: …\n{root.pem}\n\n").pem == root.pem


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "\ud800",
    ],
)
def test_what_is_no_certificate_is_told_as_such(pem: str) -> None:
    """In a sentence, never by an exception."""
    found = examined(pem, ())

    assert isinstance(found, Unusable)
    assert "certificate" in found.why


def test_two_certificates_are_one_too_many(folder: Path) -> None:
    """InstallCertificate installs one."""
    pem = Authority(folder, "Root H").pem

    assert examined(pem + pem, ()) == Unusable("there are 2 certificates where one is expected")
