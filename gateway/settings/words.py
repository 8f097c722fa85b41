"""What may be written for a word, a text, a version or a file, and the one form that it takes inside."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NoReturn

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_core import PydanticCustomError

Version = Literal["ocpp2.0.1", "ocpp1.6"]

SHOWN_VERSIONS: dict[str, str] = {"ocpp2.0.1": "2.0.1", "ocpp1.6": "1.6"}
"""Subprotocol → as an operator writes it."""


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, values do not change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_enum_values=False, hide_input_in_errors=True)


class Finding(NamedTuple):
    """What is wrong between several settings: where, below the section that found it, and a sentence."""

    path: tuple[str | int, ...]
    sentence: str
    hidden: bool = False
    """The value is not to be told, or the sentence has it already."""


def refuse(findings: Sequence[Finding]) -> NoReturn:
    """End a validator with everything that it found wrong."""
    raise PydanticCustomError("findings", "settings that do not fit together", {"findings": list(findings)})


def any_case(words: Iterable[str]) -> BeforeValidator:
    """Accept the words in any case, and with or without `_` and `-`."""
    spelt = {_folded(word): str(word) for word in words}

    def spell(value: Any) -> Any:
        return spelt.get(_folded(value), value) if isinstance(value, str) else value

    return BeforeValidator(spell)


def listed(value: Any) -> Any:
    """`a, b`, as an environment variable has it, or a single value, for a list."""
    if isinstance(value, str):
        return [item for part in value.split(",") if (item := part.strip())]
    return [value] if isinstance(value, int | float) else value


def read_secret(file: Path) -> str:
    """A secret's file without the newline at its end. Raises ValueError with a sentence."""
    try:
        text = file.read_text(encoding="utf-8").removeprefix("\ufeff").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} cannot be read: {_why(error)}") from error
    if not text:
        raise ValueError(f"{file} is empty; it must hold the secret and nothing else")
    return text


def _folded(word: str) -> str:
    return re.sub(r"[-_ ]", "", word).casefold()


def _why(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8 text"


def _as_text(value: Any) -> Any:
    # The YAML reader makes integers only of what has one spelling, so nothing is lost.
    return str(value) if type(value) is int else value


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has characters that cannot be printed")
    return text


def _version(value: Any) -> Any:
    if not isinstance(value, str | float | int) or isinstance(value, bool):
        return value
    word = str(value).strip().casefold().removeprefix("ocpp").lstrip("_- ").removesuffix("j")
    for version, shown in SHOWN_VERSIONS.items():
        if word == shown:
            return version
    raise ValueError(f"is no version that the gateway speaks; allowed: {', '.join(SHOWN_VERSIONS.values())}")


def _readable(file: Path) -> Path:
    try:
        with file.open("rb"):
            return file
    except OSError as error:
        raise ValueError(f"cannot be read: {_why(error)}") from error


def _not_empty(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value():
        raise ValueError("is empty; leave the key away where no password is wanted")
    return secret


Text = Annotated[str, BeforeValidator(_as_text), AfterValidator(_printable), Field(min_length=1)]
AnyVersion = Annotated[Version, BeforeValidator(_version)]
Secret = Annotated[SecretStr, BeforeValidator(_as_text), AfterValidator(_not_empty)]
ReadableFile = Annotated[Path, AfterValidator(_readable)]
"""A file that is there and may be read; relative to the configuration file."""
