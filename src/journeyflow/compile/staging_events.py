"""Compile `staging.events` and predicates over event types: filters, bots, caps, bits; surveys, and consents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from sqlglot import exp

from journeyflow.compile.conditions import (
    EVENT_TYPE_FIELDS,
    NUMBER,
    Predicate,
    call,
    column,
    compile_condition,
    event_level_conditions,
    leaf_truth,
    predicates,
    sql,
    text,
)
from journeyflow.config.conditions import All, Condition, Leaf, leaves
from journeyflow.config.config import Config
from journeyflow.config.models_and_funnels import vocabulary
from journeyflow.config.sources import NULL_IDS, PREVIOUS_ID, SLICE_COLUMNS
from journeyflow.models.model import python_model

_WORDS = (
    # `bot` as a word or its end, but not the phones called Cubot.
    r"(^|[^u]|[^c]u|^u)bot([^a-z]|$)",
    "crawl",
    "spider",
    "slurp",
    "scrap(er|y)",
    "archiver|heritrix|nutch|httrack|wget|curl/|libcurl",
    "feed(fetcher|burner|ly|parser|validator|demon|bin)|rss|newsblur|netvibes|simplepie|magpie",
    "mediapartners-google|google favicon|google web preview|adsbot|apis-google|google-read-aloud|bingpreview",
    "facebookexternalhit|facebookcatalog|meta-external|whatsapp/|embedly|outbrain|quora link|bitly|pinterest/0",
    "python-|python/|aiohttp|httpx|go-http-client|httpclient|java/|libwww-perl|lwp::|lwp-|perl|ruby|php/|guzzle",
    "node-fetch|axios|winhttp",
    "headless|phantomjs|selenium|puppeteer|playwright|lighthouse|page ?speed|gtmetrix|webpagetest",
    "pingdom|uptime|statuscake|site24x7|newrelic|monitor|nagios|check_http|zabbix|datadog",
    "validator|linkcheck|link checker|xenu|siteimprove|screaming frog|netcraft|nmap|nikto|masscan|zgrab|censys",
    "sqlmap|nessus|ahrefs|semrush|majestic|megaindex|yandeximages|sogou|teoma|ask jeeves|grapeshot|proximic",
    "admantx|exabot",
    "chatgpt-user|oai-searchbot|anthropic-ai|perplexity|bytespider|cohere-ai|diffbot",
)
BOT_PATTERN = "(?i)" + "|".join(_WORDS)
"""RE2 pattern of known bots, fetchers, monitors and scripts."""


MOST_NAMES = 500
"""Event names that a run distinguishes."""
MOST_CHANNELS = 50
OTHER = "other"
UNKNOWN_CHANNEL = "unknown"
"""Channel of events whose source states none."""
_NEGATIVE = ("not_in", "exists")


def capped_channel() -> exp.Expr:
    """Return the channel of a row of `sources.events`: its own, or `other` where there are too many."""
    rare = exp.select(column("channel")).from_("rare_channels").subquery()
    is_rare = exp.In(this=_channel(), query=rare)
    return exp.Case().when(is_rare, text(OTHER)).else_(_channel())


def capped_name() -> exp.Expr:
    """Return the event name of a row of `sources.events`: its own, or `other` where there are too many."""
    rare = exp.select(column("event_name")).from_("rare_names").subquery()
    is_rare = exp.In(this=column("event_name"), query=rare)
    return exp.Case().when(is_rare, text(OTHER)).else_(column("event_name"))


def rare_channels(config: Config) -> exp.Select:
    """Find the channels beyond the most frequent ones; those that the configuration names come first."""
    named = {
        source.channel.constant for source in config.sources.values() if source.channel and source.channel.constant
    }
    named |= {*config.sessions.offline_channels, UNKNOWN_CHANNEL}
    return _rare("channel", _channel(), [_of_leaf(Leaf("channel", "in", tuple(sorted(named))))], MOST_CHANNELS)


def rare_names(config: Config) -> exp.Select:
    """Find the event names beyond the most frequent ones; those that the configuration names come first."""
    return _rare("event_name", column("event_name"), [_of_leaf(leaf) for leaf in _event_leaves(config)], MOST_NAMES)


def _channel() -> exp.Expr:
    return exp.Coalesce(this=column("channel"), expressions=[text(UNKNOWN_CHANNEL)])


def _of_leaf(leaf: Leaf) -> exp.Expr:
    return leaf_truth(leaf, column("name"))


def _event_leaves(config: Config) -> Iterator[Leaf]:
    names = {word.event for word in vocabulary()} | {survey.event for survey in config.surveys.values()}
    for model in config.journey_models:
        names |= {placed.rule.after.event for placed in model.rules if placed.rule.after}
    names |= {event for persona in config.personas for event in persona.counted_events}
    names |= {event for source in config.sources.values() for event in source.passive}
    yield Leaf("event", "in", tuple(sorted(names)))
    conditions = [predicate.condition for predicate in predicates(config)]
    conditions += [touchpoint.when for touchpoint in config.touchpoints]
    found = (leaf for condition in conditions for leaf in leaves(condition))
    yield from dict.fromkeys(leaf for leaf in found if leaf.field == "event" and leaf.operator not in _NEGATIVE)


def _rare(name: str, value: exp.Expr, is_named: list[exp.Expr], most: int) -> exp.Select:
    counted = (
        exp.select(exp.alias_(value, "name"), exp.alias_(exp.Count(this=exp.Star()), "event_count"))
        .from_(exp.table_("events", db="sources"))
        .group_by(value.copy())
        .subquery("counted")
    )
    order = [
        exp.Ordered(this=exp.Case().when(exp.or_(*is_named), exp.Literal.number(0)).else_(exp.Literal.number(1))),
        exp.Ordered(this=column("event_count"), desc=True),
        exp.Ordered(this=column("name")),
    ]
    place = exp.Window(this=call("row_number"), order=exp.Order(expressions=order))
    is_rare = exp.GT(this=place, expression=exp.Literal.number(most))
    return exp.select(exp.alias_(column("name"), name)).from_(counted).qualify(is_rare)


ALIAS_EVENT = "alias"
BITS = 64
_PLAIN_COLUMNS = {"event": "event_name"}


def unit_properties(config: Config) -> tuple[str, ...]:
    """Return the distinct properties that funnels count; the n-th is the column `unit_<n>` of `staging.events`."""
    found = (funnel.unit.property for funnel in config.funnels.values())
    return tuple(dict.fromkeys(key for key in found if key is not None))


def slice_fields(config: Config) -> tuple[tuple[str, bool], ...]:
    """Return name and whether it is a property, of each slice; the n-th is the column `slice_<n>` of `staging.events`.

    A property that some source keeps is read before a column of the same name.
    """
    kept = {key for source in config.sources.values() for key in source.properties}
    return tuple((name, name in kept or name not in SLICE_COLUMNS) for name in config.slices)


@python_model("staging.events")
def staging_events(config: Config) -> str:
    """Compile the narrow row of each event of the run.

    It has a column `unit_<n>` for each of `unit_properties`, and `slice_<n>` for each of `slice_fields`.
    """
    return sql(_Staging(config).select())


@python_model("staging.slice_values")
def slice_values(config: Config) -> str:
    """Compile the count of events per value of each slice; without slices there is no row."""
    is_own = exp.not_(exp.or_(column("is_bot"), column("is_internal")))
    columns = [f"slice_{number}" for number, _ in enumerate(config.slices, 1)]
    selects = [
        exp.select(
            exp.alias_(exp.cast(exp.Literal.number(number), "int"), "slice_index"),
            exp.alias_(column(name), "value"),
            exp.alias_(exp.Count(this=exp.Star()), "event_count"),
        )
        .from_(exp.table_("events", db="staging"))
        .where(is_own.copy(), column(name).is_(exp.null()).not_())
        .group_by(column(name))
        for number, name in enumerate(columns, 1)
    ]
    if not selects:
        return (
            "select cast(null as integer) as slice_index, cast(null as varchar) as value, "
            "cast(null as bigint) as event_count where false"
        )
    return sql(exp.union(*selects, distinct=False) if len(selects) > 1 else selects[0])


def source_filter(config: Config, source_name: str) -> str | None:
    """Compile the `where` of a source, over the canonical columns; None when the source keeps every row."""
    condition = config.sources[source_name].where
    if condition == All():
        return None
    return sql(compile_condition(condition, lambda leaf: leaf_truth(leaf, event_value(leaf.field))))


def event_value(field: str) -> exp.Expr:
    """Return the value of an event's field over the canonical columns."""
    if field.startswith("properties."):
        return call("json_extract_string", column("properties"), text(json_path(field.removeprefix("properties."))))
    return column(_PLAIN_COLUMNS.get(field, field))


