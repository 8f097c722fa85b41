"""What a person types; each command loads only what it needs, and ends in a sentence and an exit code."""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, NoReturn

import typer

from gateway import __version__, onboarding_cli, profile_cli

if TYPE_CHECKING:
    from gateway.settings import Settings

FAILED: Final = 1
UNUSABLE: Final = 2
"""The configuration, or the command line, cannot be used."""

PLACES: Final = ("gateway.yaml", "config/gateway.yaml", "/etc/ocpp-gateway/gateway.yaml")
CONFIG_VARIABLE: Final = "OCPP_GATEWAY_CONFIG"
DEBUG_VARIABLE: Final = "OCPP_GATEWAY_DEBUG"

app = typer.Typer(
    help="A charging station in software: MQTT devices on one side, an OCPP CSMS on the other.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(profile_cli.app, name="profile")
app.command()(onboarding_cli.init)
app.command()(onboarding_cli.devices)

ConfigFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FILE]",
        help=f"Configuration. Default: ${CONFIG_VARIABLE}, else the first there is of {', '.join(PLACES)}.",
        show_default=False,
    ),
]


def main() -> None:
    """`ocpp-gateway`: an error is a sentence and exit code 1; --debug shows where it came from."""
    try:
        app()
    except Exception as error:
        if debugging():
            raise
        typer.echo(f"ocpp-gateway: {_told(error)}", err=True)
        typer.echo("(ocpp-gateway --debug … shows where this comes from.)", err=True)
        sys.exit(FAILED)


def debugging() -> bool:
    """Whether --debug was given."""
    return os.environ.get(DEBUG_VARIABLE, "") not in ("", "0", "false")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ocpp-gateway {__version__}")
        raise typer.Exit


@app.callback()
def _every_command(
    *,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an unexpected error comes from.")
    ] = False,
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"


@app.command()
def run(file: ConfigFile = None) -> None:
    """Run the gateway until it is told to stop (SIGTERM, Ctrl-C)."""
    settings = _settings(file)
    from gateway import daemon
    from gateway.settings import load

    again = partial(load, _found(file), os.environ)
    raise typer.Exit(asyncio.run(daemon.run(settings, again), debug=debugging()))


@app.command()
def check(
    file: ConfigFile = None,
    *,
    store: Annotated[
        bool, typer.Option("--store", help="Also say where what a CSMS has written differs from the file.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only judge; print no configuration.")] = False,
) -> None:
    """Judge a configuration and print it as in force, without secrets. Exit code 2: it cannot be used."""
    settings = _settings(file)
    from gateway.settings import effective

    if not quiet:
        typer.echo(effective(settings), nl=False)
    if store:
        _compare(settings)
    count = len(settings.stations)
    typer.echo(f"The configuration can be used: {count} station{'s' if count != 1 else ''}.", err=True)


@app.command()
def forget(
    station: Annotated[str, typer.Argument(help="The station's name.", show_default=False)],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Variables as `check --store` names them, or 1.6 keys. Default: all.", show_default=False
        ),
    ] = None,
    *,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The configuration.", show_default=False)
    ] = None,
) -> None:
    """Forget what a CSMS has written at a station, so that the configuration holds again. Stop the gateway first."""
    settings = _settings(config)
    from gateway.settings.written import forget as forgotten
    from gateway.store import StoreError

    try:
        for name in asyncio.run(forgotten(settings, station, names or [])):
            typer.echo(f"{station}: {name} is as configured again.")
    except (LookupError, StoreError) as error:
        _end(f"Nothing was forgotten: {error}")


@app.command()
def health(
    file: ConfigFile = None,
    *,
    url: Annotated[
        str | None,
        typer.Option(
            help="Ask here instead of where the configuration says.", envvar="HEALTH_URL", show_default=False
        ),
    ] = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout", help="Seconds to wait for an answer.", min=0.1)
    ] = 5.0,
) -> None:
    """Ask a running gateway how it is. Exit code 0: well; 1: not well, or no answer."""
    from urllib.error import HTTPError, URLError
    from urllib.request import ProxyHandler, build_opener

    url = url or _health_url(_settings(file))
    if not url.startswith(("http://", "https://")):
        _end(f"{url!r} is no address of a health page: it must begin with http:// or https://.", UNUSABLE)
    # A proxy for the world outside has no business between a gateway and its own machine.
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout_s) as answer:
            typer.echo(answer.read().decode())
    except HTTPError as error:
        typer.echo(error.read().decode(errors="replace"))
        _end(f"The gateway at {url} is not well (HTTP {error.code}).")
    except (URLError, OSError) as error:
        _end(f"No gateway answers at {url}: {getattr(error, 'reason', error)}.")


