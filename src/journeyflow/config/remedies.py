"""Section `remedies`: the catalogue of what companies do about a pain and send to an audience."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import StrictBool, TypeAdapter

from journeyflow.config.base import Name, Section, Text
from journeyflow.utils.formatting import label
from journeyflow.utils.yaml import read_yaml

Kind = Literal["incident", "gap", "exposure", "friction", "promise", "loss", "message", "promise_due"]
Lifecycle = Literal["lapsed", "repeat_buyer", "buyer", "engaged", "first_time"]

_WORD = re.compile(r"[^\W_]+")
_BLANK = re.compile(r"\{(subject|stage|place|slice|whose|since)\}")


class Remedy(Section):
    """A suggestion, and where it fits; a condition that is not given always holds."""

    id: Name
    """Name of the entry; an entry of your own replaces the built-in one of the same name."""
    kind: tuple[Kind, ...] = ()
    """Kinds of pain, `loss` where no cause stands out; for audiences `message` or `promise_due`."""
    stage: tuple[Text, ...] = ()
    """Words of the name of the stage or step, or its place: `first`, `middle`, `last`."""
    touchpoint: tuple[Text, ...] = ()
    """Words of what was met, or of the promise."""
    lifecycle: tuple[Lifecycle, ...] = ()
    """Lifecycle of an audience."""
    suggest: Text
    """The suggestion; `{subject}`, `{stage}`, `{place}`, `{slice}`, `{whose}` and `{since}` in it are filled in."""


class Remedies(Section):
    """The catalogue of remedies: suggestions beside opportunities, losses and audiences."""

    builtin: StrictBool = True
    """Whether the built-in entries follow your own."""
    add: tuple[Remedy, ...] = ()
    """Entries of your own, tried first in their order."""

    @property
    def entries(self) -> tuple[Remedy, ...]:
        """Every entry in the order in which they are tried."""
        own = {entry.id for entry in self.add}
        shipped = builtin_remedies() if self.builtin else ()
        return (*self.add, *(entry for entry in shipped if entry.id not in own))


@cache
def builtin_remedies() -> tuple[Remedy, ...]:
    """Return the entries of the built-in catalogue in its order."""
    content = read_yaml((files("journeyflow.config") / "builtin" / "remedies.yml").read_bytes()).content
    return TypeAdapter(tuple[Remedy, ...]).validate_python(content)


def suggestion(
    entries: Sequence[Remedy],
    kind: str,
    stage: str = "",
    stages: Sequence[str] = (),
    subject: str = "",
    lifecycle: str = "",
    blanks: Mapping[str, str] | None = None,
) -> str | None:
    """Return the text of the first entry whose conditions hold, filled in; None where none does.

    `stages` are all stages or steps in their order, for the place of `stage` among them. `blanks` are what is filled
    in beside `stage` and `subject`; nothing of them is read as a blank again.

    Examples
    --------
    >>> suggestion(builtin_remedies(), "promise", subject="Paid back in 3 days")
    'Keep the promise Paid back in 3 days, or promise less; tell those who wait before it is broken.'
    """
    words = {"stage": _words(stage) | _place(stage, stages), "touchpoint": _words(subject)}
    filled = {"subject": subject, "stage": label(stage), "place": label(stage)} | dict(blanks or {})
    for entry in entries:
        if (
            (not entry.kind or kind in entry.kind)
            and (not entry.lifecycle or lifecycle in entry.lifecycle)
            and (not entry.stage or words["stage"] & {word.lower() for word in entry.stage})
            and (not entry.touchpoint or words["touchpoint"] & {word.lower() for word in entry.touchpoint})
        ):
            return _BLANK.sub(lambda found: filled.get(found[1], ""), entry.suggest)
    return None


def _words(name: str) -> set[str]:
    return {name.lower(), *_WORD.findall(name.lower())}


def _place(stage: str, stages: Sequence[str]) -> set[str]:
    if stage not in stages:
        return set()
    position = stages.index(stage)
    return {"first" if position == 0 else "last" if position == len(stages) - 1 else "middle"}
