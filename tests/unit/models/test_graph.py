"""Files to a graph: order, phases, arrows and error messages."""

from __future__ import annotations

import pytest

from journeyflow.errors import ModelError
from journeyflow.models import Phase, load_graph

A = "{a: {type: BIGINT, meaning: A number.}}"


def base(folder):
    folder("raw.events", python_model="load")
    return folder("sources.events", "select a from raw.events", columns="{a: }")


def test_the_order_follows_the_from_clauses(folder):
    folder("marts.z", "with b as (select a from journeys.b) select a from b", columns="{a: }")
    folder("journeys.b", "select a from sources.events", columns="{a: }")
    graph = load_graph(base(folder))
    assert [model.name for model in graph] == ["raw.events", "sources.events", "journeys.b", "marts.z"]
    assert graph["marts.z"].inputs == ("journeys.b",)


def test_a_cte_hides_a_table_of_its_name(folder):
    folder(
        "journeys.b",
        "with events as (select a from sources.events), b as (select a from events) select a from b",
        columns="{a: }",
    )
    assert load_graph(base(folder))["journeys.b"].inputs == ("sources.events",)


def test_tables_of_subqueries_and_unions_are_read_too(folder):
    folder("journeys.c", "select a from sources.events", columns="{a: }")
    select = "select a from sources.events where a in (select a from journeys.c) union all select a from raw.events"
    folder("staging.b", select, columns="{a: }")
    with pytest.raises(
        ModelError, match=r"staging\.b reads journeys\.c, but staging may read only: config, sources, staging"
    ):
        load_graph(base(folder))


def test_an_unknown_table_names_the_nearest(folder):
    folder("journeys.b", "select a from sources.event", columns="{a: }")
    with pytest.raises(
        ModelError, match=r"journeys\.b reads sources\.event, which does not exist\. Did you mean sources\.events"
    ):
        load_graph(base(folder))


def test_a_table_without_its_layer_is_refused(folder):
    folder("journeys.b", "select a from events", columns="{a: }")
    with pytest.raises(ModelError, match=r"reads `events` without a layer"):
        load_graph(base(folder))


def test_a_table_function_is_refused(folder):
    folder("journeys.b", "select a from read_csv('secret.csv')", columns="{a: }")
    with pytest.raises(ModelError, match="reads a table function"):
        load_graph(base(folder))


def test_a_circle_is_reported_in_order(folder):
    folder("journeys.b", "select a from journeys.c", columns="{a: }")
    folder("journeys.c", "select a from journeys.b", columns="{a: }")
    with pytest.raises(ModelError, match=r"in a circle: journeys\.[bc] -> journeys\.[bc] -> journeys\.[bc]"):
        load_graph(base(folder))


def test_two_statements_are_refused(folder):
    folder("journeys.b", "select a from sources.events; drop table x", columns="{a: }")
    with pytest.raises(ModelError, match="exactly one SELECT"):
        load_graph(base(folder))


def test_a_mart_may_not_read_a_mart_and_an_insight_may(folder):
    folder("marts.b", "select a from journeys.b", columns="{a: }")
    folder("journeys.b", "select a from sources.events", columns="{a: }")
    folder("insights.c", "select a from marts.b", columns="{a: }")
    assert load_graph(base(folder))["insights.c"].is_published
    folder("marts.d", "select a from marts.b", columns="{a: }")
    with pytest.raises(ModelError, match=r"marts\.d reads marts\.b, but marts may read only"):
        load_graph(folder.path)


def test_private_models_are_for_their_own_folder(folder):
    folder("marts._b", "select a from journeys.b", columns="{a: }")
    folder("journeys.b", "select a from sources.events", columns="{a: }")
    folder("marts.c", "select a from marts._b", columns="{a: }")
    graph = load_graph(base(folder))
    assert [model.name for model in graph.published()] == ["marts.c"]
    folder("insights.d", "select a from marts._b", columns="{a: }")
    with pytest.raises(ModelError, match=r"marts\._b, which is private to marts/"):
        load_graph(folder.path)


