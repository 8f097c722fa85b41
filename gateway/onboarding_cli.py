"""`ocpp-gateway init` and `devices`: from an empty directory to a configuration, and to the devices it needs."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from gateway.mqtt.arrivals import Message
    from gateway.mqtt.profiles.model import Profile

UNUSABLE = 2
FAILED = 1
_MOST_TOPICS = 20_000
_CONNECT_S = 10.0

Broker = Annotated[
    str | None, typer.Option("--broker", help="mqtt://, mqtts://, ws:// or wss://.", show_default=False)
]
Username = Annotated[
    str | None, typer.Option("--username", help="Account at the broker.", show_default=False)
]


def init(
    file: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("gateway.yaml"),
    *,
    broker: Broker = None,
    username: Username = None,
    csms: Annotated[
        str | None, typer.Option("--csms", help="ws:// or wss://, without the identity.", show_default=False)
    ] = None,
    version: Annotated[str | None, typer.Option("--ocpp", help="1.6 or 2.0.1.", show_default=False)] = None,
    station: Annotated[
        str | None, typer.Option("--station", help="Its name on MQTT.", show_default=False)
    ] = None,
    identity: Annotated[
        str | None, typer.Option("--identity", help="Its name at the CSMS.", show_default=False)
    ] = None,
    connectors: Annotated[int, typer.Option("--connectors", min=1, max=99)] = 1,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile", help="For a device with topics of its own: see `profile list`.", show_default=False
        ),
    ] = None,
    base: Annotated[
        str | None, typer.Option("--base", help="The base topic of that device.", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a first configuration, with comments; asks for what is not given. Exit code 2: it would be unusable."""
    from gateway.onboarding import Answers, configuration
    from gateway.settings import SettingsError, load

    if file.exists() and not force:
        _end(f"{file} is there already; --force overwrites it.", UNUSABLE)
    asks = sys.stdin.isatty()
    answers = Answers(
        broker=_answer("The MQTT broker", broker, "mqtt://127.0.0.1:1883", asks=asks),
        username=username,
        csms=_answer("The CSMS (ws://… or wss://…, without the identity)", csms, None, asks=asks),
        version=_answer("OCPP, 1.6 or 2.0.1", version, "1.6", asks=asks),
        station=_answer("A name for the station, on MQTT", station, "garage", asks=asks),
        identity=identity,
        connectors=connectors,
        profile=profile,
        base=base,
    )
    text = configuration(answers, str(file))
    trial = file.with_name(f".{file.name}.new")
    trial.write_text(text, encoding="utf-8")
    try:
        if username is not None:  # the password is the operator's to put there
            text_of_trial = "\n".join(line for line in text.splitlines() if "password_file" not in line)
            trial.write_text(text_of_trial + "\n", encoding="utf-8")
        load(trial, {})
        trial.write_text(text, encoding="utf-8")
        trial.replace(file)
    except SettingsError as error:
        trial.unlink()
        _end(str(error).replace(str(trial), str(file)), UNUSABLE)
    typer.echo(f"Written: {file}")
    if username is not None:
        typer.echo(
            f"Put the broker's password into {file.with_name('mqtt.password')}, readable for the gateway alone."
        )
    typer.echo(f"Next: ocpp-gateway check {file}, then ocpp-gateway run {file}")


def _answer(question: str, given: str | None, default: str | None, *, asks: bool) -> str:
    if given is not None:
        return given
    if asks:
        answer: str = typer.prompt(question, default=default)
        return answer
    if default is None:
        _end(f"{question}: not given, and there is nobody to ask. See --help.", UNUSABLE)
    return default


def devices(
    *,
    broker: Broker = None,
    username: Username = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="Of that account.", show_default=False)
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", help="How long to listen.", min=1, max=600)] = 10.0,
    prefix: Annotated[str, typer.Option("--prefix", help="Of the gateway's own topics.")] = "ocpp",
) -> None:
    """Listen on a broker, and propose which device profile fits what is heard. Nothing is sent to any device."""
    from gateway.logs import configure
    from gateway.onboarding import contract_stations, proposals
    from gateway.settings.profiles import found_profile, shipped_names

    configure("warning")
    try:
        password = None if password_file is None else password_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        _end(f"The password file {password_file} cannot be read: {error}.", UNUSABLE)
    where = broker or "mqtt://127.0.0.1:1883"
    typer.echo(f"Listening at {where} for {seconds:g} s …", err=True)
    heard = asyncio.run(_heard(where, username, password, seconds, prefix))
    if heard is None:
        _end(f"There is no connection to {where}.", FAILED)
    profiles: dict[str, Profile] = {
        name: found_profile(name, Path()) for name in shipped_names() if name != "plain-topics"
    }
    found = proposals(heard, profiles)
    stations = contract_stations(heard, prefix)
    for one in found:
        parameters = dict(one.parameters)
        base = parameters.pop("base", None)
        more = ", ".join(f'{name}: "{value}"' for name, value in parameters.items())
        written = ", ".join(
            [
                f"profile: {one.profile}",
                *([f"base: {base}"] if base else []),
                *([f"parameters: {{{more}}}"] if more else []),
            ]
        )
        typer.echo(
            f"device: {{{written}}}   # {len(one.topics)} of {one.of} topics heard, such as {one.topics[0]}"
        )
    for name in stations:
        typer.echo(f"- name: {name}   # speaks the gateway's own topics")
    if not found and not stations:
        typer.echo(
            f"{len(heard)} topics were heard, none of them of a device that is known. Some devices speak only when "
            "something happens: try again with --seconds 60, and switch something on. docs/device-profiles.md says "
            "how to write a profile."
        )


async def _heard(
    broker: str, username: str | None, password: str | None, seconds: float, prefix: str
) -> list[str] | None:
    """All topics, stored ones too; None: no connection."""
    from gateway.mqtt.broker import MqttConfig
    from gateway.mqtt.session import MqttClient
    from gateway.mqtt.topics import Subscription

    topics: dict[str, None] = {}
    connected = asyncio.Event()

    def arrived(message: Message) -> None:
        if len(topics) < _MOST_TOPICS and message.payload:
            topics[message.topic] = None

    name = f"ocpp-gateway-devices-{os.getpid()}"
    config = MqttConfig(
        url=broker,
        client_id=name,
        marker_topic=f"{prefix}/bridge/marker/{name}",
        subscriptions=(Subscription("#", 0, 0),),
        username=username,
        password=password,
        session_expiry_s=0,
    )
    client = MqttClient(
        config, on_message=arrived, on_connected=connected.set, on_disconnected=lambda _reason: None
    )
    running = asyncio.create_task(client.run())
    try:
        await asyncio.wait_for(connected.wait(), _CONNECT_S)
        await asyncio.sleep(seconds)
    except TimeoutError:
        return None
    finally:
        await client.stop()
        await running
    return list(topics)


def _end(sentence: str, code: int) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(code)
