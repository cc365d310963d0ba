"""Figures and the entries that they stand in: the smallest parts of a map."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from journeyflow.report.sources import Source

Evidence = Literal["observed", "inferred", "supplied", "unknown"]
"""How a cell is known: counted, concluded by a method, told by a person in the configuration, or not at all."""
Unit = Literal[
    "people", "visits", "events", "answers", "cases", "items", "rate", "ratio", "seconds", "sentiment", "score",
    "amount", "probability", "instant",
]  # fmt: skip
"""What a value counts or measures. `rate` is a fraction to be shown as a percentage; `instant` is naive UTC."""
Value = int | float | Decimal | datetime | None


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with what is needed to trust it.

    Attributes
    ----------
    label : str
        What it is, in two or three words: ``reached``, ``lift``.
    value, low, high : int, float, Decimal, datetime or None
        The number and its range; a value of None is unknown or suppressed (see `is_small`).
    n : int or None
        What the number is based on: people, answers.
    unit : Unit
        How to read the value.
    evidence : Evidence
        How it is known.
    source : Source
        The row and columns of a published table it was read from; `sql` is the SELECT that returns it.
    currency : str or None
        ISO 4217 code, of amounts.
    is_small : bool
        The base is under `min_count`: read with care, or suppressed.
    range_label : str
        What lies from low to high: mostly the 95 % interval, of a median time the 10th to the 90th percentile.
    """

    label: str
    value: Value
    unit: Unit
    source: Source
    low: Value = None
    high: Value = None
    n: int | None = None
    evidence: Evidence = "observed"
    currency: str | None = None
    is_small: bool = False
    range_label: str = "95 % interval"

    @property
    def key(self) -> str:
        """The column of the value: a name for programs."""
        return self.source.columns[0]

    @property
    def sql(self) -> str:
        """The SELECT over the published tables that returns value, low, high and n; those it has, in that order."""
        return self.source.sql


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a cell: a touchpoint, a quote, a pain point.

    Attributes
    ----------
    text : str
        What it is; empty where the figures say all.
    figures : tuple of Figure
        The most telling first.
    note : str
        A few words beside it: kind and scope of a pain point, the method of a sentiment.
    evidence : Evidence
        How the entry is known.
    """

    text: str
    figures: tuple[Figure, ...] = ()
    note: str = ""
    evidence: Evidence = "observed"

    def figure(self, key: str) -> Figure | None:
        """Return the figure whose value is the column `key`."""
        return next((figure for figure in self.figures if figure.key == key), None)
