"""A path leads to one value of a JSON document: `params["switch:0"].apower`, `nrg[11]`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

Path = tuple[str | int, ...]

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_STEP = re.compile(r"""\.?(?:([A-Za-z_{][\w{}-]*)|\[(-?\d+)\]|\["([^"\]]+)"\]|\['([^'\]]+)'\])""")


class Slot(str):
    """A step with placeholders: `switch:{channel}`."""

    __slots__ = ()


def placeholders(pattern: str) -> set[str]:
    """The names in braces."""
    return set(_PLACEHOLDER.findall(pattern))


def filled(pattern: str, parameters: Mapping[str, str]) -> str:
    """What stands in braces replaced by what one device has for it."""
    return _PLACEHOLDER.sub(lambda match: parameters[match[1]], pattern)


def parsed(text: str) -> Path:
    """Take a path apart; a leading `$` may stand. Raises ValueError with a sentence."""
    rest = text.removeprefix("$")
    steps: list[str | int] = []
    at = 0
    while at < len(rest):
        step = _STEP.match(rest, at)
        if step is None or (at == 0 and rest.startswith(".") and rest == text):
            raise ValueError(
                f'is no path at "{rest[at:]}"; write steps such as a.b[0], and keys with other signs as a["b:0"]'
            )
        name, index, *quoted = step.groups()
        key = name or quoted[0] or quoted[1]
        steps.append(int(index) if index is not None else Slot(key) if placeholders(key) else key)
        at = step.end()
    if not steps:
        raise ValueError("is empty; leave the key away for the whole payload")
    return tuple(steps)


def found(document: Any, path: Path, parameters: Mapping[str, str]) -> Any:
    """What stands at a path of one device; UNSET where there is nothing."""
    for pattern in path:
        step = filled(pattern, parameters) if type(pattern) is Slot else pattern
        if isinstance(step, int):
            if not isinstance(document, list) or not -len(document) <= step < len(document):
                return UNSET
            document = document[step]
        elif isinstance(document, dict) and step in document:
            document = document[step]
        else:
            return UNSET
    return document


def overlaid(below: Any, above: Any) -> Any:
    """A partial document over what was known: objects are merged, all else is replaced. Changes neither."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    merged = dict(below)
    for key, value in above.items():
        merged[key] = overlaid(below[key], value) if key in below else value
    return merged
