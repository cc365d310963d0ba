"""How often the map lists a pain point where there is none: outcomes permuted within persona and stage.

Takes the sample and, where `JOURNEYFLOW_EXTERNAL_DATA` is set, the personas shop of the real inputs too; runs a night;
and keeps which passes met what while it deals the outcomes (went on or not) out anew among the passes of each stage and
persona. Whatever is listed then is a false alarm. At 5 % a map has 10 of them in 200 on average and, 99 times in 100,
no more than 18.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

PERMUTATIONS = 200
MOST = 18
"""Of 200 maps at 5 % each, 99 times in 100 (binomial)."""
SHOWN = 12
LISTED = (pl.col("q_value") <= 0.05) & (pl.col("excess_rate") > 0)
MAP = ["model_index", "persona", "period"]
TEST = [*MAP, "stage_index", "exposure_ix", "exposure"]
POOL = ["model_index", "persona", "stage_index"]
"""Whose outcomes are dealt out among them: passes of all months; the whole time has the same passes."""
KEYS = ["model_index", "stage_index", "person_key", "journey_index", "attempt_index"]
ROOT = Path(__file__).resolve().parents[1]

_PASSES = """
    select
        passes.model_index, passes.stage_index, passes.person_key, passes.journey_index, passes.attempt_index,
        passes.exposure_ix, facts.persona, passes.touch_count, passes.longest_wait_seconds,
        substr(cast(passes.month_number as varchar), 1, 4) || '-' || substr(cast(passes.month_number as varchar), 5, 2)
            as month,
        not passes.is_advanced as is_left
    from kernel.stage_attempts as passes
    inner join journeys.journey_facts as facts
        on facts.person_key = passes.person_key and facts.journey_index = passes.journey_index
    inner join (select model_index, max(stage_index) as last from config.stages group by model_index) as lasts
        on lasts.model_index = passes.model_index and passes.stage_index < lasts.last
    where passes.is_matured
"""
_VISITS = f"""
    select model_index, persona, stage_index, person_key, journey_index, attempt_index, is_left
    from ({_PASSES}) where exposure_ix = 0
"""
_EXPOSURES = f"""
    with touches as (
        select
            passes.model_index, passes.stage_index, passes.person_key, passes.journey_index, passes.attempt_index,
            passes.month, passes.exposure_ix, subjects.exposure_kind, passes.touch_count,
            passes.longest_wait_seconds > waits.long_wait_seconds as is_long
        from ({_PASSES}) as passes
        inner join map.exposures as subjects on subjects.exposure_ix = passes.exposure_ix
        left join map.wait_thresholds as waits
            on waits.model_index = passes.model_index and waits.stage_index = passes.stage_index
            and waits.exposure_ix = passes.exposure_ix and waits.persona = passes.persona
    ),

    exposed as (
        select * exclude (touch_count, is_long), 'met' as exposure from touches
        union all
        select * exclude (touch_count, is_long), 'repeat' as exposure from touches
        where exposure_kind = 'touchpoint' and touch_count >= 3
        union all
        select * exclude (touch_count, is_long), 'wait' as exposure from touches where is_long
    )

    select * exclude (month), month as period from exposed
    union all
    select * exclude (month), 'all' as period from exposed
