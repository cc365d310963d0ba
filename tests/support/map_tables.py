"""A published generation with hand-written rows and the schemas of the models, for tests of the report.

`rich_tables()` returns rows by table: two models, three personas and two months beside `all`, names that try to be
markup, formulas and scripts. Change or empty tables, then `publish_tables(folder, tables)`.
"""

from __future__ import annotations

import atexit
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pyarrow as pa

from journeyflow.compile.map_figures import GRAINS
from journeyflow.engines import DuckDBEngine
from journeyflow.models import Model
from journeyflow.publish.generation import DATABASE, order_of, publish
from journeyflow.publish.reader import MANIFEST, RunFacts, TableEntry, read_manifest
from journeyflow.utils.files import sha256
from support.few_models import all_models

Rows = list[dict[str, Any]]
TABLES = (*GRAINS, "briefing", "event_kinds", "dictionary")
"""The published tables that the report reads."""
RUN = "20260301T020000000000"
HIGH_WATER = datetime(2026, 2, 28, 22, 15)

MARKUP = "<img src=x onerror=alert(1)> & \"quoted\" 'single'"
FORMULA = "=HYPERLINK(\"http://evil.example\",'click')"
SCRIPT = "</script><script>alert('pwned')</script>"
BIDI = "invoice\u202egnp.exe\u2066"
CONTROLS = "bell\x07 escape\x1b[31m tab\t line\nbreak null\x00"
TEMPLATE = "{{ 7 * 7 }} {% raw %} ${jndi} `code`"
LINK = "javascript:alert(document.cookie)"
LONG = "very " * 400 + "long"
UNBROKEN = "W" * 300
HOSTILE = (MARKUP, FORMULA, SCRIPT, BIDI, CONTROLS, TEMPLATE, LINK, LONG, UNBROKEN)

PERSONAS = ("all", "student", MARKUP, "unassigned")
PERIODS = ("all", "2026-01", "2026-02")
MODELS = {"shop": ("awareness", "consideration", "decision", "loyal"), FORMULA: ("read", SCRIPT)}


def publish_tables(folder: Path, tables: Mapping[str, Rows]) -> Path:
    """Publish the rows of `tables` into `folder` and return the generation's folder; tables not given are empty.

    Publications are kept: later ones are copies of the likest, in which the few tables that differ are written, as
    publishing hundreds of descriptions takes longer than most tests.
    """
    wanted = {name: tables.get(name, []) for name in dict.fromkeys((*TABLES, *tables))}
    differing = [_differing(wanted, rows) for _, rows in _kept]
    if not any(names is not None and len(names) <= FEW for names in differing):
        kept = Path(mkdtemp(prefix="published-tables-"))
        atexit.register(shutil.rmtree, kept, ignore_errors=True)
        _publish(kept, wanted)
        _kept.append((kept, {name: [dict(row) for row in rows] for name, rows in wanted.items()}))
        differing.append([])
    place = min(range(len(differing)), key=lambda at: FEW + 1 if differing[at] is None else len(differing[at]))
    shutil.copytree(_kept[place][0], folder, symlinks=True, dirs_exist_ok=True)
    generation = folder / "generations" / RUN
    _replace(generation, {name: wanted[name] for name in differing[place]})
    return generation


FEW = 4
"""Tables that are sooner written again than all are published."""
_kept: list[tuple[Path, dict[str, Rows]]] = []


def _differing(wanted: Mapping[str, Rows], rows: Mapping[str, Rows]) -> list[str] | None:
    """Return the names of the tables whose rows differ; None where the tables are others."""
    return [name for name in wanted if wanted[name] != rows[name]] if [*wanted] == [*rows] else None


def _publish(folder: Path, tables: Mapping[str, Rows]) -> None:
    with DuckDBEngine(threads=1, folders=[folder]) as engine:
        models = [published_models()[name] for name in tables]
        for model in models:
            with _typed(engine, model, tables[model.table]) as select:
                engine.run(model.name, select)
        times = {"started_at": HIGH_WATER, "published_at": HIGH_WATER, "high_water_at": HIGH_WATER}
        facts = RunFacts(
            run_id=RUN, project="acme-shop", version="0.1.0", config_hash="abc123", event_count=1_234, **times
        )
        publish(engine, models, folder, facts)