def json_path(key: str) -> str:
    """Write the path of a property as a JSON pointer; a point goes down into a nested object.

    Pointers take every key as it is, where DuckDB reads `*` in other paths as a wildcard, quoted or not.

    Examples
    --------
    >>> json_path("page.url")
    '/page/url'
    """
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in key.split("."))


_DECIMALS = r"-?\d+\.\d+"


def key_text(value: exp.Expr) -> exp.Expr:
    """Return a value by which events are put together, as text: trimmed, blank is null, equal numbers are one text."""
    trimmed = exp.Trim(this=value)
    without_zeros = call("rtrim", call("rtrim", trimmed, text("0")), text("."))
    is_decimal = exp.and_(
        call("contains", trimmed.copy(), text(".")), call("regexp_full_match", trimmed.copy(), text(_DECIMALS))
    )
    return exp.Case().when(is_decimal, without_zeros).else_(exp.Nullif(this=trimmed.copy(), expression=text("")))


def id_text(value: exp.Expr) -> exp.Expr:
    """Return a value as the text of an identifier, as loading reads one: `12.0` is 12, and `1.50` stays as it is."""
    whole = call("regexp_replace", exp.Trim(this=value), text(r"^(-?\d{1,18})\.0+$"), text(r"\1"))
    return exp.Nullif(this=whole, expression=text(""))


