"""The parsed graph of models is cached for the next process, and never read for other files than it was made of."""

from __future__ import annotations

import pytest

from journeyflow import models
from journeyflow.state import paths


@pytest.fixture
def parsed(monkeypatch, tmp_path):
    """Count how often models are parsed by processes that share a cache, each beginning with `paths._graphs` empty."""
    calls, load_graph = [], models.load_graph
    monkeypatch.setattr(models, "load_graph", lambda *given: calls.append(given) or load_graph(*given))
    monkeypatch.setattr(paths, "_shared_cache", lambda: [tmp_path / "cache" / paths.MODELS])
    monkeypatch.setattr(paths, "_graphs", {})
    return calls


def test_the_next_process_reads_what_this_one_parsed_unless_a_file_changed(parsed, monkeypatch, tmp_path):
    first = paths.built_in_graph()
    paths._graphs.clear()
    assert paths.built_in_graph().models == first.models
    assert len(parsed) == 1
    monkeypatch.setattr(paths, "_graph_key", lambda _: "after a change")
    assert paths.built_in_graph().models == first.models
    assert len(parsed) == 2
    paths._graphs.clear()
    (tmp_path / "cache" / paths.MODELS).write_bytes(b"after a change\n[{")
    assert paths.built_in_graph().models == first.models
    assert len(parsed) == 3, "what is damaged is parsed again"
