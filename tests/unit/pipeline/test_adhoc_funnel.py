"""The funnel for notebooks: any table in, the columns of `funnel_steps` out."""

from datetime import datetime

import duckdb
import polars as pl
import pytest

import journeyflow
from journeyflow.errors import ConfigError, InputError
from journeyflow.report.notebook import STEP_COLUMNS
from support.few_models import all_models

LOG = pl.DataFrame(
    {
        "person_id": ["a", "a", "b", "b", "c", None],
        "event_name": ["view", "buy", "buy", "view", "view", "view"],
        "occurred_at": [
            datetime(2026, 1, day, hour) for day, hour in [(1, 0), (2, 0), (1, 0), (1, 5), (30, 0), (1, 0)]
        ],
        "plan": ["x", "x", "y", "y", "y", "x"],
    }
)
AS_OF = datetime(2026, 1, 31)


def outcomes(steps: pl.DataFrame, persona: str = "all") -> list[tuple[int, int | None, int | None, int | None]]:
    rows = steps.filter(pl.col("persona") == persona) if "persona" in steps.columns else steps
    return rows.select("person_count", "converted_count", "drop_off_count", "pending_count").rows()


def test_counts_converted_dropped_and_pending():
    steps = journeyflow.funnel(LOG, ["view", "buy"], window="7d", as_of=AS_OF)

    assert outcomes(steps) == [(3, 1, 1, 1), (1, 1, None, None)]


@pytest.mark.parametrize(
    "events",
    [LOG.lazy(), LOG.to_arrow(), LOG.to_arrow().to_reader(), LOG.to_pandas(), duckdb.from_arrow(LOG.to_arrow())],
    ids=["lazy", "arrow", "stream", "pandas", "duckdb"],
)
def test_reads_any_kind_of_table(events):
    assert outcomes(journeyflow.funnel(events, ["view", "buy"], window="7d", as_of=AS_OF))[0] == (3, 1, 1, 1)


@pytest.mark.parametrize("of", [LOG, LOG.lazy(), LOG.to_pandas()], ids=["polars", "lazy", "pandas"])
def test_reads_frames_of_narwhals(of):
    narwhals = pytest.importorskip("narwhals")
    events = narwhals.from_native(of)
    assert outcomes(journeyflow.funnel(events, ["view", "buy"], window="7d", as_of=AS_OF))[0] == (3, 1, 1, 1)


def test_is_narrow_unless_wide_is_asked():
    steps = journeyflow.funnel(LOG, ["view", "buy"], window="7d", as_of=AS_OF)

    assert steps.columns == list(STEP_COLUMNS[1:])
    assert journeyflow.funnel(LOG, ["view", "buy"], by="plan", as_of=AS_OF).columns == list(STEP_COLUMNS)
    assert "went on" in steps._repr_html_()


@pytest.mark.parametrize(
    ("steps", "hint"),
    [
        (["view", "buyy"], "No event matches the step 'buyy'. Did you mean 'buy'?"),
        (["view", "zzz"], "No event matches the step 'zzz'. The events are named buy, view."),
        ([{"name": "seen", "when": {"event": "vew"}}, "buy"], "No event matches the step 'seen'. Did you mean 'view'?"),
    ],
)
def test_a_step_that_no_event_has_is_an_error_or_a_warning(steps, hint):
    with pytest.raises(InputError) as raised:
        journeyflow.funnel(LOG, steps, as_of=AS_OF)
    assert raised.value.message.startswith(hint)
    assert "allow_empty=True" in raised.value.message
    with pytest.warns(UserWarning, match="No event matches the step"):
        found = journeyflow.funnel(LOG, steps, as_of=AS_OF, allow_empty=True)
    assert found["person_count"].to_list()[-1] == 0


def test_by_fills_persona_and_its_rows_add_up():
    steps = journeyflow.funnel(LOG, ["view", "buy"], window="7d", by="plan", as_of=AS_OF)

    assert outcomes(steps, "x") == [(1, 1, 0, 0), (1, 1, None, None)]
    assert outcomes(steps, "y")[0] == (2, 0, 1, 1)
    assert outcomes(steps)[0] == (3, 1, 1, 1)


def test_has_the_columns_of_the_published_table():

    steps = journeyflow.funnel(LOG, ["view", "buy"], as_of=AS_OF, wide=True)

    assert set(steps["period"]) == {"all", "2026-01"}
    assert steps.columns == list(all_models()["marts.funnel_steps"].columns)


def test_other_settings_are_those_of_the_configuration():
    steps = journeyflow.funnel(
        LOG, [{"name": "seen", "when": {"event": "view"}}, "buy"], order="any_order", window="7d", as_of=AS_OF
    )

    assert outcomes(steps)[1][0] == 2


def test_refuses_what_it_cannot_read():
    with pytest.raises(InputError, match=r"no column who; name yours by person="):
        journeyflow.funnel(LOG, ["view", "buy"], person="who")
    with pytest.raises(InputError, match="not int"):
        journeyflow.funnel(3, ["view", "buy"])
    with pytest.raises(InputError, match="no event"):
        journeyflow.funnel(LOG.clear(), ["view", "buy"])
    with pytest.raises(ConfigError, match=r"\n  funnel: error: window"):
        journeyflow.funnel(LOG, ["view", "buy"], window="7")


@pytest.mark.parametrize("value", ["all", "unassigned"])
def test_a_group_named_as_the_total_is_refused(value):
    named = LOG.with_columns(plan=pl.lit(value))
    with pytest.raises(InputError, match=f"holds {value}"):
        journeyflow.funnel(named, ["view", "buy"], by="plan", as_of=AS_OF)


def test_wrong_kinds_of_arguments_are_reported():
    with pytest.raises(InputError, match="list of event names"):
        journeyflow.funnel(LOG, "view")
    with pytest.raises(InputError, match="must be a datetime, not str"):
        journeyflow.funnel(LOG, ["view", "buy"], as_of="2026-01-31")
    doubled = LOG.to_arrow().append_column("plan", LOG.to_arrow()["plan"])
    with pytest.raises(InputError, match="plan more than once"):
        journeyflow.funnel(doubled, ["view", "buy"], as_of=AS_OF)


def test_a_column_that_is_missing_is_named_with_the_nearest():
    events = pl.DataFrame({"cookie": ["a"], "ts": [datetime(2026, 1, 1)], "event": ["view"]})
    with pytest.raises(InputError, match=r"no column cooky; .*Did you mean 'cookie'"):
        journeyflow.funnel(events, ["view", "buy"], person="cooky", time="ts", event="event")
