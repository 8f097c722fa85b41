"""TLS towards a CSMS: always verified, never below 1.2, one context for all who share their files."""

import asyncio.sslproto
import functools
import ssl
from pathlib import Path

# asyncio reserves 256 KiB per TLS connection, though a record has 16 KiB at most.
asyncio.sslproto.SSLProtocol.max_size = 16 * 1024


_CIPHERS = "@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:RSA+AESGCM:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM"
"""With TLS 1.2, best first; the last are those of backends without ECDHE (# A00.FR.318). TLS 1.3 has its own."""


class TlsFilesUnusable(Exception):
    """A file of certificates or keys cannot be read or does not fit; the sentence names it."""


def context(
    ca_file: str | None, cert_file: str | None, key_file: str | None, roots: tuple[str, ...] = ()
) -> ssl.SSLContext:
    """Shared by all stations with the same files, made anew when one has changed. Raises TlsFilesUnusable.

    `roots`: PEMs of further authorities.
    """
    files = (ca_file, cert_file, key_file)
    return _context(files, tuple(_modified(file) for file in files), roots)


@functools.lru_cache(maxsize=256)
def _context(
    files: tuple[str | None, str | None, str | None], _: tuple[int | None, ...], roots: tuple[str, ...]
) -> ssl.SSLContext:
    ca_file, cert_file, key_file = files
    made = _trusting(ca_file)
    if roots:
        made.load_verify_locations(cadata="\n".join(roots))
    made.minimum_version = ssl.TLSVersion.TLSv1_2  # A00.FR.313
    made.set_ciphers(_CIPHERS)
    # Python 3.13 also demands key identifiers that many an operator's own CA leaves out.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if cert_file is not None:
        try:
            # Without a password OpenSSL would ask for one on the terminal.
            made.load_cert_chain(cert_file, key_file, password="")
        except (OSError, ValueError) as error:
            msg = f"The client certificate {cert_file} with its key {key_file} cannot be used: {_why(error)}."
            raise TlsFilesUnusable(msg) from error
    return made


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        msg = f"The CA file {ca_file} cannot be used: {_why(error)}."
        raise TlsFilesUnusable(msg) from error


def _modified(file: str | None) -> int | None:
    if file is None:
        return None
    try:
        return Path(file).stat().st_mtime_ns
    except OSError:
        return None


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return getattr(error, "strerror", None) or str(error)
