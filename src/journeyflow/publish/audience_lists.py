"""The lists of audiences: private files in the state folder, the only ones that name persons for use elsewhere."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from journeyflow.errors import InputError, JourneyflowError
from journeyflow.models.python_models import python_model
from journeyflow.state.inventory import AUDIENCE_NAME, AUDIENCES
from journeyflow.utils.files import replaced_file, sync
from journeyflow.utils.formatting import FORMULA_START, label

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.config.audiences import Audience
    from journeyflow.engines import Engine

MEMBERS = "members.json"
"""In the folder of an audience: the ids and addresses on the list, and how many were taken off it by an erasure."""
ID = "user_id"
HEADINGS: Mapping[str, Mapping[str, str]] = {
    "csv": {},
    "mailchimp": {
        "email": "Email Address", "first_name": "First Name", "last_name": "Last Name", "phone": "Phone Number",
        "address": "Address", "birthday": "Birthday",
    },
    "hubspot": {
        "email": "Email", "first_name": "First name", "last_name": "Last name", "phone": "Phone number",
        "company": "Company name", "city": "City", "country": "Country/Region", "job_title": "Job title",
    },
}  # fmt: skip
"""Format → name of a column → the name by which the tool's import recognizes it. The address is always `email`."""
_FORMULA = re.compile(FORMULA_START)
_LISTED = """
select user_id, email, person_key from analyses.audience_members
where outcome = 'listed' and audience_index = ? order by user_id
"""
_VALUES = """
select listed.person_key, found.trait, found.trait_value from analyses.audience_members as listed
inner join analyses.audience_values as found on found.person_key = listed.person_key
where listed.outcome = 'listed' and listed.audience_index = ?
"""

Members = dict[str, str | None]
"""User id → address."""


@python_model("insights._audiences_before")
def audiences_before(config: Config) -> pa.Table:
    """Return who is on the lists that the last run wrote, and a row without id for each who was erased since."""
    names, ids = [], []
    for audience in config.audiences:
        members, erased_count = _read_members(_folder(config.state, audience.name))
        names += [audience.name] * (len(members) + erased_count)
        ids += [*members, *[None] * erased_count]
    return pa.table({"audience": pa.array(names, pa.string()), "user_id": pa.array(ids, pa.string())})


def write_audience_lists(engine: Engine, config: Config) -> None:
    """Write the lists of this run, and remove those of audiences that are no longer configured."""
    try:
        for index, audience in enumerate(config.audiences, 1):
            _write(engine, _folder(config.state, audience.name), audience, index)
        _remove_others(config.state, {audience.name for audience in config.audiences})
    except OSError as error:
        raise JourneyflowError(
            f"Cannot write the lists of audiences in {config.state / AUDIENCES}: "
            f"{error.strerror or type(error).__name__}. The tables are published."
        ) from error


def remove_from_lists(state: Path, erased: Callable[[Sequence[str]], Iterable[str]]) -> None:
    """Take the rows off every list in which `erased`, given texts, finds the id of an erased person.

    What cannot be read is removed whole.
    """
    for folder in _folders(state):
        for path in sorted(folder.iterdir()):
            if path.is_symlink() or path.name.endswith(".unfinished"):
                path.unlink()
        try:
            members, erased_count = _read_members(folder)
            gone = _naming({user: (user, email or "") for user, email in members.items()}, erased)
            left = {user: email for user, email in members.items() if user not in gone}
            for path in sorted(folder.glob("*.csv")):
                _remove_rows(path, erased)
            # Last: should this be interrupted, the next try counts them again.
            if gone:
                _write_members(folder, left, erased_count + len(gone))
        except (InputError, ValueError, csv.Error):
            shutil.rmtree(folder)
    if (state / AUDIENCES).is_dir():
        sync(state / AUDIENCES)


def remove_lists(state: Path) -> None:
    """Remove all lists."""
    _remove_others(state, set())


def _folder(state: Path, name: str) -> Path:
    return state / AUDIENCES / name


def _folders(state: Path) -> list[Path]:
    place = state / AUDIENCES
    found = sorted(place.iterdir()) if place.is_dir() and not place.is_symlink() else []
    return [path for path in found if AUDIENCE_NAME.fullmatch(path.name) and path.is_dir() and not path.is_symlink()]


