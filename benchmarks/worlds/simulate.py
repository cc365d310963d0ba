"""Let the people of a world live.

Every decision of a person in a visit has a random number of its own, which depends on the seed, the decision and the
visit only. So the same people live again without a pain, and all that differs follows from the pain.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from benchmarks.worlds.businesses import VALUES, Step
from benchmarks.worlds.draw import MEDIA, Decoy, Pain, World

DAY = 86_400.0
VISITS = 6
NEVER = np.inf
WEEK = np.array([1.0, 0.95, 0.95, 1.0, 1.1, 1.35, 1.25])

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass
class People:
    """Who the persons are, an entry each; `intent` is hidden from the data."""

    intent: Floats
    persona: Ints
    medium: Ints
    slices: dict[str, Ints]
    """Column → index into `VALUES[column]`."""
    first_at: Floats
    """Seconds since the world's start."""


@dataclass
class Log:
    """Events as columns of chunks."""

    person: list[Ints] = field(default_factory=list)
    at: list[Floats] = field(default_factory=list)
    name: list[str] = field(default_factory=list)
    source: list[str] = field(default_factory=list)
    known: list[int] = field(default_factory=list)
    """Per chunk: the step from which on its events carry slice columns."""
    amount: list[Floats | None] = field(default_factory=list)
    reference: list[Ints | None] = field(default_factory=list)

    def add(
        self,
        mask: Bools,
        at: Floats,
        name: str,
        source: str = "web",
        known: int = -1,
        amount: Floats | None = None,
        reference: Ints | None = None,
    ) -> None:
        """Add an event of everybody in `mask` (one entry a person, as `at` and `amount`)."""
        who = np.flatnonzero(mask)
        if not len(who):
            return
        self.person.append(who)
        self.at.append(at[who])
        self.name.append(name)
        self.source.append(source)
        self.known.append(known)
        self.amount.append(None if amount is None else amount[who])
        self.reference.append(None if reference is None else reference[who])


@dataclass
class Life:
    """What happened: events, when each person first met each pain, and the goals reached."""

    people: People
    log: Log
    met_at: dict[int, Floats]
    """Number of the pain → seconds of the first meeting, `NEVER` for who never met it."""
    goals: list[tuple[Ints, Floats, Floats]]
    """(persons, seconds, amounts), in the data and inside the window."""
    refunds: list[tuple[Ints, Floats, Floats]]
    taken: list[tuple[int, Ints, Floats]]
    """(index of the step, persons, seconds) of every step taken."""


class Draws:
    """Random numbers by decision and visit: uniform, one a person."""

    def __init__(self, seed: int, persons: int) -> None:
        self.seed, self.persons = seed, persons

    def __call__(self, name: str, visit: int = 0) -> Floats:
        """Return the uniforms of a decision."""
        return np.random.default_rng([self.seed, 9, zlib.crc32(name.encode()), visit]).random(self.persons)


def live(world: World) -> Life:
    """Simulate all visits of everybody."""
    return _Simulation(world).run()


def draw_people(world: World) -> People:
    """Draw the persons; nothing here depends on pains."""
    draws = Draws(world.seed, world.persons)
    weights = _day_weights(world)
    day = np.searchsorted(np.cumsum(weights) / weights.sum(), draws("first day")).astype(np.int64)
    day = np.minimum(day, world.days - 1)
    persona = _pick(draws("persona"), world.persona_shares)
    mix = world.decoy("persona_mix")
    if mix is not None:
        # From a day on many more come of the last persona, or through campaigns.
        new = 0 if world.persona_rule == "medium" else 2
        is_new = (day >= (mix.first_day or 0)) & (draws("mix") < mix.rate)
        persona = np.where(is_new, new, persona)
    medium = persona if world.persona_rule == "medium" else _pick(draws("medium"), (0.3, 0.15, 0.55))
    lift = np.array([-0.35, 0.3, 0.05]) if world.persona_rule == "medium" else np.array([0.2, 0.1, -0.3])
    noise = _normal(draws("intent"), draws("intent too"))
    intent = noise + lift[persona] + np.where(medium == 0, -0.15, 0.05)
    slices = {}
    for column, shares in world.shares.items():
        # Personas prefer other devices, browsers and so on.
        tilted = np.array(shares)[None, :] * (1 + 0.4 * np.sin(np.arange(3)[:, None] + 2 * np.arange(len(shares))))
        bounds = np.cumsum(tilted / tilted.sum(axis=1, keepdims=True), axis=1)
        drawn = (draws(column)[:, None] > bounds[persona]).sum(axis=1)
        slices[column] = np.minimum(drawn, len(shares) - 1)
    first_at = day * DAY + _hour(draws("first hour"), draws("first hour too")) * 3600
    return People(intent, persona, medium, slices, first_at)


