"""Funnels, maps and opportunities as data frames that a notebook shows as tables with bars, and draws as charts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, ClassVar, Literal

import polars as pl

from journeyflow.errors import InputError, require_known
from journeyflow.publish.reader import PublishedTables
from journeyflow.report.analyses import CHANGES, starts_of, triangle
from journeyflow.report.formatting import display_text
from journeyflow.report.reader import DISCOVERED, first_model
from journeyflow.utils.formatting import count, percent

ALL = "all"
STEP_COLUMNS = (
    "persona", "step_index", "step", "person_count", "converted_count", "pending_count", "drop_off_count",
    "conversion_rate", "drop_off_rate",
)  # fmt: skip
"""Columns of a funnel that is not wide."""
_HEADLINE = 400
_OUTCOMES = {"converted_count": "#2f7d4f", "pending_count": "#d9a514", "drop_off_count": "#b8402a"}
_MOOD = {"domain": [-1, 1], "scheme": "redyellowgreen"}
_MEANINGS = {"converted_count": "went on", "pending_count": "pending", "drop_off_count": "dropped"}


class NotebookFrame(pl.DataFrame):
    """A polars frame with a display of its own in Jupyter, and a chart.

    Results of further operations, which may lack its columns, are shown as any frame.
    """

    _needed: ClassVar[tuple[str, ...]] = ()
    _shown: ClassVar[dict[str, Callable[[dict[str, Any]], object]]] = {}
    """Heading → what stands below it, of a row."""

    def _repr_html_(self, *, _from_series: bool = False) -> str:
        return self._html() if self._is_whole() else super()._repr_html_(_from_series=_from_series)

    def plot(self) -> Any:  # type: ignore[override] # noqa: ANN401 - a chart of altair, which is an extra
        """Return an altair chart; InputError when altair is not installed, or a column that it draws is gone."""
        if not self._is_whole():
            raise InputError(f"This frame lacks columns that the chart shows: {', '.join(self._needed)}.")
        try:
            from altair import Chart
        except ImportError as error:
            raise InputError("Charts need altair, an extra: pip install 'journeyflow[plot]'") from error
        return Chart.from_dict(self.chart_spec())

    def chart_spec(self) -> dict[str, Any]:
        """Return the chart as a specification of Vega-Lite, with its data."""
        raise AttributeError("a plain frame has no chart")

    def _html(self) -> str:
        rows = ([show(row) for show in self._shown.values()] for row in self.iter_rows(named=True))
        return _table(list(self._shown), rows)

    def _is_whole(self) -> bool:
        return set(self._needed) <= set(self.columns)


class FunnelFrame(NotebookFrame):
    """The steps of a funnel, as rows of `funnel_steps`."""

    _needed = ("step_index", "step", "person_count", *_OUTCOMES, "conversion_rate", "drop_off_rate")

    def _html(self) -> str:
        most = max([1, *self["person_count"].to_list()])
        rows = [
            (
                *((display_text(row["persona"]),) if "persona" in row else ()),
                f"{row['step_index']} {display_text(row['step'])}",
                _Bar([((row[name] or 0) / most, colour) for name, colour in _OUTCOMES.items()]),
                *(count(row[name]) for name in ("person_count", *_OUTCOMES)),
                percent(row["conversion_rate"]),
                percent(row["drop_off_rate"]),
            )
            for row in self.iter_rows(named=True)
        ]
        heads = ["step", "", "reached", *_MEANINGS.values(), "conversion", "drop-off"]
        return _table([*(["persona"] if "persona" in self.columns else []), *heads], rows)

    def chart_spec(self) -> dict[str, Any]:
        """Return a bar per step, divided by outcome; one chart per persona where there are several."""
        values = [
            {
                "step": f"{row['step_index']} {display_text(row['step'])}",
                "outcome": meaning,
                "persons": row[name] or 0,
                "order": at,
                "persona": display_text(row.get("persona", ALL)),
            }
            for row in self.iter_rows(named=True)
            for at, (name, meaning) in enumerate(_MEANINGS.items())
        ]
        colours = {"domain": list(_MEANINGS.values()), "range": list(_OUTCOMES.values())}
        encoding = {
            "x": {"field": "persons", "type": "quantitative", "stack": "zero"},
            "y": {"field": "step", "type": "nominal", "sort": None},
            "color": {"field": "outcome", "type": "nominal", "scale": colours, "title": None},
            "order": {"field": "order", "type": "quantitative"},
            "tooltip": [{"field": name, "type": "nominal"} for name in ("persona", "step", "outcome", "persons")],
        }
        if len({value["persona"] for value in values}) > 1:
            encoding["row"] = {"field": "persona", "type": "nominal"}
        return _chart(values, "bar", encoding)


class MapFrame(NotebookFrame):
    """The stages of one journey map, in their order."""

    _needed = ("stage", "person_count", "drop_off_count", "drop_off_rate", "sentiment", "touchpoint", "opportunity")

    def _html(self) -> str:
        stages = list(self.iter_rows(named=True))
        lines: list[tuple[object, ...]] = [
            ("Persons", *(count(row["person_count"]) for row in stages)),
            ("Leave", *(f"{percent(row['drop_off_rate'])} ({count(row['drop_off_count'])})" for row in stages)),
            ("Sentiment", *("unknown" if row["sentiment"] is None else f"{row['sentiment']:+.2f}" for row in stages)),
            ("Most met", *(display_text(row["touchpoint"] or "-") for row in stages)),
            ("Fix first", *(display_text(row["opportunity"] or "-", _HEADLINE) for row in stages)),
        ]
        return _table(["", *(display_text(row["stage"]) for row in stages)], lines)

    def chart_spec(self) -> dict[str, Any]:
        """Return a bar per stage, coloured by sentiment."""
        names = ("stage", "person_count", "drop_off_rate", "sentiment")
        values = [
            {name: row[name] for name in names} | {"stage": display_text(row["stage"])}
            for row in self.iter_rows(named=True)
        ]
        encoding = {
            "x": {"field": "stage", "type": "nominal", "sort": None},
            "y": {"field": "person_count", "type": "quantitative", "title": "persons"},
            "color": {"field": "sentiment", "type": "quantitative", "scale": _MOOD},
            "tooltip": [{"field": name, "type": "nominal"} for name in names],
        }  # fmt: skip
        return _chart(values, "bar", encoding)


class OpportunityFrame(NotebookFrame):
    """What to fix first, as rows of `opportunities`."""

    _needed = ("opportunity_rank", "stage", "headline", "lost_count", "worth_amount", "currency", "owner")
    _shown: ClassVar = {
        "": lambda row: row["opportunity_rank"],
        "what to fix": lambda row: display_text(row["headline"], _HEADLINE),
        "stage": lambda row: display_text(row["stage"]),
        "lost": lambda row: count(row["lost_count"]),
        "worth": lambda row: _amount(row, "worth_amount"),
        "owner": lambda row: display_text(row["owner"] or ""),
    }

    def chart_spec(self) -> dict[str, Any]:
        """Return a bar per opportunity, as long as what it is worth."""
        values = [
            {
                "opportunity": f"{row['opportunity_rank']} {display_text(row['headline'], 80)}",
                "worth": None if row["worth_amount"] is None else float(row["worth_amount"]),
                "lost": row["lost_count"],
                "stage": display_text(row["stage"]),
            }
            for row in self.iter_rows(named=True)
        ]
        encoding = {
            "x": {"field": "worth", "type": "quantitative"},
            "y": {"field": "opportunity", "type": "nominal", "sort": None, "axis": {"labelLimit": 400}},
            "color": {"field": "stage", "type": "nominal"},
            "tooltip": [{"field": name, "type": "nominal"} for name in ("opportunity", "worth", "lost", "stage")],
        }
        return _chart(values, "bar", encoding)


class RetentionFrame(NotebookFrame):
    """Cohorts by age, as rows of `retention` of one start, persona, channel and rule."""

    _needed = ("cohort", "age_index", "rule", "person_count", "pending_count", "last_age_index", "retention_rate")

    def _html(self) -> str:
        lines = triangle(self)
        rows = [
            (display_text(line[0]), count(line[1]), *(cell.replace(" %", "\u00a0%") for cell in line[2:]))
            for line in lines.rows()
        ]
        return _table(["cohort", "persons", *lines.columns[2:]], rows)

    def chart_spec(self) -> dict[str, Any]:
        """Return a square per cohort and age, coloured by the rate; where nobody is settled there is none."""
        names = ("cohort", "age_index", "person_count", "pending_count", "retention_rate")
        values = [{name: row[name] for name in names} for row in self.iter_rows(named=True)]
        encoding = {
            "x": {"field": "age_index", "type": "ordinal", "title": "age"},
            "y": {"field": "cohort", "type": "nominal", "sort": None},
            "color": {"field": "retention_rate", "type": "quantitative", "title": "back"},
            "tooltip": [{"field": name, "type": "nominal"} for name in names],
        }
        return _chart([value for value in values if value["retention_rate"] is not None], "rect", encoding)


class ChangeFrame(NotebookFrame):
    """Why the rate of a funnel changed from one month to the next, as rows of `rate_changes`."""

    _needed = (
        "slice", "factor", "step", "old_period", "period", "old_rate", "new_rate", "effect", "effect_low",
        "effect_high", "is_beyond_noise",
    )  # fmt: skip

    _shown: ClassVar = {
        "slice": lambda row: display_text(row["slice"]),
        "what changed": lambda row: _change_name(row),
        "effect": lambda row: f"{100 * row['effect']:+.1f} points{' *' if row['is_beyond_noise'] else ''}",
        "95 % interval": lambda row: _range(row, "effect", "+.1f", 100),
    }

    def chart_spec(self) -> dict[str, Any]:
        """Return a waterfall of the total from the older month's rate to the newer one's."""
        values: list[dict[str, Any]] = []
        for row in self.filter(pl.col("slice") == ALL).iter_rows(named=True):
            if not values:
                values.append({"what": row["old_period"], "from": 0.0, "to": row["old_rate"], "is_beyond_noise": False})
                level, end = row["old_rate"], {"what": row["period"], "from": 0.0, "to": row["new_rate"]}
            step = {"what": _change_name(row), "from": level, "to": level + row["effect"]}
            values.append(step | {"is_beyond_noise": row["is_beyond_noise"]})
            level += row["effect"]
        if values:
            values.append(end | {"is_beyond_noise": False})
        encoding = {
            "x": {"field": "what", "type": "nominal", "sort": None, "title": None},
            "y": {"field": "from", "type": "quantitative", "axis": {"format": "%"}, "title": "rate"},
            "y2": {"field": "to"},
            "color": {"field": "is_beyond_noise", "type": "nominal"},
        }
        return _chart(values, "bar", encoding)


class ForecastFrame(NotebookFrame):
    """What those who are pending are expected to do, as rows of `pending_forecast` of one funnel and persona."""

    _needed = ("step", "pending_count", "expected_count", "low", "high", "expected_amount", "currency")
    _shown: ClassVar = {
        "pending at": lambda row: display_text(row["step"]),
        "units": lambda row: count(row["pending_count"]),
        "expected": lambda row: "-" if row["expected_count"] is None else f"{row['expected_count']:,.1f}",
        "95 % interval": lambda row: _range(row, "", ",.0f"),
        "worth": lambda row: _amount(row, "expected_amount"),
    }

    def chart_spec(self) -> dict[str, Any]:
        """Return the interval of each step as a bar, and nothing where nobody is pending."""
        names = ("pending_count", "expected_count", "low", "high")
        values = [
            {"step": display_text(row["step"])} | {name: float(row[name]) for name in names}
            for row in self.iter_rows(named=True)
            if row["pending_count"] and row["expected_count"] is not None
        ]
        encoding = {
            "y": {"field": "step", "type": "nominal", "sort": None, "title": "pending at"},
            "x": {"field": "low", "type": "quantitative", "title": "expected to reach the last step"},
            "x2": {"field": "high"},
            "tooltip": [{"field": name, "type": "quantitative"} for name in names],
        }
        return _chart(values, "bar", encoding)


def _amount(row: dict[str, Any], name: str) -> str:
    return "-" if row[name] is None else f"{row[name]:,.0f} {display_text(row['currency'] or '')}"


def _range(row: dict[str, Any], name: str, form: str, times: int = 1) -> str:
    """Return the columns `low` and `high` of a figure, or a dash."""
    ends = [row[f"{name}_{end}".lstrip("_")] for end in ("low", "high")]
    return "-" if ends[0] is None else " to ".join(f"{times * end:{form}}" for end in ends)


def _change_name(row: dict[str, Any]) -> str:
    return "who came" if row["factor"] == "mix" else f"reach {display_text(row['step'])}"


def narrow(steps: pl.DataFrame, *, wide: bool, with_persona: bool) -> FunnelFrame:
    """Return rows of `funnel_steps`: all of them if `wide`, else the whole time in `STEP_COLUMNS`."""
    if wide:
        return FunnelFrame(steps)
    columns = [name for name in STEP_COLUMNS if with_persona or name != "persona"]
    return FunnelFrame(steps.filter(pl.col("period") == ALL).select(columns))


class OpenTables(PublishedTables):
    """Published tables with the views that a notebook shows."""

    def funnel(
        self, name: str | None = None, *, persona: str = ALL, period: str = ALL, wide: bool = False
    ) -> FunnelFrame:
        """Return the steps of a funnel or a journey model (by default the first model) of one persona and month.

        Parameters
        ----------
        wide : bool
            All columns of `funnel_steps`; else the counts and rates.

        Raises
        ------
        NotFoundError
            When there is no such funnel, persona or month; the message names the nearest.
        """
        name = name or first_model(self)
        self._require("funnel_steps", {"funnel": name, "persona": persona, "period": period})
        query = "select * from funnel_steps where funnel = $1 and persona = $2 and period = $3 order by step_index"
        rows = self.sql(query, [name, persona, period])
        return FunnelFrame(rows if wide else rows.select(STEP_COLUMNS[1:]))

    def map(self, model: str | None = None, *, persona: str = ALL, period: str = ALL, wide: bool = False) -> MapFrame:
        """Return a row per stage of a journey map: persons, drop-off, sentiment, the main touchpoint, what to fix.

        Parameters
        ----------
        wide : bool
            Persons seen in the stage, those pending and intervals too.

        Raises
        ------
        NotFoundError
            When there is no such model, persona or month.
        """
        rows = self._of_map(_MAP, model, persona, period)
        return MapFrame(rows if wide else rows.select(MapFrame._needed))

    def opportunities(
        self, model: str | None = None, *, persona: str = ALL, period: str = ALL, wide: bool = False
    ) -> OpportunityFrame:
        """Return what to fix first on a journey map, by rank.

        Parameters
        ----------
        wide : bool
            All columns of `opportunities`.

        Raises
        ------
        NotFoundError
            When there is no such model, persona or month.
        """
        rows = self._of_map(_OPPORTUNITIES, model, persona, period)
        return OpportunityFrame(rows if wide else rows.select(OpportunityFrame._needed))

    def retention(
        self,
        start: str | None = None,
        *,
        persona: str = ALL,
        channel: str = ALL,
        rule: Literal["on", "on_or_after"] = "on",
        wide: bool = False,
    ) -> RetentionFrame:
        """Return who comes back, a row per cohort and age since the start (by default the first start of `cohorts:`).

        Parameters
        ----------
        persona, channel : str
            Of the start; no row is of both.
        rule : str
            `on`: back at this age. `on_or_after`: back at this age or a later one.
        wide : bool
            All columns of `retention`; else the counts and the rate.

        Raises
        ------
        NotFoundError
            When there is no such start, persona, channel or rule.
        """
        chosen = {"start": start or starts_of(self)[0], "persona": persona, "channel": channel, "rule": rule}
        self._require("retention", chosen)
        rows = self.sql(_RETENTION, list(chosen.values()))
        return RetentionFrame(rows if wide else rows.select(RetentionFrame._needed))

    def attribution(
        self, goal: str | None = None, *, method: str = "markov", persona: str = ALL, period: str = ALL
    ) -> pl.DataFrame:
        """Return the marketing channels that a goal (by default the one reached most often) is credited to.

        Personas are of the whole time and months of all persons; amounts and credits are exact decimals.

        Raises
        ------
        NotFoundError
            When there is no such goal, method, persona or month.
        """
        if goal is None:
            query = "select goal from attribution group by goal order by max(goal_count) desc, goal limit 1"
            goal = next(iter(self.sql(query)["goal"]), "")
        chosen = {"goal": goal, "method": method, "persona": persona, "period": period}
        self._require("attribution", chosen)
        query = """
            select * from attribution where goal = $1 and method = $2 and persona = $3 and period = $4
            order by conversion_count desc, channel
        """
        return self.sql(query, [*chosen.values()])

    def changes(self, name: str | None = None, *, by: str = "persona", period: str | None = None) -> ChangeFrame:
        """Return why the rate of a funnel or a journey model changed into a month, by default the newest.

        Parameters
        ----------
        by : str
            ``persona`` or ``channel``: what the mix of those who came is of.

        Raises
        ------
        NotFoundError
            When there is no such funnel or month; the message names the nearest.
        """
        name = name or first_model(self)
        self._require("funnel_steps", {"funnel": name})
        require_known("by", by, ["persona", "channel"])
        if period is not None:
            self._require("rate_changes", {"period": period})
        return ChangeFrame(self.sql(CHANGES, [name, by, period]))

    def personas(self, *, discovered: bool = False) -> pl.DataFrame:
        """Return the configured personas, or those discovered in the data; see `discover_personas` for these."""
        return self.sql(DISCOVERED) if discovered else self.table("personas")

    def forecast(self, name: str | None = None, *, persona: str = ALL) -> ForecastFrame:
        """Return what those who are pending in a funnel (by default the first model) are expected to do, by step.

        Raises
        ------
        NotFoundError
            When there is no such funnel or persona; the message names the nearest.
        """
        chosen = {"funnel": name or first_model(self), "persona": persona}
        self._require("pending_forecast", chosen)
        query = "select * from pending_forecast where funnel = $1 and persona = $2 order by step_index"
        return ForecastFrame(self.sql(query, [*chosen.values()]))

    def _of_map(self, query: str, model: str | None, persona: str, period: str) -> pl.DataFrame:
        model = model or first_model(self)
        self._require("map_stages", {"model": model, "persona": persona, "period": period})
        return self.sql(query, [model, persona, period])

    def _require(self, table: str, chosen: Mapping[str, str]) -> None:
        for column, value in chosen.items():
            known = self.sql(f"select distinct {column} as name from {table} order by name")["name"].to_list()
            require_known(column, value, known)

    def __repr__(self) -> str:
        manifest = self.manifest
        return (
            f"<published tables of {display_text(manifest.project)}, run {manifest.run_id}, {len(self.tables)} tables>"
        )

    def _repr_html_(self) -> str:
        rows = [(name, count(self.manifest.tables[name].row_count)) for name in self.tables]
        return f"<p>{escape(repr(self))}</p>" + _table(["table", "rows"], rows)


_MAP = """
    with met as (
        select stage, touchpoint from touchpoints where model = $1 and persona = $2 and period = $3
        qualify row_number() over (partition by stage order by person_count desc, touchpoint) = 1
    ),
    fixes as (
        select stage, headline from opportunities
        where model = $1 and persona = $2 and period = $3 and grade <> 'association'
        qualify row_number() over (partition by stage order by opportunity_rank) = 1
    )
    select m.stage, m.person_count, m.visited_count, m.pending_count, m.drop_off_count, m.drop_off_rate,
        m.drop_off_rate_low, m.drop_off_rate_high, s.sentiment, met.touchpoint, fixes.headline as opportunity
    from map_stages as m
    left join stage_sentiment as s
        on s.model = m.model and s.persona = m.persona and s.period = m.period and s.stage = m.stage
    left join met on met.stage = m.stage
    left join fixes on fixes.stage = m.stage
    where m.model = $1 and m.persona = $2 and m.period = $3
    order by m.stage_index
