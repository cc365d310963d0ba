"""Funnels step by step, and the flow between stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from journeyflow.report.figures import Figure, Item


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """One step of a funnel with where people left it from and what they did next.

    Attributes
    ----------
    key, label, index : str, str, int
        The step (in a stage funnel the stage), from 1.
    reached, went_on, dropped, pending : Figure
        Counts; the latter three have the value None on the last step.
    drop_off : Figure
        The matured drop-off rate with its interval.
    median : Figure
        Seconds to the next step, with the 10th and 90th percentile as `low` and `high`.
    at_stake : Figure
        Value at stake: an upper bound, never to be added up over steps.
    last_touchpoints, next_actions : tuple of Item
        Of those who dropped, the most frequent first.
    last_rest_count, next_rest_count : int
        Further rows of the two tables.
    """

    key: str
    label: str
    index: int
    reached: Figure
    went_on: Figure
    dropped: Figure
    pending: Figure
    drop_off: Figure
    median: Figure
    at_stake: Figure
    last_touchpoints: tuple[Item, ...] = ()
    next_actions: tuple[Item, ...] = ()
    last_rest_count: int = 0
    next_rest_count: int = 0


@dataclass(frozen=True, slots=True)
class Funnel:
    """A funnel of one persona and period; `kind` is ``stages`` or ``steps`` (a configured funnel)."""

    key: str
    label: str
    kind: Literal["stages", "steps"]
    persona: str
    period: str
    unit: str
    steps: tuple[FunnelStep, ...]
    is_outcome_based: bool = False


@dataclass(frozen=True, slots=True)
class FlowLink:
    """Stage visits that were followed by another stage, or by the end of the journey.

    Attributes
    ----------
    start, end : str
        Keys of stages; `end` may also be ``exit`` or ``open``, and `start` may be ``entry`` (the journey began there).
    start_label, end_label : str
    count : Figure
        Visits.
    rate : Figure or None
        Share of the from-stage's ended visits.
    median : Figure or None
        Seconds from the visit's begin to the next one's.
    is_backward : bool
        A return to an earlier stage.
    """

    start: str
    end: str
    start_label: str
    end_label: str
    count: Figure
    rate: Figure | None = None
    median: Figure | None = None
    is_backward: bool = False


@dataclass(frozen=True, slots=True)
class Flow:
    """How journeys of one persona went between the stages of a model, over the whole time.

    `links` are every transition that was seen: none is left out, so that the visits of a stage add up.
    """

    model: str
    persona: str
    links: tuple[FlowLink, ...]
