"""The semantic file: what its format asks for, and every published table and column with what may be summed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from journeyflow import models
from journeyflow.models import Column, Model, ModelMetadata
from journeyflow.publish.generation import semantic_file
from support.few_models import all_models

TEXT, NAMES = str, [str]
EXPRESSION = {"dialects": [{"dialect": TEXT, "expression": TEXT}]}
EXTENSIONS = [{"vendor_name": TEXT, "data": TEXT}]
FIELD = {
    "name": TEXT, "expression": EXPRESSION, "dimension?": {"is_time?": bool}, "label?": TEXT, "description?": TEXT,
    "ai_context?": object, "custom_extensions?": EXTENSIONS,
}  # fmt: skip
DATASET = {
    "name": TEXT, "source": TEXT, "primary_key?": NAMES, "unique_keys?": [NAMES], "description?": TEXT,
    "ai_context?": object, "fields?": [FIELD], "custom_extensions?": EXTENSIONS,
}  # fmt: skip
METRIC = {
    "name": TEXT, "expression": EXPRESSION, "description?": TEXT, "ai_context?": object,
    "custom_extensions?": EXTENSIONS,
}  # fmt: skip
SEMANTIC_MODEL = {
    "name": TEXT, "description?": TEXT, "ai_context?": object, "datasets": [DATASET], "relationships?": [object],
    "metrics?": [METRIC], "custom_extensions?": EXTENSIONS,
}  # fmt: skip
DOCUMENT = {"version": TEXT, "semantic_model": [SEMANTIC_MODEL]}
"""The keys of version 0.1.1: those with a question mark may be left out, and others are not allowed."""


def faults(found, wanted, place="$"):
    """Yield how a document departs from the form of its format."""
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            yield f"{place} is no object"
            return
        required = {key for key in wanted if not key.endswith("?")}
        allowed = {key.removesuffix("?"): form for key, form in wanted.items()}
        yield from (f"{place} lacks {key}" for key in required - found.keys())
        yield from (f"{place} has {key}" for key in found.keys() - allowed.keys())
        for key in found.keys() & allowed.keys():
            yield from faults(found[key], allowed[key], f"{place}.{key}")
    elif isinstance(wanted, list):
        if not isinstance(found, list):
            yield f"{place} is no list"
            return
        for at, each in enumerate(found):
            yield from faults(each, wanted[0], f"{place}[{at}]")
    elif not isinstance(found, wanted):
        yield f"{place} is no {wanted.__name__}"


@pytest.fixture(scope="module")
def published():
    return all_models().published()


@pytest.fixture(scope="module")
def document(published):
    return json.loads(semantic_file(published, "shop"))


def data(item):
    (extension,) = item["custom_extensions"]
    return json.loads(extension["data"])


def test_the_file_has_the_form_of_its_format(document):
    assert list(faults(document, DOCUMENT)) == []
    assert document["version"] == "0.1.1"
    (model,) = document["semantic_model"]
    for items in (model["datasets"], model["metrics"], *(dataset["fields"] for dataset in model["datasets"])):
        names = [item["name"] for item in items]
        assert len(names) == len(set(names))
        for item in items:
            assert all(extension["vendor_name"] == "COMMON" for extension in item["custom_extensions"])


def test_the_form_is_really_compared():
    assert list(faults({"version": 1, "more": []}, DOCUMENT)) == [
        "$ lacks semantic_model", "$ has more", "$.version is no str",
    ]  # fmt: skip


def test_every_published_table_and_column_is_in_it_with_its_meaning(document, published):
    datasets = {each["name"]: each for each in document["semantic_model"][0]["datasets"]}
    assert datasets.keys() == {model.table for model in published}
    for model in published:
        dataset = datasets[model.table]
        assert dataset["source"] == f"marts.main.{model.table}"
        assert dataset.get("primary_key", []) == list(model.grain or ())
        fields = {field["name"]: field for field in dataset["fields"]}
        assert list(fields) == list(model.columns)
        for name, column in model.columns.items():
            assert fields[name]["description"].startswith(column.meaning)
            assert data(fields[name])["type"] == column.type
            assert ("dimension" in fields[name]) == (data(fields[name])["role"] != "measure")


def test_no_rate_quantile_or_bound_is_additive(document):
    for dataset in document["semantic_model"][0]["datasets"]:
        for field in dataset["fields"]:
            found = data(field)
            if field["name"].endswith(("_rate", "_ratio", "_low", "_high", "_seconds", "sentiment", "lift", "q_value")):
                assert found["role"] == "measure"
                assert not found["is_additive"] or "denominator" in found
                assert "Not additive" in field["description"]


def things(**measures):
    described = {
        "persona": Column(type="VARCHAR", meaning="The persona."),
        "position": Column(type="BIGINT", meaning="Order of the rows."),
        "row": Column(type="VARCHAR", meaning="What it is."),
        "done_count": Column(type="BIGINT", unit="items", meaning="How many are done."),
        "item_count": Column(type="BIGINT", unit="items", meaning="How many."),
        "open_rate": Column(type="DOUBLE", meaning="Share that is open."),
    }
    found = {
        "description": "Things of people.",
        "grain": ("persona", "row"),
        "columns": described,
        "measures": measures,
    }
    return Model("marts.things", Path("things.sql"), "select 1", (), ModelMetadata.model_validate(found), described)


def test_a_metric_leaves_total_rows_out_and_a_rate_is_of_sums():
    counts = ("item_count", "done_count")
    model = things(
        totals=("persona",),
        additive={"persona": counts},
        ratios={"open_rate": ("item_count - done_count", "item_count")},
    )
    document = json.loads(semantic_file([model], "shop"))
    metrics = {
        each["name"]: each["expression"]["dialects"][0]["expression"]
        for each in document["semantic_model"][0]["metrics"]
    }
    kept = "CASE WHEN things.persona <> 'all' THEN"
    assert metrics == {
        "things_done_count": f"SUM({kept} things.done_count END)",
        "things_item_count": f"SUM({kept} things.item_count END)",
        "things_open_rate": (
            f"SUM({kept} things.item_count - things.done_count END) / NULLIF(SUM({kept} things.item_count END), 0)"
        ),
    }
    (dataset,) = document["semantic_model"][0]["datasets"]
    fields = {field["name"]: field for field in dataset["fields"]}
    assert fields["row"]["expression"]["dialects"][0]["expression"] == '"row"'
    assert data(fields["position"])["role"] == "dimension"
    assert data(fields["open_rate"])["additive_over"] == ["persona"]
    assert data(document["semantic_model"][0]["metrics"][0])["group_by"] == ["row"]


def test_what_is_not_named_is_not_additive():
    document = json.loads(semantic_file([things()], "shop"))
    assert document["semantic_model"][0]["metrics"] == []
    fields = document["semantic_model"][0]["datasets"][0]["fields"]
    assert [data(field)["is_additive"] for field in fields if data(field)["role"] == "measure"] == [False] * 3


def test_measures_name_columns_of_the_table(tmp_path):
    folder = tmp_path / "marts"
    folder.mkdir()
    (folder / "things.sql").write_text("select 1 as item_count")
    metadata = "description: Things of people.\ncolumns: {item_count: {type: INTEGER, meaning: How many.}}\n"
    (folder / "things.yml").write_text(f"{metadata}measures: {{ratios: {{item_count: [gone_count, item_count]}}}}\n")
    with pytest.raises(models.dag.ModelError, match="measures name gone_count, which is not among the columns"):
        models.load_graph(tmp_path)
