"""Models as Spark has them: each rule of the dialect, the whole text of a few, and that none of the cut is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from journeyflow.engines.spark_sql import spark_select
from journeyflow.errors import EngineError
from journeyflow.models import load_graph
from journeyflow.pipeline.builder import spark_cut
from journeyflow.utils.files import sql_folder

HERE = Path(__file__).parent / "spark_sql"
GRAPH = load_graph(sql_folder())
CUT = sorted(name for name in spark_cut(GRAPH) if GRAPH[name].sql)
SHOWN = ("funnels.funnel_step_times", "journeys.path_codes", "journeys.event_stream", "map.promise_events")

RULES = {
    "select a.x from layer.name as a": "SELECT `a`.`x` FROM `layer__name` AS `a`",
    "select name.x from layer.name": "SELECT `name`.`x` FROM `layer__name` AS `name`",
    "select layer.name.x from layer.name": "SELECT `name`.`x` FROM `layer__name` AS `name`",
    "select x from layer.name order by x": "SELECT `x` FROM `layer__name` AS `name`",
    "select concat('a', x) as y": "SELECT CONCAT(COALESCE('a', ''), COALESCE(CAST(`x` AS STRING), '')) AS `y`",
    "select a / b as y": "SELECT (CAST(`a` AS DOUBLE) / NULLIF(CAST(`b` AS DOUBLE), 0)) AS `y`",
    "select cast(x as ubigint) as y": "SELECT CAST(`x` AS BIGINT) AS `y`",
    "select quantile_cont(x, 0.5) as y": "SELECT PERCENTILE(`x`, 0.5) AS `y`",
    "select date_diff('microsecond', a, b) as y": (
        "SELECT (UNIX_MICROS(CAST(`b` AS TIMESTAMP_LTZ)) - UNIX_MICROS(CAST(`a` AS TIMESTAMP_LTZ))) AS `y`"
    ),
    "select date_diff('day', a, b) as y": (
        "SELECT CAST(DATEDIFF(CAST(`b` AS DATE), CAST(`a` AS DATE)) AS BIGINT) AS `y`"
    ),
    "select json_extract_string(d, '/a/b~1c') as y": r"SELECT GET_JSON_OBJECT(`d`, '$[\'a\'][\'b/c\']') AS `y`",
    "select json_extract_string(d, p) as y": (
        r"SELECT CASE `p` WHEN '/a' THEN GET_JSON_OBJECT(`d`, '$[\'a\']') END AS `y`"
    ),
    r"select regexp_full_match(x, '\d+', 's') as y": r"SELECT `x` RLIKE '(?s)\\A(?:\\d+)\\z' AS `y`",
    "select rank() over (order by x) as y": "SELECT CAST(RANK() OVER (ORDER BY `x` NULLS LAST) AS BIGINT) AS `y`",
    "select lag(x) over (order by k rows between unbounded preceding and current row) as y": (
        "SELECT LAG(`x`) OVER (ORDER BY `k` NULLS LAST) AS `y`"
    ),
}
REFUSED = {
    "select list_extract(x, 1) as y": "list_extract",
    "select date_diff('hour', a, b) as y": "hour",
    "select regexp_full_match(x, p) as y": "literal patterns",
    "select string_agg(x, ',') as y": "order",
    "select json_extract_string(d, '$.a') as y": "JSON pointers",
    "select json_extract_string(d, '/it''s') as y": "JSON pointers",
}


@pytest.mark.parametrize("select", RULES)
def test_each_rule(select: str) -> None:
    assert spark_select(select, ["/a"]) == RULES[select]


@pytest.mark.parametrize("select", REFUSED)
def test_what_has_no_translation_is_refused(select: str) -> None:
    with pytest.raises(EngineError, match=REFUSED[select]):
        spark_select(select)


@pytest.mark.parametrize("name", CUT)
def test_every_model_of_the_cut_has_a_translation(name: str) -> None:
    assert spark_select(GRAPH[name].sql or "").startswith(("SELECT ", "WITH "))


@pytest.mark.parametrize("name", SHOWN)
def test_the_text_of_a_few_models_has_not_changed(name: str) -> None:
    text = spark_select(GRAPH[name].sql or "", ["/order_id"]) + "\n"
    place = HERE / f"{name}.sql"
    if os.environ.get("JOURNEYFLOW_WRITE_GOLDEN"):
        place.write_text(text, encoding="utf-8")
    assert text == place.read_text(encoding="utf-8")
