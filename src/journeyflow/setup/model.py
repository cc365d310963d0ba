"""A first model from the events themselves: names, stages, a goal, a funnel, personas and slices."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from journeyflow.config.models_and_funnels import builtin_stages, vocabulary
from journeyflow.setup.stages import (
    LEAST_PROBABILITY,
    EventLog,
    Suggestion,
    Template,
    Words,
    choose_template,
    suggest,
    top,
)

if TYPE_CHECKING:
    from journeyflow.engines import DuckDBEngine
    from journeyflow.setup.sources import Ask

_STEPS = ("add_to_cart", "plan_viewed", "booking_started", "booked", "checkout_started")
"""Names that a funnel takes before its goal, where they are in the goal's stage."""
_MOST_STEPS = 6
_MOST_PERSONAS = 4
_MOST_SLICES = 4
_LEAST_SHARE = 0.03
_FEW = 12
_DEPTH = 3
_SLICE_NAME = re.compile(
    r"device|browser|^os$|os_name|operating|platform|country|plan|tier|payment_(method|type)|language|categor|segment"
)
_FIRST_TOUCH = ("utm_medium", "utm_source")
_PERSONA_PROPERTY = re.compile(
    r"device(_?(type|category))?$|platform|plan|segment|tier|customer_type|user_type|country"
)
_NO_VALUE = re.compile(r"[( ]*(none|not set|direct|null|unknown)[) ]*", re.IGNORECASE)


@dataclass(frozen=True)
class Facts:
    """What the events of a trial hold: persons by event name and source, and values of few kinds."""

    names_by_source: Mapping[str, Mapping[str, int]]
    values: Mapping[str, Mapping[str, float]]
    """Field (`utm_medium` or `properties.<key>`) → value → share of the events that have one."""
    paid_names: frozenset[str]
    """Names of events with an amount."""
    currency: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """All event names, those of most persons first."""
        counts: dict[str, int] = {}
        for found in self.names_by_source.values():
            for name, persons in found.items():
                counts[name] = counts.get(name, 0) + persons
        return tuple(sorted(counts, key=lambda name: (-counts[name], name)))


def read_facts(engine: DuckDBEngine) -> Facts:
    """Read the facts of loaded raw events."""
    rows = engine.rows(
        "select source, event_name, count(distinct coalesce(user_id, anonymous_id)) as n from raw.events group by all"
    ).to_pylist()
    by_source: dict[str, dict[str, int]] = {}
    for row in rows:
        by_source.setdefault(row["source"], {})[row["event_name"]] = int(row["n"])
    values = {name: _shares(engine, name) for name in _FIRST_TOUCH}
    keys = engine.rows(
        "select key from (select unnest(json_keys(properties)) as key from raw.events) "
        "group by key order by key limit 300"
    )["key"].to_pylist()
    for key in keys:
        if re.fullmatch(r"[A-Za-z_][\w ]*", key) and (
            _SLICE_NAME.search(key.lower()) or _PERSONA_PROPERTY.search(key.lower())
        ):
            path = key.replace("'", "''")
            values[f"properties.{key}"] = _shares(engine, f"json_extract_string(properties, '/{path}')")
    paid = engine.rows("select distinct event_name from raw.events where revenue_amount > 0")["event_name"].to_pylist()
    money = engine.rows(
        "select currency, count(*) as n from raw.events where currency is not null and revenue_amount is not null "
        "group by currency order by n desc, currency limit 1"
    )["currency"].to_pylist()
    return Facts(
        by_source, {name: found for name, found in values.items() if found}, frozenset(paid), next(iter(money), None)
    )


def _shares(engine: DuckDBEngine, value: str) -> dict[str, float]:
    """Return the shares of the values of a field with few of them; {} where they are many."""
    rows = engine.rows(
        f"select {value} as value, count(*) as n from raw.events where {value} is not null and {value} <> '' "
        f"group by value order by n desc, value limit {_FEW * 5}"
    ).to_pylist()
    total = sum(row["n"] for row in rows)
    return {} if len(rows) >= _FEW * 5 else {row["value"]: row["n"] / total for row in rows}


