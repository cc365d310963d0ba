"""Columns of the published tables that a journey map is drawn from; a test holds them against the models."""

from __future__ import annotations

SCHEMAS: dict[str, tuple[str, str]] = {
    "funnel_steps": (
        "funnel persona period step_index",
        "funnel persona period step_index:INTEGER step kind unit person_count converted_count drop_off_count "
        "pending_count matured_count matured_next_count conversion_rate step_conversion_rate drop_off_rate "
        "drop_off_rate_low:DOUBLE drop_off_rate_high:DOUBLE km_conversion_rate visited_count skipped_count "
        "in_order_rate p10_seconds_to_next:DOUBLE p50_seconds_to_next:DOUBLE p90_seconds_to_next:DOUBLE "
        "tie_decided_count value_at_stake_amount currency is_small is_outcome_based is_trait_undated",
    ),
    "map_stages": (
        "model persona period stage",
        "model persona period stage stage_index:INTEGER person_count visited_count skipped_count converted_count "
        "drop_off_count pending_count matured_count matured_next_count drop_off_rate drop_off_rate_low:DOUBLE "
        "drop_off_rate_high:DOUBLE is_small pain_test_count",
    ),
    "funnel_trend": (
        "funnel persona entry_date step_index",
        "funnel persona entry_date:DATE step_index:INTEGER person_count converted_count drop_off_count pending_count "
        "is_matured",
    ),
    "drop_offs": (
        "funnel persona period step_index last_touchpoint",
        "funnel persona period step_index:INTEGER last_touchpoint drop_off_count share_rate expected_rate lift:DOUBLE "
        "p50_seconds_before_leaving:DOUBLE value_at_stake_amount currency",
    ),
    "drop_off_next": (
        "funnel persona period step_index next_action",
        "funnel persona period step_index:INTEGER next_action drop_off_count share_rate",
    ),
    "stage_transitions": (
        "model persona from_stage to_stage",
        "model persona from_stage to_stage transition_count transition_rate is_backward p50_seconds:DOUBLE",
    ),
    "personas": (
        "persona",
        "persona person_count share_rate rule is_outcome_based is_trait_undated description",
    ),
    "event_kinds": (
        "model kind_id stage rule_id",
        "model kind_id stage rule_id event_name channel touchpoint evidence event_count person_count "
        "first_seen_at last_seen_at",
    ),
    "runs": (
        "run_id",
        "run_id started_at finished_at status high_water_at config_hash version event_count elapsed_seconds:DOUBLE",
    ),
    "dictionary": (
        "table_name column_name",
        "table_name column_name column_index:INTEGER type unit meaning",
    ),
    "touchpoints": (
        "model persona period stage touchpoint",
        "model persona period stage touchpoint person_count visited_count reach_rate touch_count share_rate "
        "matured_count matured_next_count next_stage_rate matured_without_count matured_without_next_count "
        "next_stage_rate_without:DOUBLE lift:DOUBLE lift_low:DOUBLE lift_high:DOUBLE q_value:DOUBLE is_small",
    ),
    "stage_channels": (
        "model persona period stage channel",
        "model persona period stage channel person_count visited_count reach_rate touch_count share_rate",
    ),
    "stage_sentiment": (
        "model persona period stage",
        "model persona period stage sentiment:DOUBLE sentiment_low:DOUBLE sentiment_high:DOUBLE answer_count evidence "
        "method",
    ),
    "pain_points": (
        "model persona period pain_rank",
        "model persona period pain_rank:BIGINT stage pain_point kind scope person_count pass_count "
        "matured_count compared_with drop_off_rate baseline_rate "
        "excess_rate lost_count lost_low:BIGINT lost_high:BIGINT q_value:DOUBLE",
    ),
    "promises": (
        "promise persona period",
        "promise persona period stage model kind due_count kept_count broken_count pending_count matured_count "
        "matured_kept_count kept_rate kept_low:DOUBLE kept_high:DOUBLE target:DOUBLE measured:DOUBLE gap:DOUBLE "
        "first_broken_at kept_journey_count kept_next_count broken_journey_count "
        "broken_next_count next_stage_rate_kept:DOUBLE next_stage_rate_broken:DOUBLE is_small",
    ),
    "opportunities": (
        "model persona period opportunity_rank",
        "model persona period opportunity_rank:BIGINT stage origin kind subject person_count lost_count "
        "lost_low:BIGINT lost_high:BIGINT worth_amount worth_low:DECIMAL(18,4) worth_high:DECIMAL(18,4) currency owner",
    ),
    "blind_spots": ("kind subject", "kind subject severity item_count share_rate detail"),
    "supplied_cells": ("model persona stage aspect", "model persona stage aspect text"),
    "desired_gaps": (
        "model persona period stage measure",
        "model persona period stage measure desired:DOUBLE measured:DOUBLE measured_low:DOUBLE measured_high:DOUBLE "
        "gap:DOUBLE base_count unit evidence",
    ),
}
"""Table → its grain and its columns; the type follows from the suffix of the name, else it is told after a colon."""
_SUFFIXES = {"_count": "BIGINT", "_rate": "DOUBLE", "_at": "TIMESTAMP", "_amount": "DECIMAL(18,4)"}


def columns_of(table: str) -> dict[str, str]:
    """Return the columns of a published table with their SQL types."""
    return dict(typed(column) for column in SCHEMAS[table][1].split())


def typed(column: str) -> tuple[str, str]:
    """Return the name and the SQL type of a column of `SCHEMAS`."""
    name, _, told = column.partition(":")
    guessed = next((kind for suffix, kind in _SUFFIXES.items() if name.endswith(suffix)), "VARCHAR")
    return name, told or ("BOOLEAN" if name.startswith("is_") else guessed)
