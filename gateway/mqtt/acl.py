"""Who may say and hear what on the broker: one table of roles, printed as mosquitto reads it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

_Access = Literal["read", "write", "readwrite"]
_WIDTH = 115


class Foreign(NamedTuple):
    """The topics of devices that do not speak our contract."""

    heard: tuple[str, ...]
    """What the gateway listens to."""
    said: tuple[str, ...]
    """What it tells them."""


class Role(NamedTuple):
    """One account, or many alike."""

    account: str
    title: str
    comment: str
    rights: tuple[tuple[_Access, str], ...]
    """(access, topic filter); `{p}` stands for our prefix, `{ha}` for Home Assistant's."""


_DEVICE: tuple[tuple[_Access, str], ...] = (
    ("write", "{p}/{station}/+/status"),
    ("write", "{p}/{station}/+/meter"),
    ("write", "{p}/{station}/+/availability"),
    ("write", "{p}/{station}/+/availability/+"),
    ("write", "{p}/{station}/0/info"),
    ("write", "{p}/{station}/+/card"),
    ("write", "{p}/{station}/+/report"),
    ("write", "{p}/{station}/+/result"),
    ("write", "{p}/{station}/0/firmware"),
    ("write", "{p}/{station}/0/log"),
    ("read", "{p}/{station}/+/setpoint"),
    ("read", "{p}/{station}/+/command/+"),
)
_HEARTBEAT: tuple[_Access, str] = ("read", "{p}/bridge/state")

_GATEWAY = Role(
    "gateway",
    "The gateway",
    "It hears everything under its prefix, and says what is its own; never a fact or a gesture.",
    (
        ("read", "{p}/#"),
        ("write", "{p}/+/+/setpoint"),
        ("write", "{p}/+/+/command/+"),
        ("write", "{p}/+/+/state"),
        ("write", "{p}/+/+/meter/state"),
        ("write", "{p}/+/+/transaction"),
        ("write", "{p}/+/+/event/+"),
        ("write", "{p}/+/+/authorize/request"),
        ("write", "{p}/+/+/response/#"),
        ("write", "{p}/bridge/state"),
        ("write", "{p}/bridge/info"),
        ("write", "{p}/bridge/health"),
        ("write", "{p}/bridge/event"),
        ("write", "{p}/bridge/marker/+"),
        ("write", "{p}/bridge/response/#"),
        ("readwrite", "{ha}/device/+/config"),
        ("readwrite", "{ha}/+/+/+/config"),
        ("read", "{ha}/status"),
    ),
)

_OTHERS = (
    Role(
        "reader",
        "A card reader that is a device of its own",
        "One account for the readers of all stations. For a reader that serves one station only, copy the section "
        "and write the station's name instead of the first +.",
        (
            ("write", "{p}/+/+/card"),
            ("write", "{p}/+/+/availability/reader"),
            ("read", "{p}/+/+/command/card_result"),
        ),
    ),
    Role(
        "homeassistant",
        "Home Assistant",
        "It sees states, not cards, and asks. Which requests are granted is a setting of the gateway.",
        (
            ("read", "{p}/+/+/availability"),
            ("read", "{p}/+/+/state"),
            ("read", "{p}/+/+/meter/state"),
            ("read", "{p}/+/+/transaction"),
            ("read", "{p}/+/+/event/+"),
            ("read", "{p}/+/+/response/#"),
            ("read", "{p}/bridge/info"),
            ("read", "{p}/bridge/health"),
            ("read", "{p}/bridge/event"),
            ("write", "{p}/+/+/request/start"),
            ("write", "{p}/+/+/request/stop"),
            ("write", "{p}/+/+/request/unlock"),
            ("write", "{p}/+/+/request/limit"),
            ("write", "{p}/+/+/request/operative"),
            ("write", "{p}/+/+/request/reset"),
            ("readwrite", "{ha}/#"),
        ),
    ),
    Role(
        "nodered",
        "Node-RED and other automation",
        "As Home Assistant, and the facts that devices state; any request to a station, none to the gateway itself. It "
        "may be who decides about cards, so it hears of these, in clear, where the gateway asks.",
        (
            ("read", "{p}/+/+/authorize/request"),
            ("write", "{p}/+/+/authorize/response"),
            ("read", "{p}/+/+/status"),
            ("read", "{p}/+/+/meter"),
            ("read", "{p}/+/+/availability"),
            ("read", "{p}/+/+/availability/+"),
            ("read", "{p}/+/0/info"),
            ("read", "{p}/+/+/setpoint"),
            ("read", "{p}/+/+/state"),
            ("read", "{p}/+/+/meter/state"),
            ("read", "{p}/+/+/transaction"),
            ("read", "{p}/+/+/event/+"),
            ("read", "{p}/+/+/response/#"),
            ("read", "{p}/bridge/info"),
            ("read", "{p}/bridge/health"),
            ("read", "{p}/bridge/event"),
            ("read", "{p}/bridge/response/health"),
            ("write", "{p}/+/+/request/+"),
            ("write", "{p}/bridge/request/health"),
        ),
    ),
    Role(
        "admin",
        "The administrator",
        "Everything, in clear, cards included: for a person, not for a program.",
        (("readwrite", "{p}/#"), ("readwrite", "{ha}/#"), ("read", "$SYS/#")),
    ),
)

