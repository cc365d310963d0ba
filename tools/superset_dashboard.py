"""`dashboards/superset.zip`, a dashboard for Apache Superset, generated from the metadata of the published tables."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from journeyflow.models import Model, load_graph
from journeyflow.publish.generation import is_measure, semantic_model
from journeyflow.utils.files import sql_folder

ADDRESS = "duckdb:////srv/shop/published/current/marts.duckdb"
"""Of the database: the one line that a user changes, also after the import, under Settings."""
NAME = "journeyflow"
ROOT = "journeyflow"
VERSION = "1.0.0"
TITLE = "Customer journeys"
_WRITTEN = "2026-01-01T00:00:00+00:00"
Item = dict[str, Any]


@dataclass(frozen=True)
class Chart:
    """A chart: of a raw table's columns, or of measures by an axis and series."""

    name: str
    table: str
    kind: str
    columns: tuple[str, ...]
    measures: tuple[str, ...] = ()
    order: tuple[str, bool] | None = None
    """Column and whether ascending."""
    filters: tuple[tuple[str, str, Any], ...] = ()
    width: int = 6
    scope: tuple[str, ...] = field(default=("funnel", "model", "persona", "period"))
    """The filters of the dashboard that it follows, where its table has the column."""


_MAP = ("model", "persona", "period")
_FUNNEL = ("funnel", "persona", "period")
CHARTS = (
    Chart("Who goes how far", "funnel_steps", "funnel", ("step",), ("person_count",)),
    Chart(
        "Steps of the funnel", "funnel_steps", "table",
        (*_FUNNEL, "step_index", "step", "person_count", "converted_count", "pending_count", "drop_off_count",
         "drop_off_rate", "drop_off_rate_low", "drop_off_rate_high", "is_small"),
        order=("step_index", True),
    ),
    Chart("Entries by day", "funnel_trend", "echarts_timeseries_line", ("entry_date", "step_index"), ("person_count",)),
    Chart(
        "Last touchpoints of those who left", "drop_offs", "table",
        (*_FUNNEL, "step_index", "last_touchpoint", "drop_off_count", "share_rate", "expected_rate", "lift"),
        order=("drop_off_count", False),
    ),
    Chart(
        "Personas", "personas", "echarts_timeseries_bar", ("persona",), ("person_count",),
        filters=(("persona", "!=", "all"),), scope=(),
    ),
    Chart(
        "Stages of the map", "map_stages", "echarts_timeseries_bar", ("stage",), ("person_count", "drop_off_count"),
        order=("person_count", False),
    ),
    Chart("Mood by stage", "stage_sentiment", "echarts_timeseries_bar", ("stage",), ("sentiment",)),
    Chart(
        "Touchpoints", "touchpoints", "table",
        (*_MAP, "stage", "touchpoint", "person_count", "reach_rate", "next_stage_rate", "lift", "q_value", "is_small"),
        order=("person_count", False),
    ),
    Chart(
        "What hurts, and what it costs", "opportunities", "table",
        (*_MAP, "opportunity_rank", "stage", "headline", "lost_count", "worth_amount", "currency", "remedy"),
        order=("opportunity_rank", True), width=12,
    ),
    Chart(
        "What cannot be seen", "blind_spots", "table", ("severity", "kind", "subject", "detail"),
        order=("severity", True), width=12,
    ),
)  # fmt: skip
FILTERS = {
    "funnel": ("Funnel", "funnel_steps", None),
    "model": ("Journey model", "map_stages", None),
    "persona": ("Persona", "funnel_steps", "all"),
    "period": ("Month of entry", "funnel_steps", "all"),
}
"""Column → label, table of its values, and what is chosen at first (the first value where None). One value is always
chosen: rows of `all` are totals, which no chart may add to the others.
"""


