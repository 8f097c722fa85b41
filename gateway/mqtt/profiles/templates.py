"""Jinja2 in a sandbox, compiled once: a profile computes with what a device said, and reaches nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError, meta
from jinja2 import Template as Compiled
from jinja2.sandbox import ImmutableSandboxedEnvironment
from msgspec import UNSET

MOST_CHARACTERS = 65536
_WORDS: dict[str, Any] = {"": UNSET, "None": None, "null": None, "True": True, "False": False}


class TemplateFailed(ValueError):
    """A template could not be rendered with what came; the text says why."""


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _float(value: Any, *default: Any) -> Any:
    """As in Home Assistant: without a default, what is no number fails. A zero that nobody sent is none."""
    try:
        return float(value)
    except (TypeError, ValueError, UndefinedError):
        if default:
            return default[0]
        raise


def _int(value: Any, *default: Any) -> Any:
    """Towards zero; like `float` else."""
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError, UndefinedError):
        if default:
            return default[0]
        raise


_environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, cache_size=0)
_environment.filters["json"] = _json
_environment.filters["float"] = _float
_environment.filters["int"] = _int


class Template:
    """One template."""

    __slots__ = ("_compiled", "names", "source")

    def __init__(self, source: str) -> None:
        """Compile. Raises ValueError with a sentence."""
        self.source = source
        try:
            self.names = frozenset(meta.find_undeclared_variables(_environment.parse(source)))
            """What it wants to know."""
            self._compiled: Compiled = _environment.from_string(source)
        except TemplateSyntaxError as error:
            raise ValueError(f"is no Jinja2 template (its line {error.lineno}): {error.message}") from error

    def text(self, known: dict[str, Any]) -> str:
        """The rendered text, without the space around it. Raises TemplateFailed."""
        try:
            text = self._compiled.render(known).strip()
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise TemplateFailed(f"the template {self.source.strip()[:80]!r} fails: {error}") from error
        if len(text) > MOST_CHARACTERS:
            raise TemplateFailed(f"the template {self.source.strip()[:80]!r} makes {len(text)} characters")
        return text

    def value(self, known: dict[str, Any]) -> Any:
        """The rendered value: JSON where it is some, `True`, `False` and `None` of Jinja2, else text.

        Nothing at all is UNSET: the template has nothing to say. Raises TemplateFailed.
        """
        text = self.word(known)
        if not isinstance(text, str):
            return text
        return json_or_text(text)

    def word(self, known: dict[str, Any]) -> Any:
        """The rendered text as it is, `True`, `False` and `None` of Jinja2 aside; nothing at all is UNSET."""
        text = self.text(known)
        if text in _WORDS:
            return _WORDS[text]
        return text


def json_or_text(text: str) -> Any:
    """What a device meant: JSON where it is some, else the text itself."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return text
