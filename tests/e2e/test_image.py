"""The image: the Dockerfile's steps without an engine, its program run as its user; with buildah, the image itself."""

from __future__ import annotations

import asyncio
import compileall
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from tests.support.broker import Broker, free_port
from tests.support.csms import Csms
from tests.support.mqtt_client import TestClient

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parents[2]
_DOCKERFILE = (_ROOT / "docker" / "Dockerfile").read_text()
_USER = int(re.findall(r"^USER (\d+):", _DOCKERFILE, re.MULTILINE)[-1])
_BASE = re.findall(r"^FROM (\S+)", _DOCKERFILE, re.MULTILINE)[-1]
_IS_ROOT = os.geteuid() == 0
_AS_ITS_USER: dict[str, Any] = {"user": _USER, "group": _USER, "extra_groups": []} if _IS_ROOT else {}
"""Whoever may not become another user runs it as himself, in a tree that he has made read-only."""


def _interpreter() -> str:
    """A Python that the image's user may run: the one of these tests may lie in somebody's home."""
    for candidate in (os.path.realpath(sys.executable), "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            question = [candidate, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
            if subprocess.run(question, check=False, **_AS_ITS_USER).returncode == 0:
                return candidate
        except OSError:
            continue
    raise AssertionError("no Python from 3.11 on can be run by users other than root: install python3")


@pytest.fixture(scope="module")
def installed() -> Iterator[Path]:
    """An environment with what requirements.lock pins and the wheel of what .dockerignore lets through; read-only."""
    directory = Path(tempfile.mkdtemp(prefix="image-"))
    directory.chmod(0o755)
    try:
        context = directory / "context"
        context.mkdir()
        for name in re.findall(r"^!(\S+)$", (_ROOT / ".dockerignore").read_text(), re.MULTILINE):
            source = _ROOT / name
            if source.is_dir():
                shutil.copytree(source, context / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, context / name)
        environment = directory / "gateway"
        _run(_interpreter(), "-m", "venv", "--without-pip", environment)
        python = environment / "bin" / "python"
        pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
        _run(*pip, "--python", python, "install", "--require-hashes", "-r", context / "requirements.lock")
        _run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", directory / "dist", context)
        (wheel,) = (directory / "dist").iterdir()
        _run(*pip, "--python", python, "install", "--no-deps", wheel)
        assert compileall.compile_dir(environment / "lib", quiet=2)
        _run("chmod", "-R", "a-w,a+rX", environment)
        yield environment
    finally:
        _run("chmod", "-R", "u+w", directory)
        shutil.rmtree(directory)


def _run(*command: str | Path) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        check=False,
        capture_output=True,
        text=True,
        cwd=tempfile.gettempdir(),
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"


async def test_it_works_as_its_user_and_writes_to_its_volume_alone(installed: Path) -> None:
    """It reaches broker and CSMS, its own health check finds it well, SIGTERM ends it, and only /data has changed."""
    data = installed.parent / "data"
    data.mkdir(mode=0o750)
    if _IS_ROOT:
        os.chown(data, _USER, _USER)
    health = free_port()
    with Broker(data.parent) as broker:
        async with Csms() as csms, TestClient(broker.port) as mqtt:
            await mqtt.subscribe("ocpp/#")
            config = data.parent / "gateway.yaml"
            config.write_text(
                json.dumps(
                    {
                        "mqtt": {"url": broker.url},
                        "health": {"port": health},
                        "stations": [{"name": "garage", "csms": csms.url}],
                    }
                )
            )
            environment = {"PYTHONDONTWRITEBYTECODE": "1", "OCPP_GATEWAY_STORE__PATH": f"{data}/gateway.db"}
            process = await asyncio.create_subprocess_exec(
                *(str(installed / "bin" / "ocpp-gateway"), "run", str(config)),
                cwd=data,
                env=environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                **_AS_ITS_USER,
            )
            try:
                await csms.station("garage", timeout=30.0)
                await mqtt.next("ocpp/garage/0/state", 30.0, lambda m: m.json()["registration"] == "Accepted")
                (check,) = re.findall(r'CMD \["python", "-c", "(.+)"\]$', _DOCKERFILE, re.MULTILINE)
                well = await asyncio.create_subprocess_exec(
                    *(str(installed / "bin" / "python"), "-c", check),
                    env={"HEALTH_URL": f"http://127.0.0.1:{health}/health"},
                    **_AS_ITS_USER,
                )
                assert 0 == await asyncio.wait_for(well.wait(), 20.0)
            finally:
                process.send_signal(signal.SIGTERM)
                output, _ = await asyncio.wait_for(process.communicate(), 30.0)

    assert 0 == process.returncode, output.decode()
    assert "gateway.db" in {path.name for path in data.iterdir()}


def test_it_brings_what_its_commands_need(installed: Path, tmp_path: Path) -> None:
    """Without the source tree beside it: its version, its contract, and the demo's configuration."""
    program = str(installed / "bin" / "ocpp-gateway")

    def says(*arguments: str) -> str:
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [program, *arguments], cwd="/", check=True, capture_output=True, text=True, **_AS_ITS_USER
        )
        return done.stdout

    assert "3.0.0" == json.loads(says("asyncapi"))["asyncapi"]
    assert (_ROOT / "mosquitto" / "acl").read_text() == says("acl", "--any-station")
    (demo,) = installed.glob("lib/python*/site-packages/gateway/demo/demo.yaml")
    assert (
        "2 stations"
        in subprocess.run(
            [program, "check", "--quiet", str(demo)], check=True, capture_output=True, text=True, cwd="/"
        ).stderr
    )


