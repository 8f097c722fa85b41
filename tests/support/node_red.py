"""A real Node-RED in a process of its own, with the flows that a test deploys; spoken to by its admin API."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import urllib.request
from pathlib import Path
from typing import Any, Self

from tests.support.broker import free_port

ROOT = Path(__file__).parents[2]
FLOWS = ROOT / "config" / "node-red"
PACKAGE = ROOT / "tests" / "node-red"
NODE_RED = Path(os.environ.get("NODE_RED", PACKAGE / "node_modules/node-red/red.js"))
"""Installed by `make node-red`, which `make test` calls where there is npm."""
START_S = 60.0
_SETTINGS = """module.exports = {
  uiHost: "127.0.0.1", uiPort: %d, userDir: %s, flowFile: "flows.json", credentialSecret: false,
  telemetry: {enabled: false, updateNotification: false}, diagnostics: {enabled: false},
  logging: {console: {level: "info", metrics: false, audit: false}}, editorTheme: {tours: false},
}
"""


def why_not() -> str | None:
    """Why there is no Node-RED here; None when there is one."""
    if shutil.which("node") is None:
        return "THERE IS NO NODE.JS: install Node 20 or newer, and the flows are tried with a real Node-RED"
    if not NODE_RED.exists():
        return "THERE IS NO NODE-RED: `make node-red` installs one"
    return None


def flow(name: str, **environment: object) -> list[dict[str, Any]]:
    """The nodes of a shipped flow, with what its user would set in the flow's environment variables."""
    nodes: list[dict[str, Any]] = json.loads((FLOWS / f"{name}.json").read_text())
    known = {row["name"]: row for row in nodes[0]["env"]}
    for key, value in environment.items():
        known[key]["value"] = str(value)
    return nodes


class NodeRed:
    """`async with NodeRed(tmp_path) as red:`; then `await red.deploy(nodes)`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "node-red"
        self.directory.mkdir()
        self.port = free_port()
        self.lines: list[str] = []
        """What it has logged."""
        self._more = asyncio.Event()

    async def __aenter__(self) -> Self:
        settings = self.directory / "settings.js"
        settings.write_text(_SETTINGS % (self.port, json.dumps(str(self.directory))))
        self._process = await asyncio.create_subprocess_exec(
            "node", str(NODE_RED), "--settings", str(settings),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read())
        await self.logged("Started flows")
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.lines.append(line.decode().rstrip())
            self._more.set()
        self._more.set()

    async def logged(self, what: str, *, after: int = 0) -> str:
        """Wait for a line of its log with this in it."""
        async with asyncio.timeout(START_S):
            while True:
                for line in self.lines[after:]:
                    if what in line:
                        return line
                assert self._process.returncode is None, "\n".join(self.lines)
                self._more.clear()
                await self._more.wait()

    async def deploy(self, nodes: list[dict[str, Any]]) -> None:
        """Replace all flows by these, and wait until they run and are connected to their broker."""
        known = {kind for module in await self.get("/nodes") for kind in module["types"]}
        missing = {node["type"] for node in nodes} - known - {"tab"}
        assert not missing, f"no such nodes: {missing}"
        after = len(self.lines)
        headers = {"Node-RED-API-Version": "v2", "Node-RED-Deployment-Type": "full"}
        await self.request("POST", "/flows", {"flows": nodes}, headers)
        await self.logged("Started flows", after=after)
        if any(node["type"] == "mqtt-broker" for node in nodes):
            await self.logged("Connected to broker", after=after)

    async def get(self, path: str) -> Any:
        """GET, as JSON."""
        return json.loads(await self.request("GET", path, None, {"Accept": "application/json"}))

    async def request(self, method: str, path: str, body: object, headers: dict[str, str]) -> str:
        """An HTTP request; raises urllib.error.HTTPError for what is no success."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data,
            {"Content-Type": "application/json", **headers},
            method=method,
        )

        def send() -> str:
            with urllib.request.urlopen(request, timeout=20) as answer:
                text: str = answer.read().decode()
                return text

        return await asyncio.to_thread(send)

    def complaints(self) -> list[str]:
        """Warnings and errors of its log."""
        return [line for line in self.lines if "[warn]" in line or "[error]" in line]
