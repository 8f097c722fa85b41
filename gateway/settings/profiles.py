"""Which profiles there are, and one of them: shipped with the gateway, or the user's own beside the configuration."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from pathlib import Path as FilePath

from pydantic import ValidationError

from gateway.mqtt.profiles import model
from gateway.mqtt.profiles.model import Profile
from gateway.settings.problems import Problem, SettingsError, similar, translated
from gateway.settings.profile_files import ProfileFile
from gateway.settings.sources import Document

SUFFIXES = (".yaml", ".yml")


def load_profile(file: FilePath, name: str | None = None) -> Profile:
    """Read and judge a profile file. Raises SettingsError with everything that is wrong."""
    document = Document(file)
    try:
        judged = ProfileFile(**document.data)
    except ValidationError as error:
        found = dict.fromkeys(translated(error, ProfileFile))
        problems = [Problem(path, sentence, document.line(path)) for path, sentence in found]
        raise SettingsError(str(file), sorted(problems, key=lambda problem: problem.line or 0)) from error
    return judged.compiled(name or file.stem)


def shipped_names() -> list[str]:
    """The names of the profiles that come with the gateway."""
    place = files(model.__package__)
    return sorted(file.name.removesuffix(".yaml") for file in place.iterdir() if file.name.endswith(".yaml"))


def shipped_text(name: str) -> str:
    """The file of a profile that comes with the gateway. Raises KeyError."""
    if name not in shipped_names():
        raise KeyError(name)
    return files(model.__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")


def own_profile(name: str, beside: FilePath) -> str:
    """The file of a user's own profile, where the name means one; else the name."""
    if name.endswith(SUFFIXES):
        return str(beside / name)
    for suffix in SUFFIXES:
        own = beside / "profiles" / f"{name}{suffix}"
        if own.is_file():
            return str(own)
    return name


def found_profile(name: str, beside: FilePath) -> Profile:
    """The profile of a name: a file beside the configuration, or below its `profiles/`, or one that is shipped.

    Raises ValueError with a sentence when there is none, SettingsError when it cannot be used.
    """
    name = own_profile(name, beside)
    if name.endswith(SUFFIXES):
        return load_profile(FilePath(name))
    if name in shipped_names():
        return _shipped(name)
    near = similar(name, shipped_names())
    choice = near or f"; shipped are {', '.join(shipped_names())}; your own is a file, such as my-box.yaml"
    raise ValueError(f"is no profile that is known{choice}")


def warnings(profile: Profile) -> list[str]:
    """What is allowed and yet dangerous or of no use."""
    told = []
    if profile.switches and (profile.keepalive is None or profile.keepalive.timer_s is None):
        told.append(
            "It switches, and nothing switches it off when the gateway, the broker or the network is lost: what was on "
            "stays on. If the device has an auto-off timer, use it: keepalive with timer_s."
        )
    if profile.on and not any(rule.confirm is not None for rule in profile.rules):
        told.append(
            "Nothing tells whether the device does what it is told: no topic is read back. Give one `confirm`."
        )
    if not profile.knows_presence:
        told.append(
            "A device that is gone looks alive: give silence_s, or the `availability` of its last will."
        )
    reads = {name for rule in profile.rules for name, _ in rule.takes.get("status", ())}
    plugs = reads & {"plugged", "control_pilot", "cable", "status"}
    if profile.part == "evse" and not plugs and profile.connector.get("plug_sensor") is not False:
        told.append("Nothing tells whether a vehicle is plugged: say connector: {plug_sensor: false}.")
    return told


@cache
def _shipped(name: str) -> Profile:
    with as_file(files(model.__package__).joinpath(f"{name}.yaml")) as file:
        return load_profile(file, name)
