"""Private keys of stations: each in a file of its own that nobody else may read, and which never leaves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from gateway.station.certificate_work import KeyAlgorithm, MakeRequest

_KEY, _CHAIN = ".key.pem", ".chain.pem"


class KeyRing:
    """The private keys of one station, each with the chain that belongs to it; OSError when the disk refuses."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the station's own; it is made with the first key."""
        self._folder = folder

    def make_request(self, task: MakeRequest) -> str:
        """A new key pair, kept; the request for a certificate in PEM (# A02.FR.02)."""
        key = _new_key(task.algorithm)
        names = [x509.NameAttribute(NameOID.COMMON_NAME, task.common_name[:64])]
        if task.organization:
            names.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, task.organization[:64]))
        request = (
            x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names)).sign(key, hashes.SHA256())
        )
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._write(task.key + _KEY, text)
        return request.public_bytes(Encoding.PEM).decode()

    def public_key(self, name: str) -> bytes:
        """The public half of a key in DER; OSError, or ValueError when the file holds none."""
        key = load_pem_private_key((self._folder / (name + _KEY)).read_bytes(), password=None)
        return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def files(self, name: str, chain: str) -> tuple[str, str]:
        """(file of the chain, file of the key), as TLS wants them."""
        path = self._folder / (name + _CHAIN)
        if not path.exists() or path.read_text() != chain:
            self._write(path.name, chain.encode())
        return str(path), str(self._folder / (name + _KEY))

    def keep(self, names: tuple[str, ...]) -> None:
        """Delete everything that belongs to none of these keys."""
        if not self._folder.is_dir():
            return
        wanted = {name + suffix for name in names for suffix in (_KEY, _CHAIN)}
        for path in self._folder.glob("*.pem"):
            if path.name not in wanted:
                path.unlink(missing_ok=True)

    def _write(self, name: str, text: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path, new = self._folder / name, self._folder / (name + ".new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)


def _new_key(algorithm: KeyAlgorithm) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    """# A00.FR.508: at least RSA 2048 or EC 224."""
    if algorithm == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())
