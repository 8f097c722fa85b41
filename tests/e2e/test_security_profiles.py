"""Security profiles of 1.6 as a CSMS raises them, over real TLS: each step proved by the next handshake."""

from __future__ import annotations

import base64
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tests.support.certificates import Authority
from tests.support.csms import Csms
from tests.support.gateway import Site

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.csms import Station

KEY = bytes.fromhex("4F43415F4F4354545F61646D696E5F74657374")
QUICKLY: dict[str, Any] = {
    "OCPPCommCtrlr.RetryBackOffWaitMinimum": 1,
    "OCPPCommCtrlr.RetryBackOffRandomRange": 0,
    "OCPPCommCtrlr.RetryBackOffRepeatTimes": 0,
}


def basic(password: bytes) -> str:
    return "Basic " + base64.b64encode(b"CP1:" + password).decode()


async def configure(cp: Station, key: str, value: str) -> str:
    reply = await cp.call("ChangeConfiguration", {"key": key, "value": value})
    return str(reply["status"])


async def test_from_profile_0_to_3_step_by_step(tmp_path: Path) -> None:
    """[TC_073], [TC_083], [TC_075], [TC_074]: password, then TLS with it, then a certificate of its own."""
    authority = Authority(tmp_path)
    plain = Csms(versions=["ocpp1.6"])
    with_password = Csms(
        versions=["ocpp1.6"],
        passwords={"CP1": KEY},
        ssl=authority.server_context("127.0.0.1"),
        strict_boot=False,
    )
    with_password.backend = plain.backend
    async with with_password:
        station = {
            "serial": "SN-1",
            "csms": {"versions": ["1.6"], "secure_url": with_password.url},
            "variables": QUICKLY,
        }
        async with Site(tmp_path, "1.6", csms=plain, station=station) as site:
            assert plain.handshakes[-1].headers.get("Authorization") is None
            assert await configure(site.cp, "SecurityProfile", "1") == "Rejected"
            assert await configure(site.cp, "AuthorizationKey", KEY.hex()) == "Accepted"

            assert await configure(site.cp, "SecurityProfile", "1") == "Accepted"
            await site.cp.connection(2)
            assert plain.handshakes[-1].headers["Authorization"] == basic(KEY)
            assert (await site.view("garage/0/state", security_profile=1, connected=True))["connected"]

            assert await configure(site.cp, "SecurityProfile", "2") == "Rejected"
            root = {"certificateType": "CentralSystemRootCertificate", "certificate": authority.pem}
            assert await site.cp.call("InstallCertificate", root) == {"status": "Accepted"}
            assert await configure(site.cp, "SecurityProfile", "2") == "Accepted"
            cp = await with_password.station("CP1")
            assert with_password.handshakes[-1].headers["Authorization"] == basic(KEY)

            assert await configure(cp, "SecurityProfile", "3") == "Rejected"
            trigger = {"requestedMessage": "SignChargePointCertificate"}
            assert await cp.call("ExtendedTriggerMessage", trigger) == {"status": "Accepted"}
            asked = await cp.expect("SignCertificate")
            signed = {"certificateChain": authority.sign(asked.payload["csr"])}
            assert await cp.call("CertificateSigned", signed) == {"status": "Accepted"}
            with_password.stop_listening()

            with_certificate = Csms(
                versions=["ocpp1.6"],
                ssl=authority.server_context("127.0.0.1", demand_client=True),
                port=with_password.port,
                strict_boot=False,
            )
            async with with_certificate:
                assert await configure(cp, "SecurityProfile", "3") == "Accepted"
                cp = await with_certificate.station("CP1")
                assert "SN-1" in str(cp.peer_certificate)
                assert with_certificate.handshakes[-1].headers.get("Authorization") is None

                await site.running.restart()
                await cp.connection(2)
                assert await configure(cp, "SecurityProfile", "1") == "Rejected"
                shown = await cp.call("GetConfiguration", {"key": ["SecurityProfile"]})
                assert shown["configurationKey"][0]["value"] == "3"


async def test_a_profile_that_leads_nowhere_is_taken_back(tmp_path: Path) -> None:
    """Nothing speaks TLS there: after three attempts the station is back where it was."""
    csms = Csms(versions=["ocpp1.6"], passwords={"CP1": KEY})
    authority = Authority(tmp_path)
    station = {
        "csms": {"versions": ["1.6"], "password": KEY.hex()},
        "variables": QUICKLY | {"OCPPCommCtrlr.NetworkProfileConnectionAttempts": 2},
    }
    async with Site(tmp_path, "1.6", csms=csms, station=station) as site:
        root = {"certificateType": "CentralSystemRootCertificate", "certificate": authority.pem}
        await site.cp.call("InstallCertificate", root)

        assert await configure(site.cp, "SecurityProfile", "2") == "Accepted"

        await site.cp.connection(2)
        shown = await site.cp.call("GetConfiguration", {"key": ["SecurityProfile"]})
        assert shown["configurationKey"][0]["value"] == "1"
        assert (await site.view("garage/0/state", security_profile=1, connected=True))["connected"]


async def test_a_password_that_the_csms_then_refuses_is_taken_back(tmp_path: Path) -> None:
    """A typing error in a backend must not cost a journey to the station."""
    csms = Csms(versions=["ocpp1.6"], passwords={"CP1": KEY})
    station = {
        "csms": {"versions": ["1.6"], "password": KEY.hex()},
        "variables": QUICKLY | {"OCPPCommCtrlr.NetworkProfileConnectionAttempts": 1},
    }
    async with Site(tmp_path, "1.6", csms=csms, station=station) as site:
        assert await configure(site.cp, "AuthorizationKey", bytes(range(16)).hex()) == "Accepted"

        await site.cp.connection(2)
        statuses = [handshake.status for handshake in csms.handshakes]
        assert statuses == [
            HTTPStatus.SWITCHING_PROTOCOLS,
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.SWITCHING_PROTOCOLS,
        ]


async def test_a_strange_certificate_of_the_csms_is_told_once_the_link_is_back(tmp_path: Path) -> None:
    """A00.FR.309: InvalidCentralSystemCertificate, with the reason, kept until it can be said."""
    ours, folder = Authority(tmp_path), tmp_path / "theirs"
    folder.mkdir()
    context = Authority(folder, "Stranger").server_context("127.0.0.1")
    csms = Csms(versions=["ocpp1.6"], ssl=context)
    station = {"csms": {"versions": ["1.6"], "ca_file": str(ours.ca_file)}, "variables": QUICKLY}
    async with Site(tmp_path, "1.6", csms=csms, station=station, connects=False) as site:
        refused = await site.mqtt.next(
            "ocpp/garage/0/state", where=lambda m: "certificate" in (m.json()["last_error"] or "")
        )
        context.load_cert_chain(*ours.issue("server", "127.0.0.1"))
        told = await site.cp.expect("SecurityEventNotification")

        assert refused.json()["connected"] is False
        assert told.payload["type"] == "InvalidCentralSystemCertificate"
        assert "certificate" in told.payload["techInfo"]
