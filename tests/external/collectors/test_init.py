"""`init` on every export as it came: a configuration that loads and shows something, without an edit."""

from __future__ import annotations

import pytest

from journeyflow.config import check, load_config
from journeyflow.setup.proposal import propose
from support.in_process_parser import parse_in_process

EXPORTS = [
    ("ga4/events.ndjson", "ga4", 2, 1.0),
    ("ga4/event_data.csv", "ga4", 6, 5 / 6),
    ("amplitude", "amplitude", 10, 1.0),
    ("mixpanel", "mixpanel", 5, 1.0),
    ("pendo", "pendo", 5, 1.0),
    ("aws", "aws_clickstream", 10, 0.8),
    ("adobe", "adobe", 10, 1.0),
]


@pytest.mark.parametrize(("export", "form", "events", "staged"), EXPORTS)
def test_an_export_is_recognised_loads_whole_and_has_stages(
    export, form, events, staged, external_data, tmp_path, monkeypatch
):
    parse_in_process(monkeypatch)
    proposal = propose([external_data / "collectors" / export], tmp_path)
    path = tmp_path / "journeyflow.yml"
    path.write_text(proposal.text)
    assert [problem for problem in check(path) if problem.severity == "error"] == []
    assert [source.format for source in load_config(path).sources.values()] == [form]
    assert proposal.trial.record_counts["accepted_count"] == events
    assert proposal.trial.record_counts["quarantined_count"] == 0
    assert proposal.trial.staged_rate == pytest.approx(staged)
    assert proposal.trial.empty_models == ()


def test_a_company_of_pendo_is_no_person(external_data, tmp_path, monkeypatch):
    parse_in_process(monkeypatch)
    proposal = propose([external_data / "collectors" / "pendo"], tmp_path)
    assert proposal.trial.person_count == 3  # Five accounts.
