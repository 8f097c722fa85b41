"""Installed certificates: whom the station trusts, by whose word, and what it says of it."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from gateway.station import certificates
from gateway.station.certificate_work import CSMS_ROOT, MANUFACTURER_ROOT, CertificateWork
from gateway.station.events import StoreChanged
from tests.station.rig import Rig
from tests.support.certificates import Authority

CSMS = "CentralSystemRootCertificate"
MANUFACTURER = "ManufacturerRootCertificate"
INVALID = "Security InvalidCentralSystemCertificate"


class SlowDesk:
    """Does what it is told to only when the test says so."""

    def __init__(self) -> None:
        self.works: list[CertificateWork] = []

    def carry_out(self, work: CertificateWork, _done: Any) -> None:
        self.works.append(work)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ca")


@pytest.fixture(scope="module")
def root(folder: Path) -> Authority:
    return Authority(folder, "Root 1")


def booted(**variables: str) -> Rig:
    rig = Rig("1.6", variables={f"Ocpp16.{name}": value for name, value in variables.items()})
    rig.boot()
    return rig


def install(rig: Rig, pem: str, use: str = CSMS) -> str | None:
    return rig.status_of("InstallCertificate", certificateType=use, certificate=pem)


def installed(rig: Rig, use: str = CSMS) -> list[dict[str, str]]:
    reply = rig.asks("GetInstalledCertificateIds", certificateType=use)
    assert isinstance(reply, dict)
    assert (reply["status"] == "Accepted") is bool(reply.get("certificateHashData"))
    return list(reply.get("certificateHashData", ()))


def delete(rig: Rig, name: dict[str, str]) -> str | None:
    return rig.status_of("DeleteCertificate", certificateHashData=name)


# ------------------------------------------------------------------ compliance test cases


@pytest.mark.parametrize("use", [MANUFACTURER, CSMS])
def test_tc_075_a_root_is_installed_and_listed_under_its_use(root: Authority, use: str) -> None:
    """# [TC_075_1], [TC_075_2]; under the other use there is none."""
    rig = booted()

    assert install(rig, root.pem, use) == "Accepted"

    [name] = installed(rig, use)
    assert name["hashAlgorithm"] == "SHA256"
    assert installed(rig, CSMS if use == MANUFACTURER else MANUFACTURER) == []


def test_tc_076_a_certificate_is_deleted_and_gone(root: Authority) -> None:
    """# [TC_076]."""
    rig = booted()
    install(rig, root.pem)
    [name] = installed(rig)

    assert delete(rig, name) == "Accepted"

    assert installed(rig) == []
    assert delete(rig, name) == "NotFound"


def test_tc_078_an_expired_root_is_refused_and_told(folder: Path) -> None:
    """# [TC_078]."""
    rig = booted()
    expired = Authority(folder, "Expired", valid_until=dt.timedelta(days=-3000))

    assert install(rig, expired.pem) == "Rejected"

    assert INVALID in rig.story()
    assert installed(rig) == []


def test_tc_078_what_is_no_certificate_is_refused_and_told() -> None:
    """# [TC_078]: the reply goes first."""
    rig = booted()

    assert install(rig, "no certificate") == "Rejected"

    assert rig.story() == ["InstallCertificate: Rejected", INVALID]


# ------------------------------------------------------------------ what may be installed


def test_a_bad_manufacturers_root_is_refused_without_an_event_about_the_csms() -> None:
    """The event is about certificates of the CSMS."""
    rig = booted()

    assert install(rig, "no certificate", MANUFACTURER) == "Rejected"

    assert INVALID not in rig.story()


def test_a_servers_certificate_is_no_root(root: Authority) -> None:
    """It can sign nothing."""
    rig = booted()
    cert_file, _ = root.issue("server", "localhost")

    assert install(rig, cert_file.read_text()) == "Rejected"
    assert INVALID in rig.story()


def test_an_authority_whose_issuer_is_unknown_is_no_root(root: Authority, folder: Path) -> None:
    """It could not even be named; once its issuer is installed it may follow."""
    rig = booted()
    below = Authority(folder, "Below", signed_by=root)
    assert install(rig, below.pem) == "Rejected"

    assert install(rig, root.pem) == "Accepted"

    assert install(rig, below.pem) == "Accepted"
    assert len(installed(rig)) == 2


def test_the_same_root_again_changes_nothing(root: Authority) -> None:
    """# M05: Accepted, and listed once."""
    rig = booted()
    install(rig, root.pem)

    assert install(rig, root.pem) == "Accepted"

    assert len(installed(rig)) == 1