def in_slice(pain: Pain, people: People) -> Bools:
    """Return who is in the slice of a pain."""
    inside = np.ones(len(people.intent), dtype=np.bool_)
    for column, value in pain.slice:
        inside &= people.slices[column] == VALUES[column].index(value)
    return inside


def is_within(item: Pain | Decoy, at: Floats) -> Bools:
    """Return which seconds fall into the days of a pain or a decoy."""
    if item.first_day is None or item.last_day is None:
        return np.ones(len(at), dtype=np.bool_)
    return (at >= item.first_day * DAY) & (at < (item.last_day + 1) * DAY)


class _Simulation:
    def __init__(self, world: World) -> None:
        self.world, self.business = world, world.business
        self.people = draw_people(world)
        self.draws = Draws(world.seed, world.persons)
        self.log = Log()
        self.met_at = {pain.number: np.full(world.persons, NEVER) for pain in world.pains}
        self.goals: list[tuple[Ints, Floats, Floats]] = []
        self.refunds: list[tuple[Ints, Floats, Floats]] = []
        self.taken: list[tuple[int, Ints, Floats]] = []
        self.slices = {pain.number: in_slice(pain, self.people) for pain in world.pains}
        self.end = world.days * DAY
        self.reference = np.arange(world.persons)
        self.is_done = {index: np.zeros(world.persons, dtype=np.bool_) for index, s in self._steps() if s.is_kept}
        # Who bought before comes back with a purpose.
        self.eager = np.zeros(world.persons)

    def _steps(self) -> list[tuple[int, Step]]:
        return list(enumerate(self.business.steps))

    def run(self) -> Life:
        """Simulate visit after visit of all persons at once."""
        self._apart()
        at = self.people.first_at.copy()
        is_alive = np.ones(self.world.persons, dtype=np.bool_)
        for visit in range(VISITS):
            is_alive &= at < self.end
            if not is_alive.any():
                break
            at, is_alive = self._visit(visit, at, is_alive)
        return Life(self.people, self.log, self.met_at, self.goals, self.refunds, self.taken)

    def _visit(self, visit: int, begun: Floats, there: Bools) -> tuple[Floats, Bools]:
        """Simulate one visit; return when the next begins, and who comes again."""
        u, log, people = self.draws, self.log, self.people
        at = begun.copy()
        log.add(there & (people.medium == 0) & (u("ad", visit) < 0.6), at - 2, "ad_click")
        log.add(there, at, "page_view")
        log.add(there & (u("page 2", visit) < 0.5), at + 8 + 40 * u("page 2 at", visit), "page_view")
        log.add(there & (u("search", visit) < 0.2), at + 10 + 60 * u("search at", visit), "search")
        at = at + 60
        self._harmless(visit, -1, there, at)
        going, depth = there.copy(), np.zeros(self.world.persons)
        last = len(self.business.steps) - 1
        for index, step in self._steps():
            going, at = self._step(visit, index, step, going, at)
            depth[going] = index + 1
            if not going.any():
                break
        bought = going & (depth == last + 1) & (at < self.end)
        at, late_cut = self._after_goal(visit, bought, at)
        return self._next(visit, there, bought, depth, at, late_cut)

    def _step(self, visit: int, index: int, step: Step, going: Bools, at: Floats) -> tuple[Bools, Floats]:
        """Let those who came so far take a step or not."""
        world, people, u = self.world, self.people, self.draws
        done = self.is_done.get(index, np.zeros(world.persons, dtype=np.bool_))
        trying = going & ~done
        base = step.generous if world.is_generous else step.real
        day = at // DAY
        score = _logit(base) + world.intent * step.intent * people.intent + self.eager * 0.4 + self._season(day)
        chance = 1 / (1 + np.exp(-score))
        pause = step.seconds * np.exp(0.7 * _normal(u(f"pause {index}", visit), u(f"pause {index} too", visit)))
        self._harmless(visit, index, trying, at)
        at, chance = self._questions(visit, index, trying, at, chance)
        for pain in world.pains:
            if pain.step == index and pain.kind not in ("wait", "promise"):
                chance = self._hurt(pain, visit, trying, at, pause, chance)
        self._form(visit, index, trying, at)
        takes = trying & (u(f"step {index}", visit) < chance)
        then = at + np.where(trying, pause, 0)
        mandatory = world.decoy("mandatory")
        if mandatory is not None and mandatory.step == index:
            # All who go on pass it, and few others.
            passes = takes | (trying & (u("mandatory", visit) < 0.5))
            self.log.add(passes, at + 0.8 * pause, str(mandatory.event), step.source, index - 1)
        amount = None
        if index == len(self.business.steps) - 1:
            amount = np.round(
                self.business.amount * np.exp(0.5 * _normal(u("amount", visit), u("amount too", visit))), 2
            )
            inside = takes & (then < self.end)
            self.goals.append((np.flatnonzero(inside), then[inside], amount[inside]))
        is_offline = step.source != "web"
        self.log.add(takes, then, step.event, step.source, -2 if is_offline else index, amount, self._reference(visit))
        self.taken.append((index, np.flatnonzero(takes), then[takes]))
        if index in self.is_done:
            self.is_done[index] |= takes
        return (going & done) | takes, then

    def _reference(self, visit: int) -> Ints:
        return self.reference * 10 + visit

    def _hurt(self, pain: Pain, visit: int, trying: Bools, at: Floats, pause: Floats, chance: Floats) -> Floats:
        """Let a pain lower the chance of those who meet it; note the first meeting and write its event."""
        u = self.draws
        meets = trying & self.slices[pain.number] & (at < self.end)
        meets &= is_within(pain, at)
        if pain.meet < 1:
            likely = 1 / (1 + np.exp(-(_logit(pain.meet) + pain.lean * self.people.intent)))
            meets &= u(f"meet {pain.number}", visit) < likely
        self._note(pain, meets, at)
        if pain.kind == "repeat":
            more = 2 + (u(f"tries {pain.number}", visit) * 2).astype(np.int64)
            for number in range(1, 4):
                self.log.add(meets & (more >= number), at + 4 + 9 * number, str(pain.event), "web", pain.step - 1)
        elif pain.event is not None:
            when = at + np.minimum(0.5 * pause, 600) * u(f"meet at {pain.number}", visit)
            channel = "chat" if pain.kind == "chat" else "web"
            self.log.add(meets, when, pain.event, channel, pain.step - 1)
        return np.where(meets, chance * (1 - pain.strength), chance)

    def _note(self, pain: Pain, meets: Bools, at: Floats) -> None:
        met = self.met_at[pain.number]
        self.met_at[pain.number] = np.where(meets, np.minimum(met, at), met)

    def _form(self, visit: int, index: int, trying: Bools, at: Floats) -> None:
        """Write the form that all fill in once, and some twice, in every world."""
        if index != self.business.field_step:
            return
        event, decoy = self.business.field_event, self.world.decoy("harmless_repeat")
        self.log.add(trying, at + 4, event, "web", index - 1)
        rate = decoy.rate if decoy is not None else 0.1
        self.log.add(trying & (self.draws("form again", visit) < rate), at + 11, event, "web", index - 1)

    def _questions(self, visit: int, index: int, trying: Bools, at: Floats, chance: Floats) -> tuple[Floats, Floats]:
        """Let some ask and wait for the answer; where the wait is a pain, the slow answers cost."""
        world, u, wait = self.world, self.draws, self.business.wait
        if wait is None or index != wait[2]:
            return at, chance
        pains = [p for p in world.pains if p.step == index and p.kind in ("wait", "promise")]
        decoy = world.decoy("harmless_wait")
        share = 0.4
        asks = trying & (u("asks", visit) < share)
        spread = np.exp(0.5 * _normal(u("answer", visit), u("answer too", visit)))
        delay = wait[3] * spread
        if decoy is not None:
            delay = np.where(u("harmless slow", visit) < decoy.rate, wait[4] * spread, delay)
        for pain in pains:
            rate = np.full(world.persons, pain.meet)
            if pain.persona is not None:
                rate = np.where(self.people.persona == pain.persona, min(1.8 * pain.meet, 0.9), 0.25 * pain.meet)
            slow = asks & (u(f"slow {pain.number}", visit) < rate) & (at < self.end)
            delay = np.where(slow, wait[4] * spread, delay)
            self._note(pain, slow, at)
            chance = np.where(slow, chance * (1 - pain.strength), chance)
        self.log.add(asks, at + 5, wait[0], "web", index - 1, reference=self._reference(visit))
        self.log.add(asks, at + 5 + delay, wait[1], "support", -2, reference=self._reference(visit))
        return np.where(asks, at + 5 + delay, at), chance

    def _harmless(self, visit: int, index: int, there: Bools, at: Floats) -> None:
        """Write the decoys' events; they change nothing."""
        for decoy in self.world.decoys:
            if decoy.event is None or decoy.step != index + 1 or decoy.kind not in _IN_VISITS:
                continue
            score = _logit(decoy.rate) + decoy.lean * self.people.intent
            meets = there & (self.draws(f"decoy {decoy.kind}", visit) < 1 / (1 + np.exp(-score)))
            when = at + 1 + 20 * self.draws(f"decoy {decoy.kind} at", visit)
            self.log.add(meets, when, decoy.event, "chat" if decoy.kind == "harmless_chat" else "web", index - 1)

    def _after_goal(self, visit: int, bought: Bools, at: Floats) -> tuple[Floats, Floats]:
        """Deliver, late or in time; return when the person is free again, and the cut of the chance to buy again."""
        world, u, business = self.world, self.draws, self.business
        cut = np.zeros(world.persons)
        if business.after_goal is None:
            return at, cut
        usual = DAY * (0.8 + 1.4 * u("delivery", visit))
        slow = DAY * (4 + 4 * u("delivery", visit))
        delay = usual
        decoy = world.decoy("harmless_late")
        if decoy is not None:
            delay = np.where(u("harmless late", visit) < decoy.rate, slow, usual)
        refund = 0.03 * np.ones(world.persons)
        for pain in world.pains:
            if pain.kind != "promise":
                continue
            rate = np.where(self.people.persona == pain.persona, pain.meet, 0.12 * pain.meet)
            late = bought & (u(f"late {pain.number}", visit) < rate)
            delay = np.where(late, slow, usual)
            # The promise is broken when its time is over.
            self._note(pain, late, at + 3 * DAY)
            cut = np.where(late, pain.strength, cut)
            refund = np.where(late, 0.03 + 0.3 * pain.strength, refund)
        arrived = at + delay
        self.log.add(bought, arrived, business.after_goal, "delivery", -2, reference=self._reference(visit))
        back = bought & (u("refund", visit) < refund)
        when = arrived + DAY * (1 + 6 * u("refund at", visit))
        self.log.add(back, when, "refund", "web", -1, reference=self._reference(visit))
        inside = back & (when < self.end)
        self.refunds.append((np.flatnonzero(inside), when[inside], np.full(int(inside.sum()), business.amount)))
        self.log.add(bought & (u("answers", visit) < 0.1), arrived + DAY, "csat_answer", "survey", -2)
        return np.where(bought, arrived, at), cut

    def _next(
        self, visit: int, there: Bools, bought: Bools, depth: Floats, at: Floats, cut: Floats
    ) -> tuple[Floats, Bools]:
        """Say who comes again, and when."""
        u, people = self.draws, self.people
        score = -0.9 + 0.5 * people.intent + 0.15 * depth
        again = 1 / (1 + np.exp(-score))
        if self.business.is_repeated:
            loyal = 0.55 / (1 + np.exp(-0.4 * people.intent)) * 1.6
            again = np.where(bought, np.minimum(loyal, 0.95) * (1 - cut), again)
            self.eager = np.where(bought, 2.0, self.eager)
        else:
            again = np.where(bought, 0.0, again)
        comes = there & (u("again", visit) < again)
        gap = np.where(bought, 9.0, 2.5) * np.exp(0.7 * _normal(u("gap", visit), u("gap too", visit)))
        hour = _hour(u("hour", visit), u("hour too", visit)) * 3600
        next_at = (np.floor(at / DAY) + np.maximum(np.ceil(gap), 1)) * DAY + hour
        return next_at, comes

    def _season(self, day: Floats) -> Floats:
        """Logits that a day adds for everybody: a slow wave, and a week of offers where the world has one."""
        wave = 0.1 * np.sin(2 * np.pi * day / 45)
        season = self.world.decoy("season")
        if season is not None:
            wave = wave - np.where(is_within(season, day * DAY), season.rate, 0)
        return wave

    def _apart(self) -> None:
        """Write what happens apart from visits: mails opened and purchases in the store."""
        u, people, world = self.draws, self.people, self.world
        mail, store = world.decoy("mail"), world.decoy("store_purchase")
        if mail is not None:
            for number in range(6):
                score = _logit(mail.rate) + mail.lean * people.intent
                opens = u("mail", number) < 1 / (1 + np.exp(-score))
                when = people.first_at + DAY * (7 * number + 7 * u("mail at", number) + 0.3)
                self.log.add(opens & (when < self.end), when, "email_opened", "email", -2)
        if store is not None:
            score = _logit(store.rate) + store.lean * people.intent
            buys = u("store", 0) < 1 / (1 + np.exp(-score))
            when = people.first_at + DAY * 40 * u("store at", 0)
            amount = np.round(self.business.amount * (0.5 + u("store amount", 0)), 2)
            inside = buys & (when < self.end)
            self.log.add(inside, when - 900, "store_visit", "store", -2)
            self.log.add(inside, when, "purchase", "store", -2, amount, self.reference * 10 + 9)
            self.goals.append((np.flatnonzero(inside), when[inside], amount[inside]))