def user_key(user_id: exp.Expr) -> exp.Expr:
    """Return the key of a user_id, as loading computes it."""
    return key_of(exp.DPipe(this=text("u:"), expression=user_id))


def key_of(value: exp.Expr) -> exp.Expr:
    """Return the first 64 bits of the md5 of a text: what `md5_number_lower` returns, in a third of the time."""
    shifted = exp.BitwiseRightShift(this=call("md5_number", value), expression=exp.Literal.number(64))
    return exp.cast(exp.paren(shifted), "ubigint", dialect="duckdb")


def alias_of() -> str:
    """Compile the key of the previous user_id of an alias event, over `raw.events`; null for other events."""
    is_alias = exp.EQ(this=column("event_name"), expression=text(ALIAS_EVENT))
    return sql(exp.Case().when(is_alias, user_key(event_value(f"properties.{PREVIOUS_ID}"))))


class _Staging:
    """Builder of the SELECT of `staging.events`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.event_level = event_level_conditions(config)
        self.units = unit_properties(config)
        self.slices = slice_fields(config)
        self.paths = tuple(dict.fromkeys(self._properties_read()))

    def select(self) -> exp.Select:
        taken = [
            column(name)
            for name in (
                "event_ix",
                "event_id",
                "occurred_at",
                "sequence",
                "device_key",
                "user_key",
                "event_name",
                "channel",
            )
        ]
        computed = {
            "source_ix": self._source_ix(),
            "session_key": key_of(column("session_id")),
            "touchpoint": self._touchpoint(),
            "is_bot": self._is_bot(),
            "is_internal": self._condition(self.config.exclude_traffic.internal),
            "is_offline": self._is_offline(),
            "condition_bits": self._condition_bits(),
            "alias_key": self._alias_key(),
        }
        units = [exp.alias_(key_text(self._property(key)), f"unit_{n}") for n, key in enumerate(self.units, 1)]
        named = [exp.alias_(expression, name) for name, expression in computed.items()]
        slices = [exp.alias_(self._slice(*each), f"slice_{n}") for n, each in enumerate(self.slices, 1)]
        query = exp.select(*taken, *named, *units, *slices).from_("events_read")
        query = query.with_("rare_names", as_=rare_names(self.config)).with_(
            "rare_channels", as_=rare_channels(self.config)
        )
        query = query.with_("events_read", as_=self._events_read())
        return query.with_("bot_agents", as_=_bot_agents()) if self.config.exclude_traffic.bots.builtin else query

    def _events_read(self) -> exp.Select:
        """Select the columns used, and extract all properties used from the JSON in one call."""
        fixed = (
            "event_ix",
            "event_id",
            "source",
            "occurred_at",
            "sequence",
            "device_key",
            "user_key",
            "session_id",
        )
        read = (_PLAIN_COLUMNS.get(leaf.field, leaf.field) for leaf in self._plain_leaves())
        used = dict.fromkeys([*fixed, *read, *(name for name, is_property in self.slices if not is_property)])
        capped = {"event_name": capped_name(), "channel": capped_channel()}
        columns = [column(name) for name in used if name not in capped]
        columns += [exp.alias_(value, name) for name, value in capped.items()] + [self._previous_id()]
        if self.config.exclude_traffic.bots.builtin and "user_agent" not in used:
            columns.append(column("user_agent"))
        if self.paths:
            paths = exp.Array(expressions=[text(json_path(key)) for key in self.paths])
            columns.append(exp.alias_(call("json_extract_string", column("properties"), paths), "extracted"))
        return exp.select(*columns).from_(exp.table_("events", db="sources"))

    def _previous_id(self) -> exp.Expr:
        """Read the JSON of alias events only: they are few, and reading all JSON is slow."""
        is_alias = exp.EQ(this=column("event_name"), expression=text(ALIAS_EVENT))
        return exp.alias_(exp.Case().when(is_alias, event_value(f"properties.{PREVIOUS_ID}")), PREVIOUS_ID)

    def _all_leaves(self) -> Iterator[Leaf]:
        yield from self.event_level
        traffic = self.config.exclude_traffic
        for condition in (
            traffic.internal,
            traffic.bots.when,
            *(touchpoint.when for touchpoint in self.config.touchpoints),
        ):
            yield from leaves(condition)

    def _plain_leaves(self) -> Iterator[Leaf]:
        return (leaf for leaf in self._all_leaves() if not leaf.field.startswith("properties."))

    def _properties_read(self) -> Iterator[str]:
        yield from self.units
        yield from (name for name, is_property in self.slices if is_property)
        for leaf in self._all_leaves():
            if leaf.field.startswith("properties."):
                yield leaf.field.removeprefix("properties.")

    def _property(self, key: str) -> exp.Expr:
        return call("list_extract", column("extracted"), exp.Literal.number(self.paths.index(key) + 1))

    def _slice(self, name: str, is_property: bool) -> exp.Expr:
        """Return the value of a slice as text; blank is none."""
        return key_text(self._property(name) if is_property else column(name))

    def _truth(self, leaf: Leaf) -> exp.Expr:
        if leaf.field.startswith("properties."):
            return leaf_truth(leaf, self._property(leaf.field.removeprefix("properties.")))
        return leaf_truth(leaf, column(_PLAIN_COLUMNS.get(leaf.field, leaf.field)))

    def _condition(self, condition: Condition) -> exp.Expr:
        return compile_condition(condition, self._truth)

    def _source_ix(self) -> exp.Expr:
        chosen = exp.Case(this=column("source"))
        for number, name in enumerate(self.config.sources, 1):
            chosen = chosen.when(text(name), exp.Literal.number(number))
        return exp.cast(chosen, "int")

    def _touchpoint(self) -> exp.Expr:
        surface: exp.Expr = column("event_name")
        if self.config.touchpoints:
            chosen = exp.Case()
            for touchpoint in self.config.touchpoints:
                chosen = chosen.when(self._condition(touchpoint.when), text(touchpoint.label))
            surface = chosen.else_(surface)
        return exp.DPipe(this=exp.DPipe(this=column("channel"), expression=text(": ")), expression=surface)

    def _is_bot(self) -> exp.Expr:
        bots = self.config.exclude_traffic.bots
        own = self._condition(bots.when)
        if not bots.builtin:
            return own
        agents = exp.select(column("agent")).from_("bot_agents").subquery()
        known = exp.Coalesce(this=exp.In(this=column("user_agent"), query=agents), expressions=[exp.false()])
        return known if own == exp.false() else exp.or_(known, own)

    def _is_offline(self) -> exp.Expr:
        channels = self.config.sessions.offline_channels
        return leaf_truth(Leaf("channel", "in", channels), column("channel")) if channels else exp.false()

    def _condition_bits(self) -> exp.Expr:
        """Pack the truths of event-level leaves: bits of one number while they fit, else a text of zeros and ones."""
        tests = [self._truth(leaf) for leaf in self.event_level]
        if len(tests) > BITS:
            digits = [exp.Case().when(test, text("1")).else_(text("0")) for test in tests]
            return call("concat", *digits)
        packed = ubigint(0)
        for bit, test in enumerate(tests):
            worth = exp.Case().when(test, ubigint(1 << bit)).else_(ubigint(0))
            packed = exp.BitwiseOr(this=packed, expression=worth) if bit else worth
        return packed

    def _alias_key(self) -> exp.Expr:
        return user_key(column(PREVIOUS_ID))


def _bot_agents() -> exp.Select:
    """Find the bots among the distinct agents: agents repeat, and the pattern is slow."""
    # An aggregate, because the database would apply a condition on what it groups by to every event.
    agents = (
        exp.select(exp.alias_(exp.Max(this=column("user_agent")), "agent"))
        .from_(exp.table_("events", db="sources"))
        .group_by(column("user_agent"))
    )
    is_bot = leaf_truth(Leaf("user_agent", "regex", (BOT_PATTERN,)), column("agent"))
    return exp.select(column("agent")).from_(agents.subquery("agents")).where(is_bot)


def ubigint(value: int) -> exp.Expr:
    """Return a whole number as UBIGINT."""
    return exp.cast(exp.Literal.number(value), "ubigint", dialect="duckdb")


UNCLASSIFIED = "unclassified"
"""Value of `stage` in a condition where no rule matched; stage_index 0."""


@python_model("config.event_type_predicates")
def event_type_predicates(config: Config) -> str:
    """Compile the conditions that hold, per event type.

    `stage_index` is 0 where the condition reads no stage; where it does, there is a row for each stage in which it
    holds, 0 for unclassified.
    """
    event_level = {leaf: bit for bit, leaf in enumerate(event_level_conditions(config))}
    selects = [select for predicate in predicates(config) for select in _selects(predicate, event_level)]
    if not selects:
        return sql(_select("", 0, exp.false()))
    union: exp.Query = selects[0]
    for select in selects[1:]:
        union = exp.union(union, select, distinct=False, copy=False)
    return sql(union)


def _selects(predicate: Predicate, event_level: dict[Leaf, int]) -> Iterator[exp.Select]:
    stages = (UNCLASSIFIED, *predicate.model.stage_names) if predicate.model else (UNCLASSIFIED,)
    for stage_index, stage in enumerate(stages):
        condition = compile_condition(predicate.condition, partial(_truth, event_level=event_level, stage=stage))
        yield _select(predicate.name, stage_index, condition)


def _select(predicate: str, stage_index: int, condition: exp.Expr) -> exp.Select:
    columns = {
        "event_type_ix": column("event_type_ix"),
        "stage_index": exp.cast(exp.Literal.number(stage_index), "int"),
        "predicate": text(predicate),
        "is_true": exp.true(),
    }
    named = [exp.alias_(expression, name) for name, expression in columns.items()]
    return exp.select(*named).from_(exp.table_("event_types", db="journeys")).where(condition)


def _truth(leaf: Leaf, event_level: dict[Leaf, int], stage: str) -> exp.Expr:
    if leaf.field == "stage":
        return leaf_truth(leaf, text(stage))
    if leaf.field in EVENT_TYPE_FIELDS:
        return leaf_truth(leaf, column("event_name" if leaf.field == "event" else "channel"))
    bit = event_level[leaf]
    if len(event_level) > BITS:
        digit = exp.func("substr", column("condition_bits"), exp.Literal.number(bit + 1), exp.Literal.number(1))
        return exp.EQ(this=digit, expression=text("1"))
    shared = exp.paren(exp.BitwiseAnd(this=column("condition_bits"), expression=ubigint(1 << bit)))
    return exp.NEQ(this=shared, expression=ubigint(0))


MOST_CHARACTERS = 2000
"""Length to which a longer text is cut."""

_SELECT = """
    with answers_read as (
        select event_ix, occurred_at, event_name, properties
        from sources.events
        where event_name in (@events)
    ),

    answers_typed as (
        select
            answers_read.event_ix,
            surveys.survey,
            surveys.survey_index,
            answers_read.occurred_at as answered_at,
            cast(try_cast(@score as @number) as double) as stated_score,
            surveys.least,
            surveys.most,
            nullif(substr(trim(@text), 1, @length), '') as answer_text
        from answers_read
        inner join config.surveys on surveys.event = answers_read.event_name
    )

    select
        answers_typed.event_ix,
        answers_typed.survey,
        answers_typed.survey_index,
        events.person_key,
        events.journey_index,
        events.classification_key,
        answers_typed.answered_at,
        case
            when answers_typed.stated_score between answers_typed.least and answers_typed.most
                then answers_typed.stated_score
        end as score,
        answers_typed.answer_text is not null as has_text,
        md5_number_lower(answers_typed.answer_text) as text_key,
        answers_typed.answer_text
    from answers_typed
    inner join kernel.events on events.event_ix = answers_typed.event_ix
