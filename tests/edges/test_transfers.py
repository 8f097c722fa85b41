"""Files on their way for real: libcurl against real servers on loopback."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import socket
import threading
import zipfile
from pathlib import Path

import pytest

from gateway.logs import RecentLog
from gateway.station.transfer_work import (
    Download,
    Downloaded,
    SecurityLogEntry,
    Transfer,
    TransferEnded,
    TransferFailed,
    Upload,
    Uploaded,
)
from gateway.transfers import Courier, wire
from gateway.transfers.wire import Partial
from tests.support.certificates import Authority
from tests.support.file_servers import QUOTED, HttpServer, ftp_server, sftp_server

FILE = os.urandom(300_000)
DIGEST = hashlib.sha256(FILE).hexdigest()
WHOLE = Downloaded(len(FILE), DIGEST)


def fetched(url: str, partial: Partial | None = None, ca_file: Path | None = None) -> object:
    known = partial or Partial(hashlib.sha256())
    return wire.download(url, known, threading.Event(), ca_file=None if ca_file is None else str(ca_file))


def brought(url: str, ca_file: Path | None = None) -> object:
    ca = None if ca_file is None else str(ca_file)
    return wire.upload(url, "log 1.zip", FILE, threading.Event(), ca_file=ca)


def because(outcome: object) -> str:
    assert isinstance(outcome, TransferFailed), outcome
    assert "s3cret" not in outcome.why
    return outcome.because


# ------------------------------------------------------------------ http


def test_http_download() -> None:
    """The whole, measured."""
    with HttpServer() as server:
        server.files["/f.bin"] = FILE
        assert WHOLE == fetched(server.url("/f.bin"))


def test_name_and_password_of_the_url_are_used() -> None:
    """Quoted as a URL quotes them."""
    with HttpServer() as server:
        server.files["/f.bin"], server.demands_login = FILE, True
        assert WHOLE == fetched(server.url("/f.bin", QUOTED))
        assert "denied" == because(fetched(server.url("/f.bin", "charger:wrong")))


def test_a_download_goes_on_where_it_was_cut() -> None:
    """By Range, where the server still has the same file."""
    with HttpServer() as server:
        server.files["/f.bin"], server.cut_after = FILE, 100_000
        partial = Partial(hashlib.sha256())
        assert "failed" == because(fetched(server.url("/f.bin"), partial))
        assert 0 < partial.size <= 100_000

        assert WHOLE == fetched(server.url("/f.bin"), partial)

        assert server.asked[1][2]["range"].startswith("bytes=")


@pytest.mark.parametrize("why", ["it is another file", "no ranges"])
def test_a_download_starts_over_where_it_cannot_go_on(why: str) -> None:
    """Two halves of two files would be none."""
    with HttpServer() as server:
        server.files["/f.bin"], server.cut_after = os.urandom(300_000), 100_000
        partial = Partial(hashlib.sha256())
        fetched(server.url("/f.bin"), partial)
        server.files["/f.bin"] = FILE
        if why == "no ranges":
            server.ranges = False
        server.etag = '"2"'
        assert WHOLE == fetched(server.url("/f.bin"), partial)


@pytest.mark.parametrize(("status", "kind"), [(404, "failed"), (403, "denied"), (500, "failed")])
def test_an_error_page_is_no_firmware(status: int, kind: str) -> None:
    """Whatever it says."""
    with HttpServer() as server:
        server.status["GET"] = status
        outcome = fetched(server.url("/f.bin"))
        assert kind == because(outcome)
        assert f"the server answered {status}" in str(outcome)


def test_http_upload_puts_the_file_into_the_folder() -> None:
    """The location of 1.6 is a directory."""
    with HttpServer() as server:
        assert Uploaded() == brought(server.url("/logs/", QUOTED))
        assert {"/logs/log%201.zip": FILE} == server.files
        assert 'attachment; filename="log 1.zip"' == server.asked[-1][2]["content-disposition"]


def test_a_location_with_a_query_is_the_very_place() -> None:
    """Such as a presigned one."""
    with HttpServer() as server:
        assert Uploaded() == brought(server.url("/bucket/here?signature=1"))
        assert {"/bucket/here?signature=1": FILE} == server.files


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_server_without_put_gets_a_form(status: int) -> None:
    """POST, with one file."""
    with HttpServer() as server:
        server.status["PUT"] = status
        assert Uploaded() == brought(server.url("/upload"))
        [(path, kind, body)] = server.posted
        assert "/upload" == path
        assert kind.startswith("multipart/form-data; boundary=")
        assert b'name="file"; filename="log 1.zip"' in body
        assert FILE in body


def test_a_refused_upload_is_denied() -> None:
    """And no form is tried."""
    with HttpServer() as server:
        server.status["PUT"] = 403
        assert "denied" == because(brought(server.url("/upload")))
        assert [] == server.posted


def test_https_is_verified(tmp_path: Path) -> None:
    """By the authorities of the operator."""
    authority, other = Authority(tmp_path), Authority(tmp_path, "Other CA")
    with HttpServer(tls=authority.server_context("127.0.0.1")) as server:
        server.files["/f.bin"] = FILE
        assert WHOLE == fetched(server.url("/f.bin"), ca_file=authority.ca_file)
        assert "failed" == because(fetched(server.url("/f.bin"), ca_file=other.ca_file))
        assert "failed" == because(fetched(server.url("/f.bin")))


# ------------------------------------------------------------------ ftp, ftps, sftp


def test_ftp_both_ways(tmp_path: Path) -> None:
    """Folders on the way are made."""
    (tmp_path / "f.bin").write_bytes(FILE)
    with ftp_server(tmp_path) as port:
        assert WHOLE == fetched(f"ftp://{QUOTED}@127.0.0.1:{port}/f.bin")
        assert Uploaded() == brought(f"ftp://{QUOTED}@127.0.0.1:{port}/logs/today")
        assert FILE == (tmp_path / "logs" / "today" / "log 1.zip").read_bytes()
        assert "denied" == because(fetched(f"ftp://charger:wrong@127.0.0.1:{port}/f.bin"))
        assert "failed" == because(fetched(f"ftp://{QUOTED}@127.0.0.1:{port}/missing"))


def test_ftp_goes_on_where_it_was(tmp_path: Path) -> None:
    """By REST, where the file's date is the same; else it starts over."""
    file = tmp_path / "f.bin"
    file.write_bytes(FILE)
    with ftp_server(tmp_path) as port:
        url = f"ftp://{QUOTED}@127.0.0.1:{port}/f.bin"
        version = str(int(file.stat().st_mtime))
        half = Partial(hashlib.sha256(FILE[:100_000]), 100_000, version)
        assert WHOLE == fetched(url, half)

        stale = Partial(hashlib.sha256(b"x" * 100_000), 100_000, "1")
        assert "failed" == because(fetched(url, stale))
        assert WHOLE == fetched(url, stale)


