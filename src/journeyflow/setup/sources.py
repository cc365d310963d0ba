"""Drafts of the section `sources` and `people`: which files belong together, who wrote them, and how to read them."""

from __future__ import annotations

import glob
import os
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Any

from journeyflow.config.sources import MAPPED_FORMATS, known_formats
from journeyflow.errors import InputError
from journeyflow.ingest.adapters import load_adapter
from journeyflow.ingest.files import RefusedFileError, opened
from journeyflow.setup.columns import (
    CHANNELS,
    COMPANY,
    FEW_VALUES,
    WHOLE,
    Export,
    Profile,
    Roles,
    assign_roles,
    is_fit,
    known_export,
    order_times,
    profiles,
)
from journeyflow.setup.sample import Sample, UnknownEncodingError, read_sample
from journeyflow.setup.stages import stems, templates

Ask = Callable[[str, Sequence[str]], str | None]
"""Asks a question with answers, the first being the default; None where nobody can be asked."""
_MOST_FILES = 500
_ARCHIVES = (".tar.gz", ".tgz", ".tar")
_HEADERS = "column_headers.tsv"
_MOST_HEADER_BYTES = 1 << 20
_HALF = 0.5
_MOST = 0.9
_FEW_TRAITS = 50
_MOST_PROPERTIES = 200
_PRICES = ("price", "unit_price", "item_price", "value")
_MONEY_NAME = re.compile(r"_(usd|eur|gbp|chf|jpy|cad|aud)$")


@dataclass
class SourceDraft:
    """A source as it will be written; `comments` go above a key, "" is the whole source."""

    name: str
    content: dict[str, Any]
    samples: tuple[Sample, ...]
    comments: dict[str, list[str]] = field(default_factory=dict)

    def comment(self, key: str, text: str) -> None:
        """Write a comment above a key."""
        self.comments.setdefault(key, []).append(text)


@dataclass
class Draft:
    """All sources, files of people, and notes for the reader: what was understood, and what is doubtful."""

    sources: list[SourceDraft] = field(default_factory=list)
    people: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    currency: str | None = None
    price: str | None = None
    """The property with the price of goods, where every row states one."""


def draft_sources(given: Sequence[Path], folder: Path, ask: Ask) -> Draft:
    """Look at files and folders and draft their sources; `folder` is that of the configuration.

    InputError when a named file cannot be read, or none of all files holds events.
    """
    draft = Draft()
    paths = list(_files(given))
    if not paths:
        raise InputError(f"No file is in {', '.join(map(str, given))}: name files of events, or another folder.")
    names = _feed_columns(paths, draft)
    groups: dict[tuple[object, ...], list[Sample]] = {}
    for path in paths:
        if path.name.lower().endswith((*_ARCHIVES, ".md", ".yml", ".yaml")) or path.name == _HEADERS:
            continue
        try:
            sample = read_sample(path)
        except UnknownEncodingError as error:
            if path in given:
                raise
            draft.notes.append(f"left out: {error.message}")
            continue
        except InputError:
            if path in given and len(given) == 1:
                raise
            draft.notes.append(f"{path.name} is left out: it is no table of events")
            continue
        if names and sample.header is False and abs(len(sample.columns) - len(names)) <= 1:
            sample = sample.named(names)
        groups.setdefault((sample.form, sample.columns, sample.delimiter, sample.records), []).append(sample)
    is_alone = len(groups) == 1
    known = {} if is_alone else _known_ids(samples[0] for samples in groups.values())
    for samples in groups.values():
        _draft_group(tuple(samples), paths, folder, draft, ask, known, is_alone=is_alone)
    if not draft.sources:
        raise InputError("None of these files holds events: rows with a time and a person. Name other files.")
    return draft


