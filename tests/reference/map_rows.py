"""Rows of `kernel.map_journeys` and `stage_interactions` as the reference finds them."""

from __future__ import annotations

from typing import Any

from journeyflow.kernel.plan import KernelPlan, StageFunnelPlan
from reference.exits import ReadEvent
from reference.interactions import interactions_of, month_of

Row = dict[str, Any]


def add_map(rows: dict[str, list[Row]], reads: list[ReadEvent], funnel: StageFunnelPlan, plan: KernelPlan) -> None:
    """Add the rows of one person in one model."""
    m = funnel.model_index - 1
    stage_count = plan.model(funnel.model_index).stage_count
    found: list[tuple[Row, list[ReadEvent]]] = []
    for number in sorted({read.journey for read in reads}):
        its = [read for read in reads if read.journey == number]
        start = its[0].event.at
        seen = {read.classifications[m][0] for read in its if read.event.at - start <= funnel.window_us}
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
        times, event_types = [read.event.at for read in its], [read.event.event_type for read in its]
        for interaction in interactions_of(
            times, event_types, [read.classifications[m][0] for read in its], funnel.window_us, plan.exposures
        ):
            rows["kernel.stage_interactions"].append({
                "model_index": funnel.model_index, "person_key": its[0].person, "journey_index": row["journey_index"],
                "stage_index": interaction.stage_index, "exposure_ix": interaction.exposure_ix,
                "touch_count": interaction.count,
            })  # fmt: skip


def _furthest(rows: list[Row]) -> Row:
    return max(rows, key=lambda row: (row["depth"], -row["journey_index"]))