def test_ftps_both_ways(tmp_path: Path) -> None:
    """AUTH TLS on a port of any number, verified."""
    authority = Authority(tmp_path)
    served = tmp_path / "served"
    served.mkdir()
    (served / "f.bin").write_bytes(FILE)
    with ftp_server(served, authority.issue("server", "127.0.0.1")) as port:
        url = f"ftps://{QUOTED}@127.0.0.1:{port}"
        assert WHOLE == fetched(f"{url}/f.bin", ca_file=authority.ca_file)
        assert Uploaded() == brought(url, ca_file=authority.ca_file)
        assert FILE == (served / "log 1.zip").read_bytes()
        assert "failed" == because(fetched(f"{url}/f.bin"))


def test_sftp_both_ways(tmp_path: Path) -> None:
    """With a password."""
    (tmp_path / "f.bin").write_bytes(FILE)
    with sftp_server(tmp_path) as port:
        assert WHOLE == fetched(f"sftp://{QUOTED}@127.0.0.1:{port}/f.bin")
        assert Uploaded() == brought(f"sftp://{QUOTED}@127.0.0.1:{port}/logs")
        assert FILE == (tmp_path / "logs" / "log 1.zip").read_bytes()
        assert "denied" == because(fetched(f"sftp://charger:wrong@127.0.0.1:{port}/f.bin"))


# ------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("dummy://dummy", "unsupported"),
        ("file:///etc/passwd", "bad_address"),
        ("gopher://host/", "unsupported"),
        ("no address", "bad_address"),
        ("", "bad_address"),
        ("http://", "bad_address"),
        ("http://host:port/", "bad_address"),
        ("http://[::1/", "bad_address"),
        ("http://127.0.0.1:1/f", "failed"),
    ],
)
def test_an_address_that_leads_nowhere(url: str, kind: str) -> None:
    """Each with its reason; no file of this machine is ever read."""
    assert kind == because(fetched(url))
    assert kind == because(brought(url))


