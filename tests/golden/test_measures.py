"""What the metadata say of sums and ratios holds in every published table of the sample."""

from __future__ import annotations

import json

import pytest

import journeyflow


@pytest.fixture(scope="module")
def tables(sample):
    with journeyflow.open(sample.folder / "published") as marts:
        semantic = json.loads((marts.folder / "semantic.json").read_text(encoding="utf-8"))
        yield marts, semantic["semantic_model"][0]


def facts(item):
    return json.loads(item["custom_extensions"][0]["data"])


def test_rows_add_up_to_the_total_where_they_are_said_to(tables):
    marts, semantic = tables
    queries = []
    for dataset in semantic["datasets"]:
        totals = facts(dataset)["totals"]
        for field in dataset["fields"]:
            for over in facts(field).get("additive_over", []) if "denominator" not in facts(field) else []:
                if over in totals:
                    others = ", ".join(f'"{name}"' for name in dataset["primary_key"] if name != over) or "1"
                    queries.append(
                        f"select '{dataset['name']}.{field['name']} over {over}' as what from {dataset['name']} "
                        f"group by {others} having count(*) filter (where {over} = 'all') = 1 and "
                        f"coalesce(sum({field['name']}) filter (where {over} = 'all'), 0) "
                        f"<> coalesce(sum({field['name']}) filter (where {over} <> 'all'), 0)"
                    )
    assert len(queries) > 50
    assert marts.records(f"select what, count(*) as wrong from ({' union all '.join(queries)}) group by what") == []


def test_a_column_with_a_total_row_is_named_as_one(tables):
    marts, semantic = tables
    queries = [
        f"select '{dataset['name']}.{name}' as what from {dataset['name']} where \"{name}\" = 'all'"
        for dataset in semantic["datasets"]
        for name in dataset.get("primary_key", [])
        if name not in facts(dataset)["totals"] and facts(_field(dataset, name))["type"] == "VARCHAR"
    ]
    assert marts.records(f"select distinct what from ({' union all '.join(queries)})") == []


def _field(dataset, name):
    return next(field for field in dataset["fields"] if field["name"] == name)


def test_rates_follow_from_the_counts_that_are_named(tables):
    marts, semantic = tables
    queries = []
    for dataset in semantic["datasets"]:
        for field in dataset["fields"]:
            if "denominator" in facts(field):
                found = f"({facts(field)['numerator']}) / nullif({facts(field)['denominator']}, 0)"
                queries.append(
                    f"select '{dataset['name']}.{field['name']}' as what, "
                    f"count(*) filter (where abs({field['name']} - {found}) > 1e-4 * abs({field['name']})) as wrong, "
                    f"count({field['name']}) as known from {dataset['name']}"
                )
    rows = marts.records(" union all ".join(queries))
    assert len(rows) > 10
    assert [row for row in rows if row["wrong"]] == []
    assert sum(row["known"] > 0 for row in rows) > 10


def test_every_metric_is_a_query_and_no_other_total_comes_of_it(tables):
    marts, semantic = tables
    for metric in semantic["metrics"]:
        expression = metric["expression"]["dialects"][0]["expression"]
        marts.rows(f"select {expression} from {facts(metric)['dataset']}")
    (total,) = marts.rows(
        "select sum(case when funnel_steps.persona <> 'all' and funnel_steps.period <> 'all' then person_count end) "
        "from funnel_steps where funnel = 'checkout' and step_index = 1"
    )[1][0]
    (published,) = marts.rows(
        "select person_count from funnel_steps "
        "where funnel = 'checkout' and step_index = 1 and persona = 'all' and period = 'all'"
    )[1][0]
    assert total == published > 0
