"""Exposures: who met something against who could have; the example of decision 30; what is no candidate."""

from __future__ import annotations

import numpy as np
import pytest

from journeyflow.pains.exposures import _Moments, exposures, once_a_person
from journeyflow.pains.places import NORMAL, Prognosis
from journeyflow.pains.search import search
from support.streams import SHOP, Event, Kind, Person, levels_of, place_of, simulated, stream_of

PAY, BUY = "payment_info", "purchase"


def found(stream, stage=3, min_count=10, kinds=SHOP):
    place = place_of(stream, stage, kinds)
    return {one.subject: one for one in exposures(stream, place, Prognosis(stream, place), min_count)}


def candidates(stream, stage=3, min_count=10, kinds=SHOP):
    return {one.subject: one for one in _Moments(stream, place_of(stream, stage, kinds)).all(min_count)}


def example(event="error", before_sale=10):
    """Return the persons of the example: 15 of 50 who met it buy, 120 of 150 others."""
    met = [[(0, PAY), (1, event), (before_sale, BUY)]] * 15 + [[(0, PAY), (1, event)]] * 35
    others = [[(0, PAY), (before_sale, BUY)]] * 120 + [[(0, PAY)]] * 30
    return [Person([Event(*each) for each in events]) for events in met + others]


def test_the_example_of_the_decision():
    one = found(stream_of(example()))["error"]
    assert one.kind == "exposure"
    assert len(one.rows) == 50
    assert one.compared_count == 150
    assert one.rates == pytest.approx((0.3, 0.8))
    assert one.lost == pytest.approx(25)
    assert one.standard_error == pytest.approx(0.033, abs=0.0005)
    assert one.lost_error == pytest.approx(np.sqrt(8 + 2.7), abs=0.02)
    assert (one.lost_low, one.lost + NORMAL * one.lost_error) == pytest.approx((19, 31), abs=0.6)
    assert one.shift == pytest.approx(0, abs=1e-6)


def test_prospects_that_differ_are_compared_in_their_own_cells():
    """Half come back visitors who buy at 0.9, half newcomers at 0.3; the error is met by newcomers and harms nobody."""
    persons = []
    for persona, met, others, rate in (("new", 80, 120, 0.3), ("known", 20, 180, 0.9)):
        for count, middle in ((met, [Event(1, "error")]), (others, [])):
            for number in range(count):
                sale = [Event(10, BUY)] if number < rate * count else []
                persons.append(Person([Event(0, PAY), *middle, *sale], persona))
    one = found(stream_of(persons))["error"]
    assert one.rates[0] == pytest.approx(0.42)
    assert one.rates[1] == pytest.approx(0.42, abs=0.03)
    # The placebo says that they had worse prospects before they met it.
    assert one.shift < -0.5


@pytest.mark.parametrize("rest", [[], [Event(500, "chat")]])
def test_who_was_no_longer_in_danger_is_no_control(rest):
    """The error comes after a minute; who bought within seconds could not have met it."""
    sudden = [Person([Event(0, PAY), Event(0.1, BUY), *rest])] * 200
    one = found(stream_of([*example(), *sudden]))["error"]
    assert one.compared_count == 150
    assert one.rates[1] == pytest.approx(0.8)


def test_each_is_compared_with_those_who_waited_as_long_without_meeting_it():
    """Half meet it after a minute, half after five; of those who waited five minutes fewer buy."""
    early, late = (
        [[(0, PAY), (wait, "error")]] * 20 for wait in (1, 5)
    )  # fmt: skip
    quick, slow = [[(0, PAY), (3, BUY)]] * 60, [[(0, PAY), (9, BUY)]] * 20 + [[(0, PAY)]] * 40
    stream = stream_of([Person([Event(*each) for each in events]) for events in early + late + quick + slow])
    one = found(stream)["error"]
    # After a minute 140 wait. 60 of them buy in the third; the 20 who meet it in the fifth would have ended as the 60
    # who wait longer do, a third of whom buys: 60 + (20 + 60) / 3 of 140. After five minutes it is a third.
    assert one.rates[1] == pytest.approx(((60 + 80 / 3) / 140 + 1 / 3) / 2)
    assert one.rates[0] == 0


def test_where_nearly_all_who_stay_meet_it_there_is_nobody_to_compare_with():
    persons = [Person([Event(0, PAY), Event(3, BUY)])] * 100 + [Person([Event(0, PAY), Event(5, "error")])] * 144
    stays = [Person([Event(0, PAY)])]
    assert "error" not in found(stream_of([*persons, *stays * 6]), min_count=5)
    assert "error" in found(stream_of([*persons, *stays * 12]), min_count=5)


def test_the_moments_of_who_meets_it_later_are_of_who_did_not_meet_it_then():
    persons = [*example(), *[Person([Event(0, PAY), Event(3, "chat"), Event(6, "error")])] * 30]
    candidate = candidates(stream_of(persons))["error"]
    stream = stream_of(persons)
    rows = place_of(stream, 3).rows
    assert len(candidate.met) == 80
    late = stream.person[rows[candidate.could]] >= 200
    assert [stream.names.names[code] for code in stream.names.codes[rows[candidate.could][late]]] == [PAY] * 30
    assert (candidate.could[late][:, None] != candidate.met[None, :]).all()


