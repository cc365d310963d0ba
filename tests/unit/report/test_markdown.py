"""The Markdown message holds the main figures of the report data, and nothing in it acts."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from journeyflow.publish.reader import open_published
from journeyflow.report.formatting import escape_markdown, figure_text, render_summary
from journeyflow.report.reader import read_report_data
from support.map_tables import BIDI, CONTROLS, LINK, MARKUP, SCRIPT, publish_tables, rich_tables


def test_a_message_leads_with_the_briefing(whole_time):
    lines = render_summary(whole_time).splitlines()
    first = [line for line in lines[:22] if line]
    assert first[2].startswith("**Who:** 4,000 persons: Student 2,000")
    assert first[3].startswith("**Where:** Awareness 4,000 → Consideration 2,000")
    assert first[4] == "**What hurts, and what to do:**"
    assert first[5].startswith("1. 1,333 persons met &lt;img")
    assert "(larger; owner Team 1 &lt;b&gt;) Suggested: " in first[5]
    assert first[6].startswith("2. 666 persons met it too. (new; owner Team 1 &lt;b&gt;) Suggested: ")
    assert first[7] == "**Lost, and no cause known:**"
    assert first[8].startswith("3. 2,000 of 4,000 persons leave at Awareness; no cause stands out.")
    assert first[9] == "**What changed:**"
    assert first[10].startswith("4. No longer listed")
    assert first[11].startswith("What cannot be seen: 2 critical and 1 warning")


def test_a_message_without_a_cause_says_so(whole_time):
    losses = tuple(line for line in whole_time.briefing.lines if line.kind == "loss")
    lines = render_summary(replace(whole_time, briefing=replace(whole_time.briefing, lines=losses))).splitlines()
    first = [line for line in lines[:22] if line]
    assert first[4:6] == ["**What hurts, and what to do:**", "No cause stands out."]
    assert first[6] == "**Lost, and no cause known:**"
    assert first[7].startswith("1. 2,000 of 4,000 persons leave at Awareness")


def test_a_message_of_another_model_says_of_which_one_its_briefing_is(whole_time):
    assert "The briefing is of" not in render_summary(whole_time)
    other = replace(whole_time, briefing=replace(whole_time.briefing, model="Other"))
    assert "*The briefing is of the model Other.*" in render_summary(other)


def test_a_message_covers_every_persona_and_ends_on_what_to_look_into(whole_time):
    message = render_summary(whole_time)
    assert message.index("### Everybody") < message.index("**critical**") < message.index("**warning**")
    assert "**note**" not in message
    assert message.count("\n### ") == 4
    for stage in whole_time.maps[0].reached:
        assert figure_text(stage.reached) in message
    assert len(message) < 8_000


def test_a_message_names_the_broken_promises_of_every_persona(tmp_path):
    tables = rich_tables()
    for row in tables["promises"]:
        if row["persona"] == "student":
            row |= {"kept_rate": None, "kept_low": None, "kept_high": None, "is_small": True}
    publish_tables(tmp_path, tables)
    with open_published(tmp_path) as published:
        message = render_summary(read_report_data(published, models=["shop"], periods=["all"]))
    everybody, student = (message.split(f"### {name}")[1].split("###")[0] for name in ("Everybody", "Student"))
    [first, second] = [line for line in everybody.splitlines() if line.startswith("- Promise in ")]
    assert first.startswith("- Promise in Decision")
    assert "kept 70.6 % (63.3 % to 76.9 %, n 170); were broken 50; due 200" in first
    assert "were broken 30" in second
    assert "Promise in" not in student


def test_a_message_holds_no_mark_link_or_markup_of_untrusted_names(whole_time):
    message = render_summary(whole_time)
    assert "<" not in message
    assert not re.search(r"(?<!\\)\]\(|(?<!\\)`|https?:/|(?<!\\)\|", message)
    assert escape_markdown(MARKUP).startswith("&lt;img")


@pytest.mark.parametrize(
    "text", ["**bold**", "[a](b)", "`code`", "www.evil.example", "me@evil.example", "#1 | ~x~ _y_", LINK, SCRIPT, "$x$"]
)
def test_markdown_shows_a_text_as_it_is(text):
    escaped = escape_markdown(text)
    assert not re.search(r"(?<!\\)[*_`\[\]#|~@$<>]", escaped)
    assert "www." not in escaped
    assert not re.search(r"(?<!\\):\S", escaped)


@pytest.mark.parametrize("tables", [{}, {"map_stages": []}])
def test_a_message_can_be_written_of_nothing(tmp_path, tables):
    publish_tables(tmp_path, tables)
    with open_published(tmp_path) as published:
        assert "there is no map" in render_summary(read_report_data(published))


def test_one_persona_without_extras_is_enough(tmp_path):
    rows = [row for row in rich_tables()["map_stages"] if row["persona"] == "all" and row["period"] == "all"]
    publish_tables(tmp_path, {"map_stages": rows})
    with open_published(tmp_path) as published:
        message = render_summary(read_report_data(published))
    assert message.count("\n### ") == 1
    assert not any(CONTROLS in text or BIDI in text for text in message.splitlines())