def test_a_full_store_takes_no_more(folder: Path) -> None:
    """# M05: Rejected, whatever the use; room is made by deleting."""
    rig = booted(CertificateStoreMaxLength="2")
    first, second, third = (Authority(folder, f"Full {i}") for i in range(3))
    assert install(rig, first.pem) == "Accepted"
    assert install(rig, second.pem, MANUFACTURER) == "Accepted"

    assert install(rig, third.pem) == "Rejected"
    assert INVALID not in rig.story()

    assert delete(rig, installed(rig)[0]) == "Accepted"
    assert install(rig, third.pem) == "Accepted"


def test_a_disk_that_takes_nothing_takes_no_certificate(root: Authority) -> None:
    """Failed: nothing is wrong with the certificate."""
    rig = booted()
    rig.happens(StoreChanged(writable=False, detail="full"))

    assert install(rig, root.pem) == "Failed"


# ------------------------------------------------------------------ one root at a time


def test_with_the_additional_check_a_root_is_succeeded_only_by_one_that_it_signed(
    folder: Path, root: Authority
) -> None:
    """# AdditionalRootCertificateCheck: the first is free, a stranger is refused, the old one stays beside the new."""
    rig = booted(AdditionalRootCertificateCheck="true")
    assert install(rig, root.pem) == "Accepted"
    stranger = Authority(folder, "Stranger")

    assert install(rig, stranger.pem) == "Rejected"
    assert INVALID in rig.story()
    assert len(installed(rig)) == 1

    successor = Authority(folder, "Successor", signed_by=root)
    assert install(rig, successor.pem) == "Accepted"
    assert len(installed(rig)) == 2


def test_the_additional_check_concerns_roots_of_the_csms_only(folder: Path, root: Authority) -> None:
    """A manufacturer may have several."""
    rig = booted(AdditionalRootCertificateCheck="true")
    install(rig, root.pem, MANUFACTURER)

    assert install(rig, Authority(folder, "Another").pem, MANUFACTURER) == "Accepted"


# ------------------------------------------------------------------ names


@pytest.mark.parametrize("change", [str.upper, lambda text: f"00{text}"])
def test_a_name_is_recognised_however_it_is_written(folder: Path, change: Any) -> None:
    """Upper case, and leading zeros of the serial number."""
    rig = booted()
    install(rig, Authority(folder, "Short", serial=0xABC).pem)
    [name] = installed(rig)

    name["serialNumber"] = change(name["serialNumber"])

    assert delete(rig, name) == "Accepted"


def test_a_name_in_another_algorithm_is_recognised(root: Authority) -> None:
    """The CSMS may choose its own."""
    rig = booted()
    install(rig, root.pem)
    [record] = rig.station.state.certificates.installed.values()
    for found in record.facts.hashes[1:]:
        name = {
            "hashAlgorithm": found.algorithm,
            "issuerNameHash": found.issuer_name,
            "issuerKeyHash": found.issuer_key,
            "serialNumber": found.serial,
        }
        assert delete(rig, name) == "Accepted"
        install(rig, root.pem)


# ------------------------------------------------------------------ over time


def test_roots_survive_a_restart_in_their_order(folder: Path, root: Authority) -> None:
    """By their use."""
    rig = booted()
    other = Authority(folder, "Other")
    install(rig, root.pem)
    install(rig, other.pem)
    install(rig, other.pem, MANUFACTURER)

    rig.restart()

    assert (root.pem, other.pem) == certificates.roots(rig.station.state, CSMS_ROOT)
    assert (other.pem,) == certificates.roots(rig.station.state, MANUFACTURER_ROOT)


def test_the_csms_is_answered_before_it_gives_up(root: Authority) -> None:
    """Whatever became of the examination; a late result changes nothing."""
    rig = booted()
    honest, slow = rig.desk, SlowDesk()
    rig.desk = slow  # type: ignore[assignment]
    assert install(rig, root.pem) is None

    rig.after(16)

    assert rig.late_reply() == {"status": "Failed"}
    honest.carry_out(slow.works[0], rig.happens)
    assert installed(rig) == []


def test_many_at_once_are_not_examined(root: Authority) -> None:
    """A further one fails at once."""
    rig = booted()
    rig.desk = SlowDesk()  # type: ignore[assignment]
    for _ in range(certificates.MOST_EXAMINED):
        assert install(rig, root.pem) is None

    assert install(rig, root.pem) == "Failed"