def test_nothing_after_the_first_meeting_of_a_visit_is_compared():
    persons = [*example(), *[Person([Event(0, PAY), Event(1, "error"), Event(2, PAY), Event(9, "error")])] * 30]
    stream = stream_of(persons)
    candidate = candidates(stream)["error"]
    rows = place_of(stream, 3).rows
    assert len(candidate.met) == 80
    assert set(stream.person[rows[candidate.could]]) == set(range(50, 200))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("mail", SHOP["mail"]), ("view", SHOP["view"]), ("refund", Kind()), ("purchase_b", Kind(3, is_goal=True))],
    ids=["passive", "return", "withdrawal", "goal"],
)
def test_what_is_no_candidate(name, kind):
    kinds = {**SHOP, name: kind}
    persons = example(name)
    assert name not in found(stream_of(persons, kinds), kinds=kinds)
    kinds[name] = Kind()
    assert (name in found(stream_of(persons, kinds), kinds=kinds)) == (name != "refund")


def test_a_step_that_nearly_all_who_go_on_pass_is_no_candidate():
    def persons(share):
        return [
            Person([Event(0, PAY), *([Event(1, "form")] if number % 100 < share else []), Event(5, BUY)])
            for number in range(200)
        ] + [Person([Event(0, PAY), *([Event(1, "form")] if number % 2 else [])]) for number in range(100)]

    kinds = {**SHOP, "form": Kind()}
    assert "form" not in found(stream_of(persons(96), kinds), kinds=kinds)
    assert "form" in found(stream_of(persons(90), kinds), kinds=kinds)


def test_of_tied_events_nobody_met_one_after_the_other():
    tied = [
        Person([Event(1, PAY), Event(1, "error"), *([Event(9, BUY)] if number % 3 else [])]) for number in range(90)
    ]
    others = [Person([Event(1, PAY), *([Event(9, BUY)] if number % 5 else [])]) for number in range(200)]
    assert "error" not in candidates(stream_of([*tied, *others]))
    # A date without a clock is such a tie: all events of a day.
    assert candidates(stream_of([Person([Event(0, event.name) for event in one.events]) for one in example()])) == {}


def test_a_session_that_went_beyond_in_a_shuffled_file_is_in_no_danger():
    shuffled = [Person([Event(0, BUY), Event(1, PAY), Event(2, "error")])] * 100
    stream = stream_of([*example(), *shuffled])
    place = place_of(stream, 3)
    assert place.is_past.sum() == 200
    candidate = candidates(stream)["error"]
    assert (len(candidate.met), len(candidate.could)) == (50, 150)


def test_a_configured_friction_is_estimated_as_one():
    kinds = {**SHOP, "error": Kind(frictions="payment failed\ntimeout")}
    of = found(stream_of(example(), kinds), kinds=kinds)
    assert {name: one.kind for name, one in of.items() if one.kind == "friction"} == {
        "payment failed": "friction",
        "timeout": "friction",
    }
    assert of["timeout"].lost == pytest.approx(25)


def test_three_times_at_a_stretch_is_an_exposure_of_the_first():
    def persons(times, count, bought):
        tries = [Event(0, PAY), *(Event(1 + number, "try") for number in range(times)), Event(40, "chat")]
        return [Person([*tries, *([Event(50, BUY)] if one < bought else [])]) for one in range(count)]

    kinds = {**SHOP, "try": Kind()}
    of = found(stream_of(persons(3, 60, 18) + persons(1, 150, 120), kinds), kinds=kinds)
    one = of["try (three times in a row)"]
    assert one.rates == pytest.approx((0.3, 0.8), abs=0.01)
    assert len(one.rows) == 60


def test_a_long_wait_is_judged_among_those_who_came_as_far_as_the_answer():
    rng = np.random.default_rng(3)
    persons = []
    for number in range(600):
        wait = float(rng.uniform(1, 20))
        answer = [Event(wait, "answer"), *([Event(60, BUY)] if rng.random() < (0.3 if wait > 14 else 0.8) else [])]
        persons.append(Person([Event(0, PAY), *(answer if number % 6 else [])]))
    kinds = {**SHOP, "answer": Kind()}
    listed = search(stream_of(persons, kinds), 1, levels_of(kinds), 10)
    assert [(one.subject, one.family) for one in listed] == [("answer (long wait after payment_info)", "wait")]
    assert 0.25 < len(listed[0].rows) / 500 < 0.55
    assert listed[0].compared_count + len(listed[0].rows) == 500


def test_dates_without_a_clock_say_nothing_of_waits():
    persons = [Person([Event(0, PAY), Event(0 if one % 10 else 60, "chat")]) for one in range(300)]
    persons.append(Person([Event(0, BUY)]))
    assert not [name for name in candidates(stream_of(persons)) if "long wait" in name]


