"""What a run writes beside the publication: a copy in PostgreSQL, and the private lists of audiences."""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from journeyflow.engines.base import relation, text, word
from journeyflow.errors import InputError, JourneyflowError
from journeyflow.models.model import python_model
from journeyflow.publish.generation import table_comment
from journeyflow.state.folder import AUDIENCE_NAME, AUDIENCES
from journeyflow.utils.files import replaced_file, sync
from journeyflow.utils.formatting import FORMULA_START, escaped, label

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.config.experience import Audience
    from journeyflow.engines import DuckDBEngine, Engine
    from journeyflow.models import Column, Model


VARIABLE = "JOURNEYFLOW_POSTGRES"
"""Environment variable with the address of the database, credentials included; no file holds them."""
MARK = "journeyflow: published tables of"
"""Beginning of the comment by which a schema is known as ours; the name of the project follows."""
BATCH_ROWS = 50_000
_TYPES = {
    "VARCHAR": "text", "BIGINT": "bigint", "INTEGER": "integer", "DOUBLE": "double precision", "BOOLEAN": "boolean",
    "DATE": "date", "TIMESTAMP": "timestamp without time zone",
}  # fmt: skip
_DECIMAL = re.compile(r"DECIMAL\((\d+), ?(\d+)\)")
_QUOTED = re.compile(r"'.*'|\".*\"|['\"].*", re.DOTALL)
_COLUMNS = """
    select c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
    from pg_class as c inner join pg_attribute as a on a.attrelid = c.oid
    where c.relnamespace = to_regnamespace({schema}) and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
    order by c.relname, a.attnum
"""

_REMOVED = """
    delete from {name}; begin drop table {name}; exception when dependent_objects_still_exist then null; end
"""
"""Remove a table; one that a view stands on is emptied, so that it shows no old rows."""


def require_postgres(config: Config) -> None:
    """Raise before a run begins where the configured database could not be written at its end."""
    if config.targets.postgres:
        _driver()
        _address()


def write_postgres(engine: DuckDBEngine, models: Iterable[Model], config: Config) -> None:
    """Replace the rows of the configured schema by those of the published tables, in one transaction.

    Readers see the old rows of all tables until the new ones are there, and are never blocked: rows are deleted and
    inserted, so that views, grants and indexes on the tables stay. A table is replaced only where a column was removed
    or has another type.

    Raises
    ------
    JourneyflowError
        When the database refuses; it then holds what it held before. No value of a row is in the message.
    """
    target = config.targets.postgres
    if target is None:
        return
    tables = tuple(models)
    with _failing(), _driver().connect(_address()) as connection, connection.cursor() as cursor:
        cursor.execute("set local lock_timeout = '60s'")
        cursor.execute(f"select pg_advisory_xact_lock(hashtext({_text(MARK + target.schema_name)}))").fetchall()
        _own_schema(cursor, target.schema_name, config.project)
        _make_tables(cursor, tables, target.schema_name)
        for model in tables:
            cursor.execute(f"delete from {word(target.schema_name)}.{word(model.table)}")
            rows = engine.reader(f"select {_selected(model)} from {relation(model.name)}", BATCH_ROWS)
            cursor.adbc_ingest(model.table, rows, mode="append", db_schema_name=target.schema_name)
        connection.commit()


def withdraw_postgres(config: Config) -> None:
    """Empty the tables of the configured schema, where it is of this project; raises as `write_postgres` does."""
    target = config.targets.postgres
    if target is None:
        return
    schema = target.schema_name
    with _failing(), _driver().connect(_address()) as connection, connection.cursor() as cursor:
        cursor.execute("set local lock_timeout = '60s'")
        _own_schema(cursor, schema, config.project)
        present = {table for table, *_ in cursor.execute(_COLUMNS.format(schema=_text(word(schema)))).fetchall()}
        if "dictionary" in present:
            named = cursor.execute(f"select distinct table_name from {word(schema)}.dictionary").fetchall()
            for table in sorted({table for (table,) in named} & present - {"dictionary"}):
                cursor.execute(f"delete from {word(schema)}.{word(table)}")
        connection.commit()


