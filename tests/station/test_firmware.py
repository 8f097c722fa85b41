"""Firmware: fetched and judged by the gateway, installed by the device, told truly (# 1.6 §5.19, L01, L02)."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.station.effects import Notify
from gateway.station.model import Policy
from gateway.station.transfer_work import Download, Downloaded, FailedBecause, TransferFailed
from tests.station.rig import BOTH, Rig, text
from tests.support.certificates import Authority

WHERE = "ftp://user:secret@files.example/firmware.bin"
FILE = b"new firmware" * 1000
DIGEST = hashlib.sha256(FILE).hexdigest()
FETCHED = Downloaded(len(FILE), DIGEST)
COMMANDS = ("measure", "unlock", "reset", "update_firmware")


def booted(version: str = "1.6", *, connectors: int = 1, **policy: Any) -> Rig:
    rig = Rig(version, connectors=connectors, policy=Policy(**policy))
    rig.start()
    rig.announce(commands=COMMANDS, firmware_version="1.0")
    rig.connect()
    rig.forget()
    return rig


def update(rig: Rig, *, in_s: float = 0, request_id: int = 7, **payload: Any) -> Any:
    """The plain UpdateFirmware of 1.6, the unsigned one of 2.0.1."""
    if rig.version == "1.6":
        return rig.asks("UpdateFirmware", location=WHERE, retrieveDate=text(rig.wall + in_s), **payload)
    firmware = {"location": WHERE, "retrieveDateTime": text(rig.wall + in_s)}
    return rig.asks("UpdateFirmware", requestId=request_id, firmware=firmware, **payload)


def told(rig: Rig) -> list[str]:
    """The statuses of firmware, and nothing else that time brings."""
    return [word.removeprefix("Firmware ") for word in rig.story() if word.startswith("Firmware ")]


def failed(because: FailedBecause = "failed") -> TransferFailed:
    return TransferFailed(because, "no")


def install(rig: Rig) -> None:
    """The file is here, the device begins."""
    rig.carried(FETCHED)
    rig.result(name="update_firmware")


# ------------------------------------------------------------------ the whole way


@BOTH
def test_an_update_is_fetched_installed_and_told(version: str) -> None:
    """[TC_044_1], [TC_L_01]: in the order in which it happens."""
    rig = booted(version)

    reply = update(rig)

    assert reply == ({} if version == "1.6" else {"status": "Accepted"})
    [transfer] = rig.transfers
    assert isinstance(transfer.job, Download)
    assert transfer.job.url == WHERE
    install(rig)
    rig.announce("boot2", commands=COMMANDS, firmware_version="2.0")
    [boot] = rig.payloads("BootNotification")
    named = [call.get("requestId") for call in rig.payloads("FirmwareStatusNotification")]
    told = rig.story()
    assert told[1:4] == ["Firmware Downloading", "Firmware Downloaded", "Firmware Installing"]
    assert {"BootNotification", "Firmware Installed", "Security FirmwareUpdated"} <= set(told[4:])
    if version == "1.6":
        assert boot["firmwareVersion"] == "2.0"
        assert "Status 1 Available" in told
    else:
        assert boot["reason"] == "FirmwareUpdate"
        assert [7] * 4 == named


def test_the_device_gets_the_address_and_the_measure_of_the_file() -> None:
    """It fetches the file itself, and can tell whether it is the same one."""
    rig = booted()
    update(rig)

    rig.carried(FETCHED)

    [command] = rig.commands("update_firmware")
    assert (0, {"url": WHERE, "size": len(FILE), "sha256": DIGEST}) == (command.n, command.arguments)


def test_a_device_may_say_itself_that_it_is_done() -> None:
    """One whose version is not known, or stays the same."""
    rig = booted()
    update(rig)
    install(rig)
    rig.forget()

    rig.device_firmware("installing")
    rig.device_firmware("installed")

    assert {"BootNotification", "Firmware Installed"} <= set(rig.story())


def test_progress_is_shown_on_mqtt() -> None:
    """To people, not to the operator."""
    rig = booted()
    update(rig)
    install(rig)
    rig.forget()

    rig.device_firmware("installing", "writing")

    [shown] = rig.done(Notify)
    assert [] == rig.story()
    assert ("message", "firmware", "writing") == (shown.kind, shown.event_type, shown.data["info"])


def test_no_secret_of_the_address_is_told_to_everybody() -> None:
    """Only the device gets it."""
    rig = booted()
    update(rig)
    rig.carried(FETCHED)
    assert not [notice for notice in rig.done(Notify) if "secret" in str(notice.data)]


# ------------------------------------------------------------------ when


def test_it_is_fetched_at_the_hour() -> None:
    """# 1.6 §5.19 retrieveDate; the plain words know no schedule."""
    rig = booted()

    update(rig, in_s=600)

    rig.after(599)
    assert ([], []) == (rig.transfers, told(rig))
    rig.after(2)
    assert ["Downloading"] == told(rig)
    assert len(rig.transfers) == 1


