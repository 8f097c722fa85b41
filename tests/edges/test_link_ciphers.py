"""Which cipher suites a CSMS may demand, and by whose word it is trusted; real TLS throughout."""

import ssl
from pathlib import Path

import pytest

from gateway.csms.closing import ClosedBecause
from tests.edges.test_link import Csms, Owner, secure, strict_tls_server
from tests.support.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def server(authority: Authority, ciphers: str, *, rsa_key: bool) -> ssl.SSLContext:
    """TLS 1.2 with nothing but these suites."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server", "localhost", rsa_key=rsa_key))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    return context


@pytest.mark.parametrize(
    ("ciphers", "rsa_key"),
    [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", False),
        ("ECDHE-ECDSA-AES256-GCM-SHA384", False),
        ("ECDHE-RSA-AES128-GCM-SHA256", True),
        ("AES128-GCM-SHA256", True),
        ("AES256-GCM-SHA384", True),
    ],
)
async def test_tc_086_each_suite_that_the_whitepaper_names_is_spoken(
    authority: Authority, ciphers: str, rsa_key: bool
) -> None:
    """# [TC_086], A00.FR.318: both families."""
    context = server(authority, ciphers, rsa_key=rsa_key)
    async with Csms().running(ssl=context) as csms, Owner(secure(csms.port, authority)) as owner:
        assert await owner.opened() == "ocpp1.6"


@pytest.mark.parametrize(
    "ciphers", ["AES128-SHA:@SECLEVEL=0", "AES256-SHA256:@SECLEVEL=0", "ECDHE-RSA-AES128-SHA:@SECLEVEL=0"]
)
async def test_a_server_with_weak_suites_only_is_not_spoken_to(authority: Authority, ciphers: str) -> None:
    """# A00.FR.320: InvalidTLSCipherSuite."""
    context = server(authority, ciphers, rsa_key=True)
    async with strict_tls_server(context) as port, Owner(secure(port, authority)) as owner:
        closed = await owner.closed()
        assert closed.kind is ClosedBecause.TLS_CIPHER
        assert "cipher" in closed.detail


async def test_a_root_that_the_csms_installed_counts_beside_the_operators(
    authority: Authority, tmp_path: Path
) -> None:
    """A CSMS that moves to another authority installs it first; the old one still counts."""
    new = Authority(tmp_path, "New Root")
    for signer in (authority, new):
        async with (
            Csms().running(ssl=signer.server_context("localhost")) as csms,
            Owner(secure(csms.port, authority, roots=(new.pem,))) as owner,
        ):
            assert await owner.opened() == "ocpp1.6"


async def test_an_installed_root_alone_is_enough(authority: Authority) -> None:
    """Without a file of the operator's, and unknown to the operating system."""
    async with (
        Csms().running(ssl=authority.server_context("localhost")) as csms,
        Owner(secure(csms.port, authority, ca_file=None, roots=(authority.pem,))) as owner,
    ):
        assert await owner.opened() == "ocpp1.6"
