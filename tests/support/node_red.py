"""A real Node-RED, as tests/node-red/package-lock.json pins it: loads flows, presses buttons, reads its log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from websockets.asyncio.client import ClientConnection, connect

from tests.support.broker import HOST, Broker, free_port
from tests.support.mqtt_client import TestClient

if TYPE_CHECKING:
    from types import TracebackType

_ROOT = Path(__file__).parents[2]
FLOWS = _ROOT / "config" / "node-red"
_PROGRAM = Path(os.environ.get("NODE_RED", _ROOT / "tests/node-red/node_modules/node-red/red.js"))
"""Installed by `make node-red`; NODE_RED names another one, such as the next version."""
_SETTINGS = """module.exports = {
  uiHost: "127.0.0.1", uiPort: %(port)d, userDir: %(directory)s, flowFile: "flows.json", credentialSecret: false,
  mqttReconnectTime: 200, telemetry: {enabled: false}, editorTheme: {tours: false, projects: {enabled: false}},
  logging: {console: {level: "info", metrics: false, audit: false}},
}
"""
_SUBSCRIBED = re.compile(r"^\d+: (\S+) [012] (\S+)$", re.MULTILINE)
"""How mosquitto logs a subscription: client, QoS, topic filter."""

_COMPLAINT = re.compile(r"\[(error|warn|fatal)\]|Waiting for missing types|UnhandledPromise")

_ONCE = (
    "cmnd/#",
    "home/alerts/#",
    "ocpp/+/+/request/+",
    "ocpp/+/+/authorize/response",
    "ocpp/+/+/status",
    "ocpp/+/+/meter",
)
"""What a flow may publish, and must not retain."""

Flow = list[dict[str, Any]]


def why_not() -> str | None:
    """Why no Node-RED can be started here; None when one can."""
    if shutil.which("node") is None:
        return "NODE-RED FLOWS ARE NOT TRIED: install Node 20 or newer with npm, then `make node-red`"
    if not _PROGRAM.exists():
        return "NODE-RED FLOWS ARE NOT TRIED: `make node-red` installs a Node-RED to try them with"
    return None


def flow(name: str) -> Flow:
    """One of the flows that come with the gateway, as it would be imported."""
    nodes: Flow = json.loads((FLOWS / name).read_text())
    return nodes


def merged(*flows: Flow) -> Flow:
    """Several flows imported one after the other: what has an id that is there already is there once."""
    return list({node["id"]: node for nodes in flows for node in nodes}.values())


def environment(nodes: Flow, z: str, outer: Mapping[str, str]) -> dict[str, Any]:
    """The environment variables of a tab; a value of type `env` may name others."""
    tab = next((node for node in nodes if node["id"] == z), {})
    found: dict[str, Any] = dict(outer) | {
        e["name"]: e["value"] for e in tab.get("env", ()) if e["type"] != "env"
    }
    for entry in tab.get("env", ()):
        if entry["type"] == "env":
            found[entry["name"]] = re.sub(r"\$\{(\w+)\}", lambda m: str(found[m[1]]), entry["value"])
    return found


def house_broker(directory: Path, accounts: Mapping[str, str]) -> Broker:
    """A broker with the rights of mosquitto/acl, and `home` for devices of the house; who has no account may all."""
    rights = (_ROOT / "mosquitto" / "acl").read_text().splitlines()
    home = ["user home", *(f"topic readwrite {top}/#" for top in ("home", "garage", "cmnd", "stat", "tele"))]
    acl = ["topic readwrite #", "topic read $SYS/#", *rights, *home]
    return Broker(directory, users=accounts, anonymous=True, acl=acl, lines=["log_dest topic"])


class NodeRed:
    """`with NodeRed(directory, accounts={…}, env={"OCPP_MQTT_URL": broker.url}) as node_red:` starts it without a flow.

    `accounts`: name of a broker configuration's account → password; what a user would type after an import.
    """

    def __init__(self, directory: Path, *, accounts: Mapping[str, str], env: Mapping[str, str]) -> None:
        self.directory = directory / "node-red"
        self.directory.mkdir()
        self.port = free_port()
        self.lines: list[str] = []
        """Its log."""
        self._forgiven: list[str] = []
        self._accounts = accounts
        self._env = dict(env)
        self._nodes: Flow = []
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._said = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def complaints(self) -> list[str]:
        """Whatever it has logged beyond information: errors, warnings, nodes that it does not know."""
        told = [line for line in self.lines if _COMPLAINT.search(line)]
        return [line for line in told if line not in self._forgiven]

    def forgive(self, text: str) -> list[str]:
        """Take complaints with this text off the record, for a test that provokes them; returns them."""
        forgiven = [line for line in self.complaints if text in line]
        self._forgiven += forgiven
        return forgiven

    def __enter__(self) -> Self:
        # What compose mounts for Import → Local.
        (self.directory / "lib" / "flows").mkdir(parents=True)
        (self.directory / "lib" / "flows" / "ocpp").symlink_to(FLOWS)
        settings = self.directory / "settings.js"
        settings.write_text(_SETTINGS % {"port": self.port, "directory": json.dumps(str(self.directory))})
        inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        self._process = subprocess.Popen(
            ["node", str(_PROGRAM), "--settings", str(settings)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=inherited | {"HOME": str(self.directory), "NODE_RED_ENABLE_TELEMETRY": "false"} | self._env,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.await_line("Started flows")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            finally:
                self._process.kill()
                self._process.wait()
        if self._reader is not None:
            self._reader.join(10)
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()

    def await_line(self, pattern: str, since: int = 0, timeout_s: float = 60.0) -> str:
        """The first line of its log that has this, from line `since` on."""
        deadline = time.monotonic() + timeout_s
        with self._said:
            while True:
                for line in self.lines[since:]:
                    if re.search(pattern, line):
                        return line
                ended = self._process is not None and self._process.poll() is not None
                if ended or not self._said.wait(max(deadline - time.monotonic(), 0.0)):
                    last = "\n".join(self.lines[-30:])
                    raise AssertionError(
                        f"Node-RED {'ended' if ended else 'did not say'} {pattern!r}:\n{last}"
                    )

    async def ask(self, path: str, body: Any = None, *, accept: str = "application/json") -> Any:
        """GET, or POST with a body: the decoded JSON of the answer, or its text."""
        return await asyncio.to_thread(self._ask, path, body, accept)

    @contextlib.asynccontextmanager
    async def flows(self, broker: Broker, *names: str, **values: Any) -> AsyncIterator[None]:
        """Let it run these flows; `values` are what a user sets in the properties of the tabs.

        From the beginning of the block all their topics are subscribed at the broker. AssertionError at its end when a
        command, a request or a reading was published retained.
        """
        self._nodes = merged(*(flow(name) for name in names))
        for node in self._nodes:
            if node["type"] == "mqtt-broker":
                account = node["name"].rpartition("account ")[2]
                user = {"nodered": "nodered", "of the station": "garage"}.get(account, "home")
                node["credentials"] = {"user": user, "password": self._accounts[user]}
            for entry in node.get("env", ()) if node["type"] == "tab" else ():
                entry["value"] = values.get(entry["name"], entry["value"])
        begin = len(broker.log)
        async with TestClient(broker.port) as watch:
            await watch.subscribe(*_ONCE, as_published=True)
            await self._deploy(self._nodes)
            try:
                await self.subscribed(broker, begin)
                yield
            finally:
                await self._deploy([])
            assert [] == [message.topic for message in watch.messages if message.retain]

    async def subscribed(self, broker: Broker, begin: int) -> None:
        """Wait until all topics of its flows are subscribed; `begin`: how long the broker's log was before.

        The broker says so on $SYS, since it has `log_dest topic`.
        """
        wanted: dict[str, int] = {}
        for broker_id, topic in {
            (n["broker"], self._resolved(n)) for n in self._nodes if n["type"] == "mqtt in"
        }:
            del broker_id
            wanted[topic] = wanted.get(topic, 0) + 1
        async with TestClient(broker.port) as watch:
            await watch.subscribe("$SYS/broker/log/M/subscribe")  # "#" does not match it
            text = broker.log[begin:]
            while True:
                seen = set(_SUBSCRIBED.findall(text))
                missing = [t for t, n in wanted.items() if sum(topic == t for _, topic in seen) < n]
                if not missing:
                    return
                try:
                    text += "\n" + (await watch.next("$SYS/#")).payload.decode()
                except (AssertionError, TimeoutError) as error:
                    error.add_note(f"not subscribed: {missing}; Node-RED:\n" + "\n".join(self.lines[-20:]))
                    raise

    async def press(self, name: str) -> None:
        """Press the button of the inject node of that name."""
        node = next(node for node in self._nodes if node["type"] == "inject" and node["name"] == name)
        await self.ask(f"/inject/{node['id']}", {})

    @contextlib.asynccontextmanager
    async def sidebar(self) -> AsyncIterator[Sidebar]:
        """The debug sidebar of an editor that is open."""
        async with connect(f"ws://{HOST}:{self.port}/comms") as socket:
            sidebar = Sidebar(socket)
            await socket.send(json.dumps({"subscribe": "notification/#"}))
            await sidebar.ready()
            yield sidebar

    async def _deploy(self, nodes: Flow) -> None:
        line = len(self.lines)
        await self.ask("/flows", {"flows": nodes})
        await asyncio.to_thread(self.await_line, "Started flows", line)

    def _resolved(self, node: Mapping[str, Any]) -> str:
        known = environment(self._nodes, node["z"], self._env)
        return re.sub(r"^\$\{(\w+)\}$", lambda m: str(known[m[1]]), node["topic"])

    def _ask(self, path: str, body: Any, accept: str) -> Any:
        headers = {"Accept": accept, "Content-Type": "application/json"}
        if path == "/flows":
            headers |= {"Node-RED-API-Version": "v2", "Node-RED-Deployment-Type": "full"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            text: str = answer.read().decode()
        return json.loads(text) if "json" in answer.headers.get("Content-Type", "") else text

    def _read(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        for line in process.stdout:
            with self._said:
                self.lines.append(line.rstrip())
                self._said.notify_all()
        with self._said:
            self._said.notify_all()


class Sidebar:
    """What debug nodes say."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._unread: list[dict[str, Any]] = []

    async def ready(self) -> None:
        """Node-RED greets a subscriber; what it says from now on is heard."""
        async with asyncio.timeout(10):
            await self._socket.recv()

    async def next(self, name: str, timeout: float = 20.0, **fields: Any) -> Any:
        """What the debug node of this name says next, with these fields, if any."""
        async with asyncio.timeout(timeout):
            while True:
                for index, data in enumerate(self._unread):
                    said = _decoded(data)
                    if data.get("name") == name and _agrees(said, fields):
                        del self._unread[index]
                        return said
                for told in json.loads(await self._socket.recv()):
                    if told["topic"] == "debug":
                        self._unread.append(told["data"])


def _decoded(data: Mapping[str, Any]) -> Any:
    return (
        json.loads(data["msg"])
        if data["format"] in {"Object", "array"} or data["format"].startswith("array")
        else data["msg"]
    )


def _agrees(said: Any, fields: Mapping[str, Any]) -> bool:
    return not fields or (isinstance(said, dict) and fields.items() <= said.items())


def references(nodes: Flow) -> Iterable[tuple[dict[str, Any], str]]:
    """(node, id) for everything that a node points at: wires, tab, configuration nodes, scope of a status node."""
    for node in nodes:
        for outputs in node.get("wires", ()):
            yield from ((node, target) for target in outputs)
        for key in ("z", "broker", "tls"):
            if node.get(key) and not (key == "broker" and node["type"] == "mqtt-broker"):
                yield node, node[key]
        yield from ((node, target) for target in node.get("scope") or ())