def test_a_schedule_is_told_where_there_is_a_word_for_it() -> None:
    """[TC_L_03]."""
    rig = booted("2.0.1")
    update(rig, in_s=600)
    assert ["UpdateFirmware: Accepted", "Firmware DownloadScheduled"] == rig.story()


def test_it_is_installed_at_the_hour() -> None:
    """[TC_L_02]."""
    rig = booted("2.0.1")
    firmware = {
        "location": WHERE,
        "retrieveDateTime": text(rig.wall),
        "installDateTime": text(rig.wall + 3600),
    }
    rig.asks("UpdateFirmware", requestId=1, firmware=firmware)
    rig.carried(FETCHED)
    assert "Firmware InstallScheduled" == rig.story()[-1]

    rig.after(3590)
    assert [] == rig.commands("update_firmware")
    rig.after(20)
    assert 1 == len(rig.commands("update_firmware"))


@BOTH
def test_transactions_end_first_and_no_new_one_begins(version: str) -> None:
    """# L01.FR.06, L01.FR.07, [TC_L_15]; 1.6 §5.19: what is not in use becomes Unavailable."""
    rig = booted(version, connectors=2)
    rig.session(n=1)

    update(rig)
    rig.carried(FETCHED)

    assert [] == rig.commands("update_firmware")
    assert "Unavailable" == rig.status(2)
    rig.forget()
    rig.card(n=1)
    rig.unplug(1)
    assert 1 == len(rig.commands("update_firmware"))
    rig.result(name="update_firmware")
    rig.device_firmware("installed")
    assert "Available" == rig.status(1) == rig.status(2)


def test_nobody_starts_while_it_is_installed() -> None:
    """The device is about to boot."""
    rig = booted()
    update(rig)
    install(rig)
    assert "Rejected" == rig.status_of("RemoteStartTransaction", idTag="A", connectorId=1)


# ------------------------------------------------------------------ failures


@BOTH
@pytest.mark.parametrize("because", ["failed", "denied"])
def test_a_download_is_tried_again_as_often_as_asked(version: str, because: FailedBecause) -> None:
    """# 1.6 §5.19: `retries` counts those after the first, `retryInterval` seconds apart ([E3.50])."""
    rig = booted(version)
    update(rig, retries=1, retryInterval=30)
    first = rig.carried(failed(because))
    assert [] == rig.transfers

    rig.after(29)
    assert [] == rig.transfers
    rig.after(2)
    second = rig.carried(failed(because))

    assert isinstance(first.job, Download)
    assert first.job == second.job
    rig.after(1000)
    assert ([], ["Downloading", "DownloadFailed"]) == (rig.transfers, told(rig))


def test_without_a_word_on_retries_there_are_three() -> None:
    """# 1.6 §5.19 leaves it to the station."""
    rig = booted()
    update(rig)
    for _ in range(4):
        rig.carried(failed())
        rig.after(61)
    assert "Firmware DownloadFailed" == rig.story()[-1]


def test_an_address_that_leads_nowhere_is_tried_once() -> None:
    """It will not get better."""
    rig = booted()
    update(rig, retries=5)
    rig.carried(failed("bad_address"))
    assert ["Firmware Downloading", "Firmware DownloadFailed"] == rig.story()[1:]


@pytest.mark.parametrize("status", ["rejected", "failed", "not_supported"])
def test_a_device_that_refuses_has_not_installed_it(status: str) -> None:
    """Nothing was installing."""
    rig = booted()
    update(rig)
    rig.carried(FETCHED)
    rig.result(status, name="update_firmware")
    assert ["Firmware Downloaded", "Firmware InstallationFailed"] == rig.story()[2:]


def test_a_device_that_does_not_answer_has_not_installed_it() -> None:
    """Within the time of a command."""
    rig = booted()
    update(rig)
    rig.carried(FETCHED)
    rig.after(30)
    assert "Firmware InstallationFailed" == rig.story()[-1]


def test_a_device_that_fails_says_so() -> None:
    """[TC_044_3]: and the station goes on with what it has."""
    rig = booted()
    update(rig)
    install(rig)

    rig.device_firmware("failed", "bad block")

    assert ["Firmware Installing", "Firmware InstallationFailed"] == rig.story()[3:]
    assert "Accepted" == rig.status_of("RemoteStartTransaction", idTag="A", connectorId=1)


def test_a_device_that_never_comes_back_has_failed() -> None:
    """After firmware_timeout_s."""
    rig = booted(firmware_timeout_s=600)
    update(rig)
    install(rig)
    rig.after(599)
    assert "Installing" == told(rig)[-1]
    rig.after(2)
    assert ["InstallationFailed"] == told(rig)


