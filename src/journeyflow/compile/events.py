"""SQL over landed events: the narrow table of the run, the rows that a source keeps, the value of a goal."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from journeyflow.compile.bots import BOT_PATTERN
from journeyflow.compile.conditions import call, column, compile_condition, leaf_truth, sql, text
from journeyflow.compile.names import capped_channel, capped_name, rare_channels, rare_names
from journeyflow.config.conditions import All, Condition, Leaf, leaves
from journeyflow.config.predicates import deep_leaves
from journeyflow.config.root import Config

ALIAS_EVENT = "alias"
PREVIOUS_ID = "previous_id"
"""Property of an alias event that holds the user_id that was used before."""
BITS = 64
_PLAIN_COLUMNS = {"event": "event_name"}


def unit_properties(config: Config) -> tuple[str, ...]:
    """Return the distinct properties that funnels count; the n-th is the column `unit_<n>` of `staging.events`."""
    found = (funnel.unit.property for funnel in config.funnels.values())
    return tuple(dict.fromkeys(key for key in found if key is not None))


def staging_events(config: Config) -> str:
    """Compile `staging.events`: one narrow row per event of the run.

    Parameters
    ----------
    config : Config

    Returns
    -------
    str
        A SELECT over `sources.events`. Grain: event_ix. Columns: event_ix, event_id, occurred_at, sequence, device_key,
        user_key, event_name, channel, source_ix, session_key, touchpoint, is_bot, is_internal, is_offline, truths,
        alias_key, and `unit_<n>` for each of `unit_properties`. No order.
    """
    return sql(_Staging(config).select())


def source_filter(config: Config, source_name: str) -> str | None:
    """Compile the `where` of a source, over the canonical columns; None when the source keeps every row."""
    condition = config.sources[source_name].where
    if condition == All():
        return None
    return sql(compile_condition(condition, lambda leaf: leaf_truth(leaf, event_value(leaf.field))))


def goal_value(config: Config, goal: str) -> str | None:
    """Compile the value of a goal's event over `sources.events`, as DECIMAL(18, 4); None when it has no value."""
    value = config.goals[goal].value
    if value is None:
        return None
    if value == "revenue_amount":
        return sql(column("revenue_amount"))
    return sql(exp.TryCast(this=event_value(value), to=exp.DataType.build("decimal(18, 4)", dialect="duckdb")))


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


def user_key(user_id: exp.Expr) -> exp.Expr:
    """Return the key of a user_id, as landing computes it."""
    return call("md5_number_lower", exp.DPipe(this=text("u:"), expression=user_id))


def alias_of() -> str:
    """Compile the key of the previous user_id of an alias event, over `landed.events`; null for other events."""
    is_alias = exp.EQ(this=column("event_name"), expression=text(ALIAS_EVENT))
    return sql(exp.Case().when(is_alias, user_key(event_value(f"properties.{PREVIOUS_ID}"))))


class _Staging:
    """The parts of the SELECT behind `staging.events`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.deep = deep_leaves(config)
        self.units = unit_properties(config)
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
            "session_key": call("md5_number_lower", column("session_id")),
            "touchpoint": self._touchpoint(),
            "is_bot": self._is_bot(),
            "is_internal": self._judged(self.config.exclude_traffic.internal),
            "is_offline": self._is_offline(),
            "truths": self._truths(),
            "alias_key": self._alias_key(),
        }
        units = [exp.alias_(self._property(key), f"unit_{n}") for n, key in enumerate(self.units, 1)]
        named = [exp.alias_(expression, name) for name, expression in computed.items()]
        query = exp.select(*taken, *named, *units).from_("events_read")
        query = query.with_("rare_names", as_=rare_names(self.config)).with_(
            "rare_channels", as_=rare_channels(self.config)
        )
        query = query.with_("events_read", as_=self._events_read())
        return query.with_("bot_agents", as_=_bot_agents()) if self.config.exclude_traffic.bots.builtin else query

    def _events_read(self) -> exp.Select:
        """Name the columns used, and take all properties used out of the JSON in one go."""
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
        used = dict.fromkeys([*fixed, *(_PLAIN_COLUMNS.get(leaf.field, leaf.field) for leaf in self._plain_leaves())])
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
        """Read the JSON of alias events only: they are few, and reading all of it is what costs."""
        is_alias = exp.EQ(this=column("event_name"), expression=text(ALIAS_EVENT))
        return exp.alias_(exp.Case().when(is_alias, event_value(f"properties.{PREVIOUS_ID}")), PREVIOUS_ID)

    def _all_leaves(self) -> Iterator[Leaf]:
        yield from self.deep
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
        for leaf in self._all_leaves():
            if leaf.field.startswith("properties."):
                yield leaf.field.removeprefix("properties.")

    def _property(self, key: str) -> exp.Expr:
        return call("list_extract", column("extracted"), exp.Literal.number(self.paths.index(key) + 1))

    def _truth(self, leaf: Leaf) -> exp.Expr:
        if leaf.field.startswith("properties."):
            return leaf_truth(leaf, self._property(leaf.field.removeprefix("properties.")))
        return leaf_truth(leaf, column(_PLAIN_COLUMNS.get(leaf.field, leaf.field)))

    def _judged(self, condition: Condition) -> exp.Expr:
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
                chosen = chosen.when(self._judged(touchpoint.when), text(touchpoint.label))
            surface = chosen.else_(surface)
        return exp.DPipe(this=exp.DPipe(this=column("channel"), expression=text(": ")), expression=surface)

    def _is_bot(self) -> exp.Expr:
        bots = self.config.exclude_traffic.bots
        own = self._judged(bots.when)
        if not bots.builtin:
            return own
        agents = exp.select(column("agent")).from_("bot_agents").subquery()
        known = exp.Coalesce(this=exp.In(this=column("user_agent"), query=agents), expressions=[exp.false()])
        return known if own == exp.false() else exp.or_(known, own)

    def _is_offline(self) -> exp.Expr:
        channels = self.config.sessions.offline_channels
        return leaf_truth(Leaf("channel", "in", channels), column("channel")) if channels else exp.false()

    def _truths(self) -> exp.Expr:
        """Pack the truth of every deep leaf: bits of one number while they fit, else a text of zeros and ones."""
        tests = [self._truth(leaf) for leaf in self.deep]
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
    """Find the bots among the distinct agents: agents repeat, and the pattern is what costs."""
    agents = exp.select(exp.alias_(column("user_agent"), "agent")).distinct().from_(exp.table_("events", db="sources"))
    is_bot = leaf_truth(Leaf("user_agent", "regex", (BOT_PATTERN,)), column("agent"))
    return exp.select(column("agent")).from_(agents.subquery("agents")).where(is_bot)


def ubigint(value: int) -> exp.Expr:
    """Return a whole number as UBIGINT."""
    return exp.cast(exp.Literal.number(value), "ubigint", dialect="duckdb")
