"""Whatever is written into the configuration, the command leaves with code 2 and says where, without a traceback."""

from __future__ import annotations

import re

import pytest

from journeyflow.cli import main
from journeyflow.errors import ExitCode

GOOD = """sources:
  web: {format: csv, path: web.csv, columns: {occurred_at: ts, anonymous_id: cookie, event_name: event}}
"""
LAUGHS = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
CASES = {
    # name: (text behind the good sources, line, YAML path)
    "alias_bomb": (LAUGHS, 3, ""),
    "alias": ("sessions: &s {timeout: 1h}\njourneys: *s\n", 3, ""),
    "merge": ("sessions: {<<: {timeout: 1h}}\n", 3, "sessions.<<"),
    "tag": ("project: !!python/object/apply:os.system [id]\n", 3, "the file"),
    "twice_a_key": ("min_count: 3\nmin_count: 4\n", 4, "min_count"),
    "twice_sources": ("sources: {}\n", 3, "sources"),
    "unknown_key": ("secret: 1\n", 3, "secret"),
    "unclosed": ("project: [a\n", None, ""),
    "tab": ("\tproject: a\n", 3, ""),
    "nul": ("project: a\x00b\n", 3, ""),
    "escape_codes": ("project: a\x1b[2J\n", 3, ""),
    "two_documents": ("---\nproject: a\n", 3, ""),
    "deep": ("models: " + "[" * 3000 + "\n", 3, ""),
    "list_for_mapping": ("sessions: [1h]\n", 3, "sessions"),
    "number_for_duration": ("clock_skew: 60\n", 3, "clock_skew"),
    "base_60": ("clock_skew: 12:30:00\n", 3, "clock_skew"),
    "negative_duration": ("clock_skew: -1h\n", 3, "clock_skew"),
    "endless_duration": ("sessions: {timeout: 99999999999999999999999d}\n", 3, "sessions.timeout"),
    "infinite_number": ("min_count: .inf\n", 3, "min_count"),
    "huge_number": ("min_count: " + "9" * 5000 + "\n", 3, "min_count"),
    "state_is_publish": ("state: x\npublish: x\n", 4, "publish"),
    "project_climbs": ("project: ../../etc\n", 3, "project"),
    "sql_in_a_funnel": ('funnels: {"x\'; drop table y; --": {steps: [{name: a, when: {event: a}}]}}\n', 3, "funnels"),
    "sql_in_a_field": ('touchpoints: [{label: a, when: {"1=1; --": a}}]\n', 3, "touchpoints[0].when"),
    "look_behind": ("touchpoints: [{label: a, when: {event: {regex: '(?<=a)b'}}}]\n", 3, "touchpoints[0].when.event"),
    "back_reference": (
        "touchpoints: [{label: a, when: {event: {regex: '(a+)\\1'}}}]\n",
        3,
        "touchpoints[0].when.event",
    ),
    "repeat_bomb": (
        "touchpoints: [{label: a, when: {event: {regex: '((a{1000}){1000}){1000}'}}}]\n",
        3,
        "touchpoints[0].when.event",
    ),
    "unclosed_group": ("touchpoints: [{label: a, when: {event: {regex: '('}}}]\n", 3, "touchpoints[0].when.event"),
    "unknown_zone": ("timezone: ../../etc/passwd\n", 3, "timezone"),
    "short_rate": ("currency: {report: EUR, rates: {USD: -1}}\n", 3, "currency.rates.USD"),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_bad_configuration_is_refused_with_its_place(tmp_path, capsys, name, command):
    more, line, path = CASES[name]
    written = tmp_path / "journeyflow.yml"
    written.write_text(GOOD + more, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main([command, "--config", str(written)])
    said = "".join(capsys.readouterr())
    assert ended.value.code == ExitCode.CONFIGURATION, said
    assert "Traceback" not in said
    assert "\x1b" not in said
    assert len(said) < 5000
    if line:
        assert f"{written}:{line}: error: {path}" in re.sub(r"\n +", "", said), said
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x80abc", b"", b"null", b"[]", b"sources:", b"PK\x03\x04"])
def test_a_file_that_is_no_configuration_is_refused(tmp_path, capsys, content):
    written = tmp_path / "journeyflow.yml"
    written.write_bytes(content)
    with pytest.raises(SystemExit) as ended:
        main(["check", "--config", str(written)])
    said = "".join(capsys.readouterr())
    assert ended.value.code == ExitCode.CONFIGURATION
    assert str(written) in said
    assert "Traceback" not in said
