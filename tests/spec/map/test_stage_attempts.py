"""Stage attempts: when they open and end, their interactions, and that order does not matter in a session."""

from __future__ import annotations

from typing import Any

from spec.map.test_interactions import found
from support.kernel_specs import START_US, us


def stage_attempts(text: str, **settings: Any) -> list[str]:
    """Return attempts as ``who stage.number month outcome events``, and interactions as ``… exposure count wait``."""
    log, tables, names = found(text, **settings)
    lines = []
    for row in tables["kernel.stage_attempts"]:
        who = f"{log.person(row['person_key'])} {row['stage_index']}.{row['attempt_index']}"
        if row["exposure_ix"]:
            wait = row["longest_wait_seconds"]
            waited = "" if wait is None else f" {wait:.0f}s"
            lines.append(f"{who} {names[row['exposure_ix']]} {row['touch_count']}{waited}")
        else:
            outcome = "on" if row["is_advanced"] else "left" if row["is_matured"] else "pending"
            lines.append(f"{who} {row['month_number']} {outcome} {row['touch_count']}")
    return sorted(lines)


def assert_attempts(text: str, expected: str, **settings: Any) -> None:
    assert stage_attempts(text, **settings) == sorted(" ".join(line.split()) for line in expected.strip().splitlines())


def test_going_beyond_ends_an_attempt_and_a_later_event_opens_the_next():
    assert_attempts(
        "ann: view@0s view@9s buy@10s view@2h view@2h1s",
        """
        ann 2.1 197001 on   2
        ann 2.1 pages 2 9s
        ann 2.2 197001 left 2
        ann 2.2 pages 2 1s
        ann 3.1 197001 left 1
        """,
    )


def test_an_attempt_lasts_no_longer_than_the_window():
    assert_attempts(
        "ann: view@0d view@30d view@31d buy@62d",
        """
        ann 2.1 197001 left 2
        ann 2.1 pages 2 2592000s
        ann 2.2 197002 left 1
        ann 2.2 pages 1
        ann 3.1 197003 left 1
        """,
        window="30d",
        high_water_us=START_US + us("100d"),
        journey_timeout_us=us("50d"),
    )


def test_in_a_session_order_does_not_matter():
    """A person who bought before has advanced; what follows in the session is part of the attempt."""
    assert_attempts(
        "ann: buy@0s view@5s error@6s view@8s",
        """
        ann 3.1 197001 left 1
        ann 2.1 197001 on   2
        ann 2.1 pages  2 1s
        ann 2.1 failed 1
        """,
    )


def test_returns_and_unclassified_events_belong_to_the_attempt_in_progress():
    assert_attempts(
        "ann: view@0s error@3s ad@5s view@9s",
        """
        ann 2.1 197001 left 2
        ann 2.1 pages  2 3s
        ann 2.1 failed 1
        ann 2.1 to 1   1
        ann 1.1 197001 on 1
        ann 1.1 ads 1
        """,
    )
