"""Firmware and diagnostics: files come and go for real, from and to a web server on loopback."""

from __future__ import annotations

import base64
import datetime as dt
import io
import os
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.conformance.cases import case
from tests.conformance.charging_station import BOOT, ChargingStation
from tests.conformance.said import call
from tests.support.certificates import Authority
from tests.support.file_servers import HttpServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = os.urandom(10_000)
NOW = "2026-01-31T12:00:00Z"
NOBODY = "ftp://127.0.0.1:21/missing/firmware.bin"


@pytest.fixture
def server() -> Iterator[HttpServer]:
    """It has a firmware, and takes logs."""
    with HttpServer() as running:
        running.files["/firmware.bin"] = FILE
        yield running


async def can_install(cs: ChargingStation, *, well: bool = True) -> None:
    """The device says that it can; it will boot with the new version, or say that it failed."""

    def install(_command: dict[str, Any]) -> None:
        cs.device.say(0, "firmware", {"status": "installing"})
        if well:
            cs.device.boot("firmware_update", firmware_version="2.0")
        else:
            cs.device.say(0, "firmware", {"status": "failed", "info": "bad block"})

    cs.device.installs = install
    cs.device.boot(firmware_version="1.0")
    await cs.expect("BootNotification", **BOOT, firmwareVersion="1.0")
    await cs.expect_statuses()


async def expect_installed(cs: ChargingStation, installed: Any) -> None:
    """A boot with the new version, the statuses and Installed, in any order."""
    await cs.expect_any_order(
        call("BootNotification", **BOOT, firmwareVersion="2.0"),
        call("SecurityEventNotification", type="StartupOfTheDevice", techInfo="FirmwareUpdate"),
        call("SecurityEventNotification", type="FirmwareUpdated", techInfo="version 2.0"),
        *(call("StatusNotification", connectorId=n, status="Available") for n in range(cs.connectors + 1)),
        installed,
    )


# ------------------------------------------------------------------ firmware


@case("TC_044_1", "Firmware Update – Download and Install", "Firmware", live=True)
async def test_tc_044_1_firmware_update(cs: ChargingStation, server: HttpServer) -> None:
    """Downloading, Downloaded, Installing; BootNotification, Available, Installed in any order."""
    await can_install(cs)

    assert {} == await cs.ask("UpdateFirmware", location=server.url("/firmware.bin"), retrieveDate=NOW)

    for status in ("Downloading", "Downloaded", "Installing"):
        await cs.expect("FirmwareStatusNotification", status=status)
    await expect_installed(cs, call("FirmwareStatusNotification", status="Installed"))


@case("TC_044_2", "Firmware Update – Download failed", "Firmware", live=True)
async def test_tc_044_2_download_failed(cs: ChargingStation) -> None:
    """Downloading, DownloadFailed."""
    await can_install(cs)

    await cs.ask("UpdateFirmware", location=NOBODY, retrieveDate=NOW, retries=0)

    await cs.expect("FirmwareStatusNotification", status="Downloading")
    await cs.expect("FirmwareStatusNotification", status="DownloadFailed")


@case("TC_044_3", "Firmware Update – Installation failed", "Firmware", live=True)
async def test_tc_044_3_installation_failed(cs: ChargingStation, server: HttpServer) -> None:
    """Downloading, Downloaded, Installing, InstallationFailed."""
    await can_install(cs, well=False)

    await cs.ask("UpdateFirmware", location=server.url("/firmware.bin"), retrieveDate=NOW)

    for status in ("Downloading", "Downloaded", "Installing", "InstallationFailed"):
        await cs.expect("FirmwareStatusNotification", status=status)


# ------------------------------------------------------------------ diagnostics


