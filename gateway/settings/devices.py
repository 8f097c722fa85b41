"""A device that does not speak our contract: its profile, its base topic, and what else its profile asks for."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path as FilePath
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway.mqtt.profiles.model import Profile
from gateway.settings.problems import SettingsError
from gateway.settings.profiles import found_profile
from gateway.settings.words import Finding, Section, Text, refuse


def _known(name: str) -> str:
    profile_of(name)
    return name


class Device(Section):
    """A device with topics of its own."""

    profile: Annotated[
        Text,
        AfterValidator(_known),
        Field(
            title="Profile",
            description="A name that `ocpp-gateway profile list` shows, that of a file in `profiles/` beside this "
            "one, or a file (`….yaml`) relative to this one.",
            examples=["openevse", "my-box.yaml"],
        ),
    ]
    base: Annotated[
        Text | None,
        Field(
            title="Base topic",
            description="What the device's topics begin with, as it stands in its own settings.",
            examples=["openevse-7b2c"],
        ),
    ] = None
    parameters: Annotated[
        dict[str, Text],
        Field(
            title="Parameters", description="What else `ocpp-gateway profile check` says the profile needs."
        ),
    ] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self) -> Device:
        profile, given = self.read(), self.given()
        try:
            profile.complete(given)
        except ValueError as error:
            only_base = self.base is None and given.keys() <= profile.parameters.keys()
            refuse([Finding(("base" if only_base else "parameters",), str(error), hidden=True)])
        return self

    def given(self) -> dict[str, str]:
        """What the profile's placeholders stand for, as far as it is said here."""
        return self.parameters if self.base is None else {**self.parameters, "base": self.base}

    def read(self) -> Profile:
        """The profile. Raises ValueError with a sentence."""
        return profile_of(self.profile)


def profile_of(name: str) -> Profile:
    """A profile by name, or by the file that it is in. Raises ValueError with a sentence."""
    file = FilePath(name)
    try:
        return _read(name, file.stat().st_mtime_ns if file.suffix and file.is_file() else 0)
    except SettingsError as error:
        more = f" (and {len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
        raise ValueError(f"cannot be used: {error.problems[0]}{more}") from error


@lru_cache(maxsize=64)
def _read(name: str, _changed_at: int) -> Profile:
    """Compiled once for all devices of its kind."""
    return found_profile(name, FilePath())


def listed(value: Any) -> Any:
    """One device for a list of one."""
    return [value] if isinstance(value, dict) else value


Devices = Annotated[tuple[Device, ...], BeforeValidator(listed)]


def decided(data: Any) -> Any:
    """A connector's settings with what the profiles of its devices decide, where nothing else was said."""
    if not isinstance(data, dict):
        return data
    devices = listed(data.get("device"))
    for device in devices if isinstance(devices, list | tuple) else ():
        name = device.get("profile") if isinstance(device, dict) else getattr(device, "profile", None)
        if isinstance(name, str):
            try:
                data = {**profile_of(name).connector, **data}
            except ValueError:
                continue  # it is told where the device is judged
    return data