def test_a_boot_with_the_old_version_decides_nothing() -> None:
    """The device may boot more than once; it says itself when it has failed."""
    rig = booted()
    update(rig)
    install(rig)
    rig.announce("boot2", commands=COMMANDS, firmware_version="1.0")
    assert "Firmware Installing" == rig.story()[-1]


def test_who_cannot_install_says_so_at_once() -> None:
    """Plain 1.6 has no status to refuse with."""
    rig = Rig("1.6")
    rig.boot()
    assert ("NotSupported", "the device does not install firmware") == update(rig)

    rig = Rig("2.0.1")
    rig.boot()
    reply = update(rig)
    assert ("Rejected", "NotSupported") == (reply["status"], reply["statusInfo"]["reasonCode"])


@BOTH
def test_unsigned_firmware_can_be_ruled_out(version: str) -> None:
    """# 1.6 WP L01.FR.20: CALLERROR NotSupported."""
    rig = booted(version, signed_firmware_only=True)
    reply = update(rig)
    assert reply[0] == "NotSupported" if version == "1.6" else reply["status"] == "Rejected"
    assert [] == rig.transfers


# ------------------------------------------------------------------ one after another


def test_a_new_update_ends_the_one_under_way() -> None:
    """[TC_L_10]: AcceptedCanceled, and nothing more of the old one."""
    rig = booted("2.0.1")
    update(rig, request_id=1)

    assert {"status": "AcceptedCanceled"} == update(rig, request_id=2)

    assert 1 == len(rig.transfers)
    install(rig)
    rig.device_firmware("installed")
    assert [1, 2, 2, 2, 2] == [call["requestId"] for call in rig.payloads("FirmwareStatusNotification")]


def test_what_is_being_installed_cannot_be_ended() -> None:
    """[TC_L_11]."""
    rig = booted("2.0.1")
    update(rig, request_id=1)
    install(rig)
    reply = update(rig, request_id=2)
    assert "Rejected" == reply["status"]


# ------------------------------------------------------------------ restarts, triggers


@BOTH
def test_an_update_survives_a_restart_of_the_gateway(version: str) -> None:
    """In each phase; what was under way is begun anew, and nothing is told twice."""
    rig = booted(version)
    update(rig)
    rig.transfers.clear()
    rig.restart()
    assert 1 == len(rig.transfers)
    install(rig)
    rig.restart()
    rig.device_firmware("installed")
    assert ["Downloading", "Downloaded", "Installing", "Installed"] == told(rig)


def test_a_scheduled_update_survives_a_restart() -> None:
    """It is on disk."""
    rig = booted()
    update(rig, in_s=3600)
    rig.restart()
    rig.after(3601)
    assert 1 == len(rig.transfers)


@pytest.mark.parametrize(
    ("version", "action"),
    [("1.6", "TriggerMessage"), ("1.6", "ExtendedTriggerMessage"), ("2.0.1", "TriggerMessage")],
)
def test_a_trigger_is_answered_with_the_status(version: str, action: str) -> None:
    """[TC_054], [TC_F_20]: Idle while nothing is going on."""
    rig = booted(version)
    name = "SignedFirmwareStatusNotification" if action.startswith("E") else "FirmwareStatusNotification"

    assert "Accepted" == rig.status_of(action, requestedMessage="FirmwareStatusNotification")

    assert [{"status": "Idle"}] == rig.payloads(name)


def test_a_trigger_tells_the_last_status_until_it_is_installed() -> None:
    """# L01.FR.25, L01.FR.26."""
    rig = booted("2.0.1")
    update(rig)
    rig.carried(failed("bad_address"))
    rig.forget()
    rig.status_of("TriggerMessage", requestedMessage="FirmwareStatusNotification")
    assert [{"status": "DownloadFailed", "requestId": 7}] == rig.payloads("FirmwareStatusNotification")


def test_under_plain_16_what_has_ended_is_idle() -> None:
    """# 1.6 §7.25: not performing firmware update related tasks."""
    rig = booted()
    update(rig)
    rig.carried(failed("bad_address"))
    rig.forget()
    rig.status_of("TriggerMessage", requestedMessage="FirmwareStatusNotification")
    assert [{"status": "Idle"}] == rig.payloads("FirmwareStatusNotification")


def test_statuses_are_told_when_the_link_is_back() -> None:
    """They wait in a lane of their own, and are told in their order."""
    rig = booted()
    update(rig)
    rig.disconnect()
    install(rig)
    rig.device_firmware("failed")
    rig.forget()
    rig.connect()
    assert ["Downloaded", "Installing", "InstallationFailed"] == told(rig)


# ------------------------------------------------------------------ signatures


