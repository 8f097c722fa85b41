"""The broker files that we ship, run by a real mosquitto: each right, each refusal, and what survives."""

import asyncio
import getpass
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.mqtt.acl import file_for
from tests.support.broker import HOST, Broker
from tests.support.mqtt_client import ConnectionRefused, TestClient

_SHIPPED = Path(__file__).parents[2] / "mosquitto"

_ACCOUNTS = ("gateway", "garage", "carport", "reader", "homeassistant", "nodered", "admin", "stranger")

# One topic for each row of the contract, at two stations whose devices are `garage` and `carport`.
_STATION_TOPICS = (
    "1/status", "1/meter",
    "0/availability", "1/availability", "1/availability/meter", "1/availability/reader",
    "0/info", "0/card", "1/card", "1/report", "1/result", "0/firmware", "0/log",
    "1/setpoint", "1/command/unlock", "1/command/card_result", "0/command/reset",
    "0/state", "1/state", "1/meter/state", "1/transaction", "1/event/card", "0/event/message",
    "1/request/start", "1/request/stop", "1/request/unlock", "1/request/limit", "1/request/operative",
    "0/request/reset", "1/request/fault", "0/request/link", "1/response/start", "1/response/limit/node-red-7",
)  # fmt: skip
_OTHER_TOPICS = (
    "ocpp/bridge/state", "ocpp/bridge/info", "ocpp/bridge/health", "ocpp/bridge/event",
    "ocpp/bridge/marker/a1b2", "ocpp/bridge/response/health",
    "ocpp/bridge/request/health", "ocpp/bridge/request/reload",
    "homeassistant/device/garage/config", "homeassistant/sensor/garage/1_power/config", "homeassistant/status",
)  # fmt: skip
_TOPICS = frozenset(
    {f"ocpp/{station}/{topic}" for station in ("garage", "carport") for topic in _STATION_TOPICS}
    | {*_OTHER_TOPICS}
)

_FACTS = {
    "1/status", "1/meter",
    "0/availability", "1/availability", "1/availability/meter", "1/availability/reader",
    "0/info", "0/card", "1/card", "1/report", "1/result", "0/firmware", "0/log",
}  # fmt: skip
_TO_DEVICE = {"1/setpoint", "1/command/unlock", "1/command/card_result", "0/command/reset"}
_STATES = {"0/state", "1/state", "1/meter/state", "1/transaction", "1/event/card", "0/event/message"}
_RESPONSES = {"1/response/start", "1/response/limit/node-red-7"}
_EVERYDAY_REQUESTS = {
    "1/request/start", "1/request/stop", "1/request/unlock", "1/request/limit", "1/request/operative",
    "0/request/reset",
}  # fmt: skip
_REQUESTS = _EVERYDAY_REQUESTS | {"1/request/fault", "0/request/link"}
_BRIDGE_STATES = {"ocpp/bridge/state", "ocpp/bridge/info", "ocpp/bridge/health", "ocpp/bridge/event"}
_ANNOUNCEMENTS = {"homeassistant/device/garage/config", "homeassistant/sensor/garage/1_power/config"}
_DISCOVERY = _ANNOUNCEMENTS | {"homeassistant/status"}


def _at(topics: set[str], *stations: str) -> set[str]:
    return {f"ocpp/{station}/{topic}" for station in stations or ("garage", "carport") for topic in topics}


_ALL = _at({*_STATION_TOPICS}) | {topic for topic in _OTHER_TOPICS if topic.startswith("ocpp/")}

_MAY_WRITE = {
    "garage": _at(_FACTS, "garage"),
    "carport": _at(_FACTS, "carport"),
    "gateway": _at(_TO_DEVICE | _STATES | _RESPONSES)
    | _BRIDGE_STATES
    | {"ocpp/bridge/response/health", "ocpp/bridge/marker/a1b2"}
    | _ANNOUNCEMENTS,
    "reader": _at({"0/card", "1/card", "1/availability/reader"}),
    "homeassistant": _at(_EVERYDAY_REQUESTS) | _DISCOVERY,
    "nodered": _at(_REQUESTS) | {"ocpp/bridge/request/health"},
    "admin": _ALL | _DISCOVERY,
    "stranger": set[str](),
}
_MAY_READ = {
    "garage": _at(_TO_DEVICE, "garage") | {"ocpp/bridge/state"},
    "carport": _at(_TO_DEVICE, "carport") | {"ocpp/bridge/state"},
    "gateway": _ALL | _DISCOVERY,
    "reader": _at({"1/command/card_result"}) | {"ocpp/bridge/state"},
    "homeassistant": _at(_STATES | _RESPONSES | {"0/availability", "1/availability"})
    | _BRIDGE_STATES
    | _DISCOVERY,
    "nodered": _at(
        _STATES
        | _RESPONSES
        | {"1/status", "1/meter", "1/availability", "1/availability/meter", "1/availability/reader"}
        | {"0/availability", "0/info", "1/setpoint"}
    )
    | _BRIDGE_STATES
    | {"ocpp/bridge/response/health"},
    "admin": _ALL | _DISCOVERY,
    "stranger": {"ocpp/bridge/state"},
}


