"""What concerns certificates: what the CSMS asks and gets, and what the edge is asked to find out about them."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gateway.station.effects import Effect
from gateway.station.events import Event
from gateway.station.requests import Reply, Request

Algorithm = Literal["SHA256", "SHA384", "SHA512"]

CSMS_ROOT = "CSMSRootCertificate"
MANUFACTURER_ROOT = "ManufacturerRootCertificate"
"""Uses of an installed certificate, in 2.x words (# 2.0.1 InstallCertificateUseEnumType)."""

KeyAlgorithm = Literal["ec", "rsa"]
"""P-256, or RSA with 2048 bits."""


class CertificateHash(Struct, frozen=True):
    """The name of a certificate (# 2.0.1 CertificateHashDataType); hex digits in lower case."""

    algorithm: Algorithm
    issuer_name: str
    """Over the issuer's distinguished name in DER."""
    issuer_key: str
    """Over the bits of the issuer's public key."""
    serial: str
    """Without leading zeros."""

    def normal(self) -> CertificateHash:
        """As a CSMS may write it: any case, leading zeros."""
        return CertificateHash(
            self.algorithm,
            self.issuer_name.lower(),
            self.issuer_key.lower(),
            self.serial.lower().lstrip("0") or "0",
        )


class CertificateFacts(Struct, frozen=True, kw_only=True):
    """What a certificate says of itself."""

    pem: str
    """It alone, in normal form."""
    fingerprint: str
    """SHA-256 over its DER, hex digits in lower case."""
    hashes: tuple[CertificateHash, ...]
    """One an algorithm, SHA256 first."""
    subject: str
    """RFC 4514."""
    not_before: float
    """Wall-clock seconds."""
    not_after: float
    issuer: str | None = None
    """Fingerprint of the certificate that signed it: its own, or one of those that were named."""
    is_authority: bool = False
    """It may sign others."""


# ------------------------------------------------------------------ what the CSMS asks


class CertificateGiven(Request, frozen=True):
    """InstallCertificate (# M05)."""

    use: str
    pem: str


class CertificatesRequested(Request, frozen=True):
    """GetInstalledCertificateIds (# M03)."""

    uses: tuple[str, ...] = ()
    """Empty: whatever their use."""


class CertificateDeletionRequested(Request, frozen=True):
    """DeleteCertificate (# M04)."""

    hash: CertificateHash


class CertificateSigned(Request, frozen=True):
    """CertificateSigned (# A02, A03): the chain that answers SignCertificate."""

    chain: str
    """PEM, in any order."""


class CertificatesReply(Reply, frozen=True):
    """# M03."""

    status: Literal["Accepted", "NotFound"]
    certificates: tuple[tuple[str, CertificateHash], ...] = ()
    """(use, name) of each."""


# ------------------------------------------------------------------ what the edge finds out


class Task(Struct, frozen=True):
    """Something about certificates that needs cryptography or a disk."""


class Examine(Task, frozen=True):
    """Read one certificate. → CertificateFacts, or Unusable."""

    pem: str
    authorities: tuple[str, ...] = ()
    """PEMs of those that may have signed it, besides itself."""


class MakeRequest(Task, frozen=True):
    """Make a key pair and ask for a certificate with it. → RequestMade, or Unusable."""

    key: str
    """Name under which the private key is kept; it never leaves."""
    algorithm: KeyAlgorithm
    common_name: str
    organization: str
    """"" leaves it out."""


class RequestMade(Struct, frozen=True):
    """A certificate can be asked for."""

    request: str
    """PKCS #10, PEM."""


class ExamineChain(Task, frozen=True):
    """Put a station's certificate and what signed it in order. → ChainFacts, or Unusable."""

    pem: str
    key: str
    """The name of the private key that it must fit."""
    authorities: tuple[str, ...] = ()
    """PEMs of the installed roots; those in the operator's file count as well."""


class ChainFacts(Struct, frozen=True):
    """A chain that fits a private key."""

    pem: str
    """The station's certificate first, each signed by the next one."""
    certificates: tuple[CertificateFacts, ...]
    """In the same order."""
    trusted: bool
    """Its end was signed by one of the authorities, or there is none to ask."""


class ExamineSigner(Task, frozen=True):
    """Read the certificate of who signed a firmware. → SignerFacts, or Unusable."""

    pem: str
    """It, perhaps followed by those between it and a root."""
    authorities: tuple[str, ...]
    """PEMs of the installed manufacturer's roots; there is no trust without them (# L01.FR.22)."""


class SignerFacts(Struct, frozen=True):
    """It may sign; whether it is trusted is another matter."""

    facts: CertificateFacts
    trusted: bool
    """One of the authorities stands at the end of its chain."""


class CheckSignature(Task, frozen=True):
    """Judge a signature over a file of which only the digest is known. → SignatureFits, or Unusable."""

    certificate: str
    """PEM of the signer, first."""
    signature: str
    """Base64."""
    sha256: str
    """Hex digits."""


class SignatureFits(Struct, frozen=True):
    """The holder of the certificate's key has signed the file."""


class KeepKeys(Task, frozen=True):
    """Delete all private keys of the station but these. → KeysKept."""

    keys: tuple[str, ...]


class KeysKept(Struct, frozen=True):
    """What is no longer used is gone."""


class Unusable(Struct, frozen=True):
    """Nothing can be done with what was given; a sentence says why."""

    why: str


Outcome = CertificateFacts | RequestMade | ChainFacts | SignerFacts | SignatureFits | KeysKept | Unusable


class CertificateWork(Effect, frozen=True):
    """Have a task done; exactly one CertificateWorked comes back."""

    ref: int
    task: Task


class CertificateWorked(Event, frozen=True):
    """A task is done."""

    ref: int
    outcome: Outcome