def test_own_models_may_read_any_published_table(folder, tmp_path):
    folder("marts.b", "select a from journeys.b", columns="{a: }")
    folder("journeys.b", "select a from sources.events", columns="{a: }")
    own = tmp_path / "own"
    (own / "marts").mkdir(parents=True)
    (own / "marts" / "mine.sql").write_text("select a from marts.b")
    (own / "marts" / "mine.yml").write_text("description: A table of mine.\ncolumns: {a: }\n")
    graph = load_graph(base(folder), own)
    assert graph["marts.mine"].is_own
    (own / "marts" / "b.sql").write_text("select a from journeys.b")
    (own / "marts" / "b.yml").write_text("description: A table of mine.\ncolumns: {a: }\n")
    with pytest.raises(ModelError, match=r"redefines the built-in model marts\.b"):
        load_graph(folder.path, own)


def test_a_users_model_states_no_incremental_keys(folder, tmp_path):
    """An incremental run has the affected persons only, and a user's SELECT may aggregate all."""
    own = tmp_path / "own"
    (own / "marts").mkdir(parents=True)
    (own / "marts" / "mine.sql").write_text("select a from sources.events")
    for key in ("unique_key: [a]", "surrogate_key: {a: [a]}"):
        (own / "marts" / "mine.yml").write_text(f"description: A table of mine.\n{key}\ncolumns: {{a: }}\n")
        with pytest.raises(ModelError, match=r"marts\.mine: leave unique_key and surrogate_key out of mine\.yml"):
            load_graph(base(folder), own)


def test_two_published_tables_may_not_share_a_name(folder):
    folder("marts.b", "select a from sources.events", columns="{a: }")
    folder("insights.b", "select a from sources.events", columns="{a: }")
    with pytest.raises(ModelError, match=r"marts\.b and insights\.b|insights\.b and marts\.b"):
        load_graph(base(folder))


def test_phases_come_from_the_graph(folder):
    base(folder)
    folder("config.settings", python_model="config")
    folder("staging.events", "select a from sources.events", columns="{a: }")
    for name in ("identity.identities", "identity.persons", "journeys.kinds"):
        folder(name, "select a from staging.events", columns="{a: }")
    folder("kernel.events", python_model="kernel", inputs="[journeys.kinds, identity.persons, config.settings]")
    folder("kernel.classifications", python_model="kernel.events")
    graph = load_graph(folder("marts.b", "select a from kernel.events", columns="{a: }"))
    phases = {model.name: graph.phase(model.name) for model in graph}
    assert phases == {
        "raw.events": Phase.LOAD,
        "config.settings": Phase.LOAD,
        "sources.events": Phase.STITCH,
        "staging.events": Phase.STITCH,
        "identity.identities": Phase.STITCH,
        "identity.persons": Phase.STITCH,
        "journeys.kinds": Phase.CLASSIFY,
        "kernel.events": Phase.CLASSIFY,
        "kernel.classifications": Phase.CLASSIFY,
        "marts.b": Phase.BUILD,
    }
    assert graph["kernel.classifications"].inputs == ("kernel.events",)


def test_a_column_inherits_and_a_second_description_is_refused(folder):
    counted = "f as (select a as a, count(*) as n from e group by a)"
    select = f"with e as (select a, b from raw.events), {counted} select a, n from f"
    folder(
        "raw.events",
        python_model="load",
        columns="{a: {type: DATE, unit: day, meaning: Day of it.}, b: {type: BIGINT, meaning: Bee.}}",
    )
    folder("sources.b", select, columns="{n: {type: BIGINT, meaning: How many.}}")
    assert load_graph(folder.path)["sources.b"].columns["a"].meaning == "Day of it."
    folder(
        "sources.b", select, columns="{a: {type: DATE, meaning: Another day.}, n: {type: BIGINT, meaning: How many.}}"
    )
    with pytest.raises(ModelError, match=r"sources\.b describes `a` again; raw\.events did"):
        load_graph(folder.path)


def test_a_computed_column_of_an_upstream_name_may_be_described(folder):
    base(folder)
    folder("sources.b", "select sum(a) as a from raw.events", columns="{a: {type: HUGEINT, meaning: The sum.}}")
    assert load_graph(folder.path)["sources.b"].columns["a"].meaning == "The sum."


def test_a_column_without_a_description_is_refused(folder):
    folder("sources.b", "select a as c from raw.events", columns="{c: }")
    with pytest.raises(ModelError, match=r"sources\.b does not describe `c`, and no upstream model does"):
        load_graph(base(folder))


def test_columns_come_from_the_select_in_its_order(folder):
    folder("sources.b", "select count(*) as n, a from raw.events", columns="{n: {type: BIGINT, meaning: Count of it.}}")
    graph = load_graph(base(folder))
    assert {name: column.meaning for name, column in graph["sources.b"].columns.items()} == {
        "n": "Count of it.",
        "a": "A number.",
    }