@dataclass
class FirstModel:
    """The proposal: `rename` by source, the sections below `models`, and what is doubtful."""

    template: Template
    price: str | None = None
    """The property with the price of goods, which every row states and not only purchases."""
    rename: dict[str, dict[str, str]] = field(default_factory=dict)
    model_name: str = "four_stage"
    model: Any = "builtin"
    goals: dict[str, Any] = field(default_factory=dict)
    funnel: list[dict[str, Any]] = field(default_factory=list)
    personas: list[dict[str, Any]] = field(default_factory=list)
    slices: list[str] = field(default_factory=list)
    readings: list[tuple[str, list[tuple[str, float]], str]] = field(default_factory=list)
    """Names that are in no stage yet: their likeliest stages, and why none was taken."""
    guessed: list[tuple[str, list[tuple[str, float]], str]] = field(default_factory=list)
    """The same of names that were put into the likeliest stage although nothing is sure."""
    suggested: dict[str, Suggestion] = field(default_factory=dict)
    """Names that were put into a stage by their words and their place in journeys."""
    unseen: list[str] = field(default_factory=list)
    """Stages of the template in which nothing happened."""


_VOCABULARY = {word.event: word for word in vocabulary()}


def first_model(
    facts: Facts, log: EventLog, traits: Mapping[str, Sequence[str]], ask: Ask, price: str | None = None
) -> FirstModel:
    """Propose a model for what the events show; `traits` are those of files of people, with their few values."""
    template = choose_template(facts.names)
    found = FirstModel(template, price)
    meanings = _meanings(facts.names, template)
    found.rename = {
        source: pairs
        for source, names in facts.names_by_source.items()
        if (pairs := {n: meanings[n] for n in sorted(names) if n in meanings and _is_renamed(n, meanings[n])})
    }
    stage_of = {n: stage for n, known in meanings.items() if (stage := template.stage_of(known))}
    idle = [word.event for word in vocabulary() if not word.is_staged]
    wanted = [n for n in facts.names if n not in stage_of and meanings.get(n, n) not in idle]
    words = Words(template.stages)
    for suggestion in suggest(log, list(template.stages), stage_of, wanted, words):
        _place(suggestion, words, found, stage_of, ask)
    if not stage_of and found.readings:
        _take_likeliest(found, stage_of, words)
    canonical = {
        name: meanings[name] if name in meanings and _is_renamed(name, meanings[name]) else name for name in stage_of
    }
    _stages(found, facts, stage_of, canonical, meanings)
    _goal_and_funnel(found, facts, log, stage_of, canonical, meanings)
    found.personas = _personas(facts, traits)
    found.slices = [
        name.removeprefix("properties.")
        for name, shares in facts.values.items()
        if name.startswith("properties.")
        and 1 < len(shares) <= _FEW
        and _SLICE_NAME.search(name.removeprefix("properties.").lower())
    ][:_MOST_SLICES]
    return found


def _meanings(names: Sequence[str], template: Template) -> dict[str, str]:
    """Return the meaning of each name; a reading of the template yields to a name that says the same."""
    exact = {name: name for name in names if name in _VOCABULARY}
    found = {name: meaning for name in names if name not in exact and (meaning := template.meaning(name))}
    spoken = set(exact.values()) | {m for n, m in found.items() if not _is_reading(n, m, template)}
    idle = {word.event for word in vocabulary() if not word.is_staged}
    clear = {
        n: m
        for n, m in found.items()
        if (template.stage_of(m) or m in idle) and not (_is_reading(n, m, template) and m in spoken)
    }
    return {**exact, **clear}


