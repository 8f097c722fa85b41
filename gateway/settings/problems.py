"""Everything that is wrong is said at once: place, value unless it is a secret, and what is allowed."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

Path = tuple[str | int, ...]

_MOST_SHOWN = 50
_LONGEST_VALUE = 80


class Problem(NamedTuple):
    """One thing that is wrong."""

    path: Path
    sentence: str
    """What follows the path: `"x" is not …; allowed: …`."""
    line: int | None = None
    """In the YAML file, from 1."""
    variable: str | None = None
    """The environment variable or secret file that the value came from."""

    def __str__(self) -> str:
        """As an operator reads it."""
        origin = self.variable or (f"line {self.line}" if self.line else "")
        place = f"{dotted(self.path)} ({origin})" if self.path and origin else dotted(self.path) or origin
        return f"{place}: {self.sentence}" if place else self.sentence


class SettingsError(Exception):
    """The configuration cannot be used."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        """`source` is the file, as a person knows it."""
        super().__init__(source, problems)
        self.source = source
        self.problems = tuple(problems)

    def __str__(self) -> str:
        """All problems, a line each; of thousands the first fifty."""
        count = len(self.problems)
        lines = [f"{self.source} cannot be used, {count} problem{'s' if count > 1 else ''}:"]
        lines += [f"  {problem}" for problem in self.problems[:_MOST_SHOWN]]
        if count > _MOST_SHOWN:
            lines.append(f"  … and {count - _MOST_SHOWN} more")
        return "\n".join(lines)


def dotted(path: Path) -> str:
    """`stations[1].connectors[0].type`; a key that has a dot itself stands in brackets too."""
    plain = (isinstance(step, str) and "." not in step for step in path)
    text = "".join(f".{step}" if key else f"[{step}]" for step, key in zip(path, plain, strict=True))
    return text.removeprefix(".")


def similar(word: str, words: Iterable[str]) -> str:
    """`; did you mean …?` where one of the words is near, else nothing."""
    spelt = {known.casefold(): known for known in words}
    close = difflib.get_close_matches(word.casefold(), spelt, n=2, cutoff=0.6)
    close = close or [known for known in spelt if len(word) > 3 and word.casefold() in known][:2]
    return "; did you mean {}?".format(" or ".join(f'"{spelt[known]}"' for known in close)) if close else ""


def translated(error: ValidationError, root: type[BaseModel], at: Path = ()) -> Iterator[tuple[Path, str]]:
    """The findings of pydantic as (path below the root, sentence)."""
    found = error.errors(include_url=False)
    around = {details["loc"][:length] for details in found for length in range(len(details["loc"]))}
    for details in found:
        if details["type"] == "too_short" and details["loc"] in around:
            continue  # Entries that are wrong do not count; each was told of.
        path = at + tuple(step for step in details["loc"] if step != "[key]")
        if details["type"] == "findings":
            for finding in details["ctx"]["findings"]:
                place = path + finding.path
                told = not finding.hidden and _may_show(place, root)
                shown = _shown(_value(details["input"], finding.path)) if told else ""
                yield place, _sentence(shown, finding.sentence)
        else:
            yield path, _translated(details, path, root)


def fields(root: type[BaseModel], path: Path) -> Mapping[str, Any]:
    """The fields that may stand at a path, by name; empty where there is no section."""
    annotation: Any = root
    for step in path:
        annotation = _below(annotation, step)
    found = _model(annotation)
    return found.model_fields if found is not None else {}


def _translated(details: ErrorDetails, path: Path, root: type[BaseModel]) -> str:
    context = details.get("ctx", {})
    kind = details["type"]
    shown = _shown(details["input"]) if _may_show(path, root) else ""
    match kind:
        case "extra_forbidden":
            known = fields(root, path[:-1])
            near = similar(str(path[-1]), known)
            return f"is no key that is known here{near or _choice(known)}"
        case "missing":
            return "is missing"
        case "literal_error" | "enum":
            words = re.findall(r"'([^']*)'", context["expected"]) or re.split(r", | or ", context["expected"])
            near = similar(str(details["input"]), words) if isinstance(details["input"], str) else ""
            return _sentence(
                shown, f"is not allowed{near}{_choice(words)}".replace("?; allowed", "? Allowed")
            )
        case "value_error":
            return _sentence(shown, str(context["error"]).rstrip("."))
        case "too_long" if isinstance(details["input"], str | int):
            return _sentence(shown, _SENTENCES["string_too_long"](context))
        case _ if kind in _SENTENCES:
            return _sentence(shown, _SENTENCES[kind](context))
        case _:
            return _sentence(shown, f"does not fit: {details['msg']}")


_SENTENCES: dict[str, Callable[[dict[str, Any]], str]] = {
    "string_type": lambda _: 'is no text; write it in quotes, as in "1.10"',
    "int_type": lambda _: "is no whole number",
    "int_parsing": lambda _: "is no whole number",
    "int_from_float": lambda _: "is no whole number",
    "float_type": lambda _: "is no number",
    "float_parsing": lambda _: "is no number",
    "finite_number": lambda _: "is no number",
    "bool_type": lambda _: "is neither true nor false",
    "bool_parsing": lambda _: "is neither true nor false",
    "list_type": lambda _: "must be a list",
    "tuple_type": lambda _: "must be a list",
    "frozen_set_type": lambda _: "must be a list",
    "dict_type": lambda _: "must be a mapping of keys and values",
    "model_type": lambda _: "must be a mapping of keys and values",
    "model_attributes_type": lambda _: "must be a mapping of keys and values",
    "path_type": lambda _: "is no path of a file",
    "greater_than": lambda context: f"is too low; it must be above {context['gt']:g}",
    "greater_than_equal": lambda context: f"is too low; the least is {context['ge']:g}",
    "less_than_equal": lambda context: f"is too high; the most is {context['le']:g}",
    "too_short": lambda _: "is empty; at least one entry is needed",
    "too_long": lambda context: f"has too many entries; {context['max_length']} are allowed",
    "string_too_short": lambda _: "is empty",
    "string_too_long": lambda context: f"is too long; {context['max_length']} characters are allowed",
}


def _sentence(shown: str, sentence: str) -> str:
    return f"{shown} {sentence}" if shown else sentence


def _choice(words: Iterable[str]) -> str:
    listed = ", ".join(words)
    return f"; allowed: {listed}" if listed else ""


def _shown(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case str():
            text = _without_password(value)
            return f'"{text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "…"}"'
        case _:
            return ""


def _without_password(text: str) -> str:
    try:
        parts = urlsplit(text)
    except ValueError:
        return "…"
    if "@" not in parts.netloc:
        return text
    return urlunsplit(parts._replace(netloc="***@" + parts.netloc.rpartition("@")[2]))


def _value(data: Any, path: Path) -> Any:
    """What stands below an input of pydantic."""
    for step in path:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _may_show(path: Path, root: type[BaseModel]) -> bool:
    """Whether the value there is no secret. What no field has a name for might be one."""
    annotation: Any = root
    for step in path:
        annotation = _below(annotation, step)
    return annotation is not None and SecretStr not in _inside(annotation) and path[-1:] != ("token",)


def _below(annotation: Any, step: str | int) -> Any:
    for part in _inside(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            field = part.model_fields.get(str(step))
            return (
                None
                if field is None
                else Annotated[field.annotation, *field.metadata]
                if field.metadata
                else field.annotation
            )
        if get_origin(part) in (list, tuple, frozenset):
            return get_args(part)[0]
        if get_origin(part) is dict:
            return get_args(part)[1]
    return None


def _inside(annotation: Any) -> list[Any]:
    """The annotation without Annotated, and each member of a union."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _inside(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [part for member in get_args(annotation) for part in _inside(member)]
    return [annotation]


def _model(annotation: Any) -> type[BaseModel] | None:
    for part in _inside(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None