def test_a_described_column_that_is_not_selected_is_refused(folder):
    folder("sources.b", "select a from raw.events", columns="{a: , c: {type: BIGINT, meaning: A third.}}")
    with pytest.raises(ModelError, match=r"b\.yml describes c, which b\.sql does not select"):
        load_graph(base(folder))


def test_a_type_alone_is_compared_with_the_inherited_one(folder):
    base(folder)
    folder("journeys.b", python_model="some.module", inputs="[sources.events]", columns="{a: BIGINT}")
    assert load_graph(folder.path)["journeys.b"].columns["a"].meaning == "A number."
    folder("journeys.b", python_model="some.module", inputs="[sources.events]", columns="{a: INTEGER}")
    with pytest.raises(ModelError, match=r"journeys\.b says `a` is INTEGER; upstream it is BIGINT"):
        load_graph(folder.path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"grain": "[b]"}, "grain or checks name b, which is not among the columns"),
        ({"colour": "red"}, "colour: is not a key here"),
        ({"checks": "[{not_null: [a], unique: [a]}]"}, "a check is exactly one of"),
        ({"columns": "{a: {type: BIGINT, meaning: One, two.}}"}, "A text with a comma or a colon needs quotes"),
        ({"columns": "{a: , a: }"}, r"b\.yml:2: a appears twice"),
        ({"columns": "{a: &x {type: BIGINT, meaning: A number.}}"}, r"b\.yml:2 uses an anchor"),
        ({"columns": "{a: *x}"}, r"b\.yml:2 uses an alias"),
        ({"columns": "{a: !!python/name:os.system }"}, r"b\.yml:2 uses a tag"),
        ({"columns": "{a: ["}, r"b\.yml:\d: is not YAML|b\.yml:\d is not YAML"),
    ],
)
def test_bad_metadata_is_reported_with_its_file(folder, words, message):
    folder("sources.b", "select a from raw.events", **{"columns": "{a: }", **words})
    with pytest.raises(ModelError, match=message) as failed:
        load_graph(base(folder))
    assert "sources/b.yml" in str(failed.value)


def test_a_model_without_metadata_or_layer_is_refused(folder):
    base(folder)
    (folder.path / "sources" / "c.sql").write_text("select 1 as a")
    with pytest.raises(ModelError, match=r"sources\.c has no c\.yml"):
        load_graph(folder.path)
    (folder.path / "sources" / "c.sql").rename(folder.path / "c.sql")
    with pytest.raises(ModelError, match="must be in one of the layers"):
        load_graph(folder.path)


def test_relations_filled_together_share_their_descriptions(folder):
    base(folder)
    folder("journeys.c", "select a from sources.events", columns="{a: }")
    folder("kernel.b", python_model="fill.it", inputs="[journeys.c]", columns="{k: {type: BIGINT, meaning: The key.}}")
    folder("kernel.a", python_model="kernel.b", columns="{k: BIGINT, a: BIGINT}")
    assert load_graph(folder.path)["kernel.a"].columns["k"].meaning == "The key."
    folder("kernel.a", python_model="kernel.b", inputs="[journeys.c]", columns="{k: BIGINT}")
    with pytest.raises(ModelError, match=r"kernel\.a is filled with kernel\.b: leave inputs out of a\.yml"):
        load_graph(folder.path)


@pytest.mark.parametrize("suffix", [".sql", ".yml"])
def test_a_file_that_is_no_utf_8_is_refused(folder, suffix):
    base(folder)
    folder("sources.c", "select a from raw.events", columns="{a: }")
    (folder.path / "sources" / f"c{suffix}").write_bytes("select 1 as Größe".encode("latin-1"))
    with pytest.raises(ModelError, match=rf"sources/c\{suffix} cannot be read as UTF-8"):
        load_graph(folder.path)


def test_names_that_cannot_be_tables_or_columns_are_refused_before_anything_is_built(folder):
    base(folder)
    folder("sources.my table", "select a from raw.events", columns="{a: }")
    with pytest.raises(ModelError, match="`my table` cannot name a table"):
        load_graph(folder.path)


def test_what_does_not_parse_is_reported_in_words(folder):
    base(folder)
    folder("sources.c", "select a from where", columns="{a: }")
    with pytest.raises(ModelError, match="Expected table name but got `where`"):
        load_graph(folder.path)