def _own_schema(cursor: Any, schema: str, project: str) -> None:  # noqa: ANN401 - an optional library
    """Create the schema or take an empty one; refuse that of others or of another project: its tables would be lost."""
    mark = f"{MARK} {escaped(project)}"
    found = cursor.execute(
        "select obj_description(n.oid, 'pg_namespace'), (select count(*) from pg_class where relnamespace = n.oid) "
        f"from pg_namespace as n where n.nspname = {_text(schema)}"
    ).fetchall()
    is_new = not found or found[0] == (None, 0)
    if not is_new and found[0][0] != mark:
        raise InputError(
            f"The schema {schema} in PostgreSQL was not made for this project, and may hold other tables. Name a new "
            "one in `targets.postgres.schema`; nothing was changed. The tables are published as files."
        )
    if not found:
        cursor.execute(f"create schema {word(schema)}")
    if is_new:
        cursor.execute(f"comment on schema {word(schema)} is {_text(mark)}")


def _make_tables(cursor: Any, models: tuple[Model, ...], schema: str) -> None:  # noqa: ANN401
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in cursor.execute(_COLUMNS.format(schema=_text(word(schema)))).fetchall():
        found.setdefault(table, {})[column] = kind
    statements: list[str] = []
    if "dictionary" in found:  # It names the tables of the run before; others in the schema are of users.
        before = cursor.execute(f"select distinct table_name from {word(schema)}.dictionary").fetchall()
        for (table,) in before:
            if table in found and table not in {model.table for model in models}:
                statements.append(_REMOVED.format(name=f"{word(schema)}.{word(table)}"))
    for model in models:
        name = f"{word(schema)}.{word(model.table)}"
        wanted = {column: _type(described) for column, described in model.columns.items()}
        present = found.get(model.table)
        if present is not None and not present.items() <= wanted.items():
            statements.append(f"drop table {name}")
            present = None
        if present is None:
            statements.append(
                f"create table {name} ({', '.join(f'{word(key)} {kind}' for key, kind in wanted.items())})"
            )
        for column in wanted.keys() - present.keys() if present is not None else ():
            statements.append(f"alter table {name} add column {word(column)} {wanted[column]}")
        statements.append(f"comment on table {name} is {_text(table_comment(model))}")
        for column, described in model.columns.items():
            unit = f" [{described.unit}]" if described.unit else ""
            statements.append(f"comment on column {name}.{word(column)} is {_text(described.meaning + unit)}")
    # One statement: hundreds of comments would take as many round trips.
    body = f"begin {'; '.join(statements)}; end"
    cursor.execute(f"do {_text(body)}")


def _type(column: Column) -> str:
    """Return PostgreSQL's type of a column; what it lacks is written as text."""
    if decimal := _DECIMAL.fullmatch(column.type):
        return f"numeric({decimal[1]},{decimal[2]})"
    return _TYPES.get(column.type, "text")


def _selected(model: Model) -> str:
    """Return the columns in types that the driver knows; PostgreSQL's texts hold no zero character."""
    parts = []
    for name, column in model.columns.items():
        if _type(column) == "text":
            parts.append(f"replace(cast({word(name)} as varchar), chr(0), {text(chr(0x2400))}) as {word(name)}")
        else:
            parts.append(word(name))
    return ", ".join(parts)


def _text(value: str) -> str:
    """Return a text constant, whatever `standard_conforming_strings` says."""
    escaped_text = value.replace("\\", "\\\\").replace("'", "''").replace("\0", "\u2400")
    return f"E'{escaped_text}'"


def _driver() -> Any:  # noqa: ANN401 - an optional library
    try:
        return importlib.import_module("adbc_driver_postgresql.dbapi")
    except ImportError as error:
        raise JourneyflowError("The target `postgres` needs an extra: pip install 'journeyflow[postgres]'.") from error


def _address() -> str:
    address = os.environ.get(VARIABLE, "")
    if not address.startswith(("postgresql://", "postgres://")):
        raise InputError(
            f"Set the environment variable {VARIABLE} to the address of the database, such as "
            "postgresql://user:password@host/database; `targets.postgres` is configured."
        )
    return address


@contextmanager
def _failing() -> Iterator[None]:
    """Turn an error of the driver into one without values, addresses and passwords, which it quotes."""
    failures = _driver().Error
    try:
        yield
    except failures as error:
        first = _QUOTED.sub("…", str(error)).split("\n", 1)[0][:200]
        state = f" (SQLSTATE {error.sqlstate})" if getattr(error, "sqlstate", None) else ""
        raise JourneyflowError(
            f"The tables could not be written to PostgreSQL{state}: {first} It holds what it held before; the tables "
            "are published as files."
        ) from None


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