class _Supervisor(BaseHTTPRequestHandler):
    """Home Assistant's Supervisor, as far as an add-on asks it for the broker."""

    service: ClassVar[dict[str, Any]] = {}

    def do_GET(self) -> None:
        known = self.path == "/services/mqtt" and self.headers["Authorization"] == "Bearer t0ken"
        body = {"result": "ok", "data": self.service} if known else {"result": "error"}
        self.send_response(200 if known else 400)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


async def test_the_add_on_starts_from_what_home_assistant_tells(installed: Path) -> None:
    """Options and the Supervisor's broker become a running gateway, as the image's user, its files its own."""
    data = installed.parent / "addon"
    data.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Supervisor)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        with Broker(installed.parent, users={"addons": "secret"}) as broker:
            _Supervisor.service = {
                "host": "127.0.0.1",
                "port": broker.port,
                "ssl": False,
                "username": "addons",
                "password": "secret",
            }
            async with Csms() as csms:
                station = {"name": "garage", "csms_url": csms.url}
                (data / "options.json").write_text(json.dumps({"log_level": "info", "stations": [station]}))
                process = await asyncio.create_subprocess_exec(
                    *(str(installed / "bin" / "python"), str(_ROOT / "docker/home-assistant-addon/start.py")),
                    *("--data", str(data), "--supervisor", f"http://127.0.0.1:{server.server_port}"),
                    env={
                        "PATH": f"{installed}/bin:/usr/bin:/bin",
                        "SUPERVISOR_TOKEN": "t0ken",
                        "HEALTH_PORT": str(free_port()),
                        "PYTHONDONTWRITEBYTECODE": "1",
                    },
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                )
                try:
                    await csms.station("garage", timeout=30.0)
                finally:
                    process.send_signal(signal.SIGTERM)
                    output, _ = await asyncio.wait_for(process.communicate(), 30.0)
    finally:
        server.shutdown()
        serving.join()
        server.server_close()

    assert 0 == process.returncode, output.decode()
    assert "secret" not in output.decode()
    owner = _USER if _IS_ROOT else os.geteuid()
    assert {owner} == {path.stat().st_uid for path in data.iterdir()}
    assert 0o600 == (data / "gateway.yaml").stat().st_mode & 0o777