def superset_dashboard() -> bytes:
    """Return the archive; the same models give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(_files().items()):
            # JSON is YAML.
            text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
            info = zipfile.ZipInfo(f"{ROOT}/{name}", (1980, 1, 1, 0, 0, 0))
            archive.writestr(info, text.encode(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _files() -> dict[str, Item]:
    models = {model.table: model for model in load_graph(sql_folder()).published()}
    tables = sorted({chart.table for chart in CHARTS})
    metrics = {name: list(_metrics(models[name])) for name in tables}
    return {
        "metadata.yaml": {"version": VERSION, "type": "Dashboard", "timestamp": _WRITTEN},
        f"databases/{NAME}.yaml": _database(),
        **{f"datasets/{NAME}/{name}.yaml": _dataset(models[name], metrics[name]) for name in tables},
        **{f"charts/{_slug(chart.name)}.yaml": _chart(chart) for chart in CHARTS},
        f"dashboards/{_slug(TITLE)}.yaml": _dashboard(),
    }


def _database() -> Item:
    return {
        "database_name": NAME, "sqlalchemy_uri": ADDRESS, "cache_timeout": 0, "expose_in_sqllab": True,
        "allow_run_async": False, "allow_ctas": False, "allow_cvas": False, "allow_dml": False,
        "allow_file_upload": False,
        "extra": {"engine_params": {"connect_args": {"read_only": True}}, "metadata_params": {}},
        "uuid": _uuid("database", NAME), "version": VERSION,
    }  # fmt: skip


def _dataset(model: Model, metrics: list[Item]) -> Item:
    columns = [
        {
            "column_name": name, "verbose_name": None, "is_dttm": column.type in ("DATE", "TIMESTAMP"),
            "is_active": True, "type": column.type, "groupby": not is_measure(model, name), "filterable": True,
            "expression": None, "description": column.meaning + (f" [{column.unit}]" if column.unit else ""),
        }
        for name, column in model.columns.items()
    ]  # fmt: skip
    return {
        "table_name": model.table, "main_dttm_col": None, "description": model.metadata.description, "schema": "main",
        "sql": None, "params": None, "filter_select_enabled": True, "extra": None, "metrics": metrics,
        "columns": columns, "uuid": _uuid("dataset", model.table), "version": VERSION,
        "database_uuid": _uuid("database", NAME),
    }  # fmt: skip


def _metrics(model: Model) -> Iterator[Item]:
    """Yield a metric for each measure as it is published, and for each sum and rate of the semantic file.

    The first is of one row: where a chart mixes several, such as a total and its parts, it shows nothing.
    """
    for name, column in model.columns.items():
        if is_measure(model, name):
            yield _metric(name, f'CASE WHEN COUNT(*) = 1 THEN MAX("{name}") END', f"{column.meaning} Of one row.")
    for metric in semantic_model([model], NAME)["semantic_model"][0]["metrics"]:
        expression = metric["expression"]["dialects"][0]["expression"]
        name = metric["name"].removeprefix(f"{model.table}_")
        yield _metric(f"{name}_of_parts", expression, f"{metric['description']} Total rows are left out.")


def _metric(name: str, expression: str, description: str) -> Item:
    return {
        "metric_name": name, "verbose_name": None, "metric_type": None, "expression": expression,
        "description": description, "d3format": None, "extra": None, "warning_text": None,
    }  # fmt: skip


def _chart(chart: Chart) -> Item:
    is_table, is_series = chart.kind == "table", chart.kind.startswith("echarts_timeseries")
    adhoc = [
        {"clause": "WHERE", "expressionType": "SIMPLE", "subject": column, "operator": operator, "comparator": value}
        for column, operator, value in chart.filters
    ]
    params: Item = {"datasource": "0__table", "viz_type": chart.kind, "adhoc_filters": adhoc, "row_limit": 1000}
    order = [] if chart.order is None else [[chart.order[0], chart.order[1]]]
    columns: list[object] = list(chart.columns)
    if is_table:
        params |= {"query_mode": "raw", "all_columns": list(chart.columns)}
        params |= {"order_by_cols": [json.dumps(each) for each in order], "server_page_length": 50}
    elif is_series:
        axis, *series = chart.columns
        params |= {"x_axis": axis, "groupby": series, "metrics": list(chart.measures), "time_grain_sqla": "P1D"}
        params |= {"x_axis_sort": chart.order[0] if chart.order else axis, "x_axis_sort_asc": not chart.order}
        params |= {"show_legend": len(chart.measures) + len(series) > 1, "rich_tooltip": True, "truncateXAxis": False}
        base = {"columnType": "BASE_AXIS", "sqlExpression": axis, "label": axis, "expressionType": "SQL"}
        columns = [base | {"timeGrain": "P1D"} if axis.endswith("_date") else base, *series]
    else:
        params |= {"groupby": list(chart.columns), "metric": chart.measures[0], "sort_by_metric": True}
    query = {
        "columns": columns, "metrics": list(chart.measures), "orderby": order, "row_limit": 1000, "extras": {},
        "filters": [{"col": column, "op": operator, "val": value} for column, operator, value in chart.filters],
    }  # fmt: skip
    context = {
        "datasource": {"id": 0, "type": "table"}, "force": False, "queries": [query], "form_data": params,
        "result_format": "json", "result_type": "full",
    }  # fmt: skip
    return {
        "slice_name": chart.name, "description": None, "viz_type": chart.kind, "params": params,
        "query_context": json.dumps(context), "cache_timeout": None, "uuid": _uuid("chart", chart.name),
        "version": VERSION, "dataset_uuid": _uuid("dataset", chart.table),
    }  # fmt: skip


def _dashboard() -> Item:
    return {
        "dashboard_title": TITLE, "description": "Generated by journeyflow from the metadata of its published tables.",
        "css": "", "slug": NAME, "uuid": _uuid("dashboard", TITLE), "position": _position(), "version": VERSION,
        "metadata": {
            "native_filter_configuration": [_filter(column, *about) for column, about in FILTERS.items()],
            "show_native_filters": True, "cross_filters_enabled": False, "refresh_frequency": 0,
            "timed_refresh_immune_slices": [], "expanded_slices": {}, "color_scheme": "", "label_colors": {},
            "shared_label_colors": [],
        },
    }  # fmt: skip


def _filter(column: str, label: str, table: str, chosen: str | None) -> Item:
    mask: Item = {"extraFormData": {}, "filterState": {}}
    if chosen:
        mask = {
            "extraFormData": {"filters": [{"col": column, "op": "IN", "val": [chosen]}]},
            "filterState": {"value": [chosen], "label": chosen},
        }
    return {
        "id": f"NATIVE_FILTER-{column}", "name": label, "filterType": "filter_select", "type": "NATIVE_FILTER",
        "targets": [{"datasetUuid": _uuid("dataset", table), "column": {"name": column}}],
        "controlValues": {
            "enableEmptyFilter": True, "defaultToFirstItem": chosen is None, "multiSelect": False,
            "searchAllOptions": False, "inverseSelection": False,
        },
        "defaultDataMask": mask, "cascadeParentIds": [], "description": "",
        "scope": {
            "rootPath": ["ROOT_ID"],
            "excluded": [number for number, chart in enumerate(CHARTS, 1) if column not in chart.scope],
        },
    }  # fmt: skip


def _position() -> Item:
    """Return the layout: two charts a row, wide ones alone."""
    found: Item = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
        "GRID_ID": {"type": "GRID", "id": "GRID_ID", "children": [], "parents": ["ROOT_ID"]},
        "HEADER_ID": {"type": "HEADER", "id": "HEADER_ID", "meta": {"text": TITLE}},
    }
    room = 0
    for number, chart in enumerate(CHARTS, 1):
        if room < chart.width:
            row, room = f"ROW-{number}", 12
            found["GRID_ID"]["children"].append(row)
            found[row] = {
                "type": "ROW", "id": row, "children": [], "parents": ["ROOT_ID", "GRID_ID"],
                "meta": {"background": "BACKGROUND_TRANSPARENT"},
            }  # fmt: skip
        room -= chart.width
        place = f"CHART-{number}"
        found[row]["children"].append(place)
        found[place] = {
            "type": "CHART", "id": place, "children": [], "parents": ["ROOT_ID", "GRID_ID", row],
            "meta": {
                "chartId": number, "uuid": _uuid("chart", chart.name), "sliceName": chart.name, "width": chart.width,
                "height": 50,
            },
        }  # fmt: skip
    return found


def _slug(name: str) -> str:
    return "".join(sign if sign.isalnum() else "_" for sign in name)


def _uuid(kind: str, name: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"journeyflow/superset/{kind}/{name}"))


def archived(archive: bytes) -> Mapping[str, Item]:
    """Return the files of an archive by their names below its folder."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name.removeprefix(f"{ROOT}/"): json.loads(opened.read(name)) for name in opened.namelist()}
