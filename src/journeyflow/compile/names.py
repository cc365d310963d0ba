"""Caps on names that strangers write: beyond them events are `other`, or every such name would be rows of tables."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from journeyflow.compile.conditions import call, column, leaf_truth, text
from journeyflow.config.conditions import Leaf, leaves
from journeyflow.config.predicates import predicates
from journeyflow.config.root import Config
from journeyflow.config.vocabulary import vocabulary

MOST_NAMES = 500
"""Event names that a run tells apart."""
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