@pytest.mark.parametrize("trouble", ["no broker", "no file"])
def test_the_add_on_says_what_it_misses(tmp_path: Path, trouble: str) -> None:
    """Without a broker in Home Assistant, or without the file that is named: a sentence, and exit code 1."""
    _Supervisor.service = {} if trouble == "no broker" else {"host": "h", "port": 1}
    (tmp_path / "options.json").write_text(json.dumps({"configuration_file": "mine.yaml"}))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Supervisor)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        done = subprocess.run(
            [
                *(sys.executable, str(_ROOT / "docker/home-assistant-addon/start.py")),
                *("--data", str(tmp_path), "--config", str(tmp_path)),
                *("--supervisor", f"http://127.0.0.1:{server.server_port}"),
            ],
            env={"SUPERVISOR_TOKEN": "t0ken"},
            check=False,
            capture_output=True,
            text=True,
        )
    finally:
        server.shutdown()
        serving.join()
        server.server_close()

    assert (1, "") == (done.returncode, done.stdout)
    said = "names no MQTT broker" if trouble == "no broker" else f"There is no {tmp_path}/mine.yaml"
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
async def test_the_image_is_built_and_runs(tmp_path: Path) -> None:
    """buildah makes it from the Dockerfile; the container reaches broker and CSMS as its user, its root read-only.

    A Debian with Python, made by debootstrap, stands in for the base image, so that no registry is needed.
    """
    missing = [tool for tool in ("buildah", "debootstrap") if shutil.which(tool) is None]
    assert not missing, (
        f"this test needs root and {' and '.join(missing)}: apt-get install {' '.join(missing)}"
    )
    storage = {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}
    buildah = ("buildah", "--root", str(tmp_path / "storage"), "--runroot", str(tmp_path / "run"))

    def run(*command: str | Path) -> str:
        done = subprocess.run(
            [str(part) for part in command],
            check=False,
            capture_output=True,
            text=True,
            cwd=_ROOT,
            env=os.environ | storage,
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout.strip()

    base = tmp_path / "base"
    run("debootstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates", "stable", base)
    (base / "usr/bin/python").symlink_to("python3")
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", base / "etc/ssl/certs/ca-certificates.crt")
    container = run(*buildah, "from", "scratch")
    run(*buildah, "add", "--quiet", container, base, "/")
    run(*buildah, "commit", "--quiet", container, f"docker.io/library/{_BASE}")
    run(*buildah, "rm", container)
    shutil.rmtree(base)
    run(*buildah, "build", "--pull-never", "--file", "docker/Dockerfile", "--tag", "ocpp-mqtt-gateway", ".")

    made = json.loads(run(*buildah, "inspect", "--type", "image", "localhost/ocpp-mqtt-gateway"))
    config = made["OCIv1"]["config"]
    assert f"{_USER}:{_USER}" == config["User"]
    container = run(*buildah, "from", "--pull-never", "localhost/ocpp-mqtt-gateway")
    data = tmp_path / "data"
    data.mkdir(mode=0o750)
    os.chown(data, _USER, _USER)
    with Broker(tmp_path) as broker:
        async with Csms() as csms:
            file = tmp_path / "gateway.yaml"
            file.write_text(
                json.dumps(
                    {
                        "mqtt": {"url": broker.url},
                        "store": {"path": "/data/gateway.db"},
                        "stations": [{"name": "garage", "csms": csms.url}],
                    }
                )
            )
            mounts = ("--volume", f"{data}:/data", "--volume", f"{file}:/config/gateway.yaml:ro")
            process = await asyncio.create_subprocess_exec(
                *(*buildah, "run", *mounts, container, "--", *config["Entrypoint"], *config["Cmd"]),
                env=os.environ | storage,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                await csms.station("garage", timeout=60.0)
                owner = (data / "gateway.db").stat()
            finally:
                os.killpg(process.pid, signal.SIGTERM)
                output, _ = await asyncio.wait_for(process.communicate(), 60.0)
                run(*buildah, "rm", container)
                run(*buildah, "rmi", "--all", "--force")

    assert (_USER, _USER) == (owner.st_uid, owner.st_gid), output.decode()