# ------------------------------------------------------------------ the courier


def upload_job(url: str, **more: object) -> Upload:
    return Upload(url=url, filename="a.zip", kind="DiagnosticsLog", **more)  # type: ignore[arg-type]


async def carried(courier: Courier, job: Upload | Download, ref: int = 1) -> TransferEnded:
    ended: asyncio.Future[TransferEnded] = asyncio.get_running_loop().create_future()
    courier.carry("garage", Transfer(ref, job), ended.set_result, ca_file=None)
    async with asyncio.timeout(20):
        return await ended


async def test_what_is_known_is_packed_into_one_file() -> None:
    """The gateway's lines and frames of this station, the security log, the device's own."""
    recent = RecentLog()
    recent.remember(None, "info", {"event": "Connected.", "station": "garage"})
    recent.remember(None, "info", {"event": "Connected.", "station": "elsewhere"})
    recent.remember(None, "info", {"event": "Started."})
    recent.frame("garage", "sent", b'[2,"1","Authorize",{"idTag":"04A2B3C4D5"}]')
    recent.frame("elsewhere", "sent", b"[]")
    courier = Courier(recent)
    with HttpServer() as server:
        job = upload_job(
            server.url("/logs"),
            security=(SecurityLogEntry(1e9, "FirmwareUpdated", "1"),),
            device_log="boot\n",
        )
        assert Uploaded() == (await carried(courier, job)).outcome
        archive = zipfile.ZipFile(io.BytesIO(server.files["/logs/a.zip"]))
    courier.stop()
    texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert "boot\n" == texts["device.log"]
    assert "2001-09-09T01:46:40.000Z FirmwareUpdated 1\n" == texts["security.log"]
    assert 2 == len(texts["gateway.log"].splitlines())
    assert 1 == len(texts["ocpp.log"].splitlines())
    assert "04A2B3C4D5" not in texts["ocpp.log"]


async def test_only_what_happened_in_time_is_packed() -> None:
    """From `oldest` on, until `latest`."""
    recent = RecentLog()
    recent.frame("garage", "sent", b"[2]")
    assert "[2]" in recent.of("garage", None, None)["ocpp.log"]
    assert "" == recent.of("garage", None, 1.0)["ocpp.log"]
    assert "" == recent.of("garage", 1e12, None)["ocpp.log"]


async def test_a_second_attempt_goes_on_with_the_first() -> None:
    """The same name of the file, whoever asks."""
    courier = Courier(RecentLog())
    with HttpServer() as server:
        server.files["/f.bin"], server.cut_after = FILE, 100_000
        job = Download(url=server.url("/f.bin"), resume="1")
        first = await carried(courier, job, 1)
        second = await carried(courier, job, 2)
        assert isinstance(first.outcome, TransferFailed)
        assert (2, WHOLE) == (second.ref, second.outcome)
        assert "range" in server.asked[-1][2]
    courier.stop()


async def test_a_cancelled_transfer_has_no_end() -> None:
    """Its connection is given up, and nobody is told."""
    courier = Courier(RecentLog(), at_once=1)
    told: list[TransferEnded] = []
    with socket.create_server(("127.0.0.1", 0)) as silent, HttpServer() as server:
        stuck = Download(url=f"http://127.0.0.1:{silent.getsockname()[1]}/f", resume="1")
        courier.carry("garage", Transfer(1, stuck), told.append, ca_file=None)
        courier.cancel("garage", 1)
        server.files["/f.bin"] = FILE
        ended = await carried(courier, Download(url=server.url("/f.bin"), resume="2"), 2)
    courier.stop()
    assert (WHOLE, []) == (ended.outcome, told)


async def test_an_error_of_our_own_is_an_end_too() -> None:
    """Nobody waits for ever."""
    courier = Courier(RecentLog())
    job = upload_job("http://127.0.0.1:1/", security=(None,))
    ended = await carried(courier, job)
    courier.stop()
    assert isinstance(ended.outcome, TransferFailed)
    assert "AttributeError" in ended.outcome.why
