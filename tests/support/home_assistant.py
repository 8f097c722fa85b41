"""A real Home Assistant in a process of its own: set up by its storage files, spoken to by its WebSocket API."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import websockets

from tests.support.broker import free_port
from tests.support.mqtt_client import TestClient

if TYPE_CHECKING:
    from collections.abc import Callable

HASS = Path(os.environ.get("HASS", Path(__file__).parents[2] / ".venv-homeassistant/bin/hass"))
"""Made by `make home-assistant`."""
START_S = 120.0
WAIT_S = 30.0
_USER = "owner"


class HomeAssistant:
    """`async with HomeAssistant(tmp_path, broker_port) as home:`; it has no integration but MQTT."""

    def __init__(self, directory: Path, broker_port: int) -> None:
        self.directory = directory / "homeassistant"
        self.port = free_port()
        self._broker_port = broker_port
        self.states: dict[str, dict[str, Any]] = {}
        """Entity id → state object, as it is now."""
        self.calls: list[dict[str, Any]] = []
        """Services that were called, by whom ever: `domain`, `service`, `service_data`."""
        self._key, self._token = secrets.token_hex(32), secrets.token_hex(16)
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._changed = asyncio.Event()
        self._write(broker_port)
        self.configure(automation=[])

    # -------------------------------------------------------------- its files

    def _write(self, broker_port: int) -> None:
        storage = self.directory / ".storage"
        storage.mkdir(parents=True)
        entry = {
            "entry_id": "mqtt", "version": 1, "domain": "mqtt", "title": "MQTT", "options": {}, "source": "user",
            "data": {"broker": "127.0.0.1", "port": broker_port, "discovery": True},
            "pref_disable_new_entities": False, "pref_disable_polling": False, "unique_id": None,
            "disabled_by": None,
        }  # fmt: skip
        token = {
            "id": self._token, "user_id": _USER, "client_id": None, "client_name": "test", "client_icon": None,
            "token_type": "long_lived_access_token", "created_at": "2026-01-01T00:00:00+00:00",
            "access_token_expiration": 1e9, "token": secrets.token_hex(32), "jwt_key": self._key,
            "last_used_at": None, "last_used_ip": None, "expire_at": None, "credential_id": None, "version": None,
        }  # fmt: skip
        user = {
            "id": _USER, "group_ids": ["system-admin"], "is_owner": True, "is_active": True, "name": "Owner",
            "system_generated": False, "local_only": False,
        }  # fmt: skip
        for name, version, data in (
            ("core.config_entries", 1, {"entries": [entry]}),
            ("onboarding", 4, {"done": ["user", "core_config", "analytics", "integration"]}),
            (
                "auth",
                1,
                {
                    "users": [user],
                    "groups": [{"id": "system-admin"}],
                    "credentials": [],
                    "refresh_tokens": [token],
                },
            ),
        ):
            document = {"version": version, "minor_version": 1, "key": name, "data": data}
            (storage / name).write_text(json.dumps(document))

    def configure(self, **more: Any) -> None:
        """Write its configuration.yaml, with these sections too; it reads some of them again when told to reload."""
        ours = {
            "homeassistant": {"name": "Home", "time_zone": "UTC"},
            "http": {"server_host": "127.0.0.1", "server_port": self.port},
            "api": None,
            "websocket_api": None,
            "logger": {"default": "warning"},
        }
        (self.directory / "configuration.yaml").write_text(json.dumps(ours | more))  # JSON is YAML

    def _signed(self) -> str:
        """The access token: a JWT."""
        now = int(time.time())
        parts = [{"alg": "HS256", "typ": "JWT"}, {"iss": self._token, "iat": now, "exp": now + 86400}]
        text = b".".join(_base64(json.dumps(part).encode()) for part in parts)
        digest = hmac.new(self._key.encode(), text, hashlib.sha256).digest()
        return (text + b"." + _base64(digest)).decode()

    # -------------------------------------------------------------- its life

    async def __aenter__(self) -> Self:
        async with TestClient(self._broker_port) as mqtt:
            await mqtt.subscribe("homeassistant/status")
            with (self.directory / "output.log").open("wb") as output:
                self._process = await asyncio.create_subprocess_exec(
                    str(HASS), "--config", str(self.directory), "--skip-pip", stdout=output, stderr=output
                )
            try:
                await mqtt.next("homeassistant/status", START_S, where=lambda m: m.payload == b"online")
            except BaseException:
                await self._end()
                raise
        try:
            async with asyncio.timeout(WAIT_S):
                self._socket = await self._connected()
                self._listening = asyncio.create_task(self._listen())
                await self.ask("subscribe_events", event_type="state_changed")
                await self.ask("subscribe_events", event_type="call_service")
                for state in (await self.ask("get_states"))["result"]:
                    self.states[state["entity_id"]] = state
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._listening.cancel()
        await self._socket.close()
        await self._end()

    async def _end(self) -> None:
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()

    async def _connected(self) -> websockets.ClientConnection:
        socket = await websockets.connect(f"ws://127.0.0.1:{self.port}/api/websocket", max_size=None)
        await socket.recv()
        await socket.send(json.dumps({"type": "auth", "access_token": self._signed()}))
        answer = json.loads(await socket.recv())
        assert "auth_ok" == answer["type"], answer
        return socket

    # -------------------------------------------------------------- what it says and is told

    async def _listen(self) -> None:
        async for text in self._socket:
            said = json.loads(text)
            if said["type"] == "event":
                data = said["event"]["data"]
                if said["event"]["event_type"] == "call_service":
                    self.calls.append(data)
                elif data["new_state"] is None:
                    self.states.pop(data["entity_id"], None)
                else:
                    self.states[data["entity_id"]] = data["new_state"]
                self._changed.set()
            elif said["type"] == "result":
                self._answers.pop(said["id"]).set_result(said)

    async def ask(self, kind: str, **more: Any) -> dict[str, Any]:
        """A command of its WebSocket API, and the answer."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "type": kind, **more}))
        said: dict[str, Any] = await asyncio.wait_for(answer, WAIT_S)
        assert said["success"], said
        return said

    async def call(self, domain: str, service: str, entity_id: str, **data: Any) -> None:
        """Somebody presses a button, switches a switch, sets a number."""
        await self.ask(
            "call_service", domain=domain, service=service, service_data=data, target={"entity_id": entity_id}
        )

    async def shows(self, entity_id: str, state: str) -> dict[str, Any]:
        """Wait until the entity has this state; the whole state object."""
        await self.until(
            lambda: self.states.get(entity_id, {}).get("state") == state, f"{entity_id} is not {state}"
        )
        return self.states[entity_id]

    async def forgets(self, entity_id: str) -> None:
        """Wait until there is no such entity."""
        await self.until(lambda: entity_id not in self.states, f"{entity_id} is still there")

    async def called(self, domain: str, service: str) -> dict[str, Any]:
        """Wait until somebody has called a service; what was given to it."""

        def found() -> list[dict[str, Any]]:
            return [call for call in self.calls if (call["domain"], call["service"]) == (domain, service)]

        await self.until(lambda: bool(found()), f"{domain}.{service} was not called")
        data: dict[str, Any] = found()[0]["service_data"]
        return data

    async def until(self, holds: Callable[[], bool], complaint: str) -> None:
        """Wait until something holds that is looked at whenever anything changes."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            near = {name: one["state"] for name, one in self.states.items()}
            raise AssertionError(f"{complaint}; there are: {near}; {self.log()}") from None

    def log(self) -> str:
        """Its warnings and errors."""
        file = self.directory / "home-assistant.log"
        return file.read_text() if file.exists() else ""


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
