"""Small exports of other tools, made by their published schemas, go from `init` to a map without an edit."""

from __future__ import annotations

import pytest

from journeyflow.config import check, load_config
from journeyflow.setup.columns import known_exports
from journeyflow.setup.proposal import nobody, propose
from journeyflow.setup.sources import draft_sources
from journeyflow.setup.trial import Trial
from support.in_process_parser import parse_in_process
from support.tool_exports import TOOL_EXPORTS as EXPORTS


@pytest.fixture
def folder(tmp_path, monkeypatch):
    parse_in_process(monkeypatch)
    for name, (make, *_) in EXPORTS.items():
        (tmp_path / name).write_text(make())
    return tmp_path


def test_exports_are_recognised_by_their_columns(folder):
    draft = draft_sources([folder], folder, nobody)
    kinds = [note.partition(": ")[0] for note in draft.notes]
    assert sorted(kinds) == sorted(f"{name} is an export of {label}" for name, (_, label, *_) in EXPORTS.items())
    sources = {source.name: source.content for source in draft.sources}
    config = load_config({"sources": sources}, folder=folder)
    assert {source.format for source in config.sources.values()} == {"csv", "jsonl"}
    shops = [source["columns"]["user_id"] for source in sources.values() if source["path"] == "orders_export.csv"]
    assert shops == [{"hash": ["Email"]}] * 3


@pytest.mark.check
def test_a_folder_of_them_goes_from_init_to_a_map_without_an_edit(folder):
    _tried(propose([folder], folder), folder, sum(events for *_, events, _ in EXPORTS.values()))


@pytest.mark.long
@pytest.mark.parametrize("name", EXPORTS)
def test_each_goes_from_init_to_a_map_without_an_edit(name, folder):
    _, _, events, persons = EXPORTS[name]
    trial = _tried(propose([folder / name], folder), folder, events)
    assert trial.person_count == persons


def _tried(proposal, folder, events: int) -> Trial:
    path = folder / "journeyflow.yml"
    path.write_text(proposal.text)
    assert check(path) == []
    assert "@example.com" not in proposal.text
    trial = proposal.trial
    assert trial
    counts = trial.record_counts
    assert (counts["accepted_count"], counts["quarantined_count"], counts["duplicate_count"]) == (events, 0, 0)
    assert trial.empty_models == ()
    assert trial.staged_rate >= 0.65
    return trial


def test_every_kind_has_a_test():
    assert {label for _, label, *_ in EXPORTS.values()} == {export.label for export in known_exports()}
