"""What must add up in every published generation, whatever the input."""

from __future__ import annotations

import polars as pl

from external.projects import Project

ALL = "all"
UNIT_COUNTS = [
    "person_count",
    "converted_count",
    "drop_off_count",
    "pending_count",
    "matured_count",
    "matured_next_count",
    "tie_decided_count",
]
STEP = ["funnel", "persona", "period", "step_index"]


def assert_reconciles(project: Project) -> None:
    """Check every identity that the published tables promise."""
    every_row_is_accounted_for(project.table("load_audit"))
    steps = project.table("funnel_steps")
    outcomes_are_three(steps)
    rates_follow_from_the_counts(steps)
    parts_add_up(steps, "persona")
    parts_add_up(steps, "period")
    reasons_add_up(steps, project.table("drop_offs"))
    reasons_add_up(steps, project.table("drop_off_next"))
    models_see_the_same_events(project)
    persons_add_up(project)
    shares_add_up(project.table("stage_transitions"), ["model", "persona", "from_stage"], "transition_rate")
    shares_add_up(project.table("paths"), ["model", "persona"], "share_rate")
    everything_is_described(project)


def every_row_is_accounted_for(audit: pl.DataFrame) -> None:
    ends = ["accepted_count", "quarantined_count", "duplicate_count", "filtered_count", "erased_count"]
    assert (audit["record_count"] == audit.select(pl.sum_horizontal(ends)).to_series()).all()
    assert (audit["conflicting_count"] <= audit["duplicate_count"]).all()
    assert audit.height


def outcomes_are_three(steps: pl.DataFrame) -> None:
    keys = ["funnel", "persona", "period"]
    ordered = steps.sort(STEP).with_columns(
        next_count=pl.col("person_count").shift(-1).over(keys),
        is_last=pl.col("step_index") == pl.col("step_index").max().over(keys),
    )
    inner, last = ordered.filter(~pl.col("is_last")), ordered.filter("is_last")
    assert (inner["converted_count"] == inner["next_count"]).all()
    outcomes = inner["converted_count"] + inner["pending_count"] + inner["drop_off_count"]
    assert (outcomes == inner["person_count"]).all()
    assert (last["converted_count"] == last["person_count"]).all()
    assert last["drop_off_count"].is_null().all()
    assert last["pending_count"].is_null().all()
    sums = ordered.group_by(keys).agg(
        first=pl.col("person_count").first(),
        ended=pl.col("drop_off_count").sum() + pl.col("pending_count").sum() + pl.col("person_count").last(),
    )
    assert (sums["first"] == sums["ended"]).all()


def rates_follow_from_the_counts(steps: pl.DataFrame) -> None:
    keys = ["funnel", "persona", "period"]
    rows = steps.sort(STEP).with_columns(
        is_last=pl.col("step_index") == pl.col("step_index").max().over(keys),
        entered=pl.col("matured_count").first().over(keys),
        before=pl.col("matured_count").shift(1).over(keys),
    )
    matured, went_on = pl.col("matured_count"), pl.col("matured_next_count")
    expected = rows.select(
        conversion_rate=pl.when(pl.col("entered") > 0).then(matured / pl.col("entered")),
        step_conversion_rate=pl.when(pl.col("before") > 0).then(matured / pl.col("before")),
        drop_off_rate=pl.when((matured > 0) & ~pl.col("is_last")).then(1 - went_on / matured),
    )
    for column in expected.columns:
        both = rows.select(got=column).with_columns(want=expected[column])
        wrong = both.filter(
            (pl.col("got").is_null() != pl.col("want").is_null()) | ((pl.col("got") - pl.col("want")).abs() > 1e-9)
        )
        assert wrong.is_empty(), (column, wrong)
    known = rows.filter(pl.col("drop_off_rate").is_not_null())
    assert (known["drop_off_rate_low"] <= known["drop_off_rate"] + 1e-9).all()
    assert (known["drop_off_rate"] <= known["drop_off_rate_high"] + 1e-9).all()
    assert (rows["matured_count"] <= rows["person_count"]).all()
    floats = rows.select(pl.selectors.float())
    assert not any(floats[name].is_nan().any() for name in floats.columns)


def parts_add_up(steps: pl.DataFrame, part: str) -> None:
    keys = [key for key in STEP if key != part]
    parts = steps.filter(pl.col(part) != ALL).group_by(keys).agg(pl.col(UNIT_COUNTS).sum())
    whole = steps.filter(pl.col(part) == ALL).select(*keys, *UNIT_COUNTS).with_columns(pl.col(UNIT_COUNTS).fill_null(0))
    joined = whole.join(parts, on=keys, how="left", suffix="_of_parts").fill_null(0)
    for column in UNIT_COUNTS:
        wrong = joined.filter(pl.col(column) != pl.col(f"{column}_of_parts"))
        assert wrong.is_empty(), (part, column, wrong)


def reasons_add_up(steps: pl.DataFrame, reasons: pl.DataFrame) -> None:
    sums = reasons.group_by(STEP).agg(
        pl.col("drop_off_count").sum().alias("listed"), pl.col("share_rate").sum().alias("share")
    )
    joined = steps.select(*STEP, "drop_off_count").join(sums, on=STEP, how="full", coalesce=True)
    assert (joined["drop_off_count"].fill_null(0) == joined["listed"].fill_null(0)).all()
    assert ((joined["share"].drop_nulls() - 1).abs() < 1e-9).all()


def models_see_the_same_events(project: Project) -> None:
    kinds = project.table("event_kinds").group_by("model").agg(pl.col("event_count").sum())
    assert kinds["event_count"].n_unique() <= 1
    crosswalk = project.table("stage_crosswalk").group_by("model", "other_model").agg(pl.col("event_count").sum())
    assert crosswalk["event_count"].n_unique() <= 1
    assert set(crosswalk["event_count"]) <= set(kinds["event_count"])


def persons_add_up(project: Project) -> None:
    personas, stages = project.table("personas"), project.table("person_stages")
    parts = personas.filter(pl.col("persona") != ALL)
    persons = int(parts["person_count"].sum())
    assert set(personas.filter(pl.col("persona") == ALL)["person_count"]) <= {persons}
    assert "unassigned" in set(parts["persona"])
    assert persons == 0 or abs(float(parts["share_rate"].sum()) - 1) < 1e-9
    counts = stages.group_by("model").agg(pl.len(), pl.col("person_id").n_unique())
    assert (counts["len"] == persons).all()
    assert (counts["person_id"] == persons).all()


def shares_add_up(table: pl.DataFrame, keys: list[str], rate: str) -> None:
    sums = table.filter(pl.col(rate).is_not_null()).group_by(keys).agg(pl.col(rate).sum())[rate]
    assert ((sums - 1).abs() < 1e-9).all(), table


def everything_is_described(project: Project) -> None:
    described = project.table("dictionary")
    names = set(described["table_name"])
    for name in names - {"dictionary"}:
        columns = set(described.filter(pl.col("table_name") == name)["column_name"])
        assert set(project.table(name).columns) == columns, name
    assert described["meaning"].is_not_null().all()
