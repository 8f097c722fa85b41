"""Where settings come from: one YAML file, over it secret files, over those the environment."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

import yaml
from pydantic_settings import BaseSettings, EnvSettingsSource
from pydantic_settings import SettingsError as EnvironmentError_

from gateway.settings.problems import Path, Problem, SettingsError, similar
from gateway.settings.words import read_secret

PREFIX = "OCPP_GATEWAY_"
CONFIG_VARIABLE = f"{PREFIX}CONFIG"
SECRETS_VARIABLE = f"{PREFIX}SECRETS_DIR"
SECRETS_DIR = "/run/secrets"

_NOT_SETTINGS = frozenset({CONFIG_VARIABLE, SECRETS_VARIABLE, f"{PREFIX}DEBUG"})

Tree = dict[str, Any]


class Document:
    """A YAML file: its plain data, and the line on which each value stands."""

    def __init__(self, file: FilePath) -> None:
        """Raise SettingsError when it cannot be read, is no YAML, or gives a key twice."""
        self._node: yaml.Node | None = None
        text = ""
        try:
            text = file.read_text(encoding="utf-8-sig")
            loader = _Loader(text)
            self._node = loader.get_single_node()
            data = None
            if self._node is not None:
                if twice := list(_given_twice(self._node, ())):
                    raise SettingsError(str(file), twice)
                data = loader.construct_document(self._node)
            plain = _without_empty_keys(data or {})
        except (OSError, UnicodeDecodeError) as error:
            why = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8 text"
            raise SettingsError(str(file), [Problem((), f"The file cannot be read: {why}.")]) from error
        except yaml.MarkedYAMLError as error:
            raise SettingsError(str(file), [_no_yaml(error, text)]) from error
        except (yaml.YAMLError, RecursionError) as error:
            raise SettingsError(str(file), [Problem((), f"The file is no YAML: {error}.")]) from error
        if not isinstance(data, dict | None):
            raise SettingsError(str(file), [Problem((), "The file must be a mapping of keys and values.", 1)])
        self.data: Tree = plain
        if data and isinstance(data.get("stations"), dict):
            self.data["stations"] = {
                str(name): {} if station is None else _without_empty_keys(station)
                for name, station in data["stations"].items()
            }

    def line(self, path: Path) -> int | None:
        """The line of what stands at a path, or of the nearest section around it."""
        node, line = self._node, None
        for step in path:
            below = _step(node, step)
            if below is None:
                break
            key, node = below
            line = key.start_mark.line + 1
        return line


def from_environment(environ: Mapping[str, str], settings: type[BaseSettings]) -> tuple[Tree, list[Problem]]:
    """What `OCPP_GATEWAY_<SECTION>__<KEY>` variables say; empty ones count as not there."""
    given = {name: text for name, text in environ.items() if name.upper().startswith(PREFIX) and text}
    given = {name: text for name, text in given.items() if name.upper() not in _NOT_SETTINGS}
    problems = []
    for name in given:
        section = name[len(PREFIX) :].split("__")[0].lower()
        if section not in settings.model_fields:
            near = similar(section, settings.model_fields)
            problems.append(
                Problem((), f"no setting has this name{near}", variable=f"environment variable {name}")
            )
    source = _Environment(settings, case_sensitive=False, env_prefix=PREFIX, env_nested_delimiter="__")
    source.env_vars = {name.lower(): text for name, text in given.items()}
    try:
        return source(), problems
    except EnvironmentError_ as error:
        problems.append(Problem((), f"The environment cannot be read as settings: {error}."))
        return {}, problems


def from_secret_files(
    directory: FilePath, names: Mapping[str, Path]
) -> tuple[list[tuple[Path, str, FilePath]], list[Problem]]:
    """The secrets in files that bear one of the names: (what it belongs to, the secret, the file)."""
    found: list[tuple[Path, str, FilePath]] = []
    problems = []
    try:
        files = sorted(
            file for file in directory.iterdir() if file.name.casefold() in names and file.is_file()
        )
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [], [Problem((), f"The directory of secrets {directory} cannot be read: {error.strerror}.")]
    for file in files:
        try:
            found.append((names[file.name.casefold()], read_secret(file), file))
        except ValueError as error:
            problems.append(Problem((), f"The secret file {error}."))
    return found, problems


class _Environment(EnvSettingsSource):
    """Lists may be written `a,b` besides JSON; what is neither is judged with all the other values."""

    def decode_complex_value(self, field_name: str, field: Any, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


# With the scalars of YAML 1.2: `0123` and `12:30` are text, `yes` is judged where a boolean is expected.
# PyYAML has its fast reader only where it was built with libyaml.
_Loader: Any = type(
    "_Loader", (getattr(yaml, "CSafeLoader", yaml.SafeLoader),), {"yaml_implicit_resolvers": {}}
)
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"0|-?[1-9][0-9]*", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+]?[0-9]+)?|-?\.inf|\.nan", "-0123456789."),
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^$"), [""])


def _given_twice(node: yaml.Node, path: Path) -> Iterator[Problem]:
    pending: list[tuple[yaml.Node, Path]] = [(node, path)]
    visited: set[int] = set()
    while pending:
        node, path = pending.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            pending += [(item, (*path, index)) for index, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                name, line = str(key.value), key.start_mark.line + 1
                if name in lines and name != "<<":
                    yield Problem((*path, name), f"stands here twice; first on line {lines[name]}", line)
                lines.setdefault(name, line)
                pending.append((value, (*path, name)))


def _no_yaml(error: yaml.MarkedYAMLError, text: str) -> Problem:
    # Not the error's own text: it quotes the line, which may hold a password.
    mark = error.problem_mark or error.context_mark
    place = f"column {mark.column + 1}: " if mark else ""
    said = " ".join(part for part in (error.context, error.problem) if part)
    lines = text.splitlines()
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    hint = "; indent with spaces, not with tabs" if "\t" in line[: len(line) - len(line.lstrip())] else ""
    return Problem((), f"This is no YAML, {place}{said}{hint}.", mark.line + 1 if mark else None)


def _step(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    if isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):  # Merged keys come first, and lose.
            if str(key.value) == str(step):
                return key, value
    return None


def _without_empty_keys(data: Any) -> Any:
    """A key without a value is as if it were not there; keys are text."""
    if isinstance(data, dict):
        return {str(key): _without_empty_keys(value) for key, value in data.items() if value is not None}
    if isinstance(data, list):
        return [_without_empty_keys(item) for item in data]
    return data
