"""Figures that changed between two published generations, found without the program's own code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

KEYS = ("funnel", "persona", "entry_date", "step_index")
COUNTS = ("person_count", "converted_count", "drop_off_count", "pending_count")
KEPT = 100_000
Figure = tuple[str, str, int | None, int | None]


@dataclass(frozen=True)
class Generation:
    """What must be known of a generation to say what the next one moves."""

    run_id: str
    mark: datetime
    rules: str
    trend: pl.DataFrame

    @classmethod
    def current(cls, published: Path) -> Generation | None:
        """Return the current one; None before the first."""
        folder = (published / "current").resolve()
        if not (folder / "manifest.json").exists():
            return None
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        mark = datetime.fromisoformat(manifest["high_water_at"]).replace(tzinfo=None)
        columns = [*KEYS, *COUNTS, "is_matured"]
        trend = pl.read_parquet(folder / "funnel_trend.parquet", columns=columns)
        return cls(manifest["run_id"], mark, manifest["config_hash"], trend)


def wrong_restatements(
    published: Path, before: Generation | None, now: Generation, zone: str, entered_once: set[str]
) -> list[str]:
    """Say where `restatements` does not list exactly the final figures that changed.

    Parameters
    ----------
    published : Path
        Where `now` is the current generation.
    before, now : Generation
        One after the other.
    zone : str
        Zone of days.
    entered_once : set of str
        Funnels whose entries are final when their day is over.
    """
    published_rows = pl.read_parquet(published / "current" / "restatements.parquet").filter(
        pl.col("run_id") == now.run_id
    )
    said = {
        (row["row_key"], row["column_name"], row["old_value"], row["new_value"]) for row in published_rows.to_dicts()
    }
    due = changed_figures(before, now, zone, entered_once) if before and before.mark <= now.mark else set()
    if len(due) >= KEPT:
        return []
    wrong = []
    if said != due:
        lost, made_up = sorted(due - said, key=str), sorted(said - due, key=str)
        wrong.append(f"{len(lost)} restatements are missing, {len(made_up)} are made up: {lost[:2]} {made_up[:2]}")
    by_rules = set(published_rows["cause"]) & {"changed rules"}
    if due and before and bool(by_rules) != (before.rules != now.rules):
        wrong.append(f"the rules are a cause: {bool(by_rules)}, they changed: {before.rules != now.rules}")
    return wrong


def changed_figures(before: Generation, now: Generation, zone: str, entered_once: set[str]) -> set[Figure]:
    """Return the figures of days that were over, and final, and are others now."""
    until = _day(before.mark, zone)
    old, new = _rows(before.trend), _rows(now.trend)
    shared = {key[0] for key in old} & {key[0] for key in new}
    return {
        (_row_key(key), name, before_value, now_value)
        for key in old.keys() | new.keys()
        if key[0] in shared and key[2] < until and old.get(key) != new.get(key)
        for name in COUNTS
        for before_value, now_value in [(old.get(key, {}).get(name), new.get(key, {}).get(name))]
        if (before_value or 0) != (now_value or 0)
        and _is_final(key, name, old if _has(old, key, name) else new, entered_once)
    }


def _rows(trend: pl.DataFrame) -> dict[tuple[Any, ...], dict[str, Any]]:
    names = [*COUNTS, "is_matured"]
    return {row[:4]: dict(zip(names, row[4:], strict=True)) for row in trend.select(*KEYS, *names).iter_rows()}


def _has(rows: dict[tuple[Any, ...], dict[str, Any]], key: tuple[Any, ...], name: str) -> bool:
    return rows.get(key, {}).get(name) is not None


def _is_final(key: tuple[Any, ...], name: str, rows: dict[Any, dict[str, Any]], entered_once: set[str]) -> bool:
    is_entry = key[3] == 1 and name == "person_count" and key[0] in entered_once
    return bool(rows[key]["is_matured"]) or is_entry


def _row_key(key: tuple[Any, ...]) -> str:
    return json.dumps(dict(zip(KEYS, key, strict=True)), default=str, separators=(",", ":"), ensure_ascii=False)


def _day(mark: datetime, zone: str) -> date:
    return mark.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).date()
