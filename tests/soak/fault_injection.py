"""What happens to a project between its runs, and how often."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from soak.expected_events import BAD
from support import shop_files
from support.shop import KIOSK
from support.shop_rules import SOURCE_SWITCHES, SWITCHES

if TYPE_CHECKING:
    from soak.year import Year

Happening = Callable[["Year"], None]
KEPT_INPUT = "web"
"""Copies of this source are removed after a while, so that its input has to stay."""
BROKEN = b"id;when;who\n1;2025-01-01;u1\n"


def today(year: Year) -> None:
    """Put the files of the day into the input; some events are held back and come late."""
    events = year.shop.day(year.today)
    late = [event for event in events if year.rng.random() < 0.04]
    for event in late:
        days = year.rng.choice([1, 2, 5, 20, 90])
        year.late.append((year.number + days, replace(event, delay=timedelta(days=days))))
    due = [event for day, event in year.late if day <= year.number]
    year.late = [(day, event) for day, event in year.late if day > year.number]
    year.put([event for event in events if event not in late], is_packed=year.number % 2 == 0)
    year.put(due)
    year.tally.note("late events", len(due))


def a_file_comes_again(year: Year) -> None:
    """Send a known file under another name."""
    if year.project.read:
        name = year.rng.choice(sorted(year.project.read))
        source, _, ending = name.partition("-")
        year.project.put(source, year.project.read[name], ending.partition(".")[2])
        year.tally.note("files sent again")


def events_come_again(year: Year) -> None:
    """Send some known events once more among others."""
    again = year.some(8)
    year.put(again)
    year.tally.note("events sent again", len(again))


def events_come_changed(year: Year) -> None:
    """Send events of known ids with another content, received earlier or later than what is known."""
    for event in year.some(6, "web", "deliveries", "surveys"):
        delay = event.delay + year.rng.choice([timedelta(days=1), timedelta(milliseconds=-300), timedelta(0)])
        year.put([replace(event, delay=delay, name=year.rng.choice(["share", "compare"]), amount="")])
        year.tally.note("events of a known id with another content")


def names_drift(year: Year) -> None:
    """Send events of a name that is new."""
    at = year.now - timedelta(hours=2)
    year.put([replace(year.shop.event(f"shiny_{year.number}", at), cookie=f"c{year.rng.randrange(40)}")])
    year.tally.note("new names of events")


def columns_drift(year: Year) -> None:
    """Send the web's file with its columns in another order and a new one among them."""
    event = year.shop.event("page_view", year.now - timedelta(hours=1), cookie="c5", page="/p/desk")
    row = shop_files.web_row(event) | {"experiment": "b"}
    year.sent([event])
    year.project.put("web", shop_files.table(sorted(row), [row]))
    year.tally.note("files with other columns")


def a_layout_breaks(year: Year) -> None:
    """Send a file that lacks the columns it must have: it is refused in each run until it is removed."""
    year.broken.append(year.project.put("surveys", BROKEN + str(year.number).encode()))
    year.tally.note("files refused")


def a_broken_layout_is_removed(year: Year) -> None:
    """Take the refused files out."""
    while year.broken:
        year.broken.pop().unlink()


def rows_are_bad(year: Year) -> None:
    """Send rows without a time beside good ones."""
    good = year.shop.event("support_call", year.now - timedelta(hours=3), "calls", user="u2", channel="call_centre")
    rows = [shop_files.call_row(good), shop_files.call_row(good) | {"beginn": BAD}]
    year.sent([good])
    year.project.put("calls", shop_files.table(rows[0], rows, ";"))
    year.tally.note("rows put into quarantine")


def lines_repeat(year: Year) -> None:
    """Send a call twice in a file, and once more in another: two events."""
    call = year.shop.event("support_call", year.now - timedelta(hours=4), "calls", user="u1", channel="call_centre")
    for times in (2, 1):
        year.sent([call] * times)
        year.project.put("calls", shop_files.content("calls", [call] * times))


def people_become_one(year: Year) -> None:
    """Let one account name another as its earlier self."""
    one, other = year.rng.sample(sorted({event.user for event in year.known if event.user} | {"u1", "u2"}), 2)
    at = year.now - timedelta(minutes=5)
    year.put([year.shop.event("alias", at, user=one, facts={"previous_id": other})])
    year.tally.note("aliases")


def devices_are_shared(year: Year) -> None:
    """Let a user use a device of another one, and the kiosk."""
    at, user = year.now - timedelta(hours=6), f"u{year.rng.randrange(30)}"
    for cookie in (KIOSK, year.rng.choice([event.cookie for event in year.known if event.cookie] or [KIOSK])):
        names = ("page_view", "product_view", "add_to_cart")
        visit = [year.shop.event(name, at + timedelta(minutes=n)) for n, name in enumerate(names)]
        year.put([replace(event, cookie=cookie, user=user if n == 1 else "") for n, event in enumerate(visit)])
    year.tally.note("devices shared", 2)


def a_rule_changes(year: Year) -> None:
    """Turn a switch of the rules that lets no file be read again."""
    _turn(year, [name for name in sorted(SWITCHES) if name not in SOURCE_SWITCHES])


def a_source_changes(year: Year) -> None:
    """Turn a switch that lets all files of the web be read again."""
    _turn(year, list(SOURCE_SWITCHES))


def _turn(year: Year, switches: list[str]) -> None:
    name = year.rng.choice(switches)
    year.project.settings[name] = 1 - year.project.settings.get(name, 0)
    year.expected.dropped = {"hover"} if year.project.settings.get("where") else set()
    year.project.write_rules()
    year.tally.note("changes of rules")


def traits_change(year: Year) -> None:
    """Change the segment of a user, and their plan from a day on."""
    user = f"u{year.rng.randrange(40)}"
    if user in year.expected.erased:
        return
    year.project.segments[user] = year.rng.choice(["business", "home"])
    since = datetime.combine(year.today, time()) - timedelta(days=year.rng.randrange(60))
    plan = {"customer": user, "plan": year.rng.choice(["gold", "basic"]), "changed_at": str(since)}
    year.project.plans.append(plan)
    year.project.write_traits()
    year.tally.note("changes of traits")


def the_input_is_cleared(year: Year) -> None:
    """Empty the input of what is kept."""
    year.tally.note("files cleared from the input", year.project.clear_input(but=KEPT_INPUT))


def quarantine_is_replayed(year: Year) -> None:
    """Try all rows in quarantine once more."""
    if year.tally.counts["rows put into quarantine"] and year.tally.counts["runs"]:
        year.project.replay()
        year.tally.note("replays of the quarantine")


def happenings(number: int, pace: int) -> Iterator[Happening]:
    """Yield what happens on a day; with a pace of 1 each about as often as in a year, with a higher one more often."""
    for happening, every, offset in _CALENDAR:
        if (number + offset) % max(2, every // pace) == 0:
            yield happening


_CALENDAR: tuple[tuple[Happening, int, int], ...] = (
    (a_file_comes_again, 5, 1),
    (events_come_again, 4, 0),
    (events_come_changed, 5, 2),
    (names_drift, 13, 3),
    (columns_drift, 11, 4),
    (a_layout_breaks, 26, 5),
    (a_broken_layout_is_removed, 26, 1),
    (rows_are_bad, 12, 6),
    (lines_repeat, 15, 7),
    (people_become_one, 17, 8),
    (devices_are_shared, 9, 0),
    (traits_change, 7, 2),
    (a_rule_changes, 19, 5),
    (a_source_changes, 47, 9),
    (the_input_is_cleared, 21, 10),
    (quarantine_is_replayed, 33, 11),
)