def _is_reading(name: str, meaning: str, template: Template) -> bool:
    from journeyflow.setup.stages import stems

    return any(stems(name) == stems(phrase) for phrase in template.readings.get(meaning, ()))


def _is_renamed(name: str, meaning: str) -> bool:
    return meaning in _VOCABULARY and meaning != name


def _place(suggestion: Suggestion, words: Words, found: FirstModel, stage_of: dict[str, str], ask: Ask) -> None:
    """Put a name into its stage where that is sure; ask, or list its readings, where it is not."""
    name, likely = suggestion.name, top(suggestion.readings)
    is_probable = suggestion.is_stable and suggestion.probability >= LEAST_PROBABILITY
    is_sure = suggestion.is_offered or (words.knows(name) and is_probable)
    if is_sure:
        found.suggested[name] = suggestion
        stage_of[name] = suggestion.stage
        return
    answers = [stage for stage, _ in likely]
    chosen = ask(f"In which stage is {name}?", ["none", *answers]) if answers else None
    if chosen and chosen != "none":
        stage_of[name] = chosen
        return
    why = "few persons have it" if suggestion.is_stable else "its words and its place in journeys disagree"
    found.readings.append((name, likely, why if suggestion.probability >= LEAST_PROBABILITY else "not sure"))


def _take_likeliest(found: FirstModel, stage_of: dict[str, str], words: Words) -> None:
    """Nothing is sure: take the likeliest stage of each name whose words say something, else the first stage."""
    first = next(iter(found.template.stages))
    for name, likely, _ in found.readings:
        stage_of[name] = likely[0][0] if likely and words.knows(name) else first
    found.guessed, found.readings = found.readings, []


def _stages(
    found: FirstModel,
    facts: Facts,
    stage_of: Mapping[str, str],
    canonical: Mapping[str, str],
    meanings: Mapping[str, str],
) -> None:
    template = found.template
    names_of: dict[str, dict[str, list[str]]] = {stage: {} for stage in template.stages}
    for name in facts.names:
        if name in stage_of:
            rule = _slug(meanings.get(name, name))
            names = names_of[stage_of[name]].setdefault(rule, [])
            if canonical[name] not in names:
                names.append(canonical[name])
    found.unseen = [stage for stage, rules in names_of.items() if not rules]
    extra = {s: {r: n for r, n in rules.items() if not set(n) <= _builtin_names(s)} for s, rules in names_of.items()}
    if template.name == "shop" and not found.unseen:
        if any(extra.values()):
            found.model_name = template.name
            found.model = {
                "extends": "four_stage",
                "stages": _listed({s: rules for s, rules in extra.items() if rules}),
            }
        return
    found.model_name = template.name
    seen = {stage: rules for stage, rules in names_of.items() if rules}
    found.model = {"stages": _listed(seen)}
    if len(seen) == 1:
        _add_depth(found, seen)


def _add_depth(found: FirstModel, seen: Mapping[str, Mapping[str, list[str]]]) -> None:
    """All events are in one stage: who has three of them is taken for engaged."""
    ((stage, rules),) = seen.items()
    names = sorted({name for each in rules.values() for name in each})
    deeper = {"id": "third_or_later", "when": {"event": names}, "nth": {"at_least": _DEPTH}}
    name = "engagement" if stage != "engagement" else "habit"
    found.unseen = [each for each in found.unseen if each != name]
    found.model["stages"].append({"name": name, "rules": [deeper]})


def _listed(stages: Mapping[str, Mapping[str, list[str]]]) -> list[dict[str, Any]]:
    return [
        {
            "name": stage,
            "rules": [
                {"id": rule, "when": {"event": names if len(names) > 1 else names[0]}} for rule, names in rules.items()
            ],
        }
        for stage, rules in stages.items()
    ]


def _builtin_names(stage: str) -> set[str]:
    """Return the names that the built-in rules of a stage cover."""
    from journeyflow.config.conditions import leaves

    found = next((each for each in builtin_stages("four_stage") if each.name == stage), None)
    return {
        str(value) for rule in (found.rules if found else ()) for leaf in leaves(rule.when) for value in leaf.values
    }


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:60] or "event"