class ShippedBroker(Broker):
    """A mosquitto with the shipped files; their places, the port and the user are this machine's."""

    def __init__(self, directory: Path, *, tls: bool = False, acl: str | None = None) -> None:
        """`acl`: instead of the shipped one."""
        super().__init__(directory, users=dict.fromkeys(_ACCOUNTS, "secret"), tls=tls)
        places = {"/mosquitto/config": str(self.directory), "/mosquitto/data": str(self.directory / "data")}
        (self.directory / "data").mkdir()
        (self.directory / "conf.d").mkdir()
        (self.directory / "passwords").rename(self.directory / "passwd")
        acl_file = self.directory / "acl"
        acl_file.write_text(acl or (_SHIPPED / "acl").read_text())
        acl_file.chmod(0o600)

        config = _placed((_SHIPPED / "mosquitto.conf").read_text(), places)
        if tls:
            (self.directory / "certs").mkdir()
            for name in ("ca.pem", "server.pem", "server.key"):
                (self.directory / name).rename(self.directory / "certs" / name)
            self.ca_file = self.directory / "certs" / "ca.pem"
            example = _placed((_SHIPPED / "conf.d" / "tls.conf.example").read_text(), places)
            (self.directory / "conf.d" / "tls.conf").write_text(
                _replaced(example, "listener 8883", f"listener {self.port} {HOST}")
            )
            config = _replaced(config, "listener 1883\n", "")
        else:
            config = _replaced(config, "listener 1883\n", f"listener {self.port} {HOST}\n")
        config = _replaced(config, "log_dest stdout", "log_dest stderr")
        self.config_file.write_text(f"user {getpass.getuser()}\n{config}")

    def client(self, account: str, **options: Any) -> TestClient:
        """A client that knows its password."""
        return TestClient(self.port, username=account, password="secret", ca_file=self.ca_file, **options)