def _known_ids(samples: Iterable[Sample]) -> dict[str, frozenset[str]]:
    """Return the identifiers of persons in the columns that are known to hold them, by canonical column."""
    ids: dict[str, frozenset[str]] = {}
    for sample in samples:
        found = profiles(sample)
        columns = assign_roles(found, is_named=sample.header is not False).columns
        for name in ("anonymous_id", "user_id"):
            if name in columns:
                ids[name] = ids.get(name, frozenset()) | {*found[columns[name]].distinct}
    return ids


def _id_by_values(found: dict[str, Profile], roles: Roles, known: Mapping[str, frozenset[str]]) -> dict[str, str]:
    """Return the column whose values are identifiers in other files; of numbers, most of these must occur in it."""
    shares = {}
    for column, profile in found.items():
        if column in roles.columns.values() or len(profile.distinct) < 2 or profile.fill < _MOST:
            continue
        for name, ids in known.items():
            common = len(ids.intersection(profile.distinct))
            is_known = common >= _MOST * len(profile.distinct) and (not profile.is_number or common >= _HALF * len(ids))
            if is_known and is_fit(name, profile):
                shares[common, name] = column
    return {max(shares)[1]: shares[max(shares)]} if shares else {}


def _files(given: Sequence[Path]) -> Iterator[Path]:
    for path in given:
        if not path.exists():
            raise InputError(f"There is no file {path}. Name files of events or a folder, or none for an example.")
        if path.is_dir():
            own = (path / "state", path / "published")  # Of a project that has run here.
            inside = (
                found
                for found in sorted(path.rglob("*"))
                if found.is_file()
                and not found.name.startswith((".", "LICENSE"))
                and not any(found.is_relative_to(folder) for folder in own)
            )
            yield from list(inside)[:_MOST_FILES]
        else:
            yield path


def _feed_columns(paths: Iterable[Path], draft: Draft) -> tuple[str, ...]:
    """Return the column names that a headerless feed delivers beside its data: in its lookups, or as a file."""
    folders = {path.parent for path in paths}
    candidates = sorted({*paths, *(p for f in folders for p in f.glob("*") if p.name.endswith((*_ARCHIVES, _HEADERS)))})
    for path in candidates:
        text = ""
        if path.name == _HEADERS:
            text = path.read_bytes()[:_MOST_HEADER_BYTES].decode("latin-1")
        elif path.name.endswith(_ARCHIVES):
            text = _member(path)
        if "\t" in text:
            draft.notes.append(f"the names of the columns are those of {_HEADERS} in {path.name}")
            return tuple(name.strip() for name in text.splitlines()[0].split("\t"))
    return ()