"""
_RETENTION = """
    select * from retention where start = $1 and persona = $2 and channel = $3 and rule = $4
    order by cohort = 'all', cohort, age_index
"""
_OPPORTUNITIES = """
    select * from opportunities
    where model = $1 and persona = $2 and period = $3 and grade <> 'association' order by opportunity_rank
"""


def open_published(published: str | Path) -> OpenTables:
    """Open the published tables of a project for reading.

    Parameters
    ----------
    published : str or Path
        The `publish` folder, for its current generation, or the folder of one generation.

    Returns
    -------
    OpenTables
        With ``.table(name)``, ``.sql(query)``, ``.funnel(name)``, ``.map()``, ``.opportunities()`` and ``.manifest``;
        usable as a context manager.

    Raises
    ------
    NotFoundError
        When nothing is published there.
    """
    return OpenTables(Path(published))


class _Bar:
    """A bar of coloured parts, each as wide as its share."""

    def __init__(self, parts: Iterable[tuple[float, str]]) -> None:
        self.parts = parts

    def __str__(self) -> str:
        spans = (
            f'<span style="display:inline-block;height:1em;width:{100 * share:.2f}%;background:{colour}"></span>'
            for share, colour in self.parts
        )
        return f'<div style="width:16em;white-space:nowrap;font-size:1em">{"".join(spans)}</div>'


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table of HTML in which every text is escaped."""
    head = "".join(f'<th style="text-align:left">{escape(name)}</th>' for name in heads)
    body = "".join(
        "<tr>"
        + "".join(f'<td style="text-align:left;vertical-align:top">{_cell(value)}</td>' for value in row)
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    return str(value) if isinstance(value, _Bar) else escape(str(value))


def _chart(values: list[dict[str, Any]], mark: str, encoding: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"values": values}, "mark": mark, "encoding": encoding, "width": 480}
