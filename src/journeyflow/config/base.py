"""What sections of a configuration are made of: strict YAML with places, problems, base class and types."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ModelWrapValidatorHandler,
    PlainSerializer,
    SerializationInfo,
    StrictStr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from journeyflow.errors import ConfigError
from journeyflow.utils.formatting import numbered

Loc = tuple[str | int, ...]
"""A place in a document: the keys and indexes of its path."""

MAX_BYTES = 1_048_576
MAX_DEPTH = 40
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?([eE][-+]?[0-9]{1,2})?")
_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "true": True, "false": False}
_WORDS |= {word.capitalize(): value for word, value in _WORDS.items()} | {
    word.upper(): value for word, value in _WORDS.items()
}


_SYNTAX = {
    "quoted scalar": "a quote opens here and is not closed",
    "flow": "a bracket or comma is missing here or before",
    "simple key": "a colon and a space are missing after the key here or just before",
    "block": "the indentation of this line fits none above it; indent with spaces, the same for all keys of a section",
    "": "look at the indentation, quotes, brackets and colons of this line and the one before",
}
"""What to look at, by a part of what the parser was doing."""


@dataclass(frozen=True)
class Mistake:
    """A violation of strict YAML; after one that `is_end` nothing was read."""

    code: str
    message: str
    line: int | None
    loc: Loc = ()
    is_end: bool = True


@dataclass
class Document:
    """Parsed YAML: nested dicts, lists and scalars, with the 1-based line of each place.

    When there are mistakes, `content` is what could be read beside them.
    """

    content: Any = None
    lines: dict[Loc, int] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def line(self, loc: Loc) -> int | None:
        """Return the line of a place, or of its nearest parent."""
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc)


def read_yaml(data: bytes, *, is_fast: bool = False) -> Document:
    """Return a UTF-8 YAML 1.2 text as values; it never raises for invalid text, but lists `mistakes`.

    Dates, times and numbers with leading zeros are texts, and so are keys and ``NO``. `is_fast` parses with libyaml,
    ten times as fast, for packaged texts in which YAML 1.1 and 1.2 do not differ. A text that libyaml refuses is
    parsed again without it, for the plainer messages.
    """
    if len(data) > MAX_BYTES:
        return Document(mistakes=[Mistake("yaml_size", f"is larger than {MAX_BYTES} bytes", None)])
    builder = _Builder()
    try:
        for event in YAML(typ="safe", pure=not is_fast).parse(data.decode("utf-8-sig")):
            builder.take(event)
    except UnicodeDecodeError:
        builder.wrong("yaml_encoding", "is not UTF-8", None)
    except _Stop:
        pass
    except MarkedYAMLError as error:
        mark = error.context_mark if "scalar" in (error.context or "") else error.problem_mark
        what = next((words for part, words in _SYNTAX.items() if part in (error.context or "")), _SYNTAX[""])
        builder.wrong("yaml_syntax", f"is not YAML: {what}", mark.line + 1 if mark else None)
    except ReaderError as error:
        line = data.decode("utf-8-sig").count("\n", 0, error.position) + 1
        builder.wrong("yaml_syntax", "holds a character that YAML does not allow", line)
    except YAMLError:
        builder.wrong("yaml_syntax", "is not YAML", None)
    return read_yaml(data) if is_fast and builder.document.mistakes else builder.document


class _Stop(Exception):
    """The rest of the text cannot be read."""


@dataclass
class _Open:
    """A mapping or list that is being read; `key` is the key without a value yet."""

    content: Any
    loc: Loc
    key: Any = None


class _Builder:
    """Builds values from parser events with an explicit stack, so that depth needs no recursion."""

    def __init__(self) -> None:
        self.document = Document()
        self.stack: list[_Open] = []
        self.document_count = 0

    def wrong(self, code: str, message: str, line: int | None, loc: Loc = ()) -> None:
        self.document.mistakes.append(Mistake(code, message, line, loc))

    def take(self, event: Event) -> None:
        line = event.start_mark.line + 1 if getattr(event, "start_mark", None) else None
        if isinstance(event, DocumentStartEvent):
            self.document_count += 1
            if self.document_count > 1:
                self._stop("yaml_documents", "holds more than one document", line)
        elif isinstance(event, AliasEvent):
            self._stop("yaml_alias", "uses an alias (*), which is refused; write the value out", line)
        elif isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent):
            self._node(event, line)
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self.stack.pop()

    def _node(self, event: ScalarEvent | MappingStartEvent | SequenceStartEvent, line: int | None) -> None:
        if event.anchor:
            self._stop("yaml_anchor", "uses an anchor (&), which is refused; write the value out", line)
        if event.tag and not (isinstance(event, ScalarEvent) and event.tag == "!"):
            self._stop("yaml_tag", "uses a tag (!), which is refused", line)
        if len(self.stack) >= MAX_DEPTH:
            self._stop("yaml_depth", f"is nested deeper than {MAX_DEPTH} levels", line)
        if isinstance(event, ScalarEvent):
            self._scalar(event, line)
        else:
            content: Any = {} if isinstance(event, MappingStartEvent) else []
            self.stack.append(_Open(content, self._place(content, line)))

    def _scalar(self, event: ScalarEvent, line: int | None) -> None:
        top = self.stack[-1] if self.stack else None
        if top and isinstance(top.content, dict) and top.key is None:
            self._key(top, event.value, line)
        else:
            self._place(event.value if event.style else _plain_value(event.value), line)

    def _key(self, top: _Open, key: str, line: int | None) -> None:
        loc = (*top.loc, key)
        if key in top.content:
            first = self.document.lines.get(loc)
            message = f"appears twice (first on line {first}); keep one"
            self.document.mistakes.append(Mistake("yaml_duplicate_key", message, line, loc, is_end=False))
        top.key = key
        self.document.lines.setdefault(loc, line or 1)

    def _place(self, value: object, line: int | None) -> Loc:
        if not self.stack:
            self.document.content = value
            return ()
        top = self.stack[-1]
        if isinstance(top.content, list):
            loc = (*top.loc, len(top.content))
            self.document.lines[loc] = line or 1
            top.content.append(value)
            return loc
        if top.key is None:
            self._stop("yaml_key", "has a key that is not a text", line)
        loc = (*top.loc, top.key)
        top.content[top.key] = value
        top.key = None
        return loc

    def _stop(self, code: str, message: str, line: int | None) -> None:
        self.wrong(code, message, line)
        raise _Stop


def _plain_value(text: str) -> str | int | float | bool | None:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


Severity = Literal["error", "warning"]
"""An error stops a run, a warning does not."""


@dataclass(frozen=True)
class Problem:
    """An error or warning in a configuration.

    Parameters
    ----------
    severity : str
        ``error`` stops a run, ``warning`` does not.
    code : str
        Stable name of the rule.
    file : str
        Path of the file as it was given.
    line : int or None
        1-based line of the key or item.
    path : str
        YAML path, such as ``funnels.checkout.steps[1].when``.
    value : str or None
        The value found, shortened.
    allowed : str or None
        The values allowed.
    nearest : str or None
        The allowed name most similar to the value.
    message : str
        What is wrong, as the end of a sentence.
    """

    severity: Severity
    code: str
    file: str
    line: int | None
    path: str
    value: str | None
    allowed: str | None
    nearest: str | None
    message: str

    def __str__(self) -> str:
        """Return one line: file, line, path, value, message, allowed values, nearest name, code."""
        where = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        place = f"{where}: {self.severity}: {self.path or 'the file'}"
        sentence = f"{place}: {self.value!r} {self.message}" if self.value is not None else f"{place}: {self.message}"
        allowed = f"; allowed: {self.allowed}" if self.allowed else ""
        nearest = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        return f"{sentence}{allowed}{nearest} [{self.code}]"


@dataclass(frozen=True)
class Violation:
    """A violated rule between keys of a valid configuration; `load` makes a `Problem` of it.

    Parameters
    ----------
    message : str
        What is wrong, as the end of a sentence.
    allowed : tuple of str
        The names allowed.
    expected : str or None
        What is allowed, where it is not a list of names.
    looked_in : tuple of str
        Sections that the allowed names come from. While one of them has errors, the violation is ignored.
    """

    code: str
    loc: Loc
    message: str
    value: str | None = None
    allowed: tuple[str, ...] = ()
    expected: str | None = None
    severity: Severity = "error"
    looked_in: tuple[str, ...] = ()


class InvalidConfigError(ConfigError):
    """A configuration with errors; `problems` lists them all, and the warnings."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        errors = [problem for problem in problems if problem.severity == "error"]
        count = numbered(len(errors), "error")
        super().__init__("\n".join([f"The configuration has {count}:", *(f"  {problem}" for problem in errors)]))
        self.problems = tuple(problems)


