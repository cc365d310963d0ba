"""Words that the project does not use: the terms of dbt, Spark, the GDPR and statistics stand in their place."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTEAD = {
    r"nights?": "run",
    r"anew": "again, full refresh",
    r"mend(s|ed|ing)?": "fix",
    r"told|tells": "reported, says",
    r"touched": "affected",
    r"(gave|gives|give|giving) way": "superseded",
    r"of everybody": "global, of all persons",
    r"lies": "is stored in",
    r"strangers?": "untrusted input",
    r"whom": "a sentence with a subject",
    r"renew(s|al|als|ing|er)?|renewed(_by)?": "incremental build",
    r"keeps_numbers": "surrogate_key",
    r"filled_by|fillers?": "python_model",
    r"paperwork|side files?": "metadata",
    r"tombstones?": "suppression list",
    r"forg(ot|otten|etting|ets)": "erased, erasure",
    r"land(s|ed|ing)(?! pages?)": "load, raw events",
    r"alarms?": "alert",
    r"(?<![`\"])ledger(?![.`/\"])": "file registry, run log",
    r"rivals?|gone_events": "duplicates, superseded events",
    r"kept (files?|cop(y|ies))": "archived file",
    r"atlas(es)?": "report data",
}
"""Pattern of a word → what to write. `land` as a verb only: a landing page is a landing page."""
ALLOWED = {
    r"false[- ]alarms?": "statistics says so",
    r"rate_alarms|alarm_count|--fail-on-alarm": "published or stable names",
    r"tombstones\\?\.|\|tombstones\)|\"tombstones\"|is_landed": "names of earlier versions",
    r"\bid: mending\b": "a rule's published id",
    r"what it tells of is over|is told by an outcome|are told by name": "published sentences of `blind_spots`",
}
FOLDERS = ("src", "sql", "docs", "pipelines")
ENDINGS = {".py", ".sql", ".yml", ".md", ".j2", ".js", ".css"}
# A step of the schema is never changed after it was released; it holds the names of its time.
# Templates hold event names as other products write them.
FROZEN = ("src/journeyflow/state/sql/schema", "src/journeyflow/setup/templates.yml")


def texts():
    """Yield every text of the project, with the entries of the changelog since the words were chosen."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.suffix in ENDINGS and not name.startswith(FROZEN):
                yield name, path.read_text(encoding="utf-8")
    for name in ("README.md", "SECURITY.md", "CHANGELOG.md"):
        yield name, (ROOT / name).read_text(encoding="utf-8")


ANY = re.compile(rf"(?<![a-z])({'|'.join(INSTEAD)})(?![a-z])")


@cache
def found():
    """Return each banned word of the project with its place and its line; one search for all words."""
    allowed = re.compile("|".join(ALLOWED), re.IGNORECASE)
    words = []
    for name, text in texts():
        plain = allowed.sub("", text)
        lines = plain.splitlines()
        for match in ANY.finditer(plain.lower()):
            number = plain.count("\n", 0, match.start())
            words.append((match[0], f"{name}:{number + 1}: {lines[number].strip()[:100]}"))
    return words


@pytest.mark.parametrize("pattern", INSTEAD)
def test_a_word_has_not_come_back(pattern):
    places = [place for word, place in found() if re.fullmatch(pattern, word)]
    assert not places, f"write {INSTEAD[pattern]!r} instead:\n" + "\n".join(places)


def test_no_word_is_found_that_no_pattern_names():
    assert not found()


def test_a_banned_word_would_be_found():
    assert ANY.search("a night in which rows were touched")
    assert not ANY.search("midnight, a landing page, untouched")
