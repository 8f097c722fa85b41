"""A real mosquitto on a free loopback port: what a test believes about a broker, a broker has said."""

from __future__ import annotations

import datetime as dt
import getpass
import ipaddress
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HOST = "127.0.0.1"
_SEARCHED = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"


class BrokerError(RuntimeError):
    """The broker could not be started or did not do what the test asked of it."""


class Broker:
    """One mosquitto process; it keeps its port and its directory through `kill()` and `restart()`.

    `with Broker(tmp_path) as broker:` and `async with …` both work; each method blocks, for milliseconds.

    - `persistence`: messages and sessions survive `stop()` and, saved on each change, mostly a `kill()`.
    - `users`: name → password; given, anonymous clients are refused, unless `anonymous`.
    - `acl`: lines of an ACL file (`user x`, `topic write ocpp/…`).
    - `tls`: the listener speaks TLS; its certificate for 127.0.0.1 and localhost is verified by `ca_file`.
    - `websockets`: a second listener on `websocket_port`.
    - `lines`: anything else of mosquitto.conf, global section.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        persistence: bool = False,
        users: Mapping[str, str] | None = None,
        anonymous: bool = False,
        acl: Sequence[str] = (),
        tls: bool = False,
        websockets: bool = False,
        lines: Sequence[str] = (),
    ) -> None:
        """Choose a port and write the configuration; nothing runs before `start()`."""
        self._temporary = None if directory else tempfile.TemporaryDirectory(prefix="mosquitto-")
        parent = directory or Path(self._temporary.name if self._temporary else "")
        self.directory = Path(tempfile.mkdtemp(prefix="broker-", dir=parent))
        self.port = free_port()
        self.websocket_port = free_port() if websockets else None
        self.ca_file: Path | None = None
        self.config_file = self.directory / "mosquitto.conf"
        self.log_file = self.directory / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None

        config = [
            *lines,
            f"user {getpass.getuser()}",
            "log_dest stderr",
            "log_type all",
            "per_listener_settings false",
        ]
        config += [f"allow_anonymous {'true' if anonymous or users is None else 'false'}"]
        if users is not None:
            config.append(f"password_file {self._password_file(users)}")
        if acl:
            acl_file = self.directory / "acl"
            acl_file.write_text("\n".join(acl) + "\n")
            acl_file.chmod(0o600)
            config.append(f"acl_file {acl_file}")
        if persistence:
            config += ["persistence true", f"persistence_location {self.directory}/"]
            config += ["autosave_interval 1", "autosave_on_changes true"]
            # Of what is given twice, mosquitto takes the last.
            config += [line for line in lines if line.startswith("autosave")]
        config.append(f"listener {self.port} {HOST}")
        if tls:
            files = _write_certificates(self.directory)
            self.ca_file = files["ca"]
            config += [f"cafile {files['ca']}", f"certfile {files['certificate']}", f"keyfile {files['key']}"]
        if self.websocket_port:
            config += [f"listener {self.websocket_port} {HOST}", "protocol websockets"]
        self.config_file.write_text("\n".join(config) + "\n")

    @property
    def url(self) -> str:
        """`mqtt://127.0.0.1:PORT`, or `mqtts://` with TLS."""
        return f"{'mqtts' if self.ca_file else 'mqtt'}://{HOST}:{self.port}"

    @property
    def websocket_url(self) -> str:
        """`ws://127.0.0.1:PORT`; only with `websockets=True`."""
        return f"ws://{HOST}:{self.websocket_port}"

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """All that the broker has logged, over all its lives."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def start(self, timeout_s: float = 10.0) -> None:
        """Start the process and return when each listener accepts connections."""
        if self.running:
            message = f"the broker on port {self.port} is already running"
            raise BrokerError(message)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [_program("mosquitto"), "-c", str(self.config_file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + timeout_s
        for port in filter(None, (self.port, self.websocket_port)):
            self._await_listener(port, deadline)

    def stop(self, timeout_s: float = 10.0) -> None:
        """SIGTERM: mosquitto writes its persistence file and goes. Harmless when it is not running."""
        self._end(signal.SIGTERM, timeout_s)

    def kill(self) -> None:
        """SIGKILL: what was not written is lost, as at a crash."""
        self._end(signal.SIGKILL, 10.0)

    def restart(self, *, kill: bool = False) -> None:
        """Stop (or kill) and start again on the same port with the same files."""
        if kill:
            self.kill()
        else:
            self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers, like a dead network."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT: undo `pause()`."""
        self._signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        """Stop and remove what only this broker needed."""
        self.stop()
        if self._temporary:
            self._temporary.cleanup()

    async def __aenter__(self) -> Self:
        """Start."""
        return self.__enter__()

    async def __aexit__(self, *_exc: object) -> None:
        """Stop."""
        self.__exit__()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            message = f"the broker on port {self.port} is not running"
            raise BrokerError(message)
        self._process.send_signal(number)

    def _end(self, number: signal.Signals, timeout_s: float) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
        try:
            try:
                process.wait(timeout_s / 4)
            except subprocess.TimeoutExpired:
                process.send_signal(number)  # mosquitto listens a moment before it heeds signals
                process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout_s)
            message = (
                f"mosquitto on port {self.port} ignored {number.name} for {timeout_s:g} s and was killed"
            )
            raise BrokerError(message) from None

    def _await_listener(self, port: int, deadline: float) -> None:
        process = self._process
        while process is not None and process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection((HOST, port), timeout=1.0).close()
            except OSError:
                time.sleep(0.005)  # the kernel offers no event for "somebody has begun to listen"
            else:
                return
        self._end(signal.SIGKILL, 10.0)
        message = f"mosquitto does not listen on {HOST}:{port}; its last words:\n{self.log[-2000:]}"
        raise BrokerError(message)

    def _password_file(self, users: Mapping[str, str]) -> Path:
        path = self.directory / "passwords"
        path.write_text("".join(f"{name}:{password}\n" for name, password in users.items()))
        path.chmod(0o600)
        subprocess.run([_program("mosquitto_passwd"), "-U", str(path)], check=True, capture_output=True)
        return path


def free_port() -> int:
    """Return a TCP port that was free on 127.0.0.1 a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _program(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path=_SEARCHED)
    if path is None:
        message = f"{name} is not installed, and these tests need a real broker: `make test` installs it"
        raise BrokerError(message)
    return path


def _write_certificates(directory: Path) -> dict[str, Path]:
    """Write a one-day authority and a server certificate for 127.0.0.1 and localhost; return the paths."""
    ca_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test Authority")])
    names: Iterable[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address(HOST)),
    ]
    authority = (
        _certificate(ca_name, ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    server = (
        _certificate(server_name, ca_name, server_key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    files = {
        "ca": directory / "ca.pem",
        "certificate": directory / "server.pem",
        "key": directory / "server.key",
    }
    files["ca"].write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    files["certificate"].write_bytes(server.public_bytes(serialization.Encoding.PEM))
    files["key"].write_bytes(
        server_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
    )
