"""The public interface: published tables, their grains and key columns. A table may have more columns, never fewer."""

from __future__ import annotations

PUBLIC: dict[str, tuple[str, str]] = {
    "funnel_steps": (
        "funnel persona period step_index",
        "step kind unit person_count converted_count drop_off_count pending_count matured_count "
        "matured_next_count conversion_rate step_conversion_rate drop_off_rate drop_off_rate_low "
        "drop_off_rate_high km_conversion_rate visited_count skipped_count in_order_rate "
        "p10_seconds_to_next p50_seconds_to_next p90_seconds_to_next tie_decided_count "
        "value_at_stake_amount currency is_small is_outcome_based is_trait_undated",
    ),
    "funnel_trend": (
        "funnel persona entry_date step_index",
        "person_count converted_count drop_off_count pending_count is_matured",
    ),
    "rate_changes": (
        "funnel dimension slice period step_index",
        "old_period factor old_count new_count pending_count old_rate new_rate effect effect_low effect_high "
        "share_of_change is_beyond_noise q_value is_small",
    ),
    "action_effects": (
        "action",
        "funnel step step_index dimension slice first_day before_count before_went_on_count before_rate after_count "
        "after_went_on_count after_rate pending_count ramp_count others_count others_change effect effect_low "
        "effect_high is_beyond_noise gain placebo_effect grade is_small headline",
    ),
    "rate_alarms": (
        "funnel dimension slice step_index day age_days kind",
        "step clock read_day is_current unit_count reached_count rate expected_rate statistic q_value direction cause "
        "headline",
    ),
    "pending_forecast": (
        "funnel persona step_index",
        "step unit pending_count expected_count low high expected_amount currency",
    ),
    "forecast_scores": (
        "funnel forecast_at persona step_index",
        "due_at pending_count expected_count low high settled_count converted_count is_inside",
    ),
    "drop_offs": (
        "funnel persona period step_index last_touchpoint",
        "drop_off_count share_rate expected_rate lift p50_seconds_before_leaving value_at_stake_amount currency",
    ),
    "drop_off_next": (
        "funnel persona period step_index next_action",
        "drop_off_count share_rate",
    ),
    "event_kinds": (
        "model kind_id stage rule_id",
        "event_name channel touchpoint evidence event_count person_count first_seen_at last_seen_at",
    ),
    "stage_crosswalk": (
        "model stage other_model other_stage",
        "event_count",
    ),
    "stage_transitions": (
        "model persona from_stage to_stage",
        "transition_count transition_rate is_backward p50_seconds",
    ),
    "paths": (
        "model persona path_rank",
        "path person_count share_rate converted_count",
    ),
    "personas": (
        "persona",
        "person_count share_rate rule is_outcome_based is_trait_undated description",
    ),
    "discovered_personas": (
        "discovered_persona",
        "kind person_count share_rate share_low share_high certainty_rate stability is_unstable converted_count "
        "not_converted_count pending_count matured_count conversion_rate conversion_low conversion_high description",
    ),
    "discovered_persona_features": (
        "discovered_persona feature feature_value",
        "rate overall_rate lift",
    ),
    "discovered_persona_overlaps": (
        "discovered_persona persona",
        "person_count share_rate persona_share_rate lift",
    ),
    "person_stages": (
        "model person_id",
        "persona journey_index stage furthest_stage entered_at last_event_at is_open lifecycle",
    ),
    "load_audit": (
        "run_id source_file",
        "record_count accepted_count quarantined_count duplicate_count conflicting_count filtered_count "
        "erased_count sha256",
    ),
    "identity_audit": (
        "decision",
        "device_count person_count event_count",
    ),
    "runs": (
        "run_id",
        "started_at finished_at status high_water_at config_hash version event_count elapsed_seconds",
    ),
    "dictionary": (
        "table_name column_name",
        "type unit meaning",
    ),
    "map_stages": (
        "model persona period stage",
        "person_count visited_count skipped_count converted_count drop_off_count pending_count matured_count "
        "matured_next_count drop_off_rate drop_off_rate_low drop_off_rate_high is_small",
    ),
    "touchpoints": (
        "model persona period stage touchpoint",
        "person_count reach_rate next_stage_rate next_stage_rate_without lift lift_low lift_high q_value",
    ),
    "stage_sentiment": (
        "model persona period stage",
        "sentiment sentiment_low sentiment_high answer_count evidence",
    ),
    "pain_points": (
        "model persona period pain_rank",
        "stage subject kind grade slice first_day last_day is_ongoing scope person_count compared_count rate "
        "expected_rate lost_count lost_low lost_high q_value e_value headline",
    ),
    "promises": (
        "promise persona period",
        "stage due_count kept_count pending_count kept_rate kept_low kept_high target gap first_broken_at "
        "next_stage_rate_kept next_stage_rate_broken",
    ),
    "opportunities": (
        "model persona period opportunity_rank",
        "stage origin kind grade subject slice person_count lost_count lost_low lost_high worth_amount worth_low "
        "worth_high worth_alone_amount overlap_count sentiment_effect currency owner headline",
    ),
    "retention": (
        "start persona channel cohort age_index rule",
        "person_count returned_count not_returned_count pending_count matured_count matured_returned_count whole_count "
        "last_age_index retention_rate retention_low retention_high is_small",
    ),
    "repeat_purchases": (
        "persona order_number period",
        "person_count ordered_again_count not_again_count pending_count within_30d_rate within_60d_rate "
        "within_90d_rate within_180d_rate p50_seconds is_small",
    ),
    "referrals": (
        "persona",
        "person_count settled_count pending_count bringer_count settled_bringer_count brought_count "
        "settled_brought_count late_brought_count pending_brought_count further_brought_count "
        "brought_after_order_count referral_factor referral_factor_low referral_factor_high bringer_rate "
        "bringer_rate_low bringer_rate_high p50_seconds_to_bring p50_seconds_to_bring_low p50_seconds_to_bring_high "
        "p50_seconds_from_order p50_seconds_from_order_low p50_seconds_from_order_high deepest_generation is_small",
    ),
    "lifecycle": (
        "period persona",
        "active_count new_count returning_count resurrecting_count dormant_count pending_count is_open",
    ),
    "briefing": (
        "position",
        "headline table_name row_key change kind model persona",
    ),
    "blind_spots": (
        "kind subject",
        "severity item_count share_rate detail",
    ),
    "restatements": (
        "run_id table_name row_key column_name",
        "old_value new_value cause",
    ),
}
"""Table → its grain, and the key columns beside the grain."""