@app.command()
def asyncapi() -> None:
    """Print the MQTT contract as AsyncAPI 3, with JSON Schemas."""
    from gateway.mqtt.asyncapi import asyncapi_json

    typer.echo(asyncapi_json().rstrip("\n"))


@app.command()
def acl(
    file: ConfigFile = None,
    *,
    any_station: Annotated[
        bool,
        typer.Option(
            "--any-station",
            help="For whatever stations there are: needs no configuration, and no change later.",
        ),
    ] = False,
) -> None:
    """Print who may say and hear what on the broker, as mosquitto's acl_file."""
    from gateway.mqtt.acl import AccountTaken, file_for, file_for_any_station
    from gateway.mqtt.profiles.fleet import foreign_topics

    if any_station:
        typer.echo(file_for_any_station(), nl=False)
        return
    settings = _settings(file)
    names = [station.name for station in settings.stations]
    account = settings.mqtt.username or "gateway"
    foreign = {station.name: foreign_topics(station.bindings()) for station in settings.stations}
    try:
        printed = file_for(
            names,
            prefix=settings.mqtt.prefix,
            discovery_prefix=settings.home_assistant.prefix,
            birth_topic=settings.home_assistant.birth_topic(),
            gateway_account=account,
            foreign=foreign,
        )
        typer.echo(printed, nl=False)
    except AccountTaken as error:
        _end(str(error), UNUSABLE)


@app.command()
def demo(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Play the piece once, check it, and exit: 0 when all is well.")
    ] = False,
    broker_command: Annotated[
        str | None,
        typer.Option(
            help="What starts a broker; {port} stands for its port. Default: mosquitto.", show_default=False
        ),
    ] = None,
    broker_url: Annotated[
        str | None,
        typer.Option(help="A broker that runs already, such as mqtt://127.0.0.1:1883.", show_default=False),
    ] = None,
    broker: Annotated[
        str | None, typer.Option(help="What the broker is called, for those who watch.", show_default=False)
    ] = None,
) -> None:
    """Watch a card, a cable and a meter become OCPP transactions: all of it on this machine."""
    from gateway.demo import run_demo

    if broker is not None:
        typer.echo(f"Broker: {broker}")
    raise typer.Exit(asyncio.run(run_demo(once, broker_command, broker_url), debug=debugging()))


@app.command()
def csms(
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at.", min=0, max=65535)] = 9000,
) -> None:
    """Be a small CSMS that accepts every station and every card, and prints each frame: for trying things out."""
    from gateway.demo.backend import serve

    try:
        asyncio.run(serve(host, port, typer.echo), debug=debugging())
    except OSError as error:
        _end(f"Cannot listen at {host}, port {port}: {error.strerror or error}. Choose another with --port.")