def nearest_name(value: object, names: Sequence[str]) -> str | None:
    """Return the name most similar to `value`, or one that begins with it; None when there is neither."""
    similar = difflib.get_close_matches(str(value), list(names), n=1, cutoff=0.6)
    longer = [name for name in names if name.startswith(str(value))]
    return next(iter([*similar, *longer]), None)


def path_text(loc: Loc) -> str:
    """Return a place as a YAML path.

    Examples
    --------
    >>> path_text(("funnels", "checkout", "steps", 1, "when"))
    'funnels.checkout.steps[1].when'
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def value_text(value: object) -> str | None:
    """Return a scalar as text of at most 80 characters; None for anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        return None
    text = str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


class Section(BaseModel):
    """A section of the configuration; its attributes are the keys of the YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, use_enum_values=True)

    @model_validator(mode="wrap")
    @classmethod
    def _refuse_unknown_keys(cls, raw: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(raw, dict):
            return handler(raw)
        names = {name for key, info in cls.model_fields.items() for name in (key, info.alias) if name}
        allowed = tuple(info.alias or key for key, info in cls.model_fields.items())
        unknown = [key for key in raw if key not in names]
        if not unknown:
            return handler(raw)
        kind = PydanticCustomError("unknown_key", "is not a key here", {"allowed": allowed})
        errors = [InitErrorDetails(type=kind, loc=(key,), input=key) for key in unknown]
        try:
            handler({key: value for key, value in raw.items() if key in names})
        except ValidationError as error:
            errors += [_init_error(item) for item in error.errors(include_url=False)]
        raise ValidationError.from_exception_data(cls.__name__, errors)


def _init_error(item: ErrorDetails) -> InitErrorDetails:
    """Return a reported error in the form that `ValidationError.from_exception_data` takes."""
    message = item["msg"].replace("{", "{{").replace("}", "}}")
    kind = PydanticCustomError(item["type"], message, {**item.get("ctx", {})} or None)
    return InitErrorDetails(type=kind, loc=item["loc"], input=item["input"])


def _absolute(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return Path(os.path.normpath(folder / path)) if folder else path


def _relative(path: Path, info: SerializationInfo) -> str:
    folder = (info.context or {}).get("folder")
    return Path(os.path.relpath(path, folder)).as_posix() if folder else str(path)


NAME_PATTERN = r"^[^\s/\x00-\x1f\x7f]([^/\x00-\x1f\x7f]{0,98}[^\s/\x00-\x1f\x7f])?$"
Name = Annotated[str, StringConstraints(strict=True, pattern=NAME_PATTERN)]
"""A published name: 1 to 100 printable characters without a slash, because predicates are paths of names."""
Label = Annotated[str, StringConstraints(strict=True, pattern=NAME_PATTERN.replace("/", ""))]
"""What people read in place of a name: 1 to 100 printable characters."""
Text = Annotated[StrictStr, StringConstraints(min_length=1, max_length=2000)]
FilePath = Annotated[Path, AfterValidator(_absolute), PlainSerializer(_relative)]
"""A path or glob, written relative to the folder of the configuration; absolute as a value."""

UNITS = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
UNITS["w"] = 7 * UNITS["d"]
PATTERN = r"^([0-9]{1,9}(us|ms|s|m|h|d|w))+$"
_PART = re.compile(r"([0-9]{1,9})(us|ms|s|m|h|d|w)")
_LONGEST = timedelta(days=36_500)


def parse_duration(value: object) -> timedelta:
    """Return the duration of a text: whole numbers, each with a unit of ``us ms s m h d w``.

    A bare number is refused, because its unit would be a guess.

    Examples
    --------
    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not re.fullmatch(PATTERN, value):
        raise PydanticCustomError(
            "duration",
            "is not a duration",
            {"allowed": "whole numbers with a unit (us, ms, s, m, h, d, w), such as 30m"},
        )
    duration = timedelta(microseconds=sum(int(number) * UNITS[unit] for number, unit in _PART.findall(value)))
    if duration > _LONGEST:
        raise PydanticCustomError("duration", "is longer than a hundred years", {"allowed": "at most 36500d"})
    return duration


def format_duration(value: timedelta) -> str:
    """Return a duration in its largest whole units, the inverse of `parse_duration`.

    Examples
    --------
    >>> format_duration(timedelta(minutes=90))
    '1h30m'
    """
    rest, parts = microseconds(value), []
    for unit in ("d", "h", "m", "s", "ms", "us"):
        count, rest = divmod(rest, UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def microseconds(value: timedelta) -> int:
    """Return the whole microseconds of a duration."""
    return value // timedelta(microseconds=1)


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise PydanticCustomError("duration_zero", "must be longer than zero", {"allowed": "a duration above 0s"})
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration),
    WithJsonSchema({"type": "string", "pattern": PATTERN, "examples": ["30m", "7d"]}),
]
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