_IN_VISITS = ("help", "compare", "coupon", "low_intent", "harmless_chat")


def _day_weights(world: World) -> Floats:
    day = np.arange(world.days)
    weights: Floats = WEEK[day % 7] * (1 + world.trend * day / world.days) * (1 + 0.15 * np.sin(2 * np.pi * day / 60))
    return weights


def _pick(uniform: Floats, shares: tuple[float, ...]) -> Ints:
    bounds = np.cumsum(shares) / np.sum(shares)
    return np.minimum(np.searchsorted(bounds, uniform), len(shares) - 1).astype(np.int64)


def _normal(one: Floats, two: Floats) -> Floats:
    """Two uniforms to a standard normal (Box and Muller)."""
    normal: Floats = np.sqrt(-2 * np.log(np.maximum(one, 1e-12))) * np.cos(2 * np.pi * two)
    return normal


def _hour(one: Floats, two: Floats) -> Floats:
    """Hour of the day: most come in the afternoon and the evening."""
    hour: Floats = np.clip(16 + 4.5 * _normal(one, two), 0.2, 23.0)
    return hour


def _logit(chance: float) -> float:
    return float(np.log(chance / (1 - chance)))


def media(people: People) -> list[str]:
    """Return the source medium of each person."""
    return [MEDIA[index] for index in people.medium]