def _replace(generation: Path, tables: Mapping[str, Rows]) -> None:
    """Write the rows of other tables over those of a generation: its database, Parquet files and manifest."""
    if not tables:
        return
    manifest = read_manifest(generation)
    entries = dict(manifest.tables)
    with DuckDBEngine(generation / DATABASE, threads=1, folders=[generation]) as engine:
        for name, rows in tables.items():
            model, path = published_models()[name], generation / f"{name}.parquet"
            with _typed(engine, model, rows) as select:
                ordered = f"{select} order by {order_of(model)}"
                engine.execute(f"delete from main.{name}")
                engine.execute(f"insert into main.{name} {ordered}")
                engine.execute(f"copy ({ordered}) to '{path}' (format parquet, compression zstd)")
            entries[name] = TableEntry(row_count=len(rows), file=path.name, sha256=sha256(path))
    changed = manifest.model_copy(update={"tables": entries})
    (generation / MANIFEST).write_text(changed.model_dump_json(indent=2) + "\n", encoding="utf-8")


@cache
def published_models() -> dict[str, Model]:
    """Return the published models by table, with their columns and grains."""
    return {model.table: model for model in all_models().published()}


@contextmanager
def _typed(engine: DuckDBEngine, model: Model, rows: Rows) -> Iterator[str]:
    """Give a SELECT of rows with the types of a model; what a row leaves out is null."""
    for unknown in {column for row in rows for column in row} - set(model.columns):
        raise ValueError(f"{model.table} has no column {unknown}")
    texts = {column: [_text(row.get(column)) for row in rows] for column in model.columns}
    strings = pa.schema([(column, pa.string()) for column in model.columns])
    casts = (f'cast("{name}" as {column.type}) as "{name}"' for name, column in model.columns.items())
    with engine.shown("_incoming", pa.table(texts, schema=strings)):
        yield f"select {', '.join(casts)} from _incoming"


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def rich_tables() -> dict[str, Rows]:
    """Return rows of every table: every row of a map has something to show, in every map."""
    tables: dict[str, Rows] = {name: [] for name in TABLES}
    for size, persona in enumerate(PERSONAS):
        people = 4_000 // (size + 1)
        described = f"People like {persona}" if persona != "all" else "Everybody; a total row, not a persona."
        tables["personas"].append(
            {"persona": persona, "person_count": people, "share_rate": people / 4_000, "rule": f"trait is {LONG}"}
            | {"is_outcome_based": size == 2, "is_trait_undated": False, "description": described}
        )
        for model, stages in MODELS.items():
            for shrink, period in enumerate(PERIODS):
                _add_map(tables, model, stages, persona, period, people // (shrink + 1))
            _add_flow(tables, model, stages, persona, people)
        for period in PERIODS:
            _add_promises(tables, persona, period)
    _add_funnel(tables, "checkout", ("cart", "paid"), "all", "all", 900, kind="steps")
    _add_briefing(tables)
    _add_facts(tables)
    return tables


def cohort_tables() -> dict[str, Rows]:
    """Return rows of the tables of cohorts: settled, open and empty cells, hostile names."""
    retention = []
    for index, start in enumerate(("first_event", FORMULA), 1):
        for persona, channel in (*((persona, "all") for persona in PERSONAS), ("all", MARKUP)):
            for rule in ("on", "on_or_after"):
                for cohort, size in (("2026-01", 40), ("2026-02", 20), ("2026-03", 0), ("all", 40)):
                    retention += [
                        {"start": start, "start_index": index, "persona": persona, "channel": channel, "cohort": cohort}
                        | {"rule": rule, "age_unit": "7d", "age_index": age, "person_count": size}
                        | _cell(size, age, rule)
                        for age in range(2)
                    ]  # fmt: skip
    repeats = [
        {"persona": persona, "order_number": 1, "period": period, "person_count": 9, "ordered_again_count": 3}
        | {"pending_count": 6, "within_30d_rate": 0.25, "p50_seconds": 86_400}
        for persona in PERSONAS
        for period in PERIODS
    ]
    lifecycle = [
        {"persona": persona, "period": period, "active_count": 9, "new_count": 4, "returning_count": 5}
        for persona in PERSONAS
        for period in ("2026-01", "2026-02")
    ]
    referrals = [
        {"persona": persona, "settled_count": 9, "pending_count": 2, "brought_count": 4, "pending_brought_count": 1}
        | {"settled_brought_count": 3, "referral_factor": 1 / 3, "p50_seconds_to_bring": 86_400}
        for persona in PERSONAS
    ]
    return {"retention": retention, "repeat_purchases": repeats, "lifecycle": lifecycle, "referrals": referrals}


def analysis_tables() -> dict[str, Rows]:
    """Return rows of the tables that the page draws beside the map, with hostile names and what is still open."""
    methods = ("first", "last", "linear", "markov")
    attribution = [
        {"goal": "order", "method": method, "persona": persona, "channel": channel, "period": "all"}
        | {"conversion_count": 10 * at + number, "conversion_low": 8.5 * at, "conversion_high": 14.0 * at}
        | {"least_conversion_count": 10 * at, "most_conversion_count": 10 * at + 3, "goal_count": 66}
        | {"not_converted_count": 90, "pending_count": 7, "value_amount": "1234.5", "currency": "EUR"}
        | ({"spend_amount": "500", "return_ratio": 2.469} if at == 3 else {})
        for persona in ("all", MARKUP)
        for number, method in enumerate(methods)
        for at, channel in enumerate(("none", "cpc", BIDI, MARKUP))
    ]
    changes = [
        {"funnel": funnel, "dimension": dimension, "slice": part, "period": period, "step_index": index, "step": step}
        | {"factor": "mix" if index == 1 else "step", "old_period": "2025-12", "old_rate": 0.2, "new_rate": 0.24}
        | {"old_count": 400, "new_count": 500, "pending_count": 30, "age_seconds": 604800.0}
        | {"old_factor": 0.5, "new_factor": 0.55}
        | {"effect": 0.03 - 0.01 * index, "effect_low": 0.025 - 0.01 * index, "effect_high": 0.05 - 0.01 * index}
        | {"is_beyond_noise": index != 3, "is_small": False, "q_value": 0.01 * index}
        for funnel, steps in MODELS.items()
        for period in ("2026-01", "2026-02")
        for dimension, part in (("persona", "all"), ("channel", SCRIPT), ("persona", "student"))
        for index, step in enumerate(steps, start=1)
    ]  # fmt: skip
    forecast = [
        {"funnel": funnel, "persona": persona, "step_index": index, "step": step, "unit": "person"}
        | {"pending_count": 40 * (3 - index), "expected_count": "12.5", "low": 8.0, "high": 17.0}
        | {"expected_amount": "1500", "currency": "EUR"}
        for funnel, steps in MODELS.items()
        for persona in ("all", "student")
        for index, step in enumerate(steps[:3], start=1)
    ]
    days = [HIGH_WATER.date() - timedelta(days=7 * week) for week in range(6)]
    trend = [
        {"funnel": funnel, "persona": persona, "entry_date": day, "step_index": index}
        | {"person_count": 120 // index + week, "converted_count": 9, "is_matured": week > 1}
        for funnel, steps in MODELS.items()
        for persona in ("all", MARKUP)
        for week, day in enumerate(days)
        for index in range(1, len(steps) + 1)
    ]
    paths = [
        {"model": model, "persona": persona, "path_rank": rank, "path": " > ".join(path), "person_count": 90 // rank}
        | {"share_rate": 0.5 / rank, "converted_count": 5}
        for model, stages in MODELS.items()
        for persona in PERSONAS
        for rank, path in enumerate((stages[:1], stages[:2], (*stages[:2], stages[0]), ("other",)), start=1)
    ]
    return cohort_tables() | {
        "attribution": attribution, "rate_changes": changes, "funnel_trend": trend, "paths": paths,
        "pending_forecast": forecast,
    } | _found_tables()  # fmt: skip


def _found_tables() -> dict[str, Rows]:
    """Return rows of the chain of a model, of discovered personas and of actions, one of them too early to judge."""
    chain = [
        {"model": "shop", "persona": persona, "from_stage": start, "to_stage": end, "from_index": at, "to_index": to}
        | {"journey_count": number}
        for persona in ("all", "student")
        for start, end, at, to, number in (
            ("entry", "awareness", 0, 1, 1_000), ("entry", "open", 0, -1, 70), ("awareness", "exit", 1, 0, 400),
            ("awareness", "consideration", 1, 2, 600), ("consideration", "exit", 2, 0, 300),
            ("consideration", "decision", 2, 3, 300), ("decision", "exit", 3, 0, 240), ("decision", "loyal", 3, 4, 60),
        )
    ]  # fmt: skip
    discovered = [
        {"discovered_persona": name, "kind": kind, "person_count": number, "share_rate": share, "is_unstable": unstable}
        | {"share_low": share and share / 2, "share_high": share and share * 2, "stability": 0.5 if unstable else 0.9}
        | {"matured_count": 20, "converted_count": 5, "conversion_rate": 0.25, "conversion_low": 0.2}
        | {"conversion_high": 0.4, "description": f"{MARKUP} 80 % of it, 2.1 times as many as of all"}
        for name, kind, number, share, unstable in (
            (MARKUP, "class", 400, 0.4, False), (UNBROKEN, "class", 100, 0.1, True), ("all", "all", 1_000, None, None),
        )
    ]  # fmt: skip
    overlaps = [
        {"discovered_persona": MARKUP, "persona": persona, "person_count": 200, "share_rate": 0.5, "lift": lift}
        for persona, lift in (("student", 1.8), (MARKUP, 0.6))
    ]
    effect = {"effect": 0.05, "effect_low": 0.02, "effect_high": 0.08, "after_count": 90, "after_rate": 0.55}
    actions = [
        {"action": name, "funnel": "checkout", "step": "paid", "first_day": day, "before_count": 100}
        | {
            "before_rate": 0.5,
            "is_beyond_noise": bool(known),
            "grade": "compared",
            "pending_count": 4,
            "headline": f"Since {MARKUP}.",
        }
        | known
        for name, day, known in ((MARKUP, "2026-02-01", effect), ("guide", "2026-02-27", {}))
    ]
    return {
        "stage_chains": chain, "discovered_personas": discovered, "discovered_persona_overlaps": overlaps,
        "action_effects": actions,
    }  # fmt: skip


def _cell(size: int, age: int, rule: str) -> dict[str, object]:
    """Return a cell: of 40 persons all is settled, of 20 half of them at age 0 and nobody at age 1."""
    settled = size if size != 20 else 10 * (age == 0)
    return {
        "returned_count": settled // 4, "matured_count": settled, "pending_count": size - settled,
        "last_age_index": 0 if size == 20 and age == 0 else 1 if rule == "on_or_after" else age,
        "retention_rate": 0.25 if settled else None,
    }  # fmt: skip


def _add_map(tables: dict[str, Rows], model: str, stages: tuple[str, ...], persona: str, period: str, n: int) -> None:
    of_map = {"model": model, "persona": persona, "period": period}
    _add_funnel(tables, model, stages, persona, period, n, kind="stages")
    for index, stage in enumerate(stages, start=1):
        cell = of_map | {"stage": stage}
        reached, is_last = n // index, index == len(stages)
        # A month's map has people in it that the funnel counts in another month.
        entered = n if period == "all" else n + 12
        about = {"stage_index": index, "is_repeat": stage == "loyal"}
        tables["map_stages"].append(cell | about | _reached(entered, index, is_last))
        for at, name in enumerate(("web: Product page", "store: visit", *(f"web: {name}" for name in HOSTILE))):
            tables["touchpoints"].append(cell | {"touchpoint": name} | _interactions(reached, at, is_last))
        for at, name in enumerate(("web", "store", SCRIPT, BIDI)):
            interactions = _interactions(reached, at, is_last)
            columns = ("person_count", "visited_count", "reach_rate", "touch_count", "share_rate")
            tables["stage_channels"].append(cell | {"channel": name} | {key: interactions[key] for key in columns})
        tables["stage_sentiment"].append(cell | _sentiment(index))
        _add_pains(tables, of_map, stage, index, reached)
        for measure, unit, desired in (("reach_rate", "rate", 0.4), ("p50_time", "seconds", 86_400.0)):
            measured = None if index == 4 else desired * (0.5 + index / 4)
            gap = None if measured is None else measured - desired
            ends = {"measured_low": measured and measured * 0.9, "measured_high": measured and measured * 1.1}
            ends["base_count"] = reached
            tables["desired_gaps"].append(
                cell | {"measure": measure, "desired": desired, "measured": measured, "gap": gap, "unit": unit}
                | ends | {"evidence": "unknown" if measured is None else "observed"}
            )  # fmt: skip
        if period == "all":
            for aspect in ("goal", "need", "quote"):
                tables["supplied_cells"].append(
                    {"model": model, "persona": persona, "stage": stage, "aspect": aspect}
                    | {"text": f"{aspect} of {MARKUP} {BIDI}"}
                )
            if persona == "all":
                tables["supplied_cells"].append(
                    {"model": model, "persona": "all", "stage": stage, "aspect": "owner", "text": f"Team {index} <b>"}
                )


def _reached(entered: int, index: int, is_last: bool) -> dict[str, Any]:
    reached, following = entered // index, entered // (index + 1)
    pending = (reached - following) // 5
    outcomes = {
        "converted_count": following, "drop_off_count": reached - following - pending, "pending_count": pending,
        "drop_off_rate": 0.5, "drop_off_rate_low": 0.45, "drop_off_rate_high": 0.55,
    }  # fmt: skip
    return {
        "person_count": reached, "visited_count": reached - 5, "skipped_count": 5, "converted_count": reached,
        "matured_count": reached - pending, "matured_next_count": following, "is_small": reached < 300,
    } | ({} if is_last else outcomes)  # fmt: skip


def _interactions(reached: int, at: int, is_last: bool) -> dict[str, Any]:
    visited = max(reached - 10, 1)
    people = max(visited // (at + 1), 1)
    matured, is_small = people * 9 // 10, at > 6
    known = not (is_last or is_small)
    return {
        "person_count": people, "visited_count": visited, "reach_rate": people / visited,
        "touch_count": people * 2, "share_rate": 1 / (at + 2), "matured_count": matured,
        "matured_next_count": None if is_last else matured // 2, "next_stage_rate": None if is_last else 0.5,
        "matured_without_count": None if is_last else 50, "matured_without_next_count": None if is_last else 20,
        "next_stage_rate_without": 0.4 if known else None, "lift": 1.25 if known else None,
        "lift_low": 1.1 if known else None, "lift_high": 1.42 if known else None,
        "q_value": 0.003 * (at + 1) if known else None, "is_small": is_small,
    }  # fmt: skip


def _sentiment(index: int) -> dict[str, Any]:
    known = {
        1: (0.42, 0.3, 0.54, 80, "observed", "surveys: nps, csat"),
        2: (-0.2, -0.31, -0.09, 55, "inferred", "text: VADER, English"),
        3: (-0.65, -0.8, -0.5, 200, "inferred", "behaviour"),
    }.get(index, (None, None, None, 0, "unknown", None))
    names = ("sentiment", "sentiment_low", "sentiment_high", "answer_count", "evidence", "method")
    return dict(zip(names, known, strict=True))


def _add_pains(tables: dict[str, Rows], of_map: dict[str, str], stage: str, index: int, reached: int) -> None:
    kinds = ("incident", "gap", "exposure", "promise", "friction")
    first = len([row for row in tables["pain_points"] if all(row[key] == of_map[key] for key in of_map)])
    for at, (kind, name) in enumerate(zip(kinds, ("web: Payment page", *HOSTILE), strict=False), start=first + 1):
        lost = max(100 // at, 1)
        people = max(reached // (at + 1), 1)
        grade = {"incident": "incident", "friction": "association"}.get(kind, "matched")
        days = {"first_day": "2026-02-03", "last_day": "2026-02-14"} if kind == "incident" else {}
        shown = of_map | days | {
            "stage": stage, "subject": name, "kind": kind, "grade": grade, "slice": "device mobile" if at % 2 else None,
            "person_count": people, "lost_count": lost, "lost_low": lost // 2, "lost_high": lost * 2,
            "headline": f"{people} persons met {name} and {lost} left for it.",
        }  # fmt: skip
        tables["pain_points"].append(
            shown | {"pain_rank": at, "scope": "recurring" if at % 2 else "specific", "compared_count": people * 3}
            | {"is_ongoing": False if days else None, "went_on_count": people * 45 // 100, "rate": 0.45}
            | {"expected_rate": 0.6}
            | {"q_value": 0.01, "e_value": 2.1}
        )  # fmt: skip
        worth = None if index == 2 else lost * 41.5
        tables["opportunities"].append(
            shown | {"opportunity_rank": at, "origin": "promise" if kind == "promise" else "pain_point"}
            | {"worth_amount": worth, "worth_low": worth and worth / 2, "worth_high": worth and worth * 2}
            | {"worth_alone_amount": worth and worth / 4, "overlap_count": people // 2}
            | {"currency": "EUR", "owner": f"Team {index} <b>", "remedy": f"Try {MARKUP}." if at % 2 else None}
        )  # fmt: skip


def _add_briefing(tables: dict[str, Rows]) -> None:
    key = '{"model":"shop","persona":"all","period":"all","opportunity_rank":%d}'
    lines = (
        (f"1,333 persons met {MARKUP} and 100 left for it.", "opportunities",
         key % 1, "larger", 80, "incident", "shop"),
        ("666 persons met it too.", "opportunities", key % 2, "new", None, "gap", "shop"),
        ("2,000 of 4,000 persons leave at Awareness; no cause stands out.", "funnel_steps",
         '{"funnel":"shop","persona":"all","period":"all","step_index":1}', "unchanged", 1_990, "loss", "shop"),
        (f"No longer listed: {BIDI} at `loyal`.", "opportunities", None, "gone", 12, "gone", "shop"),
        ("What cannot be seen: 2 critical and 1 warning among the blind spots; first: The source is silent.",
         "blind_spots", '{"kind":"silent_source","subject":"a"}', None, None, "blind_spots", None),
    )  # fmt: skip
    names = ("headline", "table_name", "row_key", "change", "previous_count", "kind", "model")
    for position, line in enumerate(lines, start=1):
        persona = {"persona": "all", "remedy": (line[-2] != "gone" and f"Test {MARKUP}.") or None} if line[-1] else {}
        tables["briefing"].append({"position": position} | dict(zip(names, line, strict=True)) | persona)


def _add_funnel(
    tables: dict[str, Rows], funnel: str, steps: tuple[str, ...], persona: str, period: str, n: int, *, kind: str
) -> None:
    of_funnel = {"funnel": funnel, "persona": persona, "period": period}
    for index, step in enumerate(steps, start=1):
        row = of_funnel | {"step_index": index}
        reached, following, is_last = n // index, n // (index + 1), index == len(steps)
        pending = (reached - following) // 5
        dropped = reached - following - pending
        open_step = {
            "converted_count": following, "drop_off_count": dropped, "pending_count": pending, "drop_off_rate": 0.5,
            "drop_off_rate_low": 0.45, "drop_off_rate_high": 0.55, "p10_seconds_to_next": 12.5,
            "p50_seconds_to_next": 93_784.0, "p90_seconds_to_next": 400_000.0, "value_at_stake_amount": "1234.5678",
        }  # fmt: skip
        tables["funnel_steps"].append(
            row | {"step": step, "kind": kind, "unit": "person", "person_count": reached, "converted_count": reached}
            | {"matured_count": reached - pending, "matured_next_count": following, "conversion_rate": 1 / index}
            | {"step_conversion_rate": None if index == 1 else 0.5, "km_conversion_rate": 0.5, "currency": "EUR"}
            | {"visited_count": reached - 5, "skipped_count": 5, "in_order_rate": 0.9, "tie_decided_count": 0}
            | {"is_small": reached < 300, "is_outcome_based": persona == MARKUP, "is_trait_undated": False}
            | ({} if is_last else open_step)
        )  # fmt: skip
        if is_last or not dropped:
            continue
        for at, name in enumerate(("web: Product page", *HOSTILE), start=1):
            tables["drop_offs"].append(
                row | {"last_touchpoint": name, "drop_off_count": dropped // at, "share_rate": 1 / (at + 1)}
                | {"expected_rate": 0.2, "lift": 2.5 / at, "p50_seconds_before_leaving": 30.0 * at}
                | {"value_at_stake_amount": "99.5", "currency": "EUR"}
            )  # fmt: skip
        for at, name in enumerate(("none", "web: Search", *HOSTILE, "other"), start=1):
            tables["drop_off_next"].append(
                row | {"next_action": name, "drop_off_count": dropped // at, "share_rate": 1 / (at + 1)}
            )


def _add_flow(tables: dict[str, Rows], model: str, stages: tuple[str, ...], persona: str, people: int) -> None:
    for at, start in enumerate(stages):
        ends = {"exit": 5, "open": 9} | {stage: 2 + abs(at - to) for to, stage in enumerate(stages) if to != at}
        for end, part in ends.items():
            is_backward = end in stages and stages.index(end) < at
            tables["stage_transitions"].append(
                {"model": model, "persona": persona, "from_stage": start, "to_stage": end}
                | {"transition_count": people // (part * (3 if is_backward else 1)), "is_backward": is_backward}
                | {"transition_rate": None if end == "open" else 1 / (part + 1), "p50_seconds": 75.5 * (at + 1)}
            )


def _add_promises(tables: dict[str, Rows], persona: str, period: str) -> None:
    of_persona = {"persona": persona, "period": period, "model": "shop"}
    broken_at = HIGH_WATER - timedelta(days=30)
    tables["promises"].append(
        of_persona | {"promise": f"Delivered within 3 days {BIDI}", "stage": "decision", "kind": "timed"}
        | {"due_count": 200}
        | {"kept_count": 120, "broken_count": 50, "pending_count": 30, "matured_count": 170, "matured_kept_count": 120}
        | {"kept_rate": 120 / 170, "kept_low": 0.633, "kept_high": 0.769, "target": 1.0, "measured": 120 / 170}
        | {"gap": 50 / 170, "first_broken_at": broken_at, "next_stage_rate_kept": 0.5, "next_stage_rate_broken": 0.3}
    )  # fmt: skip
    tables["promises"].append(
        of_persona | {"promise": f"Support satisfies {MARKUP}", "stage": "loyal", "kind": "measured"}
        | {"due_count": 90, "kept_count": 60}
        | {"broken_count": 30, "pending_count": 0, "matured_count": 90, "matured_kept_count": 60}
        | {"kept_rate": 2 / 3, "kept_low": 0.56, "kept_high": 0.76, "target": 4.2, "measured": 3.9, "gap": 0.3}
    )  # fmt: skip


def _add_facts(tables: dict[str, Rows]) -> None:
    for at, (model, stages) in enumerate(MODELS.items()):
        for number, stage in enumerate((*stages, "unclassified"), start=1):
            name = HOSTILE[number % len(HOSTILE)]
            tables["event_kinds"].append(
                {"model": model, "kind_id": f"k{at}{number}", "stage": stage, "rule_id": f"rule_{number}"}
                | {"event_name": name, "channel": "web", "touchpoint": f"web: {name}"}
                | {"evidence": "rule", "event_count": 100, "person_count": 50}
                | {"first_seen_at": HIGH_WATER - timedelta(days=58), "last_seen_at": HIGH_WATER}
            )
    tables["runs"].append(
        {"run_id": RUN, "started_at": HIGH_WATER, "finished_at": HIGH_WATER, "status": "published"}
        | {"high_water_at": HIGH_WATER, "config_hash": "abc123", "version": "0.1.0", "event_count": 1_234}
        | {"elapsed_seconds": 3.5}
    )
    spots = (
        ("silent_source", FORMULA, "critical", 3, None, "The source has sent nothing for 9 days."),
        ("missing_stage", MARKUP, "critical", 0, 0.0, "No journey of the persona was seen in it."),
        ("unclassified", SCRIPT, "warning", 4_321, 0.21, "No rule puts these events into a stage."),
        ("new_event", BIDI, "note", 12, None, "First seen in the last week."),
        ("bots", "", "note", 99, 0.05, "Left out as traffic of robots."),
    )
    names = ("kind", "subject", "severity", "item_count", "share_rate", "detail")
    tables["blind_spots"] += [dict(zip(names, spot, strict=True)) for spot in spots]
    for table in TABLES:
        for index, (name, column) in enumerate(published_models()[table].columns.items(), start=1):
            tables["dictionary"].append(
                {"table_name": table, "column_name": name, "column_index": index, "type": column.type}
                | {"meaning": f"The {name} of {table}."}
            )
