"""How rows of the published tables become the entries of a map."""

from __future__ import annotations

from collections.abc import Iterable

from journeyflow.report.atlas import ALL, Evidence, Figure, Item, Unit
from journeyflow.report.tables import PERCENTILES, Row
from journeyflow.report.words import COUNTED_ONCE, ENDS, MEASURES, NEXT_ACTIONS, PAIN_KINDS, TEXT_LENGTH, shown


def outcome_figures(row: Row) -> tuple[Figure, Figure, Figure, Figure, Figure]:
    """Return reached, went on, dropped, pending and the drop-off rate of a row of `funnel_steps` or `map_stages`."""
    return (
        row.figure("reached", "people", "person_count"),
        row.figure("went on", "people", "converted_count"),
        row.figure("dropped", "people", "drop_off_count"),
        row.figure("pending", "people", "pending_count"),
        row.figure(
            "drop-off", "rate", "drop_off_rate", ends=("drop_off_rate_low", "drop_off_rate_high"), n="matured_count"
        ),
    )


def seen(row: Row) -> Figure:
    """Return how many were seen in the stage of a row of `map_stages`."""
    return row.figure("seen in the stage", "people", "visited_count")


def at_stake(row: Row) -> Figure:
    """Return the value at stake of a row of `funnel_steps` or `drop_offs`."""
    return row.figure("value at stake, at most", "amount", "value_at_stake_amount", n="drop_off_count")


def median_time(row: Row) -> Figure:
    """Return the median seconds to the next step of a row of `funnel_steps`."""
    ends = ("p10_seconds_to_next", "p90_seconds_to_next")
    return row.figure("median", "seconds", "p50_seconds_to_next", ends=ends, range_label=PERCENTILES)


def touchpoint(row: Row) -> Item:
    """Return a row of `touchpoints`: whom it met, and the rate of going on with and without it."""
    figures = (
        row.figure("met by", "rate", "reach_rate", n="visited_count"),
        row.figure("went on, with it", "rate", "next_stage_rate", n="matured_count"),
        row.figure("lift", "ratio", "lift", ends=("lift_low", "lift_high"), n="matured_count"),
        row.figure("went on, without it", "rate", "next_stage_rate_without"),
        row.figure("q", "probability", "q_value"),
        row.figure("people", "people", "person_count"),
        row.figure("share of touches", "rate", "share_rate"),
    )
    return Item(shown(row.word("touchpoint")), known(figures), _too_few(row))


def channel(row: Row) -> Item:
    """Return a row of `stage_channels`."""
    figures = (
        row.figure("met by", "rate", "reach_rate", n="visited_count"),
        row.figure("people", "people", "person_count"),
        row.figure("share of touches", "rate", "share_rate"),
    )
    return Item(shown(row.word("channel")), known(figures))


def move(row: Row) -> Item:
    """Return a row of `stage_transitions`."""
    to_stage = row.word("to_stage")
    note = "back to an earlier stage" if row.values["is_backward"] else "next"
    return Item(ENDS.get(to_stage) or shown(to_stage), known(move_figures(row)), note)


def move_figures(row: Row) -> tuple[Figure, Figure, Figure]:
    """Return share, visits and median of a row of `stage_transitions`."""
    return (
        row.figure("of ended visits", "rate", "transition_rate"),
        row.figure("visits", "visits", "transition_count"),
        row.figure("median until then", "seconds", "p50_seconds"),
    )


def next_action(row: Row) -> Item:
    """Return a row of `drop_off_next`."""
    name = row.word("next_action")
    figures = (
        row.figure("of those who dropped", "rate", "share_rate"),
        row.figure("people", "people", "drop_off_count"),
    )
    return Item(NEXT_ACTIONS.get(name) or shown(name), figures, "after dropping")


def last_touchpoint(row: Row) -> Item:
    """Return a row of `drop_offs`."""
    figures = (
        row.figure("people", "people", "drop_off_count"),
        row.figure("of those who dropped", "rate", "share_rate"),
        row.figure("of those who went on", "rate", "expected_rate"),
        row.figure("lift", "ratio", "lift"),
        row.figure("median before leaving", "seconds", "p50_seconds_before_leaving"),
        at_stake(row),
    )
    return Item(shown(row.word("last_touchpoint")), known(figures))


