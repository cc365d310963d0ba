"""The pending erasure is written, joined and read, also as earlier versions wrote it."""

from __future__ import annotations

import json

import pytest

from journeyflow.erasure.apply import PendingErasure, begin_erasure, end_erasure, pending_erasure
from journeyflow.errors import InputError

ONE = PendingErasure(("h1",), (("web", "a" * 64, (3,), ()),), (), ("web",), ("2026-03-01",))
TWO = PendingErasure(("h2",), (), ("b" * 64,), (), ("2026-03-01", "2026-03-02"))


def test_a_second_erasure_joins_the_pending_one(tmp_path):
    begin_erasure(tmp_path, ONE)
    assert pending_erasure(tmp_path) == ONE
    begin_erasure(tmp_path, TWO)
    days = ("2026-03-01", "2026-03-02")
    assert pending_erasure(tmp_path) == PendingErasure(("h1", "h2"), ONE.archives, TWO.dropped, ("web",), days)
    end_erasure(tmp_path)
    assert pending_erasure(tmp_path) is None


def test_the_key_of_an_earlier_version_is_read(tmp_path):
    begin_erasure(tmp_path, ONE)
    path = tmp_path / "erasure.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    written["tombstones"] = written.pop("suppressions")
    path.write_text(json.dumps(written), encoding="utf-8")
    assert pending_erasure(tmp_path) == ONE


@pytest.mark.parametrize("text", ["", "[]", '{"contents": 1}', '{"contents": [], "more": []}'])
def test_a_damaged_journal_is_an_error(tmp_path, text):
    (tmp_path / "erasure.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="cannot be read"):
        pending_erasure(tmp_path)
