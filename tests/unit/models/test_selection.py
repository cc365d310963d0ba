"""Selectors in dbt's graph operators: what each names, in the order of building, and the errors."""

from __future__ import annotations

import pytest

from journeyflow.errors import ModelError
from journeyflow.models import load_graph


@pytest.fixture
def graph(folder):
    """raw.events → sources.events → kernel.events → map.a → map.b → marts.c and marts.d → insights.e."""
    folder("raw.events", python_model="load")
    folder("sources.events", "select a from raw.events", columns="{a: }")
    folder("staging.events", "select a from sources.events", columns="{a: }")
    folder("kernel.events", python_model="journeyflow.kernel.run", inputs="[staging.events]")
    folder("kernel.sessions", python_model="kernel.events")
    folder("ledger.new_events", python_model="load")
    folder("insights._run_shares", "select a from ledger.new_events", columns="{a: }")
    folder("map.a", "select a from kernel.events", columns="{a: }")
    folder("map.b", "select a from map.a", columns="{a: }")
    folder("marts.c", "select a from map.b", columns="{a: }")
    folder("marts.d", "select a from map.b", columns="{a: }")
    folder("marts.events", "select a from kernel.sessions", columns="{a: }")
    return load_graph(folder("insights.e", "select a from marts.c", columns="{a: }"))


@pytest.mark.parametrize(
    ("selector", "models"),
    [
        ("marts.c", ["marts.c"]),
        ("c", ["marts.c"]),
        ("+marts.c", ["map.a", "map.b", "marts.c"]),
        ("1+c", ["map.b", "marts.c"]),
        ("2+insights.e", ["map.b", "marts.c", "insights.e"]),
        ("marts.c+", ["marts.c", "insights.e"]),
        ("map.b+1", ["map.b", "marts.c", "marts.d"]),
        ("+marts.c+", ["map.a", "map.b", "marts.c", "insights.e"]),
        ("1+map.b+1", ["map.a", "map.b", "marts.c", "marts.d"]),
        ("tag:marts", ["marts.c", "marts.d", "marts.events"]),
        ("marts.*", ["marts.c", "marts.d", "marts.events"]),
        ("+tag:insights", ["map.a", "map.b", "marts.c", "insights.e"]),
        ("map.a,insights.e", ["map.a", "insights.e"]),
        ("map.a, insights.e", ["map.a", "insights.e"]),
        ("insights.e map.a", ["map.a", "insights.e"]),
    ],
)
def test_a_selector_names_models_in_the_order_of_building(graph, selector, models):
    selected = graph.select([selector])
    assert sorted(selected) == sorted(models)
    assert list(selected) == [model.name for model in graph if model.name in models]


def test_several_selectors_are_one_selection(graph):
    assert set(graph.select(["map.a", "e"])) == {"map.a", "insights.e"}


def test_what_is_upstream_stops_at_what_classify_made(graph):
    assert graph.select(["+map.a"]) == ("map.a",)
    assert graph.select(["+sources.events"]) == ("sources.events",)


def test_the_kernel_is_built_when_it_is_named_and_then_all_of_it(graph):
    assert set(graph.select(["kernel.sessions"])) == {"kernel.events", "kernel.sessions"}


def test_what_is_downstream_of_a_loaded_relation_is_everything_but_it(graph):
    assert set(graph.select(["raw.events+"])) == {
        model.name for model in graph if model.name not in ("raw.events", "ledger.new_events", "insights._run_shares")
    }


def test_what_only_a_run_knows_is_not_built_again(graph):
    assert "insights._run_shares" not in graph.select(["tag:insights", "e"])
    with pytest.raises(ModelError, match=r"Only a run makes insights\._run_shares"):
        graph.select(["insights._run_shares"])


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("marts.k", r"There is no model marts\.k\. Did you mean marts\.d, marts\.c"),
        ("evnts", r"There is no model evnts\. Did you mean events"),
        ("tag:mart", r"There is no layer mart\. Did you mean marts"),
        ("mart.*", r"There is no layer mart\. Did you mean marts"),
        ("events", r"events is the name of .*sources\.events.*: write the layer too"),
        ("raw.events", r"Only a run makes raw\.events; select what reads it: raw\.events\+"),
        ("marts.c++", r"`marts\.c\+\+` is no selector"),
        ("@marts.c", r"`@marts\.c` is no selector"),
        (" , ", "Nothing is selected"),
    ],
)
def test_what_names_nothing_is_an_error(graph, selector, message):
    with pytest.raises(ModelError, match=message):
        graph.select([selector])