@pytest.mark.parametrize(
    ("low", "high", "share"), [(2.5, 3.5, 1), (1, 7, 0.9), (1, 7, 0.6), (1, 3, 0.6), (0.01, 7, 0.5)]
)
def test_a_delivery_days_after_the_order_that_harms_nobody_is_not_found(low, high, share):
    """The trap of immortal time: who met it had to stay so long, who went on at once never could."""
    rng = np.random.default_rng(7)
    kinds = {"view": Kind(1), "order": Kind(2), "delivered": Kind(channel="logistics"), "again": Kind(3)}
    persons = []
    for _ in range(3000):
        start = float(rng.uniform(0, 60 * 1440))
        after = float(rng.exponential(6 * 1440)) if rng.random() < 0.5 else np.inf
        delivered = float(rng.uniform(low, high)) * 1440
        events = [(start, "order", 0)]
        events += [(start + delivered, "delivered", None)] if rng.random() < share else []
        events += [(start + after, "again", 1)] if after < 30 * 1440 else []
        persons.append(Person([Event(*each) for each in sorted(events)]))
    stream = stream_of(persons, kinds, window_days=30)
    of = found(stream, 2, 20, kinds)
    assert ("delivered" in of) == (share < 1)
    if share < 1:
        assert of["delivered"].lost == pytest.approx(0, abs=2 * of["delivered"].lost_error)
    assert search(stream, 1, levels_of(kinds), 20) == []


@pytest.mark.filterwarnings("error")
def test_where_nobody_goes_on_nothing_is_lost():
    persons = [Person([Event(0, PAY), *([Event(1, "error")] if number % 2 else [])]) for number in range(200)]
    one = found(stream_of([*persons, Person([Event(0, BUY)])]))["error"]
    assert 0 <= one.lost <= 0.001 * len(one.rows) + 1e-9


@pytest.mark.parametrize(("effect", "listed"), [(0.6, True), (0.0, False)])
def test_who_goes_on_after_a_form_at_once_is_compared_where_there_was_time_to_repeat_it(effect, listed):
    """The form is the last event before the next stage: three tries take 30 seconds, others go on sooner or later."""
    rng = np.random.default_rng(2)
    kinds = {"view": Kind(1), "form": Kind(), "order": Kind(2, is_goal=True)}
    persons = []
    for _ in range(3000):
        start = float(rng.uniform(0, 60 * 1440))
        tries = 3 if rng.random() < 0.15 else 1
        goes_on = rng.random() < 0.7 * (1 - effect * (tries > 1))
        form = [Event(start + 1 + 0.15 * one, "form") for one in range(tries)]
        done = [Event(form[-1].at + float(rng.uniform(0.5, 5)), "order")] if goes_on else []
        persons.append(Person([Event(start, "view"), *form, *done]))
    of = found(stream_of(persons, kinds), 1, 20, kinds)["form (three times in a row)"]
    assert of.lost == pytest.approx(0.7 * effect * len(of.rows), abs=2.5 * of.lost_error)
    assert bool(search(stream_of(persons, kinds), 1, levels_of(kinds), 20)) == listed


def test_a_slow_answer_to_a_question_is_found_where_all_wait_for_it():
    rng = np.random.default_rng(4)
    kinds = {"view": Kind(1), "ask": Kind(), "answer": Kind(channel="support"), "order": Kind(2, is_goal=True)}
    persons = []
    for _ in range(3000):
        start, is_slow = float(rng.uniform(0, 60 * 1440)), rng.random() < 0.3
        answer = start + 5 + (500 if is_slow else 10) * float(rng.lognormal(0, 0.5))
        done = [Event(answer + 5, "order", 1)] if rng.random() < (0.3 if is_slow else 0.6) else []
        persons.append(Person([Event(start, "view"), Event(start + 5, "ask"), Event(answer, "answer", None), *done]))
    [one] = search(stream_of(persons, kinds), 1, levels_of(kinds), 20)
    assert (one.family, one.subject, one.grade) == ("wait", "answer (long wait after ask)", "matched")
    assert one.rates == pytest.approx((0.3, 0.6), abs=0.05)


def test_each_person_counts_once_at_the_first_meeting():
    persons = [Person([*one.events, Event(9000, PAY, 1, 1), Event(9001, "error", 1, 1)]) for one in example()[:50]]
    stream = stream_of([*persons, *example()[50:]])
    one = found(stream)["error"]
    assert len(one.rows) == 50
    assert (stream.at[one.rows] == stream.at[0]).all()
    assert once_a_person(stream, np.array([0, 1, 5, 6])).tolist() == [0, 2]


def test_a_planted_error_is_found_and_a_harmless_chat_is_not():
    stream = simulated(5, 4000, lambda stage, who: (0.7, 0.75, 0.4 if who.met_error else 0.8)[stage - 1])
    listed = search(stream, 1, levels_of(), 20)
    assert [(one.kind, one.subject, one.grade) for one in listed] == [("exposure", "error", "matched")]
    true_loss = 0.4 * len(listed[0].rows)
    assert listed[0].lost_low <= true_loss <= listed[0].lost + NORMAL * listed[0].lost_error