ROLES = (_GATEWAY, *_OTHERS)


class AccountTaken(ValueError):
    """A station bears the name of an account that is not a device's."""


def file_for_any_station() -> str:
    """The file for all stations there may ever be: a device's account bears the name of its station."""
    comment = (
        "A device says its own facts and gestures, and hears its own setpoints and commands. These lines hold for "
        "every account; one that is no station's name gains nothing by them but the gateway's heartbeat. (Mosquitto "
        "warns at its start that the last line names no account. That is meant: everybody hears the heartbeat.) "
        "Devices with topics of their own, and the gateway's rights on those, stand only in what "
        "`ocpp-gateway acl FILE` prints."
    )
    devices = [
        *_heading("Devices: the account bears the name of the station", comment),
        "",
        *(
            f"pattern {access} {topic}"
            for access, topic in _written((*_DEVICE, _HEARTBEAT), "ocpp", station="%u")
        ),
    ]
    told = "The prefix is `ocpp`; change it here where the gateway's settings change it."
    return _file(told, devices, ROLES, "ocpp", "homeassistant")


def file_for(
    stations: Iterable[str],
    *,
    prefix: str,
    discovery_prefix: str = "homeassistant",
    birth_topic: str | None = None,
    gateway_account: str = "gateway",
    foreign: Mapping[str, Foreign] | None = None,
) -> str:
    """The file for these stations alone, each with an account of its name.

    `birth_topic`: where Home Assistant says that it has started, if not below its prefix. `foreign`: for each
    station the topics of its devices that do not speak our contract. Raises AccountTaken when a
    station's name is that of an account with other rights.
    """
    foreign = foreign or {}
    births = () if birth_topic in {None, f"{discovery_prefix}/status"} else (str(birth_topic),)
    heard = dict.fromkeys(births) | dict.fromkeys(topic for each in foreign.values() for topic in each.heard)
    said = dict.fromkeys(topic for each in foreign.values() for topic in each.said)
    gateway = _GATEWAY._replace(
        account=gateway_account,
        rights=(*_GATEWAY.rights, *_verbatim("read", heard), *_verbatim("write", said)),
    )
    roles = (gateway, *_OTHERS)
    taken = {role.account for role in roles}
    devices = _heading(
        "Devices: the account bears the name of the station",
        "A device says its own facts and gestures, and hears its own setpoints and commands. Everybody hears the "
        "gateway's heartbeat. (Mosquitto warns at its start that this line names no account. That is meant.)",
    )
    devices += ["", *(f"pattern {access} {topic}" for access, topic in _written((_HEARTBEAT,), prefix))]
    for station in stations:
        if station in taken:
            raise AccountTaken(
                f"The station {station!r} bears the name of an account that is not a device's "
                f"({', '.join(sorted(taken))}). Give the station another name, or the gateway another mqtt.username."
            )
        devices += ["", f"user {station}"]
        rights = _DEVICE
        if each := foreign.get(station):
            rights += (*_verbatim("write", each.heard), *_verbatim("read", each.said))
        devices += [f"topic {access} {topic}" for access, topic in _written(rights, prefix, station=station)]
    told = "Printed by `ocpp-gateway acl` for the stations of one configuration; print it anew when that changes."
    return _file(told, devices, roles, prefix, discovery_prefix)


def _file(
    told: str, devices: Sequence[str], roles: Sequence[Role], prefix: str, discovery_prefix: str
) -> str:
    lines = [
        *_comment(f"Who may say and hear what. {told}"),
        "#",
        *_comment(
            "Mosquitto acknowledges what it refuses: a forbidden message or subscription looks like a silent one to "
            "its client."
        ),
        "",
        *devices,
    ]
    for role in roles:
        lines += ["", *_heading(role.title, role.comment), "", f"user {role.account}"]
        lines += [
            f"topic {access} {topic}"
            for access, topic in _written(role.rights, prefix, discovery=discovery_prefix)
        ]
    return "\n".join(lines) + "\n"


def _written(
    rights: Iterable[tuple[_Access, str]], prefix: str, *, station: str = "+", discovery: str = ""
) -> list[tuple[_Access, str]]:
    return [(access, topic.format(p=prefix, station=station, ha=discovery)) for access, topic in rights]


def _verbatim(access: _Access, topics: Iterable[str]) -> tuple[tuple[_Access, str], ...]:
    """Topics that are not ours, whatever characters they have."""
    return tuple((access, topic.replace("{", "{{").replace("}", "}}")) for topic in topics)


def _heading(title: str, comment: str) -> list[str]:
    return [f"# --- {title} ".ljust(_WIDTH, "-"), *_comment(comment)]


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH + 3, initial_indent="# ", subsequent_indent="# ")
