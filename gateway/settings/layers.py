"""A station's own settings over `defaults`, over shared `csms` entries; each value keeps its origin."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

from gateway.mqtt.topics import N_MAX
from gateway.settings.csms import shorthand
from gateway.settings.problems import Path, Problem, similar
from gateway.settings.profiles import own_profile
from gateway.settings.sources import PREFIX, Tree
from gateway.settings.variables import canonical

MOST_OF_A_PATTERN = 100_000

_READ_FILES = ("password_file", "ca_file", "client_cert_file", "client_key_file")
_INSTEAD = {"password": "password_file", "password_file": "password"}
_NUMBER = re.compile(r"\{n(?::0?(\d{1,2}))?\}")


class Layers:
    """The whole configuration as plain data, before anything of it is judged."""

    def __init__(self, tree: Tree) -> None:
        """`tree` is what the YAML file says; it is not changed."""
        self.tree = tree
        self.problems: list[Problem] = []
        self.origins: list[Path] = []
        """For each station of `merged` where it stands in the tree."""
        self._variables: dict[Path, str] = {}

    def lay(self, over: Tree) -> None:
        """Put what the environment says over the tree."""
        self.tree = self._over(self.tree, over, (), ())

    def lay_secret(self, path: Path, secret: str, file: FilePath) -> None:
        """Put one secret over the tree, in place of what stands there or in its `password_file`."""
        over: Any = secret
        for step in reversed(path):
            over = {str(step): over}
        before = dict(self._variables)
        self.lay(over)
        self._variables = before | dict.fromkeys(
            self._variables.keys() - before.keys(), f"secret file {file}"
        )

    def add_stations(self, added: Sequence[Mapping[str, Any]]) -> None:
        """Put stations below those of the tree, by the template of `gateway`; the tree's own of a name wins."""
        template = _mapping(_mapping(self.tree.get("gateway")).get("station_template"))
        known = {name.casefold() for name in self._station_names()}
        own = [{**template, **one} for one in added if one["name"].casefold() not in known]
        stations = self.tree.get("stations", [])
        if isinstance(stations, list):
            self.tree = self.tree | {"stations": [*stations, *own]}
        elif isinstance(stations, dict):
            named = {one.pop("name"): one for one in own}
            self.tree = self.tree | {"stations": {**stations, **named}}

    def secret_names(self) -> dict[str, Path]:
        """The names that secret files may have, in lower case, and what each is the password of."""
        paths: list[Path] = [("mqtt", "password"), ("defaults", "csms", "password")]
        paths += [("csms", name, "password") for name in _mapping(self.tree.get("csms"))]
        paths += [("stations", name, "csms", "password") for name in self._station_names()]
        named = {}
        for path in paths:
            named["_".join(map(str, path)).casefold()] = path
            named["__".join(map(str, path)).casefold()] = path
        return named

    def merged(self) -> Tree:
        """The tree as `Settings` takes it: `stations` a list, each complete."""
        tree = {key: value for key, value in self.tree.items() if key != "stations"}
        if isinstance(tree.get("defaults"), dict):
            tree["defaults"] = self._complete(tree["defaults"], ("defaults",))
        stations = []
        for path, own in self._stations():
            self.origins.append(path)
            stations.append(self._station(own, path) if isinstance(own, dict) else own)
        self._check_names(stations)
        return tree | {"stations": stations}

    def origin(self, path: Path) -> Path:
        """Where in the tree the value at a path of `merged` came from."""
        if path[:1] != ("stations",) or len(path) < 2:
            return path
        own, rest = self.origins[int(path[1])], path[2:]
        places = [
            (own, rest),
            (own, _as_default(rest)),
            (("defaults",), rest),
            (("defaults",), _as_default(rest)),
        ]
        if rest[:1] == ("csms",):
            for start in (own, ("defaults",)):
                section = shorthand(_mapping(_at(self.tree, start)).get("csms"))
                name = section.get("endpoint") if isinstance(section, dict) else None
                places.append((("csms", str(name)), rest[1:]))
        for start, below in places:
            if below and _exists(self.tree, (*start, *below)):
                return (*start, *below)
        return (*own, *rest)

    def variable(self, path: Path) -> str | None:
        """The environment variable or secret file that the value at a path of the tree came from."""
        return self._variables.get(path)

    # -------------------------------------------------------------- environment

    def _over(self, base: Any, over: Any, path: Path, named: Path) -> Any:
        if not isinstance(over, dict):
            self._variables[path] = f"environment variable {PREFIX}{'__'.join(map(str, named)).upper()}"
            return over
        if path == ("stations",) and isinstance(base, list):
            return self._over_list(base, over)
        base = shorthand(base) if path and path[-1] == "csms" else base
        laid: Tree = dict(base) if isinstance(base, dict) else {}
        spelt = {_folded(key): key for key in laid}
        for key, value in over.items():
            here: str = spelt.get(_folded(key)) or key
            if here in _INSTEAD:
                laid.pop(_INSTEAD[here], None)
            laid[here] = self._over(laid.get(here), value, (*path, here), (*named, key))
        return laid

    def _over_list(self, base: list[Any], over: Tree) -> list[Any]:
        laid = list(base)
        places = {_folded(str(_mapping(station).get("name"))): index for index, station in enumerate(base)}
        places |= {str(index): index for index in range(len(base))}
        for key, value in over.items():
            index = places.get(_folded(key))
            if index is None:
                name = f"{PREFIX}STATIONS__{key.upper()}"
                self.problems.append(
                    Problem((), "the file has no such station", variable=f"environment variable {name}…")
                )
                continue
            laid[index] = self._over(laid[index], value, ("stations", index), ("stations", key))
        return laid

    # -------------------------------------------------------------- stations

    def _station_names(self) -> Iterator[str]:
        stations = self.tree.get("stations")
        if isinstance(stations, dict):
            yield from stations
        elif isinstance(stations, list):
            yield from (
                str(name) for station in stations if (name := _mapping(station).get("name")) is not None
            )

    def _stations(self) -> Iterator[tuple[Path, Any]]:
        """(where it stands, what it says), patterns written out."""
        stations = self.tree.get("stations", [])
        if isinstance(stations, dict):
            for name, own in stations.items():
                if isinstance(own, dict) and "name" in own:
                    self.problems.append(
                        Problem(("stations", name, "name"), "stands here already as the key; remove it")
                    )
                given = {} if own is None else own
                yield from self._written_out(
                    ("stations", name), {**given, "name": name} if isinstance(given, dict) else own
                )
        elif isinstance(stations, list):
            for index, own in enumerate(stations):
                yield from self._written_out(("stations", index), own)
        else:
            self.problems.append(
                Problem(("stations",), "must be a list of stations, or a mapping of names and stations")
            )

    def _written_out(self, path: Path, own: Any) -> Iterator[tuple[Path, Any]]:
        if not isinstance(own, dict) or "count" not in own:
            yield path, own
            return
        count = own["count"]
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MOST_OF_A_PATTERN:
            self.problems.append(
                Problem((*path, "count"), f"must be a whole number from 1 to {MOST_OF_A_PATTERN}")
            )
            return
        if count > 1 and not _NUMBER.search(str(own.get("name"))):
            self.problems.append(
                Problem((*path, "name"), "needs {n} in it, so that each station has a name of its own")
            )
            return
        pattern = {key: value for key, value in own.items() if key != "count"}
        for n in range(1, count + 1):
            yield path, _numbered(pattern, n)

    def _station(self, own: Tree, path: Path) -> Tree:
        defaults = dict(_mapping(self.tree.get("defaults")))
        own = dict(own)
        if "connectors" in own or "evses" in own:
            defaults.pop("connectors", None)
            defaults.pop("evses", None)
        csms = _merged(self._csms(defaults, ("defaults",)), self._csms(own, path))
        given = {canonical(name) for name in _mapping(own.get("variables"))}
        if isinstance(defaults.get("variables"), dict):
            defaults["variables"] = {
                name: value for name, value in defaults["variables"].items() if canonical(name) not in given
            }
        defaults.pop("csms", None)
        own.pop("csms", None)
        return self._complete(_merged(defaults, own) | ({"csms": csms} if csms != {} else {}), path)

    def _csms(self, station: Tree, path: Path) -> Any:
        """A station's section with the shared entry that it names below it."""
        section = shorthand(station.get("csms", {}))
        if not isinstance(section, dict) or "endpoint" not in section:
            return section
        shared, name = _mapping(self.tree.get("csms")), str(section["endpoint"])
        entry = shared.get(name)
        if not isinstance(entry, dict):
            near = similar(name, shared)
            problem = Problem(
                (*path, "csms", "endpoint"), f'"{name}" is no entry of the top-level csms{near}'
            )
            if problem not in self.problems:
                self.problems.append(problem)
            return section
        return _merged(shorthand(entry), section)

    def _complete(self, station: Tree, path: Path) -> Tree:
        """Shorthands written out: a number of connectors, and what holds for each of them."""
        station = dict(station)
        if "csms" in station:
            station["csms"] = shorthand(station["csms"])
        each = station.get("connector", {})
        if (
            "connector" in station
            and "connectors" not in station
            and "evses" not in station
            and path != ("defaults",)
        ):
            station["connectors"] = 1
        if "connectors" in station:
            station["connectors"] = self._connectors(station["connectors"], each, (*path, "connectors"))
        if isinstance(station.get("evses"), list):
            station["evses"] = [
                evse
                | {
                    "connectors": self._connectors(
                        evse.get("connectors", 1), each, (*path, "evses", i, "connectors")
                    )
                }
                if isinstance(evse, dict)
                else {"connectors": self._connectors(1, each, path)}
                if evse is None
                else evse
                for i, evse in enumerate(station["evses"])
            ]
        return station

    def _connectors(self, given: Any, each: Any, path: Path) -> Any:
        if isinstance(given, str) and given.isdecimal():
            given = int(given)
        if isinstance(given, int) and not isinstance(given, bool):
            if not 1 <= given <= N_MAX:
                problem = Problem(
                    self._own(path), f"{given} is not a number of connectors; allowed: 1 to {N_MAX}"
                )
                self.problems += [] if problem in self.problems else [problem]
                given = 1
            given = [{}] * given
        if isinstance(given, list) and isinstance(each, dict):
            return [_merged(each, {} if one is None else one) for one in given]
        return given

    def _own(self, path: Path) -> Path:
        return path if _exists(self.tree, path) else ("defaults", *path[2:])

    def _check_names(self, stations: list[Any]) -> None:
        """Names are unique without regard to case, since a broker's user or a file system may not see it."""
        seen: set[str] = set()
        for path, station in zip(self.origins, stations, strict=True):
            name = str(_mapping(station).get("name", ""))
            if name and name.casefold() in seen:
                self.problems.append(
                    Problem(
                        (*path, "name"), f'"{name}" is the name of another station too; case does not count'
                    )
                )
            seen.add(name.casefold())


