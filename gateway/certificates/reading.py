"""A certificate read: its names, its validity, who signed it; nothing is trusted here."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.station.certificate_work import (
    Algorithm,
    CertificateFacts,
    CertificateHash,
    ChainFacts,
    Unusable,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_HASHES: dict[Algorithm, type[hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    "SHA256": hashes.SHA256,
    "SHA384": hashes.SHA384,
    "SHA512": hashes.SHA512,
}


class UnreadableError(Exception):
    """A PEM is none, or what it holds is no certificate; the sentence says so."""


def examined(pem: str, authorities: Sequence[str]) -> CertificateFacts | Unusable:
    """What one certificate says; `authorities` are those that may have signed it."""
    try:
        found = certificates(pem)
        if len(found) != 1:
            return Unusable(f"there are {len(found)} certificates where one is expected")
        known = [authority for text in authorities for authority in certificates(text)]
        return facts(found[0], known)
    except UnreadableError as error:
        return Unusable(str(error))


def examined_chain(pem: str, public_key: bytes, authorities: Sequence[str]) -> ChainFacts | Unusable:
    """The certificate for `public_key` (DER) and, in order, those that signed it (# A02.FR.06)."""
    try:
        given = certificates(pem)
        known = [authority for text in authorities for authority in certificates(text)]
    except UnreadableError as error:
        return Unusable(str(error))
    own = next((found for found in given if _public_key(found) == public_key), None)
    if own is None:
        return Unusable("no certificate of the chain belongs to the key that was made for it")
    if not _serves_clients(own):
        return Unusable(f"{own.subject.rfc4514_string()} is not meant for a TLS client")
    chain, rest = [own], [found for found in given if found is not own]
    while (signer := next((found for found in rest if signed(chain[-1], found)), None)) is not None:
        chain.append(signer)
        rest.remove(signer)
    if rest:
        return Unusable(f"{rest[0].subject.rfc4514_string()} has no place in the chain")
    trusted = not known or any(signed(chain[-1], authority) for authority in known)
    return ChainFacts(
        pem="".join(found.public_bytes(Encoding.PEM).decode() for found in chain),
        certificates=tuple(facts(found, (*given, *known)) for found in chain),
        trusted=trusted,
    )


def _public_key(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _serves_clients(certificate: x509.Certificate) -> bool:
    """One that does not say what it is for may be used for anything (RFC 5280 §4.2.1.12)."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage


def certificates(pem: str) -> list[x509.Certificate]:
    """All certificates of a PEM text, in their order; raises UnreadableError."""
    try:
        found = x509.load_pem_x509_certificates(pem.encode())
        for certificate in found:
            # These are decoded only when they are looked at.
            certificate.public_key()
            certificate.subject.rfc4514_string()
            certificate.extensions  # noqa: B018 - read for the error that it raises
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise UnreadableError(f"it is no certificate that can be read: {_first_line(error)}") from error
    return found


def facts(certificate: x509.Certificate, authorities: Sequence[x509.Certificate]) -> CertificateFacts:
    """What it says, and which of itself and `authorities` signed it."""
    issuer = next((known for known in (certificate, *authorities) if signed(certificate, known)), None)
    return CertificateFacts(
        pem=certificate.public_bytes(Encoding.PEM).decode(),
        fingerprint=fingerprint(certificate),
        hashes=tuple(
            _hash(certificate, issuer or certificate, algorithm) for algorithm in get_args(Algorithm)
        ),
        subject=certificate.subject.rfc4514_string() or "a certificate without a subject",
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        issuer=None if issuer is None else fingerprint(issuer),
        is_authority=is_authority(certificate),
    )


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 over the DER, hex digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer` issued it: name and signature fit."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may sign others; one of X.509 version 1 has no word for that, and may."""
    if certificate.version is x509.Version.v1:
        return True
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _hash(certificate: x509.Certificate, issuer: x509.Certificate, algorithm: Algorithm) -> CertificateHash:
    """# 2.0.1 CertificateHashDataType: hashed as an OCSP request does it (RFC 6960 §4.1.1)."""
    asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, _HASHES[algorithm]()).build()
    return CertificateHash(
        algorithm, asked.issuer_name_hash.hex(), asked.issuer_key_hash.hex(), f"{asked.serial_number:x}"
    )


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:120].rstrip(". ")
