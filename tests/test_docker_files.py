"""The container files name what exists, give no rights that are not needed, and agree with each other."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.core import TyperGroup

import gateway
from gateway import cli

_ROOT = Path(__file__).parents[1]
_DOCKERFILE = (_ROOT / "docker" / "Dockerfile").read_text()


@pytest.fixture
def compose() -> dict[str, Any]:
    """The compose file, its merge keys resolved."""
    loaded: dict[str, Any] = yaml.safe_load((_ROOT / "docker" / "compose.yaml").read_text())
    return loaded


@pytest.mark.parametrize(
    "service", ["gateway", "mosquitto", "csms", "charger-garage", "charger-plaza", "nodered"]
)
def test_a_service_has_no_more_rights_than_it_needs(compose: dict[str, Any], service: str) -> None:
    """No container runs as root, writes outside its volume, or can gain a privilege; each comes back."""
    settings = compose["services"][service]

    assert settings["read_only"] is True
    assert ["ALL"] == settings["cap_drop"]
    assert ["no-new-privileges:true"] == settings["security_opt"]
    assert settings["restart"] in {"unless-stopped", "always"}
    assert int(settings["user"].split(":")[0]) > 0


def test_only_the_gateway_and_its_broker_start_unasked(compose: dict[str, Any]) -> None:
    """The demo and the home are profiles; nothing of the default waits for something that a profile would start."""
    services = compose["services"]
    unasked = {name for name, settings in services.items() if "profiles" not in settings}

    assert {"gateway", "mosquitto"} == unasked
    assert {"demo", "home"} == {p for settings in services.values() for p in settings.get("profiles", ())}
    assert all(set(services[name].get("depends_on", ())) <= unasked for name in unasked)


def test_every_service_is_watched(compose: dict[str, Any]) -> None:
    """Each that serves something has a health check, in compose or in its image; no log grows without end."""
    for name, settings in compose["services"].items():
        watched = "healthcheck" in settings or (name == "gateway" and "HEALTHCHECK" in _DOCKERFILE)
        assert watched, name
        assert "max-size" in settings["logging"]["options"], name


def test_what_our_image_is_told_to_do_it_understands(compose: dict[str, Any]) -> None:
    """Every command line of a service of our image is one that the program takes."""
    ours = {name: s for name, s in compose["services"].items() if s["image"] == "ocpp-mqtt-gateway"}
    assert {"gateway", "csms", "charger-garage", "charger-plaza"} == set(ours)
    group = typer.main.get_command(cli.app)
    assert isinstance(group, TyperGroup)

    for settings in ours.values():
        name, *arguments = settings["command"]
        assert name == group.commands[name].make_context(name, list(arguments)).info_name


def test_what_is_mounted_exists(compose: dict[str, Any]) -> None:
    """Each directory that a service mounts from the project is there, and mounted read-only."""
    for settings in compose["services"].values():
        for source, _target, *mode in (volume.split(":") for volume in settings.get("volumes", ())):
            if source.startswith("."):
                assert (_ROOT / "docker" / source).resolve().is_dir(), source
                assert ["ro"] == mode
            else:
                assert source in compose["volumes"]


def test_secrets_are_files_that_git_ignores(compose: dict[str, Any]) -> None:
    """No password stands in the compose file; where it stands is never committed."""
    ignored = (_ROOT / ".gitignore").read_text().splitlines()
    files = [secret["file"] for secret in compose["secrets"].values()]

    asked = {name for settings in compose["services"].values() for name in settings.get("secrets", ())}
    assert asked == set(compose["secrets"])
    assert {"./secrets", "../mosquitto/secrets"} == {file.rpartition("/")[0] for file in files}
    assert {"/docker/secrets/", "/mosquitto/secrets/"} <= set(ignored)


def test_the_broker_runs_with_our_files(compose: dict[str, Any]) -> None:
    """The broker finds the shipped configuration where its image looks, and its state on a volume."""
    volumes = compose["services"]["mosquitto"]["volumes"]

    assert ["../mosquitto:/mosquitto/config:ro", "mosquitto-data:/mosquitto/data"] == volumes


def test_the_image_and_compose_agree_on_the_user(compose: dict[str, Any]) -> None:
    """The user of the image owns /data, and is the one that compose names."""
    user = re.findall(r"^USER (\S+)$", _DOCKERFILE, re.MULTILINE)[-1]

    assert user == compose["services"]["gateway"]["user"] == "10001:10001"
    assert "--uid 10001" in _DOCKERFILE
    assert "--gid 10001" in _DOCKERFILE


def test_what_the_image_is_built_from_reaches_it() -> None:
    """Each file that the Dockerfile copies exists and is let through by .dockerignore."""
    let_through = set(re.findall(r"^!(\S+)$", (_ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", _DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    }

    assert copied == let_through
    assert all((_ROOT / source).exists() for source in copied)


def test_the_health_check_is_a_program() -> None:
    """The Python line of the health check compiles, and needs nothing but the standard library."""
    (line,) = re.findall(r'CMD \["python", "-c", "(.+)"\]$', _DOCKERFILE, re.MULTILINE)

    compile(line, "HEALTHCHECK", "exec")
    assert "urllib.request" in line


@pytest.mark.parametrize(
    "name", ["requirements.lock", "requirements-dev.lock", "scripts/requirements-broker.lock"]
)
def test_locks_pin_and_name_no_machine(name: str) -> None:
    """Each requirement is one version with its hashes; no index, host or path of a machine is named."""
    lines = (_ROOT / name).read_text().splitlines()

    assert [] == [
        line
        for line in lines
        if not re.fullmatch(r"[a-z0-9-]+==[\w.]+ \\|    --hash=sha256:\w{64}( \\)?", line)
    ]


def test_the_development_lock_contains_the_other() -> None:
    """What is tested is what is shipped: both locks pin the same versions."""
    pins = {
        name: set(re.findall(r"^\S+==\S+", (_ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements.lock", "requirements-dev.lock")
    }

    assert pins["requirements.lock"] <= pins["requirements-dev.lock"]


def test_version() -> None:
    """The version is one that package indexes accept."""
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", gateway.__version__)