class Signer:
    """A manufacturer who signs."""

    def __init__(self, folder: Path, kind: str = "ec") -> None:
        self.root = Authority(folder, "Manufacturer")
        long_ago = dt.timedelta(days=-3000)
        certificate, key_file = self.root.issue("signer", rsa_key=kind.startswith("rsa"), valid_from=long_ago)
        self.pem = certificate.read_text()
        self._key = load_pem_private_key(key_file.read_bytes(), None)
        self._kind = kind

    def sign(self, content: bytes = FILE) -> str:
        match self._key:
            case ec.EllipticCurvePrivateKey():
                raw = self._key.sign(content, ec.ECDSA(hashes.SHA256()))
            case rsa.RSAPrivateKey() if self._kind == "rsa-pss":
                pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
                raw = self._key.sign(content, pss, hashes.SHA256())
            case rsa.RSAPrivateKey():
                raw = self._key.sign(content, padding.PKCS1v15(), hashes.SHA256())
            case _:
                raise AssertionError(self._key)
        return base64.b64encode(raw).decode()


def trusts(rig: Rig, signer: Signer) -> None:
    use = "ManufacturerRootCertificate"
    assert "Accepted" == rig.status_of("InstallCertificate", certificateType=use, certificate=signer.root.pem)
    rig.forget()


def signed_update(rig: Rig, signer: Signer, signature: str | None = None) -> Any:
    firmware = {
        "location": WHERE,
        "retrieveDateTime": text(rig.wall),
        "signingCertificate": signer.pem,
        "signature": signer.sign() if signature is None else signature,
    }
    action = "SignedUpdateFirmware" if rig.version == "1.6" else "UpdateFirmware"
    return rig.status_of(action, requestId=5, firmware=firmware)


@BOTH
@pytest.mark.parametrize("kind", ["ec", "rsa", "rsa-pss"])
def test_a_signed_update_is_verified(version: str, kind: str, tmp_path: Path) -> None:
    """[TC_080], [TC_L_01]: SHA-256 over the whole file."""
    rig, signer = booted(version, signed_firmware_only=True), Signer(tmp_path, kind)
    trusts(rig, signer)

    assert "Accepted" == signed_update(rig, signer)
    install(rig)
    rig.device_firmware("installed")

    name = "SignedFirmwareStatusNotification" if version == "1.6" else "FirmwareStatusNotification"
    assert [5] * 5 == [call["requestId"] for call in rig.payloads(name)]
    assert ["Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed"] == told(rig)


@BOTH
@pytest.mark.parametrize("signature", ["of something else", "no base64", ""])
def test_a_wrong_signature_is_told_and_nothing_is_installed(
    version: str, signature: str, tmp_path: Path
) -> None:
    """[TC_081], [TC_L_06]."""
    rig, signer = booted(version), Signer(tmp_path)
    trusts(rig, signer)
    wrong = signer.sign(b"other") if signature == "of something else" else signature

    signed_update(rig, signer, wrong)
    rig.carried(FETCHED)

    assert [
        "Firmware Downloaded",
        "Security InvalidFirmwareSignature",
        "Firmware InvalidSignature",
    ] == rig.story()[-3:]
    assert [] == rig.commands("update_firmware")


@BOTH
def test_a_signer_whom_nobody_vouches_for_is_refused(version: str, tmp_path: Path) -> None:
    """[TC_L_05]: InvalidCertificate and a security event."""
    rig, signer = booted(version), Signer(tmp_path)

    assert "InvalidCertificate" == signed_update(rig, signer)

    assert "Security InvalidFirmwareSigningCertificate" in rig.story()
    assert [] == rig.transfers


def test_what_is_no_certificate_is_refused(tmp_path: Path) -> None:
    """With the same word."""
    rig, signer = booted(), Signer(tmp_path)
    trusts(rig, signer)
    signer.pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    assert "InvalidCertificate" == signed_update(rig, signer)


def test_half_a_signature_is_none() -> None:
    """[TC_L_18]: a certificate without a signature is refused, not passed over."""
    rig = booted("2.0.1")
    firmware = {"location": WHERE, "retrieveDateTime": text(rig.wall), "signature": "AAAA"}
    assert "Rejected" == rig.status_of("UpdateFirmware", requestId=5, firmware=firmware)


def test_a_probe_has_no_effect() -> None:
    """Interop: a backend asks with `dummy://dummy` and nonsense for a signature, to see what we support."""
    rig = booted("2.0.1")
    firmware = {
        "location": "dummy://dummy",
        "retrieveDateTime": text(rig.wall),
        "signingCertificate": "dummy",
        "signature": "dummy",
    }
    assert "InvalidCertificate" == rig.status_of("UpdateFirmware", requestId=1, firmware=firmware)
    assert [] == rig.transfers
