"""Draw a world at random: its business, size, rates, pains and decoys, all from one seed."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.worlds.businesses import BUSINESSES, VALUES, Business

PAINS = (
    "incident_error",
    "incident_silent",
    "incident_pair",
    "gap_browser",
    "gap_payment_method",
    "gap_plan",
    "gap_device",
    "error",
    "notice",
    "chat",
    "wait",
    "repeat",
    "promise",
)
DECOYS = (
    "mail",
    "help",
    "compare",
    "coupon",
    "store_purchase",
    "mandatory",
    "ties",
    "season",
    "persona_mix",
    "tracking_gap",
    "low_intent",
    "harmless_chat",
    "harmless_wait",
    "harmless_late",
    "harmless_repeat",
)
EVENTS_OF_DECOYS = {
    "help": ("help_view", "faq_opened", "contact_page"),
    "compare": ("compare", "comparison_opened"),
    "coupon": ("coupon_searched", "coupon_viewed"),
    "low_intent": ("size_guide_opened", "about_page", "careers_page", "banner_closed"),
    "harmless_chat": ("chat_bot", "live_chat"),
}
PERSONAS = {
    "trait": ("student", "family_home", "professional"),
    "medium": ("campaign", "newsletter", "unassigned"),
}
MEDIA = ("cpc", "email", "organic")
START = datetime.date(2026, 1, 5)


@dataclass(frozen=True)
class Pain:
    """One cause of loss. `number` names its random numbers, so that others keep theirs when it is removed."""

    number: int
    kind: str
    step: int
    """Index of the step whose chance it lowers; the number of steps for a pain after the goal."""
    strength: float
    """Relative cut of the chance to take the step."""
    slice: tuple[tuple[str, str], ...] = ()
    first_day: int | None = None
    last_day: int | None = None
    event: str | None = None
    meet: float = 1.0
    """Chance to meet it for who is in reach."""
    lean: float = 0.0
    """How the hidden intent moves the chance to meet it, in logits for a standard deviation."""
    persona: int | None = None
    promise: str | None = None

    @property
    def family(self) -> str:
        """`incident`, `gap`, `exposure` or `promise`."""
        head = self.kind.split("_")[0]
        return head if head in ("incident", "gap", "promise") else "exposure"


@dataclass(frozen=True)
class Decoy:
    """Something that goes with buying less or looks odd, and costs nothing."""

    kind: str
    event: str | None = None
    rate: float = 0.0
    lean: float = 0.0
    first_day: int | None = None
    last_day: int | None = None
    source: str | None = None
    step: int = 0


@dataclass(frozen=True)
class World:
    """All that is needed to let the people live."""

    seed: int
    business: Business
    persons: int
    days: int
    is_generous: bool
    intent: float
    """Factor on the intent of every step: total odds move by a factor of 2 to 4 for a standard deviation."""
    persona_rule: str
    persona_shares: tuple[float, ...]
    shares: dict[str, tuple[float, ...]]
    trend: float
    pains: tuple[Pain, ...]
    decoys: tuple[Decoy, ...]

    def decoy(self, kind: str) -> Decoy | None:
        """Return the decoy of this kind, if the world has it."""
        return next((decoy for decoy in self.decoys if decoy.kind == kind), None)

    def dates(self, item: Pain | Decoy) -> tuple[datetime.date, datetime.date] | None:
        """Return the first and the last date of a pain or a decoy; none where it lasts all the time."""
        first, last = self.day(item.first_day), self.day(item.last_day)
        return None if first is None or last is None else (first, last)

    def day(self, index: int | None) -> datetime.date | None:
        """Return the date of a day index."""
        return None if index is None else START + datetime.timedelta(days=int(index))

    def without(self, pain: Pain) -> World:
        """Return the same world without one pain."""
        return replace(self, pains=tuple(other for other in self.pains if other.number != pain.number))


def draw_world(
    seed: int,
    *,
    size: tuple[int, int] = (1_500, 20_000),
    pains: int | None = None,
    kinds: tuple[str, ...] | None = None,
    business: str | None = None,
    decoys: int | None = None,
) -> World:
    """Draw the world of a seed; `pains`, `kinds`, `business` and `decoys` fix what would be drawn."""
    rng = np.random.default_rng([seed, 1])
    chosen = BUSINESSES[int(rng.choice(len(BUSINESSES), p=[0.4, 0.2, 0.2, 0.2]))]
    if business is not None:
        chosen = next(one for one in BUSINESSES if one.name == business)
    persons = round(float(np.exp(rng.uniform(np.log(size[0]), np.log(size[1])))))
    days = int(rng.integers(60, 181))
    shares = {column: _shares(rng, len(VALUES[column])) for column in chosen.known_from}
    world = World(
        seed=seed,
        business=chosen,
        persons=persons,
        days=days,
        is_generous=bool(rng.random() < 0.5),
        intent=float(rng.uniform(0.65, 1.25)),
        persona_rule="trait" if rng.random() < 0.6 else "medium",
        persona_shares=_shares(rng, 3),
        shares=shares,
        trend=float(rng.uniform(-0.4, 0.8)),
        pains=(),
        decoys=(),
    )
    count = int(rng.choice(6, p=[0.12, 0.14, 0.2, 0.22, 0.18, 0.14])) if pains is None else pains
    found = _draw_pains(np.random.default_rng([seed, 2]), world, count, kinds)
    return replace(
        world, pains=found, decoys=_draw_decoys(np.random.default_rng([seed, 3]), replace(world, pains=found), decoys)
    )


def _shares(rng: np.random.Generator, count: int) -> tuple[float, ...]:
    """Shares of 10 to 60 % or so, in a random order."""
    drawn = np.clip(rng.dirichlet(np.full(count, 3.0)), 0.1, 0.6)
    return tuple(float(share) for share in drawn / drawn.sum())


def _draw_pains(rng: np.random.Generator, world: World, count: int, kinds: tuple[str, ...] | None) -> tuple[Pain, ...]:
    possible = [kind for kind in PAINS if _is_possible(kind, world.business)]
    order = [str(kind) for kind in rng.permutation(possible)]
    if kinds is not None:
        order, count = [kind for kind in kinds if _is_possible(kind, world.business)], len(kinds)
    return tuple(_draw_pain(rng, number, kind, world) for number, kind in enumerate(order[:count]))


def _is_possible(kind: str, business: Business) -> bool:
    column = kind.removeprefix("gap_")
    if kind.startswith("gap_"):
        return column in business.known_from
    if kind == "incident_pair":
        return True
    return kind != "promise" or business.promise is not None


def _draw_pain(rng: np.random.Generator, number: int, kind: str, world: World) -> Pain:
    business = world.business
    last = len(business.steps) - 1
    pain = Pain(number, kind, last, float(rng.uniform(0.15, 0.9)))
    if kind.startswith("incident"):
        columns = [str(column) for column in rng.permutation(list(business.known_from))]
        columns = columns[: 2 if kind == "incident_pair" else 1]
        # A short or weak one in a pair costs nothing worth telling.
        is_pair = kind == "incident_pair"
        length = int(rng.integers(12 if is_pair else 4, 31))
        # Most are over long enough before the data end; some are not.
        tail = 32 if rng.random() < 0.8 and world.days > length + 45 else 5
        first = int(rng.integers(10, max(world.days - length - tail, 11)))
        pain = replace(
            _in_slice(rng, pain, columns, world, power=4.0 if is_pair else 1.0),
            strength=float(rng.uniform(0.6 if is_pair else 0.4, 0.9)),
            first_day=first,
            last_day=min(first + length - 1, world.days - 1),
        )
        if kind == "incident_error":
            event = str(rng.choice(business.errors[::2]))
            pain = replace(pain, event=event, meet=float(rng.uniform(0.5, 0.95)), strength=float(rng.uniform(0.5, 0.9)))
        return pain
    if kind.startswith("gap_"):
        return _in_slice(rng, replace(pain, strength=float(rng.uniform(0.15, 0.7))), [kind.removeprefix("gap_")], world)
    lean = float(rng.choice([-0.3, 0.0, 0.3]))
    if kind == "notice":
        event, step = str(rng.choice(business.notices)), business.notice_step
        return replace(pain, event=event, step=step, meet=float(rng.uniform(0.05, 0.3)), lean=lean)
    if kind == "chat":
        step = int(rng.integers(1, last + 1))
        event = str(rng.choice(business.chats))
        return replace(pain, event=event, step=step, meet=float(rng.uniform(0.05, 0.25)), lean=lean)
    if kind == "error":
        event = str(rng.choice(business.errors[1::2]))
        return replace(pain, event=event, meet=float(rng.uniform(0.05, 0.3)), lean=0.0)
    if kind == "repeat":
        return replace(
            pain, event=business.field_event, step=business.field_step, meet=float(rng.uniform(0.08, 0.3)), lean=lean
        )
    persona = int(rng.integers(0, 3))
    if kind == "wait" or (kind == "promise" and business.after_goal is None):
        assert business.wait is not None
        named = business.promise if kind == "promise" else None
        return replace(
            pain,
            event=business.wait[1],
            step=business.wait[2],
            meet=float(rng.uniform(0.2, 0.5)),
            persona=persona if kind == "promise" else None,
            promise=named,
        )
    return replace(
        pain,
        step=len(business.steps),
        strength=float(rng.uniform(0.3, 0.9)),
        meet=float(rng.uniform(0.35, 0.8)),
        persona=persona,
        promise=business.promise,
    )


def _in_slice(rng: np.random.Generator, pain: Pain, columns: list[str], world: World, power: float = 0.0) -> Pain:
    """Put a pain into one value of each column, at a step before which the values are known.

    With `power` frequent values are likelier: an incident in a rare pair would cost nothing worth telling.
    """
    business = world.business
    known = max(business.known_from[column] for column in columns)
    step = int(rng.integers(max(known + 1, 0), len(business.steps)))
    values = tuple(sorted((column, _value(rng, world, column, power)) for column in columns))
    return replace(pain, slice=values, step=step)


def _value(rng: np.random.Generator, world: World, column: str, power: float) -> str:
    weights = np.array(world.shares[column]) ** power
    return str(rng.choice(VALUES[column], p=weights / weights.sum()))


def _draw_decoys(rng: np.random.Generator, world: World, count: int | None) -> tuple[Decoy, ...]:
    count = int(rng.integers(4, 9)) if count is None else count
    kinds = {pain.kind for pain in world.pains}
    business = world.business
    possible = [
        kind
        for kind in DECOYS
        if not (kind == "store_purchase" and business.name != "shop")
        and not (kind == "ties" and kinds & {"wait", "repeat"})
        and not (kind == "ties" and business.after_goal is None and "promise" in kinds)
        and not (kind == "harmless_wait" and (kinds & {"wait"} or business.after_goal is None))
        and not (kind == "harmless_late" and ("promise" in kinds or business.after_goal is None))
        and not (kind == "harmless_repeat" and "repeat" in kinds)
    ]
    order = [str(kind) for kind in rng.permutation(possible)][:count]
    return tuple(_draw_decoy(rng, kind, world) for kind in order)


def _draw_decoy(rng: np.random.Generator, kind: str, world: World) -> Decoy:
    rate, down = float(rng.uniform(0.08, 0.3)), -float(rng.uniform(0.2, 0.8))
    length = int(rng.integers(3, 10))
    first = int(rng.integers(10, world.days - 15))
    if kind in EVENTS_OF_DECOYS:
        event = str(rng.choice(EVENTS_OF_DECOYS[kind]))
        step = int(rng.integers(0, len(world.business.steps)))
        return Decoy(kind, event, rate, down, step=0 if kind != "harmless_chat" else step)
    if kind == "mail":
        return Decoy(kind, "email_opened", float(rng.uniform(0.3, 0.6)), float(rng.uniform(0.1, 0.5)), source="email")
    if kind == "store_purchase":
        return Decoy(kind, "purchase", float(rng.uniform(0.01, 0.05)), 0.5, source="store")
    if kind == "mandatory":
        return Decoy(kind, world.business.mandatory, 1.0, step=_form_step(world.business))
    if kind == "season":
        return Decoy(kind, rate=float(rng.uniform(0.2, 0.6)), first_day=first, last_day=first + length)
    if kind == "persona_mix":
        return Decoy(kind, rate=float(rng.uniform(0.3, 0.6)), first_day=int(world.days * rng.uniform(0.3, 0.7)))
    if kind == "tracking_gap":
        return Decoy(kind, first_day=first, last_day=first + int(rng.integers(1, 4)), source="web")
    if kind == "harmless_wait":
        assert world.business.wait is not None
        return Decoy(kind, world.business.wait[1], rate, step=world.business.wait[2])
    if kind == "harmless_repeat":
        return Decoy(kind, world.business.field_event, rate, step=world.business.field_step)
    return Decoy(kind, rate=rate)


def _form_step(business: Business) -> int:
    """Return the last step but one of those taken online: the terms are accepted before it."""
    return max(sum(step.source == "web" for step in business.steps) - 2, 1)
