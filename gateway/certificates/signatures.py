"""Signatures over firmware: judged by the digest of the file alone (# L01.FR.11, L01.FR.12)."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from gateway.certificates.reading import UnreadableError, certificates, facts, signed
from gateway.station.certificate_work import SignatureFits, SignerFacts, Unusable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

_SHA256 = Prehashed(hashes.SHA256())


def examined_signer(pem: str, authorities: Sequence[str]) -> SignerFacts | Unusable:
    """Who signed, first in `pem`, and whether one of `authorities` stands behind him."""
    try:
        given = certificates(pem)
        known = [authority for text in authorities for authority in certificates(text)]
    except UnreadableError as error:
        return Unusable(str(error))
    if not given:
        return Unusable("there is no certificate in it")
    last, between = given[0], given[1:]
    while not any(signed(last, authority) for authority in known):
        issuer = next((found for found in between if signed(last, found)), None)
        if issuer is None:
            return SignerFacts(facts(given[0], (*given, *known)), trusted=False)
        between.remove(issuer)
        last = issuer
    return SignerFacts(facts(given[0], (*given, *known)), trusted=True)


def checked(certificate: str, signature: str, sha256: str) -> SignatureFits | Unusable:
    """RSA-PSS with a salt of any length, RSA by PKCS #1 v1.5, or ECDSA, each over SHA-256."""
    try:
        key = certificates(certificate)[0].public_key()
        raw = base64.b64decode("".join(signature.split()), validate=True)
    except UnreadableError as error:
        return Unusable(str(error))
    except (binascii.Error, ValueError):
        return Unusable("the signature is not in base64")
    digest = bytes.fromhex(sha256)
    attempts = _attempts(key, raw, digest)
    if not attempts:
        return Unusable("the signing key is neither RSA nor on an elliptic curve")
    for attempt in attempts:
        try:
            attempt()
        except (InvalidSignature, UnsupportedAlgorithm, ValueError):
            continue
        return SignatureFits()
    return Unusable("the signature does not belong to this file and this certificate")


def _attempts(key: CertificatePublicKeyTypes, raw: bytes, digest: bytes) -> list[Callable[[], None]]:
    match key:
        case rsa.RSAPublicKey():
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO)
            return [
                lambda: key.verify(raw, digest, pss, _SHA256),
                lambda: key.verify(raw, digest, padding.PKCS1v15(), _SHA256),
            ]
        case ec.EllipticCurvePublicKey():
            return [lambda: key.verify(raw, digest, ec.ECDSA(_SHA256))]
        case _:
            return []