@app.command()
def simulate(  # noqa: PLR0913, PLR0917 - an option each
    url: Annotated[
        str, typer.Option(help="Broker: mqtt://, mqtts://, ws:// or wss://.")
    ] = "mqtt://127.0.0.1:1883",
    user: Annotated[str | None, typer.Option(help="User name at the broker.", show_default=False)] = None,
    password: Annotated[
        str | None,
        typer.Option(
            help="Password at the broker; better given by the variable.",
            envvar="MQTT_PASSWORD",
            show_default=False,
        ),
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the password at the broker.", envvar="MQTT_PASSWORD_FILE", show_default=False
        ),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(help="PEM file of the authority of the broker's certificate.", show_default=False),
    ] = None,
    protocol: Annotated[Literal["5", "3.1.1"], typer.Option(help="MQTT version.")] = "5",
    client_id: Annotated[
        str, typer.Option(help="MQTT client id. Default: the broker chooses.", show_default=False)
    ] = "",
    prefix: Annotated[str, typer.Option(help="First level of all topics.")] = "ocpp",
    station: Annotated[
        str, typer.Option(help="Name of the station in the gateway's configuration.")
    ] = "simulated",
    connectors: Annotated[int, typer.Option(help="Connectors that the charger has.", min=1)] = 1,
    max_current_a: Annotated[float, typer.Option(help="Limit of each connector, in A.", min=0)] = 32.0,
    phases: Annotated[int, typer.Option(help="Phases of each connector.", min=1, max=3)] = 3,
    meter_interval_s: Annotated[
        float, typer.Option(help="Seconds between two meter messages.", min=0.05)
    ] = 5.0,
    speed: Annotated[float, typer.Option(help="Multiplies the energy that flows.", min=0)] = 1.0,
    connector: Annotated[int, typer.Option(help="The connector that is used.", min=1)] = 1,
    token: Annotated[str, typer.Option(help="Token of the card.")] = "04A2B3C4",  # noqa: S107 - a card, not a secret
    token_type: Annotated[str, typer.Option(help="OCPP word for the kind of token.")] = "ISO14443",  # noqa: S107
    order: Annotated[
        Literal["plug_first", "card_first"], typer.Option(help="What comes first.")
    ] = "plug_first",
    battery_kwh: Annotated[float, typer.Option(help="The car's battery.", min=0.1)] = 60.0,
    soc_percent: Annotated[float, typer.Option(help="How full it is on arrival.", min=0, max=100)] = 40.0,
    car_current_a: Annotated[
        float, typer.Option(help="The most that the car takes, per phase.", min=0)
    ] = 16.0,
    car_phases: Annotated[int, typer.Option(help="Phases that the car uses.", min=1, max=3)] = 3,
    charge_s: Annotated[
        float, typer.Option(help="Seconds to charge; with an energy or a soc, how long at most.", min=0)
    ] = 10.0,
    energy_wh: Annotated[
        float | None, typer.Option(help="Charge until so much has flowed.", show_default=False)
    ] = None,
    until_soc_percent: Annotated[
        float | None, typer.Option(help="Charge until the battery is so full.", show_default=False)
    ] = None,
    stop_by: Annotated[Literal["card", "unplug"], typer.Option(help="How the visit ends.")] = "card",
    answer_timeout_s: Annotated[
        float, typer.Option(help="Patience with broker and gateway, in seconds.", min=0.1)
    ] = 30.0,
    linger_s: Annotated[float, typer.Option(help="Seconds to stay for late commands.", min=0)] = 1.0,
    state_file: Annotated[
        Path | None,
        typer.Option(help="File that keeps registers and cars over restarts.", show_default=False),
    ] = None,
    *,
    idle: Annotated[bool, typer.Option("--idle", help="Play nothing: be a device until Ctrl-C.")] = False,
) -> None:
    """Be a charger on MQTT, and play one visit of a car: plug, card, charge, card, unplug."""
    from gateway.simulator.car import Car
    from gateway.simulator.play import PlayOptions, play

    if password is None and password_file is not None:
        try:
            password = password_file.read_text().rstrip("\r\n")
        except (OSError, UnicodeError) as error:
            _end(f"The password in {password_file} cannot be read: {error}.", UNUSABLE)
    options = PlayOptions(
        url=url,
        user=user,
        password=password,
        ca_file=None if ca_file is None else str(ca_file),
        protocol=protocol,
        client_id=client_id,
        prefix=prefix,
        station=station,
        connectors=connectors,
        max_current_a=max_current_a,
        phases=phases,
        meter_interval_s=meter_interval_s,
        speed=speed,
        connector=connector,
        token=token,
        token_type=token_type,
        order=order,
        car=Car(
            battery_kwh=battery_kwh, soc_percent=soc_percent, max_current_a=car_current_a, phases=car_phases
        ),
        charge_s=charge_s,
        energy_wh=energy_wh,
        until_soc_percent=until_soc_percent,
        stop_by=stop_by,
        answer_timeout_s=answer_timeout_s,
        linger_s=linger_s,
        state_file=None if state_file is None else str(state_file),
        idle=idle,
    )
    raise typer.Exit(asyncio.run(play(options, typer.echo), debug=debugging()))


def _settings(file: Path | None) -> Settings:
    """The configuration, or the end of the program with everything that is wrong with it."""
    from gateway.settings import SettingsError, load

    try:
        return load(_found(file), os.environ)
    except SettingsError as error:
        _end(str(error), UNUSABLE)


def _found(file: Path | None) -> Path:
    if file is not None:
        return file
    if named := os.environ.get(CONFIG_VARIABLE):
        return Path(named)
    for place in map(Path, PLACES):
        if place.is_file():
            return place
    return _end(
        f"No configuration was found. Name one (ocpp-gateway run FILE, or {CONFIG_VARIABLE}), "
        f"or put it at {', '.join(PLACES)}.",
        UNUSABLE,
    )


def _health_url(settings: Settings) -> str:
    host, port = settings.health.host, settings.health.port
    if port is None:
        _end("The configuration opens no health port: set health.port.", UNUSABLE)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - asked, not bound
    return f"http://[{host}]:{port}/health" if ":" in host else f"http://{host}:{port}/health"


def _compare(settings: Settings) -> None:
    """Say which variables a CSMS has written that the configuration has otherwise."""
    from gateway.settings.written import differences

    if not settings.store.path.exists():
        typer.echo(f"# There is no store at {settings.store.path} yet.")
        return
    found = list(differences(settings))
    for difference in found:
        typer.echo(f"# {difference}")
    if not found:
        typer.echo("# The store has no variable that differs from the configuration.")


def _end(sentence: str, code: int = FAILED) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(code)


def _told(error: Exception) -> str:
    return str(error) or f"{type(error).__name__} without a word of explanation."