"""


@dataclass(frozen=True)
class Passes:
    """Matured passes through stages, a row each, and what they met, a row each exposure of each and period."""

    visits: pl.DataFrame
    """`POOL`, `is_left`; sorted pool by pool."""
    exposures: pl.DataFrame
    """`TEST`, `exposure_kind`, and `visit`, the row of `visits`."""
    min_count: int

    def strata(self, left: npt.NDArray[np.bool_]) -> pl.DataFrame:
        """Return what `pain_tests` reads when those marked in `left` did not go on."""
        visits = self.visits.with_columns(is_left=pl.Series(left))
        every = visits.group_by(POOL).agg(visited=_count(), visited_left=_sum("is_left"))
        met = self.exposures.with_columns(is_left=pl.Series(left[self.exposures["visit"].to_numpy()]))
        counted = met.group_by(*TEST, "exposure_kind").agg(exposed=_count(), hits=_sum("is_left"))
        same = [*POOL, "exposure_ix", "exposure"]
        whole = counted.filter(pl.col("period") == "all").select(*same, all_exposed="exposed", all_hits="hits")
        is_in_months = (pl.col("period") != "all") & (pl.col("exposure_kind") != "friction")
        return (
            counted.join(every, on=POOL)
            .join(whole, on=same)
            .with_columns(
                pass_count="exposed",
                others_base=pl.col("visited") - pl.col("exposed"),
                others_base_hits=pl.col("visited_left") - pl.col("hits"),
                months_base=pl.when(is_in_months).then(pl.col("all_exposed") - pl.col("exposed")).otherwise(0),
                months_base_hits=pl.when(is_in_months).then(pl.col("all_hits") - pl.col("hits")).otherwise(0),
            )
        )

    def dealt_out(self, draw: np.random.Generator) -> npt.NDArray[np.bool_]:
        """Return the outcomes, permuted within each pool."""
        pool = self.visits.select(pl.struct(POOL).rank("dense")).to_series().to_numpy()
        return self.visits["is_left"].to_numpy()[np.lexsort((draw.random(len(pool)), pool))]


def false_alarms(folder: Path) -> dict[str, object]:
    """Print the maps with most tests; answer how many maps there are and the most false alarms of any of them."""
    del folder
    begun = time.perf_counter()
    alerts = []
    for config in _configurations():
        with tempfile.TemporaryDirectory() as scratch:
            passes, models = _night(config, Path(scratch))
        found = count_alarms(passes)
        _show(config.parent.name, found, models)
        alerts.extend(found["alarm_count"].to_list())
    spent = time.perf_counter() - begun
    return {"seconds": spent, "maps": len(alerts), "most_alarms": max(alerts), "allowed": MOST}


def count_alarms(passes: Passes, *, permutations: int = PERMUTATIONS, seed: int = 1) -> pl.DataFrame:
    """Return (`MAP`, `test_count`, `alarm_count`): the tests of each map and the permutations that listed any."""
    from journeyflow.statistics.tests import pain_tests

    draw = np.random.default_rng(seed)
    seen, tested = [], []
    for _ in range(permutations):
        told = pain_tests(passes.strata(passes.dealt_out(draw)), passes.min_count).filter(
            pl.col("q_value").is_not_null()
        )
        tested.append(told.group_by(MAP).agg(test_count=pl.len()))
        seen.append(told.filter(LISTED).select(MAP).unique())
    alerts = pl.concat(seen).group_by(MAP).agg(alarm_count=pl.len())
    return tested[0].join(alerts, on=MAP, how="left").with_columns(pl.col("alarm_count").fill_null(0)).sort(MAP)


def _configurations() -> Iterator[Path]:
    yield ROOT / "data" / "sample" / "journeyflow.yml"
    if "JOURNEYFLOW_EXTERNAL_DATA" in os.environ:
        yield ROOT / "tests" / "external" / "shop_personas" / "journeyflow.yml"


def _night(template: Path, scratch: Path) -> tuple[Passes, dict[int, str]]:
    """Run a night on a copy and read which passes met what; stop where the figures are not those of the night."""
    import journeyflow
    from journeyflow.engines import DuckDBEngine

    folder = scratch / "project"
    shutil.copytree(template.parent, folder, ignore=shutil.ignore_patterns("state", "published"))
    config = folder / "journeyflow.yml"
    external = str(Path(os.environ.get("JOURNEYFLOW_EXTERNAL_DATA", "")).absolute())
    config.write_text(config.read_text(encoding="utf-8").replace("@external@", external), encoding="utf-8")
    journeyflow.run(journeyflow.load_config(config))
    with DuckDBEngine(folder / "state" / "build.duckdb") as engine:
        min_count = engine.rows("select min_count from config.settings").column(0)[0].as_py()
        passes = _passes(pl.DataFrame(engine.rows(_VISITS)), pl.DataFrame(engine.rows(_EXPOSURES)), min_count)
        told = pl.DataFrame(engine.rows("select * from statistics.pain_tests"))
        models = dict(pl.DataFrame(engine.rows("select model_index, model from config.models")).rows())
    _require_same(passes, told)
    return passes, models


def _passes(visits: pl.DataFrame, exposures: pl.DataFrame, min_count: int) -> Passes:
    ordered = visits.sort(*POOL, "person_key", "journey_index", "attempt_index").with_row_index("visit")
    met = exposures.join(ordered.select("visit", "persona", *KEYS), on=KEYS)
    return Passes(ordered.select(*POOL, "is_left"), met.select(*TEST, "exposure_kind", "visit"), min_count)


def _require_same(passes: Passes, told: pl.DataFrame) -> None:
    """Stop unless the outcomes as they were give the tests that the night published."""
    from journeyflow.statistics.tests import pain_tests

    again = pain_tests(passes.strata(passes.visits["is_left"].to_numpy()), passes.min_count)
    both = told.join(again, on=TEST, how="full", suffix="_again", nulls_equal=True)
    differ = both.filter((pl.col("p_value") - pl.col("p_value_again")).abs() > 1e-9)
    if both.height != told.height or told.height != again.height or differ.height:
        raise SystemExit("The tests made from the relations of the kernel are not those of the night.")


def _show(name: str, found: pl.DataFrame, models: dict[int, str]) -> None:
    print(f"\n{name}: {found.height} maps, {PERMUTATIONS} permutations, at most {MOST} false alarms each")
    for row in found.sort("test_count", *MAP, descending=[True, False, False, False]).head(SHOWN).to_dicts():
        label = f"{models[row['model_index']]}, {row['persona']}, {row['period']}"
        print(f"  {label:40} {row['test_count']:4} tests  {row['alarm_count']:3} false alarms")
    print(f"  {'most of any map':40} {'':10}  {found['alarm_count'].max():3} false alarms", flush=True)


def _count() -> pl.Expr:
    return pl.len().cast(pl.Int64)


def _sum(column: str) -> pl.Expr:
    return pl.col(column).sum().cast(pl.Int64)


TASKS = {"false_alarms": false_alarms}