"""


@python_model("map.survey_answers")
def survey_answers(config: Config) -> str:
    """Compile the score and the text of every answer of a counted person; reads the events of surveys only."""
    surveys = tuple(config.surveys.values())
    events = dict.fromkeys(survey.event for survey in surveys)
    parts = {
        # Without a survey there is no answer: no event name is null.
        "@events": ", ".join(sql(text(event)) for event in events) or "null",
        "@score": _by_survey([survey.score for survey in surveys]),
        "@text": _by_survey([survey.text for survey in surveys]),
        "@number": NUMBER,
        "@length": str(MOST_CHARACTERS),
    }
    # In one substitution, so that no text of the configuration is taken for a placeholder.
    return re.sub("|".join(parts), lambda placeholder: parts[placeholder[0]], _SELECT)


def _by_survey(fields: list[str | None]) -> str:
    """Read the property that the survey of the row names; null without surveys."""
    chosen = exp.Case(this=column("survey_index", "surveys"))
    for index, field in enumerate(fields, 1):
        if field is not None:
            chosen = chosen.when(exp.Literal.number(index), event_value(field))
    return sql(exp.cast(chosen if chosen.args.get("ifs") else exp.null(), "varchar"))


_NO_CONSENTS = """
select cast(null as ubigint) as user_key, cast(null as varchar) as property, cast(null as varchar) as property_value,
    cast(null as timestamp) as occurred_at
