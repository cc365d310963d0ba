"""What the kernel is asked to do: frozen values, free of configuration files and databases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]

SECOND_US = 1_000_000
MAX_STEPS = 20


@dataclass(frozen=True, eq=False)
class Rule:
    """One rule of a journey model.

    Parameters
    ----------
    rule_index, stage_index : int
        1-based; rules of a model are tried in the order of `rule_index`.
    when : array of bool
        By `kind_ix`: does the stateless condition hold.
    after : array of bool or None
        By `kind_ix`: the events that must have come earlier; None when there is no such demand.
    after_within_us : int or None
        Longest time since the latest of them, inclusive; None is any time.
    nth_at_least, nth_is : int or None
        Demands on the ordinal of the event among the person's events that satisfy `when`.
    """

    rule_index: int
    stage_index: int
    when: Bools
    after: Bools | None = None
    after_within_us: int | None = None
    nth_at_least: int | None = None
    nth_is: int | None = None


@dataclass(frozen=True, eq=False)
class Model:
    """A journey model: `stage_count` stages in order and the rules that find them."""

    name: str
    model_index: int
    stage_count: int
    rules: tuple[Rule, ...]


@dataclass(frozen=True, eq=False)
class Step:
    """A step of a funnel.

    Parameters
    ----------
    when : array of bool, shape (stages + 1 or 1, kinds)
        Does an event of this stage (row; one row when stages are not read) and kind match.
    within_us : int or None
        Longest time from the step before, inclusive.
    """

    when: Bools
    within_us: int | None = None


@dataclass(frozen=True, eq=False)
class Exclusion:
    """An event that closes an attempt between two steps (1-based); `is_void` for `then: person`."""

    from_step: int
    to_step: int
    when: Bools
    is_void: bool = False


@dataclass(frozen=True, eq=False)
class Funnel:
    """A configured funnel; times in microseconds, `entered_*` as a half-open range of UTC microseconds.

    `unit` is `person`, `session`, or the column of a unit property (`unit_1`, …).
    """

    name: str
    funnel_index: int
    steps: tuple[Step, ...]
    window_us: int
    order: Literal["ordered", "strict", "any_order"] = "ordered"
    is_strictly_later: bool = False
    grace_us: int = 0
    unit: str = "person"
    model_index: int = 0
    is_attempts: bool = False
    exclusions: tuple[Exclusion, ...] = ()
    entered_from_us: int | None = None
    entered_to_us: int | None = None


@dataclass(frozen=True, eq=False)
class StageFunnel:
    """The stage funnel of a model."""

    funnel_index: int
    model_index: int
    window_us: int


@dataclass(frozen=True, eq=False)
class Subject:
    """A thing that journeys touch in their stages.

    Parameters
    ----------
    subject_ix : int
        From 1, as in `journeys.touch_subjects`.
    when : array of bool
        By `kind_ix`: does an event of the kind touch it.
    is_loose : bool
        Does an unclassified event touch it too, in the stage of the visit in progress.
    has_waits : bool
        Are the waits after it told.
    return_stage : int
        For returns, the stage that is returned to; else 0.
    is_of_people, is_of_passes : bool
        Is it told of the journeys of the map, of the passes through stages.
    """

    subject_ix: int
    when: Bools
    is_loose: bool = False
    has_waits: bool = False
    return_stage: int = 0
    is_of_people: bool = True
    is_of_passes: bool = True


@dataclass(frozen=True, eq=False)
class KernelPlan:
    """Everything one pass of the kernel needs beside the events.

    Parameters
    ----------
    kind_count : int
        Kinds are numbered below it; the arrays of conditions have this length.
    session_timeout_us, session_max_us, journey_timeout_us : int
        A gap above a timeout starts the next session or journey; a session lasts at most `session_max_us`.
    high_water_us : int
        The time up to which events are known.
    day_start_us, day_date : array
        Starts (UTC) of the local days over the data's range, ascending, and their dates as days since 1970.
    purchase, counted : array of bool; dict of arrays
        By `kind_ix`: purchases; and for each event name that a persona counts, its kinds.
    """

    kind_count: int
    session_timeout_us: int
    session_max_us: int
    journey_timeout_us: int
    high_water_us: int
    day_start_us: Int64s
    day_date: Int32s
    models: tuple[Model, ...] = ()
    funnels: tuple[Funnel, ...] = ()
    stage_funnels: tuple[StageFunnel, ...] = ()
    purchase: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    counted: dict[str, Bools] = field(default_factory=dict)
    subjects: tuple[Subject, ...] = ()

    @property
    def kind_room(self) -> int:
        """How many kinds labels have room for."""
        return kind_room(self.kind_count)

    def model(self, model_index: int) -> Model:
        """Return the model with that 1-based index."""
        return next(model for model in self.models if model.model_index == model_index)


def kind_room(kind_count: int) -> int:
    """Return how many kinds labels have room for in a run of `kind_count` kinds: a few new kinds change no label.

    Examples
    --------
    >>> kind_room(3), kind_room(1023), kind_room(1024)
    (1024, 2048, 4096)
    """
    return int(max(1024, 1 << (kind_count.bit_length() + 1)))