def feeling(row: Row) -> Item:
    """Return a row of `stage_sentiment` that has a sentiment."""
    evidence: Evidence = "observed" if row.word("evidence") == "observed" else "inferred"
    ends = ("sentiment_low", "sentiment_high")
    figure = row.figure("sentiment", "sentiment", "sentiment", ends=ends, n="answer_count", evidence=evidence)
    return Item("", (figure,), shown(row.word("method"), TEXT_LENGTH), evidence)


def pain_point(row: Row) -> Item:
    """Return a row of `pain_points`; what is lost is an estimate."""
    figures = (
        row.figure(
            "conversions lost", "cases", "lost_count", ends=("lost_low", "lost_high"), n="matured_count",
            evidence="inferred",
        ),
        row.figure("people", "people", "person_count"),
        row.figure("drop-off", "rate", "drop_off_rate", n="matured_count"),
        row.figure(f"drop-off of {shown(row.word('compared_with')) or 'their peers'}", "rate", "baseline_rate"),
        row.figure("excess", "rate", "excess_rate"),
        row.figure("q", "probability", "q_value"),
    )  # fmt: skip
    kind = row.word("kind")
    note = ", ".join(part for part in (PAIN_KINDS.get(kind, shown(kind)), shown(row.word("scope"))) if part)
    return Item(shown(row.word("pain_point")), known(figures), note)


def promise(row: Row, model: str) -> Item:
    """Return a row of `promises`; the rates of going on only in the promise's own model."""
    unit: Unit = "rate" if row.word("kind") == "timed" else "score"
    figures = [
        row.figure("kept", "rate", "kept_rate", ends=("kept_low", "kept_high"), n="matured_count"),
        row.figure("target", unit, "target", evidence="supplied"),
        row.figure("measured", unit, "measured", n="matured_count"),
        row.figure("short of the promise", unit, "gap"),
        row.figure("due", "cases", "due_count"),
        row.figure("were kept", "cases", "kept_count"),
        row.figure("were broken", "cases", "broken_count"),
        row.figure("pending", "cases", "pending_count"),
        row.figure("first broken", "instant", "first_broken_at"),
    ]
    if row.word("model") == model:
        figures += [
            row.figure("went on, kept", "rate", "next_stage_rate_kept", n="kept_journey_count"),
            row.figure("went on, broken", "rate", "next_stage_rate_broken", n="broken_journey_count"),
        ]
    return Item(shown(row.word("promise")), known(figures), _too_few(row))


def desired(row: Row) -> Item:
    """Return a row of `desired_gaps`."""
    name, unit = MEASURES.get(row.word("measure"), (shown(row.word("measure")), "score"))
    known_as: dict[str, Evidence] = {"observed": "observed", "inferred": "inferred"}
    told = known_as.get(row.word("evidence"), "unknown")
    figures = (
        row.figure("desired", unit, "desired", evidence="supplied"),
        row.figure("measured", unit, "measured", ends=("measured_low", "measured_high"), n="base_count", evidence=told),
        row.figure("measured minus desired", unit, "gap", evidence=told),
    )
    is_funnel_s = row.word("measure") == "p50_time" and row.word("period") != ALL
    return Item(name, figures, COUNTED_ONCE if is_funnel_s else "", evidence="supplied")


def gain(row: Row) -> Item:
    """Return a row of `opportunities`."""
    kind = row.word("kind")
    return Item(
        shown(row.word("subject")),
        known(gain_figures(row)[1:]),
        f"number {row.values['opportunity_rank']}, {PAIN_KINDS.get(kind) or shown(kind)}",
        evidence="inferred",
    )


def gain_figures(row: Row) -> tuple[Figure, Figure, Figure]:
    """Return people, conversions lost and worth of a row of `opportunities`; the latter two are estimates."""
    lost, worth = ("lost_low", "lost_high"), ("worth_low", "worth_high")
    return (
        row.figure("people", "people", "person_count"),
        row.figure("conversions lost", "cases", "lost_count", ends=lost, n="person_count", evidence="inferred"),
        row.figure("worth", "amount", "worth_amount", ends=worth, n="person_count", evidence="inferred"),
    )


def told(row: Row) -> Item:
    """Return a row of `supplied_cells`."""
    return Item(shown(row.word("text"), TEXT_LENGTH), evidence="supplied")


def known(figures: Iterable[Figure]) -> tuple[Figure, ...]:
    """Return the figures that have a value."""
    return tuple(figure for figure in figures if figure.value is not None)


def _too_few(row: Row) -> str:
    return "too few to compare" if row.values.get("is_small") else ""