@case("TC_045_1", "Get Diagnostics", "Firmware", live=True)
async def test_tc_045_1_get_diagnostics(cs: ChargingStation, server: HttpServer) -> None:
    """Uploading, Uploaded; the file is there, under the name that was told."""
    reply = await cs.ask("GetDiagnostics", location=server.url("/logs"))

    await cs.expect("DiagnosticsStatusNotification", status="Uploading")
    await cs.expect("DiagnosticsStatusNotification", status="Uploaded")
    archive = zipfile.ZipFile(io.BytesIO(server.files[f"/logs/{reply['fileName']}"]))
    assert "BootNotification" in archive.read("ocpp.log").decode()


@case("TC_045_2", "Get Diagnostics – Upload failed", "Firmware", live=True)
async def test_tc_045_2_upload_failed(cs: ChargingStation) -> None:
    """Uploading, UploadFailed."""
    await cs.ask("GetDiagnostics", location=NOBODY, retries=0)

    await cs.expect("DiagnosticsStatusNotification", status="Uploading")
    await cs.expect("DiagnosticsStatusNotification", status="UploadFailed")


@case("TC_079", "Get Security Log", "Security", live=True)
async def test_tc_079_get_security_log(cs: ChargingStation, server: HttpServer) -> None:
    """Accepted; Uploading, Uploaded with the number of the request."""
    log = {"remoteLocation": server.url("/logs")}

    reply = await cs.ask("GetLog", logType="SecurityLog", requestId=1, log=log)

    assert "Accepted" == reply["status"]
    await cs.expect("LogStatusNotification", status="Uploading", requestId=1)
    await cs.expect("LogStatusNotification", status="Uploaded", requestId=1)
    archive = zipfile.ZipFile(io.BytesIO(server.files[f"/logs/{reply['filename']}"]))
    assert "StartupOfTheDevice" in archive.read("security.log").decode()


# ------------------------------------------------------------------ signed firmware


async def signed_update(cs: ChargingStation, server: HttpServer, folder: Path, content: bytes) -> None:
    """By a manufacturer whose root is installed; the signature is over `content`."""
    root = Authority(folder)
    certificate, key_file = root.issue("signer", rsa_key=True, valid_from=dt.timedelta(days=-3000))
    key = load_pem_private_key(key_file.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    signature = base64.b64encode(key.sign(content, pss, hashes.SHA256())).decode()
    use = "ManufacturerRootCertificate"
    assert "Accepted" == await cs.status_of("InstallCertificate", certificateType=use, certificate=root.pem)
    firmware = {
        "location": server.url("/firmware.bin"),
        "retrieveDateTime": NOW,
        "signingCertificate": certificate.read_text(),
        "signature": signature,
    }
    assert "Accepted" == await cs.status_of("SignedUpdateFirmware", requestId=4, firmware=firmware)


@case("TC_080", "Secure Firmware Update", "Security", live=True)
async def test_tc_080_secure_firmware_update(cs: ChargingStation, server: HttpServer, tmp_path: Path) -> None:
    """Downloading, Downloaded, SignatureVerified, Installing; a boot, its event, Available, Installed."""
    await can_install(cs)

    await signed_update(cs, server, tmp_path, FILE)

    for status in ("Downloading", "Downloaded", "SignatureVerified", "Installing"):
        await cs.expect("SignedFirmwareStatusNotification", status=status, requestId=4)
    await expect_installed(cs, call("SignedFirmwareStatusNotification", status="Installed", requestId=4))


@case("TC_081", "Secure Firmware Update – Invalid Signature", "Security", live=True)
async def test_tc_081_invalid_signature(cs: ChargingStation, server: HttpServer, tmp_path: Path) -> None:
    """Downloading, Downloaded, InvalidSignature, and a security event; nothing is installed."""
    await can_install(cs)

    await signed_update(cs, server, tmp_path, b"something else")

    for status in ("Downloading", "Downloaded"):
        await cs.expect("SignedFirmwareStatusNotification", status=status, requestId=4)
    await cs.expect("SecurityEventNotification", type="InvalidFirmwareSignature", techInfo=bool)
    await cs.expect("SignedFirmwareStatusNotification", status="InvalidSignature", requestId=4)
    assert [] == cs.commands("update_firmware")