@pytest.fixture(scope="module", params=["shipped", "printed"])
def broker(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[ShippedBroker]:
    """One broker for all questions about rights: with the shipped file, and with the one printed for two stations."""
    acl = file_for(["garage", "carport"], prefix="ocpp") if request.param == "printed" else None
    with ShippedBroker(tmp_path_factory.mktemp("mosquitto"), acl=acl) as running:
        yield running


@pytest.mark.parametrize("account", _ACCOUNTS)
async def test_each_account_says_its_own_and_nothing_else(broker: ShippedBroker, account: str) -> None:
    """Of one message on every topic, those that the account may say are delivered, and no other."""
    listener = "admin"
    async with (
        broker.client(listener) as hears,
        broker.client("admin") as ends,
        broker.client(account) as says,
    ):
        await hears.subscribe("#")
        for topic in sorted(_TOPICS):
            await says.publish(topic, account)
        await ends.publish("ocpp/end", "no more")  # the broker takes messages in the order they come
        await hears.next("ocpp/end")

        heard = {message.topic for message in hears.received() if message.payload == account.encode()}
        assert _MAY_WRITE[account] == heard


@pytest.mark.parametrize("account", _ACCOUNTS)
async def test_each_account_hears_what_it_needs_and_nothing_else(broker: ShippedBroker, account: str) -> None:
    """Of one message on every topic, those that the account may hear are delivered, and no other."""
    async with broker.client(account) as hears, broker.client("admin") as says:
        await hears.subscribe("#")
        for topic in sorted(_TOPICS - {"ocpp/bridge/state"}):
            await says.publish(topic, "said")
        await says.publish("ocpp/bridge/state", "no more")  # what every account hears, and last
        await hears.next("ocpp/bridge/state")

        assert _MAY_READ[account] == {message.topic for message in hears.received()}


@pytest.mark.parametrize("account", ["garage", "reader", "homeassistant", "stranger"])
async def test_a_retained_message_is_refused_alike(broker: ShippedBroker, account: str) -> None:
    """What was retained before a subscription is delivered to those alone who may hear it."""
    async with broker.client("gateway") as gateway, broker.client(account) as late:
        await gateway.publish("ocpp/carport/1/setpoint", "{}", retain=True)
        await gateway.publish("ocpp/bridge/state", "online", retain=True)
        await late.subscribe("ocpp/carport/1/setpoint", "ocpp/bridge/state")
        await late.next("ocpp/bridge/state")

        assert [] == late.received("ocpp/carport/1/setpoint")
        await gateway.publish("ocpp/carport/1/setpoint", "", retain=True)
        await gateway.publish("ocpp/bridge/state", "", retain=True)


@pytest.mark.parametrize(
    ("account", "password"), [(None, None), ("garage", "wrong"), ("garage", None), ("nobody", "secret")]
)
@pytest.mark.parametrize("protocol", [4, 5])
async def test_nobody_comes_in_without_an_account(
    broker: ShippedBroker, account: str | None, password: str | None, protocol: int
) -> None:
    """Without a name, or with a wrong or missing password, there is no connection."""
    client = TestClient(broker.port, username=account, password=password, protocol=protocol)

    with pytest.raises(ConnectionRefused):
        await client.connect()


async def test_what_was_acknowledged_survives_crash_and_absence(tmp_path: Path) -> None:
    """1500 facts for an absent gateway outlive a SIGKILL, in order, and none waits for another.

    By default mosquitto would drop 500, lose the rest at the crash, and stop at 20 unacknowledged ones.
    """
    expected = [str(number).encode() for number in range(1500)]
    with ShippedBroker(tmp_path) as broker:
        # Mosquitto 2.0 writes no session to disk that began with clean_start, whatever its expiry.
        session: dict[str, Any] = {"client_id": "gateway", "session_expiry_s": 3600, "clean_start": False}
        async with broker.client("gateway", **session) as gateway:
            await gateway.subscribe("ocpp/+/+/result")
        async with broker.client("garage") as device:
            await device.publish("ocpp/garage/0/info", "{}", retain=True)
            await asyncio.gather(*(device.publish("ocpp/garage/1/result", fact) for fact in expected))
        async with broker.client("admin"):
            pass  # the broker saves what changed between two rounds of its loop
        broker.restart(kill=True)

        async with broker.client("gateway", **session, manual_ack=True) as gateway:
            facts = [(await gateway.next("ocpp/garage/1/result")).payload for _ in range(1000)]
            assert gateway.session_present
            assert expected[:1000] == facts
        async with broker.client("gateway", **session) as gateway:
            await gateway.subscribe("ocpp/garage/0/info")
            facts = [(await gateway.next("ocpp/garage/1/result")).payload for _ in range(1500)]
            assert expected == facts
            assert b"{}" == (await gateway.next("ocpp/garage/0/info")).payload


async def test_tls(tmp_path: Path) -> None:
    """With tls.conf.example in its place clients come in by TLS with their accounts, and not without TLS."""
    with ShippedBroker(tmp_path, tls=True) as broker:
        async with broker.client("garage") as device, broker.client("admin") as admin:
            await admin.subscribe("ocpp/#")
            await device.publish("ocpp/garage/1/status", "{}")
            assert b"{}" == (await admin.next("ocpp/garage/1/status")).payload

        with pytest.raises((ConnectionRefused, ConnectionError)):
            await TestClient(broker.port, username="garage", password="secret").connect()


def _placed(text: str, places: dict[str, str]) -> str:
    for place, here in places.items():
        text = text.replace(place, here)
    return text


def _replaced(text: str, old: str, new: str) -> str:
    """Replace what must be there: a shipped file that says something else is not tested by chance."""
    assert old in text, f"the shipped file no longer says {old!r}"
    return text.replace(old, new)


def _set_up(directory: Path, *options: str) -> str:
    """Run `mosquitto/setup` for that directory; what it said."""
    command = [str(_SHIPPED / "setup"), "--directory", str(directory), *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


async def test_setup_makes_accounts_and_certificates_that_work(tmp_path: Path) -> None:
    """With what `mosquitto/setup` made, a device comes in by TLS with the password that lies in its file."""
    with ShippedBroker(tmp_path, tls=True) as broker:
        broker.stop()
        for made_before in ("passwd", "certs/ca.pem", "certs/server.pem", "certs/server.key"):
            (broker.directory / made_before).unlink()
        said = _set_up(broker.directory, "--station", "garage", "--tls", "localhost", "--tls", HOST)
        (broker.directory / "passwd").chmod(0o600)
        broker.start()
        password = (broker.directory / "secrets" / "garage").read_text()
        assert password not in said

        options: dict[str, Any] = {"username": "garage", "password": password, "ca_file": broker.ca_file}
        async with TestClient(broker.port, **options) as device:
            await device.subscribe("ocpp/garage/1/setpoint")
            await device.publish("ocpp/garage/1/status", "{}")

        assert 0o600 == (broker.directory / "secrets" / "garage").stat().st_mode & 0o777
        assert 0o600 == (broker.directory / "certs" / "server.key").stat().st_mode & 0o777


def test_setup_leaves_what_exists(tmp_path: Path) -> None:
    """A second run adds the further station, and changes no account that is there."""
    _set_up(tmp_path, "--station", "garage")
    before = (tmp_path / "passwd").read_text()

    said = _set_up(tmp_path, "--station", "garage", "--station", "carport")

    after = (tmp_path / "passwd").read_text()
    assert after.startswith(before)
    assert ["carport"] == [line.partition(":")[0] for line in after.removeprefix(before).splitlines()]
    assert [f"Account carport: its password is in {tmp_path}/secrets/carport"] == said.splitlines()


@pytest.mark.parametrize("options", [["--station", "no/name"], ["--unknown"], ["--tls"]])
def test_setup_refuses_what_it_cannot_use(tmp_path: Path, options: list[str]) -> None:
    """A name that no topic can have, an unknown option, a missing value: a sentence, and nothing is made."""
    command = [str(_SHIPPED / "setup"), "--directory", str(tmp_path), *options]

    ended = subprocess.run(command, check=False, capture_output=True, text=True)

    assert ended.returncode != 0
    assert options[-1] in ended.stderr
    assert not list(tmp_path.iterdir())