def _goal_and_funnel(
    found: FirstModel,
    facts: Facts,
    log: EventLog,
    stage_of: Mapping[str, str],
    canonical: Mapping[str, str],
    meanings: Mapping[str, str],
) -> None:
    """Take the template's deepest goal that occurs, else the last stage; and the way to it as the funnel."""
    template, persons = found.template, log.person_counts()
    by_meaning: dict[str, list[str]] = {}
    for name in facts.names:
        by_meaning.setdefault(meanings.get(name, name), []).append(name)
    goal = next((name for name in template.goal if name in by_meaning and by_meaning[name][0] in stage_of), None)
    order = [stage for stage in template.stages if stage in set(stage_of.values())]
    if len(order) < 2:
        return
    last = stage_of[by_meaning[goal][0]] if goal else order[-1]
    goal_names = by_meaning[goal] if goal else [n for n in facts.names if stage_of.get(n) == last]
    events = sorted({canonical[name] for name in goal_names if name in canonical})
    when = {"event": events if len(events) > 1 else events[0]}
    value = {"value": "revenue_amount"} if facts.paid_names & {*goal_names, *events} else {}
    if found.price and not value and goal == "purchase":
        value = {"value": f"properties.{found.price}"}
    found.goals = {"order" if goal == "purchase" else _slug(goal or last): {"when": when, **value}}
    steps: dict[str, str] = {}
    for stage in order[: order.index(last)]:
        names = [n for n in facts.names if stage_of.get(n) == stage]
        best = max(names, key=lambda name: (persons.get(name, 0), name))
        steps[_slug(meanings.get(best, best))] = canonical[best]
    for step in _STEPS:
        if step in by_meaning and stage_of.get(by_meaning[step][0]) == last and step != goal:
            steps[step] = canonical[by_meaning[step][0]]
    listed = [{"name": step, "when": {"event": event}} for step, event in steps.items() if event not in events]
    aim = {"name": _slug(goal or last), "when": when}
    if listed:
        found.funnel = [*listed[-_MOST_STEPS + 1 :], aim]
        return
    later = [
        n
        for stage in order[order.index(last) + 1 :]
        for known in template.stages[stage]
        for n in by_meaning.get(known, ())
    ]
    steps = {_slug(meanings.get(n, n)): canonical[n] for n in later if n in canonical}
    found.funnel = [aim, *({"name": step, "when": {"event": event}} for step, event in steps.items())][:_MOST_STEPS]
    if len(found.funnel) < 2:
        found.funnel = []


def _personas(facts: Facts, traits: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Propose personas by a trait of few values, else by first touch, else by a property of few values."""
    for trait, values in traits.items():
        if 1 < len(values) <= _MOST_PERSONAS + 2:
            return [{"name": _slug(f"{trait} {v}"), "when": {f"trait.{trait}": [v]}} for v in values[:_MOST_PERSONAS]]
    fields = [*_FIRST_TOUCH, *(name for name in facts.values if _PERSONA_PROPERTY.search(name.lower()))]
    for name in fields:
        shares = {
            value: share
            for value, share in facts.values.get(name, {}).items()
            if share >= _LEAST_SHARE and not _NO_VALUE.fullmatch(value)
        }
        if shares and (len(shares) > 1 or name in _FIRST_TOUCH):
            key = name.removeprefix("properties.")
            what = "from" if name in _FIRST_TOUCH else "on" if "device" in key or "platform" in key else key
            return _unique(
                [{"name": _slug(f"{what} {v}"), "when": {f"first.{name}": [v]}} for v in list(shares)[:_MOST_PERSONAS]]
            )
    return []


def _unique(personas: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({persona["name"]: persona for persona in reversed(personas)}.values())[::-1]