def _remove_others(state: Path, kept: set[str]) -> None:
    for folder in _folders(state):
        if folder.name not in kept:
            shutil.rmtree(folder)


def _read_members(folder: Path) -> tuple[Members, int]:
    path = folder / MEMBERS
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(user): email and str(email) for user, email in found["members"].items()}, int(found["erased_count"])
    except FileNotFoundError:
        return {}, 0
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}, the last list of an audience, cannot be read; remove the folder {folder}."
        ) from error


def _write_members(folder: Path, members: Members, erased_count: int = 0) -> None:
    with replaced_file(folder / MEMBERS) as file:
        file.write(json.dumps({"erased_count": erased_count, "members": members}).encode())


def _write(engine: Engine, folder: Path, audience: Audience, index: int) -> None:
    for place in (folder.parent, folder):
        place.mkdir(mode=0o700, exist_ok=True)
    before, _ = _read_members(folder)
    listed = engine.rows(_LISTED, [index]).to_pylist()
    values: dict[int, dict[str, str]] = {}
    for row in engine.rows(_VALUES, [index]).to_pylist():
        values.setdefault(row["person_key"], {})[row["trait"]] = row["trait_value"]
    rows = {row[ID]: values.get(row["person_key"], {}) for row in listed}
    members: Members = {row[ID]: row["email"] for row in listed}
    removed: Members = {user: email for user, email in before.items() if user not in members}
    written = set()
    for form in audience.format:
        prefix = "" if form == "csv" else f"{form}_"
        every = list(_table(audience, form, rows))
        new = [every[0], *(row for user, row in zip(rows, every[1:], strict=True) if user not in before)]
        lists = {"list": every, "added": new, "removed": list(_addresses(audience, form, removed))}
        for name, table in lists.items():
            written.add(f"{prefix}{name}.csv")
            with replaced_file(folder / f"{prefix}{name}.csv") as file:
                file.write(_csv(table))
    for path in folder.glob("*.csv"):
        if path.name not in written:
            path.unlink()
    _write_members(folder, members)


def _table(audience: Audience, form: str, rows: Mapping[str, Mapping[str, str]]) -> Iterator[list[str]]:
    yield [*(_heading(audience, form, name) for name in audience.fields), ID]
    for user, values in rows.items():
        yield [*(values.get(name) or "" for name in audience.fields), user]


def _addresses(audience: Audience, form: str, members: Members) -> Iterator[list[str]]:
    """Yield those who are no longer listed: all that is known of them is how to find them in the tool."""
    address = [name for name in audience.fields[:1] if audience.email]
    yield [*(_heading(audience, form, name) for name in address), ID]
    for user, email in members.items():
        yield [*(email or "" for _ in address), user]


def _heading(audience: Audience, form: str, name: str) -> str:
    if form == "csv":
        return name
    known = "email" if audience.email == f"trait.{name}" else name
    return HEADINGS[form].get(known) or label(name)


def _csv(rows: Iterable[Sequence[str]]) -> bytes:
    """Return rows as CSV; a text that a spreadsheet would run as a formula gets a leading apostrophe."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerows([f"'{cell}" if _FORMULA.match(cell) else cell for cell in row] for row in rows)
    return text.getvalue().encode()


def _remove_rows(path: Path, erased: Callable[[Sequence[str]], Iterable[str]]) -> None:
    head, *rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""), strict=True))
    gone = _naming({str(number): row for number, row in enumerate(rows)}, erased)
    if gone:
        # The texts are written as they were read: those with an apostrophe have it already.
        text = io.StringIO(newline="")
        left = (row for number, row in enumerate(rows) if str(number) not in gone)
        csv.writer(text, lineterminator="\r\n").writerows([head, *left])
        with replaced_file(path) as file:
            file.write(text.getvalue().encode())


def _naming(texts: Mapping[str, Sequence[str]], erased: Callable[[Sequence[str]], Iterable[str]]) -> set[str]:
    """Return the keys of which a text, without its apostrophe too, is the id of an erased person."""
    shown = sorted({form for row in texts.values() for cell in row for form in (cell, cell.removeprefix("'")) if form})
    found = set(erased(shown))
    return {key for key, row in texts.items() if any(cell in found or cell.removeprefix("'") in found for cell in row)}
