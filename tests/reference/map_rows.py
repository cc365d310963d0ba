"""Rows of `kernel.map_journeys`, `kernel.stage_interactions` and `kernel.stage_attempts`, by the reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from journeyflow.kernel.plan import KernelPlan, StageFunnelPlan
from reference.leaving import Read
from reference.passes import attempt_interactions, stage_attempts_of
from reference.touches import interactions_of, month_of

Row = dict[str, Any]


def add_map(rows: dict[str, list[Row]], reads: list[Read], funnel: StageFunnelPlan, plan: KernelPlan) -> None:
    """Add the rows of one person in one model."""
    m = funnel.model_index - 1
    stage_count = plan.model(funnel.model_index).stage_count
    found: list[tuple[Row, list[Read]]] = []
    for number in sorted({read.journey for read in reads}):
        its = [read for read in reads if read.journey == number]
        rows["kernel.stage_attempts"].extend(_pass_rows(its, funnel, plan))
        start = its[0].event.at
        seen = {read.labels[m][0] for read in its if read.event.at - start <= funnel.window_us}
        depth = max(seen)
        if depth:
            is_over = start + funnel.window_us <= plan.high_water_us
            row = {
                "model_index": funnel.model_index, "person_key": its[0].person, "journey_index": number,
                "entered_at": start, "month": month_of(start, plan), "depth": depth,
                "visited_stages": "".join("1" if k + 1 in seen else "0" for k in range(stage_count)),
                "is_pending": depth < stage_count and not is_over, "is_matured": is_over,
            }  # fmt: skip
            found.append((row, its))
    for row, its in found:
        among = [each for each, _ in found if each["month"] == row["month"]]
        if row is not _furthest(among):
            continue
        is_furthest = row is _furthest([each for each, _ in found])
        rows["kernel.map_journeys"].append(row | {"is_furthest": is_furthest, "is_furthest_in_month": True})
        times, kinds = [read.event.at for read in its], [read.event.kind for read in its]
        for touch in interactions_of(
            times, kinds, [read.labels[m][0] for read in its], funnel.window_us, plan.subjects
        ):
            rows["kernel.stage_interactions"].append({
                "model_index": funnel.model_index, "person_key": its[0].person, "journey_index": row["journey_index"],
                "stage_index": touch.stage_index, "exposure_ix": touch.exposure_ix, "touch_count": touch.count,
                "longest_wait_seconds": touch.longest_wait,
            })  # fmt: skip


def _pass_rows(its: list[Read], funnel: StageFunnelPlan, plan: KernelPlan) -> Iterator[Row]:
    times, kinds = [read.event.at for read in its], [read.event.kind for read in its]
    stages = [read.labels[funnel.model_index - 1][0] for read in its]
    sessions = [read.session for read in its]
    stage_count = plan.model(funnel.model_index).stage_count
    for stage in range(1, stage_count + 1):
        subjects = [each for each in plan.subjects if each.is_of_passes and (each.is_loose or stage < stage_count)]
        for one in stage_attempts_of(times, stages, sessions, stage, funnel.window_us):
            of_pass = {
                "model_index": funnel.model_index, "person_key": its[0].person, "journey_index": its[0].journey,
                "stage_index": stage, "attempt_index": one.number, "opened_at": one.opened_at,
                "month_number": int(month_of(one.opened_at, plan).replace("-", "")), "is_advanced": one.is_advanced,
                "is_matured": one.opened_at + funnel.window_us <= plan.high_water_us,
            }  # fmt: skip
            for touch in attempt_interactions(one, times, kinds, stages, funnel.window_us, subjects):
                yield of_pass | {
                    "exposure_ix": touch.exposure_ix, "touch_count": touch.count,
                    "longest_wait_seconds": touch.longest_wait,
                }  # fmt: skip


def _furthest(rows: list[Row]) -> Row:
    return max(rows, key=lambda row: (row["depth"], -row["journey_index"]))