def _member(path: Path) -> str:
    """Return the file of column names in an archive, read as a stream that refuses to unpack without end."""
    try:
        with opened(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in islice(archive, _MOST_FILES):
                if member.isfile() and Path(member.name).name == _HEADERS and member.size <= _MOST_HEADER_BYTES:
                    found = archive.extractfile(member)
                    return found.read().decode("latin-1") if found else ""
    except (OSError, tarfile.TarError, EOFError, RefusedFileError):
        return ""
    return ""


def recognised(sample: Sample) -> str | None:
    """Return the collector whose signature the columns of a sample have, the most particular one."""
    best: tuple[int, str] | None = None
    for name in known_formats():
        if name in MAPPED_FORMATS:
            continue
        signature = load_adapter(name).metadata.signature
        fits = all(any(fnmatchcase(c, p) for c in sample.columns for p in group) for group in signature)
        if signature and fits and (best is None or len(signature) > best[0]):
            best = (len(signature), name)
    return best[1] if best else None


def _draft_group(
    samples: tuple[Sample, ...],
    paths: Sequence[Path],
    folder: Path,
    draft: Draft,
    ask: Ask,
    known: Mapping[str, frozenset[str]],
    *,
    is_alone: bool,
) -> None:
    """Draft the sources of files that are alike."""
    first = samples[0]
    patterns = _patterns([sample.path for sample in samples], paths, folder)
    collector = "access_log" if first.form == "access_log" else recognised(first)
    draft.doubts += [f"{sample.path.name}: {flaw}" for sample in samples for flaw in sample.flaws if not collector]
    if collector:
        draft.notes.append(f"{first.path.name} is an export of {collector}: its columns are known ({_page(collector)})")
        for pattern in patterns:
            _add(draft, _collector_source(collector, pattern, samples), _stem(first.path))
        return
    if export := known_export(first):
        page = _page(re.sub(r"\W+", "_", export.label.lower()))
        draft.notes.append(f"{first.path.name} is an export of {export.label}: {export.note} ({page})")
        for pattern in patterns:
            _export_sources(export, pattern, samples, draft)
        return
    found = profiles(first)
    roles = assign_roles(found, is_named=first.header is not False)
    has_person = "anonymous_id" in roles.columns or "user_id" in roles.columns
    if not has_person and (by_values := _id_by_values(found, roles, known)):
        roles, has_person = replace(roles, columns=roles.columns | by_values), True
        for name, column in by_values.items():
            draft.doubts.append(f"{first.path.name}: {column} is taken as {name}: its values are ids in other files")
    moments = order_times(found) if "event_name" not in roles.columns else []
    if has_person and len(moments) > 1:
        for pattern in patterns:
            _order_sources(pattern, samples, found, roles, moments, draft)
    elif has_person and "occurred_at" in roles.columns and not (_is_of_people(found, roles) and not is_alone):
        for pattern in patterns:
            content, comments = _mapped_source(pattern, samples, found, roles, draft, ask)
            source = SourceDraft("", content, samples, comments)
            _add(draft, source, _stem(first.path))
    elif has_person and not is_alone and _is_of_people(found, roles):
        draft.people += [_people(pattern, first, found, roles) for pattern in patterns]
        draft.notes.append(f"{first.path.name} describes people: its columns are traits")
    elif is_alone:
        raise InputError(f"{first.path}: {_why_no_events(found, roles)}")
    else:
        draft.notes.append(f"{first.path.name} is left out: {_why_no_events(found, roles)}")


def _page(name: str) -> str:
    return f"docs/how-to/collectors/{name}.md"


def _why_no_events(found: dict[str, Profile], roles: Roles) -> str:
    missing = [] if "occurred_at" in roles.columns else ["a time in every row"]
    missing += [] if {"anonymous_id", "user_id"} & set(roles.columns) else ["an identifier of a person"]
    companies = [name for name, profile in found.items() if COMPANY.search(profile.key) and profile.values]
    hint = f"; {companies[0]} is one of companies" if companies and len(missing) else ""
    return f"no column holds {' or '.join(missing)}{hint}. There are {', '.join(list(found)[:40])}."


def _stem(path: Path) -> str:
    word = re.sub(r"[^a-z]+", "_", path.name.lower().split(".")[0]).strip("_")
    return word or "events"


def _add(draft: Draft, source: SourceDraft, name: str) -> None:
    taken, number, unique = {each.name for each in draft.sources}, 2, name
    while unique in taken:
        unique, number = f"{name}_{number}", number + 1
    source.name = unique
    draft.sources.append(source)


def _patterns(files: Sequence[Path], all_paths: Sequence[Path], folder: Path) -> list[str]:
    """Return one pattern for the files of a folder where it matches no other file that was given, else each path."""
    parents = {path.parent for path in files}
    suffix = "".join(files[0].suffixes[-2:]) if files[0].suffix in (".gz", ".zst", ".zip") else files[0].suffix
    if len(files) > 1 and len(parents) == 1 and suffix:
        here = [p for p in files[0].parent.iterdir() if p.name.endswith(suffix) and not p.name.startswith(".")]
        if len(here) == len(files) and all(path in all_paths for path in here):
            parent = glob.escape(_relative(files[0].parent, folder))
            return [f"{parent}/*{glob.escape(suffix)}" if parent != "." else f"*{glob.escape(suffix)}"]
    return [glob.escape(_relative(path, folder)) for path in files]


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def _collector_source(collector: str, pattern: str, samples: tuple[Sample, ...]) -> SourceDraft:
    first = samples[0]
    content: dict[str, Any] = {"format": collector, "path": pattern}
    if first.encoding:
        content["encoding"] = first.encoding
    if isinstance(first.header, tuple):
        content["header"] = list(first.header)
    source = SourceDraft("", content, samples)
    if "exclude_hit" in first.columns:
        content["where"] = {"not": {"properties.exclude_hit": {"above": 0}}}
        source.comment("where", "hits that Adobe leaves out of its reports")
    return source


def _export_sources(export: Export, pattern: str, samples: tuple[Sample, ...], draft: Draft) -> None:
    keys = _text_keys(samples[0])
    keys.pop("records", None)
    if export.records not in (None, WHOLE):
        keys["records"] = export.records
    for name, content in export.sources_of(samples[0]):
        source = SourceDraft("", {"format": samples[0].form, "path": pattern, **keys, **content}, samples)
        source.comment("", f"{export.label}, see {export.schema}")
        _add(draft, source, name)


def _text_keys(sample: Sample) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    if sample.form == "csv" and sample.delimiter != ",":
        keys["delimiter"] = sample.delimiter
    if sample.encoding:
        keys["encoding"] = sample.encoding
    if sample.form in ("csv", "xlsx") and sample.header is not True:
        keys["header"] = list(sample.header) if isinstance(sample.header, tuple) else False
    if sample.records:
        keys["records"] = sample.records
    return keys


def _mapped_source(
    pattern: str, samples: tuple[Sample, ...], found: dict[str, Profile], roles: Roles, draft: Draft, ask: Ask
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    first, columns, comments = samples[0], dict[str, Any](roles.columns), dict[str, list[str]]()
    content: dict[str, Any] = {"format": first.form, "path": pattern, **_text_keys(first)}
    if first.encoding:
        comments["encoding"] = ["a guess: the file is not UTF-8"]
    content["channel"] = _channel(found, roles, columns)
    shape = found[roles.columns["occurred_at"]].time
    if shape and not shape.has_zone:
        content["timezone"] = "UTC"
        comments["timezone"] = ["of times that state no zone"]
    for name, others in roles.doubts:
        if others:
            chosen = ask(f"Which column of {first.path.name} is {name}?", [roles.columns[name], *others])
            columns[name] = chosen or roles.columns[name]
            comments.setdefault(name, []).append(
                f"could also be {' or '.join(o for o in (roles.columns[name], *others) if o != columns[name])}"
            )
    for name in ("occurred_at", "received_at"):
        if name in columns:
            columns[name] = _time_column(name, str(columns[name]), found, comments, draft, ask)
    if "event_name" not in columns:
        columns["event_name"] = {"constant": _constant_name(first.path, found, columns)}
        comments["event_name"] = ["no column names what happened"]
        draft.doubts.append(
            f"{first.path.name} has no column of event names: every row is a {columns['event_name']['constant']}"
        )
    _settle_amount(found, columns, draft, comments)
    _settle_ids(found, columns, draft)
    content["columns"] = columns
    used = {str(c) if isinstance(c, str) else str(c.get("column")) for c in columns.values()}
    if isinstance(content["channel"], dict):
        used.add(content["channel"]["column"])
    kept = [n for n, p in found.items() if n not in used and p.values and not p.is_private and p.key != "user_agent"]
    if kept:
        content["properties"] = kept[:_MOST_PROPERTIES]
    if len(kept) > _MOST_PROPERTIES:
        draft.doubts.append(
            f"{first.path.name} has {len(kept):,} columns without a role: the first {_MOST_PROPERTIES} are kept"
        )
    empty = [name for name, profile in found.items() if not profile.values]
    if empty:
        comments.setdefault("", []).append(f"without a value in the rows looked at: {', '.join(empty[:20])}")
    private = [name for name, profile in found.items() if profile.is_private and profile.values and name not in used]
    if private:
        comments.setdefault("", []).append(f"left out as personal data: {', '.join(private[:20])}")
    return content, comments


def _channel(found: dict[str, Profile], roles: Roles, columns: dict[str, Any]) -> Any:  # noqa: ANN401 - YAML
    """Return a constant, or the column of channels; a column of campaigns named channel becomes `utm_source`."""
    for name, profile in found.items():
        if name in roles.columns.values() or profile.key not in ("channel", "marketing_channel", "source_channel"):
            continue
        seen = [value.lower() for value in profile.distinct[:FEW_VALUES]]
        if seen and sum(value in CHANNELS for value in seen) > _HALF * len(seen):
            return {"column": name}
        if seen and len(profile.distinct) <= FEW_VALUES * 4:
            columns.setdefault("utm_source", name)
    keys = {profile.key for profile in found.values()}
    return "app" if {"app_version", "app_release"} & keys else "web"


def _time_column(
    name: str, column: str, found: dict[str, Profile], comments: dict[str, list[str]], draft: Draft, ask: Ask
) -> Any:  # noqa: ANN401 - YAML
    shape = found[column].time
    if shape is None or (shape.unit is None and shape.format is None):
        return column
    if shape.unit:
        return {"column": column, "unit": shape.unit}
    if shape.other_format and name == "occurred_at":
        chosen = ask(f"How are the days of {column} written?", [str(shape.format), shape.other_format])
        other = shape.other_format if chosen in (None, shape.format) else shape.format
        comments.setdefault(name, []).append(f"every value is also valid as {other}")
        draft.doubts.append(f"{column}: day and month could be the other way round ({other})")
        return {"column": column, "format": chosen or shape.format}
    return {"column": column, "format": shape.format}


def _constant_name(path: Path, found: dict[str, Profile], columns: dict[str, Any]) -> str:
    meaning = templates()["shop"].meaning(_stem(path))
    if meaning:
        return meaning
    return "page_view" if "page_path" in columns or any("page" in p.key for p in found.values()) else _stem(path)


def _settle_amount(
    found: dict[str, Profile], columns: dict[str, Any], draft: Draft, comments: dict[str, list[str]]
) -> None:
    """Keep an amount only where it can be added; state a currency for it."""
    amount = columns.get("revenue_amount")
    if amount is None:
        return
    if found[amount].has_decimal_commas:
        del columns["revenue_amount"]
        draft.doubts.append(f"{amount} has decimal commas, and such amounts are quarantined: write 1.50 for 1,50")
        return
    if found[amount].key in _PRICES and found[amount].fill > _HALF and "event_name" in columns:
        del columns["revenue_amount"]
        draft.price = amount
        draft.notes.append(f"{amount} is on rows of every kind: it is the value of the goal, and no revenue of a view")
    stated = _MONEY_NAME.search(found[amount].key)
    if "currency" in columns:
        draft.currency = found[columns["currency"]].distinct[0]
    else:
        draft.currency = stated[1].upper() if stated else draft.currency or "EUR"
        columns["currency"] = {"constant": draft.currency}
        if not stated:
            comments["currency"] = ["a guess: no column states it"]
            draft.doubts.append(f"the currency of {amount} is not stated: {draft.currency} is a guess")


def _settle_ids(found: dict[str, Profile], columns: dict[str, Any], draft: Draft) -> None:
    fills = {name: found[columns[name]].fill for name in ("anonymous_id", "user_id") if name in columns}
    if fills and max(fills.values()) < _MOST:
        draft.doubts.append(f"{1 - max(fills.values()):.0%} of rows name no person: they go to the quarantine")
    companies = [n for n, p in found.items() if COMPANY.search(p.key) and p.values and n not in columns.values()]
    if companies:
        draft.notes.append(f"{companies[0]} looks like a company or group: it is a property, and no person")


def _is_of_people(found: dict[str, Profile], roles: Roles) -> bool:
    """Return whether a table has one row a person: traits, and no events."""
    column = roles.columns.get("user_id") or roles.columns.get("anonymous_id")
    profile = found[column] if column else None
    is_one_each = profile is not None and len(profile.distinct) == profile.row_count > 1
    named = roles.columns.get("event_name")
    has_name = named is not None and re.search(r"event|action|activit", found[named].key) is not None
    return is_one_each and not has_name


def _people(pattern: str, sample: Sample, found: dict[str, Profile], roles: Roles) -> dict[str, Any]:
    user = roles.columns.get("user_id") or roles.columns["anonymous_id"]
    since = roles.columns.get("occurred_at")
    traits = [
        name
        for name, profile in found.items()
        if name not in (user, since) and profile.values and not profile.is_private
        and (len(profile.distinct) <= _FEW_TRAITS or profile.is_number) and re.fullmatch(r"\w{1,100}", name)
    ]  # fmt: skip
    content: dict[str, Any] = {"path": pattern, "user_id": user, "traits": traits or [user]}
    if sample.form != "csv":
        content["format"] = sample.form
    content |= {key: value for key, value in _text_keys(sample).items() if key in ("delimiter", "encoding")}
    if since and (shape := found[since].time) and shape.unit is None and shape.format is None:
        content["valid_from"] = since
    return content


def _order_sources(
    pattern: str,
    samples: tuple[Sample, ...],
    found: dict[str, Profile],
    roles: Roles,
    moments: Sequence[str],
    draft: Draft,
) -> None:
    """One row with several moments is several events: a source for each column of time."""
    first = samples[0]
    base = {k: v for k, v in roles.columns.items() if k in ("user_id", "anonymous_id") and is_fit(k, found[v])}
    key = next(
        (n for n, p in found.items() if p.key in ("order_id", "id", "booking_id", "appointment_id", "deal_id")), None
    )
    rest = [n for n, p in found.items() if n not in (*base.values(), *moments) and p.values and not p.is_private]
    comments: dict[str, list[str]] = {}
    for moment in moments:
        if not found[moment].values:
            continue
        name = _moment_name(moment, first.path)
        columns: dict[str, Any] = {
            **base,
            "occurred_at": _time_column("received_at", moment, found, comments, draft, _nobody),
        }
        columns["event_name"] = {"constant": name}
        if key:
            columns["event_id"] = key
        if name == "purchase" and "revenue_amount" in roles.columns:
            columns["revenue_amount"] = roles.columns["revenue_amount"]
            _settle_amount(found, columns, draft, comments)
        content: dict[str, Any] = {"format": first.form, "path": pattern, **_text_keys(first)}
        content["channel"] = "delivery" if name in ("delivered", "order_tracked") else "web"
        shape = found[moment].time
        if shape and not shape.has_zone:
            content["timezone"] = "UTC"
        content |= {"where": {f"properties.{moment}": {"exists": True}}, "columns": columns}
        content["properties"] = [moment, *(n for n in rest if n != columns.get("revenue_amount"))]
        source = SourceDraft("", content, samples)
        source.comment("", f"a row has several moments: this source is its {moment}")
        _add(draft, source, _stem(Path(moment)))
    draft.notes.append(f"{first.path.name} has {len(moments)} times in a row: each is an event of its own")


def _nobody(question: str, answers: Sequence[str]) -> None:
    del question, answers


_TIME_WORDS = frozenset(stem for word in ("at", "date", "time", "timestamp", "on", "ts", "dt") for stem in stems(word))


def _moment_name(column: str, path: Path) -> str:
    """Return the event that a time belongs to: `order_delivered_customer_date` is a delivery."""
    words = [part for part in re.sub(r"([a-z])([A-Z])", r"\1_\2", column).lower().split("_") if part]
    kept = [word for word in words if not (set(stems(word)) & _TIME_WORDS)]
    phrase = " ".join(kept)
    if phrase in ("created", "order created", "ordered", "order", "order purchase"):
        return "purchase"
    if "approv" in phrase:
        return "payment_info"
    meaning = templates()["shop"].meaning(phrase) or templates()["appointments"].meaning(phrase)
    return meaning or "_".join(kept) or _stem(path)