def at_base(tree: Any, base: FilePath) -> Any:
    """Files that are read are found from where the configuration lies."""
    if isinstance(tree, dict):
        return {
            key: str(base / value)
            if key in _READ_FILES and isinstance(value, str)
            else own_profile(value, base)
            if key == "profile" and isinstance(value, str)
            else at_base(value, base)
            for key, value in tree.items()
        }
    if isinstance(tree, list):
        return [at_base(item, base) for item in tree]
    return tree


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _merged(base: Any, own: Any) -> Any:
    """What `own` says, and of `base` what it does not; lists are taken whole."""
    if not isinstance(base, dict) or not isinstance(own, dict):
        return own
    instead = {_INSTEAD[key] for key in own if key in _INSTEAD}
    merged = {key: value for key, value in base.items() if key not in instead}
    for key, value in own.items():
        merged[key] = _merged(merged[key], value) if key in merged else value
    return merged


def _numbered(value: Any, n: int) -> Any:
    if isinstance(value, str):
        return _NUMBER.sub(lambda found: str(n).zfill(int(found[1] or 0)), value)
    if isinstance(value, dict):
        return {key: _numbered(item, n) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbered(item, n) for item in value]
    return value


def _as_default(path: Path) -> Path:
    """`connectors[0].type` and `evses[0].connectors[0].type` as `connector.type`."""
    match path:
        case ("connectors", int(), *rest) | ("evses", int(), "connectors", int(), *rest):
            return ("connector", *rest)
        case _:
            return ()


def _at(tree: Any, path: Path) -> Any:
    for step in path:
        in_list = isinstance(tree, list) and isinstance(step, int) and step < len(tree)
        if not in_list and not (isinstance(tree, dict) and step in tree):
            return None
        tree = tree[step]
    return tree


def _exists(tree: Any, path: Path) -> bool:
    above = _at(tree, path[:-1])
    if isinstance(above, str):
        above = shorthand(above)  # A URL or a name in place of the section.
    return _at(above, path[-1:]) is not None


def _folded(key: str) -> str:
    return key.replace("-", "_").casefold()
