"""Funnels with the places that people left them from, and the flow between stages."""

from __future__ import annotations

from journeyflow.report import items
from journeyflow.report.atlas import ALL, Figure, Flow, FlowLink, Funnel, FunnelStep, Model
from journeyflow.report.cells import next_actions
from journeyflow.report.sources import Source, conjunction
from journeyflow.report.tables import STEP, Row, Tables
from journeyflow.report.words import ENDS, shown

MOST_LAST = 6
MOST_NEXT = 5


def stage_funnel(tables: Tables, model: Model, persona: str, period: str) -> Funnel:
    """Return the stage funnel of a model; without steps where it counts nobody of the persona in the period."""
    nobody = Funnel(model.key, model.label, "stages", persona, period, "person", ())
    return funnel_of(tables, model.key, persona, period) or nobody


def funnel_of(tables: Tables, funnel: str, persona: str, period: str) -> Funnel | None:
    """Return one funnel of one persona and period, None where nobody entered it."""
    rows = tables.by("funnel_steps", *STEP[:3]).get((funnel, persona, period))
    if not rows:
        return None
    first = rows[0]
    return Funnel(
        key=funnel,
        label=shown(funnel),
        kind="stages" if first.word("kind") == "stages" else "steps",
        persona=persona,
        period=period,
        unit=shown(first.word("unit")),
        steps=tuple(_step(tables, row) for row in sorted(rows, key=lambda row: row.values["step_index"])),
        is_outcome_based=bool(first.values.get("is_outcome_based")),
    )


def configured_funnels(tables: Tables, personas: tuple[str, ...]) -> tuple[Funnel, ...]:
    """Return the funnels that are no stage funnels, by name, over the whole time, for each of the personas."""
    names = sorted({row.word("funnel") for row in tables.by("funnel_steps", "kind").get("steps", [])})
    found = (funnel_of(tables, name, persona, ALL) for name in names for persona in personas)
    return tuple(funnel for funnel in found if funnel)


def _step(tables: Tables, row: Row) -> FunnelStep:
    reached, went_on, dropped, pending, drop_off = items.outcome_figures(row)
    key: tuple[str, str, str, int] = tuple(row.values[column] for column in STEP)
    lasts, nexts = _last_touchpoints(tables, key), next_actions(tables, key)
    return FunnelStep(
        key=row.word("step"),
        label=shown(row.word("step")),
        index=row.values["step_index"],
        reached=reached,
        went_on=went_on,
        dropped=dropped,
        pending=pending,
        drop_off=drop_off,
        median=items.median_time(row),
        at_stake=items.at_stake(row),
        last_touchpoints=tuple(items.last_touchpoint(last) for last in lasts[:MOST_LAST]),
        next_actions=tuple(items.next_action(action) for action in nexts[:MOST_NEXT]),
        last_rest_count=max(len(lasts) - MOST_LAST, 0),
        next_rest_count=max(len(nexts) - MOST_NEXT, 0),
    )


def _last_touchpoints(tables: Tables, step: tuple[str, str, str, int]) -> list[Row]:
    rows = tables.by("drop_offs", *STEP).get(step, [])
    return sorted(rows, key=lambda row: (-row.values["drop_off_count"], row.word("last_touchpoint")))


def flow_of(tables: Tables, model: Model, persona: str) -> Flow:
    """Return how journeys of a persona went between the stages of a model: where they began, moved, ended."""
    rows = tables.by("stage_transitions", "model", "persona").get((model.key, persona), [])
    labels = {stage.key: stage.label for stage in model.stages} | ENDS
    links = [_link(row, labels) for row in rows if row.values["transition_count"]]
    begun = (_entry(model, persona, stage.key, rows, labels) for stage in model.stages)
    return Flow(model.key, persona, tuple(link for link in (*begun, *links) if link))


def _link(row: Row, labels: dict[str, str]) -> FlowLink:
    rate, count, median = items.move_figures(row)
    start, end = row.word("from_stage"), row.word("to_stage")
    return FlowLink(
        start=start,
        end=end,
        start_label=labels.get(start) or shown(start),
        end_label=labels.get(end) or shown(end),
        count=count,
        rate=rate if rate.value is not None else None,
        median=median if median.value is not None else None,
        is_backward=bool(row.values["is_backward"]),
    )


def _entry(model: Model, persona: str, stage: str, rows: list[Row], labels: dict[str, str]) -> FlowLink | None:
    """Return the journeys that began in a stage: its visits that no other stage's visit led to."""
    visits = sum(row.values["transition_count"] for row in rows if row.word("from_stage") == stage)
    arrivals = sum(row.values["transition_count"] for row in rows if row.word("to_stage") == stage)
    if visits <= arrivals:
        return None
    of_flow = conjunction((("model", model.key), ("persona", persona)))
    left, came = (conjunction(((column, stage),)) for column in ("from_stage", "to_stage"))
    counted = "coalesce(sum(transition_count)"
    query = (
        f"select cast({counted} filter (where {left}), 0) - {counted} filter (where {came}), 0) as bigint)"
        f" as journey_count from stage_transitions where {of_flow}"
    )
    source = Source("stage_transitions", (), ("journey_count",), query)
    count = Figure("journeys begun here", visits - arrivals, "visits", source)
    return FlowLink("entry", stage, ENDS["entry"], labels[stage], count)
