"""The dashboard for Superset: an archive of the form that it imports, made of the published tables as they are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from uuid import UUID

import pytest
from tools import superset_dashboard
from tools.superset_dashboard import CHARTS, FILTERS, archived

from support.few_models import all_models

ARCHIVE = Path(__file__).parents[2] / "dashboards" / "superset.zip"


@pytest.fixture(scope="module")
def made():
    return superset_dashboard.superset_dashboard()


@pytest.fixture(scope="module")
def files(made):
    return archived(made)


@pytest.fixture(scope="module")
def models():
    return {model.table: model for model in all_models().published()}


def of_kind(files, kind):
    return {name: content for name, content in files.items() if name.startswith(f"{kind}/")}


def test_the_archive_is_fresh(made):
    if os.environ.get("JOURNEYFLOW_WRITE_DOCS"):
        ARCHIVE.write_bytes(made)
    assert archived(ARCHIVE.read_bytes()) == archived(made), "run: make docs"


def test_every_reference_is_to_a_file_of_the_archive(files):
    (database,) = of_kind(files, "databases").values()
    datasets = {content["uuid"]: content for content in of_kind(files, "datasets").values()}
    charts = {content["uuid"]: content for content in of_kind(files, "charts").values()}
    (dashboard,) = of_kind(files, "dashboards").values()
    assert files["metadata.yaml"]["type"] == "Dashboard"
    assert {content["version"] for content in files.values()} == {"1.0.0"}
    for content in files.values():
        if "uuid" in content:
            assert str(UUID(content["uuid"])) == content["uuid"]
    assert {content["database_uuid"] for content in datasets.values()} == {database["uuid"]}
    assert {content["dataset_uuid"] for content in charts.values()} <= datasets.keys()
    placed = [
        item["meta"] for item in dashboard["position"].values() if isinstance(item, dict) and item["type"] == "CHART"
    ]
    assert sorted(item["uuid"] for item in placed) == sorted(charts)
    assert len(charts) == len(CHARTS) >= 10
    for item in dashboard["metadata"]["native_filter_configuration"]:
        (target,) = item["targets"]
        assert target["column"]["name"] in {each["column_name"] for each in datasets[target["datasetUuid"]]["columns"]}
        assert set(item["scope"]["excluded"]) <= {each["chartId"] for each in placed}


def test_the_database_is_opened_for_reading_only_and_holds_no_password(files):
    (database,) = of_kind(files, "databases").values()
    assert database["extra"]["engine_params"]["connect_args"] == {"read_only": True}
    assert not any(database[name] for name in ("allow_dml", "allow_ctas", "allow_cvas", "allow_file_upload"))
    assert "@" not in database["sqlalchemy_uri"]


def test_datasets_have_every_column_with_its_meaning(files, models):
    for content in of_kind(files, "datasets").values():
        model = models[content["table_name"]]
        assert content["description"] == model.metadata.description
        assert [each["column_name"] for each in content["columns"]] == list(model.columns)
        assert all(
            each["description"].startswith(model.columns[each["column_name"]].meaning) for each in content["columns"]
        )
        names = [each["metric_name"] for each in content["metrics"]]
        assert len(names) == len(set(names))


def test_no_chart_adds_totals_to_their_parts(files, models):
    (dashboard,) = of_kind(files, "dashboards").values()
    filters = {
        item["id"].removeprefix("NATIVE_FILTER-"): item for item in dashboard["metadata"]["native_filter_configuration"]
    }
    assert filters.keys() == FILTERS.keys()
    for name in ("persona", "period"):
        assert filters[name]["defaultDataMask"]["filterState"]["value"] == ["all"]
    for item in filters.values():
        assert item["controlValues"]["enableEmptyFilter"]
        assert not item["controlValues"]["multiSelect"]
    for number, chart in enumerate(CHARTS, 1):
        model = models[chart.table]
        grouped = {column for column, item in filters.items() if number not in item["scope"]["excluded"]}
        named = {column for column, *_ in chart.filters} | grouped
        assert set(model.metadata.measures.totals) <= named, chart.name
        # What is left of the key tells the rows of the chart apart: a measure is of one row.
        if chart.kind != "table":
            assert set(model.grain) - named <= set(chart.columns) | (
                {"step_index"} if "step" in chart.columns else set()
            )
        assert {*chart.columns, *chart.measures} <= set(model.columns)
        content = files[f"charts/{superset_dashboard._slug(chart.name)}.yaml"]
        assert json.loads(content["query_context"])["queries"][0]["metrics"] == list(chart.measures)


def test_measures_are_shown_of_one_row_only(files):
    content = files["datasets/journeyflow/funnel_steps.yaml"]
    metrics = {each["metric_name"]: each["expression"] for each in content["metrics"]}
    assert metrics["drop_off_rate"] == 'CASE WHEN COUNT(*) = 1 THEN MAX("drop_off_rate") END'
    assert metrics["drop_off_rate_of_parts"].startswith("SUM(CASE WHEN funnel_steps.persona <> 'all'")
    assert "drop_off_rate_low_of_parts" not in metrics
