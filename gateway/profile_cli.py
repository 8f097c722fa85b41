"""`ocpp-gateway profile`: which device profiles there are, what is wrong with one, and what it makes of a message."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import msgspec
import typer

if TYPE_CHECKING:
    from gateway.mqtt.profiles.model import Profile

UNUSABLE = 2
FAILED = 1

app = typer.Typer(
    help="Profiles of devices that speak topics of their own: docs/device-profiles.md.", no_args_is_help=True
)

Named = Annotated[
    str,
    typer.Argument(
        metavar="PROFILE", help="The name of a profile, or a file of your own.", show_default=False
    ),
]


@app.command("list")
def list_() -> None:
    """List the profiles that come with the gateway."""
    from gateway.settings.profiles import shipped_names

    for name in shipped_names():
        profile = _profile(name)
        typer.echo(f"{name:24} {profile.title}")


@app.command()
def show(name: Named) -> None:
    """Print the file of a profile that comes with the gateway: a start for your own."""
    from gateway.settings.profiles import shipped_names, shipped_text

    if name not in shipped_names():
        _profile(name)
        _end(f"{name} is your own file: it is not printed here.", UNUSABLE)
    typer.echo(shipped_text(name), nl=False)


@app.command()
def check(name: Named) -> None:
    """Judge a profile. Exit code 2: it cannot be used; each mistake with its line. Warnings do not fail it."""
    from gateway.settings.profiles import warnings

    profile = _profile(name)
    for warning in warnings(profile):
        typer.echo(f"Warning: {warning}", err=True)
    topics = len({rule.topic for rule in profile.rules})
    typer.echo(
        f"The profile {profile.name} can be used: it reads {topics} topic{'s' if topics != 1 else ''}."
    )
    for key, parameter in profile.parameters.items():
        default = f" (default: {parameter.default.source})" if parameter.default is not None else ""
        typer.echo(f"  {key}: {parameter.title}{default}")


@app.command("test")
def try_(
    name: Named,
    pairs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TOPIC PAYLOAD]...", help="With --sample: topic and payload in turn.", show_default=False
        ),
    ] = None,
    *,
    sample: Annotated[
        bool, typer.Option("--sample", help="Show what each message, in this order, becomes.")
    ] = False,
    steps: Annotated[
        Path | None,
        typer.Option("--steps", help="Play a file of steps and expectations.", show_default=False),
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter",
            "-p",
            metavar="NAME=VALUE",
            help="Default: the profile's examples.",
            show_default=False,
        ),
    ] = None,
    retain: Annotated[bool, typer.Option("--retain", help="The samples are stored copies.")] = False,
) -> None:
    """Show what messages become, or play a file of tests. Exit code 1: an expectation does not hold."""
    profile = _profile(name)
    if sample is (steps is not None):
        _end("Give either --sample with topics and payloads, or --steps with a file.", UNUSABLE)
    if steps is not None:
        _play(profile, steps)
        return
    given = pairs or []
    if not given or len(given) % 2:
        _end("After --sample: a topic and a payload, as often as you like.", UNUSABLE)
    _sample(
        profile,
        _parameters(profile, parameter or []),
        list(zip(given[::2], given[1::2], strict=True)),
        retain=retain,
    )


def _sample(
    profile: Profile, parameters: dict[str, str], samples: list[tuple[str, str]], *, retain: bool
) -> None:
    from gateway.mqtt.profiles.translator import Translator
    from gateway.settings.profile_kit import Bench

    translator = Translator(profile, parameters)
    bench = Bench(translator)
    known = translator.subscriptions()
    for topic, payload in samples:
        typer.echo(f"{topic} {payload}")
        if topic not in known:
            typer.echo("  no topic of this profile; it reads:")
            for one in known:
                typer.echo(f"    {one}")
            continue
        said = bench.hear(topic, payload, retain=retain)
        for entry in said:
            typer.echo(f"  {_line(entry)}")
        if not said:
            typer.echo("  nothing")


def _play(profile: Profile, steps: Path) -> None:
    from gateway.settings import SettingsError
    from gateway.settings.profile_kit import run

    try:
        outcomes = list(run(steps, profile))
    except SettingsError as error:
        _end(str(error), UNUSABLE)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    for outcome in failed:
        typer.echo(f"{steps}, line {outcome.line}: {outcome.why or 'a step'}")
        for word, entries in (("expected", outcome.expected), ("got", outcome.got)):
            for line in map(_line, entries) if entries else ["nothing"]:
                typer.echo(f"  {word:8} {line}")
    if failed:
        _end(f"{len(failed)} of {len(outcomes)} steps went otherwise than expected.")
    typer.echo(f"{len(outcomes)} steps went as expected.")


def _line(entry: dict[str, Any]) -> str:
    """`status {"plugged":true}`, `send topic payload`, `problem sentence`."""
    words = []
    for key, value in entry.items():
        if key == "send":
            payload = value["payload"]
            text = payload if isinstance(payload, str) else msgspec.json.encode(payload).decode()
            words.append(f"send {value['topic']} {text}")
        else:
            words.append(f"{key} {value if isinstance(value, str) else msgspec.json.encode(value).decode()}")
    return ", ".join(words)


def _parameters(profile: Profile, given: list[str]) -> dict[str, str]:
    values = {
        name: parameter.example
        for name, parameter in profile.parameters.items()
        if parameter.default is None and parameter.example
    }
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            _end(f"{text!r} is no parameter; write NAME=VALUE.", UNUSABLE)
        values[name] = value
    try:
        return profile.complete(values)
    except ValueError as error:
        return _end(f"{error}: give it with --parameter NAME=VALUE.", UNUSABLE)


def _profile(name: str) -> Profile:
    from gateway.settings import SettingsError
    from gateway.settings.profiles import found_profile

    try:
        return found_profile(name, Path())
    except SettingsError as error:
        return _end(str(error), UNUSABLE)
    except ValueError as error:
        return _end(f'"{name}" {error}.', UNUSABLE)


def _end(sentence: str, code: int = FAILED) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(code)
