"""Lists of audiences: what an erasure takes off them at once, and what is no list of ours."""

from __future__ import annotations

import json
import re

import pyarrow as pa
import pytest

from journeyflow.config.experience import Audience
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import InputError
from journeyflow.publish.targets import audiences_before, remove_from_lists, write_audience_lists
from support.small_project import make_config

AUDIENCE = {
    "name": "left", "who": {"lifecycle": "buyer"}, "consent": "trait.news", "email": "trait.mail",
    "format": ["csv", "mailchimp"],
}  # fmt: skip


@pytest.fixture
def config(tmp_path):
    made = make_config(tmp_path)
    made.state.mkdir(parents=True, exist_ok=True)
    return made.model_copy(update={"audiences": (Audience.model_validate(AUDIENCE),)})


def write(config, people):
    keys = range(len(people))
    members = {
        "audience_index": [1] * len(people), "person_key": pa.array(keys, pa.uint64()), "user_id": list(people),
        "email": list(people.values()), "outcome": ["listed"] * len(people),
    }  # fmt: skip
    values = {
        "person_key": pa.array(keys, pa.uint64()),
        "trait": ["mail"] * len(people),
        "trait_value": list(people.values()),
    }
    with DuckDBEngine(threads=1) as engine:
        engine.register("analyses.audience_members", pa.table(members))
        engine.register("analyses.audience_values", pa.table(values))
        write_audience_lists(engine, config)


def texts(config):
    return {path.name: path.read_text(encoding="utf-8") for path in (config.state / "audiences" / "left").iterdir()}


def erased_ids(*ids):
    return lambda found: [text for text in found if text in ids]


PEOPLE = {"ann": "a@x.example", "=ben": "b@x.example", 'c "y", d\nx': "c@x.example", "dee": "d@x.example"}


@pytest.mark.parametrize("erased", ["ann", "=ben", 'c "y", d\nx', "d@x.example"])
def test_an_erased_id_leaves_every_file_whatever_its_characters(config, erased):
    write(config, PEOPLE)
    user = next(user for user, email in PEOPLE.items() if erased in (user, email))
    remove_from_lists(config.state, erased_ids(erased))
    left = {key: value for key, value in PEOPLE.items() if key != user}
    for name, text in texts(config).items():
        assert PEOPLE[user] not in text
        assert "removed" in name or all(email in text for email in left.values())
    before = audiences_before(config).to_pylist()
    assert {row["user_id"] for row in before} == {*left, None}
    assert len(before) == len(PEOPLE)
    # A second try, after a failure, finds nothing more.
    remove_from_lists(config.state, erased_ids(erased))
    assert audiences_before(config).to_pylist() == before
    # The next lists begin to count again.
    write(config, left)
    assert len(audiences_before(config)) == len(left)


def test_who_was_removed_before_leaves_the_list_of_those_too(config):
    write(config, PEOPLE)
    write(config, {"ann": "a@x.example"})
    assert "d@x.example" in texts(config)["mailchimp_removed.csv"]
    remove_from_lists(config.state, erased_ids("dee"))
    assert not [name for name, text in texts(config).items() if "dee" in text or "d@x" in text]
    assert None not in audiences_before(config)["user_id"].to_pylist()


@pytest.mark.parametrize("damage", ["{", '{"members": []}', '{"erased_count": 0}'])
def test_a_damaged_note_stops_the_next_run_and_is_removed_by_an_erasure(config, damage):
    write(config, PEOPLE)
    path = config.state / "audiences" / "left" / "members.json"
    path.write_text(damage, encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(str(path.parent))):
        audiences_before(config)
    remove_from_lists(config.state, erased_ids("ann"))
    assert not path.parent.exists()


def test_leftovers_of_a_killed_run_are_removed_by_an_erasure(config):
    write(config, PEOPLE)
    leftover = config.state / "audiences" / "left" / "list.csv.unfinished"
    leftover.write_text("ann")
    remove_from_lists(config.state, erased_ids("ann"))
    assert not leftover.exists()


def test_a_list_of_another_form_than_configured_is_removed(config):
    write(config, PEOPLE)
    audience = Audience.model_validate(AUDIENCE | {"format": ["csv"]})
    write(config.model_copy(update={"audiences": (audience,)}), PEOPLE)
    assert sorted(texts(config)) == ["added.csv", "list.csv", "members.json", "removed.csv"]
    assert json.loads(texts(config)["members.json"]) == {"erased_count": 0, "members": PEOPLE}


def test_the_lists_of_an_audience_that_is_not_configured_any_more_are_removed(config):
    write(config, PEOPLE)
    write(config.model_copy(update={"audiences": ()}), {})
    assert not [*(config.state / "audiences").iterdir()]
