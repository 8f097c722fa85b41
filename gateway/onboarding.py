"""The first configuration from a few answers, and which profile fits what a broker says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from gateway.mqtt.profiles.templates import Template

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.mqtt.profiles.model import Parameter, Profile


class Answers(NamedTuple):
    """What `ocpp-gateway init` has asked, or was told."""

    broker: str
    username: str | None
    csms: str
    version: str
    station: str
    identity: str | None
    connectors: int
    profile: str | None
    base: str | None


_TEMPLATE = """\
# The gateway's configuration. docs/configuration.md explains every key;
# `ocpp-gateway check {{ file }}` judges this file and prints what is in force.

mqtt:
  url: {{ broker | json }}
{%- if username %}
  username: {{ username | json }}
  # The password belongs in a file beside this one, readable by the gateway alone:
  password_file: mqtt.password
{%- else %}
  # username: gateway
  # password_file: mqtt.password
{%- endif %}

stations:
  - name: {{ station | json }}            # on MQTT: ocpp/{{ station }}/1/status …
{%- if identity %}
    identity: {{ identity | json }}        # at the CSMS
{%- endif %}
    csms:
      url: {{ csms | json }}               # the identity is appended
      versions: [{{ version }}]
      # password_file: csms.password         # for Basic authentication (security profiles 1 and 2)
{%- if profile %}
    connectors:
      - device:                              # topics of its own: docs/device-profiles.md
          profile: {{ profile | json }}
{%- if base %}
          base: {{ base | json }}
{%- endif %}
{%- elif connectors > 1 %}
    connectors: {{ connectors }}
{%- endif %}

# http://127.0.0.1:8080/health and /metrics
health:
  port: 8080
"""


def configuration(answers: Answers, file: str) -> str:
    """The text of a configuration file."""
    return Template(_TEMPLATE).text({"file": file, **answers._asdict()}) + "\n"


# ------------------------------------------------------------------ who is there


class Proposal(NamedTuple):
    """A device that a profile may fit."""

    profile: str
    parameters: dict[str, str]
    topics: tuple[str, ...]
    """What was heard of it that the profile reads."""
    of: int
    """How many topics the profile reads."""


def proposals(heard: Iterable[str], profiles: Mapping[str, Profile]) -> list[Proposal]:
    """Which devices these topics are of; of several profiles for one device, the one that reads most of them.

    An example (`plain-topics`) is proposed for nobody: its topics could be anybody's.
    """
    topics = sorted(set(heard))
    found: dict[tuple[str, tuple[tuple[str, str], ...]], dict[str, dict[str, str]]] = {}
    for name, profile in profiles.items():
        optional = {key for key, parameter in profile.parameters.items() if parameter.default is not None}
        for pattern in dict.fromkeys(_pattern(rule.topic, profile.parameters) for rule in profile.rules):
            expression = re.compile(pattern)
            for topic in topics:
                match = expression.fullmatch(topic)
                given = {} if match is None else match.groupdict()
                needed = tuple(sorted((key, value) for key, value in given.items() if key not in optional))
                if needed:
                    chosen = {key: value for key, value in given.items() if key in optional}
                    found.setdefault((name, needed), {})[topic] = chosen
    made = []
    for (name, needed), of in found.items():
        if len(of) >= _least(profiles[name]):
            parameters = {**dict(needed), **_chosen(profiles[name], of.values())}
            rules = len({rule.topic for rule in profiles[name].rules})
            made.append(Proposal(name, parameters, tuple(sorted(of)), rules))
    made.sort(key=lambda one: (-len(one.topics), one.of))
    best: list[Proposal] = []
    taken: set[str] = set()
    for one in made:
        if not taken & set(one.topics):
            best.append(one)
            taken |= set(one.topics)
    return sorted(best, key=lambda one: one.topics[0])


def _chosen(profile: Profile, seen: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """What differs from the defaults, such as the number of a channel: of several the first."""
    chosen: dict[str, str] = {}
    for given in seen:
        for key, value in given.items():
            default = profile.parameters[key].default
            if default is not None and value != default.source:
                chosen.setdefault(key, value)
    return chosen


def _least(profile: Profile) -> int:
    """A single topic proves little, where a profile reads several."""
    return min(2, len({rule.topic for rule in profile.rules}))


def contract_stations(heard: Iterable[str], prefix: str) -> list[str]:
    """Names of stations whose devices speak the gateway's own contract."""
    found = {
        match[1]
        for topic in heard
        if (
            match := re.fullmatch(
                rf"{re.escape(prefix)}/([\w-]{{1,48}})/\d+/(?:status|meter|info|card)", topic
            )
        )
    }
    return sorted(found - {"bridge"})


def _pattern(topic: str, parameters: Mapping[str, Parameter]) -> str:
    """A topic of a profile as an expression: what the configuration would have to say becomes a group."""
    text = topic
    for name, parameter in parameters.items():
        default = parameter.default
        if default is not None and "{{" in default.source:
            plain = re.sub(r"\{\{ *(\w+) *\}\}", r"{\1}", default.source)
            text = text.replace("{" + name + "}", plain)
    parts = re.split(r"(\{\{.*?\}\}|\{\w+\})", text)
    seen: set[str] = set()
    made = []
    for part in parts:
        if part.startswith("{{"):
            made.append("[^/]+")
        elif part.startswith("{"):
            name = part[1:-1]
            constant = name in parameters and parameters[name].default is not None
            what = "[^/]*" if constant else ".+"
            made.append(f"(?P={name})" if name in seen else f"(?P<{name}>{what})")
            seen.add(name)
        else:
            made.append(re.escape(part))
    return "".join(made)