where false
"""


@python_model("analyses.audience_properties")
def audience_properties(config: Config) -> str:
    """Return a SELECT of the values of the properties that are read as consents, of events with a user id."""
    found = dict.fromkeys(each.consent_property for each in config.audiences if each.consent_property is not None)
    selects = [
        f"select user_key, {sql(text(name))} as property, "
        f"json_extract_string(properties, {sql(text(json_path(name)))}) as property_value, occurred_at "
        "from sources.events where user_key is not null "
        f"and json_extract_string(properties, {sql(text(json_path(name)))}) is not null"
        for name in found
    ]
    return " union all ".join(selects) or _NO_CONSENTS


_CLAIM = ("user_key", "event_ix", "said_user_key", "said_device_key", "said_at")


@python_model("analyses.referral_claims")
def referral_claims(config: Config) -> str:
    """Return a SELECT of the ids that the trait or property of `referrals:` holds; blanks and placeholders are none."""
    referrals = config.referrals
    if referrals is None:
        types = ("ubigint", "bigint", "ubigint", "ubigint", "timestamp")
        nulls = zip(_CLAIM, types, strict=True)
        return f"select {', '.join(f'cast(null as {kind}) as {name}' for name, kind in nulls)} where false"
    if referrals.property is not None:
        said, table, at = id_text(event_value(f"properties.{referrals.property}")), "events", "occurred_at"
        event_ix: exp.Expr = column("event_ix")
        is_said: exp.Expr = exp.true()
    else:
        said, table, at = id_text(column("trait_value")), "traits", "valid_from"
        event_ix = exp.cast(exp.null(), "bigint")
        is_said = exp.EQ(this=column("trait"), expression=text(referrals.trait or ""))
    values = [
        column("user_key"),
        exp.alias_(event_ix, "event_ix"),
        exp.alias_(said, "said"),
        exp.alias_(column(at), "said_at"),
    ]
    read = exp.select(*values).from_(exp.table_(table, db="sources")).where(is_said)
    nobody = sorted({*NULL_IDS, *(each.strip().lower() for each in config.null_ids)})
    keys = (user_key(column("said")), key_of(exp.DPipe(this=text("d:"), expression=column("said"))))
    selected = (column("user_key"), column("event_ix"), *keys, column("said_at"))
    is_id = exp.not_(exp.In(this=exp.Lower(this=column("said")), expressions=[text(each) for each in nobody]))
    query = exp.select(*(exp.alias_(value, name) for name, value in zip(_CLAIM, selected, strict=True)))
    return sql(query.from_(read.subquery("claims_read")).where(column("said").is_(exp.null()).not_(), is_id))
